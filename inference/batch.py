"""Many questions about many RNAs, each on its own, in batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnagpt.cleaning_rnagpt import MAX_AMBIGUOUS, CleanedRna
from rnagpt.evidence.answers import MODEL, NONE, look_up
from rnagpt.evidence.gathering import Item
from rnagpt.evidence.questions import find_about
from rnagpt.inference.abstention import is_abstention
from rnagpt.inference.cited import (
    MAX_NEW_TOKENS,
    LanguageModel,
    Plan,
    Words,
    open_reference,
    plan_answer,
    search_rna,
)
from rnagpt.inference.local_model import LocalModel, as_language_model
from rnagpt.reference.library import MAX_LENGTH, Reference
from rnagpt.sequences.fasta import clean_rnas

if TYPE_CHECKING:
    from rnagpt.modeling_rnagpt import RnaGptForCausalLM
    from rnagpt.processing_rnagpt import RnaGptProcessor

# Answers that wait for the model's words are written together, up to N batches of them.
_BATCHES_TOGETHER = 4


@dataclass(frozen=True)
class Answer:
    """The answer to one question about one RNA.

    Attributes:
        record: which RNA, counted from 1 (names may repeat).
        name: the RNA's name; "RNA 1" and so on where it has none.
        length: the RNA's length in nt.
        changes: what cleaning changed in the sequence, such as "12 T read as U".
        question: the question as given.
        answer: the answer with its citations, or the model's words without white space around
            them.
        written: its words without citations, or as the model wrote them, which is what
            `explain_answer` explains.
        complete: False where `max_new_tokens` or the context's end cut the model's words short.
        log_probability: the natural logarithm of the probability of the model's words: the sum
            over its tokens, the one that ends them included; None where no model was asked.
        confidence: how likely the answer is right, from 0 to 1; None where it was not calibrated.
        abstains: whether the answer is that this is not known.
        basis: what it rests on: "records", "sequence", "model" (its words, or its own reading), or
            "none".
        about: names of the RNAs that it is about.
        evidence: the records that the RNA matches, numbered, as `Evidence.to_dict` gives them.
        sentences: of the answer, each with the records that support it, as `CitedAnswer.to_dict`
            gives them; empty for a model's words without a reference.
        items: of the evidence, with their records whole.
    """

    record: int
    name: str
    length: int
    changes: tuple[str, ...]
    question: str
    answer: str
    written: str
    complete: bool
    log_probability: float | None
    confidence: float | None
    abstains: bool
    basis: str = MODEL
    about: tuple[str, ...] = ()
    evidence: tuple[dict[str, Any], ...] = ()
    sentences: tuple[dict[str, Any], ...] = ()
    items: tuple[Item, ...] = field(default=(), repr=False)

    @property
    def cites(self) -> tuple[int, ...]:
        """Numbers of the records that it cites, in their order."""
        return tuple(dict.fromkeys(n for one in self.sentences for n in one["records"]))

    @property
    def sources(self) -> dict[int, str]:
        """The line below an answer for each record, by its number; see `Item.line`."""
        return {item.number: item.line for item in self.items}

    def as_row(self) -> dict[str, Any]:
        """What programs read of an answer: all but `written` and `items`."""
        hidden = ("written", "items")
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name not in hidden}


@dataclass(frozen=True, eq=False)
class _Asked:
    """A question about an RNA."""

    record: int
    rna: CleanedRna
    question: str

    @property
    def name(self) -> str:
        return self.rna.name or f"RNA {self.record}"


def answer_questions(
    model: RnaGptForCausalLM | LanguageModel,
    processor: RnaGptProcessor | None,
    rnas: Iterable[str | CleanedRna],
    questions: Sequence[str],
    *,
    reference: Reference | str | Path | None = None,
    batch_size: int = 8,
    max_new_tokens: int = MAX_NEW_TOKENS,
    skip: int = 0,
    **generation: Any,
) -> Iterator[Answer]:
    """Ask every question about every RNA, each on its own.

    Answers come in order, all questions of the first RNA first, as soon as they are there. With a
    reference an RNA is searched once, and answered about as `RnaChat` does; a `LocalModel` whose
    words are not needed is not loaded. What the model writes it writes in batches: prompts of
    similar length share one, and an RNA is encoded once for all its questions.

    Args:
        model: an RNA-GPT, or a `LocalModel` or `RemoteModel`, which need no processor.
        processor: the model's.
        rnas: sequences or FASTA records as text, or what `clean_rna` made of them. With a
            reference each may have up to 10 million nt, else as many as the model reads.
        questions: plain text.
        reference: what RNAs are searched in, or its folder; None: the model alone answers.
        batch_size: prompts that the language model answers at once.
        max_new_tokens: the most tokens that it writes; less where its context ends before.
        skip: leave out so many answers, those that an earlier run gave.
        **generation: for `model.generate`; greedy by default.

    Raises:
        RnaSequenceError: when sequences are rejected; it tells of all of them.
        TypeError: for one sequence in place of several, or what is no sequence.
        ValueError: when a question is empty or names another RNA, or, without a reference, when a
            prompt does not fit the language model's context or holds a control token. All of these
            before the first answer.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
    language = as_language_model(model, processor)
    opened = open_reference(reference)
    if opened is None:
        if not isinstance(language, LocalModel):
            raise ValueError(
                "A model behind an address answers from records: give a reference to search in."
            )
        limits = language.limits
    else:
        limits = {"max_length": MAX_LENGTH, "max_ambiguous": MAX_AMBIGUOUS}
    cleaned = clean_rnas(rnas, **limits)
    for question in questions:
        if not question.strip():
            raise ValueError("A question is empty.")
    asked = [
        _Asked(record, rna, question)
        for record, rna in enumerate(cleaned, start=1)
        for question in questions
    ]
    if opened is not None:
        for one in asked:
            find_about(one.question, [one.name])
    asked = asked[skip:]
    if opened is None and isinstance(language, LocalModel):
        return _answers_of_model(language, asked, batch_size, max_new_tokens, generation)
    assert opened is not None
    return _Batches(language, opened, batch_size, max_new_tokens, generation).answers(asked)


def _answers_of_model(
    language: LocalModel,
    asked: Sequence[_Asked],
    batch_size: int,
    max_new_tokens: int,
    generation: dict[str, Any],
) -> Iterator[Answer]:
    """The model's own words to every question."""
    language.load()
    prompts = []
    for one in asked:
        try:
            prompts.append(language.prompt(one.record, one.rna.sequence, one.question))
        except ValueError as error:
            raise ValueError(f"{one.name}: {error}") from error
    words = language.write_prompts(prompts, batch_size, max_new_tokens, generation)
    return map(_answer_in_words, asked, words)


def _answer_in_words(asked: _Asked, words: Words) -> Answer:
    abstains = is_abstention(words.text)
    return Answer(
        record=asked.record,
        name=asked.name,
        length=len(asked.rna.sequence),
        changes=asked.rna.changes,
        question=asked.question,
        answer=words.text.strip(),
        written=words.text,
        complete=words.complete,
        log_probability=words.log_probability,
        confidence=words.confidence,
        abstains=abstains,
        basis=NONE if abstains else MODEL,
        about=(asked.name,),
    )


class _Batches:
    """Answers from evidence, of which those that need the model's words are written together."""

    def __init__(
        self,
        language: LanguageModel,
        reference: Reference,
        batch_size: int,
        max_new_tokens: int,
        generation: dict[str, Any],
    ) -> None:
        self.language = language
        self.reference = reference
        self.batch_size = batch_size
        self.max_new_tokens = max_new_tokens
        self.generation = generation

    def answers(self, asked: Sequence[_Asked]) -> Iterator[Answer]:
        waiting: list[tuple[_Asked, Plan]] = []
        for one, plan in self._plans(asked):
            if plan.request is None and not waiting:
                yield _cited_answer(one, plan, None)
                continue
            waiting.append((one, plan))
            if len(waiting) >= self.batch_size * _BATCHES_TOGETHER:
                yield from self._written(waiting)
                waiting = []
        yield from self._written(waiting)

    def _plans(self, asked: Sequence[_Asked]) -> Iterator[tuple[_Asked, Plan]]:
        record, evidence = 0, None
        for one in asked:
            if evidence is None or one.record != record:
                record, evidence = one.record, search_rna(one.rna, self.reference, one.name)
            look = look_up(one.question, [evidence])
            yield (
                one,
                plan_answer(
                    look,
                    [one.rna],
                    reads_evidence=self.language.reads_evidence,
                    reads_rnas=self.language.reads_rnas,
                ),
            )

    def _written(self, waiting: Sequence[tuple[_Asked, Plan]]) -> Iterator[Answer]:
        requests = [plan.request for _, plan in waiting if plan.request is not None]
        if not requests:
            return
        # A reading is asked for once, however many questions call for it.
        distinct = list(dict.fromkeys((id(r.rna), r.text) for r in requests))
        first = {(id(r.rna), r.text): r for r in reversed(requests)}
        written = self.language.write_all(
            [first[key] for key in distinct],
            self.batch_size,
            self.max_new_tokens,
            self.generation,
        )
        words: dict[tuple[int, str], Words | None] = {}
        for one, plan in waiting:
            if plan.request is None:
                yield _cited_answer(one, plan, None)
                continue
            key = (id(plan.request.rna), plan.request.text)
            while key not in words:
                words[distinct[len(words)]] = next(written)
            yield _cited_answer(one, plan, words[key])


def _cited_answer(asked: _Asked, plan: Plan, words: Words | None) -> Answer:
    cited = plan.conclude(words)
    is_written = words is not None and cited is not plan.look.answer
    return Answer(
        record=asked.record,
        name=asked.name,
        length=len(asked.rna.sequence),
        changes=asked.rna.changes,
        question=asked.question,
        answer=cited.text,
        written=cited.plain,
        complete=words.complete if words is not None and is_written else True,
        log_probability=None if words is None else words.log_probability,
        confidence=cited.confidence,
        abstains=cited.abstains,
        basis=cited.basis,
        about=cited.about,
        evidence=tuple(plan.look.evidences[0].to_dict()),
        sentences=tuple(cited.to_dict()["sentences"]),
        items=plan.look.evidences[0].items,
    )


__all__ = ["Answer", "answer_questions"]
