"""The reference of an Rfam build: its families' records and seed alignments."""

from __future__ import annotations

from rnagpt.reference.profiles import SeedAlignment
from rnagpt.reference.records import FAMILY, Record, Term, read_cutoff
from rnagpt.rna_qa.rfam.families import Family
from rnagpt.sequences.stockholm import SeedFamily


def family_record(family: Family, seed: SeedFamily, source: str) -> Record:
    """The structured record of a family.

    Args:
        source: what answers call the release, such as "Rfam 14.2".
    """
    return Record(
        id=family.accession,
        kind=FAMILY,
        name=family.name,
        description=family.description,
        type=family.rna_type,
        functions=tuple(sentence.text for sentence in family.sentences),
        terms=tuple(Term(term.id, term.name) for term in (*family.go_terms, *family.so_terms)),
        papers=tuple(family.evidence),
        clan=family.clan or "",
        gathering=read_cutoff(seed.feature("GA")),
        source=source,
    )


def seed_alignment(seed: SeedFamily) -> SeedAlignment:
    return SeedAlignment(seed.accession, tuple(seed.rows), seed.structure)


__all__ = ["family_record", "seed_alignment"]
