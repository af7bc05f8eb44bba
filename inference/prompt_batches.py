"""Prompts about RNAs, each on its own, answered by a model in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from transformers import BatchFeature

from rnagpt.inference.cited import Words
from rnagpt.inference.generation import (
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

# Questions are sorted by length within N batches: enough to pad little, few enough to stream.
BATCHES_SORTED_TOGETHER = 4


class Prompt:
    """A text about an RNA, checked: `length` in tokens, `room` for the answer.

    Args:
        key: the same for prompts about the same RNA, and larger for later ones.
        sequence: of the RNA, cleaned.

    Raises:
        ValueError: it does not fit the language model's context, or holds a control token.
    """

    def __init__(
        self,
        model: RnaGptForCausalLM,
        processor: RnaGptProcessor,
        key: int,
        sequence: str,
        text: str,
    ) -> None:
        self.key = key
        self.messages = [user_message(text, [sequence])]
        inputs = encode_prompts(processor, [self.messages])
        self.room = remaining_context(model, inputs)
        self.length = inputs["input_ids"].shape[1]


class Batches(Protocol):
    """What writes the answers to a batch of prompts."""

    def options(self, generation: dict[str, Any]) -> dict[str, Any]:
        """As `generation_options` makes them; errors as there."""

    def write(self, batch: list[Prompt], options: dict[str, Any]) -> list[Words]:
        """The answers to some prompts."""

    def forget_before(self, key: int) -> None:
        """No prompt with a smaller key will follow."""


def write_answers(
    batches: Batches,
    prompts: Sequence[Prompt],
    batch_size: int,
    max_new_tokens: int,
    generation: dict[str, Any],
) -> Iterator[Words]:
    """The answer to each prompt, in order, as soon as it is there.

    Prompts of similar length share a batch, and an RNA is encoded once for all its prompts.

    Args:
        batches: what writes them.
        prompts: those about one RNA one after the other.
        batch_size: prompts that the language model answers at once.
        max_new_tokens: the longest answer; less where the context ends before.
        generation: for `model.generate`; greedy by default.

    Raises:
        ValueError: for an option of `generation`, before the first answer.
    """
    options = batches.options(generation)
    return _write_answers(batches, prompts, batch_size, max_new_tokens, options)


def _write_answers(
    batches: Batches,
    prompts: Sequence[Prompt],
    batch_size: int,
    max_new_tokens: int,
    options: dict[str, Any],
) -> Iterator[Words]:
    window = batch_size * BATCHES_SORTED_TOGETHER
    for start in range(0, len(prompts), window):
        group = range(start, min(start + window, len(prompts)))
        waiting = sorted(group, key=lambda index: prompts[index].length)
        ready: dict[int, Words] = {}
        next_index = start
        for first in range(0, len(waiting), batch_size):
            indices = waiting[first : first + batch_size]
            batch = [prompts[index] for index in indices]
            longest_answer = min(max_new_tokens, *(prompt.room for prompt in batch))
            answers = batches.write(batch, {**options, "max_new_tokens": longest_answer})
            ready |= zip(indices, answers, strict=True)
            while next_index in ready:
                yield ready.pop(next_index)
                next_index += 1
        batches.forget_before(prompts[group[-1]].key)


class GeneratedBatches:
    """Answers that `model.generate` writes."""

    def __init__(self, model: RnaGptForCausalLM, processor: RnaGptProcessor) -> None:
        self.model = model
        self.processor = processor
        self.encoder = EncoderOutputCache(model)

    def options(self, generation: dict[str, Any]) -> dict[str, Any]:
        """See `Batches`."""
        return generation_options(self.model, self.processor, generation)

    def forget_before(self, key: int) -> None:
        """See `Batches`."""
        self.encoder.forget_before(key)

    @torch.inference_mode()
    def write(self, batch: list[Prompt], options: dict[str, Any]) -> list[Words]:
        """See `Batches`."""
        conversations = [prompt.messages for prompt in batch]
        inputs = encode_prompts(self.processor, conversations).to(self.model.device)
        rna_hidden_states = self.encoder.encode(
            [prompt.key for prompt in batch],
            inputs.pop("rna_input_ids"),
            inputs["rna_attention_mask"],
        )
        tokens = TokenProbabilities()
        sequences = self.generate(inputs, rna_hidden_states, tokens.noted_in(options))
        texts, new_ids = decode_answers(self.processor, inputs, sequences)
        written = tokens.read(new_ids, options["eos_token_id"])
        return [
            Words(text, *how, confidence_of(self.model.config, text, *how))
            for text, how in zip(texts, written, strict=True)
        ]

    def generate(
        self, inputs: BatchFeature, rna_hidden_states: torch.Tensor, options: dict[str, Any]
    ) -> torch.Tensor:
        """Prompts and answers (prompts, longest) of inputs whose RNAs are encoded."""
        return self.model.generate(**inputs, rna_hidden_states=rna_hidden_states, **options)


class EncoderOutputCache:
    """Runs the RNA encoder once for each RNA, however many prompts follow."""

    def __init__(self, model: RnaGptForCausalLM) -> None:
        self.model = model
        self.outputs: dict[int, torch.Tensor] = {}

    def encode(
        self, keys: list[int], rna_input_ids: torch.Tensor, rna_attention_mask: torch.Tensor
    ) -> torch.Tensor:
        """Encoder outputs (rnas, longest, rna hidden) of one RNA a row, new or known."""
        new = {key: row for row, key in enumerate(keys) if key not in self.outputs}
        lengths = rna_attention_mask.sum(1).tolist()
        if new:
            rows = list(new.values())
            outputs = self.model.encode_rna(rna_input_ids[rows], rna_attention_mask[rows])
            for (key, row), output in zip(new.items(), outputs, strict=True):
                # A copy, since a slice would keep the whole batch in memory.
                self.outputs[key] = output[: lengths[row]].clone()
        return torch.nn.utils.rnn.pad_sequence(
            [self.outputs[key] for key in keys], batch_first=True
        )

    def forget_before(self, key: int) -> None:
        self.outputs = {known: self.outputs[known] for known in self.outputs if known >= key}


__all__ = ["BATCHES_SORTED_TOGETHER", "Batches", "GeneratedBatches", "Prompt", "write_answers"]
