"""The evidence about an RNA: facts of its sequence, and the records that a search found, numbered.

`Evidence.to_prompt` is how a language model reads it; `Evidence.to_dict` how programs do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from rnagpt.cleaning_rnagpt import CleanedRna
from rnagpt.evidence.facts import SequenceFacts
from rnagpt.reference.hits import Hit
from rnagpt.reference.library import EVALUE, MIN_LENGTH, Reference, TooShortError
from rnagpt.reference.records import Record

# What a prompt holds of the records: a small language model reads a few hundred tokens well.
PROMPT_RECORDS, PROMPT_SENTENCES, PROMPT_PAPERS = 3, 4, 3
# A hit that covers this share of an RNA is what the RNA is, not a part of it.
WHOLE = 0.6


@dataclass(frozen=True)
class Item:
    """A numbered record of the evidence: what "[1]" in an answer stands for.

    Attributes:
        number: of the citation; unique in a conversation.
        hit: where the RNA matches the record, and how well.
    """

    number: int
    hit: Hit

    @property
    def record(self) -> Record:
        return self.hit.record

    @property
    def mark(self) -> str:
        """The citation, such as "[1]"."""
        return f"[{self.number}]"

    @property
    def address(self) -> str:
        """Where people read the record; empty where it has no page."""
        return address_of(self.record.id)

    @property
    def line(self) -> str:
        """The record below an answer: number, accession, name, how well and where it matches."""
        hit = self.hit
        names = " ".join(dict.fromkeys((self.record.id, self.record.name)))
        strand = "" if hit.strand == "+" else " of the other strand"
        place = f"nucleotides {hit.start:,}–{hit.end:,}{strand}"
        facts = (f"E {hit.evalue:.1g}", place, self.address)
        return f"{self.mark} {names} — {', '.join(filter(None, facts))}"

    def to_dict(self) -> dict[str, Any]:
        """The record as a reader of its citation needs it, and where and how it matches."""
        record = self.record
        return {
            "number": self.number,
            **self.hit.to_dict(),
            "kind": record.kind,
            "organism": record.organism or None,
            "functions": list(record.functions),
            "terms": [{"id": term.id, "name": term.name} for term in record.terms],
            "claims": [
                {"text": claim.text, "quote": claim.quote or None, "papers": list(claim.papers)}
                for claim in record.claims
            ],
            "reference": record.source or None,
        }


def address_of(record_id: str) -> str:
    """The page of Rfam or RNAcentral about a record; empty where it has none."""
    if re.fullmatch(r"RF[0-9]{5}", record_id):
        return f"https://rfam.org/family/{record_id}"
    if match := re.fullmatch(r"(URS[0-9A-F]{10})(?:[_/]([0-9]+))?", record_id):
        return "https://rnacentral.org/rna/" + "/".join(filter(None, match.groups()))
    return ""


@dataclass(frozen=True)
class Evidence:
    """What is known about one RNA.

    Attributes:
        name: of the RNA.
        facts: of its sequence.
        items: the records that it matches, the best first.
        reference: what was searched, such as "Rfam 14.2"; empty where nothing was.
        note: why there was no search; empty else.
    """

    name: str
    facts: SequenceFacts
    items: tuple[Item, ...] = ()
    reference: str = ""
    note: str = ""

    @property
    def best(self) -> Item | None:
        """The item of the best hit."""
        return self.items[0] if self.items else None

    @property
    def is_silent(self) -> bool:
        """Whether a search found nothing."""
        return not self.items and not self.note

    @property
    def parts(self) -> tuple[Item, ...]:
        """The items, best first, of which none overlaps with a better one by half of its length."""
        taken: list[Item] = []
        for item in self.items:
            if not any(_mostly_inside(item.hit, other.hit) for other in taken):
                taken.append(item)
        return tuple(taken)

    def is_whole(self, item: Item) -> bool:
        """Whether a hit is what the RNA is, and not a part of it."""
        covered = item.hit.end - item.hit.start + 1
        return covered >= WHOLE * self.facts.length

    def numbered_from(self, first: int) -> Evidence:
        """The same with other numbers, where a conversation has evidence already."""
        items = (replace(item, number=first + n) for n, item in enumerate(self.items))
        return replace(self, items=tuple(items))

    def to_dict(self) -> list[dict[str, Any]]:
        """The numbered records, each with all that `rnagpt annotate` gives."""
        return [{**item.to_dict(), "rna": self.name} for item in self.items]

    def to_prompt(self) -> str:
        """Facts and records as plain text, which any language model reads.

        Records are short and structured, a line for each kind of fact: that is easier to copy from
        than prose (notes of BioReason-Pro and our own trials with a model of 135 M parameters).
        """
        lines = [_facts_line(self.facts)]
        for item in self.parts[:PROMPT_RECORDS]:
            lines += _record_lines(item, self)
        if not self.items:
            lines.append(f"Records: {self.note or 'none matches this RNA'}.")
        return "\n".join(lines)


def _mostly_inside(hit: Hit, other: Hit) -> bool:
    shared = min(hit.end, other.end) - max(hit.start, other.start) + 1
    return shared > 0.5 * (hit.end - hit.start + 1)


def _facts_line(facts: SequenceFacts) -> str:
    words = [f"{facts.length:,} nt"]
    if facts.gc is not None:
        words.append(f"GC {facts.gc:.0%}")
    if facts.ambiguous:
        words.append(f"{facts.ambiguous:,} ambiguous letters")
    return f"Sequence: {', '.join(words)}."


def _record_lines(item: Item, evidence: Evidence) -> Iterator[str]:
    record, hit = item.record, item.hit
    yield f"{item.mark} {record.description or record.name} ({record.name}, {record.id})"
    strand = "" if hit.strand == "+" else ", the other strand"
    yield f"Match: {hit.start}-{hit.end} of {evidence.facts.length}{strand}, E {hit.evalue:.1g}"
    if record.type:
        yield f"Type: {record.type}"
    if record.organism:
        yield f"Organism: {record.organism}"
    sentences = [*record.functions, *(claim.text for claim in record.claims)]
    if sentences:
        yield f"Known: {' '.join(sentences[:PROMPT_SENTENCES])}"
    if record.terms:
        yield f"Terms: {'; '.join(f'{term.name} ({term.id})' for term in record.terms)}"
    if record.clan:
        yield f"Clan: {record.clan}"
    if record.papers:
        yield f"Papers: {', '.join(record.papers[:PROMPT_PAPERS])}"


def gather_evidence(
    rna: CleanedRna,
    reference: Reference | None,
    *,
    evalue: float = EVALUE,
    name: str = "",
    stop: Callable[[], bool] = lambda: False,
) -> Evidence:
    """Search an RNA and number what is found.

    Args:
        rna: of any length that the search takes.
        reference: None: nothing is searched.
        evalue: hits of a larger E-value are left out.
        name: what answers call the RNA; its own by default.
        stop: as in `Reference.search`.

    Raises:
        SearchStoppedError: `stop` said so.
    """
    facts = SequenceFacts(rna.sequence)
    name = name or rna.name
    if reference is None:
        return Evidence(name, facts, note="nothing was searched")
    hits: Iterable[Hit] = ()
    note = ""
    try:
        hits = reference.search(rna, evalue=evalue, stop=stop)
    except TooShortError:
        note = f"{facts.length} nt are too short to search, at least {MIN_LENGTH} are needed"
    items = tuple(Item(number, hit) for number, hit in enumerate(hits, start=1))
    manifest = reference.manifest
    return Evidence(name, facts, items, f"{manifest.name} {manifest.release}".strip(), note)


__all__ = ["Evidence", "Item", "address_of", "gather_evidence"]
