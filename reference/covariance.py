"""Covariance models by Infernal's programs: taken from Rfam's file or built, kept, and searched.

A model that was built from a seed alignment is not calibrated, which would take hours for Rfam: its
bit scores are those of Infernal, but it has no E-values. Infernal rejects such a model unless it
has the four lines of a calibration; it gets generic ones, and what depends on them is switched off.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import NamedTuple
from urllib.parse import quote

from tqdm import tqdm

from rnagpt.reference import InvalidReferenceError
from rnagpt.reference.cache import cache_folder
from rnagpt.reference.hits import lay_pairs
from rnagpt.reference.library import Reference
from rnagpt.reference.profiles import SeedAlignment
from rnagpt.reference.records import Record

PROGRAMS = ("cmbuild", "cmfetch", "cmsearch")
BUILD_SECONDS, SEARCH_SECONDS = 4 * 3600, 3600
LONG = 700  # columns of an alignment whose model takes long enough to be announced
GENERIC_CALIBRATION = "0.5 -10.0 0.5 1600000 500000 0.0025"  # about what Rfam's models have


class InfernalError(RuntimeError):
    """Infernal is missing, or one of its programs failed; the message says what to do."""


class CovarianceModel(NamedTuple):
    """A covariance model of Infernal.

    Attributes:
        path: of its file.
        reach: nt that a hit may be long.
        gathering: cut-off in bits that the file holds; None without one.
        calibrated: whether its E-values mean something.
        origin: where it comes from, in words.
    """

    path: Path
    reach: int
    gathering: float | None
    calibrated: bool
    origin: str


class ModelHit(NamedTuple):
    """A hit of `cmsearch`.

    Attributes:
        start, end: in the sequence that was searched, counted from 1.
        bits: score.
        structure: of the letters from `start` to `end`, in dot-bracket; pairs that they cannot form
            are left out.
    """

    start: int
    end: int
    bits: float
    structure: str


class CovarianceModels:
    """The covariance models of a reference's families, each made when it is first asked for."""

    def __init__(self, reference: Reference, cm: Path | None) -> None:
        self._reference = reference
        self._cm = cm
        self._made: dict[str, CovarianceModel | InfernalError | OSError] = {}
        self._locks: dict[str, Lock] = {}
        self._seeds: dict[str, SeedAlignment] | None = None
        self._reading = Lock()

    def get(self, record: Record) -> CovarianceModel:
        """The model of a family.

        Raises:
            InfernalError: it cannot be made, now or when it was first asked for.
        """
        with self._locks.setdefault(record.id, Lock()):
            if record.id not in self._made:
                try:
                    self._made[record.id] = self._make(record)
                except (InfernalError, OSError) as error:
                    # Tried once: the next hit of the family would wait for it as long again.
                    self._made[record.id] = error
            made = self._made[record.id]
        if isinstance(made, InfernalError):
            raise made
        if isinstance(made, OSError):
            raise InfernalError(f"no covariance model for {record.id}: {made}") from made
        return made

    def _make(self, record: Record) -> CovarianceModel:
        built = "model built from the seed alignment"
        if self._cm is not None:
            path = _kept(f"models-{file_key(self._cm)}", record.id)
            if path.is_file() or self._fetch(record, path):
                return _read_model(path, f"model of {self._cm.name}")
            built = f"not in {self._cm.name}; {built}"
        path = _kept(f"covariance-{self._reference.manifest.key}", record.id)
        if not path.is_file():
            self._build(record, path)
        return _read_model(path, built)

    def _fetch(self, record: Record, path: Path) -> bool:
        """Take a model out of the user's file; whether it is there."""
        assert self._cm is not None
        with _partial(path) as partial:
            command = ["cmfetch", "-o", str(partial), str(self._cm), record.id]
            done = _call(command, SEARCH_SECONDS)
            if done.returncode:
                if "not found" in done.stdout + done.stderr:
                    return False
                raise _failure(command[0], f"{record.id} in {self._cm}", done)
            _calibrate(partial)
        return True

    def _build(self, record: Record, path: Path) -> None:
        """Build a family's model, as Rfam does."""
        seed = self._seed(record)
        columns = len(seed.rows[0][1])
        if columns >= LONG:
            tqdm.write(
                f"building the covariance model of {record.name} ({record.id}, {columns:,} "
                "columns), once; this may take minutes",
                file=sys.stderr,
            )
        # Names of rows need not be unique here; Infernal wants them so.
        rows = tuple((str(number), row) for number, (_, row) in enumerate(seed.rows, start=1))
        with _partial(path) as partial:
            alignment = partial.with_suffix(".sto")
            alignment.write_text(
                SeedAlignment(seed.id, rows, seed.structure).to_stockholm(), encoding="ascii"
            )
            command = ["cmbuild", "-F", "-n", seed.id, str(partial), str(alignment)]
            if not seed.structure:
                command.insert(1, "--noss")
            done = _call(command, BUILD_SECONDS)
            if done.returncode:
                raise _failure(command[0], record.id, done)
            _calibrate(partial)

    def _seed(self, record: Record) -> SeedAlignment:
        with self._reading:
            if self._seeds is None:
                self._seeds = {seed.id: seed for seed in self._reference.seeds()}
        return self._seeds[record.id]


def infernal_version() -> str:
    """Name and version of the installed Infernal, such as "Infernal 1.1.4".

    Raises:
        InfernalError: it is not installed.
    """
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        raise InfernalError(
            f"Infernal is needed to verify hits, and {', '.join(missing)} was not found. Install "
            "it, as with `apt install infernal` on Debian and Ubuntu or `conda install -c bioconda "
            "infernal`; or leave out the verification."
        )
    done = _call(["cmsearch", "-h"], SEARCH_SECONDS)
    found = re.search(r"INFERNAL (\S+)", done.stdout)
    return f"Infernal {found[1]}" if found else "Infernal"


def check_models(path: Path) -> Path:
    """Reject what is no file of covariance models; that it is one is for Infernal to find out."""
    with path.open("rb") as file:
        start = file.read(9)
    if start.startswith(b"\x1f\x8b"):
        raise InvalidReferenceError(
            f"{path} is compressed, which Infernal does not read; unpack it with `gunzip`."
        )
    # The binary form of cmpress begins with a number whose first bit is set.
    if start != b"INFERNAL1" and not any(byte >= 0x80 for byte in start[:4]):
        raise InvalidReferenceError(
            f"{path} holds no covariance models of Infernal 1.1; give Rfam.cm, as "
            "https://ftp.ebi.ac.uk/pub/databases/Rfam/CURRENT/Rfam.cm.gz unpacked."
        )
    return path


def file_key(path: Path) -> str:
    """Tells files apart without reading them, which takes seconds for Rfam's models."""
    state = path.stat()
    text = f"{path.resolve()} {state.st_size} {state.st_mtime_ns}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _kept(folder: str, family: str) -> Path:
    return cache_folder() / folder / f"{quote(family, safe='')}.cm"


@contextmanager
def _partial(path: Path) -> Iterator[Path]:
    """A file in a folder of its own that takes the place of `path` when all went well."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=".partial-", dir=path.parent)
    except OSError as error:
        raise InfernalError(
            f"The cache {path.parent} cannot be written ({error.strerror}); set RNAGPT_CACHE to a "
            "folder that can."
        ) from error
    with folder:
        partial = Path(folder.name) / path.name
        yield partial
        if partial.is_file():
            os.replace(partial, path)


def _calibrate(path: Path) -> None:
    """Give a model that was not calibrated the lines without which Infernal rejects it."""
    head, end, rest = path.read_text(encoding="utf-8").partition("\nCM\n")
    if "\nECMLC" not in head:
        lines = (f"\nECM{mode} {GENERIC_CALIBRATION}" for mode in ("LC", "GC", "LI", "GI"))
        path.write_text("".join([head, *lines, end, rest]), encoding="utf-8", newline="\n")


def _read_model(path: Path, origin: str) -> CovarianceModel:
    with path.open(encoding="utf-8", errors="replace") as lines:
        head = dict(_head(lines))
    try:
        return CovarianceModel(
            path=path,
            reach=int(head["W"]),
            gathering=float(head["GA"]) if "GA" in head else None,
            calibrated=head["ECMLC"] != GENERIC_CALIBRATION,
            origin=origin,
        )
    except (KeyError, ValueError) as error:
        raise InfernalError(
            f"{path} is no whole covariance model; delete it, and it is made again"
        ) from error


def _head(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The tags of a model's file with their values, blanks in these as one."""
    for line in lines:
        tag, *values = line.split() or [""]
        if tag == "CM":
            return
        yield tag, " ".join(values)


def search_model(model: CovarianceModel, sequence: str) -> list[ModelHit]:
    """The hits of a model in a sequence, on the strand as given alone, of more than 0 bits.

    Raises:
        InfernalError: the search failed.
    """
    with tempfile.TemporaryDirectory(prefix="rnagpt-infernal-") as name:
        folder = Path(name)
        (folder / "query.fasta").write_text(f">query\n{sequence}\n", encoding="ascii")
        command = ["cmsearch", "--toponly", "--cpu", "0", "--noali", "-A", str(folder / "hits.sto")]
        # As Rfam does: also families without a base pair are scored by their covariance model,
        # whose bits the cut-off is in.
        command += ["--nohmmonly", "-T", "0", "--incT", "0", "--tblout", str(folder / "table")]
        if not model.calibrated:
            command.append("--noF6")  # a filter by P-values of the covariance model
        done = _call([*command, str(model.path), str(folder / "query.fasta")], SEARCH_SECONDS)
        if done.returncode:
            raise _failure(command[0], model.path.stem, done)
        rows = [
            line.split()
            for line in (folder / "table").read_text(encoding="utf-8").splitlines()
            if not line.startswith("#")
        ]
        structures = _read_structures(folder / "hits.sto") if rows else {}
    return [
        ModelHit(int(row[7]), int(row[8]), float(row[14]), structures.get((row[7], row[8]), ""))
        for row in rows
    ]


def _read_structures(path: Path) -> dict[tuple[str, str], str]:
    """The structure of each hit of `cmsearch -A` on its own letters, by its start and end."""
    rows: dict[str, str] = {}
    consensus = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if line.startswith("#=GC SS_cons"):
            consensus += words[2]
        elif len(words) == 2 and not line.startswith(("#", "//")):
            rows[words[0]] = rows.get(words[0], "") + words[1]
    found = {}
    for name, row in rows.items():
        columns = [column for column, letter in enumerate(row) if letter.isalpha()]
        place_of = {column: place for place, column in enumerate(columns)}
        letters = "".join(row[column] for column in columns)
        start, _, end = name.rpartition("/")[2].partition("-")
        found[start, end] = lay_pairs(consensus, place_of, letters)
    return found


def _call(command: Sequence[str], seconds: int) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise InfernalError(f"{command[0]} did not end within {seconds // 3600} hours") from error


def _failure(program: str, subject: str, done: subprocess.CompletedProcess[str]) -> InfernalError:
    last = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()][-3:]
    words = " ".join(line.strip() for line in last) or "it said nothing"
    ended = (
        f"was stopped by signal {-done.returncode}"
        if done.returncode < 0
        else f"failed (exit code {done.returncode})"
    )
    return InfernalError(f"{program} {ended} for {subject}: {words}")


__all__ = [
    "CovarianceModel",
    "CovarianceModels",
    "InfernalError",
    "ModelHit",
    "check_models",
    "file_key",
    "infernal_version",
    "search_model",
]
