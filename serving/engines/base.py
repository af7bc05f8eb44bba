"""The interface of the engines that write answers: prompts in, streams of tokens out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

# Below it (vLLM's line too) a draw would give the likeliest token, or a quotient too large.
MIN_TEMPERATURE = 1e-5


@dataclass(frozen=True)
class Prompt:
    """A conversation, ready for the model.

    Attributes:
        inputs: of the service's prompt encoder, for one prompt: tokens (1, length) and RNAs as the
            processor gives them, or an `EncodedPrompt`.
        length: tokens, the RNAs' vectors included.
        room: tokens that the context has left for an answer.
    """

    inputs: Any
    length: int
    room: int


@dataclass(frozen=True)
class Sampling:
    """How an answer is chosen.

    Attributes:
        max_tokens: of the answer.
        temperature: 0 takes the likeliest token.
        top_p: sample from the fewest likeliest tokens whose probabilities sum to this (0 to 1).
        seed: of the draws; None: another one each time.
        log_probabilities: whether `Tokens` are to say how likely they were.
        top: whether they are to say it of each token too, with so many of the likeliest tokens in
            its place; None: they are not.
    """

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    log_probabilities: bool = False
    top: int | None = None

    @property
    def asks_how_likely(self) -> bool:
        """Whether the log-probability of each token is wanted."""
        return self.log_probabilities or self.top is not None


@dataclass(frozen=True)
class TokenProbability:
    """How likely a token was by the model itself, whatever the temperature.

    Attributes:
        id: of the token.
        log_probability: natural logarithm.
        top: ids of the likeliest tokens in its place with theirs, the likeliest first.
    """

    id: int
    log_probability: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Tokens:
    """A piece of an answer.

    Attributes:
        ids: new tokens, without the one that ends the answer.
        finish: in the last piece "stop", where the model ended the answer, or "length"; else None.
        log_probability: natural logarithm of the probability of these tokens, the one that ends the
            answer included; None where it was not asked for, or the engine does not say.
        probabilities: of each of `ids`; None where they were not asked for, or the engine does not
            say.
    """

    ids: tuple[int, ...]
    finish: str | None = None
    log_probability: float | None = None
    probabilities: tuple[TokenProbability, ...] | None = None


class EngineOverloadedError(RuntimeError):
    """No more requests can wait."""


class EngineClosedError(RuntimeError):
    """The engine does not run (any more)."""


class AnswerStream(Protocol):
    """An answer while it is written: `async for` gives its `Tokens`, the last with a `finish`."""

    def __aiter__(self) -> AnswerStream: ...

    async def __anext__(self) -> Tokens:
        """The next piece, as soon as it is there; raises what went wrong with this answer."""

    def cancel(self) -> None:
        """End the answer at its next token, if it has not ended."""


class Engine(Protocol):
    """Answers many prompts at once."""

    @property
    def context(self) -> int:
        """Tokens that the language model reads, the answer included."""

    @property
    def running(self) -> int:
        """Answers that are being written."""

    @property
    def waiting(self) -> int:
        """Answers that are not begun."""

    def submit(self, prompt: Prompt, samplings: Sequence[Sampling]) -> Sequence[AnswerStream]:
        """Begin an answer for each of `samplings`. Whoever goes away has to `cancel` them.

        Raises:
            EngineOverloadedError: too many wait; none is begun.
            EngineClosedError: the engine was closed.
        """

    async def close(self) -> None:
        """End all answers, and the engine."""


__all__ = [
    "MIN_TEMPERATURE",
    "AnswerStream",
    "Engine",
    "EngineClosedError",
    "EngineOverloadedError",
    "Prompt",
    "Sampling",
    "TokenProbability",
    "Tokens",
]
