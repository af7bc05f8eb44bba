"""References made from references: merged, extended by own notes, cut down to a part.

What is built already is taken over; only new families get a profile built, which takes some
hundredths of a second each.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from pyhmmer.plan7 import HMM

from rnagpt.cleaning_rnagpt import RnaSequenceError, clean_rna
from rnagpt.reference import InvalidReferenceError
from rnagpt.reference.library import MAX_LENGTH, MIN_LENGTH, Reference
from rnagpt.reference.manifest import Manifest
from rnagpt.reference.profiles import SeedAlignment
from rnagpt.reference.records import FAMILY, RNA, Record, Term, read_cutoff
from rnagpt.reference.writer import Family, SingleRna, write_reference
from rnagpt.sequences.stockholm import Problem, SeedFamily, read_seed

NOTE_COLUMNS = ("id", "sequence", "name", "description", "type", "functions", "papers", "organism")
NEEDED_COLUMNS = ("id", "sequence")


def families_of(reference: Reference) -> Iterator[Family]:
    """The families of a reference with their seed alignments, in order."""
    for seed in reference.seeds():
        yield reference.families[seed.id], seed


def merge(
    references: Sequence[Reference],
    out: Path,
    *,
    engine: str | None = None,
    overwrite: bool = False,
) -> Manifest:
    """Write a reference that holds what others hold.

    A family or RNA that several of them hold in the same words is taken once.

    Args:
        engine: that finds single RNAs; None: that of the first reference.

    Raises:
        InvalidReferenceError: two of them hold different records of one id.
    """
    families: dict[str, Family] = {}
    rnas: dict[str, SingleRna] = {}
    profiles: dict[str, HMM[Any]] = {}
    for reference in references:
        for family in families_of(reference):
            _put(families, family, reference)
        for rna in reference.rnas():
            _put(rnas, rna, reference)
        profiles |= reference.hmms()
    manifests = [reference.manifest for reference in references]
    return write_reference(
        out,
        families.values(),
        rnas.values(),
        name=_joined(manifest.name for manifest in manifests),
        release=_joined(manifest.release for manifest in manifests),
        licence=_joined((manifest.licence for manifest in manifests), " AND "),
        sources={name: hash_ for manifest in manifests for name, hash_ in manifest.sources.items()},
        engine=engine or manifests[0].engine,
        profiles=profiles,
        overwrite=overwrite,
    )


def _put(entries: dict[str, Any], entry: Any, reference: Reference) -> None:
    record = entry[0]
    if entries.setdefault(record.id, entry) != entry:
        raise InvalidReferenceError(
            f"{record.id} of {reference.folder} is another one than that of a reference before it. "
            "Give one of them another id, or leave one of the references out."
        )


def _joined(texts: Iterator[str] | Sequence[str], link: str = ", ") -> str:
    return link.join(dict.fromkeys(text for text in texts if text))


def add(
    reference: Reference,
    notes: Path,
    out: Path | None = None,
    *,
    engine: str | None = None,
    jobs: int = 1,
) -> Manifest:
    """Add own RNAs or families to a reference.

    Args:
        reference: to add to.
        notes: a CSV or TSV file of RNAs with the columns of `NOTE_COLUMNS`, of which
            `NEEDED_COLUMNS` are needed; or a Stockholm file of families, several in one file.
        out: folder of the new reference; None: it takes the place of `reference`.
        engine: that finds single RNAs; None: that of `reference`.
        jobs: processes that build profiles.

    Raises:
        InvalidReferenceError: for a file of another kind, and for what an entry lacks, all of it.
    """
    families: list[Family] = []
    rnas: list[SingleRna] = []
    if _is_stockholm(notes):
        families = list(read_families(notes))
    else:
        rnas = list(read_notes(notes))
    old = reference.manifest
    target = out or reference.folder
    return write_reference(
        target,
        chain(families_of(reference), families),
        chain(reference.rnas(), rnas),
        name=old.name,
        release=old.release,
        licence=old.licence,
        sources=old.sources,
        engine=engine or old.engine,
        profiles=reference.hmms(),
        jobs=jobs,
        overwrite=out is None,
    )


def _is_stockholm(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(64)
    return start.startswith(b"\x1f\x8b") or start.lstrip(b"\xef\xbb\xbf").startswith(b"# STOCKHOLM")


def read_families(path: Path) -> Iterator[Family]:
    """The families of a Stockholm file, such as Rfam's seeds or a lab's own.

    Raises:
        InvalidReferenceError: for what is left out of it, all of it.
    """
    problems: list[Problem] = []
    try:
        families = list(read_seed(path, problems))
    except ValueError as error:
        raise InvalidReferenceError(str(error)) from error
    if problems:
        listed = "\n".join(f"- {problem}" for problem in problems[:50])
        raise InvalidReferenceError(f"{path} cannot be added as it is:\n{listed}")
    for family in families:
        yield (
            _record(family),
            SeedAlignment(family.accession, tuple(family.rows), family.structure),
        )


def _record(family: SeedFamily) -> Record:
    types = [part.strip() for part in family.feature("TP").split(";") if part.strip()]
    terms = (value.split(";") for value in family.features.get("DR", []))
    return Record(
        id=family.accession,
        kind=FAMILY,
        name=family.feature("ID") or family.accession,
        description=family.feature("DE"),
        type=types[-1] if types else "",
        functions=tuple(filter(None, [family.feature("CC")])),
        terms=tuple(
            Term(f"{parts[0].strip()}:{parts[1].strip()}", parts[2].strip())
            for parts in terms
            if len(parts) > 2 and parts[0].strip() in ("GO", "SO")
        ),
        papers=tuple(dict.fromkeys(family.references.values())),
        clan=family.feature("CL"),
        gathering=read_cutoff(family.feature("GA")),
    )


def read_notes(path: Path) -> Iterator[SingleRna]:
    """The RNAs of a CSV or TSV file with their notes.

    `functions` and `papers` hold several values parted by ";".

    Raises:
        InvalidReferenceError: for a column that is missing or not known, and for rows without an id
            or with a sequence that is no RNA, all of them.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidReferenceError(f"{path} is no text in UTF-8; save it as CSV.") from error
    first = text.partition("\n")[0]
    rows = csv.DictReader(text.splitlines(), delimiter="\t" if "\t" in first else ",")
    columns = [column.strip().lower() for column in rows.fieldnames or []]
    rows.fieldnames = columns
    missing = [column for column in NEEDED_COLUMNS if column not in columns]
    unknown = [column for column in columns if column not in NOTE_COLUMNS]
    if missing or unknown:
        raise InvalidReferenceError(
            f"{path} has the columns {', '.join(columns) or 'none'}; "
            + (f"{', '.join(missing)} is missing. " if missing else "")
            + (f"{', '.join(unknown)} is not known. " if unknown else "")
            + f"Expected are {', '.join(NOTE_COLUMNS)}, of which {' and '.join(NEEDED_COLUMNS)} "
            "are needed."
        )
    problems: list[str] = []
    found = [(rows.line_num, _note(row, rows.line_num, problems)) for row in rows]
    if problems:
        listed = "\n".join(f"- {problem}" for problem in problems[:50])
        raise InvalidReferenceError(f"{path} cannot be added as it is:\n{listed}")
    yield from (rna for _, rna in found if rna)


def _note(row: dict[str, str | None], line: int, problems: list[str]) -> SingleRna | None:
    values = {column: (value or "").strip() for column, value in row.items() if column}
    identifier = values["id"]
    if not identifier or re.search(r"\s", identifier):
        problems.append(f"line {line}: an id without blanks is needed, not {identifier!r}")
        return None
    try:
        cleaned = clean_rna(values["sequence"], name=identifier, max_length=MAX_LENGTH)
    except RnaSequenceError as error:
        problems.append(f"line {line}: {error}")
        return None
    if len(cleaned.sequence) < MIN_LENGTH:
        problems.append(f"line {line}: {identifier} has fewer than {MIN_LENGTH} nt")
        return None
    record = Record(
        id=identifier,
        kind=RNA,
        name=values.get("name") or identifier,
        description=values.get("description", ""),
        type=values.get("type", ""),
        functions=_several(values.get("functions", "")),
        papers=_several(values.get("papers", "")),
        organism=values.get("organism", ""),
        source=f"own notes ({identifier})",
    )
    return record, cleaned.sequence


def _several(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(";") if part.strip())


def subset(
    reference: Reference,
    keep: Callable[[str, str], bool],
    out: Path,
    *,
    jobs: int = 1,
    overwrite: bool = False,
) -> Manifest:
    """Write a reference of a part of the sequences, such as those of the training split.

    Profiles are built again from what is left of their alignments; families without any row are
    left out.

    Args:
        keep: whether a sequence (without gaps, A, C, G, U) of a family or RNA, by its id, stays.
    """
    old = reference.manifest

    def families() -> Iterator[Family]:
        for record, seed in families_of(reference):
            rows = tuple(row for row in seed.rows if keep(record.id, ungapped(row[1])))
            if rows:
                yield record, SeedAlignment(seed.id, rows, seed.structure)

    return write_reference(
        out,
        families(),
        ((record, rna) for record, rna in reference.rnas() if keep(record.id, rna)),
        name=f"{old.name} (a part)",
        release=old.release,
        licence=old.licence,
        sources=old.sources,
        engine=old.engine,
        jobs=jobs,
        overwrite=overwrite,
    )


_GAPS = str.maketrans("Tt", "UU", "-._~")


def ungapped(row: str) -> str:
    """The sequence of an alignment's row, in A, C, G, U and IUPAC's other letters."""
    return row.translate(_GAPS).upper()


__all__ = [
    "NEEDED_COLUMNS",
    "NOTE_COLUMNS",
    "add",
    "families_of",
    "merge",
    "read_families",
    "read_notes",
    "subset",
    "ungapped",
]
