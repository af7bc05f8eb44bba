"""Records that answers cite, and how they are told."""

from __future__ import annotations

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from rnagpt.evidence.confidence import confidence_in_words


class CitedSentence(TypedDict):
    """A sentence of an answer, as `rnagpt chat --json` gives it."""

    text: str
    records: list[int]
    supported: bool


@with_config(ConfigDict(extra="allow"))
class CitedRecord(TypedDict):
    """A record of the evidence, as `rnagpt chat --json` gives it, which has more fields."""

    number: int
    rna: str
    id: str
    name: str
    evalue: float
    start: int
    end: int
    strand: str


def match_of(record: CitedRecord, *, named: bool) -> str:
    """How well and where a record matches: "E 2e-17, nucleotides 1–73"; `named`: of which RNA."""
    strand = "" if record["strand"] == "+" else " of the other strand"
    whose = f" of {record['rna']}" if named else ""
    place = f"nucleotides {record['start']:,}–{record['end']:,}{strand}{whose}"
    return f"E {record['evalue']:.1g}, {place}"


def name_of(record: CitedRecord) -> str:
    """Accession and name, once where they are the same."""
    return " ".join(dict.fromkeys((record["id"], record["name"])))


def sureness_of(basis: str, confidence: float | None) -> str:
    """How sure an answer is, in words; empty for what says that nothing is known."""
    if basis == "sequence":
        return "computed from the sequence"
    if basis == "none" and confidence is None:
        return ""
    return f"confidence {confidence_in_words(confidence)}"
