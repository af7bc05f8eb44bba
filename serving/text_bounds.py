"""A quick bound on a text's tokens, so that what cannot fit is not tokenised in full."""

from __future__ import annotations

from collections.abc import Callable, Iterable

# Letters that are tokenised at once: some milliseconds, after which another request gets its turn.
_PIECE = 8192
# A word that is cut between two pieces adds at most this many tokens.
_SLACK = 8


class TextBounds:
    """Finds texts that are too long at a cost bounded by the context, not by the text.

    Args:
        count: tokens of a text.
        longest_token: letters of the language model's longest one.
        context: tokens that the language model reads.

    Attributes:
        max_letters: that the context's tokens can stand for.
    """

    def __init__(self, count: Callable[[str], int], longest_token: int, context: int) -> None:
        self._count, self._context = count, context
        self.max_letters = context * longest_token

    def too_long(self, texts: Iterable[str]) -> bool:
        """Whether texts have certainly more tokens than the context; False where it is unsure."""
        texts = list(texts)
        if sum(map(len, texts)) > self.max_letters:
            return True
        tokens = 0
        for text in texts:
            if len(text) <= _PIECE:
                # Even if each letter were several tokens, this costs little to find out for sure.
                continue
            for begin in range(0, len(text), _PIECE):
                tokens += max(0, self._count(text[begin : begin + _PIECE]) - _SLACK)
                if tokens > self._context:
                    return True
        return False
