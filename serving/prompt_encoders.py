"""Conversations as an engine's prompts: by a model's processor, or without transformers."""

from __future__ import annotations

import copy
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from rnagpt.inference.detokenizer import Decoder
    from rnagpt.inference.light_answers import LightModel
    from rnagpt.processing_rnagpt import RnaGptProcessor

Conversation = Sequence[Mapping[str, Any]]


class PromptEncoder(Protocol):
    """Makes prompts of conversations, from any thread; the text of tokens is the `decoder`'s.

    Attributes:
        limits: what is accepted of RNAs, as arguments of `clean_rna`.
        longest: tokens that a prompt may have, whatever the language model reads.
        decoder: text of tokens.
        tokenizer: what each token is.
    """

    @property
    def limits(self) -> Mapping[str, Any]: ...

    @property
    def longest(self) -> int: ...

    @property
    def decoder(self) -> Decoder: ...

    @property
    def tokenizer(self) -> Tokenizer: ...

    def encode(self, conversation: Conversation) -> tuple[Any, int]:
        """A conversation with cleaned RNAs: `Prompt.inputs` and its tokens, however many.

        Raises:
            ValueError, TemplateError: it cannot be prompted; says why.
        """

    def count(self, text: str) -> int:
        """Tokens of a text."""

    def num_rna_tokens(self, length: int) -> int:
        """Tokens that an RNA of so many nt takes."""


class ProcessorEncoder:
    """A `PromptEncoder` by a model's processor.

    Args:
        processor: the model's.
    """

    def __init__(self, processor: RnaGptProcessor) -> None:
        # A tokenizer changes itself when it pads: it may serve one thread at a time, and none that
        # decodes meanwhile.
        self._processor, self._one_at_a_time = copy.deepcopy(processor), threading.Lock()
        tokenizer: Any = processor.tokenizer
        self.decoder: Decoder = tokenizer
        self.tokenizer: Tokenizer = tokenizer.backend_tokenizer
        self.limits: dict[str, Any] = {
            "max_length": processor.max_rna_length,
            "max_ambiguous": processor.max_ambiguous,
        }
        self.longest: int = processor.max_context or tokenizer.model_max_length
        # The processor's own error for a long prompt has no code for clients.
        self._processor.max_context = sys.maxsize

    def encode(self, conversation: Conversation) -> tuple[Any, int]:
        """See `PromptEncoder`."""
        from rnagpt.inference.generation import encode_prompts

        with self._one_at_a_time:
            inputs = encode_prompts(self._processor, [conversation])
        return inputs, int(inputs["input_ids"].shape[1])

    def count(self, text: str) -> int:
        """See `PromptEncoder`."""
        with self._one_at_a_time:
            return len(self._processor.tokenizer(text, add_special_tokens=False)["input_ids"])

    def num_rna_tokens(self, length: int) -> int:
        """See `PromptEncoder`."""
        return int(self._processor.num_rna_tokens(length))


class LightEncoder:
    """A `PromptEncoder` without transformers, which is loaded for prompts out of the ordinary.

    Args:
        model: prompts and embeddings of a folder.
        folder: the model's, or its id on the Hub.

    Attributes:
        model: as given.
    """

    def __init__(self, model: LightModel, folder: str) -> None:
        self.model, self._folder = model, folder
        prompts = model.prompts
        self.decoder: Decoder = prompts
        self.tokenizer = prompts.tokenizer
        self.limits: Mapping[str, Any] = prompts.limits
        self.longest = prompts.longest

    def encode(self, conversation: Conversation) -> tuple[Any, int]:
        """See `PromptEncoder`."""
        prompt = self.model.prompts.encode(conversation)
        if prompt is None:
            return self._others.encode(conversation)
        return prompt, len(prompt.ids)

    def count(self, text: str) -> int:
        """See `PromptEncoder`."""
        return len(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def num_rna_tokens(self, length: int) -> int:
        """See `PromptEncoder`."""
        return self.model.prompts.num_rna_tokens(length)

    @cached_property
    def _others(self) -> ProcessorEncoder:
        from rnagpt.inference.loading import load_processor

        return ProcessorEncoder(load_processor(self._folder))


def encoder_of(processor: RnaGptProcessor | PromptEncoder) -> PromptEncoder:
    """What makes prompts, by a processor where one was given."""
    if isinstance(processor, (LightEncoder, ProcessorEncoder)):
        return processor
    return ProcessorEncoder(processor)  # type: ignore[arg-type]  # the only other kind there is


__all__ = ["LightEncoder", "ProcessorEncoder", "PromptEncoder", "encoder_of"]
