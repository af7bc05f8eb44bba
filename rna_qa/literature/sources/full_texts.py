"""Full texts of papers, from Europe PMC or from files in JATS, as an option beside abstracts."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import IO, cast

from tqdm import tqdm

from rnagpt.rna_qa.literature.records import Mention, Paper
from rnagpt.rna_qa.literature.sources.corpus import Corpus
from rnagpt.rna_qa.literature.sources.europe_pmc import EuropePmc
from rnagpt.rna_qa.literature.sources.jats import Article, read_articles
from rnagpt.rna_qa.literature.sources.paper_filters import plain_licence
from rnagpt.rna_qa.literature.sources.rows import DONE, batched, ids_of
from rnagpt.rna_qa.literature.text.mentions import NameIndex

# Under these a sentence of the full text may be passed on; "no derivatives" is not among them.
OPEN_LICENCES = frozenset(("cc0", "cc-by", "cc-by-sa", "cc-by-nc", "cc-by-nc-sa"))
SUFFIXES = (".xml", ".nxml", ".xml.gz", ".nxml.gz")
PAPERS_PER_PAGE = 20  # requested, and written, together: a kill loses the answers about these
ARTICLES_PER_PAGE = 200


def request_full_texts(corpus: Corpus, europe_pmc: EuropePmc) -> None:
    """Read what the full text of each paper that is kept found, once; a killed run resumes.

    Papers without a PMCID, and those under other licences than `OPEN_LICENCES`, are not requested;
    they are tallied.

    Raises:
        ServiceError: if Europe PMC does not answer.
    """
    index = _index_names(corpus)
    unread = (paper for paper in corpus.iter_papers(kept=True) if paper.body is None)
    with tqdm(desc="reading full texts", unit=" papers", disable=None) as bar:
        for page in batched(unread, PAPERS_PER_PAGE):
            texts = [(paper, _request(paper, europe_pmc)) for paper in page]
            with corpus.transaction():
                for paper, (body, told) in texts:
                    _add(corpus, index, paper, body or "")
                    corpus.tally(told)
            bar.update(len(page))


def _request(paper: Paper, europe_pmc: EuropePmc) -> tuple[str | None, str]:
    """What a paper's full text found, and what the summary calls that."""
    if not _is_open(paper):
        return None, "full text not under an open licence"
    if not paper.pmcid:
        return None, "full text not at PubMed Central"
    body = europe_pmc.full_text(paper.pmcid)
    return body, "full text read" if body else "full text without findings, or not open"


def read_full_texts(corpus: Corpus, path: Path) -> None:
    """The same from files in JATS: one, or all of a folder, each with one article or many.

    Articles of other papers than those that are kept are passed over. A file that was read whole is
    not read again; of one that was not, what is in the corpus is passed over.

    Raises:
        FileNotFoundError: there is no such file, or none in the folder.
        ValueError: for a file that is no XML, or damaged; with its name.
    """
    index, ids = _index_names(corpus), _papers_by_any_id(corpus)
    for file in tqdm(files_of(path), desc="reading full texts", unit=" files", disable=None):
        key = f"full texts: {called(file, path)}, {file.stat().st_size} bytes"
        position = corpus.progress(key) or "0"
        if position == DONE:
            continue
        number = int(position)
        with _opened(file) as stream:
            for page in batched(islice(read_articles(stream), number, None), ARTICLES_PER_PAGE):
                number += len(page)
                with corpus.transaction():
                    for article in page:
                        _add_article(corpus, index, ids, article)
                    corpus.set_progress(key, str(number))
        corpus.set_progress(key, DONE)


def called(file: Path, path: Path) -> str:
    """A file of a path, or of a folder, by its place in that: packages repeat names."""
    return file.name if file == path else file.relative_to(path).as_posix()


def files_of(path: Path) -> list[Path]:
    """A file, or the files of a folder and of those in it that are named as XML.

    Raises:
        FileNotFoundError: there is none.
    """
    files = [path] if path.is_file() else sorted(path.rglob("*")) if path.is_dir() else []
    if path.is_dir():
        files = [file for file in files if file.name.lower().endswith(SUFFIXES)]
    if not files:
        raise FileNotFoundError(
            f"{path}: no file in JATS; give a folder of {', '.join(SUFFIXES)}, or one such file"
        )
    return files


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    with file.open("rb") as begin:
        is_packed = begin.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(file) if is_packed else file.open("rb") as stream:
            yield cast(IO[bytes], stream)
    except (EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        raise ValueError(f"{file}: {error}; get it again, or take it out of the folder") from error


def _papers_by_any_id(corpus: Corpus) -> dict[str, str]:
    """The id of each paper that is kept, by all of its ids."""
    return {key: paper.id for paper in corpus.iter_papers(kept=True) for key in ids_of(paper)}


def _add_article(
    corpus: Corpus, index: NameIndex, ids: Mapping[str, str], article: Article
) -> None:
    known = (ids.get(key) for key in ids_of(article))
    paper = next((corpus.read_paper(id) for id in known if id), None)
    if paper is None:
        corpus.tally("full text of no paper that is kept")
    elif not _is_open(paper):
        corpus.tally("full text not under an open licence")
    elif paper.body:
        corpus.tally("full text given again")
    else:  # not read, or a service had none
        _add(corpus, index, paper, article.body)
        corpus.tally("full text read" if article.body else "full text without findings")


def _add(corpus: Corpus, index: NameIndex, paper: Paper, body: str) -> None:
    """Write a paper with its body, and which RNAs that names."""
    named = index.find(body) if body else ()
    corpus.replace_papers([replace(paper, body=body, also_known_as=())])
    corpus.add_mentions(Mention(id, paper.id, False, False, True) for id in sorted(named))


def _is_open(paper: Paper) -> bool:
    return paper.licence is not None and plain_licence(paper.licence) in OPEN_LICENCES


def _index_names(corpus: Corpus) -> NameIndex:
    return NameIndex((name, rna.id) for rna in corpus.iter_rnas() for name in rna.names)


__all__ = ["OPEN_LICENCES", "called", "files_of", "read_full_texts", "request_full_texts"]
