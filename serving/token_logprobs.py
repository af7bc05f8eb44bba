"""Tokens with their probabilities, in the shape of OpenAI's `logprobs`, as their text comes."""

from __future__ import annotations

import codecs
import re
from collections import deque
from collections.abc import Sequence
from functools import cache
from typing import Any

from tokenizers import Tokenizer

from rnagpt.serving.engines.base import TokenProbability

# What OpenAI says of a token that cannot be: JSON has no infinity.
_IMPOSSIBLE = -9999.0
_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class TokenBytes:
    """What each token of a tokenizer is in a text.

    Args:
        tokenizer: a byte-level one, or one that writes spaces as SentencePiece does.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        added = tokenizer.get_added_tokens_decoder()
        self._special = frozenset(number for number, token in added.items() if token.special)
        self._byte_level = "ByteLevel" in repr(tokenizer.decoder)

    def piece(self, token: int) -> str:
        """A token as the vocabulary has it; empty where it has none of this number."""
        return str(self._tokenizer.id_to_token(token) or "")

    def of(self, token: int, is_first: bool) -> bytes | None:
        """The bytes of a token; None for a control token, which no text shows.

        Args:
            token: its number.
            is_first: whether no token stands before it, where some tokenizers write no space.
        """
        if token in self._special:
            return None
        piece = self.piece(token)
        if self._byte_level:
            letters = _bytes_of_letters()
            known = all(letter in letters for letter in piece)
            return bytes(letters[letter] for letter in piece) if known else piece.encode()
        if match := _BYTE_PIECE.fullmatch(piece):
            return bytes([int(match[1], 16)])
        if is_first:
            return str(self._tokenizer.decode([token], skip_special_tokens=False)).encode()
        return piece.replace("\u2581", " ").encode()


@cache
def _bytes_of_letters() -> dict[str, int]:
    """GPT-2's letters for bytes: printable ones stand for themselves, others follow U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = (byte for byte in range(256) if byte not in printable)
    return {
        **{chr(byte): byte for byte in printable},
        **{chr(0x100 + place): byte for place, byte in enumerate(others)},
    }


class TokenTrace:
    """The tokens of one answer, given out with the text that they are part of.

    Args:
        tokens: of the language model.
    """

    def __init__(self, tokens: TokenBytes) -> None:
        self._tokens = tokens
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._decoded = self._released = 0  # letters
        self._is_first = True
        # With the letter at which each begins.
        self._held: deque[tuple[int, dict[str, Any]]] = deque()

    def add(self, probabilities: Sequence[TokenProbability]) -> None:
        """Tokens that were written."""
        for one in probabilities:
            entry = self._entry(one.id, one.log_probability)
            entry["top_logprobs"] = [self._entry(*likely) for likely in one.top]
            self._held.append((self._decoded, entry))
            if written := self._tokens.of(one.id, self._is_first):
                self._decoded += len(self._utf8.decode(written))
                self._is_first = False

    def release(self, text: str, *, at_end: bool) -> list[dict[str, Any]]:
        """The tokens of more text, also those that it shows in part.

        Args:
            text: that is handed out.
            at_end: whether the answer ends here and no stop string cut it, so that all is shown.
        """
        self._released += len(text)
        released = []
        while self._held and (at_end or self._held[0][0] < self._released):
            released.append(self._held.popleft()[1])
        return released

    def _entry(self, token: int, log_probability: float) -> dict[str, Any]:
        written = self._tokens.of(token, self._is_first)
        return {
            "token": self._tokens.piece(token) if written is None else _shown(written),
            "logprob": max(log_probability, _IMPOSSIBLE),
            "bytes": None if written is None else list(written),
        }


def _shown(written: bytes) -> str:
    """A token as text; as OpenAI has it, in escaped bytes where it is no whole character."""
    try:
        return written.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in written)


__all__ = ["TokenBytes", "TokenTrace"]
