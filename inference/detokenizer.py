"""Incremental detokenizer: text from tokens as they come, no half character, no stop string."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

# What a decoder writes for bytes that are no whole character (yet).
_INCOMPLETE = "\ufffd"


class Decoder(Protocol):
    """A tokenizer, as far as it is needed here."""

    def decode(self, token_ids: list[int], *, skip_special_tokens: bool) -> Any:
        """The text of some tokens."""


class IncrementalDetokenizer:
    """The text of one answer while it is written.

    Args:
        tokenizer: of the language model.
        stop: strings before which the answer ends.

    Attributes:
        stopped: whether one of them came.
    """

    def __init__(self, tokenizer: Decoder, stop: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._stop = tuple(filter(None, stop))
        self._ids: list[int] = []
        # Tokens before the first of these two are decoded for good; those between them were handed
        # out, and are decoded again with what follows: a tokenizer may write a word's space by it.
        self._context, self._decoded = 0, 0
        self._held = ""
        self.stopped = False

    def add(self, ids: Sequence[int]) -> str:
        """The text that these tokens make certain."""
        self._ids += ids
        return self._release(self._decode())

    def finish(self) -> str:
        """What was held back, once no token follows."""
        text = self._release(self._decode(whole=True))
        rest, self._held = self._held, ""
        return text if self.stopped else text + rest

    def _decode(self, whole: bool = False) -> str:
        before = self._text(self._context, self._decoded)
        after = self._text(self._context, len(self._ids))
        if after.endswith(_INCOMPLETE) and not whole:
            return ""
        self._context, self._decoded = self._decoded, len(self._ids)
        return after[len(before) :]

    def _text(self, first: int, last: int) -> str:
        ids = self._ids[first:last]
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def _release(self, text: str) -> str:
        """All of what is held and `text` but what may be the beginning of a stop string."""
        if self.stopped:
            return ""
        text = self._held + text
        ends = [place for stop in self._stop if (place := text.find(stop)) >= 0]
        if ends:
            self.stopped, self._held = True, ""
            return text[: min(ends)]
        held = max((_overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]


def _overlap(text: str, stop: str) -> int:
    """How many letters at the end of a text are the beginning of `stop`."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)


__all__ = ["Decoder", "IncrementalDetokenizer"]
