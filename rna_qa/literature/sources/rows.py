"""Rows of sources as RNAs, papers and mentions, and the position in a source behind them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, Protocol, TypeVar

from tqdm import tqdm

from rnagpt.rna_qa.literature.records import Mention, Paper, Rna, paper_id
from rnagpt.rna_qa.literature.sources.corpus import Corpus
from rnagpt.rna_qa.literature.text.mentions import NameIndex
from rnagpt.rna_qa.literature.text.plain_text import plain_text

DONE = "done"
IUPAC = re.compile("[ACGURYKMSWBDHVN]+")


class Position(Protocol):
    """How far a source was read: a named tuple, with the number of RNAs taken."""

    @property
    def taken(self) -> int: ...


At = TypeVar("At", bound=Position)
Value = TypeVar("Value")


def positions(corpus: Corpus, key: str, first: At) -> Iterator[At]:
    """Where to read the next page of RNAs, until `set_position` says that all were read.

    Args:
        key: What the corpus calls the source's progress.
        first: Where a source is begun.
    """
    with tqdm(desc="selecting", unit=" RNAs", disable=None) as bar:
        while (stored := corpus.progress(key)) != DONE:
            position = type(first)(*json.loads(stored)) if stored else first
            bar.update(position.taken - bar.n)
            yield position


def set_position(corpus: Corpus, key: str, position: Position | None) -> None:
    """Note where the next page is, None for no further one; in a transaction with this page."""
    corpus.set_progress(key, DONE if position is None else json.dumps(position))


def batched(values: Iterable[Value], size: int) -> Iterator[list[Value]]:
    """The values in lists of `size`, of which the last may be shorter."""
    values = iter(values)
    while batch := list(islice(values, size)):
        yield batch


def clean_sequence(text: str) -> tuple[str, str | None]:
    """The sequence in upper case with U in place of T, and why it cannot be used (None if it can).

    White space is dropped between lines or blocks of one width, of which the last may be narrower:
    IUPAC's letters spell words such as tRNA, so that other white space may part a name from its
    sequence. Letters are those of IUPAC for nucleotides (Cornish-Bowden, Nucleic Acids Res. 1985),
    gaps excluded.
    """
    blocks = text.split()
    sequence = "".join(blocks).upper().replace("T", "U")
    if not sequence:
        return sequence, "no sequence"
    if not IUPAC.fullmatch(sequence):
        letters = "".join(sorted(set(IUPAC.sub("", sequence))))
        return sequence, f"sequence with {letters[:20]!r}"
    widths = [len(block) for block in blocks]
    if set(widths[:-1]) - {widths[0]} or widths[-1] > widths[0]:
        return sequence, "sequence in parts of unequal length"
    return sequence, None


def keep_usable(corpus: Corpus, rnas: Iterable[Rna]) -> Iterator[Rna]:
    """RNAs with their sequences cleaned; those without a usable one or a name are skipped."""
    for rna in rnas:
        sequence, reason = clean_sequence(rna.sequence)
        if reason or not rna.names:
            corpus.skip("rna", rna.id, reason or "no name")
        else:
            yield replace(rna, sequence=sequence)


def without_ids(names: Iterable[str], rna_id: str) -> tuple[str, ...]:
    """The names, each once, RNAcentral's own id left out where there is another."""
    unique = dict.fromkeys(names)
    spoken = [name for name in unique if name.upper() != rna_id.upper()]
    return tuple(spoken or unique)


def spell(job: str, texts: Iterable[str]) -> str:
    """A job's name, which LitScan keeps in lower case, as the first text that has it writes it.

    ``spell("hotair", ["HOX antisense RNA (HOTAIR)"])`` gives ``HOTAIR``.
    """
    word = re.compile(rf"(?<![^\W_]){re.escape(job)}(?![^\W_])", re.IGNORECASE)
    found = (word.search(text) for text in texts)
    return next((match[0] for match in found if match and match[0] != job), job)


def make_paper(
    *,
    pmid: str | None,
    pmcid: str | None,
    doi: str | None,
    title: str | None,
    abstract: str | None,
    year: Any = None,
    **others: Any,
) -> Paper:
    """A paper as a source has it: its texts made plain, empty fields None.

    Raises:
        ValueError: where it has no identifier.
    """
    year = str(year or "")
    return Paper(
        id=paper_id(pmid, pmcid, doi),
        title=plain_text(title or ""),
        abstract=plain_text(abstract or ""),
        pmid=pmid or None,
        pmcid=pmcid or None,
        doi=doi or None,
        year=int(year) if year.isdigit() else None,
        **others,
    )


class Identified(Protocol):
    """A paper, or an article of one; identifiers are without prefixes."""

    @property
    def pmid(self) -> str | None: ...
    @property
    def pmcid(self) -> str | None: ...
    @property
    def doi(self) -> str | None: ...


def ids_of(paper: Identified) -> list[str]:
    """All names of a paper."""
    keys = ((paper.pmid, None, None), (None, paper.pmcid, None), (None, None, paper.doi))
    return [paper_id(*key) for key in keys if any(key)]


def find_mentions(index: NameIndex, paper: Paper) -> list[Mention]:
    """The RNAs that a paper's title or abstract names, by id."""
    title, abstract = index.find(paper.title), index.find(paper.abstract)
    return [
        Mention(rna_id, paper.id, rna_id in title, rna_id in abstract, in_body=False)
        for rna_id in sorted(title | abstract)
    ]


__all__ = [
    "DONE",
    "batched",
    "clean_sequence",
    "find_mentions",
    "ids_of",
    "keep_usable",
    "make_paper",
    "positions",
    "set_position",
    "spell",
    "without_ids",
]
