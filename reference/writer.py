"""Writing a reference: families with their seed alignments, single RNAs with their sequences.

All is written next to the target and moved into place at the end: a build that was killed leaves
the reference that was there before, or none.
"""

from __future__ import annotations

import lzma
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from pyhmmer.plan7 import HMM
from tqdm import tqdm

from rnagpt.reference import InvalidReferenceError
from rnagpt.reference.manifest import (
    FAMILIES,
    MANIFEST,
    PROFILES,
    RNAS,
    SEEDS,
    SEQUENCES,
    Manifest,
    describe_file,
)
from rnagpt.reference.profiles import SeedAlignment, build_profiles
from rnagpt.reference.records import FAMILY, RNA, Record
from rnagpt.reference.single_rnas import check_engine

_FAST = 1  # preset of xz for hundreds of thousands of RNAs: a tenth of the time, a third larger

Family = tuple[Record, SeedAlignment]
SingleRna = tuple[Record, str]


def write_reference(
    out: Path,
    families: Iterable[Family] = (),
    rnas: Iterable[SingleRna] = (),
    *,
    name: str,
    release: str = "",
    licence: str = "",
    sources: Mapping[str, str] | None = None,
    engine: str = "kmers",
    date: str | None = None,
    profiles: Mapping[str, HMM[Any]] | None = None,
    jobs: int = 1,
    problems: list[str] | None = None,
    overwrite: bool = False,
) -> Manifest:
    """Write a reference into the folder `out`.

    Args:
        families: records of kind `FAMILY` with their seed alignments.
        rnas: records of kind `RNA` with their sequences (A, C, G, U and IUPAC's other letters).
        name, release, licence, sources, engine: as in `Manifest`.
        date: as in `Manifest`; None: today.
        profiles: that are built already, by the id of their family.
        jobs: processes that build profiles.
        problems: takes the reasons why families were left out, of which no profile can be built;
            None: the first of them is an error.
        overwrite: replace a reference that is there.

    Raises:
        FileExistsError: `out` is there, and is not to be replaced or is no reference.
        InvalidReferenceError: for two records of one id, an alignment without a profile, an engine
            that there is not, or nothing at all.
    """
    check_engine(engine)
    _check_replaceable(out, overwrite)
    with _placed(out) as partial:
        seen: set[str] = set()
        chosen = []
        for record, seed in families:
            _check_new(record, FAMILY, seen)
            chosen.append((record, seed))
        chosen = _write_profiles(partial / PROFILES, chosen, profiles or {}, jobs, problems)
        with _text(partial / FAMILIES) as records, _text(partial / SEEDS) as alignments:
            for record, seed in chosen:
                records.write(f"{record.to_json()}\n")
                alignments.write(seed.to_stockholm())
        num_rnas = 0
        with (
            _text(partial / RNAS, _FAST) as records,
            _text(partial / SEQUENCES, _FAST) as fasta,
        ):
            for record, sequence in rnas:
                num_rnas += 1
                _check_new(record, RNA, seen)
                records.write(f"{record.to_json()}\n")
                fasta.write(f">{record.id}\n{sequence}\n")
        if not chosen and not num_rnas:
            raise InvalidReferenceError(
                "A reference without a family and without an RNA finds nothing; none was written."
            )
        unused = (() if chosen else (FAMILIES, SEEDS, PROFILES)) + (
            () if num_rnas else (RNAS, SEQUENCES)
        )
        for file in unused:
            (partial / file).unlink()
        manifest = Manifest(
            name=name,
            release=release,
            licence=licence,
            date=datetime.now(UTC).date().isoformat() if date is None else date,
            sources=dict(sources or {}),
            programs={"pyhmmer": version("pyhmmer")},
            families=len(chosen),
            rnas=num_rnas,
            sequences=sum(len(seed.rows) for _, seed in chosen),
            engine=engine,
            files={path.name: describe_file(path) for path in sorted(partial.iterdir())},
        )
        manifest.write(partial)
    return manifest


def _check_replaceable(out: Path, overwrite: bool) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / MANIFEST).is_file():
        raise FileExistsError(f"{out} holds something else than a reference; choose another folder")
    if not overwrite:
        raise FileExistsError(
            f"{out} holds a reference already; choose another folder, or replace it with "
            "--overwrite"
        )


@contextmanager
def _placed(out: Path) -> Iterator[Path]:
    """A folder next to `out` that takes its place when all went well."""
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if out.exists():
        old = out.with_name(f".{out.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        out.rename(old)
        partial.rename(out)
        shutil.rmtree(old)
    else:
        partial.rename(out)


@contextmanager
def _text(path: Path, preset: int | None = None) -> Iterator[TextIO]:
    with lzma.open(path, "wt", preset=preset, encoding="utf-8", newline="\n") as file:
        yield file


def _check_new(record: Record, kind: str, seen: set[str]) -> None:
    if record.kind != kind:
        raise InvalidReferenceError(
            f"{record.id} is a record of kind {record.kind!r}, not {kind!r}"
        )
    if record.id in seen:
        raise InvalidReferenceError(
            f"Two records have the id {record.id!r}; an answer could not tell which of them it "
            "cites. Give one of them another id, or leave it out."
        )
    seen.add(record.id)


def _write_profiles(
    path: Path,
    families: list[Family],
    profiles: Mapping[str, HMM[Any]],
    jobs: int,
    problems: list[str] | None,
) -> list[Family]:
    """Write the families' profiles; the families that have one."""
    missing = [seed for _, seed in families if seed.id not in profiles]
    built = iter(
        tqdm(
            build_profiles(missing, jobs),
            total=len(missing),
            desc="building profiles",
            unit=" families",
            disable=None if missing else True,
            file=sys.stderr,
        )
    )
    written = []
    with lzma.open(path, "wb") as file:
        for record, seed in families:
            hmm = profiles[seed.id] if seed.id in profiles else next(built)
            if isinstance(hmm, InvalidReferenceError):
                if problems is None:
                    raise hmm
                problems.append(str(hmm))
                continue
            # When and how it was built would make each build's bytes its own.
            hmm.creation_time = None
            hmm.command_line = None
            hmm.write(cast(BinaryIO, file), binary=True)
            written.append((record, seed))
    return written


__all__ = ["Family", "SingleRna", "write_reference"]
