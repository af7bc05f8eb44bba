"""Records of the build and their JSON: RNAs, papers, claims and questions."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

Record = TypeVar("Record", bound="_Record")


class _Record:
    """A frozen dataclass with a fixed form in JSON: keys in the order of its fields."""

    def to_json(self) -> str:
        """One line, the same for equal records."""
        fields = dataclasses.asdict(self)  # type: ignore[call-overload]
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls: type[Record], line: str) -> Record:
        """The record of a line that `to_json` wrote."""
        return cls.from_fields(json.loads(line))

    @classmethod
    def from_fields(cls: type[Record], fields: Mapping[str, Any]) -> Record:
        """The record of a JSON object; lists become tuples."""
        return cls(**{key: _freeze(value) for key, value in fields.items()})


def _freeze(value: Any) -> Any:
    return tuple(map(_freeze, value)) if isinstance(value, list) else value


@dataclass(frozen=True)
class Rna(_Record):
    """An RNA of one species.

    `id` is RNAcentral's with the taxon (``URS0000759CF4_9606``) or the builder's own; `sequence` is
    upper case, with U; `names` are what papers may call it, the first one is the best known;
    `rna_type` is a term of INSDC (``miRNA``); `family` is an Rfam accession.
    """

    id: str
    sequence: str
    names: tuple[str, ...]
    rna_type: str
    organism: str | None = None
    taxid: int | None = None
    family: str | None = None


@dataclass(frozen=True)
class Paper(_Record):
    """A paper, with its title and abstract as plain text.

    `id` is ``PMID:…``, else ``PMCID:…``, else ``DOI:…`` (`paper_id`); `licence` is as Europe PMC
    says it (``cc by``), None where it is unknown; `types` are publication types (``Journal
    Article``, ``Review``). `links` are ids of the same work, as a preprint or as the paper that it
    became (``PMID:…``, ``PPR:…``); `also_known_as` those of papers that were merged into this one.
    `body` is what the full text itself found, in labelled sections ("Results: …"); None where it
    was not read, empty where there is none.
    """

    id: str
    title: str
    abstract: str
    pmid: str | None = None
    pmcid: str | None = None
    doi: str | None = None
    year: int | None = None
    journal: str | None = None
    licence: str | None = None
    retracted: bool = False
    types: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    also_known_as: tuple[str, ...] = ()
    body: str | None = None

    @property
    def text(self) -> str:
        """Title, abstract and, where it was read, what the full text found."""
        return " ".join(filter(None, (self.title, self.abstract, self.body)))


def paper_id(pmid: str | None, pmcid: str | None, doi: str | None) -> str:
    """The name of a paper in the data set.

    Raises:
        ValueError: where none of the three is given.
    """
    if pmid:
        return f"PMID:{pmid}"
    if pmcid:
        return f"PMCID:{pmcid}"
    if doi:
        return f"DOI:{doi.lower()}"
    raise ValueError("a paper needs a pmid, a pmcid or a doi")


@dataclass(frozen=True)
class Mention(_Record):
    """Where a paper names an RNA."""

    rna_id: str
    paper_id: str
    in_title: bool
    in_abstract: bool
    in_body: bool


@dataclass(frozen=True)
class Topics(_Record):
    """The papers of one RNA in groups by topic, each paper in exactly one; largest group first.

    `coherence` (u_mass) is None where no topic model was fitted, and `reason` then says why.
    """

    rna_id: str
    groups: tuple[tuple[str, ...], ...]
    coherence: float | None = None
    reason: str = ""

    def group(self, papers: Iterable[Paper]) -> list[list[Paper]]:
        """The papers in their groups; others than those of the topics are ignored.

        Raises:
            ValueError: if one is missing.
        """
        paper_of = {paper.id: paper for paper in papers}
        if missing := [id_ for ids in self.groups for id_ in ids if id_ not in paper_of]:
            raise ValueError(
                f"the topics of {self.rna_id} hold {missing[0]}, which is not among its papers"
            )
        return [[paper_of[id_] for id_ in ids] for ids in self.groups]


@dataclass(frozen=True)
class Claim(_Record):
    """One checked statement: its papers (ids) and the words of one of them that it rests on.

    `topic` is the number of its group of papers; `section` is where the quote stands in the first
    paper: ``title``, ``abstract``, ``results`` or ``discussion``.
    """

    text: str
    papers: tuple[str, ...]
    quote: str
    topic: int = 0
    section: str = ""


@dataclass(frozen=True)
class Annotation(_Record):
    """What the papers say about an RNA: `text` is made of the claims.

    `mode` is ``dnc``, ``ais`` or ``extractive``; `model` the language model's name, empty where
    none was used; `rejected` counts the claims that failed the checks, by reason.
    """

    rna_id: str
    mode: str
    text: str
    claims: tuple[Claim, ...]
    model: str = ""
    rejected: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Annotation:
        claims = tuple(Claim.from_fields(claim) for claim in fields["claims"])
        return cls(**{**fields, "claims": claims})


@dataclass(frozen=True)
class QaPair(_Record):
    """A question about an RNA, its answer, and the papers that the answer's claim names."""

    question: str
    answer: str
    category: str
    papers: tuple[str, ...]
    quote: str


__all__ = ["Annotation", "Claim", "Mention", "Paper", "QaPair", "Rna", "Topics", "paper_id"]
