"""Works that are among the papers twice: a preprint and its paper, one paper by two ids."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator

from rnagpt.rna_qa.literature.records import Paper
from rnagpt.rna_qa.literature.sources.corpus import Corpus
from rnagpt.rna_qa.literature.sources.rows import ids_of

MERGED = "the same work as another paper"
RETRACTED_ELSEWHERE = "another version of it is retracted"
# Words of an abstract that no two works share by chance; shorter ones need the title as well.
MIN_WORDS = 20

# Where types are not known: who registers preprints (bioRxiv and medRxiv, arXiv, Research Square,
# Preprints.org, SSRN, ChemRxiv, Authorea, eLife's reviewed ones aside), and what they are called.
_DOIS = re.compile(
    r"10\.(?:1101/(?:\d{4}\.\d\d\.\d\d\.)?\d{6,8}|48550/|21203/rs|20944/|2139/ssrn|26434/|22541/)",
    re.IGNORECASE,
)
_SERVERS = re.compile(r"(?:bio|med|chem)?rxiv|arxiv|research square|preprints|ssrn", re.IGNORECASE)
_LABEL = re.compile(
    r"\b(?:background|introduction|objectives?|aims?|purpose|(?:materials? and )?methods?|results?|"
    r"findings|conclusions?|discussion|significance|summary|abstract)\s*:",
    re.IGNORECASE,
)


def is_preprint(paper: Paper) -> bool:
    """Whether a paper was not reviewed: by its type, else by its DOI or its journal's name."""
    if any(name.lower().strip() == "preprint" for name in paper.types):
        return True
    return bool(_DOIS.match(paper.doi or "") or _SERVERS.match(paper.journal or ""))


def merge_duplicates(corpus: Corpus) -> None:
    """Of the papers that are one work, keep the one that was reviewed; skip the others, merged.

    One work are papers that share an identifier, that Europe PMC links as preprint and paper, or
    that have the same abstract (case, punctuation and the labels of sections aside). The one that
    is retained takes the mentions of the others and knows their ids (`Paper.also_known_as`). Where
    one of them is retracted, none is retained.

    To be called after all else was judged.
    """
    corpus.clear_merged()
    for ids in corpus.group_papers(_keys):
        papers = [paper for id_ in ids if (paper := corpus.read_paper(id_))]
        if any(corpus.has_skipped("paper", id_) for id_ in ids):  # as retracted
            for paper in papers:
                corpus.skip("paper", paper.id, RETRACTED_ELSEWHERE)
            continue
        kept, *others = sorted(papers, key=_rank)
        for other in others:
            same_text = _plain(other.abstract) == _plain(kept.abstract)
            corpus.merge_paper(other.id, kept.id, same_abstract=same_text)
            corpus.skip("paper", other.id, MERGED)


def _rank(paper: Paper) -> tuple[bool, bool, bool, str]:
    return is_preprint(paper), paper.pmid is None, paper.pmcid is None, paper.id


def _keys(paper: Paper) -> Iterator[str]:
    """What two papers that are one work have in common, one of these at least."""
    yield from ids_of(paper)
    yield from paper.links
    if len(paper.abstract.split()) >= MIN_WORDS:
        yield _hash(_plain(paper.abstract))
    elif paper.abstract:
        yield _hash(f"{_plain(paper.title)} {_plain(paper.abstract)}")


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFKC", _LABEL.sub(" ", text)).casefold()
    return re.sub(r"[\W_]+", "", text)


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


__all__ = ["MERGED", "RETRACTED_ELSEWHERE", "is_preprint", "merge_duplicates"]
