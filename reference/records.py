"""Structured records of families and of single RNAs: what an answer may say, and whom it cites."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rnagpt.reference import InvalidReferenceError

FAMILY, RNA = "family", "rna"
# An id without a character that JSON escapes, where `to_json` writes it.
_ID = re.compile(r'\{"id": "([^"\\]+)"')


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


class RecordsById(Mapping[str, Record]):
    """Records by their ids, each read when it is asked for: a search needs a few of thousands.

    Args:
        lines: of JSON, as `Record.to_json` writes them.

    Raises:
        InvalidReferenceError: a line is no record; for one that begins as one, when it is asked
            for.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines: dict[str, str] = {}
        self._read: dict[str, Record] = {}
        for line in lines:
            match = _ID.match(line)
            self._lines[match[1] if match else Record.from_json(line).id] = line

    def __getitem__(self, identifier: str) -> Record:
        if identifier not in self._read:
            self._read[identifier] = Record.from_json(self._lines[identifier])
        return self._read[identifier]

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)


def read_cutoff(text: str) -> float | None:
    """Bits of a cut-off line such as "38.00" or "38.00;"; None where there is none."""
    try:
        return float(text.split()[0].rstrip(";"))
    except (IndexError, ValueError):
        return None


__all__ = ["FAMILY", "RNA", "Claim", "Record", "RecordsById", "Term", "read_cutoff"]
