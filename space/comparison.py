"""RNAs side by side: what each is, how alike they are, what each answer says; as HTML and TSV."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

from cited_records import CitedRecord, sureness_of
from findings import Findings
from plain_text import visible

from rnagpt import Answer, CleanedRna, Hit
from rnagpt.inference.cited import name_rnas
from rnagpt.reference.identity import Identity, pairwise_identity

# Of 120 pairs of random RNAs of 70 to 300 nt the mean was 0.40 to 0.52, and the highest 0.62.
TOO_LONG = "too long to align"
SHARED = {
    "family": "the same family",
    "clan": "the same clan",
    "type": "the same type",
    "nothing": "no family, clan or type in common",
    "unknown": "unknown: not both match a family",
}
BY_CHANCE = "Unrelated RNAs have 40 to 60 % too, and a short one in a long one more."


@dataclass(frozen=True)
class ComparedRna:
    """A row: an RNA, its best hit (None where there is none), and the answer about it.

    Attributes:
        gc: share of G and C among the nucleotides that are known.
        family, family_name, type, clan, evalue, bits, identity: of the best hit; `identity` is with
            the family's consensus, from 0 to 1.
        answer: with citations; empty while it is yet to come.
        sureness: the answer's confidence in words.
        records: that the answer cites.
    """

    name: str
    length: int
    gc: float | None
    family: str | None = None
    family_name: str | None = None
    type: str | None = None
    clan: str | None = None
    evalue: float | None = None
    bits: float | None = None
    identity: float | None = None
    answer: str = ""
    sureness: str = ""
    records: tuple[CitedRecord, ...] = ()

    @property
    def facts(self) -> list[str]:
        """Length, GC and the best hit, for people to read."""
        gc = "unknown" if self.gc is None else f"{self.gc:.0%}"
        facts = [f"{self.length:,} nt", f"GC {gc}"]
        if self.family is None:
            return [*facts, "no known family"]
        facts.append(" ".join(dict.fromkeys((self.family, str(self.family_name)))))
        facts += [part for part in (self.type, self.clan) if part]
        return [*facts, f"E {self.evalue:.1g}", f"identity {self.identity:.0%}"]


@dataclass(frozen=True)
class ComparedPair:
    """Two RNAs.

    Attributes:
        identity: identical letters of their best local alignment by the length of the shorter, from
            0 to 1; None where they are too long to align.
        identical, columns: of that alignment.
        shares: "family", "clan", "type" or "nothing"; "unknown" where one matches no family.
    """

    one: str
    other: str
    identity: float | None
    identical: int | None
    columns: int | None
    shares: str

    @property
    def told(self) -> str:
        """Identity and what they share, for people to read."""
        if self.identity is None:
            return f"{TOO_LONG}; {SHARED[self.shares]}"
        return (
            f"identity {self.identity:.0%} ({self.identical} letters in {self.columns} columns); "
            f"{SHARED[self.shares]}"
        )


@dataclass
class Comparison:
    """RNAs compared by one question about each of them."""

    question: str
    rnas: list[ComparedRna]
    pairs: list[ComparedPair] = field(default_factory=list)

    def add(self, answer: Answer) -> None:
        """Add the next RNA's answer."""
        number = answer.record - 1
        cited = [record for record in answer.evidence if record["number"] in answer.cites]
        self.rnas[number] = replace(
            self.rnas[number],
            answer=f"{answer.answer}{'' if answer.complete else ' …'}",
            sureness=sureness_of(answer.basis, answer.confidence),
            records=tuple(cast(CitedRecord, record) for record in cited),
        )

    def to_dict(self) -> dict[str, Any]:
        """As the JSON download holds it; of the records their ids alone."""
        rnas = [
            {**asdict(rna), "records": [record["id"] for record in rna.records]}
            for rna in self.rnas
        ]
        return {"question": self.question, "rnas": rnas, "pairs": list(map(asdict, self.pairs))}

    def to_tsv(self) -> str:
        """A row for each RNA, with a column for each RNA that it is compared with."""
        names = [rna.name for rna in self.rnas]
        columns = [*_COLUMNS, *(f"{what} {name}" for name in names for what in _PAIRED)]
        rows = [columns, *(self._row(rna.name, rna) for rna in self.rnas)]
        return "".join("\t".join(map(_cell, row)) + "\n" for row in rows)

    def _row(self, name: str, rna: ComparedRna) -> list[Any]:
        row: list[Any] = [getattr(rna, column) for column in _COLUMNS[:-2]]
        row += [rna.answer, " ".join(record["id"] for record in rna.records)]
        for other in self.rnas:
            pair = self._pair(name, other.name)
            row += [pair.identity, pair.shares] if pair else [1.0, "itself"]
        return row

    def _pair(self, one: str, other: str) -> ComparedPair | None:
        both = {one, other}
        return next((pair for pair in self.pairs if {pair.one, pair.other} == both), None)


_COLUMNS = (
    *("name", "length", "gc", "family", "family_name", "type", "clan", "evalue", "bits"),
    *("identity", "sureness", "answer", "records"),
)
_PAIRED = ("identity to", "shares with")


def compare(question: str, found: Sequence[tuple[CleanedRna, Findings | None]]) -> Comparison:
    """RNAs side by side, with what was found in them; answers are yet to come."""
    rnas = [rna for rna, _ in found]
    names = name_rnas(rnas)
    best = [findings.hits[0] if findings and findings.hits else None for _, findings in found]
    rows = [_compared(name, rna, hit) for name, rna, hit in zip(names, rnas, best, strict=True)]
    pairs = [
        _pair((names[i], names[j]), pairwise_identity(one, other), _shared(best[i], best[j]))
        for (i, one), (j, other) in itertools.combinations(
            enumerate(rna.sequence for rna in rnas), 2
        )
    ]
    return Comparison(question, rows, pairs)


def gc_share(sequence: str) -> float | None:
    """The share of G and C among the nucleotides that are known; None where none is."""
    num_known = sum(map(sequence.count, "ACGU"))
    return (sequence.count("G") + sequence.count("C")) / num_known if num_known else None


def _compared(name: str, rna: CleanedRna, hit: Hit | None) -> ComparedRna:
    sequence = rna.sequence
    if hit is None:
        return ComparedRna(name, len(sequence), gc_share(sequence))
    record = hit.record
    return ComparedRna(
        name,
        len(sequence),
        gc_share(sequence),
        *(record.id, record.name, record.type or None, record.clan or None),
        *(hit.evalue, round(hit.bits, 1), round(hit.identity, 3)),
    )


def _pair(names: tuple[str, str], found: Identity | None, shares: str) -> ComparedPair:
    if found is None:
        return ComparedPair(*names, None, None, None, shares)
    return ComparedPair(*names, round(found.share, 3), found.identical, found.columns, shares)


def _shared(one: Hit | None, other: Hit | None) -> str:
    if one is None or other is None:
        return "unknown"
    first, second = one.record, other.record
    if first.id == second.id:
        return "family"
    for what in ("clan", "type"):
        mine = getattr(first, what)
        if mine and mine == getattr(second, what):
            return what
    return "nothing"


def _cell(value: Any) -> str:
    """A value that can neither end its cell nor its line."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return " ".join(visible(str(value)).split())
