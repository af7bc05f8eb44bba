"""Entries of GenBank's flat files: name, definition and sequence.

The format is that of section 3.4 of GenBank's release notes:
https://ftp.ncbi.nih.gov/genbank/gbrel.txt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_START, _END, _SEQUENCE = "LOCUS", "//", "ORIGIN"
_KEPT = frozenset({_START, "DEFINITION", "ACCESSION", "VERSION", "CONTIG"})
_KEY = 12  # letters that a line's keyword, or the space in its place, takes
_LENGTH = re.compile(r"\s(\d+) (?:bp|aa|rc)\s")
# A number, then blocks of ten letters.
_LETTERS = re.compile(r"\s*\d+((?:\s+[A-Za-z*-]+)+)\s*")


class EntryError(ValueError):
    """An entry cannot be read; the message says why, and how to mend it."""


class Entry(NamedTuple):
    """An entry.

    Attributes:
        name: accession with version, such as "NR_003286.4"; the locus where there is none.
        definition: what it is, in a line.
        sequence: its letters, as they stand.
        line: where it begins, counted from 1.
    """

    name: str
    definition: str
    sequence: str
    line: int


def begins_entry(line: str) -> bool:
    """Whether a line is the first one of an entry."""
    return line.lstrip().split(" ", 1)[0] == _START


def read_entries(numbered: Iterable[tuple[int, str]]) -> Iterator[Entry]:
    """The entries of a file.

    Args:
        numbered: its lines, each with its number.

    Raises:
        EntryError: one has no sequence, or another one than it says, or something is no entry.
    """
    entry: list[tuple[int, str]] = []
    for number, line in numbered:
        if begins_entry(line) and entry:
            yield _entry(entry)
            entry = []
        if line.rstrip() == _END:
            yield _entry(entry or [(number, line)])
            entry = []
        elif line.strip():
            entry.append((number, line))
    if entry:
        yield _entry(entry)


def _entry(lines: list[tuple[int, str]]) -> Entry:
    first, locus = lines[0]
    if not begins_entry(locus):
        raise EntryError(
            f"line {first}: an entry of GenBank begins with a line LOCUS, and this is "
            f"{locus.strip()[:40]!r}. Copy the whole entry."
        )
    fields: dict[str, str] = {}
    key = ""
    for place, (_, line) in enumerate(lines):
        key = line[:_KEY].strip() or key
        if key == _SEQUENCE:
            sequence = "".join(_letters(number, text) for number, text in lines[place + 1 :])
            break
        if key in _KEPT:
            fields[key] = " ".join(filter(None, (fields.get(key), line[_KEY:].strip())))
    else:
        raise EntryError(_no_sequence(first, fields))
    name = next(iter((fields.get("VERSION") or fields.get("ACCESSION") or "").split()), "")
    name = name or next(iter(fields[_START].split()), "")
    if (length := _LENGTH.search(locus)) and int(length[1]) != len(sequence):
        raise EntryError(
            f"line {first}: the entry {name} says that it has {int(length[1]):,} letters, and "
            f"holds {len(sequence):,}. Copy or download it again, as a whole."
        )
    return Entry(name, fields.get("DEFINITION", "").rstrip(". "), sequence, first)


def _letters(number: int, line: str) -> str:
    if not (found := _LETTERS.fullmatch(line)):
        raise EntryError(
            f"line {number}: expected a number and letters, as below {_SEQUENCE} in GenBank's "
            f"entries, got {line.strip()[:40]!r}."
        )
    return "".join(found[1].split())


def _no_sequence(first: int, fields: dict[str, str]) -> str:
    of_others = "; it names the entries that it is joined of" if "CONTIG" in fields else ""
    return (
        f"line {first}: this entry of GenBank has no sequence ({_SEQUENCE} is missing{of_others}). "
        'Show it with its sequence ("GenBank (full)"), or download it as FASTA.'
    )


__all__ = ["Entry", "EntryError", "begins_entry", "read_entries"]
