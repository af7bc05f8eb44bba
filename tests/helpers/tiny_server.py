"""A server of a tiny random model on loopback, and OpenAI's own client for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from helpers.loopback import serve
from helpers.tiny_models import make_model, make_processor
from openai import OpenAI

from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor
from rnagpt.reference.library import Reference
from rnagpt.serving.app import make_app
from rnagpt.serving.engines.transformers_engine import TransformersEngine
from rnagpt.serving.limits import Limits
from rnagpt.serving.service import Service

NAME = "tiny"
CONTEXT = 512


def make_parts() -> tuple[RnaGptForCausalLM, RnaGptProcessor]:
    processor = make_processor(merge_size=3, summary_size=2, max_rna_length=300)
    return make_model(processor), processor


@contextmanager
def serve_tiny(
    parts: tuple[RnaGptForCausalLM, RnaGptProcessor],
    limits: Limits | None = None,
    api_key: str | None = None,
    name: str = NAME,
    cors_origins: tuple[str, ...] = (),
    reference: Reference | None = None,
) -> Iterator[tuple[str, Service]]:
    """Serve; yields the address and the service. Without a reference the model alone answers."""
    model, processor = parts
    limits = limits or Limits(max_tokens=40)
    engine = TransformersEngine(model, processor, limits.max_batch, limits.max_waiting)
    service = Service(
        engine,
        processor,
        name,
        CONTEXT,
        limits,
        api_key,
        cors_origins,
        reference=reference,
        config=model.config,
    )
    with serve(make_app(service)) as address:
        yield address, service


def client_of(address: str, api_key: str = "none") -> OpenAI:
    return OpenAI(base_url=f"{address}/v1", api_key=api_key, max_retries=0, timeout=60)


def ask_about(*rnas: str, text: str = "What is this RNA?") -> list[dict]:
    parts: list[dict] = [{"type": "rna", "rna": rna} for rna in rnas]
    return [{"role": "user", "content": [*parts, {"type": "text", "text": text}]}]


__all__ = ["CONTEXT", "NAME", "ask_about", "client_of", "make_parts", "serve_tiny"]
