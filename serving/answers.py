"""The answers to one request, while they are written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from rnagpt.inference.detokenizer import IncrementalDetokenizer
from rnagpt.serving.engines.base import AnswerStream, Engine, Prompt, Sampling
from rnagpt.serving.metrics import Metrics


@dataclass(frozen=True)
class Piece:
    """More text of one of the answers.

    Attributes:
        index: which.
        text: may be empty.
        finish: "stop" or "length" in the last piece, else None.
    """

    index: int
    text: str
    finish: str | None


class Answers:
    """Begins the answers to a request, and gives their text as it comes.

    Args:
        engine: writes them.
        tokenizer: of the language model.
        metrics: updated as tokens come.
        prompt, samplings: see `Engine.submit`, as do the errors.
        stop: strings before which an answer ends.

    Attributes:
        completion_tokens: written so far.
        log_probabilities: of each answer so far; None where the engine does not say.
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: PreTrainedTokenizerBase,
        metrics: Metrics,
        prompt: Prompt,
        samplings: Sequence[Sampling],
        stop: Sequence[str],
    ) -> None:
        self._began = time.monotonic()
        self._streams = engine.submit(prompt, samplings)
        self._texts = [IncrementalDetokenizer(tokenizer, stop) for _ in self._streams]
        self._metrics = metrics
        self.completion_tokens = 0
        self.log_probabilities: list[float | None] = [0.0] * len(self._streams)
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
        return texts, finishes

    def cancel(self) -> None:
        """End what is still written."""
        for stream in self._streams:
            stream.cancel()

    async def _read(
        self, index: int, stream: AnswerStream, ready: asyncio.Queue[Piece | BaseException]
    ) -> None:
        text = self._texts[index]
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
                ready.put_nowait(Piece(index, new, finish))
                if finish is not None:
                    return
        except Exception as error:
            ready.put_nowait(error)

    def _add_probability(self, index: int, more: float | None) -> None:
        known = self.log_probabilities[index]
        self.log_probabilities[index] = None if known is None or more is None else known + more
