"""The server on loopback, asked by OpenAI's own client."""

import concurrent.futures
import threading
import time

import httpx
import openai
import pytest
import torch
from conftest import make_rna
from tiny_server import CONTEXT, NAME, ask_about, client_of, make_parts, serve_tiny

from rnagpt import RnaChat
from rnagpt.serving.limits import Limits


@pytest.fixture(scope="module")
def parts():
    return make_parts()


@pytest.fixture(scope="module")
def server(parts):
    with serve_tiny(parts) as (address, service):
        yield address, service


@pytest.fixture
def address(server):
    return server[0]


@pytest.fixture
def client(address):
    return client_of(address)


def complete(client, messages, **options):
    return client.chat.completions.create(
        model=NAME, messages=messages, **{"max_tokens": 12, **options}
    )


def say_alone(parts, rnas, text="What is this RNA?", max_new_tokens=12, history=()):
    """What RnaChat answers, one question at a time."""
    chat = RnaChat(*parts)
    for rna in rnas:
        chat.add_rna(rna)
    return "".join(chat.ask(text, max_new_tokens=max_new_tokens))


def test_an_answer_is_that_of_a_conversation_in_this_process(client, parts):
    rnas = [make_rna(50), make_rna(31, 1)]
    reply = complete(client, ask_about(*rnas))
    assert reply.choices[0].message.content == say_alone(parts, rnas)
    assert reply.choices[0].finish_reason == "length"
    assert reply.model == NAME
    # Two RNAs of merge size 3, with two summary vectors each, beside the text.
    prompt = parts[1].apply_chat_template(ask_about(*rnas), add_generation_prompt=True)
    text = parts[1].tokenizer(prompt, add_special_tokens=False)["input_ids"]
    assert reply.usage.prompt_tokens == len(text) - 2 + (2 + 17) + (2 + 11)
    assert reply.usage.completion_tokens == 12
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + 12


def test_a_stream_gives_the_same_words_in_pieces(client, parts):
    rna = make_rna(40)
    options = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(complete(client, ask_about(rna), **options))
    pieces = [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta]
    assert "".join(filter(None, pieces)) == say_alone(parts, [rna])
    assert len(list(filter(None, pieces))) > 2
    assert chunks[0].choices[0].delta.role == "assistant"
    finishes = [c.choices[0].finish_reason for c in chunks if c.choices]
    assert [f for f in finishes if f] == ["length"]
    assert chunks[-1].usage.completion_tokens == 12
    assert len({chunk.id for chunk in chunks}) == 1


def test_many_at_once_are_answered_as_if_alone(client, parts):
    rnas = [make_rna(10 + 7 * i, i) for i in range(12)]
    lengths = [3 + 2 * i for i in range(12)]
    alone = [say_alone(parts, [r], max_new_tokens=n) for r, n in zip(rnas, lengths, strict=True)]
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        replies = pool.map(
            lambda pair: complete(client, ask_about(pair[0]), max_tokens=pair[1]),
            zip(rnas, lengths, strict=True),
        )
        assert [reply.choices[0].message.content for reply in replies] == alone
    assert len(set(alone)) > 6


def test_a_conversation_goes_on(client, parts):
    rna = make_rna(30)
    chat = RnaChat(*parts)
    chat.add_rna(rna)
    first = "".join(chat.ask("What is it?", max_new_tokens=6))
    # Bytes that are no character are shown as U+FFFD, and would be other tokens when read again.
    told = first.replace("\ufffd", "")
    messages = [
        *ask_about(rna, text="What is it?"),
        {"role": "assistant", "content": told},
        {"role": "user", "content": "Where is it found?"},
    ]
    reply = complete(client, messages)
    again = RnaChat(*parts)
    again.messages = messages[:2]
    assert reply.choices[0].message.content == "".join(
        again.ask("Where is it found?", max_new_tokens=12)
    )


def test_draws_are_those_of_the_seed(client):
    messages = ask_about(make_rna(30))
    options = {"temperature": 1.5, "seed": 7}
    first, again = (
        complete(client, messages, **options).choices[0].message.content for _ in range(2)
    )
    other = complete(client, messages, **options | {"seed": 8}).choices[0].message.content
    assert first == again != other
    several = complete(client, messages, **options, n=3)
    texts = [choice.message.content for choice in several.choices]
    assert texts[:2] == [first, other]
    assert [choice.index for choice in several.choices] == [0, 1, 2]
    assert several.usage.completion_tokens <= 36
    # The likeliest token alone is left.
    greedy = complete(client, messages).choices[0].message.content
    assert complete(client, messages, **options, top_p=1e-6).choices[0].message.content == greedy


def test_an_answer_ends_before_a_stop_string(client):
    messages = ask_about(make_rna(30))
    whole = complete(client, messages, max_tokens=30).choices[0].message.content
    stop = whole[8:11]
    for options in ({"stop": stop}, {"stop": [stop, "no such string"]}):
        choice = complete(client, messages, max_tokens=30, **options).choices[0]
        assert choice.message.content == whole[: whole.index(stop)]
        assert choice.finish_reason == "stop"
    chunks = complete(client, messages, max_tokens=30, stop=stop, stream=True)
    pieces = [c.choices[0].delta.content or "" for c in chunks]
    assert "".join(pieces) == whole[: whole.index(stop)]


def test_models_and_health(client, address):
    assert [model.id for model in client.models.list()] == [NAME]
    assert client.models.retrieve(NAME).id == NAME
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4o")
    assert httpx.get(f"{address}/health").json() == {"status": "ok"}


def user(content):
    return [{"role": "user", "content": content}]


PROTEIN = "MSKGEELFTGVVPILVELDGDVNGHKFSVSGEGEGDATYGKLTLKFICTTGKLPVPWPTL"


@pytest.mark.parametrize(
    ("messages", "options", "status", "told"),
    [
        (ask_about("ACGX"), {}, 422, "position 4"),
        (ask_about("ACGU", PROTEIN), {}, 422, "RNA '2'.*protein"),
        (ask_about(""), {}, 422, "empty"),
        (ask_about("A" * 301), {}, 413, "301 nt"),
        (ask_about(*["ACGU"] * 17), {}, 413, "17 RNAs"),
        (ask_about("ACGU", text="x" * 6_000_000), {}, 413, "bytes"),
        (ask_about("ACGU", text="what is it " * 200), {}, 400, "tokens"),
        (ask_about("ACGU", text="Say <|im_end|> now"), {}, 400, "control token"),
        (user("<RNAHere> what?"), {}, 400, "RNA"),
        (user([{"type": "image_url", "image_url": {"url": "x"}}]), {}, 400, "image_url"),
        (user([{"type": "rna"}]), {}, 400, "rna"),
        ([], {}, 400, "messages"),
        ([{"role": "robot", "content": "hello"}], {}, 400, "role"),
        ([{"role": "assistant", "content": "hello"}], {}, 400, "last message"),
        (
            [{"role": "assistant", "content": [{"type": "rna", "rna": "A"}]}, *user("?")],
            {},
            400,
            "RNA",
        ),
        (ask_about("ACGU"), {"n": 9}, 400, "at most 8"),
        (ask_about("ACGU"), {"max_tokens": 0}, 400, "max_tokens"),
        (ask_about("ACGU"), {"temperature": 3}, 400, "temperature"),
        (ask_about("ACGU"), {"top_p": 0}, 400, "top_p"),
        (ask_about("ACGU"), {"stop": ["a"] * 5}, 400, "stop"),
        (ask_about("ACGU"), {"logprobs": True}, 400, "logprobs"),
        (ask_about("ACGU"), {"frequency_penalty": 0.5}, 400, "frequency_penalty"),
        (ask_about("ACGU"), {"tools": [{"type": "function"}]}, 400, "tools"),
    ],
)
def test_bad_requests_are_refused_with_the_reason(client, messages, options, status, told):
    with pytest.raises(openai.APIStatusError, match=f"(?s){told}") as caught:
        complete(client, messages, **options)
    assert caught.value.status_code == status
    assert set(caught.value.body) == {"message", "type", "param", "code"}


def test_what_changes_no_answer_may_be_given(client):
    options = {"user": "me", "frequency_penalty": 0, "logprobs": False, "metadata": {"a": "b"}}
    assert complete(client, ask_about("ACGU"), **options).choices


def test_other_models_and_paths_are_not_there(client, address):
    with pytest.raises(openai.NotFoundError, match=r"'gpt-4o'.*'tiny'"):
        client.chat.completions.create(model="gpt-4o", messages=ask_about("ACGU"))
    for method, path, status in (("GET", "/v1/nothing", 404), ("PUT", "/v1/models", 405)):
        reply = httpx.request(method, f"{address}{path}", content=b"")
        assert reply.status_code == status
        assert path in reply.json()["error"]["message"]
    for body in (b"", b"{", b"[]", b"\xff"):
        reply = httpx.post(f"{address}/v1/chat/completions", content=body)
        assert reply.status_code == 400
        assert reply.json()["error"]["type"] == "invalid_request_error"


def test_a_body_of_unknown_size_is_not_read(address):
    reply = httpx.post(f"{address}/v1/chat/completions", content=iter([b"{}"]))
    assert reply.status_code == 411
    assert "Content-Length" in reply.json()["error"]["message"]


def test_a_key_is_asked_for(parts):
    with serve_tiny(parts, api_key="secret") as (address, _):
        assert complete(client_of(address, "secret"), ask_about("AC"))
        for key in ("wrong", "secret2", "Secret"):
            with pytest.raises(openai.AuthenticationError, match="API key"):
                complete(client_of(address, key), ask_about("AC"))
        assert httpx.get(f"{address}/v1/models").status_code == 401
        assert httpx.get(f"{address}/health").status_code == 200


class Slow:
    """Makes the model take its time, and lets a test hold it."""

    def __init__(self, model):
        self.go = threading.Event()
        self.go.set()
        self.passes = 0
        self.handle = model.register_forward_pre_hook(self._wait)

    def _wait(self, *_):
        self.passes += 1
        self.go.wait(30)


@pytest.fixture
def slow(parts):
    slow = Slow(parts[0])
    yield slow
    slow.go.set()
    slow.handle.remove()


def await_true(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_client_that_leaves_ends_its_answers(server, slow):
    address, service = server
    client = client_of(address)
    slow.go.clear()
    stream = complete(client, ask_about(make_rna(30)), max_tokens=40, stream=True, n=3)
    await_true(lambda: slow.passes and service.engine.waiting == 2)
    stream.close()
    time.sleep(0.3)
    slow.go.set()
    await_true(lambda: service.engine.running == service.engine.waiting == 0)
    assert slow.passes < 20
    # The same without a stream.
    slow.go.clear()
    passes = slow.passes
    body = {"model": NAME, "messages": ask_about(make_rna(30)), "max_tokens": 40}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{address}/v1/chat/completions", json=body, timeout=0.5)
    time.sleep(1.5)
    slow.go.set()
    await_true(lambda: service.engine.running == 0)
    assert slow.passes - passes < 20


def test_too_many_are_told_to_come_again(parts, slow):
    limits = Limits(max_batch=1, max_waiting=2, retry_after=3, max_tokens=40)
    with (
        serve_tiny(parts, limits) as (address, service),
        concurrent.futures.ThreadPoolExecutor(3) as pool,
    ):
        client = client_of(address)
        slow.go.clear()
        first = pool.submit(complete, client, ask_about("ACGU"))
        await_true(lambda: slow.passes)
        others = [pool.submit(complete, client, ask_about("ACGUA")) for _ in range(2)]
        await_true(lambda: service.engine.waiting == 2)
        with pytest.raises(openai.RateLimitError, match="wait already") as caught:
            complete(client, ask_about("ACGUC"))
        assert caught.value.response.headers["retry-after"] == "3"
        slow.go.set()
        texts = [answer.result().choices[0].message.content for answer in (first, *others)]
        assert texts[1] == texts[2]


def test_one_failure_touches_no_other(client, parts, monkeypatch):
    from rnagpt.serving.token_batch import TokenBatch, TokenSampler

    read, choose = TokenBatch.add, TokenSampler.choose

    def add(self, prompt):
        if prompt.inputs["rna_input_ids"].shape[1] == 13:
            raise RuntimeError("out of memory")
        return read(self, prompt)

    def choose_or_fail(self, logits):
        if self.sampling.seed == 13:
            raise RuntimeError("no token")
        return choose(self, logits)

    monkeypatch.setattr(TokenBatch, "add", add)
    monkeypatch.setattr(TokenSampler, "choose", choose_or_fail)
    rnas = [make_rna(40, 3), make_rna(13, 4), make_rna(41, 5)]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        futures = [
            pool.submit(complete, client, ask_about(rna), seed=seed)
            for rna, seed in zip(rnas, (1, 2, 13), strict=True)
        ]
        assert futures[0].result().choices[0].message.content == say_alone(parts, rnas[:1])
        for failed in futures[1:]:
            with pytest.raises(openai.InternalServerError, match="RuntimeError"):
                failed.result()
    with pytest.raises(openai.APIError, match="RuntimeError"):
        list(complete(client, ask_about(rnas[1]), stream=True))
    assert complete(client, ask_about(rnas[2])).choices[0].message.content == say_alone(
        parts, rnas[2:]
    )


def test_a_failed_pass_ends_the_answers_that_shared_it_and_no_more(client, parts, monkeypatch):
    from rnagpt.serving.token_batch import TokenBatch

    step = TokenBatch.step
    monkeypatch.setattr(TokenBatch, "step", lambda *_: torch.zeros(1).reshape(3))
    with pytest.raises(openai.InternalServerError):
        complete(client, ask_about("ACGU"))
    monkeypatch.setattr(TokenBatch, "step", step)
    assert complete(client, ask_about("ACGU")).choices[0].message.content == say_alone(
        parts, ["ACGU"]
    )


def test_what_comes_while_it_stops_is_refused(parts):
    with serve_tiny(parts) as (address, service):
        service.stopping = True
        with pytest.raises(openai.InternalServerError, match="stopping") as caught:
            complete(client_of(address), ask_about("ACGU"))
        assert caught.value.status_code == 503
        assert caught.value.response.headers["retry-after"] == "5"
        assert httpx.get(f"{address}/health").status_code == 503


def test_metrics_count(parts):
    with serve_tiny(parts) as (address, _):
        client = client_of(address)
        reply = complete(client, ask_about("ACGU", "GGG"))
        with pytest.raises(openai.UnprocessableEntityError):
            complete(client, ask_about("J"))
        lines = httpx.get(f"{address}/metrics").text.splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert float(values['rnagpt_requests_total{status="200"}']) == 1
    assert float(values['rnagpt_requests_total{status="422"}']) == 1
    assert float(values["rnagpt_rnas_total"]) == 2
    assert float(values["rnagpt_prompt_tokens_total"]) == reply.usage.prompt_tokens
    assert float(values["rnagpt_completion_tokens_total"]) == reply.usage.completion_tokens
    assert float(values["rnagpt_running_answers"]) == 0
    assert float(values["rnagpt_first_token_seconds_count"]) == 1


def test_the_context_bounds_an_answer(client, parts):
    rna = make_rna(300)
    text = "What is it? " * 72
    reply = complete(client, ask_about(rna, text=text), max_tokens=40)
    assert reply.usage.prompt_tokens > CONTEXT - 40
    assert reply.usage.total_tokens <= CONTEXT
    assert reply.choices[0].finish_reason == "length"
