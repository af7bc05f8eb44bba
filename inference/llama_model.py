"""A model of this machine whose language model llama.cpp runs, faster on a CPU than PyTorch does.

Encoder, projection and the look-up of tokens are PyTorch's, or NumPy's where that can do it
(`light_answers`); llama.cpp is handed their vectors.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnagpt.conversion import DEFAULT_GGUF_TYPE, GGUF_TYPES
from rnagpt.inference.default_model import resolve_model
from rnagpt.inference.local_model import LocalModel

if TYPE_CHECKING:
    from rnagpt.inference.cited import Words
    from rnagpt.inference.light_answers import LightModel, LightWriter
    from rnagpt.inference.llama_answers import LlamaWriter
    from rnagpt.inference.llama_context import LlamaContext
    from rnagpt.inference.sorted_batches import SizedPrompt
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
        type: of the weights, one of `GGUF_TYPES`.
        file: that `rnagpt export-gguf` wrote of this very model; by default one in the user's
            cache, written on first use.
        threads: that compute; by default as many as PyTorch's.
        context: tokens that the language model reads, the answer included.
    """

    type: str = DEFAULT_GGUF_TYPE
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
        options = cls(**given)
        if options.type not in GGUF_TYPES:
            raise ValueError(
                f"llama.cpp's option type is one of {', '.join(GGUF_TYPES)}, got {options.type!r}."
            )
        return options


class LlamaRunner:
    """A language model in llama.cpp, and the contexts that it writes in.

    Args:
        name_or_path, **hub: as of `load_model`.
        options: of llama.cpp.

    Raises:
        LlamaMissingError: llama.cpp is not installed.
        OSError, ValueError, WeightsError: as of `load_model` and `export_gguf`.
    """

    def __init__(self, name_or_path: str | None, options: LlamaOptions, **hub: Any) -> None:
        from rnagpt.conversion.llama_library import llama_library
        from rnagpt.inference.gguf_cache import cached_gguf
        from rnagpt.inference.llama_context import LlamaWeights

        llama_library()  # before anything is written for it
        self._options = options
        if options.file is None:
            self._file = cached_gguf(name_or_path, file_type=options.type, **hub)
        else:
            self._file = Path(options.file)
            if not self._file.is_file():
                raise OSError(
                    f"There is no file {self._file}. Write it with: rnagpt export-gguf {self._file}"
                )
        self._weights = LlamaWeights(self._file)

    def fit(self, hidden: int, vocabulary: int, reads: int) -> int:
        """How many tokens of a model are read, by the sizes of its own and what is kept here.

        Raises:
            ValueError: the file is of another model.
        """
        expected, found = (hidden, vocabulary), (self._weights.hidden, self._weights.vocabulary)
        if found != expected:
            raise ValueError(
                f"{self._file} is of another language model: its vectors and its vocabulary have "
                f"the sizes {found}, and this model's {expected}. Write it with: rnagpt export-gguf"
            )
        return min(reads, self._options.context or _MOST_CELLS)

    def new_context(self, *, cells: int, sequences: int = 1) -> LlamaContext:
        """Room for the keys and values of some sequences."""
        from rnagpt.inference.llama_context import LlamaContext

        return LlamaContext(
            self._weights,
            cells=cells,
            sequences=sequences,
            threads=self._options.threads or _threads(),
            exact=self._options.type == "f32",
        )


def _threads() -> int:
    """As many as PyTorch's, where it is loaded; else as it would count them: cores, not threads."""
    if "torch" in sys.modules:
        return int(sys.modules["torch"].get_num_threads())
    given = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if given.isdecimal() and int(given):
        return int(given)
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    cpus = os.sched_getaffinity(0)
    siblings = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    try:
        return len({Path(siblings.format(cpu)).read_text() for cpu in cpus})
    except OSError:
        return len(cpus)


class LlamaParts:
    """What llama.cpp's answers are made with, loaded.

    Args:
        name_or_path, **hub: as of `load_model`.
        options: of llama.cpp.
        runner: of this very model, where it is loaded already.

    Attributes:
        reader: encoder, projection and embeddings, in PyTorch.
        processor: the model's.
        context: tokens that the language model reads.

    Raises:
        LlamaMissingError, OSError, ValueError, WeightsError: as of `LlamaRunner`.
    """

    def __init__(
        self,
        name_or_path: str | None,
        options: LlamaOptions,
        runner: LlamaRunner | None = None,
        **hub: Any,
    ) -> None:
        self._runner = runner or LlamaRunner(name_or_path, options, **hub)
        from rnagpt.inference.prompt_embeds import load_embedder

        self.reader, self.processor = load_embedder(name_or_path, **hub)
        text = self.reader.config.text_config
        self.context = self._runner.fit(
            text.hidden_size, text.vocab_size, text.max_position_embeddings
        )
        # So that prompts are measured by what is kept here.
        text.max_position_embeddings = self.context

    def new_context(self, *, cells: int | None = None, sequences: int = 1) -> LlamaContext:
        """Room for the keys and values of some sequences."""
        return self._runner.new_context(cells=cells or self.context, sequences=sequences)


class LlamaModel(LocalModel):
    """A `LocalModel` whose words llama.cpp writes.

    `model` is the whole model in PyTorch, which only `explain` loads. Where the encoder is a table
    and nothing but greedy answers are asked for, not even PyTorch is.

    Examples:
        >>> model = LocalModel.open(engine="llama.cpp")  # rna-gpt-mini, not loaded
    """

    def __init__(self, whole: LocalModel, parts: _Loaded) -> None:
        super().__init__(
            lambda: whole.model,
            lambda: parts.whole.processor,
            whole.reads_evidence,
            whole.reads_rnas,
        )
        self._whole, self._parts = whole, parts

    @classmethod
    def of(
        cls,
        whole: LocalModel,
        name_or_path: str | None,
        given: Mapping[str, Any],
        *,
        quiet: bool = False,
        **hub: Any,
    ) -> LlamaModel:
        """A model, of which nothing is loaded before its words are needed.

        Args:
            whole: in PyTorch.
            name_or_path, **hub: as of `load_model`.
            given: options of llama.cpp.
            quiet: show no progress of loading.

        Raises:
            LlamaMissingError: llama.cpp is not installed.
            ValueError: there is no such option.
        """
        from rnagpt.conversion.llama_library import require_llama

        require_llama()
        return cls(whole, _Loaded(name_or_path, LlamaOptions.of(given), quiet, hub))

    def for_conversation(self) -> LlamaModel:
        """The same model, with a cache of keys and values of its own."""
        return LlamaModel(self._whole, self._parts)

    def load(self) -> None:
        """Load what greedy answers are written with."""
        if self._parts.light is None:
            super().load()

    @property
    def limits(self) -> dict[str, Any]:
        """See `LocalModel`."""
        light = self._parts.light
        return super().limits if light is None else dict(light.prompts.limits)

    @property
    def reader(self) -> RnaGptForCausalLM:
        """Encoder, projection and embeddings, without the language model's layers."""
        return self._parts.whole.reader

    @property
    def processor(self) -> RnaGptProcessor:
        return self._parts.whole.processor

    @cached_property
    def writer(self) -> LlamaWriter | LightWriter:  # type: ignore[override]
        """Writes this model's answers, one at a time."""
        parts = self._parts
        if parts.light is None:
            return parts.writer()
        from rnagpt.inference.light_answers import LightWriter

        return LightWriter(
            parts.light, lambda cells: parts.runner.new_context(cells=cells), parts.writer
        )

    def check_options(self, generation: dict[str, Any]) -> None:
        """See `LocalModel`."""
        if generation or self._parts.light is None:
            super().check_options(generation)

    def prompt(self, key: int, sequence: str, text: str) -> SizedPrompt:
        """See `LocalModel`."""
        prompt = None
        if self._parts.light is not None:
            from rnagpt.inference.light_answers import LightPrompt

            prompt = LightPrompt.of(self._parts.light, key, sequence, text)
        return super().prompt(key, sequence, text) if prompt is None else prompt

    def write_prompts(
        self,
        prompts: Sequence[SizedPrompt],
        batch_size: int,
        max_new_tokens: int,
        generation: dict[str, Any],
    ) -> Iterator[Words]:
        """See `LocalModel`."""
        from rnagpt.inference.sorted_batches import write_answers

        if not prompts:
            return iter(())
        longest = max(prompt.length + min(prompt.room, max_new_tokens) for prompt in prompts)
        context = self._parts.runner.new_context(cells=longest * batch_size, sequences=batch_size)
        if self._parts.light is not None and not generation:
            from rnagpt.inference.light_answers import LightBatches, LightPrompt

            light = [prompt for prompt in prompts if isinstance(prompt, LightPrompt)]
            if len(light) == len(prompts):
                batches = LightBatches(self._parts.light, context)
                return write_answers(batches, light, batch_size, max_new_tokens, generation)
        from rnagpt.inference.llama_answers import LlamaBatches

        whole = LlamaBatches(self.reader, self.processor, context)
        return write_answers(whole, prompts, batch_size, max_new_tokens, generation)


class _Loaded:
    """What is loaded when it is first needed, once for all conversations.

    Attributes:
        runner: the language model in llama.cpp.
        light: what embeds prompts without PyTorch; None where that cannot be.
        whole: all of it, with PyTorch.
    """

    def __init__(
        self, name: str | None, options: LlamaOptions, quiet: bool, hub: Mapping[str, Any]
    ) -> None:
        self._name, self._options, self._quiet, self._hub = name, options, quiet, hub
        self._lock = threading.RLock()

    @property
    def runner(self) -> LlamaRunner:
        with self._lock:
            return self._runner

    @property
    def light(self) -> LightModel | None:
        with self._lock:
            return self._light

    @property
    def whole(self) -> LlamaParts:
        with self._lock:
            return self._whole

    def writer(self) -> LlamaWriter:
        """A writer that can all that `generate` can, for one conversation."""
        from rnagpt.inference.llama_answers import LlamaWriter

        parts = self.whole
        return LlamaWriter(
            parts.reader, parts.processor, lambda cells: parts.new_context(cells=cells)
        )

    @cached_property
    def _runner(self) -> LlamaRunner:
        return LlamaRunner(self._name, self._options, **self._hub)

    @cached_property
    def _light(self) -> LightModel | None:
        runner = self._runner  # says first what is wrong with the model
        folder = Path(resolve_model(self._name))
        if self._hub.get("dtype") is not None or not folder.is_dir():
            return None
        from rnagpt.inference.light_answers import LightModel

        light = LightModel.open(folder)
        if light is not None:
            light.reads = runner.fit(light.hidden, light.vocabulary, light.reads)
        return light

    @cached_property
    def _whole(self) -> LlamaParts:
        if self._quiet:
            from transformers.utils import logging

            logging.disable_progress_bar()
        return LlamaParts(self._name, self._options, self._runner, **self._hub)


__all__ = ["NAME", "LlamaModel", "LlamaOptions", "LlamaParts", "LlamaRunner"]
