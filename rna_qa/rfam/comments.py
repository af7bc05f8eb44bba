"""Curators' comments: their sentences, and the papers that each of them cites."""

import re
from dataclasses import dataclass

from rnagpt.rna_qa.literature.text.sentences import split_sentences

CITATION = re.compile(r"\s*\[\s*\d+(?:\s*[,;-]\s*\d+)*\s*\]")
# "reported in [5,6]": without its citation such a sentence says nothing.
CITATION_IN_THE_GRAMMAR = re.compile(
    r"^\[|\b(?:in|by|of|see|from|and|with|to|also)\s*\[\d", re.IGNORECASE
)


@dataclass(frozen=True)
class Sentence:
    """A whole sentence without citation marks, and the numbers of the papers it cites."""

    text: str
    citations: tuple[str, ...]


def read_sentences(comment: str) -> list[Sentence]:
    """The sentences of a comment, in order, with what they cite.

    A sentence whose grammar needs its citation ("reported in [5,6]") is left out.
    """
    text = _space_sentences(" ".join(comment.split()))
    pieces = split_sentences(text, unspaced=False)
    return [sentence for piece in pieces if (sentence := _read_sentence(piece))]


def _space_sentences(text: str) -> str:
    """Put a blank behind each sentence, and the citation marks behind its full stop before it."""
    # Some curators leave no blank behind a full stop, or behind the mark that follows it.
    text = re.sub(
        r"(?<=[\w\])\"][a-z\])]\.)((?:\[[\d,-]+\])?)(?=[A-Z][a-z]+ )",
        r"\1 ",
        text,
    )
    return re.sub(r"([.!?])((?:\s*\[[\d\s,;-]+\])+)\.?(?=\s+[A-Z]|$)", r"\2\1", text)


def _read_sentence(piece: str) -> Sentence | None:
    if CITATION_IN_THE_GRAMMAR.search(piece):
        return None
    citations = tuple(number for mark in CITATION.findall(piece) for number in _read_mark(mark))
    text = re.sub(r"\(\s*\)", "", CITATION.sub("", piece))
    text = re.sub(r"\s+([.,;:])", r"\1", " ".join(text.split()))
    if not re.search(r"[A-Za-z]{2}", text):
        return None
    return Sentence(text if text[-1] in ".!?" else f"{text}.", citations)


def _read_mark(mark: str) -> list[str]:
    """The numbers of a citation mark; "[3-5]" stands for 3, 4 and 5."""
    numbers: list[str] = []
    for part in re.split(r"[,;]", mark.strip(" []")):
        first, _, last = part.partition("-")
        numbers += map(str, range(int(first), int(last or first) + 1))
    return numbers
