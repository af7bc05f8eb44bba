"""Claims on numbered sentences: a model names the sentence that it rests on in place of a quote.

Small models cannot copy a sentence exactly, and every model pays for the words of a quote. Here it
sees the sentences that name the RNA, numbered, and answers with a number and its own words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rnagpt.rna_qa.literature.claims.validation import names_rna
from rnagpt.rna_qa.literature.records import Paper
from rnagpt.rna_qa.literature.text.sentences import split_label, split_sentences


@dataclass(frozen=True)
class Numbered:
    """A sentence that names the RNA, of the paper with this number (from 1)."""

    paper: int
    text: str


def sentences_about(papers: Iterable[Paper], names: Sequence[str]) -> list[Numbered]:
    """The sentences of titles, abstracts and full texts that name the RNA, in order.

    Without the labels that open sections ("RESULTS: ").
    """
    found = (
        Numbered(number, sentence)
        for number, paper in enumerate(papers, start=1)
        for sentence in _sentences(paper)
        if names_rna(sentence, names)
    )
    return list(dict.fromkeys(found))


def _sentences(paper: Paper) -> Iterator[str]:
    yield paper.title
    for text in filter(None, (paper.abstract, paper.body)):
        for sentence in split_sentences(text):
            yield split_label(sentence)[1]


def with_quotes(
    written: Iterable[Mapping[str, Any]], sentences: Sequence[Numbered]
) -> Iterator[dict[str, Any]]:
    """Claims as they are written of abstracts: a number becomes its paper and its sentence.

    What names no sentence names no paper, and is rejected for that.
    """
    for claim in written:
        number = claim["sentence"]
        if 1 <= number <= len(sentences):
            one = sentences[number - 1]
            yield {"text": claim["text"], "papers": [one.paper], "quote": one.text}
        else:
            yield {"text": claim["text"], "papers": [], "quote": ""}


__all__ = ["Numbered", "sentences_about", "with_quotes"]
