"""Single RNAs as the search sees them: the engines' protocol, their registry, and E-values.

How to add an engine, such as MMseqs2:

1. A module of this package with a class `Engine` that is a `SequenceEngine`: `build` writes what
   it needs into an empty folder of the user's cache, its constructor opens that folder, and `scan`
   makes its matches with `make_match` from raw scores of the scheme below, so that E-values mean
   the same whatever the engine. RNAs are numbers to it, since their ids may hold any letter.
2. Its name and module in `_MODULES`, and its name in the choices of `--engine` in
   `cli/reference.py`.
3. Its name in `ENGINES` of `tests/reference/test_single_rnas.py`, whose tests it has to pass.

E-values are BLAST's. The scores of a match and a mismatch, the costs of gaps and the parameters
that belong to them are those of NCBI's `blastn` (algo/blast/core/blast_stat.c, the table for +2/-3
with gap costs 5/2; Karlin and Altschul 1990, PNAS 87:2264; Altschul et al. 1997, NAR 25:3389), the
length adjustment as well (Altschul and Gish 1996, Methods Enzymol. 266:460). blastn counts one
strand of the query; both are searched, and both are counted here.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from rnagpt.reference import InvalidReferenceError
from rnagpt.reference.cache import cached
from rnagpt.reference.profiles import Match, Window, cut
from rnagpt.reference.records import Record

_MODULES = {"kmers": "rnagpt.reference.kmers", "blast": "rnagpt.reference.blast"}
ENGINES = tuple(_MODULES)

MATCH, MISMATCH, GAP_OPEN, GAP_EXTEND = 2, -3, 5, 2  # a gap of n letters costs 5 + 2 n
LAMBDA, K, ALPHA, BETA = 0.625, 0.41, 0.8, -2.0

# Of the parts in which a long sequence is searched. An RNA that is longer than a part is reported
# as the part of it that matches best there.
SIZE, OVERLAP = 12_000, 4_000
GROUP = -1  # of a `Window` that is compared with single RNAs; profiles' groups count from 0
MAX_AT_ONE_PLACE = 10
_RECORDS, _LINES, _LENGTHS = "records.jsonl", "records.lines", "lengths.json"


class SequenceEngine(Protocol):
    """What finds single RNAs in a sequence; opened by `open_engine`."""

    @staticmethod
    def build(sequences: Iterator[str], folder: Path) -> None:
        """Write what the engine needs into an empty folder.

        Args:
            sequences: A, C, G, U and IUPAC's other letters; they are numbered from 0.
        """

    def __init__(self, folder: Path) -> None:
        """Open a folder that `build` wrote, without reading all of it."""

    def scan(self, letters: str, space: float, evalue: float) -> Iterable[RnaMatch]:
        """What matches in a window, on both strands; in any order, one place perhaps twice.

        Args:
            letters: of the window.
            space: what turns 2 to the power of -bits into an E-value, of the whole sequence.
            evalue: matches of a larger E-value are left out.
        """


class RnaMatch(Match):
    """A single RNA that matches a part of a sequence.

    `id` is its number in the reference, `pvalue` 2 to the power of -bits; what a `Match` says of
    the profile is said of the RNA.
    """

    __slots__ = ()

    @property
    def number(self) -> int:
        return int(self.id)


class SingleRnas:
    """The single RNAs of a reference, in the user's cache, as the search reads them.

    Only what a query needs is read from the disk.
    """

    def __init__(self, folder: Path, engine: str) -> None:
        self._engine: SequenceEngine = _engine(engine)(folder)
        counts = json.loads((folder / _LENGTHS).read_text())
        self._letters, self._rnas = counts["letters"], counts["rnas"]
        self._records = (folder / _RECORDS).open("rb")
        self._lines = (folder / _LINES).open("rb")
        self._space: dict[int, float] = {}  # of the last length

    def __len__(self) -> int:
        return int(self._rnas)

    def windows(self, length: int) -> Iterator[Window]:
        """The windows in which a sequence of `length` nt is searched."""
        for start, end in cut(length, SIZE, OVERLAP):
            yield Window(GROUP, start, end)

    def search_space(self, length: int) -> float:
        """What turns 2 to the power of -bits into an E-value, for a sequence of `length` nt."""
        if length not in self._space:
            space = effective_search_space(length, self._letters, self._rnas)
            self._space = {length: 2.0 * space}
        return self._space[length]

    def scan(self, letters: str, window: Window, length: int, evalue: float) -> list[RnaMatch]:
        """The RNAs that match in a window, on either strand: the ten best at each place.

        A match is left out where ten better ones cover more than half of it: in large references
        an RNA has thousands of relatives.

        Args:
            letters: of the window alone.
            window: where it lies.
            length: of the whole sequence.
            evalue: matches of a larger E-value are left out.
        """
        found = best_per_place(self._engine.scan(letters, self.search_space(length), evalue))
        return [
            match._replace(start=match.start + window.start, end=match.end + window.start)
            for match in found
        ]

    def record(self, match: RnaMatch) -> Record:
        """The record of the RNA that matches."""
        places = array("q")
        self._lines.seek(match.number * places.itemsize)
        places.frombytes(self._lines.read(places.itemsize))
        self._records.seek(places[0])
        return Record.from_json(self._records.readline().decode())


def open_single_rnas(
    key: str, engine: str, rnas: Callable[[], Iterable[tuple[Record, str]]]
) -> SingleRnas:
    """The single RNAs of a reference, made ready in the user's cache on first use.

    Args:
        key: of the reference's manifest.
        engine: one of `ENGINES`.
        rnas: opens the records with their sequences.

    Raises:
        InvalidReferenceError: there is no such engine, or its program is missing.
    """
    kind = _engine(engine)

    def make(folder: Path) -> None:
        kind.build(_write_records(rnas(), folder), folder)

    return SingleRnas(cached(f"reference-{key}-{engine}", make), engine)


def check_engine(engine: str) -> None:
    """Reject the name of an engine that there is not.

    Raises:
        InvalidReferenceError: it is none of `ENGINES`.
    """
    if engine not in _MODULES:
        raise InvalidReferenceError(
            f"No engine is called {engine!r}; single RNAs are found by {' or '.join(ENGINES)}. "
            "Write the reference again with one of them: rnagpt reference merge DIR OUT --engine "
            f"{ENGINES[0]}."
        )


def _engine(engine: str) -> Any:
    check_engine(engine)
    return import_module(_MODULES[engine]).Engine


def _write_records(rnas: Iterable[tuple[Record, str]], folder: Path) -> Iterator[str]:
    """The sequences, one by one; their records are written meanwhile."""
    letters = count = 0
    with (folder / _RECORDS).open("wb") as records, (folder / _LINES).open("wb") as lines:
        for record, sequence in rnas:
            array("q", [records.tell()]).tofile(lines)
            records.write(f"{record.to_json()}\n".encode())
            letters += len(sequence)
            count += 1
            yield sequence
    (folder / _LENGTHS).write_text(json.dumps({"letters": letters, "rnas": count}))


def bit_score(score: float) -> float:
    """Bits of a raw score."""
    return (LAMBDA * score - math.log(K)) / math.log(2)


def make_match(
    rna: int,
    score: float,
    *,
    start: int,
    end: int,
    length: int,
    strand: str,
    rna_start: int,
    rna_row: str,
    query_row: str,
) -> RnaMatch:
    """The match of an alignment.

    Args:
        rna: its number.
        score: raw.
        start, end: in the strand that matches of a query of `length` nt, 0-based, half open.
        strand: "+" or "-".
        rna_start: in the RNA, counted from 1.
        rna_row, query_row: in the orientation of the RNA, with "-" at gaps.
    """
    bits = bit_score(score)
    agreement = "".join(
        letter if letter == other else " " for letter, other in zip(rna_row, query_row, strict=True)
    )
    return RnaMatch(
        id=str(rna),
        start=start + 1 if strand == "+" else length - end + 1,
        end=end if strand == "+" else length - start,
        strand=strand,
        bits=bits,
        pvalue=2.0**-bits,
        profile_start=rna_start,
        profile_end=rna_start + len(rna_row) - rna_row.count("-") - 1,
        profile_row=rna_row.replace("-", "."),
        agreement=agreement,
        query_row=query_row,
        structure="",
    )


def raw_score(bits: float) -> float:
    """The raw score of so many bits."""
    return (bits * math.log(2) + math.log(K)) / LAMBDA


def effective_search_space(length: int, letters: int, sequences: int) -> float:
    """The product of the lengths of query and reference, of one strand, without their ends.

    An alignment cannot begin in the last letters of a sequence: BLAST subtracts the length that an
    alignment of E = 1 has.

    Args:
        length: of the query, in nt.
        letters: nt of all sequences of the reference.
        sequences: how many they are.
    """

    def space(cut: int) -> float:
        return (length - cut) * (letters - sequences * cut)

    def is_short(cut: int) -> bool:
        """Whether the alignment that is expected by chance is at least as long as `cut`."""
        if length <= cut or K * space(cut) <= max(length, letters):
            return False
        return ALPHA / LAMBDA * math.log(K * space(cut)) + BETA >= cut

    low, high = 0, min(length, letters // max(sequences, 1))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if is_short(middle) else (low, middle - 1)
    return max(space(low), 1.0)


def best_per_place(matches: Iterable[RnaMatch]) -> list[RnaMatch]:
    """The best matches, best first, without those that `MAX_AT_ONE_PLACE` better ones cover.

    Of matches of one RNA that overlap on one strand the best stays.
    """
    kept: list[RnaMatch] = []
    for match in sorted(matches, key=lambda match: (-match.bits, match.start, match.number)):
        over = [other for other in kept if _shared(match, other) > 0]
        if any(other.id == match.id and other.strand == match.strand for other in over):
            continue
        half = (match.end - match.start + 1) / 2
        if sum(_shared(match, other) > half for other in over) < MAX_AT_ONE_PLACE:
            kept.append(match)
    return kept


def _shared(one: Match, other: Match) -> int:
    """Letters of the query that both cover."""
    return min(one.end, other.end) - max(one.start, other.start) + 1


__all__ = [
    "ENGINES",
    "GROUP",
    "RnaMatch",
    "SequenceEngine",
    "SingleRnas",
    "best_per_place",
    "bit_score",
    "check_engine",
    "effective_search_space",
    "make_match",
    "open_single_rnas",
    "raw_score",
]
