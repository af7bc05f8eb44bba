"""A language model that writes what a test tells it to, and notes what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rnagpt.inference.cited import Request, Words


class ScriptedModel:
    """`write` makes the words of a request; they come in `steps` steps."""

    def __init__(
        self,
        write: Callable[[Request], Words | str],
        *,
        reads_evidence: bool = True,
        reads_rnas: bool = True,
        steps: int = 3,
    ) -> None:
        self.write = write
        self.reads_evidence = reads_evidence
        self.reads_rnas = reads_rnas
        self.steps = steps
        self.asked: list[Request] = []

    def for_conversation(self) -> ScriptedModel:
        return self

    def begin(
        self, request: Request, max_new_tokens: int, generation: dict[str, Any]
    ) -> ScriptedWriting:
        self.asked.append(request)
        return ScriptedWriting(self, request)

    def write_all(
        self,
        requests: Sequence[Request],
        batch_size: int,
        max_new_tokens: int,
        generation: dict[str, Any],
    ) -> Iterator[Words | None]:
        for request in requests:
            self.asked.append(request)
            yield self.words(request)

    def words(self, request: Request) -> Words:
        written = self.write(request)
        return Words(written) if isinstance(written, str) else written


class ScriptedWriting:
    def __init__(self, model: ScriptedModel, request: Request) -> None:
        self._model = model
        self._request = request
        self.taken = 0

    def step(self) -> bool:
        self.taken += 1
        return self.taken < self._model.steps

    def words(self) -> Words:
        return self._model.words(self._request)
