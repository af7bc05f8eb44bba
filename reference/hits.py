"""Hits of the search: what matches where, with its alignment, its structure and its record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rnagpt.reference.profiles import Match
from rnagpt.reference.records import Record
from rnagpt.sequences.structure import base_pairs

PROFILE, SEQUENCE, COVARIANCE_MODEL = "profile", "sequence", "covariance model"
LINE = 80  # columns of an alignment per block of its text
CAN_PAIR = frozenset({"AU", "UA", "GC", "CG", "GU", "UG"})


@dataclass(frozen=True)
class Hit:
    """A family or an RNA that a part of the query matches.

    Attributes:
        record: what is known of it.
        source: `PROFILE`, `SEQUENCE` or `COVARIANCE_MODEL`.
        start, end: in the query as given, counted from 1, `start` <= `end`.
        strand: "+", or "-" where the reverse complement matches.
        model_start, model_end: the part of the profile, or of the other RNA, that matches, counted
            from 1.
        evalue: expected number of such hits in a random query of the same length, by `bits` and
            `support_bits` together.
        bits: score of the profile, or of the alignment with the other RNA.
        pair_bits: how well the query's letters go together where the family pairs them; None where
            no pairs are known, and for another RNA.
        support_bits: by which the pairs, and how much of the family or of the query matches, raise
            or lower the score for `evalue`.
        identity: share of the aligned letters that are the consensus' (or the other RNA's).
        structure: consensus structure laid on the query, from `start` to `end` of the strand that
            matches, in dot-bracket; pairs that its letters cannot form are left out. Empty where no
            structure is known.
        alignment: the alignment as text.
        others: overlapping hits of the same clan with a lower score.
        verified: what Infernal says of it, where it was asked.
        columns: of the profile, or places in the other RNA, at which the query's letters from
            `start` to `end` of the strand that matches stand, counted from 1; 0 for a letter that
            is inserted.
    """

    record: Record
    source: str
    start: int
    end: int
    strand: str
    model_start: int
    model_end: int
    evalue: float
    bits: float
    identity: float
    structure: str
    alignment: str
    others: tuple[Hit, ...] = ()
    verified: Mapping[str, Any] | None = field(default=None, hash=False)
    columns: tuple[int, ...] = field(default=(), repr=False)
    pair_bits: float | None = None
    support_bits: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """The hit as `rnagpt annotate --format json` writes it."""
        values = {
            "id": self.record.id,
            "name": self.record.name,
            "description": self.record.description,
            "type": self.record.type,
            "clan": self.record.clan or None,
            "start": self.start,
            "end": self.end,
            "strand": self.strand,
            "model_start": self.model_start,
            "model_end": self.model_end,
            "evalue": self.evalue,
            "bits": round(self.bits, 1),
            "pair_bits": None if self.pair_bits is None else round(self.pair_bits, 1),
            "support_bits": round(self.support_bits, 1),
            "identity": round(self.identity, 3),
            "source": self.source,
            "structure": self.structure,
            "alignment": self.alignment,
            "evidence": list(self.record.papers),
            "others": [_brief(other) for other in self.others],
        }
        return values | ({"verified": dict(self.verified)} if self.verified else {})


def _brief(hit: Hit) -> dict[str, Any]:
    return {
        "id": hit.record.id,
        "name": hit.record.name,
        "start": hit.start,
        "end": hit.end,
        "strand": hit.strand,
        "evalue": hit.evalue,
        "bits": round(hit.bits, 1),
    }


def make_hit(match: Match, record: Record, comparisons: float, source: str = PROFILE) -> Hit:
    """The hit of a match; `comparisons` turns its P-value into an E-value."""
    aligned = [
        (profile.upper(), query.upper())
        for profile, query in zip(match.profile_row, match.query_row, strict=True)
        if profile != "." and query != "-"
    ]
    same = sum(profile == query for profile, query in aligned)
    return Hit(
        record=record,
        source=source,
        start=match.start,
        end=match.end,
        strand=match.strand,
        model_start=match.profile_start,
        model_end=match.profile_end,
        evalue=match.pvalue * comparisons,
        bits=match.bits,
        identity=same / len(aligned) if aligned else 0.0,
        structure=lay_structure(match),
        alignment=print_alignment(match, record.id),
        columns=_columns(match),
        pair_bits=match.pair_bits,
        support_bits=match.support_bits,
    )


def lay_structure(match: Match) -> str:
    """The consensus structure on the query's own letters, in dot-bracket.

    A pair is kept where both of its columns hold letters of the query that can form it (Watson and
    Crick's, and G with U).
    """
    if not match.structure:
        return ""
    return lay_pairs(match.structure, dict(_places(match)), match.query_row.replace("-", ""))


def lay_pairs(structure: str, place_of: Mapping[int, int], sequence: str) -> str:
    """The pairs of a structure that a sequence can form, in dot-bracket.

    Args:
        structure: of the columns of an alignment, in WUSS notation.
        place_of: the place in `sequence` of each column that holds a letter of it, 0-based.
    """
    letters = sequence.upper().replace("T", "U")
    dots = ["."] * len(letters)
    for left, right in base_pairs(structure):
        if left in place_of and right in place_of:
            first, second = place_of[left], place_of[right]
            if letters[first] + letters[second] in CAN_PAIR:
                dots[first], dots[second] = "(", ")"
    return "".join(dots)


def _places(match: Match) -> Iterator[tuple[int, int]]:
    """Column of the profile's part and place of the query's letter, where both have one."""
    column = place = 0
    for profile, query in zip(match.profile_row, match.query_row, strict=True):
        if profile != "." and query != "-":
            yield column, place
        column += profile != "."
        place += query != "-"


def _columns(match: Match) -> tuple[int, ...]:
    """The column of the whole profile at each letter of the query; 0 where it is inserted."""
    column_of = {place: match.profile_start + column for column, place in _places(match)}
    letters = len(match.query_row) - match.query_row.count("-")
    return tuple(column_of.get(place, 0) for place in range(letters))


def print_alignment(match: Match, name: str) -> str:
    """The alignment in HMMER's manner: structure, consensus, agreement, query, in blocks."""
    structure = iter(match.structure)
    structure_row = "".join(
        "." if letter == "." else next(structure, " ") for letter in match.profile_row
    )
    width = max(len(name), len("query"), len("structure"))
    digits = len(str(max(match.end, match.profile_end)))
    forward = match.strand == "+"
    column, place = match.profile_start, match.start if forward else match.end
    blocks = []
    for first in range(0, len(match.profile_row), LINE):
        part = slice(first, first + LINE)
        profile, query = match.profile_row[part], match.query_row[part]
        columns = len(profile) - profile.count(".")
        letters = (len(query) - query.count("-")) * (1 if forward else -1)
        margin = " " * (width + digits + 2)
        step = 1 if forward else -1
        blocks.append(
            "\n".join(
                [
                    *(
                        [f"{'structure':{width}} {'':{digits}} {structure_row[part]}"]
                        * bool(match.structure)
                    ),
                    f"{name:{width}} {column:{digits}} {profile} {column + columns - 1}",
                    f"{margin}{match.agreement[part]}".rstrip(),
                    f"{'query':{width}} {place:{digits}} {query} {place + letters - step}",
                ]
            )
        )
        column += columns
        place += letters
    return "\n\n".join(blocks)


def resolve_overlaps(hits: Iterable[Hit], *, clans: bool = True) -> list[Hit]:
    """One hit per place, family and clan, best E-value first.

    Of overlapping hits of one family, as windows give them twice, the best stays. Of overlapping
    hits of one clan on one strand the best stays too, as in Rfam, with the others listed under it;
    not so without `clans`.
    """
    standing: list[Hit] = []
    others: dict[int, dict[str, Hit]] = {}
    related: dict[str, list[int]] = {}  # standing hits, by what they compete for
    for hit in sorted(hits, key=lambda hit: (hit.evalue, -hit.bits, hit.start, hit.record.id)):
        group = (hit.record.clan if clans else "") or hit.record.id
        rivals = related.setdefault(group, [])
        rival = next((n for n in rivals if _overlap(standing[n], hit)), None)
        if rival is None:
            rivals.append(len(standing))
            standing.append(hit)
        elif standing[rival].record.id != hit.record.id:
            others.setdefault(rival, {}).setdefault(hit.record.id, hit)
    return [
        replace(hit, others=tuple(others.get(number, {}).values()))
        for number, hit in enumerate(standing)
    ]


def _overlap(one: Hit, other: Hit) -> bool:
    return one.strand == other.strand and one.start <= other.end and other.start <= one.end


__all__ = [
    "COVARIANCE_MODEL",
    "PROFILE",
    "SEQUENCE",
    "Hit",
    "lay_pairs",
    "lay_structure",
    "make_hit",
    "print_alignment",
    "resolve_overlaps",
]
