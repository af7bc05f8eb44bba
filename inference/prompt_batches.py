"""Prompts about RNAs, each on its own, answered by a model in batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import BatchFeature

from rnagpt.inference.cited import Words
from rnagpt.inference.confidence import confidence_of
from rnagpt.inference.generation import (
    TokenProbabilities,
    decode_answers,
    encode_prompts,
    generation_options,
    remaining_context,
    user_message,
)
from rnagpt.inference.sorted_batches import BATCHES_SORTED_TOGETHER, SizedPrompt, write_answers
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor


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
    def write(self, batch: Sequence[SizedPrompt], options: dict[str, Any]) -> list[Words]:
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


__all__ = ["BATCHES_SORTED_TOGETHER", "GeneratedBatches", "Prompt", "write_answers"]
