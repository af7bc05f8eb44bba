"""A model of this machine whose language model llama.cpp runs, faster on a CPU than PyTorch does.

Encoder, projection and the look-up of tokens are PyTorch's; llama.cpp is handed their vectors.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnagpt.inference.local_model import LocalModel

if TYPE_CHECKING:
    from rnagpt.inference.cited import Words
    from rnagpt.inference.llama_answers import LlamaWriter
    from rnagpt.inference.llama_context import LlamaContext
    from rnagpt.inference.prompt_batches import Prompt
    from rnagpt.modeling_rnagpt import RnaGptForCausalLM
    from rnagpt.processing_rnagpt import RnaGptProcessor

NAME = "llama.cpp"
# Tokens that are kept for one answer by default, where the model reads more: Llama 3.1's 131,072
# would take 17 GB.
_MOST_CELLS = 8_192


@dataclass(frozen=True)
class LlamaOptions:
    """How llama.cpp runs a language model.

    Attributes:
        type: of the weights: q8_0, q4_1, f16 or f32.
        file: that `rnagpt export-gguf` wrote of this very model; by default one in the user's
            cache, written on first use.
        threads: that compute; by default as many as PyTorch's.
        context: tokens that the language model reads, the answer included.
    """

    type: str = "q8_0"
    file: str | None = None
    threads: int | None = None
    context: int | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> LlamaOptions:
        """Options by their names.

        Raises:
            ValueError: there is no such option, or it has no such value.
        """
        known = [field.name for field in fields(cls)]
        for name, value in given.items():
            if name not in known:
                raise ValueError(f"llama.cpp has no option {name} here; it has {', '.join(known)}.")
            if name in ("type", "file"):
                wanted, fits = "a text", isinstance(value, str)
            else:
                wanted, fits = "a whole number from 1 on", isinstance(value, int) and value > 0
            if not fits:
                raise ValueError(f"llama.cpp's option {name} is {wanted}, got {value!r}.")
        from rnagpt.conversion.gguf_file import FILE_TYPES

        options = cls(**given)
        if options.type not in FILE_TYPES:
            raise ValueError(
                f"llama.cpp's option type is one of {', '.join(FILE_TYPES)}, got {options.type!r}."
            )
        return options


class LlamaParts:
    """What llama.cpp's answers are made with, loaded.

    Args:
        name_or_path, **hub: as of `load_model`.
        options: of llama.cpp.

    Attributes:
        reader: encoder, projection and embeddings, in PyTorch.
        processor: the model's.
        weights: of the language model, in llama.cpp.
        context: tokens that it reads.

    Raises:
        LlamaMissingError: llama.cpp is not installed.
        OSError, ValueError, WeightsError: as of `load_model` and `export_gguf`.
    """

    def __init__(self, name_or_path: str | None, options: LlamaOptions, **hub: Any) -> None:
        from rnagpt.conversion.llama_library import llama_library
        from rnagpt.inference.gguf_cache import cached_gguf
        from rnagpt.inference.llama_context import LlamaWeights
        from rnagpt.inference.prompt_embeds import load_embedder

        llama_library()  # before anything is written for it
        self.options = options
        if options.file is None:
            file = cached_gguf(name_or_path, file_type=options.type, **hub)
        else:
            file = Path(options.file)
            if not file.is_file():
                raise OSError(f"There is no file {file}. Write it with: rnagpt export-gguf {file}")
        self.weights = LlamaWeights(file)
        self.reader, self.processor = load_embedder(name_or_path, **hub)
        text = self.reader.config.text_config
        self._check(file)
        reads = text.max_position_embeddings
        self.context: int = min(reads, options.context or _MOST_CELLS)
        # So that prompts are measured by what is kept here.
        text.max_position_embeddings = self.context

    def new_context(self, *, cells: int | None = None, sequences: int = 1) -> LlamaContext:
        """Room for the keys and values of some sequences."""
        import torch

        from rnagpt.inference.llama_context import LlamaContext

        return LlamaContext(
            self.weights,
            cells=cells or self.context,
            sequences=sequences,
            threads=self.options.threads or torch.get_num_threads(),
            exact=self.options.type == "f32",
        )

    def _check(self, file: Path) -> None:
        """Whether a file may be of this model.

        Raises:
            ValueError: it is of another one.
        """
        text = self.reader.config.text_config
        expected = (text.hidden_size, text.vocab_size)
        found = (self.weights.hidden, self.weights.vocabulary)
        if found != expected:
            raise ValueError(
                f"{file} is of another language model: its vectors and its vocabulary have the "
                f"sizes {found}, and this model's {expected}. Write it with: rnagpt export-gguf"
            )


class LlamaModel(LocalModel):
    """A `LocalModel` whose words llama.cpp writes.

    `model` is the whole model in PyTorch, which only `explain` loads.

    Examples:
        >>> model = LocalModel.open(engine="llama.cpp")  # rna-gpt-mini, not loaded
    """

    def __init__(self, whole: LocalModel, parts: _Loaded) -> None:
        super().__init__(
            lambda: whole.model,
            lambda: parts.value.processor,
            whole.reads_evidence,
            whole.reads_rnas,
        )
        self._whole, self._parts = whole, parts

    @classmethod
    def of(
        cls, whole: LocalModel, name_or_path: str | None, given: Mapping[str, Any], **hub: Any
    ) -> LlamaModel:
        """A model, of which nothing is loaded before its words are needed.

        Raises:
            LlamaMissingError: llama.cpp is not installed.
            ValueError: there is no such option.
        """
        from rnagpt.conversion.llama_library import require_llama

        require_llama()
        return cls(whole, _Loaded(name_or_path, LlamaOptions.of(given), hub))

    def for_conversation(self) -> LlamaModel:
        """The same model, with a cache of keys and values of its own."""
        return LlamaModel(self._whole, self._parts)

    @property
    def reader(self) -> RnaGptForCausalLM:
        """Encoder, projection and embeddings, without the language model's layers."""
        return self._parts.value.reader

    @property
    def processor(self) -> RnaGptProcessor:
        return self._parts.value.processor

    @cached_property
    def writer(self) -> LlamaWriter:
        """Writes this model's answers, one at a time."""
        from rnagpt.inference.llama_answers import LlamaWriter

        parts = self._parts.value
        return LlamaWriter(
            self.reader, self.processor, lambda cells: parts.new_context(cells=cells)
        )

    def write_prompts(
        self,
        prompts: Sequence[Prompt],
        batch_size: int,
        max_new_tokens: int,
        generation: dict[str, Any],
    ) -> Iterator[Words]:
        """See `LocalModel`."""
        from rnagpt.inference.llama_answers import LlamaBatches
        from rnagpt.inference.prompt_batches import write_answers

        if not prompts:
            return iter(())
        longest = max(prompt.length + min(prompt.room, max_new_tokens) for prompt in prompts)
        context = self._parts.value.new_context(cells=longest * batch_size, sequences=batch_size)
        batches = LlamaBatches(self.reader, self.processor, context)
        return write_answers(batches, prompts, batch_size, max_new_tokens, generation)


class _Loaded:
    """`LlamaParts` that are loaded when they are first needed, once for all conversations."""

    def __init__(self, name: str | None, options: LlamaOptions, hub: Mapping[str, Any]) -> None:
        self._load = lambda: LlamaParts(name, options, **hub)
        self._lock = threading.Lock()

    @property
    def value(self) -> LlamaParts:
        with self._lock:
            return self._kept

    @cached_property
    def _kept(self) -> LlamaParts:
        return self._load()


__all__ = ["NAME", "LlamaModel", "LlamaOptions", "LlamaParts"]
