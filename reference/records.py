"""Structured records of families and of single RNAs: what an answer may say, and whom it cites."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rnagpt.reference import InvalidReferenceError

FAMILY, RNA = "family", "rna"


@dataclass(frozen=True)
class Term:
    """A term of the Gene Ontology (GO:0005730) or of the Sequence Ontology (SO:0000593)."""

    id: str
    name: str


@dataclass(frozen=True)
class Claim:
    """A statement about an RNA with the words of the paper that support it.

    Attributes:
        text: the statement.
        quote: the paper's own words; empty where there are none.
        papers: PubMed ids, or DOIs where a paper has none.
    """

    text: str
    quote: str = ""
    papers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Record:
    """What is known of a family, or of one RNA.

    Attributes:
        id: accession, such as RF00005; unique in a reference.
        kind: `FAMILY` or `RNA`.
        name: short name, such as "tRNA".
        description: e.g. "Transfer RNA".
        type: e.g. "riboswitch"; empty where it is not known.
        functions: sentences on what it is and does.
        terms: of the Gene Ontology and the Sequence Ontology.
        papers: PubMed ids of the papers about it.
        claims: statements with quotes, of single RNAs.
        clan: Rfam's accession of the clan; empty without one.
        gathering: Rfam's gathering cut-off in bits of the covariance model; None without one.
        organism: of a single RNA; empty where it is not known.
        source: where it comes from, such as "Rfam 14.2".
    """

    id: str
    kind: str
    name: str
    description: str = ""
    type: str = ""
    functions: tuple[str, ...] = ()
    terms: tuple[Term, ...] = ()
    papers: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
    clan: str = ""
    gathering: float | None = None
    organism: str = ""
    source: str = ""

    def to_json(self) -> str:
        """One line of JSON, without what is empty."""
        filled = {key: value for key, value in asdict(self).items() if value not in ("", (), None)}
        return json.dumps(filled, ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> Record:
        """The record of a line that `to_json` wrote.

        Raises:
            InvalidReferenceError: the line is no such record.
        """
        try:
            return cls._from_values(json.loads(line))
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidReferenceError(
                f"No record of a reference: {line[:60]!r} ({type(error).__name__}: {error})."
            ) from error

    @classmethod
    def _from_values(cls, values: Mapping[str, Any]) -> Record:
        read = dict(values)
        for name in ("functions", "papers"):
            read[name] = tuple(read.get(name, ()))
        read["terms"] = tuple(Term(**term) for term in read.get("terms", ()))
        read["claims"] = tuple(
            Claim(claim["text"], claim.get("quote", ""), tuple(claim.get("papers", ())))
            for claim in read.get("claims", ())
        )
        return cls(**read)


def read_cutoff(text: str) -> float | None:
    """Bits of a cut-off line such as "38.00" or "38.00;"; None where there is none."""
    try:
        return float(text.split()[0].rstrip(";"))
    except (IndexError, ValueError):
        return None


__all__ = ["FAMILY", "RNA", "Claim", "Record", "Term", "read_cutoff"]
