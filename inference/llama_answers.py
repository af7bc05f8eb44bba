"""Answers whose tokens llama.cpp computes, and whose choice is transformers' `generate`.

`generate` prepares everything, the logits processors and stopping criteria among it, on a model of
which no layer is loaded; in the place of its loop stands one that asks llama.cpp for the logits.
So an option means the same for both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from transformers import BatchFeature, GenerationConfig, LogitsProcessorList, StoppingCriteriaList

from rnagpt.inference.generation import TokenStream, choose_tokens
from rnagpt.inference.llama_context import (
    LlamaContext,
    Vectors,
    conversation_cells,
    count_shared,
    read_prompts,
)
from rnagpt.inference.prompt_batches import GeneratedBatches
from rnagpt.inference.prompt_embeds import rna_vectors
from rnagpt.inference.token_writer import TokenWriter, WrittenAnswer
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor

_SEQUENCE = 0  # of a context that holds one


class LlamaTokens(TokenStream):
    """The tokens of one or several answers, each computed when it is asked for.

    Args:
        model: an RNA-GPT, of which no layer of the language model is needed.
        context: that has read the prompts.
        scores: the logits after them, (prompts, vocabulary).
        arguments: of `generate`.

    Attributes:
        ids: (prompts, tokens): the prompts and what is written of the answers; those that ended are
            filled up.
    """

    def __init__(
        self,
        model: RnaGptForCausalLM,
        context: LlamaContext,
        scores: torch.Tensor,
        arguments: dict[str, Any],
    ) -> None:
        self._context = context
        self._scores = scores
        self._lengths = arguments["attention_mask"].sum(1).tolist()
        texts = {name: arguments[name] for name in arguments if not name.startswith("rna_")}
        super().__init__(model, {**texts, "use_cache": False})

    def _write(
        self,
        model: RnaGptForCausalLM,
        input_ids: torch.Tensor,
        logits_processor: LogitsProcessorList,
        stopping_criteria: StoppingCriteriaList,
        generation_config: GenerationConfig,
        **arguments: Any,
    ) -> Iterator[int]:
        """What `generate` calls in place of its loop, with all that it prepared."""
        going = torch.ones(len(input_ids), dtype=torch.bool)
        scores = self._scores
        while True:
            with torch.inference_mode():
                # A copy: processors may write into it.
                chosen = logits_processor(input_ids, _shown(model, scores))  # type: ignore[arg-type]
                tokens = choose_tokens(chosen, generation_config)
                if not going.all():
                    tokens[~going] = generation_config.pad_token_id
                input_ids = torch.cat([input_ids, tokens], dim=1)
                going &= ~stopping_criteria(input_ids, None)
            self.ids = input_ids
            yield int(tokens[0])
            if not going.any():
                return
            scores = self._step(tokens[:, 0], going, scores)

    def _step(
        self, tokens: torch.Tensor, going: torch.Tensor, scores: torch.Tensor
    ) -> torch.Tensor:
        """The logits after the next token of each answer that has not ended."""
        rows = going.nonzero()[:, 0].tolist()
        places = [self._lengths[row] for row in rows]
        found = torch.from_numpy(self._context.step(tokens[rows].tolist(), rows, places))
        for row in rows:
            self._lengths[row] += 1
        if len(rows) == len(scores):
            return found
        return scores.index_copy(0, torch.tensor(rows), found)


def _shown(model: RnaGptForCausalLM, scores: torch.Tensor) -> torch.Tensor:
    """A copy of logits, in which the placeholder of RNAs is no word."""
    hidden: torch.Tensor = model._without_placeholder(scores)
    return hidden.clone() if hidden is scores else hidden


class LlamaWriter(TokenWriter):
    """Writes one answer at a time, as `TokenWriter` does, in a context of one sequence.

    Args:
        model: an RNA-GPT, of which no layer of the language model is needed.
        processor: the model's.
        new_context: makes a context of so many cells.
    """

    def __init__(
        self,
        model: RnaGptForCausalLM,
        processor: RnaGptProcessor,
        new_context: Callable[[int], LlamaContext],
    ) -> None:
        super().__init__(model, processor)
        self._new_context = new_context
        self._context: LlamaContext | None = None

    def _keep_cache(self, tokens: TokenStream) -> None:
        self._cache = self._context  # type: ignore[assignment]  # of it, only that there is one

    def _crop(self, surplus: int) -> bool:
        return True  # `_begin` cuts

    def _begin(self, answer: WrittenAnswer) -> TokenStream:
        context = self._context_for(answer)
        arguments = self._without_cached(answer.inputs, answer.rnas)
        num_cached = len(self._cached_ids)
        context.cut(_SEQUENCE, num_cached)
        ids = answer.inputs["input_ids"][:, num_cached:]
        vectors = embed(self.model, ids, rna_vectors(self.model, arguments))
        logits = context.read(_SEQUENCE, num_cached, vectors)
        arguments = {**answer.inputs, **answer.probabilities.noted_in(answer.options)}
        scores = torch.from_numpy(logits).unsqueeze(0)
        return LlamaTokens(self.model, context, scores, arguments)

    def _context_for(self, answer: WrittenAnswer) -> LlamaContext:
        """One that an answer fits: a larger one, which begins anew, where it outgrows the last."""
        needed = answer.inputs["input_ids"].shape[1] + answer.options["max_new_tokens"]
        if self._context is None or self._context.cells < needed:
            self.forget()
            self._context = None  # before the next one takes its memory
            self._context = self._new_context(conversation_cells(needed))
        return self._context


class LlamaBatches(GeneratedBatches):
    """Answers of a batch, each in a sequence of its own of one context.

    Prompts about the same RNA share its cells, and all prompts those of what stands before it.
    """

    def __init__(
        self, model: RnaGptForCausalLM, processor: RnaGptProcessor, context: LlamaContext
    ) -> None:
        super().__init__(model, processor)
        self.context = context

    def generate(
        self, inputs: BatchFeature, rna_hidden_states: torch.Tensor, options: dict[str, Any]
    ) -> torch.Tensor:
        """See `GeneratedBatches`."""
        mask = inputs["attention_mask"].bool()
        all_vectors = self.model.get_rna_vectors(
            rna_hidden_states=rna_hidden_states, rna_attention_mask=inputs["rna_attention_mask"]
        )
        embeds = embed(self.model, inputs["input_ids"], all_vectors).reshape(*mask.shape, -1)
        prompts = [one[here.numpy()] for one, here in zip(embeds, mask.cpu(), strict=True)]
        scores = read_prompts(self.context, prompts)
        tokens = LlamaTokens(
            self.model, self.context, torch.from_numpy(scores), {**inputs, **options}
        )
        for _ in tokens:
            pass
        return tokens.ids


def embed(model: RnaGptForCausalLM, ids: torch.Tensor, vectors: torch.Tensor | None) -> Vectors:
    """What the language model reads: (tokens of all rows, text hidden).

    Args:
        model: an RNA-GPT, of which no layer of the language model is needed.
        ids: (rows, tokens), of which the first RNA's vectors may lie before the first token.
        vectors: of the RNAs (vectors, text hidden); the last ones are those of `ids`.
    """
    with torch.inference_mode():
        if vectors is not None:
            number = int(model._placeholders(ids).sum())
            vectors = vectors[len(vectors) - number :] if number else None
        embeds = model.model.embed(ids.to(model.device), None, vectors)
        array: Vectors = embeds.flatten(0, 1).float().cpu().numpy()
    return array


__all__ = ["LlamaBatches", "LlamaTokens", "LlamaWriter", "count_shared", "embed", "read_prompts"]
