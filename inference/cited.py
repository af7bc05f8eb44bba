"""Answers from evidence: what a language model is asked, if at all, and what is made of its words.

The conversation, the batches, the server and the web demo decide by these functions, which need no
PyTorch. Searching is `search_rna`, understanding a question `rnagpt.evidence.answers.look_up`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from rnagpt.cleaning_rnagpt import CleanedRna
from rnagpt.evidence.answers import MODEL, CitedAnswer, LookUp, check_words
from rnagpt.evidence.gathering import Evidence, gather_evidence
from rnagpt.evidence.questions import Kind
from rnagpt.evidence.record_sentences import Sentence
from rnagpt.reference.library import MIN_LENGTH, Reference
from rnagpt.sequences.rna_types import named_type, with_article

MAX_NEW_TOKENS = 256
# nt; RNA-FM's own window: training hardly showed the model longer RNAs.
MAX_READ_LENGTH = 1_022
# The model's own confidence in a reading that is shown. Of 240 random, shuffled and coding
# sequences rna-gpt-mini gave a type to 0.90 with 0.96 or more, to 0.47 with 0.965 and to none with
# 0.97, and of 17 RNAs that the search misses to 6 the right one (none with 0.97): its readings are
# not shown.
# `rnagpt evaluate-answers --model` measures the types that are claimed for what is of none.
MIN_READING_CONFIDENCE = 0.97
# RNA-QA's own words, which the model was trained on.
TYPE_QUESTION = "What type of RNA is this?"
MAX_EARLIER = 3  # turns that a model behind an address is shown
# What a prompt does not hold: the records' own words answer, or say that they do not.
_NOT_IN_PROMPT = frozenset({Kind.UNKNOWABLE, Kind.COMPARE, Kind.ENERGY, Kind.STRUCTURE})
_TYPE_ANSWER = re.compile(r"(?:it|this(?: rna)?) is (?:an? )?(?P<type>.+?)\.?", re.IGNORECASE)


def may_read(bias: float | None) -> bool:
    """Whether a model's own confidence can ever be enough for its reading to be shown.

    Args:
        bias: `RnaGptConfig.confidence_bias`, the log-odds of a certain answer; None: uncalibrated.
    """
    return bias is not None and 0.5 + 0.5 * math.tanh(bias / 2) >= MIN_READING_CONFIDENCE


class PromptRejectedError(ValueError):
    """A prompt that a language model does not take: too long, or with a control token in it."""


@dataclass(frozen=True)
class Request:
    """What a language model is asked: about one RNA, without the conversation's other ones.

    Attributes:
        rna: that the question is about.
        text: the question, below the evidence where there is some.
        earlier: questions about this RNA and their answers, the last ones; for models that are
            shown text alone.
    """

    rna: CleanedRna
    text: str
    earlier: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Words:
    """What a language model wrote.

    Attributes:
        text: as it was written.
        log_probability: natural logarithm of its probability; None where that is not known.
        complete: False where it was cut short.
        confidence: how likely it is right by the model's own calibration; None without one.
    """

    text: str
    log_probability: float | None = None
    complete: bool = True
    confidence: float | None = None


class Writing(Protocol):
    """An answer that a language model is writing."""

    def step(self) -> bool:
        """Write a little; False at the end."""

    def words(self) -> Words:
        """What is written so far."""


class LanguageModel(Protocol):
    """What writes words: a model of this machine, or one behind an address.

    Attributes:
        reads_evidence: whether it is given records, and asked to answer from them.
        reads_rnas: whether it reads RNAs itself and `may_read`: whether its reading is asked for.
    """

    @property
    def reads_evidence(self) -> bool: ...

    @property
    def reads_rnas(self) -> bool: ...

    def for_conversation(self) -> LanguageModel:
        """The same model for one conversation, which asks one question at a time."""

    def begin(self, request: Request, max_new_tokens: int, generation: dict[str, Any]) -> Writing:
        """Begin an answer.

        Raises:
            PromptRejectedError: the prompt does not fit.
            ValueError: an option of `generation` does not.
        """

    def write_all(
        self,
        requests: Sequence[Request],
        batch_size: int,
        max_new_tokens: int,
        generation: dict[str, Any],
    ) -> Iterator[Words | None]:
        """The words for each request, in order; None for a prompt that does not fit."""


@dataclass(frozen=True)
class Plan:
    """How a question is answered.

    Attributes:
        look: the question with its evidence, and the records' answer.
        request: what the language model is asked; None where it is not needed.
        is_reading: it is asked for its own reading of the RNA, the search having found nothing.
    """

    look: LookUp
    request: Request | None = None
    is_reading: bool = False

    def conclude(self, words: Words | None) -> CitedAnswer:
        """The answer.

        Args:
            words: the model's; None where it was not asked, or its prompt did not fit.
        """
        if words is None or self.request is None:
            return self.look.answer
        if self.is_reading:
            return _with_reading(self.look, words)
        return check_words(words.text, self.look)


def plan_answer(
    look: LookUp,
    rnas: Sequence[CleanedRna],
    *,
    reads_evidence: bool,
    reads_rnas: bool,
    earlier: Sequence[tuple[str, str]] = (),
) -> Plan:
    """Decide whether a language model is asked, and what.

    Args:
        look: the question with its evidence.
        rnas: that the question is about, as many as `look.evidences`.
        reads_evidence: as of `LanguageModel`.
        reads_rnas: as of `LanguageModel`.
        earlier: as of `Request`; the last `MAX_EARLIER` are taken.
    """
    if len(look.evidences) != 1:
        return Plan(look)
    (evidence,), (rna,) = look.evidences, rnas
    if reads_evidence and evidence.items and look.question.kind not in _NOT_IN_PROMPT:
        text = f"{evidence.to_prompt()}\n\n{look.question.text}"
        return Plan(look, Request(rna, text, tuple(earlier[-MAX_EARLIER:])))
    if reads_rnas and look.is_readable and MIN_LENGTH <= evidence.facts.length <= MAX_READ_LENGTH:
        return Plan(look, Request(rna, TYPE_QUESTION), is_reading=True)
    return Plan(look)


def _with_reading(look: LookUp, words: Words) -> CitedAnswer:
    """That nothing was found, and the type that the model reads, where it is sure of one.

    Without a number: the model's confidence was calibrated on RNAs of known families, not on these.
    """
    rna_type = _type_in(words.text)
    sure = words.complete and words.confidence is not None
    if not sure or rna_type is None or (words.confidence or 0.0) < MIN_READING_CONFIDENCE:
        return look.answer
    said = f"By the model's own reading of the sequence, it may be {with_article(rna_type)}."
    return replace(
        look.answer,
        sentences=(*look.answer.sentences, Sentence(said, supported=False)),
        basis=MODEL,
    )


def _type_in(answer: str) -> str | None:
    """The type that "It is a riboswitch." names; None where it names none."""
    match = _TYPE_ANSWER.fullmatch(answer.strip())
    return named_type(match["type"]) if match else None


def open_reference(reference: Reference | str | Path | None) -> Reference | None:
    """A reference, opened where only its folder was given; None: there will be no search."""
    if reference is None or isinstance(reference, Reference):
        return reference
    return Reference.open(reference)


def name_rnas(rnas: Sequence[CleanedRna]) -> list[str]:
    """What answers call the RNAs: by their names, and "RNA 2" without one or where it is taken."""
    names: list[str] = []
    for number, rna in enumerate(rnas, start=1):
        is_free = rna.name and rna.name.lower() not in map(str.lower, names)
        names.append(rna.name if is_free else f"RNA {number}")
    return names


def search_rna(
    rna: CleanedRna,
    reference: Reference,
    name: str,
    *,
    first_number: int = 1,
    stop: Callable[[], bool] = lambda: False,
) -> Evidence:
    """The evidence about an RNA, its records numbered from `first_number`.

    Raises:
        SearchStoppedError: `stop` said so.
    """
    return gather_evidence(rna, reference, name=name, stop=stop).numbered_from(first_number)


__all__ = [
    "MAX_NEW_TOKENS",
    "MAX_READ_LENGTH",
    "MIN_READING_CONFIDENCE",
    "TYPE_QUESTION",
    "LanguageModel",
    "Plan",
    "PromptRejectedError",
    "Request",
    "Words",
    "Writing",
    "may_read",
    "name_rnas",
    "open_reference",
    "plan_answer",
    "search_rna",
]
