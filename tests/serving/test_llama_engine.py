"""The server's engine on llama.cpp: answers together are those of the model alone, in PyTorch."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from helpers.language_model_kinds import make_parts
from helpers.loopback import serve
from helpers.tiny_models import make_question, make_rna
from helpers.tiny_server import ask_about, client_of

from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor
from rnagpt.serving.app import make_app
from rnagpt.serving.engines import ENGINES, EngineSettings, batched_engine
from rnagpt.serving.engines.base import Prompt, Sampling
from rnagpt.serving.limits import Limits
from rnagpt.serving.service import Service

pytest.importorskip("llama_cpp", reason="needs llama.cpp: make test-llama")
pytestmark = pytest.mark.llama

Parts = tuple[RnaGptForCausalLM, RnaGptProcessor]
T = TypeVar("T")
QUESTIONS = ["What is this RNA?", "Where is it found?"]
CLIENTS = 8


@pytest.fixture(scope="module")
def parts() -> Parts:
    return make_parts()


@pytest.fixture(scope="module")
def folder(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("parts") / "tiny"
    for part in parts:
        part.save_pretrained(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNAGPT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield folder


def start(folder: Path, parts: Parts, max_batch: int = CLIENTS, **options: Any) -> Any:
    settings = EngineSettings(str(folder), max_batch, 64, options={"type": "f32", **options})
    return ENGINES["llama.cpp"].start(settings, parts[1])


def make_prompt(parts: Parts, rna: str, question: str) -> Prompt:
    inputs: Any = parts[1].apply_chat_template(
        [make_question([rna], question)], add_generation_prompt=True, tokenize=True
    )
    length = inputs["input_ids"].shape[1]
    return Prompt(inputs, length, 512 - length)


def alone(parts: Parts, prompt: Prompt, tokens: int) -> list[int]:
    """By transformers' own loop; without the token that ends an answer."""
    inputs: Any = dict(prompt.inputs)
    end = parts[1].tokenizer.eos_token_id
    ids = parts[0].generate(**inputs, max_new_tokens=tokens, do_sample=False, eos_token_id=end)
    new = ids[0, inputs["input_ids"].shape[1] :].tolist()
    return new[:-1] if new[-1] == end else new


async def read(stream: Any) -> list[int]:
    return [token async for piece in stream for token in piece.ids]


def run(engine: Any, work: Coroutine[Any, Any, T]) -> T:
    async def closing() -> T:
        try:
            return await work
        finally:
            await engine.close()

    return asyncio.run(closing())


@pytest.mark.parametrize("options", [{}, {"cells": 600}])
def test_many_answers_together_are_each_as_alone(
    folder: Path, parts: Parts, options: dict[str, Any]
) -> None:
    """Eight at once of some that begin alike; with few cells most of them wait for others."""
    prompts = [
        make_prompt(parts, make_rna(length, length), question)
        for length in (20, 47, 47, 120, 33, 90)
        for question in QUESTIONS
    ]
    engine = start(folder, parts, **options)
    most = 0

    async def ask_all() -> list[list[int]]:
        streams = [engine.submit(one, [Sampling(20 + n)])[0] for n, one in enumerate(prompts)]
        tasks = [asyncio.create_task(read(stream)) for stream in streams]
        while not all(task.done() for task in tasks):
            nonlocal most
            most = max(most, engine.running)
            await asyncio.sleep(0.001)
        return [task.result() for task in tasks]

    answers = run(engine, ask_all())
    assert answers == [alone(parts, one, 20 + n) for n, one in enumerate(prompts)]
    assert engine.running == engine.waiting == 0
    assert most == CLIENTS if not options else most < CLIENTS


def test_long_prompts_are_read_in_pieces_and_may_be_given_up(
    folder: Path, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batched_engine, "READ_BETWEEN_STEPS", 7)
    monkeypatch.setattr(batched_engine, "READ_AT_ONCE", 30)
    prompt = make_prompt(parts, make_rna(150, 1), QUESTIONS[0])
    engine = start(folder, parts, max_batch=2)

    async def ask() -> list[list[int]]:
        for _ in range(5):  # more than there are sequences
            (given_up,) = engine.submit(prompt, [Sampling(9)])
            await asyncio.sleep(0.01)
            given_up.cancel()
        streams = engine.submit(prompt, [Sampling(9), Sampling(9)])
        return list(await asyncio.gather(*map(read, streams)))

    assert run(engine, ask()) == [alone(parts, prompt, 9)] * 2


def test_a_failure_is_its_answers_own(
    folder: Path, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rnagpt.inference.llama_context import LlamaContext

    prompt = make_prompt(parts, make_rna(40, 1), QUESTIONS[0])
    engine = start(folder, parts, max_batch=1)

    async def ask() -> list[int]:
        for name in ("read", "step"):
            with monkeypatch.context() as patch:

                def fail(*_: Any) -> Any:
                    raise MemoryError("The language model's context is full.")

                patch.setattr(LlamaContext, name, fail)
                (stream,) = engine.submit(prompt, [Sampling(9)])
                with pytest.raises(MemoryError):
                    await read(stream)
        (stream,) = engine.submit(prompt, [Sampling(9)])
        return await read(stream)

    assert run(engine, ask()) == alone(parts, prompt, 9)


def test_a_real_server_says_it_and_how_likely_it_is(folder: Path, parts: Parts) -> None:
    engine = start(folder, parts)
    service = Service(engine, parts[1], "tiny", engine.context, Limits(max_tokens=40))
    with serve(make_app(service)) as address:
        reply = client_of(address).chat.completions.create(
            model="tiny",
            messages=ask_about(make_rna(40, 1)),
            max_tokens=9,
            logprobs=True,
            top_logprobs=2,
        )
    (choice,) = reply.choices
    expected = alone(parts, make_prompt(parts, make_rna(40, 1), "What is this RNA?"), 9)
    assert choice.message.content == parts[1].tokenizer.decode(expected)
    told = choice.logprobs and choice.logprobs.content
    assert told
    assert all(one.logprob <= 0 and len(one.top_logprobs) == 2 for one in told)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"options": {"cells": 0}}, "cells is a whole number"),
        ({"options": {"tensor_parallel_size": 2}}, "no option tensor_parallel_size"),
        ({"dtype": "bfloat16"}, "--dtype is for transformers and vLLM"),
        ({"max_batch": 300}, "at most 256 answers"),
    ],
)
def test_settings_that_cannot_be_had(
    folder: Path, parts: Parts, settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        ENGINES["llama.cpp"].start(EngineSettings(str(folder), **settings), parts[1])
