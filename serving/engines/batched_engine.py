"""An engine in this process: many answers at once, a token of each at a time; needs no PyTorch."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from rnagpt.serving.engines.base import (
    AnswerStream,
    EngineClosedError,
    EngineOverloadedError,
    Prompt,
    Sampling,
    TokenProbability,
    Tokens,
)

logger = logging.getLogger(__name__)

# Tokens of a long prompt that are read between two steps of the answers that are being written or
# wait, and where there are none. A prompt of no more than the second is read at once.
READ_BETWEEN_STEPS, READ_AT_ONCE = 64, 512


class Sampler(Protocol):
    """Chooses the tokens of one answer, by logits (vocabulary,)."""

    def choose(self, logits: Any) -> int:
        """A token."""

    def probability(self, logits: Any, token: int) -> TokenProbability | None:
        """How likely it was; None where that was not asked for."""


class PromptReading(Protocol):
    """A prompt that is read a piece at a time."""

    def read_on(self, tokens: int) -> Any | None:
        """Read so many tokens more; the logits (vocabulary,) after the last, None before."""

    def close(self) -> None:
        """Nobody reads on, and it will not join."""


class Batch(Protocol):
    """The state of the answers that are being written, one row per answer.

    Logits are arrays of whatever library computes them; only its `sampler` looks into them.

    Attributes:
        cells: tokens that all rows together may come to, prompts included; None: memory decides.
    """

    cells: int | None

    def __len__(self) -> int: ...

    def sampler(self, sampling: Sampling) -> Sampler:
        """What chooses the tokens of an answer."""

    def add(self, prompt: Prompt) -> Any:
        """Read a prompt, the last row from now on; the logits (vocabulary,) of its next token."""

    def begin(self, prompt: Prompt) -> PromptReading:
        """A long prompt, to be read a piece at a time between the steps."""

    def join(self, reading: Any) -> None:
        """Take a prompt of `begin` that is read as the last row from now on."""

    def step(self, tokens: list[int]) -> Any:
        """Append a token to each row; the logits (rows, vocabulary) of those that follow."""

    def keep(self, rows: list[int]) -> None:
        """Drop all rows but these."""


@dataclass(eq=False)
class _Answer:
    """One answer, from the queue to its end; an `AnswerStream` for the loop that submitted it."""

    prompt: Prompt
    sampling: Sampling
    sampler: Sampler
    loop: asyncio.AbstractEventLoop
    pieces: asyncio.Queue[Tokens | BaseException] = field(default_factory=asyncio.Queue)
    cancelled: bool = False
    ended: bool = False
    written: int = 0
    last: int = 0

    def __aiter__(self) -> _Answer:
        return self

    async def __anext__(self) -> Tokens:
        if self.ended:
            raise StopAsyncIteration
        piece = await self.pieces.get()
        self.ended = isinstance(piece, BaseException) or piece.finish is not None
        if isinstance(piece, BaseException):
            raise piece
        return piece

    def cancel(self) -> None:
        self.cancelled = True

    def send(self, piece: Tokens | BaseException) -> None:
        """From the engine's thread to the loop that reads; nowhere, where that has ended."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.pieces.put_nowait, piece)


class BatchedEngine:
    """Writes answers in a thread of its own, one token per answer at a time.

    Between two tokens one prompt that waits is read and joins them, or a piece of a long one, which
    so delays the others by no more than its share. Long ones take turns. An answer is the same, up
    to rounding, as if it were the only one.

    Args:
        batch: what reads prompts and gives tokens' logits.
        context: tokens that the language model reads, the answer included.
        ends: tokens that end an answer.
        max_batch: answers that are written at once; the others wait.
        max_waiting: answers that may wait.
    """

    def __init__(
        self,
        batch: Batch,
        context: int,
        ends: Collection[int],
        max_batch: int = 32,
        max_waiting: int = 128,
    ) -> None:
        self.max_batch, self.max_waiting = max_batch, max_waiting
        self._batch, self._context, self._ends = batch, context, frozenset(ends)
        self._running: list[_Answer] = []
        # Whether a prompt is being read, whose answer is in neither list.
        self._reading = False
        # Long prompts of which a part is read, with their answers.
        self._readings: deque[tuple[_Answer, PromptReading]] = deque()
        self._waiting: deque[_Answer] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="answers", daemon=True)
        self._thread.start()

    @property
    def context(self) -> int:
        return self._context

    @property
    def running(self) -> int:
        return len(self._running) + len(self._readings) + self._reading

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def submit(self, prompt: Prompt, samplings: Sequence[Sampling]) -> Sequence[AnswerStream]:
        loop = asyncio.get_running_loop()
        sampler = self._batch.sampler
        answers = [_Answer(prompt, one, sampler(one), loop) for one in samplings]
        with self._changed:
            if self._closed:
                raise EngineClosedError("The engine was closed.")
            self._waiting = deque(one for one in self._waiting if not one.cancelled)
            unfinished = self.running + self.waiting + len(answers)
            if unfinished > self.max_batch + self.max_waiting:
                raise EngineOverloadedError(f"{len(self._waiting)} answers wait already.")
            self._waiting += answers
            self._changed.notify()
        return answers

    async def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._waiting or self.running)
                if self._closed:
                    break
                new = self._next_waiting()
            self._drop_finished([answer.cancelled for answer in self._running])
            if new is not None:
                self._begin(new)
            if self._readings:
                self._read_on()
            if self._running:
                self._step()
        begun = [answer for answer, _ in self._readings]
        for answer in [*self._running, *begun, *self._waiting]:
            answer.send(EngineClosedError("The engine was closed while this answer was written."))

    def _next_waiting(self) -> _Answer | None:
        while self._waiting and self.running < self.max_batch:
            first = self._waiting[0]
            # Whoever waits longest goes first: a long prompt must not wait for ever.
            if not first.cancelled and not self._has_room(first):
                return None
            answer = self._waiting.popleft()
            if not answer.cancelled:
                self._reading = True
                return answer
        return None

    def _has_room(self, answer: _Answer) -> bool:
        if self._batch.cells is None:
            return True
        others = [*self._running, *(other for other, _ in self._readings)]
        return sum(map(_need, [*others, answer])) <= self._batch.cells

    def _begin(self, answer: _Answer) -> None:
        """Read a prompt; what fails here concerns only this answer."""
        try:
            if answer.prompt.length > READ_AT_ONCE:
                self._readings.append((answer, self._batch.begin(answer.prompt)))
                return
            logits = self._batch.add(answer.prompt)
        except Exception as error:
            logger.exception("A prompt could not be read.")
            answer.send(error)
            return
        finally:
            self._reading = False
        self._join(answer, logits)

    def _read_on(self) -> None:
        """Read a piece of the long prompt whose turn it is."""
        answer, reading = self._readings.popleft()
        if answer.cancelled:
            reading.close()
            return
        alone = not (self._running or self._waiting)
        try:
            logits = reading.read_on(READ_AT_ONCE if alone else READ_BETWEEN_STEPS)
            if logits is not None:
                self._batch.join(reading)
        except Exception as error:
            logger.exception("A prompt could not be read.")
            reading.close()
            answer.send(error)
            return
        if logits is None:
            self._readings.append((answer, reading))
        else:
            self._join(answer, logits)

    def _join(self, answer: _Answer, logits: Any) -> None:
        """Choose the first token of an answer that has become the batch's last row."""
        self._running.append(answer)
        self._drop_finished([*[False] * (len(self._running) - 1), self._advance(answer, logits)])

    def _step(self) -> None:
        try:
            logits = self._batch.step([answer.last for answer in self._running])
        except Exception as error:
            # Memory, most likely. All of these share the pass; those that wait do not.
            logger.exception("%d answers could not be continued.", len(self._running))
            for answer in self._running:
                answer.send(error)
            self._drop_finished([True] * len(self._running))
            return
        pairs = zip(self._running, logits, strict=True)
        self._drop_finished([self._advance(answer, row) for answer, row in pairs])

    def _advance(self, answer: _Answer, logits: Any) -> bool:
        """Choose an answer's next token; whether it was the last."""
        try:
            token = answer.sampler.choose(logits)
        except Exception as error:
            logger.exception("No token could be chosen.")
            answer.send(error)
            return True
        probability = answer.sampler.probability(logits, token)
        chance = None if probability is None else probability.log_probability
        if token in self._ends:
            answer.send(Tokens((), "stop", chance))
            return True
        answer.last = token
        answer.written += 1
        full = answer.written >= min(answer.sampling.max_tokens, answer.prompt.room)
        each = None if probability is None else (probability,)
        answer.send(Tokens((token,), "length" if full else None, chance, each))
        return full

    def _drop_finished(self, finished: Sequence[bool]) -> None:
        if not any(finished):
            return
        rows = [row for row, done in enumerate(finished) if not done]
        self._batch.keep(rows)
        self._running = [self._running[row] for row in rows]


def _need(answer: _Answer) -> int:
    """Tokens that an answer may come to, its prompt included."""
    return answer.prompt.length + min(answer.sampling.max_tokens, answer.prompt.room)


__all__ = ["Batch", "BatchedEngine", "PromptReading", "Sampler"]
