"""The papers stage: complete papers, mark retractions, leave out what fails the filters."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from tqdm import tqdm

from rnagpt.rna_qa.literature.records import Paper
from rnagpt.rna_qa.literature.sources.corpus import Corpus
from rnagpt.rna_qa.literature.sources.duplicates import merge_duplicates
from rnagpt.rna_qa.literature.sources.europe_pmc import EuropePmc, complete_from
from rnagpt.rna_qa.literature.sources.paper_filters import reason_to_leave_out
from rnagpt.rna_qa.literature.sources.rows import batched
from rnagpt.rna_qa.literature.text.plain_text import plain_text

# Requested, and written, together: a kill loses the answers about one page. No more may be named in
# one request about retractions.
PAPERS_PER_PAGE = 1000


def complete(
    corpus: Corpus,
    europe_pmc: EuropePmc | None,
    *,
    licences: Collection[str] = (),
) -> None:
    """Complete and judge the papers of a corpus; an interrupted run resumes where it was.

    With `europe_pmc`, what a paper lacks (abstract, licence, publication types) is requested once,
    and retractions are looked up; without, papers are taken as they are. Tags are stripped either
    way. Papers to be left out (`reason_to_leave_out`) are then skipped with the reason.

    Args:
        licences: Keep only papers under these; none means any.

    Raises:
        ServiceError: if Europe PMC does not answer.
    """
    _strip_html(corpus)
    if europe_pmc is not None:
        _fill(corpus, europe_pmc)
    judge(corpus, licences)


def judge(corpus: Corpus, licences: Collection[str] = ()) -> None:
    """Skip the papers that are to be left out, with the reason; what was skipped before is not.

    Of those that stay, papers that are one work are merged (`duplicates.merge_duplicates`).
    """
    with corpus.transaction():
        corpus.clear_skipped("paper")
        for paper in corpus.iter_papers():
            if reason := reason_to_leave_out(paper, licences):
                corpus.skip("paper", paper.id, reason)
        merge_duplicates(corpus)


def mark_retractions(corpus: Corpus, europe_pmc: EuropePmc) -> int:
    """Ask Europe PMC again which papers are retracted; returns how many have become so.

    Raises:
        ServiceError: if Europe PMC does not answer.
    """
    times = 0
    for page in batched(corpus.iter_papers(), PAPERS_PER_PAGE):
        marked = _mark(page, europe_pmc)
        changed = [new for old, new in zip(page, marked, strict=True) if new != old]
        corpus.replace_papers(changed, complete=True)
        times += len(changed)
    return times


def _strip_html(corpus: Corpus) -> None:
    for page in batched(corpus.iter_papers(incomplete=True), PAPERS_PER_PAGE):
        plain = [
            replace(paper, title=plain_text(paper.title), abstract=plain_text(paper.abstract))
            for paper in page
        ]
        # They still lack what they lacked.
        changed = (new for old, new in zip(page, plain, strict=True) if new != old)
        corpus.replace_papers(changed, complete=False)


def _fill(corpus: Corpus, europe_pmc: EuropePmc) -> None:
    with tqdm(desc="completing papers", unit=" papers", disable=None) as bar:
        for page in batched(corpus.iter_papers(incomplete=True), PAPERS_PER_PAGE):
            lacking = [paper for paper in page if _lacks_something(paper)]
            found = europe_pmc.fetch(lacking)
            filled = [complete_from(paper, found.get(paper.id)) for paper in page]
            with corpus.transaction():
                # Complete as well where nothing was found: it is not requested again.
                corpus.replace_papers(_mark(filled, europe_pmc), complete=True)
                corpus.tally("paper not at Europe PMC", len(lacking) - len(found))
            bar.update(len(page))


def _mark(papers: Sequence[Paper], europe_pmc: EuropePmc) -> list[Paper]:
    """The papers, those that Europe PMC calls retracted marked so."""
    retracted = europe_pmc.find_retracted([paper for paper in papers if not paper.retracted])
    return [replace(paper, retracted=True) if paper.id in retracted else paper for paper in papers]


def _lacks_something(paper: Paper) -> bool:
    return not (paper.title and paper.abstract and paper.licence and paper.types)


__all__ = ["complete", "judge", "mark_retractions"]
