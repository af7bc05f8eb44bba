"""The sentences of a text about biology, and the citations in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_NUMBERS = r"\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*"
_MARK = re.compile(rf"\s*\[({_NUMBERS})\]")
# A mark behind a full stop belongs to the sentence before it.
_END = re.compile(rf"[.!?][\"'”’)]*(?:\s*\[{_NUMBERS}\])*(?=\s+[\w\"'“(*])")
_ABBREVIATED = re.compile(
    r"(?:^|[\s(])(?:e\.g|i\.e|cf|vs|sp|spp|subsp|var|str|ssp|al|approx|ca|Fig|Figs|Tab|No|St|Dr|Prof|[A-Z]\.[A-Z])\.$"
)
# "E. coli", "Staph. aureus", and not "vitamin B. It"
_GENUS = re.compile(r"(?:^|[\s(])[A-Z][a-z]{0,5}\.$")
_SPECIES = re.compile(r"\s+[a-z]+\b(?![A-Z0-9-])")
_ITEM = re.compile(r"\n\s*(?:[-*•]|\d{1,2}[.)])\s+|\n\s*\n|^\s*[-*•]\s+")


@dataclass(frozen=True)
class WrittenSentence:
    """A sentence as a model wrote it, and the numbers of the records that it cites."""

    text: str
    cites: tuple[int, ...]


def read_sentences(answer: str) -> list[WrittenSentence]:
    """The sentences of a model's answer, its citations, "[1]" or "[1, 2]", taken out of them."""
    pieces = (piece for item in _ITEM.split(answer) for piece in _split(" ".join(item.split())))
    return [_read_sentence(piece) for piece in pieces if re.search(r"\w", _MARK.sub("", piece))]


def _split(text: str) -> Iterator[str]:
    start = 0
    for match in _END.finditer(text):
        if not _is_within(text[start : match.end()], text[match.end() :]):
            yield text[start : match.end()]
            start = match.end()
    yield text[start:]


def _is_within(before: str, after: str) -> bool:
    """Whether a full stop ends an abbreviation and no sentence."""
    before = before.lstrip()
    is_genus = _GENUS.search(before) and _SPECIES.match(after)
    # "1. It is a tRNA."
    is_counted = re.fullmatch(r"\d{1,2}\.", before)
    is_open = before.count("(") > before.count(")")
    return bool(is_genus or is_counted or is_open or _ABBREVIATED.search(before))


def _read_sentence(piece: str) -> WrittenSentence:
    numbers = [n for found in _MARK.findall(piece) for n in _read_numbers(found)]
    return WrittenSentence(_MARK.sub("", piece).strip(), tuple(dict.fromkeys(numbers)))


def _read_numbers(mark: str) -> Iterator[int]:
    for part in re.split(r"\s*[,;]\s*", mark):
        first, *last = map(int, re.split(r"\s*[–-]\s*", part))
        yield from range(first, max(first, *last, first) + 1) if last else (first,)


__all__ = ["WrittenSentence", "read_sentences"]
