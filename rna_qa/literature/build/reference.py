"""The reference of a literature build: its RNAs with their claims, to be searched by sequence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rnagpt.reference.manifest import Manifest
from rnagpt.reference.records import RNA, Claim, Record
from rnagpt.reference.writer import SingleRna, write_reference
from rnagpt.rna_qa.literature.build.stages import Build, read_annotations
from rnagpt.rna_qa.literature.records import Annotation, Rna

NAME = "RNA-QA literature"
_PREFIXES = ("PMID:", "PMCID:", "DOI:")


def write_rnas(build: Build, shards: int, record: Mapping[str, Any], out: Path) -> Manifest:
    """Write the RNAs with claims, of all splits, as a reference; the same shards, the same bytes.

    Args:
        record: of the build.
    """
    options = record["options"]
    # Of files given by the builder no date is known, and today's would make each build another one.
    date = record["retrieved"] or ""
    return write_reference(
        out,
        rnas=read_rnas(build, shards),
        name=NAME,
        release=date,
        licence="CC-BY-4.0" if options["licences"] else "",
        date=date,
    )


def read_rnas(build: Build, shards: int) -> Iterator[SingleRna]:
    """The records of the RNAs with claims, in order of id, with their sequences."""
    for shard in range(shards):
        readers = [read_annotations(build.work, mode, shard) for mode in build.options.modes]
        for annotated in zip(*readers, strict=True):
            rna = annotated[0][0]
            annotations = [annotation for _, annotation in annotated]
            if any(annotation.claims for annotation in annotations):
                yield rna_record(rna, annotations), rna.sequence


def rna_record(rna: Rna, annotations: Iterable[Annotation]) -> Record:
    """The structured record of an RNA; a claim that several annotations make is taken once."""
    claims = dict.fromkeys(
        Claim(claim.text, claim.quote, tuple(map(citation, claim.papers)))
        for annotation in annotations
        for claim in annotation.claims
    )
    name, *others = rna.names or (rna.id,)
    return Record(
        id=rna.id,
        kind=RNA,
        name=name,
        description=f"also called {', '.join(others)}" if others else "",
        type=rna.rna_type,
        papers=tuple(dict.fromkeys(paper for claim in claims for paper in claim.papers)),
        claims=tuple(claims),
        organism=rna.organism or "",
        source=f"{NAME} ({rna.id})",
    )


def citation(paper: str) -> str:
    """A paper's id as records have it: a PubMed id, else one of PubMed Central, else a DOI."""
    prefix = next((prefix for prefix in _PREFIXES if paper.startswith(prefix)), "")
    return paper.removeprefix(prefix)


__all__ = ["citation", "read_rnas", "rna_record", "write_rnas"]
