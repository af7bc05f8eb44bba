"""Evidence about made sequences, with records that a test gives, and no search."""

from __future__ import annotations

import random

from rnagpt.evidence.facts import SequenceFacts
from rnagpt.evidence.gathering import Evidence, Item
from rnagpt.reference.hits import PROFILE, Hit
from rnagpt.reference.records import FAMILY, Record


def random_rna(length: int, seed: int = 1) -> str:
    return "".join(random.Random(seed).choices("ACGU", k=length))


def made_hit(record: Record, start: int, end: int, strand: str = "+", evalue: float = 1e-12) -> Hit:
    """A hit whose structure is one hairpin of four base pairs."""
    letters = end - start + 1
    structure = "." * (letters - 11) + "((((...))))"
    return Hit(
        record, PROFILE, start, end, strand, 1, letters, evalue, 61.3, 0.87, structure, alignment=""
    )


def made_evidence(
    *hits: Hit, length: int = 80, name: str = "RNA", first: int = 1, note: str = ""
) -> Evidence:
    items = tuple(Item(first + place, hit) for place, hit in enumerate(hits))
    return Evidence(name, SequenceFacts(random_rna(length)), items, "Rfam 14.2", note)


def whole(record: Record, *, strand: str = "+", length: int = 80, name: str = "RNA") -> Evidence:
    """Evidence of an RNA that a record matches from end to end."""
    return made_evidence(made_hit(record, 1, length, strand), length=length, name=name)


def family(rna_type: str, name: str = "Fam", number: int = 1, **values: object) -> Record:
    """A family of a type, with nothing else that names one."""
    return Record(
        f"RF{90_000 + number}",
        FAMILY,
        name,
        f"{name} element {number}",
        rna_type,
        **values,  # type: ignore[arg-type]
    )
