"""What the search found in each RNA of a conversation: kept with it, and as text to download."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from searching import reference

from rnagpt import CleanedRna, Hit, SearchResult
from rnagpt.evidence.confidence import confidence_of_match
from rnagpt.evidence.gathering import Evidence, gather_evidence
from rnagpt.reference.formats import FORMATS
from rnagpt.reference.library import EVALUE

_log = logging.getLogger("rnagpt.space")

NO_REFERENCE = (
    "Nothing is searched here: no reference is set up. Answers are the model's own words."
)
FAILED = "The search failed on our side. Ask about the RNA, which searches it again."
# As many matches this good are expected by chance.
WEAKEST_EVALUE = 10.0


@dataclass(frozen=True)
class Findings:
    """What was found in one RNA.

    Attributes:
        evidence: the hits, the best first; None where nothing could be searched.
        note: why there was no search; empty else.
        conserved: of each hit, the bits of conservation at its letters, as
            `Reference.conservation` gives them.
        weaker: what matches no better than by chance, the best first; None: not looked for yet.
    """

    evidence: Evidence | None = None
    note: str = ""
    conserved: tuple[tuple[float | None, ...], ...] = ()
    weaker: tuple[Hit, ...] | None = None

    @property
    def hits(self) -> list[Hit]:
        return [item.hit for item in self.evidence.items] if self.evidence else []

    @property
    def searched(self) -> str:
        """What was searched, such as "Rfam 14.2"; empty where nothing was."""
        return self.evidence.reference if self.evidence and not self.note else ""

    def to_dict(self) -> dict[str, Any]:
        """As the JSON download holds them."""
        records = self.evidence.to_dict() if self.evidence else []
        return {
            "searched": self.searched,
            "note": self.note,
            "hits": [
                {**record, "confidence": confidence_of_match(hit)}
                for record, hit in zip(records, self.hits, strict=True)
            ],
            "not_significant": [hit.to_dict() for hit in self.weaker or ()],
        }


def search(rna: CleanedRna, stop: Callable[[], bool]) -> Findings:
    """Search an RNA; one that is too short, or that nothing can be searched for, says so.

    Raises:
        SearchStoppedError: `stop` said so.
    """
    searched = reference()
    if searched is None:
        return Findings(note=NO_REFERENCE)
    evidence = gather_evidence(rna, searched, stop=stop)
    conserved = tuple(searched.conservation(item.hit) for item in evidence.items)
    note = f"Not searched: {evidence.note}." if evidence.note else ""
    return Findings(evidence, note, conserved)


def search_weaker(rna: CleanedRna, findings: Findings, stop: Callable[[], bool]) -> Findings:
    """The findings with what matches no better than by chance, up to `WEAKEST_EVALUE`.

    Raises:
        SearchStoppedError: `stop` said so.
    """
    searched = reference()
    if searched is None or findings.note or findings.evidence is None:
        return replace(findings, weaker=())
    found = searched.search(rna, evalue=WEAKEST_EVALUE, stop=stop)
    each = (one for hit in found for one in (hit, *hit.others))
    weaker = sorted((one for one in each if one.evalue > EVALUE), key=lambda one: one.evalue)
    return replace(findings, weaker=tuple(weaker))


def as_tsv(found: Sequence[tuple[CleanedRna, Findings | None]]) -> str:
    """The hits of RNAs as `rnagpt annotate --format tsv` writes them."""
    layout = FORMATS["tsv"]
    results = (
        SearchResult(
            # A name may hold what would end a cell or a line.
            " ".join(rna.name.split()),
            len(rna.sequence),
            hits=tuple(findings.hits) if findings else (),
            note=findings.note if findings else "not searched yet",
        )
        for rna, findings in found
    )
    return layout.header + "".join(map(layout.write, results))


_QUESTIONS_OF_TYPE = {
    "riboswitch": "Which ligand does it sense?",
    "tRNA": "Which amino acid does it carry?",
    "miRNA": "Which genes does it target?",
    "ribozyme": "Which reaction does it catalyse?",
    "C/D box snoRNA": "Which RNA does it guide to be modified?",
    "H/ACA box snoRNA": "Which RNA does it guide to be modified?",
    "scaRNA": "Which RNA does it guide to be modified?",
    "spliceosomal snRNA": "What is its role in splicing?",
}
GENERAL = (
    "What is this RNA?",
    "What type of RNA is this?",
    "Which RNA family does this sequence belong to?",
    "What is the function of this RNA?",
    "What is known about this RNA?",
)
_OF_NO_FAMILY = (
    "What is this RNA?",
    "How long is this RNA?",
    "What is its GC content?",
    "What is its secondary structure?",
    "Does it match a known family?",
)


def suggested(findings: Findings | None) -> tuple[str, ...]:
    """Questions that follow from what was found in an RNA, as many as `GENERAL` has."""
    if findings is None or not (findings.hits or findings.evidence):
        return GENERAL
    if not findings.hits:
        return _OF_NO_FAMILY
    special = _QUESTIONS_OF_TYPE.get(
        findings.hits[0].record.type, "What is its secondary structure?"
    )
    return (
        "What is this RNA?",
        special,
        "What is its function?",
        "Where in the sequence does it match?",
        "Which papers say so?",
    )
