"""nRC's test set: 13 classes of non-coding RNA (Fiannaca et al. 2017, BioData Mining 10:27).

No probe and no reference may hold its RNAs: what is equal to one of them is left out of both.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from rnagpt.cleaning_rnagpt import clean_rna
from rnagpt.evaluation.encoder_probes import (
    MAX_TRAIN_RNAS,
    Probes,
    Search,
    of_record,
    with_baselines,
)
from rnagpt.evaluation.probe_figures import Figure
from rnagpt.evaluation.probed_rnas import ProbedRna, Read, read_rnas
from rnagpt.reference.edit import families_of, ungapped
from rnagpt.reference.library import Reference
from rnagpt.reference.manifest import MANIFEST
from rnagpt.reference.profiles import SeedAlignment
from rnagpt.reference.records import Record
from rnagpt.reference.writer import write_reference
from rnagpt.sequences.even_families import even_families
from rnagpt.sequences.fasta import read_fasta

QUESTION = "nRC's 13 classes"
MAP_ALONE = "the map, given the right family"
# The class of families that share their type with another class, by Rfam's id. Of the type `rRNA`
# nRC has these two alone, of the type `intron` group I and group II.
CLASS_OF_FAMILY = {
    "5S_rRNA": "5S_rRNA",
    "5_8S_rRNA": "5_8S_rRNA",
    "Intron_gpI": "Intron_gpI",
}
# Of all other families by their type. Rfam's introns are group II but for Intron_gpI.
CLASS_OF_TYPE = {
    "C/D box snoRNA": "CD-box",
    "H/ACA box snoRNA": "HACA-box",
    "scaRNA": "scaRNA",
    "IRES": "IRES",
    "intron": "Intron_gpII",
    "leader": "leader",
    "miRNA": "miRNA",
    "riboswitch": "riboswitch",
    "ribozyme": "ribozyme",
    "tRNA": "tRNA",
}
CLASSES = frozenset({*CLASS_OF_FAMILY.values(), *CLASS_OF_TYPE.values()})
_ACCESSION = re.compile(r"RF\d{5}")


def nrc_class(rna: ProbedRna) -> str:
    """The class of an RNA by its family and type; empty where nRC has none for it."""
    if rna.type in CLASSES:  # nRC's own RNAs, and types that go by the same name
        return rna.type
    return CLASS_OF_FAMILY.get(rna.family) or CLASS_OF_TYPE.get(rna.type, "")


def read_nrc(fasta: str | Path) -> list[ProbedRna]:
    """nRC's test set: FASTA whose headers name an RNA and its class, after white space.

    Names begin with an Rfam accession. It is kept as the family, which intervals resample; no
    probe and no search is given it. The type of each RNA is its class.

    Raises:
        ValueError: a header names none of the 13 classes.
    """
    rnas = []
    for record in read_fasta(fasta):
        if record.description not in CLASSES:
            raise ValueError(
                f"{fasta}: {record.name} is of the class {record.description!r}; expected one of "
                f"{', '.join(sorted(CLASSES))} after the name."
            )
        cleaned = clean_rna(record.sequence, name=record.name)
        found = _ACCESSION.match(record.name)
        accession = found.group() if found else ""
        family = accession or record.description
        rnas.append(ProbedRna(cleaned.sequence, family, record.description, accession=accession))
    return rnas


def without_sequences(
    base: Reference, sequences: Collection[str], out: Path, jobs: int
) -> Reference:
    """A reference without some sequences, and without families of which they were all.

    Profiles of families that lose none are taken as they are. One that is there already is opened.
    """
    if not (out / MANIFEST).is_file():
        kept, changed = [], set()
        for record, seed in families_of(base):
            rows = tuple(row for row in seed.rows if ungapped(row[1]) not in sequences)
            if len(rows) < len(seed.rows):
                changed.add(record.id)
            if rows:
                kept.append((record, SeedAlignment(seed.id, rows, seed.structure)))
        profiles = {name: hmm for name, hmm in base.hmms().items() if name not in changed}
        write_reference(out, kept, name=base.manifest.name, profiles=profiles, jobs=jobs)
    return Reference.open(out)


def map_shares(nrc: Sequence[ProbedRna], families: Mapping[str, Record]) -> list[str | None]:
    """What the map says of each RNA's own family: what the best of searches could say.

    Args:
        families: records by accession; an RNA of no record, or without an accession, has no answer.
    """
    records = [families.get(rna.accession) for rna in nrc]
    return [None if record is None else nrc_class(of_record(record)) or None for record in records]


def probe_nrc(
    readers: Mapping[str, Read],
    dataset: str,
    families: Mapping[str, Record],
    nrc: Sequence[ProbedRna],
    *,
    search: Search | None = None,
    max_train_rnas: int = MAX_TRAIN_RNAS,
    seed: int = 0,
) -> Figure:
    """The classes of nRC's RNAs by every way of `Probes`, and by the map alone.

    Probes are fitted on RNAs of RNA-QA's training split whose class is known.

    Args:
        readers: what `encoder_readers` gives.
        dataset: RNA-QA of Rfam, folder or Hub id.
        families: records of its families, by accession.
        nrc: what `read_nrc` gives.
        search: in a reference that holds none of nRC's sequences.
        max_train_rnas: probes are fitted on at most N RNAs, of as many families as possible.
        seed: of all draws.
    """
    asked = {rna.sequence for rna in nrc}

    def of_classes(split: str) -> list[ProbedRna]:
        rnas = read_rnas(dataset, split, families)
        return [rna for rna in rnas if nrc_class(rna) and rna.sequence not in asked]

    train = even_families(of_classes("train"), max_train_rnas, seed)
    probes = Probes(
        with_baselines(readers, train, seed), train, of_classes("validation"), search, seed
    )
    given = {MAP_ALONE: map_shares(nrc, families)} if any(rna.accession for rna in nrc) else {}
    return probes.ask(QUESTION, nrc, nrc_class, typed=True, given=given)


__all__ = ["CLASSES", "map_shares", "nrc_class", "probe_nrc", "read_nrc", "without_sequences"]
