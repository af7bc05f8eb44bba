"""The command ``rnagpt annotate``: what is known, found in any sequence."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from rnagpt.cli.engine_options import add_engine_options, read_engine_config
from rnagpt.cli.exit_codes import exit_code
from rnagpt.cli.quiet import add_quiet, quieted
from rnagpt.cli.values import evalue, positive
from rnagpt.reference.executor import EXECUTORS, ExecutorOptions, TaskError

if TYPE_CHECKING:
    from rnagpt.cli.terminal_hits import HitTable
    from rnagpt.reference.parts import Complaints

HELP = """\
Search sequences, on both strands, in a reference of families and RNAs: what they are, where, how
sure, and the papers that say so. No language model is involved; without --reference the search is
in the families of Rfam that come with rna-gpt-mini.
"""
EXAMPLES = """\
examples:
  rnagpt annotate rnas.fasta
  rnagpt annotate genome.fasta.gz genome.gff3 --format gff3 --jobs 8
  rnagpt annotate rnas.fasta hits.json --format json --resume
  rnagpt annotate rnas.fasta --reference rna-qa-data --evalue 1e-5
  rnagpt annotate rnas.fasta hits.json --format json --tasks 64 --engine slurm \\
      --engine-config slurm.json
  rnagpt annotate rnas.fasta --verify
  rnagpt annotate rnas.fasta --verify --cm Rfam.cm

Formats: table, to read (coloured, as wide as the terminal and with links where it goes to one; not
with NO_COLOR=1); tsv, with the columns of Infernal's cmscan; json, one object per record; gff3.
Positions count from 1 on the strand as given, "from" is never larger than "to".

With --verify, Infernal (Debian: infernal) says of every hit whether its family's covariance model
agrees: whether its bit score reaches Rfam's gathering cut-off. Of weaker candidates, with E-values
up to 10, the best 5 of a record that lie where no confirmed hit lies are verified too; those that
reach the cut-off are hits of the source "covariance model". Without --cm a family's model is built
from its seed alignment when it is first needed (a second or less, minutes for ribosomal RNA), and
kept in the cache ($RNAGPT_CACHE); such models have bit scores and no E-values. A hit whose model
cannot be built says why, the others are verified.

With --tasks the records are dealt to tasks of datatrove, which write their parts into OUT.parts;
OUT is made of them when all are complete. The same command again resumes. With --verify each task
verifies its own part.

exit codes: 0 done, with or without hits; 2 rejected or failed, such as records that are no RNA or
hits that Infernal could not verify (all of them are listed on standard error, the others are
annotated); 130 stopped by Ctrl-C
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("fasta", metavar="FASTA", help='FASTA file, compressed or not; "-": stdin')
    parser.add_argument(
        "out", nargs="?", type=Path, metavar="OUT", help="file to write (default: standard output)"
    )
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="DIR",
        help="reference, or RNA-QA build that has one (default: rna-gpt-mini's)",
    )
    parser.add_argument(
        "--evalue",
        type=evalue,
        default=1e-3,
        metavar="E",
        help="leave out hits of a larger E-value (default: 1e-3)",
    )
    parser.add_argument(
        "--format",
        choices=["table", "tsv", "json", "gff3"],
        default="table",
        help="of what is written (default: table)",
    )
    parser.add_argument(
        "--jobs", type=positive, default=1, metavar="N", help="processes that search (default: 1)"
    )
    parser.add_argument(
        "--verify", action="store_true", help="let Infernal, which has to be installed, verify hits"
    )
    parser.add_argument(
        "--cm",
        type=Path,
        metavar="FILE",
        help="Rfam's covariance models, Rfam.cm, for --verify (default: built when needed)",
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on after the last record that OUT holds"
    )
    tasks = parser.add_argument_group("tasks")
    tasks.add_argument("--tasks", type=positive, metavar="N", help="deal the records to N tasks")
    add_engine_options(
        tasks,
        "where tasks run (default: local)",
        workers="all cores, on slurm and ray all tasks",
    )
    add_quiet(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; the exit code."""
    from rnagpt.reference.covariance import InfernalError

    explained = (ValueError, OSError, InfernalError, TaskError)
    stopped = "stopped"
    if arguments.engine == "slurm":
        stopped += "; jobs that were submitted go on (scancel ends them), the same command resumes"
    return exit_code("rnagpt annotate", lambda: _annotate(arguments), explained, stopped)


def _annotate(arguments: argparse.Namespace) -> None:
    from rnagpt.cli.progress import Progress
    from rnagpt.reference.annotate import annotate
    from rnagpt.reference.formats import format_of
    from rnagpt.reference.infernal import Verifier
    from rnagpt.reference.library import Reference
    from rnagpt.sequences.fasta import read_fasta

    if arguments.resume and arguments.out is None:
        raise ValueError(
            "--resume needs the file to go on with: rnagpt annotate FASTA OUT --resume"
        )
    if arguments.cm and not arguments.verify:
        raise ValueError("--cm names the models that --verify uses; give --verify too")
    if arguments.tasks or _asks_for_tasks(arguments):
        with quieted(arguments):
            complaints = _annotate_by_tasks(arguments)
        _complain(complaints.rejected, complaints.unverified)
        return
    verifier = Verifier(arguments.cm) if arguments.verify else None
    layout = format_of(arguments.format, verified=arguments.verify)
    reference = Reference.open(arguments.reference)
    rejected: list[str] = []
    unverified: list[str] = []
    with quieted(arguments), _opened(arguments) as (out, done):
        records = itertools.islice(read_fasta(arguments.fasta), done, None)
        if not done:
            out.write(layout.header)
        table = _drawn_table(arguments)
        with Progress("annotating", "nt", scaled=True) as progress:
            results = annotate(
                records,
                reference,
                evalue=arguments.evalue,
                jobs=arguments.jobs,
                verify=verifier,
                searched=progress.advance,
            )
            for count, result in enumerate(results, start=done + 1):
                with progress.aside():
                    if table is not None:
                        table.write(result)
                    else:
                        out.write(layout.write(result))
                    if arguments.out is None:
                        out.flush()
                progress.advance(0, f"{count:,} RNAs")
                if result.error:
                    rejected.append(str(result.error))
                unverified.extend(result.unverified)
        if table is not None:
            table.close()
    _complain(rejected, unverified)


def _drawn_table(arguments: argparse.Namespace) -> HitTable | None:
    """A table that is drawn, where the table to read goes to a terminal."""
    from rnagpt.cli.terminal import console_of

    if arguments.out is not None or arguments.format != "table":
        return None
    if (console := console_of(sys.stdout)) is None:
        return None
    from rnagpt.cli.terminal_hits import HitTable

    return HitTable(console)


def _asks_for_tasks(arguments: argparse.Namespace) -> bool:
    """Whether there are options that need --tasks."""
    given = arguments.workers, arguments.engine_config
    return arguments.engine != EXECUTORS[0] or given != (None, None)


def _annotate_by_tasks(arguments: argparse.Namespace) -> Complaints:
    from rnagpt.reference.library import Reference

    try:
        from rnagpt.reference.parts import AnnotationJob, annotate_in_parts
    except ModuleNotFoundError as error:
        raise ValueError(f"--tasks needs {error.name}: pip install 'rna-gpt[cluster]'.") from error
    cluster = arguments.engine != EXECUTORS[0]
    if not arguments.tasks:
        raise ValueError(
            "--engine, --engine-config and --workers are for --tasks N, which deals the records out"
        )
    if arguments.out is None or arguments.fasta == "-":
        raise ValueError(
            "--tasks needs files to read and to write: rnagpt annotate FASTA OUT --tasks N"
        )
    if not cluster and arguments.jobs > 1:
        raise ValueError(
            "--jobs with --tasks is for slurm and ray; on this machine --workers says how many "
            "processes search"
        )
    workers = arguments.workers
    if workers is None:
        workers = arguments.tasks if cluster else os.cpu_count() or 1
    config = read_engine_config(arguments.engine_config)
    if cluster:
        config = {"cpus_per_task": arguments.jobs} | config
    job = AnnotationJob(
        Path(arguments.fasta).absolute(),
        arguments.out.absolute(),
        Reference.open(arguments.reference).folder.absolute(),
        arguments.format,
        arguments.tasks,
        {"evalue": arguments.evalue, "jobs": arguments.jobs},
        verify=arguments.verify,
        cm=arguments.cm.expanduser().absolute() if arguments.cm else None,
    )
    return annotate_in_parts(job, ExecutorOptions(arguments.engine, workers, config))


def _complain(rejected: Sequence[str], unverified: Sequence[str]) -> None:
    """End with an error that lists rejected records, and what Infernal could not verify.

    Raises:
        ValueError: there are any.
    """
    told = []
    if rejected:
        told += [f"{len(rejected):,} records are rejected:", *(f"- {text}" for text in rejected)]
    if unverified:
        told.append(f"Infernal could not verify {len(unverified):,} hits and weaker candidates:")
        for text, count in Counter(unverified).items():
            told.append(f"- {text}" + (f" ({count:,} times)" if count > 1 else ""))
    if told:
        raise ValueError("\n".join(told))


@contextmanager
def _opened(arguments: argparse.Namespace) -> Iterator[tuple[IO[str], int]]:
    """Where to write, and how many records it holds already."""
    out: Path | None = arguments.out
    if out is None:
        yield sys.stdout, 0
        return
    if not arguments.resume or not out.exists():
        if out.exists() and out.stat().st_size:
            raise FileExistsError(
                f"{out} is there already; go on with it with --resume, or name another file"
            )
        with out.open("w", encoding="utf-8", newline="\n") as file:
            yield file, 0
        return
    done, size = _complete(out, arguments)
    os.truncate(out, size)
    if done:
        print(f"rnagpt annotate: {done:,} records are done already", file=sys.stderr)
    with out.open("a", encoding="utf-8", newline="\n") as file:
        yield file, done


def _complete(path: Path, arguments: argparse.Namespace) -> tuple[int, int]:
    """How many records a file holds whole, and the bytes up to the end of the last one."""
    from rnagpt.reference.formats import format_of

    name: str = arguments.format
    layout = format_of(name, verified=arguments.verify)
    done = size = position = 0
    with path.open("rb") as file:
        if layout.header and file.read(len(layout.header)) != layout.header.encode():
            if path.stat().st_size > len(layout.header):
                columns = f" and with{'' if arguments.verify else 'out'} --verify"
                raise ValueError(
                    f"{path} was not written with --format {name}"
                    f"{columns if name == 'tsv' else ''}; name another file"
                )
            return 0, 0
        position = len(layout.header)
        for line in file:
            position += len(line)
            if line.endswith(b"\n") and layout.ends_record(line[:-1].decode()):
                done, size = done + 1, position
    return done, size


__all__ = ["EXAMPLES", "HELP", "add_arguments", "run"]
