"""Curators' comments: sentences, and the papers that each of them cites."""

import re
from dataclasses import dataclass


CITATION = re.compile(r"\s*\[\s*\d+(?:\s*[,;-]\s*\d+)*\s*\]")
ABBREVIATION = re.compile(
    r"(?:\b[A-Z]|\bet al|\be\.g|\bi\.e|\bcf|\bvs|\bsp|\bspp|\bsubsp|\bvar|\b[Ff]igs?|\bapprox|\bca|\bno"
    r"|\bStaph|\bStrep|\bDr|\bSt|\bobs)\.$"
)
STARTER = re.compile(
    r"(?:The|This|These|Those|It|Its|In|They|Their|There|However|A|An|As|At|Both|For|Most|Some|Thus|When"
    r"|Although|While|Members|Many|We|Here|Two|On|Like|Recent|Other|To|Because|Expression)\b"
)


@dataclass(frozen=True)
class Sentence:
    """A whole sentence without citation marks, and the numbers of the papers it cites."""

    text: str
    citations: tuple[str, ...]


def split_sentences(comment: str) -> list[Sentence]:
    """Split a comment into sentences, in order.

    A full stop ends no sentence after an abbreviation ("et al.", the genus in "S. Typhimurium"), unless
    the next word is one that begins sentences. A sentence whose grammar needs its citation ("reported in
    [5,6]") says nothing without it and is left out.
    """
    text = " ".join(comment.split())
    # Some curators leave no blank behind a full stop, or behind the mark that follows it.
    text = re.sub(r"(?<=[\w\])\"][a-z\])]\.)((?:\[[\d,-]+\])?)(?=[A-Z][a-z]+ )", r"\1 ", text)
    # Marks behind a full stop belong to the sentence before it.
    text = re.sub(r"([.!?])((?:\s*\[[\d\s,;-]+\])+)\.?(?=\s+[A-Z]|$)", r"\2\1", text)
    pieces: list[str] = []
    start = 0
    for stop in re.finditer(r"[.!?][\"')]*\s+(?=[A-Z0-9\"'(\[]|[a-z]+[A-Z0-9-])", text):
        before, after = text[start : stop.end()].rstrip(), text[stop.end() :]
        if ABBREVIATION.search(before) and not STARTER.match(after):
            continue
        pieces.append(before)
        start = stop.end()
    pieces.append(text[start:].strip())
    sentences = (_sentence(piece) for piece in pieces)
    return [sentence for sentence in sentences if sentence]


def _sentence(piece: str) -> Sentence | None:
    if piece.startswith("[") or re.search(
        r"\b(?:in|by|of|see|from|and|with|to|also)\s*\[\d", piece, re.IGNORECASE
    ):
        return None
    citations = tuple(number for mark in CITATION.findall(piece) for number in _numbers(mark))
    text = CITATION.sub("", piece)
    text = re.sub(r"\(\s*\)", "", text)
    text = re.sub(r"\s+([.,;:])", r"\1", " ".join(text.split()))
    if not re.search(r"[A-Za-z]{2}", text):
        return None
    return Sentence(text if text[-1] in ".!?" else text + ".", citations)


def _numbers(mark: str) -> list[str]:
    """The numbers of a citation mark; "[3-5]" stands for 3, 4 and 5."""
    numbers: list[str] = []
    for part in re.split(r"[,;]", mark.strip(" []")):
        first, _, last = part.partition("-")
        numbers += map(str, range(int(first), int(last or first) + 1))
    return numbers
