"""The vLLM engine beside the transformers engine; `make test-vllm` runs these where vLLM is."""

import asyncio
import contextlib
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

import openai
import psutil
import pytest
import torch
import uvicorn
from helpers.tiny_models import make_model, make_processor, make_rna
from helpers.tiny_server import NAME, ask_about, client_of

from rnagpt.serving.app import make_app
from rnagpt.serving.engines.base import EngineOverloadedError, Prompt, Sampling
from rnagpt.serving.engines.transformers_engine import TransformersEngine
from rnagpt.serving.engines.vllm_engine import VllmEngine
from rnagpt.serving.limits import Limits
from rnagpt.serving.service import Service

pytestmark = pytest.mark.vllm
NUM_PROMPTS, MAX_TOKENS = 50, 24
LIMITS = Limits(max_batch=4, max_waiting=60, max_tokens=40)
# vLLM's attention on CPUs knows heads of 32 and more.
TEXT = {"hidden_size": 128, "intermediate_size": 128}
QUESTIONS = ["What is this RNA?", "Which family does it belong to?", "Where is it found?"]


@pytest.fixture(scope="module")
def parts():
    processor = make_processor(merge_size=3, summary_size=2, max_rna_length=300)
    return make_model(processor, text=TEXT), processor


@pytest.fixture(scope="module")
def loop():
    """One event loop for all that is asynchronous here, in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join(timeout=10)


@pytest.fixture(scope="module")
def engine(parts, loop, tmp_path_factory):
    pytest.importorskip("vllm")
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    folder = tmp_path_factory.mktemp("tiny")
    model, processor = parts
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    options = {"enforce_eager": True, "max_model_len": 512}
    engine = VllmEngine(
        str(folder), LIMITS.max_batch, LIMITS.max_waiting, dtype="float32", options=options
    )
    yield engine
    run(loop, engine.close())


@pytest.fixture(scope="module")
def client(parts, engine, loop):
    service = Service(engine, parts[1], NAME, 512, LIMITS)
    config = uvicorn.Config(make_app(service), log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        serving = asyncio.run_coroutine_threadsafe(server.serve([listener]), loop)
        await_true(lambda: server.started)
        yield client_of(f"http://127.0.0.1:{port}")
        server.should_exit = True
        serving.result(timeout=30)


def run(loop, coroutine, seconds=300):
    return asyncio.run_coroutine_threadsafe(coroutine, loop).result(seconds)


def await_true(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def make_prompts(processor, number):
    """Conversations of one or two RNAs; many of equal length, which a cache could take for one."""
    chosen = random.Random(0)
    prompts = []
    for seed in range(number):
        rnas = [make_rna(chosen.choice([20, 47, 120]), seed + 100 * i) for i in range(1 + seed % 2)]
        inputs = processor.apply_chat_template(
            ask_about(*rnas, text=chosen.choice(QUESTIONS)),
            add_generation_prompt=True,
            tokenize=True,
        )
        length = inputs["input_ids"].shape[1]
        prompts.append(Prompt(inputs, length, 512 - length))
    return prompts


async def read(stream):
    """An answer's tokens, and why it ended."""
    ids, finish = [], None
    async for tokens in stream:
        ids += tokens.ids
        finish = tokens.finish
    return ids, finish


async def answer_all(engine, prompts, sampling):
    streams = [engine.submit(prompt, [sampling])[0] for prompt in prompts]
    return await asyncio.gather(*map(read, streams))


@torch.no_grad()
def margin(model, prompt, ids):
    """By how much the likeliest token leads after a prompt and these tokens."""
    inputs = dict(prompt.inputs)
    inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([ids]).long()], dim=1)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    best = model(**inputs, logits_to_keep=1).logits[0, -1].topk(2).values
    return float(best[0] - best[1])


def test_greedy_answers_of_both_engines_agree(parts, engine, loop):
    model, processor = parts
    prompts = make_prompts(processor, NUM_PROMPTS)
    sampling = Sampling(max_tokens=MAX_TOKENS)
    by_vllm = run(loop, answer_all(engine, prompts, sampling))
    here = TransformersEngine(model, processor, max_batch=8, max_waiting=NUM_PROMPTS)
    by_transformers = run(loop, answer_all(here, prompts, sampling))
    run(loop, here.close())
    ties = 0
    for prompt, one, other in zip(prompts, by_vllm, by_transformers, strict=True):
        if one == other:
            continue
        pairs = zip(one[0], other[0], strict=False)
        same = [mine for mine, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)]
        assert margin(model, prompt, same) < 1e-3, (one, other)
        ties += 1
    print(f"{NUM_PROMPTS - ties} of {NUM_PROMPTS} answers are the same, {ties} part at a tie.")
    assert ties <= NUM_PROMPTS // 10
    assert len({tuple(ids) for ids, _ in by_vllm}) > NUM_PROMPTS // 2


async def read_probabilities(engine, prompt, sampling):
    (stream,) = engine.submit(prompt, [sampling])
    pieces = [piece async for piece in stream]
    told = [one for piece in pieces for one in piece.probabilities or ()]
    return told, sum(piece.log_probability or 0.0 for piece in pieces)


def test_both_engines_say_how_likely_tokens_are(parts, engine, loop):
    model, processor = parts
    here = TransformersEngine(model, processor)
    sampling = Sampling(max_tokens=MAX_TOKENS, log_probabilities=True, top=3)
    for prompt in make_prompts(processor, 6):
        theirs, their_sum = run(loop, read_probabilities(engine, prompt, sampling))
        ours, our_sum = run(loop, read_probabilities(here, prompt, sampling))
        assert [one.id for one in theirs] == [one.id for one in ours]
        assert their_sum == pytest.approx(our_sum, abs=1e-2)
        for one, other in zip(theirs, ours, strict=True):
            assert one.log_probability == pytest.approx(other.log_probability, abs=1e-3)
            assert [number for number, _ in one.top] == [number for number, _ in other.top]
            assert [chance for _, chance in one.top] == pytest.approx(
                [chance for _, chance in other.top], abs=1e-3
            )
    run(loop, here.close())
    # Nothing is told that was not asked for; the whole answer's probability alone may be.
    plain = run(loop, read_probabilities(engine, prompt, Sampling(max_tokens=4)))
    assert plain == ([], 0.0)


def test_the_client_is_given_logprobs(client):
    reply = client.chat.completions.create(
        model=NAME,
        messages=ask_about(make_rna(30)),
        max_tokens=12,
        logprobs=True,
        top_logprobs=2,
        temperature=1.5,
        seed=2,
    )
    choice = reply.choices[0]
    written = b"".join(bytes(one.bytes or b"") for one in choice.logprobs.content)
    assert written.decode("utf-8", "replace") == choice.message.content
    assert all(len(one.top_logprobs) == 2 for one in choice.logprobs.content)


def test_a_stream_with_usage_and_a_stop_string(client):
    def ask(**options):
        return client.chat.completions.create(
            model=NAME, messages=ask_about(make_rna(30), make_rna(20, 1)), max_tokens=30, **options
        )

    whole = ask()
    text = whole.choices[0].message.content
    chunks = list(ask(stream=True, stream_options={"include_usage": True}))
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == text
    assert chunks[-1].usage == whole.usage
    assert whole.usage.completion_tokens == 30
    stop = text[5:8]
    stopped = ask(stop=stop).choices[0]
    assert stopped.message.content == text[: text.index(stop)]
    assert stopped.finish_reason == "stop"


def test_draws_are_those_of_the_seed(client):
    def ask(seed):
        reply = client.chat.completions.create(
            model=NAME,
            messages=ask_about(make_rna(30)),
            max_tokens=20,
            temperature=1.5,
            seed=seed,
            n=2,
        )
        return [choice.message.content for choice in reply.choices]

    first, again, other = ask(5), ask(5), ask(6)
    assert first == again
    assert first[1] == other[0] != first[0]


def test_a_client_that_leaves_ends_its_answer(client, engine):
    stream = client.chat.completions.create(
        model=NAME, messages=ask_about(make_rna(30)), max_tokens=40, stream=True, n=4
    )
    next(iter(stream))
    stream.close()
    await_true(lambda: engine.running == 0)
    llm = engine.llm
    await_true(lambda: llm.get_num_unfinished_requests() == 0)


def test_too_many_are_rejected_and_the_others_answered(parts, engine, loop):
    prompts = make_prompts(parts[1], 70)

    async def overload():
        streams = []
        with contextlib.suppress(EngineOverloadedError):
            for prompt in prompts:
                streams += engine.submit(prompt, [Sampling(max_tokens=2)])
        return len(streams), await asyncio.gather(*map(read, streams))

    accepted, answers = run(loop, overload())
    assert accepted == LIMITS.max_batch + LIMITS.max_waiting
    assert all(ids and finish for ids, finish in answers)
    assert engine.running == engine.waiting == 0


def test_an_unreadable_rna_is_rejected_and_the_next_answered(client):
    with pytest.raises(openai.UnprocessableEntityError):
        client.chat.completions.create(model=NAME, messages=ask_about("ACGX"))
    assert client.chat.completions.create(model=NAME, messages=ask_about("ACG"), max_tokens=2)


def test_a_server_that_is_told_to_stop_leaves_no_process_behind(parts, tmp_path):
    model, processor = parts
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    command = [sys.executable, "-m", "rnagpt.cli.main", "serve", "--engine", "vllm", "--port", "0"]
    options = ["--engine-option", "enforce_eager=true", "--engine-option", "max_model_len=512"]
    process = subprocess.Popen(
        [*command, *options, "--model", str(tmp_path), "--dtype", "float32"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert any(line.startswith("Serving") for line in process.stdout)
    children = psutil.Process(process.pid).children(recursive=True)
    assert any("EngineCore" in " ".join(child.cmdline()) for child in children)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive
