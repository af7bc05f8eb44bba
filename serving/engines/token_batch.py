"""Answers that are written together: one forward pass gives each of them its next token.

Answers come and go while others are being written. Prompts differ in length, so the keys and values
of all are in one cache that is padded on the left.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from rnagpt.inference.prompt_embeds import embed_inputs, rna_vectors
from rnagpt.modeling_rnagpt import CACHE_NAME, RnaGptForCausalLM
from rnagpt.serving.engines.base import MIN_TEMPERATURE, Prompt, Sampling, TokenProbability


class TokenSampler:
    """Chooses the tokens of one answer.

    Args:
        sampling: how.
    """

    def __init__(self, sampling: Sampling) -> None:
        self.sampling = sampling
        self._generator = torch.Generator()
        if sampling.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(sampling.seed)

    def choose(self, logits: torch.Tensor) -> int:
        """A token, by logits (vocabulary,)."""
        if self.sampling.temperature < MIN_TEMPERATURE:
            return int(logits.argmax())
        shares = (logits.float().cpu() / self.sampling.temperature).softmax(-1)
        if self.sampling.top_p < 1:
            ordered, order = shares.sort(descending=True)
            # The token with which the sum reaches top_p stays in. The first is also where top_p is
            # less than float32 can tell from 0.
            surplus = ordered.cumsum(0) - ordered >= self.sampling.top_p
            surplus[0] = False
            shares = shares.index_fill(0, order[surplus], 0.0)
        return int(torch.multinomial(shares, 1, generator=self._generator))

    def probability(self, logits: torch.Tensor, token: int) -> TokenProbability | None:
        """How likely a token was; None where it was not asked for."""
        if not self.sampling.asks_how_likely:
            return None
        logs = logits.float().log_softmax(-1)
        best = logs.topk(min(self.sampling.top or 0, len(logs)))
        top = tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))
        return TokenProbability(token, float(logs[token]), top)


class Reading:
    """A prompt that is read a piece at a time, for the batch that it will join.

    Args:
        model: of the batch.
        prompt: to read; its RNAs are encoded here.
    """

    @torch.inference_mode()
    def __init__(self, model: RnaGptForCausalLM, prompt: Prompt) -> None:
        self._model = model
        self._embeds = embed_inputs(model, prompt.inputs, rna_vectors(model, prompt.inputs))
        self.length, self._read = prompt.length, 0
        self.cache: DynamicCache | None = None

    @torch.inference_mode()
    def read_on(self, tokens: int) -> torch.Tensor | None:
        """Read so many tokens more; the logits (vocabulary,) after the last, None before."""
        piece = self._embeds[self._read : self._read + tokens].unsqueeze(0)
        outputs = self._model(
            inputs_embeds=piece.to(self._model.device),
            use_cache=True,
            logits_to_keep=1,
            return_dict=True,
            **({} if self.cache is None else {CACHE_NAME: self.cache}),
        )
        self.cache = _checked(outputs[CACHE_NAME])
        self._read += piece.shape[1]
        return outputs.logits[0, -1] if self._read == self.length else None

    def close(self) -> None:
        """See `PromptReading`."""


class TokenBatch:
    """The model's state for the answers that are being written, one row per answer.

    Args:
        model: an RNA-GPT whose language model attends to all earlier tokens.
    """

    def __init__(self, model: RnaGptForCausalLM) -> None:
        self._model = model
        self.cells: int | None = None
        self._cache: DynamicCache | None = None
        # Real tokens in each row of the cache; what is before them is padding.
        self._lengths: list[int] = []

    def __len__(self) -> int:
        return len(self._lengths)

    def sampler(self, sampling: Sampling) -> TokenSampler:
        """See `Batch`."""
        return TokenSampler(sampling)

    @torch.inference_mode()
    def add(self, prompt: Prompt) -> torch.Tensor:
        """Read a prompt, as the last row from now on; the logits (vocabulary,) of its next token.

        Raises:
            ValueError: the language model keeps something other than all keys and values.
        """
        outputs = self._model(
            **prompt.inputs.to(self._model.device),
            use_cache=True,
            logits_to_keep=1,
            return_dict=True,
        )
        self._append(_checked(outputs[CACHE_NAME]), prompt.length)
        return outputs.logits[0, -1]

    def begin(self, prompt: Prompt) -> Reading:
        """A long prompt, to be read a piece at a time between the steps of this batch."""
        return Reading(self._model, prompt)

    @torch.inference_mode()
    def join(self, reading: Reading) -> None:
        """Take a prompt that is read as the last row from now on."""
        assert reading.cache is not None
        self._append(reading.cache, reading.length)

    def _append(self, cache: DynamicCache, length: int) -> None:
        self._cache = cache if self._cache is None else _joined(self._cache, cache)
        self._lengths.append(length)

    @torch.inference_mode()
    def step(self, tokens: list[int]) -> torch.Tensor:
        """Append a token to each row; the logits (rows, vocabulary) of those that follow."""
        device = self._model.device
        lengths = torch.tensor(self._lengths, device=device)
        width = max(self._lengths) + 1
        places = torch.arange(width, device=device)
        outputs = self._model(
            input_ids=torch.tensor(tokens, device=device).unsqueeze(1),
            attention_mask=(places >= (width - 1 - lengths).unsqueeze(1)).long(),
            position_ids=lengths.unsqueeze(1),
            use_cache=True,
            logits_to_keep=1,
            return_dict=True,
            **{CACHE_NAME: self._cache},
        )
        self._lengths = [length + 1 for length in self._lengths]
        return outputs.logits[:, -1]

    def keep(self, rows: list[int]) -> None:
        """Drop all rows but these."""
        if len(rows) == len(self._lengths):
            return
        self._lengths = [self._lengths[row] for row in rows]
        if not rows or self._cache is None:
            self._cache = None
            return
        width = max(self._lengths)
        index = torch.tensor(rows, device=self._model.device)
        layer: Any  # one that keeps keys and values
        for layer in self._cache.layers:
            layer.keys = layer.keys[index, :, -width:]
            layer.values = layer.values[index, :, -width:]


def _checked(cache: Any) -> DynamicCache:
    """A cache that rows may be added to.

    Raises:
        ValueError: the language model keeps something other than all keys and values.
    """
    if not all(type(layer) is DynamicLayer for layer in cache.layers):
        raise ValueError(
            "This engine answers prompts together only for language models whose attention "
            "sees all earlier tokens; this one's forgets some. Use --engine vllm."
        )
    checked: DynamicCache = cache
    return checked


def _joined(first: DynamicCache, second: DynamicCache) -> DynamicCache:
    """The rows of both, the narrower one padded on the left."""
    one: Any  # one that keeps keys and values
    other: Any
    for one, other in zip(first.layers, second.layers, strict=True):
        width = max(one.get_seq_length(), other.get_seq_length())
        one.keys = torch.cat([_widened(layer.keys, width) for layer in (one, other)])
        one.values = torch.cat([_widened(layer.values, width) for layer in (one, other)])
    return first


def _widened(states: Any, width: int) -> torch.Tensor:
    return torch.nn.functional.pad(states, (0, 0, width - states.shape[-2], 0))
