"""The answers that earlier runs kept, gone through once more: nothing is sent, nothing written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rnagpt.rna_qa.literature.build.settings import LiteratureOptions, RunOptions
from rnagpt.rna_qa.literature.claims.annotate import annotate
from rnagpt.rna_qa.literature.claims.question_generation import ask
from rnagpt.rna_qa.literature.llm.expected_requests import KINDS, NOTHING, Requests, request_size
from rnagpt.rna_qa.literature.llm.language_model import Postponed, Request
from rnagpt.rna_qa.literature.llm.openai_model import OpenAiModel, read_answer
from rnagpt.rna_qa.literature.llm.service import open_model
from rnagpt.rna_qa.literature.records import Paper, Rna, Topics


@dataclass(frozen=True)
class Replayed:
    """The requests of one kind for one RNA.

    `asked` is all that are due, with the tokens to read as counted here; `answered` those with a
    kept answer, with the tokens that the service counted; `counted` the tokens of the latter as
    counted here.
    """

    asked: Requests = NOTHING
    answered: Requests = NOTHING
    counted: float = 0.0

    @property
    def is_answered(self) -> bool:
        return self.asked.requests == self.answered.requests


class KeptAnswers:
    """Answers as the model of a build does, but only what it answered before.

    What is not there is `Postponed`, so an RNA is followed as far as its answers go. One thread
    may ask at a time.
    """

    def __init__(self, model: OpenAiModel) -> None:
        self.name = model.name
        self._model = model
        self._replayed: dict[str, Replayed] = {}

    def count_tokens(self, text: str) -> int:
        """The tokens of a text, about."""
        return self._model.count_tokens(text)

    def ask(self, request: Request) -> Any:
        """The kept answer, parsed.

        Raises:
            RequestFailed: as it was raised when the answer came.
            Postponed: there is none.
        """
        key = self._model.key(request, self._model.body(request))
        answer = self._model.cache.get(key)
        if answer and not self._model.is_wanted(answer, request):
            answer = None
        size = request_size(request, self.count_tokens)
        one = self._replayed.get(request.schema_name, Replayed())
        one = replace(one, asked=one.asked.plus(Requests(1, size)))
        if answer:
            sent = Requests(1, answer.tokens_in, answer.tokens_out)
            one = replace(one, answered=one.answered.plus(sent), counted=one.counted + size)
        self._replayed[request.schema_name] = one
        if answer is None:
            raise Postponed("the request was not answered yet")
        return read_answer(answer, request.schema)

    def replay(
        self,
        rna: Rna,
        topics: Topics,
        papers: list[Paper],
        mode: str,
        options: LiteratureOptions,
    ) -> dict[str, Replayed]:
        """An RNA's requests by kind, as far as they are known from the kept answers.

        Kinds that hang on answers which are not there are left out; what an RNA turned out not to
        need is there with no request.
        """
        self._replayed = {}
        with suppress(Postponed):
            annotation = annotate(
                rna,
                topics,
                papers,
                self,
                mode,
                token_budget=options.token_budget,
                claims_per_topic=options.claims_per_topic,
            )
            ask(rna, annotation, self)
        reached = {}
        for kind in KINDS:
            reached[kind] = self._replayed.get(kind, Replayed())
            if not reached[kind].is_answered:
                break
        return reached


@contextmanager
def open_kept(
    path: Path, options: LiteratureOptions, run: RunOptions
) -> Iterator[KeptAnswers | None]:
    """The answers in the file `path`; None where there is no such file."""
    if not path.exists():
        yield None
        return
    # Nothing is sent, so a budget needs no prices.
    with open_model(path, options, replace(run, budget=None)) as model:
        yield KeptAnswers(model)


__all__ = ["KeptAnswers", "Replayed", "open_kept"]
