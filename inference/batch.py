"""Many questions about many RNAs, each on its own, in batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from rnagpt.cleaning_rnagpt import CleanedRna
from rnagpt.configuration_rnagpt import RnaGptConfig
from rnagpt.inference.abstention import is_abstention
from rnagpt.inference.generation import (
    MAX_NEW_TOKENS,
    TokenProbabilities,
    confidence_of,
    decode_answers,
    encode_prompts,
    generation_options,
    remaining_context,
    user_message,
)
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor
from rnagpt.sequences.fasta import clean_rnas

# Questions are sorted by length within N batches: enough to pad little, few enough to stream.
_BATCHES_SORTED_TOGETHER = 4


@dataclass(frozen=True)
class Answer:
    """The answer to one question about one RNA.

    Attributes:
        record: which RNA, counted from 1 (names may repeat).
        name: the RNA's name; "RNA 1" and so on where it has none.
        length: the RNA's length in nt.
        changes: what cleaning changed in the sequence, such as "12 T read as U".
        question: the question as given.
        answer: the model's words, without white space around them.
        written: the same as the model wrote it, which is what `explain_answer` explains.
        complete: False where `max_new_tokens` or the context's end cut the answer short.
        log_probability: the natural logarithm of the answer's probability: the sum over its
            tokens, the one that ends it included.
        confidence: how likely the answer is right, from 0 to 1; `confidence_of` says by what.
        abstains: whether the model says that it does not know.
    """

    record: int
    name: str
    length: int
    changes: tuple[str, ...]
    question: str
    answer: str
    written: str
    complete: bool
    log_probability: float
    confidence: float | None
    abstains: bool

    def as_row(self) -> dict[str, Any]:
        """What is shown of an answer: all but `written`."""
        return {name: value for name, value in asdict(self).items() if name != "written"}


def answer_questions(
    model: RnaGptForCausalLM,
    processor: RnaGptProcessor,
    rnas: Iterable[str | CleanedRna],
    questions: Sequence[str],
    *,
    batch_size: int = 8,
    max_new_tokens: int = MAX_NEW_TOKENS,
    **generation: Any,
) -> Iterator[Answer]:
    """Ask every question about every RNA, each on its own, in batches.

    Answers come in order, all questions of the first RNA first, as soon as they are there. Prompts
    of similar length share a batch, and an RNA is encoded once for all its questions.

    Args:
        rnas: sequences or FASTA records as text, or what `clean_rna` made of them.
        questions: plain text.
        batch_size: prompts that the language model answers at once.
        max_new_tokens: the longest answer; less where the context ends before.
        **generation: for `model.generate`; greedy by default.

    Raises:
        RnaSequenceError: when sequences are rejected; it tells of all of them.
        TypeError: for one sequence in place of several, or what is no sequence.
        ValueError: when a prompt does not fit the language model's context, or a question is
            empty or holds a control token. All of these before the first answer.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
    cleaned = clean_rnas(
        rnas, max_length=processor.max_rna_length, max_ambiguous=processor.max_ambiguous
    )
    for question in questions:
        if not question.strip():
            raise ValueError("A question is empty.")
    prompts = [
        _Prompt(model, processor, record, rna, question)
        for record, rna in enumerate(cleaned, start=1)
        for question in questions
    ]
    options = generation_options(model, processor, generation)
    return _answer_prompts(model, processor, prompts, batch_size, max_new_tokens, options)


class _Prompt:
    """A question about an RNA, checked: `length` in tokens, `room` for the answer."""

    def __init__(
        self,
        model: RnaGptForCausalLM,
        processor: RnaGptProcessor,
        record: int,
        rna: CleanedRna,
        question: str,
    ) -> None:
        self.record = record
        self.rna = rna
        self.question = question
        self.name = rna.name or f"RNA {record}"
        self.messages = [user_message(question, [rna.sequence])]
        try:
            inputs = encode_prompts(processor, [self.messages])
            self.room = remaining_context(model, inputs)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from error
        self.length = inputs["input_ids"].shape[1]

    def answered(
        self, answer: str, log_probability: float, complete: bool, config: RnaGptConfig
    ) -> Answer:
        return Answer(
            record=self.record,
            name=self.name,
            length=len(self.rna.sequence),
            changes=self.rna.changes,
            question=self.question,
            answer=answer.strip(),
            written=answer,
            complete=complete,
            log_probability=log_probability,
            confidence=confidence_of(config, answer, log_probability, complete),
            abstains=is_abstention(answer),
        )


def _answer_prompts(
    model: RnaGptForCausalLM,
    processor: RnaGptProcessor,
    prompts: list[_Prompt],
    batch_size: int,
    max_new_tokens: int,
    options: dict[str, Any],
) -> Iterator[Answer]:
    encoder = EncoderOutputCache(model)
    window = batch_size * _BATCHES_SORTED_TOGETHER
    for start in range(0, len(prompts), window):
        group = range(start, min(start + window, len(prompts)))
        waiting = sorted(group, key=lambda index: prompts[index].length)
        ready: dict[int, Answer] = {}
        next_index = start
        for first in range(0, len(waiting), batch_size):
            indices = waiting[first : first + batch_size]
            batch = [prompts[index] for index in indices]
            longest_answer = min(max_new_tokens, *(prompt.room for prompt in batch))
            answers = _answer_batch(
                model, processor, encoder, batch, {**options, "max_new_tokens": longest_answer}
            )
            ready |= zip(indices, answers, strict=True)
            while next_index in ready:
                yield ready.pop(next_index)
                next_index += 1
        last = prompts[group[-1]].record
        encoder.forget_before(last)


@torch.inference_mode()
def _answer_batch(
    model: RnaGptForCausalLM,
    processor: RnaGptProcessor,
    encoder: EncoderOutputCache,
    batch: list[_Prompt],
    options: dict[str, Any],
) -> list[Answer]:
    inputs = encode_prompts(processor, [prompt.messages for prompt in batch]).to(model.device)
    rna_hidden_states = encoder.encode(
        [prompt.record for prompt in batch],
        inputs.pop("rna_input_ids"),
        inputs["rna_attention_mask"],
    )
    tokens = TokenProbabilities()
    sequences = model.generate(
        **inputs, rna_hidden_states=rna_hidden_states, **tokens.noted_in(options)
    )
    texts, new_ids = decode_answers(processor, inputs, sequences)
    written = tokens.read(new_ids, options["eos_token_id"])
    return [
        prompt.answered(text, *how, model.config)
        for prompt, text, how in zip(batch, texts, written, strict=True)
    ]


class EncoderOutputCache:
    """Runs the RNA encoder once for each record, however many questions follow."""

    def __init__(self, model: RnaGptForCausalLM) -> None:
        self.model = model
        self.outputs: dict[int, torch.Tensor] = {}

    def encode(
        self, records: list[int], rna_input_ids: torch.Tensor, rna_attention_mask: torch.Tensor
    ) -> torch.Tensor:
        """Encoder outputs (rnas, longest, rna hidden) of one record a row, new or known."""
        new = {record: row for row, record in enumerate(records) if record not in self.outputs}
        lengths = rna_attention_mask.sum(1).tolist()
        if new:
            rows = list(new.values())
            outputs = self.model.encode_rna(rna_input_ids[rows], rna_attention_mask[rows])
            for (record, row), output in zip(new.items(), outputs, strict=True):
                # A copy, since a slice would keep the whole batch in memory.
                self.outputs[record] = output[: lengths[row]].clone()
        return torch.nn.utils.rnn.pad_sequence(
            [self.outputs[record] for record in records], batch_first=True
        )

    def forget_before(self, record: int) -> None:
        self.outputs = {known: self.outputs[known] for known in self.outputs if known >= record}


__all__ = ["Answer", "answer_questions"]
