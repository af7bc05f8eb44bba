"""Answers written token by token, on the keys and values that the prompts before have left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from transformers import BatchFeature, Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

from rnagpt.inference.cited import Words
from rnagpt.inference.confidence import confidence_of
from rnagpt.inference.detokenizer import IncrementalDetokenizer
from rnagpt.inference.generation import (
    TokenProbabilities,
    TokenStream,
    encode_prompts,
    generation_options,
    remaining_context,
)
from rnagpt.inference.kept_tokens import count_kept
from rnagpt.inference.messages import rnas_of
from rnagpt.modeling_rnagpt import CACHE_NAME, RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor


@dataclass(eq=False)
class WrittenAnswer:
    """An answer from its prompt to its last token; `tokens` is None before the first."""

    rnas: list[str]
    inputs: BatchFeature
    options: dict[str, Any]
    text: IncrementalDetokenizer
    probabilities: TokenProbabilities = field(default_factory=TokenProbabilities)
    tokens: TokenStream | None = None


class TokenWriter:
    """Writes one answer at a time.

    What the last prompt and its answer left in the cache is not computed again where the next
    prompt begins with it: the earlier turns of a conversation, or an RNA with its evidence.
    """

    def __init__(self, model: RnaGptForCausalLM, processor: RnaGptProcessor) -> None:
        self.model = model
        self.processor = processor
        self._cache: Cache | None = None
        self._cached_ids: list[int] = []
        self._cached_rnas: list[str] = []

    def prepare(
        self,
        messages: Sequence[Mapping[str, Any]],
        max_new_tokens: int,
        generation: dict[str, Any],
    ) -> WrittenAnswer:
        """An answer to the last message, of which nothing is written yet.

        Raises:
            ValueError: the prompt or an option does not fit.
        """
        inputs = encode_prompts(self.processor, [messages])
        options = {
            **generation_options(self.model, self.processor, generation),
            "max_new_tokens": min(max_new_tokens, remaining_context(self.model, inputs)),
        }
        text = IncrementalDetokenizer(self.processor.tokenizer)
        return WrittenAnswer(rnas_of(messages), inputs, options, text)

    def next_token(self, answer: WrittenAnswer) -> int | None:
        """Write a token; None after the last."""
        try:
            if answer.tokens is None:
                answer.tokens = self._begin(answer)
            return next(iter(answer.tokens), None)
        except BaseException:
            # Some layers' cache may be longer than others'.
            self.forget()
            raise

    def finish(self, answer: WrittenAnswer) -> Words | None:
        """What is written, whose keys and values are kept; None where not a token is."""
        prompt_length = answer.inputs["input_ids"].shape[1]
        if answer.tokens is None or answer.tokens.ids.shape[1] == prompt_length:
            return None
        ids = answer.tokens.ids
        new_ids = ids[:, prompt_length:]
        text = self.processor.tokenizer.decode(new_ids[0].tolist(), skip_special_tokens=True)
        written = answer.probabilities.read(new_ids, answer.options["eos_token_id"])
        log_probability, complete = written[0]
        self._keep_cache(answer.tokens)
        # The last token was never an input, so it is not in the cache.
        self._cached_ids = [] if self._cache is None else ids[0, :-1].tolist()
        self._cached_rnas = answer.rnas
        confidence = confidence_of(self.model.config, text, log_probability, complete)
        return Words(text, log_probability, complete, confidence)

    def forget(self) -> None:
        """Empty the cache."""
        self._cache = None
        self._cached_ids = []
        self._cached_rnas = []

    def _keep_cache(self, tokens: TokenStream) -> None:
        self._cache = tokens.cache

    def _begin(self, answer: WrittenAnswer) -> TokenStream:
        arguments = self._without_cached(answer.inputs, answer.rnas)
        return TokenStream(
            self.model, {**arguments, **answer.probabilities.noted_in(answer.options)}
        )

    def _without_cached(self, inputs: BatchFeature, rnas: list[str]) -> dict[str, Any]:
        """The inputs for `generate`, without the RNAs that lie in the cache, and with the cache."""
        input_ids = inputs["input_ids"][0].tolist()
        lengths = inputs["rna_attention_mask"].sum(1).tolist() if rnas else []
        sizes = [self.processor.num_rna_tokens(length) for length in lengths]
        num_cached = self._shorten_cache(input_ids, rnas, sizes)
        arguments = dict(inputs.to(self.model.device))
        if not num_cached:
            return arguments
        arguments[CACHE_NAME] = self._cache
        if "rna_input_ids" not in arguments:
            return arguments
        num_placeholders = input_ids[num_cached:].count(self.processor.rna_token_id)
        num_rnas = len(sizes)
        while num_placeholders:
            num_rnas -= 1
            num_placeholders -= sizes[num_rnas]
        for name in ("rna_input_ids", "rna_attention_mask"):
            rows = arguments.pop(name)[num_rnas:]
            if len(rows):
                arguments[name] = rows
        return arguments

    def _shorten_cache(self, input_ids: list[int], rnas: list[str], sizes: list[int]) -> int:
        """Cut the cache to the tokens it shares with a new prompt; returns how many these are."""
        num_shared = count_kept(
            self._cached_ids,
            self._cached_rnas,
            input_ids,
            rnas,
            rna_token=self.processor.rna_token_id,
            sizes=sizes,
        )
        surplus = len(self._cached_ids) - num_shared
        if not num_shared or (surplus and not self._crop(surplus)):
            self.forget()
            return 0
        self._cached_ids = self._cached_ids[:num_shared]
        return num_shared

    def _crop(self, surplus: int) -> bool:
        """Take the last tokens back out of the cache; False where that cannot be."""
        if self._cache is None or not _is_plain(self._cache):
            return False
        self._cache.crop(-surplus)
        return True


def _is_plain(cache: Cache | None) -> bool:
    """Whether tokens at the end of a cache can be taken back: not once a window has slid past."""
    layers = cache.layers if isinstance(cache, DynamicCache) else [None]
    return all(type(layer) is DynamicLayer for layer in layers)


__all__ = ["TokenWriter", "WrittenAnswer"]
