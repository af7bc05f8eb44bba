"""Annotating by tasks, on this machine or a cluster: each writes a part, which one file is made of.

Record n is task n modulo the number of tasks. A part holds JSON lines, one per record: its text in
the format that was asked for, why it was rejected, if it was, and what Infernal was asked about in
vain. A part that is complete loses the ending `.partial`; what is complete is not made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from rnagpt.reference.annotate import annotate
from rnagpt.reference.covariance import InfernalError, file_key
from rnagpt.reference.executor import ExecutorOptions
from rnagpt.reference.formats import Format, format_of
from rnagpt.reference.infernal import Verifier
from rnagpt.reference.library import Reference
from rnagpt.reference.tasks import Work, run_tasks
from rnagpt.sequences.fasta import read_fasta

OPTIONS = "options.json"  # of the run, in the folder of its parts
VERIFY = "--verify"  # of these, with the program that verifies
MAX_TASKS = 1_000  # as many files are open when the parts are joined


@dataclass(frozen=True)
class AnnotationJob:
    """A file to annotate, whose records are dealt to tasks.

    Attributes:
        fasta: the file that every task reads.
        out: the file to write.
        reference: the folder of the reference.
        format: one of `rnagpt.reference.formats.FORMATS`.
        tasks: how many.
        search: further arguments of `annotate`.
        verify: whether Infernal verifies the hits, each task those of its part.
        cm: Rfam's covariance models for that, as in `Verifier`.
    """

    fasta: Path
    out: Path
    reference: Path
    format: str
    tasks: int
    search: Mapping[str, Any] = field(default_factory=dict)
    verify: bool = False
    cm: Path | None = None

    @property
    def layout(self) -> Format:
        """How the results are written."""
        return format_of(self.format, verified=self.verify)

    @property
    def folder(self) -> Path:
        """The folder of the parts."""
        return self.out.with_name(f"{self.out.name}.parts")

    @property
    def logs(self) -> Path:
        """The folder of datatrove's logs: jobs write to it after their part is complete."""
        return self.out.with_name(f"{self.out.name}.logs")

    def part(self, number: int) -> Path:
        """The file of a part that is complete."""
        return self.folder / f"{number:05d}.jsonl"

    def is_done(self, number: int) -> bool:
        """Whether a part is complete."""
        return self.part(number).exists()


class Complaints(NamedTuple):
    """What was wrong with records, in their order.

    Attributes:
        rejected: the messages of those that are rejected.
        unverified: as in `SearchResult`.
    """

    rejected: list[str]
    unverified: list[str]


def annotate_in_parts(job: AnnotationJob, options: ExecutorOptions) -> Complaints:
    """Annotate the records of a file by tasks; what earlier runs did is not done again.

    Args:
        job: its `out` is written as a whole when all parts are complete, and the parts are removed.
        options: of the executor.

    Raises:
        TaskError: a task failed; the parts stand.
        InfernalError: Infernal is to verify, and is not installed here.
        ValueError: the tasks cannot be dealt, or the parts are of other options.
        OSError: a file cannot be read or written, or another process is at work on the same.
    """
    if not 1 <= job.tasks <= MAX_TASKS:
        raise ValueError(f"--tasks is {job.tasks:,}; expected 1 to {MAX_TASKS:,}")
    if job.out.exists() and job.out.stat().st_size:
        raise FileExistsError(f"{job.out} is there already; name another file")
    next(read_fasta(job.fasta))  # what is no FASTA is rejected here
    reference = Reference.open(job.reference)
    program = Verifier(job.cm).program if job.verify else ""
    job.folder.mkdir(exist_ok=True)
    with _locked(job.folder):
        _check_options(job, reference, program)
        _ = reference.profiles  # made here, since the tasks would each make them else
        missing = [number for number in range(job.tasks) if not job.is_done(number)]
        run_tasks(partial(make_part, job), missing, _work(job), options)
        complaints = join_parts(job)
    shutil.rmtree(job.folder, ignore_errors=True)
    if options.name == "local":
        shutil.rmtree(job.logs, ignore_errors=True)
    return complaints


def _work(job: AnnotationJob) -> Work:
    return Work(
        name="annotate",
        job="rnagpt-annotate",
        unit="part",
        is_done=job.is_done,
        logs=job.logs,
        failures=job.folder / "failures",
        if_lost="with fewer --workers",
    )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        with FileLock(folder / "lock", timeout=0):
            yield
    except Timeout as error:
        raise OSError(
            f"{folder}: another process is at work on it; wait for it, or name another file"
        ) from error


def _check_options(job: AnnotationJob, reference: Reference, program: str) -> None:
    """Never join parts that were made with other options, or another Infernal, than the others."""
    with job.fasta.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    options = {
        "FASTA": f"SHA-256 {digest}",
        "--reference": reference.manifest.key,
        "--format": job.format,
        "--tasks": str(job.tasks),
    }
    options |= {f"--{name}": str(value) for name, value in job.search.items() if name != "jobs"}
    options |= {VERIFY: program} if job.verify else {}
    options |= {"--cm": f"{job.cm} ({file_key(job.cm)})"} if job.cm else {}
    path = job.folder / OPTIONS
    if not path.exists():
        new = path.with_suffix(".partial")
        new.write_text(json.dumps(options), encoding="utf-8")
        new.replace(path)
    begun = json.loads(path.read_text(encoding="utf-8"))
    changed = [
        f"{name} {begun.get(name, 'not given')} (now {options.get(name, 'not given')})"
        for name in begun | options
        if begun.get(name) != options.get(name)
    ]
    if changed:
        raise ValueError(
            f"{job.folder} was begun with {', '.join(changed)}; give the same again, or delete "
            "the folder"
        )


def make_part(job: AnnotationJob, number: int) -> None:
    """Write a part, or what is missing of it."""
    if not (job.folder / OPTIONS).exists():
        return  # the parts are joined already: this is a task of a run that was stopped
    path = job.part(number)
    unfinished = path.with_suffix(".partial")
    # Another task may be at the same part: what was submitted outlives a run that was stopped.
    with FileLock(path.with_suffix(".lock")):
        if job.is_done(number):
            return
        start = number + _drop_torn(unfinished) * job.tasks
        records = islice(read_fasta(job.fasta), start, None, job.tasks)
        write = job.layout.write
        verifier = _make_verifier(job) if job.verify else None
        # By lines, so that a task that is killed loses one record at most.
        with unfinished.open("a", encoding="ascii", newline="\n", buffering=1) as file:
            for result in annotate(records, job.reference, verify=verifier, **job.search):
                error = str(result.error) if result.error else ""
                line = [write(result), error, *result.unverified]
                file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)


def _make_verifier(job: AnnotationJob) -> Verifier:
    verifier = Verifier(job.cm)
    begun = json.loads((job.folder / OPTIONS).read_text(encoding="utf-8")).get(VERIFY)
    if verifier.program != begun:
        raise InfernalError(
            f"{platform.node()} has {verifier.program}, and this run was begun with {begun}; "
            "install the same version on all machines"
        )
    return verifier


def _drop_torn(unfinished: Path) -> int:
    """How many records an unfinished part holds; a line that was cut is taken off."""
    if not unfinished.exists():
        return 0
    done = size = 0
    with unfinished.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                done, size = done + 1, size + len(line)
    os.truncate(unfinished, size)
    return done


def join_parts(job: AnnotationJob) -> Complaints:
    """Make one file of the complete parts, in the order of the records."""
    joined = job.folder / "joined"
    complaints = Complaints([], [])
    with ExitStack() as stack, joined.open("w", encoding="utf-8", newline="\n") as file:
        file.write(job.layout.header)
        parts = [
            stack.enter_context(job.part(number).open(encoding="ascii"))
            for number in range(job.tasks)
        ]
        for part in cycle(parts):
            line = part.readline()
            if not line:
                break
            text, error, *unverified = json.loads(line)
            file.write(text)
            complaints.rejected.extend([error] if error else [])
            complaints.unverified.extend(unverified)
        file.flush()
        os.fsync(file.fileno())
    joined.replace(job.out)
    return complaints


__all__ = [
    "MAX_TASKS",
    "AnnotationJob",
    "Complaints",
    "annotate_in_parts",
    "join_parts",
    "make_part",
]
