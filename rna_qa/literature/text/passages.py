"""Of a full text, the sentences that name one RNA; of a quote, the section that it stands in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from rnagpt.rna_qa.literature.records import Paper
from rnagpt.rna_qa.literature.text.mentions import NameIndex
from rnagpt.rna_qa.literature.text.sentences import split_label, split_sentences


def passages(body: str, names: Sequence[str]) -> str:
    """The sentences of a labelled text that name an RNA, each under the label that it stands under.

    "Results: A binds B. C rises. Discussion: A is bound." of B is "Results: A binds B."; where
    nothing names it, nothing is left.
    """
    index = NameIndex((name, name) for name in names)
    kept: list[str] = []
    label = last = ""
    for opening, sentence in _sentences(body):
        label = opening or label
        if index.find(sentence):
            kept.append(f"{label}{sentence}" if label != last else sentence)
            last = label
    return " ".join(kept)


def section_of(quote: str, paper: Paper) -> str:
    """``abstract``, ``title``, or the label of the full text's section that holds a quote.

    Args:
        quote: As it stands in the paper; see `validation.find_quote`.
    """
    for section, text in (("abstract", paper.abstract), ("title", paper.title)):
        if quote in text:
            return section
    before, found, _ = (paper.body or "").partition(quote)
    labels = re.findall(r"(?:^| )(Results|Discussion): ", f"{before} " if found else "")
    return labels[-1].lower() if labels else ""


@lru_cache(maxsize=256)  # papers of many RNAs are read again for each
def _sentences(body: str) -> tuple[tuple[str, str], ...]:
    """The sentences without their labels, and the label that opens each ("Results: "), if any."""
    found = []
    for sentence in split_sentences(body):
        text = split_label(sentence)[1]
        found.append((sentence.removesuffix(text), text))
    return tuple(found)


__all__ = ["passages", "section_of"]
