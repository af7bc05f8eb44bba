"""A model of this machine, which may be loaded only when its words are needed."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rnagpt.inference.cited import (
    LanguageModel,
    PromptRejectedError,
    Request,
    Words,
    may_read,
)
from rnagpt.inference.default_model import MODEL_VARIABLE, resolve_model
from rnagpt.inference.model_config import read_model_config

if TYPE_CHECKING:
    from rnagpt.inference.sorted_batches import SizedPrompt
    from rnagpt.inference.token_writer import TokenWriter, WrittenAnswer
    from rnagpt.modeling_rnagpt import RnaGptForCausalLM
    from rnagpt.processing_rnagpt import RnaGptProcessor

# What may run the language model.
ENGINES = ("transformers", "llama.cpp")


class LocalModel:
    """A `LanguageModel` of this machine.

    `model` and `processor` are loaded when they are first asked for, and PyTorch with them.

    Args:
        load_model: loads the model.
        load_processor: loads its processor.
        reads_evidence: as `RnaGptConfig.reads_evidence`.
        reads_rnas: whether its own reading may be shown; see `cited.may_read`.

    Examples:
        >>> model = LocalModel.open()  # rna-gpt-mini, not loaded
    """

    def __init__(
        self,
        load_model: Callable[[], RnaGptForCausalLM],
        load_processor: Callable[[], RnaGptProcessor],
        reads_evidence: bool,
        reads_rnas: bool,
    ) -> None:
        self._load_model = load_model
        self._load_processor = load_processor
        self.reads_evidence = reads_evidence
        self.reads_rnas = reads_rnas
        self._lock = threading.RLock()

    @classmethod
    def loaded(cls, model: RnaGptForCausalLM, processor: RnaGptProcessor) -> LocalModel:
        """Of a model that is loaded already."""
        return cls(lambda: model, lambda: processor, *_abilities(vars(model.config)))

    @classmethod
    def open(
        cls,
        name_or_path: str | None = None,
        *,
        quiet: bool = False,
        engine: str = ENGINES[0],
        engine_options: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> LocalModel:
        """A model that is loaded when it is first needed.

        Args:
            name_or_path: as of `load_model`.
            quiet: show no progress of loading.
            engine: one of `ENGINES`, which runs the language model.
            engine_options: of llama.cpp, as `LlamaOptions` has them.
            **options: as of `load_model`.

        Raises:
            OSError, ValueError: there is no such model, as far as its configuration tells.
        """
        name = name_or_path if name_or_path is not None else os.environ.get(MODEL_VARIABLE) or None
        config = _bundled_fields() if name is None else read_model_config(name, options)

        def load_model() -> RnaGptForCausalLM:
            from transformers.utils import logging

            from rnagpt.inference import loading

            if quiet:
                logging.disable_progress_bar()
            return loading.load_model(resolve_model(name), **options)

        def load_processor() -> RnaGptProcessor:
            from rnagpt.inference import loading

            return loading.load_processor(resolve_model(name), **options)

        whole = cls(load_model, load_processor, *_abilities(config))
        if engine == ENGINES[0]:
            if engine_options:
                raise ValueError(f"The engine {engine} has no options: leave them out.")
            return whole
        if engine not in ENGINES:
            raise ValueError(f"There is no engine {engine!r}; choose one of {', '.join(ENGINES)}.")
        for option in ("int8", "compiled"):
            if options.pop(option, False):
                raise ValueError(f"{option} is for the engine {ENGINES[0]}; leave it out.")
        from rnagpt.inference.llama_model import LlamaModel

        return LlamaModel.of(whole, name, engine_options or {}, quiet=quiet, **options)

    @property
    def reader(self) -> RnaGptForCausalLM:
        """What encodes RNAs and embeds prompts: the model, or as much of it as that takes."""
        return self.model

    def load(self) -> None:
        """Load what answers are written with."""
        _ = self.reader, self.processor

    @property
    def limits(self) -> dict[str, Any]:
        """What it reads of RNAs, as arguments of `clean_rna`."""
        read = self.processor
        return {"max_length": read.max_rna_length, "max_ambiguous": read.max_ambiguous}

    def check_options(self, generation: dict[str, Any]) -> None:
        """Check options of `generate`.

        Raises:
            ValueError: one cannot be had here.
        """
        from rnagpt.inference.generation import generation_options

        generation_options(self.reader, self.processor, generation)

    def for_conversation(self) -> LocalModel:
        """The same model, with a cache of keys and values of its own."""
        return LocalModel(
            lambda: self.model, lambda: self.processor, self.reads_evidence, self.reads_rnas
        )

    @property
    def model(self) -> RnaGptForCausalLM:
        with self._lock:
            return self._loaded_model

    @property
    def processor(self) -> RnaGptProcessor:
        with self._lock:
            return self._loaded_processor

    @cached_property
    def _loaded_model(self) -> RnaGptForCausalLM:
        return self._load_model()

    @cached_property
    def _loaded_processor(self) -> RnaGptProcessor:
        return self._load_processor()

    @cached_property
    def writer(self) -> TokenWriter:
        """Writes this model's answers, one at a time."""
        from rnagpt.inference.token_writer import TokenWriter

        return TokenWriter(self.model, self.processor)

    def forget(self) -> None:
        """Empty the writer's cache, where there is one."""
        if "writer" in self.__dict__:
            self.writer.forget()

    def begin(
        self, request: Request, max_new_tokens: int, generation: dict[str, Any]
    ) -> TokenWriting:
        """See `LanguageModel`."""
        from rnagpt.inference.messages import user_message

        self.check_options(generation)
        messages = [user_message(request.text, [request.rna.sequence])]
        try:
            return TokenWriting(
                self.writer, self.writer.prepare(messages, max_new_tokens, generation)
            )
        except ValueError as error:
            raise PromptRejectedError(str(error)) from error

    def write_all(
        self,
        requests: Sequence[Request],
        batch_size: int,
        max_new_tokens: int,
        generation: dict[str, Any],
    ) -> Iterator[Words | None]:
        """See `LanguageModel`."""
        # Loaded here: what is wrong with a model is no prompt that does not fit.
        self.load()
        prompts = self._prompts(requests)
        fitting = [prompt for prompt in prompts if prompt is not None]
        words = self.write_prompts(fitting, batch_size, max_new_tokens, generation)
        for prompt in prompts:
            yield None if prompt is None else next(words)

    def prompt(self, key: int, sequence: str, text: str) -> SizedPrompt:
        """A text about an RNA; arguments and errors as of `Prompt`."""
        from rnagpt.inference.prompt_batches import Prompt

        return Prompt(self.reader, self.processor, key, sequence, text)

    def write_prompts(
        self,
        prompts: Sequence[SizedPrompt],
        batch_size: int,
        max_new_tokens: int,
        generation: dict[str, Any],
    ) -> Iterator[Words]:
        """The answers to prompts of this model, as `write_answers` gives them."""
        from rnagpt.inference.prompt_batches import GeneratedBatches, write_answers

        batches = GeneratedBatches(self.model, self.processor)
        return write_answers(batches, prompts, batch_size, max_new_tokens, generation)

    def _prompts(self, requests: Sequence[Request]) -> list[SizedPrompt | None]:
        keys: dict[int, int] = {}
        prompts: list[SizedPrompt | None] = []
        for request in requests:
            key = keys.setdefault(id(request.rna), len(keys))
            try:
                prompts.append(self.prompt(key, request.rna.sequence, request.text))
            except ValueError:
                prompts.append(None)
        return prompts


class TokenWriting:
    """An answer that a model of this machine writes, a token a step."""

    def __init__(self, writer: TokenWriter, answer: WrittenAnswer) -> None:
        self._writer = writer
        self._answer = answer

    def step(self) -> bool:
        """See `Writing`."""
        return self._writer.next_token(self._answer) is not None

    def words(self) -> Words:
        """See `Writing`."""
        return self._writer.finish(self._answer) or Words("", complete=False)


def as_language_model(
    model: RnaGptForCausalLM | LanguageModel, processor: RnaGptProcessor | None = None
) -> LanguageModel:
    """A model with its processor, or what is a `LanguageModel` already.

    Raises:
        TypeError: the processor is missing.
    """
    if hasattr(model, "reads_rnas"):
        return model  # type: ignore[return-value]  # a protocol with properties
    if processor is None:
        raise TypeError("An RNA-GPT needs its processor: give load_processor(name) too.")
    return LocalModel.loaded(model, processor)  # type: ignore[arg-type]  # as above


def _abilities(config: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether a model reads evidence, and whether its own reading may be shown, by its fields."""
    return bool(config.get("reads_evidence")), may_read(config.get("confidence_bias"))


def _bundled_fields() -> dict[str, Any]:
    """What rna-gpt-mini's configuration will hold of this, once it is put together."""
    from rnagpt.conversion.mini import CHECKPOINT, CONFIDENCE_FILE
    from rnagpt.conversion.stage_record import learned_from_evidence

    file = CHECKPOINT / CONFIDENCE_FILE
    fitted: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    return {**fitted, "reads_evidence": learned_from_evidence(CHECKPOINT)}


__all__ = ["ENGINES", "LocalModel", "as_language_model"]
