"""Answers from evidence to a request: searched, looked up, perhaps written, checked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol

from rnagpt.cleaning_rnagpt import CleanedRna
from rnagpt.evidence.answers import CitedAnswer, look_up
from rnagpt.evidence.gathering import Evidence
from rnagpt.inference.cited import (
    Plan,
    PromptRejectedError,
    Words,
    may_read,
    name_rnas,
    plan_answer,
)
from rnagpt.inference.confidence import Calibration, confidence_of
from rnagpt.inference.model_config import read_model_config
from rnagpt.serving.answers import Answers
from rnagpt.serving.engines.base import Prompt, Sampling
from rnagpt.serving.openai_api import ApiError, ChatRequest
from rnagpt.serving.prompts import Conversation, Prompts
from rnagpt.serving.searches import Searches

LOOK_UPS = 8  # at once


class ModelSettings(Calibration, Protocol):
    """What a model's `RnaGptConfig` says of answers from evidence."""

    @property
    def reads_evidence(self) -> bool: ...


@dataclass(frozen=True)
class FileSettings:
    """As much of it as answers need, read without transformers."""

    reads_evidence: bool
    confidence_scale: float | None
    confidence_bias: float | None

    @classmethod
    def of(cls, name_or_path: str) -> FileSettings:
        """Those of a folder or Hub id.

        Raises:
            OSError, ValueError: as of `read_model_config`.
        """
        fields = read_model_config(name_or_path, {})
        scale, bias = (fields.get(f"confidence_{name}") for name in ("scale", "bias"))
        return cls(bool(fields.get("reads_evidence")), scale, bias)


Begin = Callable[[Prompt, Sequence[Sampling]], Answers]


@dataclass(frozen=True)
class CitedReply:
    """The answers to a request, one for each of its choices.

    Attributes:
        texts: as the client reads them.
        finishes: "stop", or "length" where the model's words were cut short.
        extras: what a message carries beside its text; see `openai_api.CitedMessage`.
        prompt_tokens, completion_tokens: that the language model read and wrote; 0 where it was not
            asked.
    """

    texts: list[str]
    finishes: list[str]
    extras: list[dict[str, Any]]
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True)
class _Written:
    """The language model's words for each choice; one None where it was not asked."""

    words: Sequence[Words | None] = (None,)
    prompt_tokens: int = 0
    completion_tokens: int = 0


class CitedAnswers:
    """Answers requests from the records that their RNAs match.

    Args:
        prompts: for the engine.
        searches: of the RNAs.
        begin: begins answers of the engine; its errors are those of `reply`.
        config: the model's: whether it reads evidence, and how its confidence was calibrated. None:
            it does not, and was not.
    """

    def __init__(
        self, prompts: Prompts, searches: Searches, begin: Begin, config: ModelSettings | None
    ) -> None:
        self._prompts, self._searches, self._begin = prompts, searches, begin
        self._config = config
        # Several: one may wait for a process that folds its RNA.
        self._threads = ThreadPoolExecutor(LOOK_UPS, "look-up")

    async def reply(self, request: ChatRequest, conversation: Conversation) -> CitedReply:
        """Answer a request.

        Raises:
            ApiError: the question is about an RNA that was not given.
            EngineOverloadedError: too many requests wait.
        """
        evidences = await self._evidences(conversation.rnas)
        plan = await self._in_thread(self._plan, conversation, evidences)
        written = await self._write(plan, request)
        answers = await self._in_thread(lambda: [plan.conclude(words) for words in written.words])
        return _reply(request, conversation, plan, answers, written)

    async def _in_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    async def _evidences(self, rnas: Sequence[CleanedRna]) -> list[Evidence]:
        """What is known of each RNA, under its name, the records numbered through."""
        evidences: list[Evidence] = []
        number = 1
        for rna, name in zip(rnas, name_rnas(rnas), strict=True):
            found = replace(await self._searches.find(rna), name=name)
            evidences.append(found.numbered_from(number))
            number += len(found.items)
        return evidences

    def _plan(self, conversation: Conversation, evidences: Sequence[Evidence]) -> Plan:
        try:
            look = look_up(conversation.question, evidences)
        except ValueError as error:
            raise ApiError(400, str(error), param="messages", code="rna_not_given") from error
        return plan_answer(
            look,
            [conversation.rnas[place] for place in look.about.places],
            reads_evidence=self._config is not None and self._config.reads_evidence,
            reads_rnas=self._config is not None and may_read(self._config.confidence_bias),
        )

    async def _write(self, plan: Plan, request: ChatRequest) -> _Written:
        if plan.request is None:
            return _Written()
        try:
            prompt = await asyncio.to_thread(self._prompts.about_one, plan.request)
        except PromptRejectedError:
            return _Written()  # the records' own words answer
        answers = self._begin(prompt, self._samplings(plan, request, prompt))
        texts, finishes = await answers.whole()
        words = [
            self._words(*one)
            for one in zip(texts, finishes, answers.log_probabilities, strict=True)
        ]
        return _Written(words, prompt.length, answers.completion_tokens)

    def _samplings(self, plan: Plan, request: ChatRequest, prompt: Prompt) -> list[Sampling]:
        if not plan.is_reading:
            return self._prompts.samplings(request, prompt.room)
        # Another question than the client's, and the confidence was measured on greedy answers.
        longest = min(self._prompts.limits.max_tokens, prompt.room)
        return [Sampling(longest, log_probabilities=True)]

    def _words(self, text: str, finish: str, log_probability: float | None) -> Words:
        is_complete = finish == "stop"
        confidence = None
        # An engine that does not say how likely its words were leaves the model's own reading
        # without a measured confidence. `Plan.conclude` shows no such reading, and says that
        # nothing is known of the RNA.
        if log_probability is not None and self._config is not None:
            confidence = confidence_of(self._config, text, log_probability, is_complete)
        return Words(text, log_probability, is_complete, confidence)


def _reply(
    request: ChatRequest,
    conversation: Conversation,
    plan: Plan,
    answers: Sequence[CitedAnswer],
    written: _Written,
) -> CitedReply:
    if len(answers) < request.n:
        answers = [answers[0]] * request.n  # without draws all choices are the same
    words = list(written.words) * (request.n // len(written.words))
    records = [record for evidence in plan.look.evidences for record in evidence.to_dict()]
    return CitedReply(
        [conversation.note + _cut(answer.text, request.stop_strings) for answer in answers],
        [_finish(plan, *pair) for pair in zip(answers, words, strict=True)],
        [{"evidence": records, **answer.to_dict()} for answer in answers],
        written.prompt_tokens,
        written.completion_tokens,
    )


def _finish(plan: Plan, answer: CitedAnswer, words: Words | None) -> str:
    """Record answers are whole, however few tokens were asked for: half a citation misleads."""
    is_written = words is not None and answer is not plan.look.answer and not plan.is_reading
    return "length" if is_written and words is not None and not words.complete else "stop"


def _cut(text: str, stops: Sequence[str]) -> str:
    """A text to the first of some strings."""
    return text[: min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))]


__all__ = ["CitedAnswers", "CitedReply", "FileSettings", "ModelSettings"]
