"""RNAs and papers from the builder's own files: JSON lines, plain or gzipped."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

from tqdm import tqdm

from rnagpt.rna_qa.literature.answer_text import text_around
from rnagpt.rna_qa.literature.records import Paper, Rna
from rnagpt.rna_qa.literature.sources.corpus import Corpus
from rnagpt.rna_qa.literature.sources.rows import DONE, find_mentions, keep_usable, make_paper
from rnagpt.rna_qa.literature.text.mentions import NameIndex
from rnagpt.sequences.compressed import read_lines

LINES_PER_PAGE = 500  # written together
RNA_KEYS = "id, sequence, names (a list), rna_type and, if known, organism, taxid, family"
PAPER_KEYS = (
    "pmid, pmcid or doi, title, abstract and, if known, year, journal, licence, retracted, types"
)

Value = TypeVar("Value")


def select(corpus: Corpus, rnas_path: Path, limit: int | None = None) -> None:
    """Read RNAs, ``{"id", "sequence", "names": [...], "rna_type", "organism", "taxid"}`` per line.

    RNAs without a name, or with a letter that no RNA has, are skipped with the reason; of
    several with one id the first stands. What an interrupted run has read is not read again.

    Args:
        limit: Take the first N RNAs that can be used; None: all.

    Raises:
        ValueError: for a line that is no such object, with the file and the line's number.
        FileNotFoundError: if there is no such file.
    """

    def left() -> int | None:
        return None if limit is None else limit - corpus.num_rnas()

    _read(
        corpus,
        Records(rnas_path, "rnas", RNA_KEYS, _Fields.rna),
        lambda rnas: corpus.add_rnas(islice(keep_usable(corpus, rnas), left())),
        lambda: left() == 0,
    )


def read_papers(corpus: Corpus, papers_path: Path) -> None:
    """Read papers, ``{"pmid"|"pmcid"|"doi", "title", "abstract", …}`` per line, that name an RNA.

    Titles and abstracts are searched for the names of the corpus' RNAs (`mentions.NameIndex`);
    names that mean other things as well are left out and counted. A paper that names no RNA is
    tallied, not kept, unless it has no abstract: that may be found elsewhere.

    Raises:
        ValueError: for a line that is no such object, with the file and the line's number.
        FileNotFoundError: if there is no such file.
    """
    index = _index_names(corpus)

    def add(papers: list[Paper]) -> None:
        for paper in papers:
            mentions = find_mentions(index, paper)
            if mentions or not paper.abstract:
                corpus.add_papers([paper])
                corpus.add_mentions(mentions)
            else:
                corpus.tally("paper names no RNA")

    _read(corpus, Records(papers_path, "papers", PAPER_KEYS, _Fields.paper), add)


def _index_names(corpus: Corpus) -> NameIndex:
    index = NameIndex((name, rna.id) for rna in corpus.iter_rnas() for name in rna.names)
    for name in sorted(index.left_out):
        corpus.skip("name", name, "ambiguous")
    return index


@dataclass(frozen=True)
class Records(Generic[Value]):
    """A file of JSON lines: what it holds, the keys of its objects, and how one is read."""

    path: Path
    what: str
    keys: str
    read: Callable[[_Fields], Value]

    def parse(self, line: str, number: int) -> Value:
        """The record of a line; its number, from 1, goes into the error.

        Raises:
            ValueError: if the line is not JSON, or not such an object.
        """
        try:
            fields = json.loads(line)
            if not isinstance(fields, dict):
                raise ValueError(f"it holds a {type(fields).__name__}")
            _check_characters(fields)
            return self.read(_Fields(fields))
        except (ValueError, RecursionError) as error:  # JSON's errors are among them
            raise ValueError(
                f"{self.path}, line {number}: {error}; expected one JSON object per line with "
                f"{self.keys}; got {line.strip()[:80]!r}"
            ) from error


def _check_characters(fields: Mapping[str, Any]) -> None:
    """Reject halves of characters, which JSON can write (``\\ud83d``) and nothing else can hold."""
    for key, value in fields.items():
        try:
            json.dumps({key: value}, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"{key!a} holds half a character (a lone surrogate), {text_around(error)}: "
                "write the whole character, or leave it out"
            ) from error


def _read(
    corpus: Corpus,
    records: Records[Value],
    add: Callable[[list[Value]], None],
    enough: Callable[[], bool] = lambda: False,
) -> None:
    """Add a file's records by pages, each in one transaction with the number of lines read."""
    key = f"files: {records.what}"
    position = corpus.progress(key) or "0"
    if position == DONE:
        return
    number = int(position)
    lines = islice(_read_lines(records.path), number, None)
    name = f"reading {records.what}"
    with tqdm(initial=number, desc=name, unit=" lines", disable=None) as bar:
        while not enough() and (page := list(islice(lines, LINES_PER_PAGE))):
            numbered = enumerate(page, start=number + 1)
            parsed = [records.parse(line, n) for n, line in numbered if line.strip()]
            number += len(page)
            with corpus.transaction():
                add(parsed)
                corpus.set_progress(key, str(number))
            bar.update(len(page))
    corpus.set_progress(key, DONE)


def _read_lines(path: Path) -> Iterator[str]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; give JSON lines, plain or gzipped")
    for number, line in read_lines(path):
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}, line {number}: not UTF-8 ({error.reason})") from error


class _Fields:
    """One JSON object, read by the types that its keys have to have."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields

    def rna(self) -> Rna:
        return Rna(
            id=self._required("id"),
            sequence=self._required("sequence"),
            names=self._list("names", required=True),
            rna_type=self._required("rna_type"),
            organism=self._text("organism"),
            taxid=self._number("taxid"),
            family=self._text("family"),
        )

    def paper(self) -> Paper:
        pmid, pmcid, doi = (self._identifier(key) for key in ("pmid", "pmcid", "doi"))
        if pmcid and not pmcid.upper().startswith("PMC"):
            pmcid = f"PMC{pmcid}"
        doi = doi and re.sub(r"^(https?://(dx\.)?doi\.org/|doi:\s*)", "", doi, flags=re.IGNORECASE)
        return make_paper(
            pmid=pmid,
            pmcid=pmcid,
            doi=doi,
            title=self._text("title"),
            abstract=self._text("abstract"),
            year=self._number("year"),
            journal=self._text("journal"),
            licence=self._text("licence") or self._text("license"),
            retracted=self._of_type("retracted", bool, "true or false") or False,
            types=self._list("types"),
        )

    def _of_type(self, key: str, kind: type | tuple[type, ...], expected: str) -> Any:
        value = self._fields.get(key)
        # Python counts True among the numbers, JSON does not.
        if value is None or (isinstance(value, kind) and isinstance(value, bool) == (kind is bool)):
            return value
        raise ValueError(f"{key} is {value!r}, expected {expected}")

    def _text(self, key: str) -> str | None:
        value = self._of_type(key, str, "a string")
        return value.strip() or None if value else None

    def _required(self, key: str) -> str:
        value = self._text(key)
        if value is None:
            raise ValueError(f"no {key}")
        return value

    def _number(self, key: str) -> int | None:
        value: int | None = self._of_type(key, int, "a whole number")
        return value

    def _identifier(self, key: str) -> str | None:
        """PubMed's ids come as numbers as well."""
        value = self._of_type(key, (str, int), "a string or a number")
        return None if value is None else str(value).strip() or None

    def _list(self, key: str, *, required: bool = False) -> tuple[str, ...]:
        values = self._of_type(key, list, "a list of strings")
        if values is None and required:
            raise ValueError(f"no {key}")
        if not all(isinstance(value, str) for value in values or ()):
            raise ValueError(f"{key} is {values!r}, expected a list of strings")
        return tuple(dict.fromkeys(value.strip() for value in values or () if value.strip()))


__all__ = ["read_papers", "select"]
