"""Curators' comments: their sentences, and the papers that each of them cites."""

import re
from dataclasses import dataclass

CITATION = re.compile(r"\s*\[\s*\d+(?:\s*[,;-]\s*\d+)*\s*\]")
# "reported in [5,6]": without its citation such a sentence says nothing.
CITATION_IN_THE_GRAMMAR = re.compile(
    r"^\[|\b(?:in|by|of|see|from|and|with|to|also)\s*\[\d", re.IGNORECASE
)
SENTENCE_END = re.compile(r"[.!?][\"')]*\s+(?=[A-Z0-9\"'(\[]|[a-z]+[A-Z0-9-])")
ABBREVIATION = re.compile(
    r"(?:\b[A-Z]|\bet al|\be\.g|\bi\.e|\bcf|\bvs|\bsp|\bspp|\bsubsp|\bvar|\b[Ff]igs?|\bapprox"
    r"|\bca|\bno|\bStaph|\bStrep|\bDr|\bSt|\bobs)\.$"
)
STARTER = re.compile(
    r"(?:The|This|These|Those|It|Its|In|They|Their|There|However|A|An|As|At|Both|For|Most|Some"
    r"|Thus|When|Although|While|Members|Many|We|Here|Two|On|Like|Recent|Other|To|Because"
    r"|Expression)\b"
)


@dataclass(frozen=True)
class Sentence:
    """A whole sentence without citation marks, and the numbers of the papers it cites."""

    text: str
    citations: tuple[str, ...]


def split_sentences(comment: str) -> list[Sentence]:
    """Split a comment into sentences, in order.

    A full stop ends no sentence after an abbreviation ("et al.", the genus of "S. Typhimurium"),
    unless the next word is one that begins sentences. A sentence whose grammar needs its citation
    ("reported in [5,6]") is left out.
    """
    text = _space_sentences(" ".join(comment.split()))
    pieces: list[str] = []
    start = 0
    for stop in SENTENCE_END.finditer(text):
        before = text[start : stop.end()].rstrip()
        if not ABBREVIATION.search(before) or STARTER.match(text, stop.end()):
            pieces.append(before)
            start = stop.end()
    pieces.append(text[start:])
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
