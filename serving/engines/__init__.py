"""Registry of the engines that write answers: the one place to add another.

An engine is a class with the methods of `rnagpt.serving.engines.base.Engine`, in a module of its
own here, and an entry in `ENGINES`; `rnagpt serve --engine NAME` then offers it. Nothing here
imports torch before an engine is started, so that `rnagpt serve --help` is quick.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnagpt.processing_rnagpt import RnaGptProcessor
    from rnagpt.serving.engines.base import Engine
    from rnagpt.serving.prompt_encoders import PromptEncoder


@dataclass(frozen=True)
class EngineSettings:
    """What an engine is started with.

    Attributes:
        name_or_path: folder or Hub id of an RNA-GPT.
        max_batch: answers that are written at once.
        max_waiting: answers that may wait.
        dtype: of the weights, such as "bfloat16"; None: the engine's default.
        options: the engine's own, from `--engine-option NAME=VALUE`.
    """

    name_or_path: str
    max_batch: int = 32
    max_waiting: int = 128
    dtype: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EngineKind:
    """An engine that can be chosen.

    Attributes:
        help: half a line for `rnagpt serve --help`.
        start: loads the model and starts the engine. Raises ValueError for an option that it does
            not know, and for a package that is not installed.
        open_encoder: what makes the model's prompts in the processor's place, which `start` is then
            given instead; None where the processor has to. Without it the processor always does.
    """

    help: str
    start: Callable[[EngineSettings, Any], Engine]
    open_encoder: Callable[[EngineSettings], PromptEncoder | None] = lambda settings: None


def _start_transformers(settings: EngineSettings, processor: RnaGptProcessor) -> Engine:
    from rnagpt.inference.loading import load_model
    from rnagpt.serving.engines.transformers_engine import TransformersEngine

    if settings.options:
        raise ValueError(
            "--engine-option is for --engine vllm and --engine llama.cpp; leave it out."
        )
    dtype: dict[str, Any] = {"dtype": settings.dtype} if settings.dtype else {}
    model = load_model(settings.name_or_path, **dtype)
    return TransformersEngine(model, processor, settings.max_batch, settings.max_waiting)


def _start_vllm(settings: EngineSettings, processor: RnaGptProcessor) -> Engine:
    from rnagpt.serving.engines.vllm_engine import VllmEngine

    return VllmEngine(
        settings.name_or_path,
        settings.max_batch,
        settings.max_waiting,
        dtype=settings.dtype,
        options=settings.options,
    )


def _start_llama(settings: EngineSettings, processor: RnaGptProcessor | PromptEncoder) -> Engine:
    from rnagpt.serving.engines.llama_engine import start_llama_engine

    return start_llama_engine(settings, processor)


def _open_light_encoder(settings: EngineSettings) -> PromptEncoder | None:
    from rnagpt.serving.engines.llama_engine import light_encoder

    return light_encoder(settings)


# The first is the default.
ENGINES: dict[str, EngineKind] = {
    "transformers": EngineKind("in this process", _start_transformers),
    "llama.cpp": EngineKind(
        "faster on a CPU; pip install 'rna-gpt[cpu]'", _start_llama, _open_light_encoder
    ),
    "vllm": EngineKind("needs vLLM installed", _start_vllm),
}

__all__ = ["ENGINES", "EngineKind", "EngineSettings"]
