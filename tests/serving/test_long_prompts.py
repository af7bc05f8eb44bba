"""Long prompts are read a piece at a time, so that short ones are written meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from helpers.tiny_models import make_model, make_processor, make_question, make_rna

from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor
from rnagpt.serving.engines import batched_engine
from rnagpt.serving.engines.base import Prompt, Sampling
from rnagpt.serving.engines.token_batch import Reading, TokenBatch
from rnagpt.serving.engines.transformers_engine import TransformersEngine

Parts = tuple[RnaGptForCausalLM, RnaGptProcessor]
LONG, SHORT = make_rna(290, 1), make_rna(20, 2)


@pytest.fixture(scope="module")
def parts() -> Parts:
    processor = make_processor(merge_size=1, summary_size=2, max_rna_length=300)
    return make_model(processor), processor


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batched_engine, "READ_BETWEEN_STEPS", 7)
    monkeypatch.setattr(batched_engine, "READ_AT_ONCE", 64)


@pytest.fixture
def engine(parts: Parts) -> Iterator[TransformersEngine]:
    engine = TransformersEngine(*parts)
    yield engine
    asyncio.run(engine.close())


def prompt_of(parts: Parts, rna: str) -> Prompt:
    inputs: Any = parts[1].apply_chat_template(
        [make_question([rna])], add_generation_prompt=True, tokenize=True
    )
    length = inputs["input_ids"].shape[1]
    return Prompt(inputs, length, 512 - length)


def alone(parts: Parts, rna: str, tokens: int) -> list[int]:
    """By transformers' own loop, in one pass over the prompt."""
    inputs: Any = dict(prompt_of(parts, rna).inputs)
    ids = parts[0].generate(**inputs, max_new_tokens=tokens, do_sample=False)
    return ids[0, inputs["input_ids"].shape[1] :].tolist()


async def read(stream: Any) -> list[int]:
    return [token async for piece in stream for token in piece.ids]


def test_a_prompt_in_pieces_has_the_logits_of_one_pass(parts: Parts) -> None:
    prompt = prompt_of(parts, LONG)
    with torch.inference_mode():
        whole = parts[0](**prompt.inputs).logits[0, -1]
    for size in (1, 50, prompt.length - 1, prompt.length, 1000):
        reading = Reading(parts[0], prompt)
        logits = None
        while logits is None:
            logits = reading.read_on(size)
        assert torch.allclose(logits, whole, atol=1e-4)
    assert TokenBatch(parts[0]).add(prompt) == pytest.approx(whole, abs=1e-4)


def test_short_answers_are_written_while_long_prompts_are_read(
    parts: Parts, engine: TransformersEngine
) -> None:
    """And all of them are those of the model alone."""
    ended: list[str] = []

    async def ask(name: str, rna: str, tokens: int) -> list[int]:
        (stream,) = engine.submit(prompt_of(parts, rna), [Sampling(tokens)])
        ids = await read(stream)
        ended.append(name)
        return ids

    async def ask_all() -> list[list[int]]:
        longs = [ask(f"long {n}", LONG, 3) for n in range(2)]
        shorts = [ask(f"short {n}", SHORT, 4 + n) for n in range(3)]
        return await asyncio.gather(*longs, *shorts)

    answers = asyncio.run(ask_all())
    assert answers[:2] == [alone(parts, LONG, 3)] * 2
    assert answers[2:] == [alone(parts, SHORT, 4 + n) for n in range(3)]
    assert sorted(ended[:3]) == ["short 0", "short 1", "short 2"]
    assert engine.running == engine.waiting == 0


def test_a_long_prompt_may_be_given_up_and_its_failure_is_its_own(
    parts: Parts, engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def leave() -> None:
        (stream,) = engine.submit(prompt_of(parts, LONG), [Sampling(3)])
        stream.cancel()
        (short,) = engine.submit(prompt_of(parts, SHORT), [Sampling(3)])
        assert await read(short) == alone(parts, SHORT, 3)

    asyncio.run(leave())
    read_on = Reading.read_on

    def fail(self: Reading, tokens: int) -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Reading, "read_on", fail)

    async def ask_both() -> None:
        (long,) = engine.submit(prompt_of(parts, LONG), [Sampling(3)])
        (short,) = engine.submit(prompt_of(parts, SHORT), [Sampling(3)])
        with pytest.raises(RuntimeError, match="out of memory"):
            await read(long)
        assert await read(short) == alone(parts, SHORT, 3)

    asyncio.run(ask_both())
    monkeypatch.setattr(Reading, "read_on", read_on)

    async def again() -> list[int]:
        (long,) = engine.submit(prompt_of(parts, LONG), [Sampling(3)])
        return await read(long)

    assert asyncio.run(again()) == alone(parts, LONG, 3)
    assert engine.running == engine.waiting == 0


def test_an_engine_that_closes_ends_what_is_half_read(parts: Parts) -> None:
    engine = TransformersEngine(*parts)

    async def close() -> None:
        streams = [engine.submit(prompt_of(parts, LONG), [Sampling(30)])[0] for _ in range(3)]
        await engine.close()
        for stream in streams:
            with pytest.raises(RuntimeError, match="closed"):
                await read(stream)

    asyncio.run(close())
