"""The answers to one request, while they are written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from rnagpt.inference.detokenizer import IncrementalDetokenizer
from rnagpt.serving.engines.base import (
    AnswerStream,
    Engine,
    Prompt,
    Sampling,
    TokenProbability,
    Tokens,
)
from rnagpt.serving.metrics import Metrics
from rnagpt.serving.prompt_encoders import PromptEncoder
from rnagpt.serving.token_logprobs import TokenBytes, TokenTrace


@dataclass(frozen=True)
class Piece:
    """More text of one of the answers.

    Attributes:
        index: which.
        text: may be empty.
        finish: "stop" or "length" in the last piece, else None.
        logprobs: the tokens of the text as OpenAI has them; empty where they were not asked for.
    """

    index: int
    text: str
    finish: str | None
    logprobs: Sequence[dict[str, Any]] = ()


class Answers:
    """Begins the answers to a request, and gives their text as it comes.

    Args:
        engine: writes them.
        encoder: of the language model's prompts.
        metrics: updated as tokens come.
        prompt, samplings: see `Engine.submit`, as do the errors.
        stop: strings before which an answer ends.

    Attributes:
        completion_tokens: written so far.
        log_probabilities: of each answer so far; None where the engine does not say.
        logprobs: the tokens of each answer, as OpenAI has them, that `whole` has read; None where
            they were not asked for.
    """

    def __init__(
        self,
        engine: Engine,
        encoder: PromptEncoder,
        metrics: Metrics,
        prompt: Prompt,
        samplings: Sequence[Sampling],
        stop: Sequence[str],
    ) -> None:
        self._began = time.monotonic()
        self._streams = engine.submit(prompt, samplings)
        self._texts = [IncrementalDetokenizer(encoder.decoder, stop) for _ in self._streams]
        self._metrics = metrics
        self.completion_tokens = 0
        self.log_probabilities: list[float | None] = [0.0] * len(self._streams)
        self._traces = [
            None if sampling.top is None else TokenTrace(TokenBytes(encoder.tokenizer))
            for sampling in samplings
        ]
        self.logprobs: list[list[dict[str, Any]] | None] = [
            None if sampling.top is None else [] for sampling in samplings
        ]
        metrics.prompt_tokens.inc(prompt.length)

    async def pieces(self) -> AsyncIterator[Piece]:
        """The pieces of all answers, as they come. Whoever leaves early has to `cancel`."""
        ready: asyncio.Queue[Piece | BaseException] = asyncio.Queue()
        readers = [
            asyncio.create_task(self._read(index, stream, ready))
            for index, stream in enumerate(self._streams)
        ]
        try:
            unfinished = len(readers)
            while unfinished:
                piece = await ready.get()
                if isinstance(piece, BaseException):
                    raise piece
                unfinished -= piece.finish is not None
                yield piece
        finally:
            for reader in readers:
                reader.cancel()
            self.cancel()
            self._metrics.request_seconds.observe(time.monotonic() - self._began)

    async def whole(self) -> tuple[list[str], list[str]]:
        """Texts and reasons of finishing, once all are there."""
        texts = [""] * len(self._streams)
        finishes = [""] * len(self._streams)
        async for piece in self.pieces():
            texts[piece.index] += piece.text
            finishes[piece.index] = piece.finish or ""
            if (known := self.logprobs[piece.index]) is not None:
                known += piece.logprobs
        return texts, finishes

    def cancel(self) -> None:
        """End what is still written."""
        for stream in self._streams:
            stream.cancel()

    async def _read(
        self, index: int, stream: AnswerStream, ready: asyncio.Queue[Piece | BaseException]
    ) -> None:
        text, trace = self._texts[index], self._traces[index]
        try:
            async for tokens in stream:
                if not self.completion_tokens:
                    self._metrics.first_token_seconds.observe(time.monotonic() - self._began)
                self.completion_tokens += len(tokens.ids)
                self._add_probability(index, tokens.log_probability)
                self._metrics.completion_tokens.inc(len(tokens.ids))
                new = text.add(tokens.ids)
                finish = tokens.finish
                if finish is not None:
                    new += text.finish()
                if text.stopped:
                    finish = "stop"
                    stream.cancel()
                logprobs: Sequence[dict[str, Any]] = ()
                if trace is not None:
                    trace.add(_told(tokens))
                    at_end = finish is not None and not text.stopped
                    logprobs = trace.release(new, at_end=at_end)
                ready.put_nowait(Piece(index, new, finish, logprobs))
                if finish is not None:
                    return
        except Exception as error:
            ready.put_nowait(error)

    def _add_probability(self, index: int, more: float | None) -> None:
        known = self.log_probabilities[index]
        self.log_probabilities[index] = None if known is None or more is None else known + more


def _told(tokens: Tokens) -> Sequence[TokenProbability]:
    """How likely each token was.

    Raises:
        RuntimeError: the engine does not say, so that an answer would come without.
    """
    if tokens.probabilities is None or len(tokens.probabilities) != len(tokens.ids):
        raise RuntimeError("This engine does not say how likely its tokens were.")
    return tokens.probabilities
