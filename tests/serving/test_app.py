"""The server on loopback, asked by OpenAI's own client."""

import concurrent.futures
import json
import socket
import threading
import time

import httpx
import openai
import pytest
import torch
from helpers.tiny_models import make_rna
from helpers.tiny_server import CONTEXT, NAME, ask_about, client_of, serve_tiny

from rnagpt import RnaChat
from rnagpt.serving.limits import Limits


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
    assert client.models.retrieve(NAME).max_model_len == CONTEXT
    assert client.models.retrieve(NAME).context_length == CONTEXT
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4o")
    assert httpx.get(f"{address}/health").json() == {"status": "ok"}
    for path in ("/health", "/metrics", "/v1/models"):
        head = httpx.head(f"{address}{path}")
        assert (head.status_code, head.content) == (200, b"")


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
        (ask_about("ACGU"), {"logprobs": True, "top_logprobs": 21}, 400, "top_logprobs"),
        (ask_about("ACGU"), {"top_logprobs": 2}, 400, "needs logprobs: true"),
        (ask_about("ACGU"), {"extra_body": {"logprobs": 5}}, 400, "logprobs"),
        (user("ACGUACGUACGUACGUA?"), {"logprobs": True}, 400, "begins with lines"),
        (ask_about("ACGU"), {"frequency_penalty": 0.5}, 400, "frequency_penalty"),
        (ask_about("ACGU"), {"tools": [{"type": "function"}]}, 400, "tools"),
        (ask_about("ACGU"), {"tool_choice": "required"}, 400, "tool_choice"),
        (ask_about("ACGU"), {"response_format": {"type": "json_object"}}, 400, "response_format"),
        (ask_about("ACGU"), {"extra_body": {"top_k": 1}}, 400, "top_k"),
        (ask_about("ACGU"), {"extra_body": {"repetition_penalty": True}}, 400, "repetition_pen"),
        (ask_about("ACGU"), {"stop": "a" * 1001}, 400, "stop"),
        (ask_about("ACGU", text="x" * 30_000), {}, 400, "maximum context length is 512"),
        (ask_about("A\n" * 20_000), {}, 413, "40,000 letters.*300 nt"),
        ([*user(""), *user("")] * 300 + ask_about("ACGU"), {}, 400, "maximum context length"),
        (
            [{"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]}, *ask_about("AC")],
            {},
            400,
            "tool_calls",
        ),
    ],
)
def test_bad_requests_are_rejected_with_the_reason(client, messages, options, status, told):
    with pytest.raises(openai.APIStatusError, match=f"(?s){told}") as caught:
        complete(client, messages, **options)
    assert caught.value.status_code == status
    body = caught.value.body
    assert isinstance(body, dict)
    assert set(body) == {"message", "type", "param", "code"}
    assert "Value error" not in body["message"]
    assert len(body["message"]) < 1500


def test_what_changes_no_answer_may_be_given(client):
    """What the clients of OpenAI, vLLM and llama.cpp send where nobody asked for anything."""
    plain = complete(client, ask_about("ACGU")).choices
    of_openai = {
        "user": "me",
        "frequency_penalty": 0,
        "presence_penalty": 0.0,
        "logit_bias": {},
        "logprobs": False,
        "metadata": {"a": "b"},
        "modalities": ["text"],
        "parallel_tool_calls": True,
        "response_format": {"type": "text"},
        "service_tier": "auto",
        "store": False,
        "tool_choice": "none",
        "tools": [],
    }
    others = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "best_of": 1, "echo": False}
    assert complete(client, ask_about("ACGU"), **of_openai, extra_body=others).choices == plain
    assert complete(client, ask_about("ACGU"), extra_body={"top_k": 0}).choices == plain


def test_a_reply_may_come_back_as_the_client_keeps_it(client):
    first = complete(client, ask_about("ACGU"))
    kept = first.choices[0].message.model_dump() | {"content": "A tRNA."}
    assert kept["tool_calls"] is None
    question = {"role": "user", "name": "Ada", "content": "Why?"}
    assert complete(client, [*ask_about("ACGU"), kept, question]).choices


def test_a_longer_answer_than_may_be_is_as_long_as_may_be(client):
    for name in ("max_tokens", "max_completion_tokens"):
        reply = complete(client, ask_about("ACGU"), **{"max_tokens": None, name: 100_000})
        assert reply.usage.completion_tokens == 40
        assert reply.choices[0].finish_reason == "length"


@pytest.mark.parametrize("text", ["what is it " * 45, "what is it " * 2000, "x" * 1_000_000])
def test_a_prompt_that_is_too_long_has_the_code_that_clients_know(client, text):
    with pytest.raises(openai.BadRequestError) as caught:
        complete(client, ask_about(make_rna(300), text=text * 2))
    assert caught.value.code == "context_length_exceeded"
    assert "512" in caught.value.message


def test_half_a_character_is_rejected(address):
    for body in (
        {"model": NAME, "messages": ask_about("ACGU", text="\ud800")},
        {"model": NAME, "messages": ask_about("AC\udfffGU")},
        {"model": "\ud800", "messages": ask_about("ACGU")},
        {"model": NAME, "messages": ask_about("ACGU"), "\ud800": 1},
        {"model": NAME, "messages": ask_about("ACGU"), "stop": "\ud800", "stream": True},
    ):
        # Both as JSON escapes it and as bytes, which Python's JSON lets through.
        for content in (json.dumps(body).encode(), raw_json(body)):
            reply = httpx.post(f"{address}/v1/chat/completions", content=content, headers=JSON)
            assert reply.status_code == 400, reply.text
            assert "surrogate" in reply.json()["error"]["message"]
    whole = ask_about("ACGU", text="\U0001f9ec?")
    content = json.dumps({"model": NAME, "messages": whole, "max_tokens": 2})
    assert "\\ud83e" in content
    assert httpx.post(f"{address}/v1/chat/completions", content=content, headers=JSON).is_success


JSON = {"Content-Type": "application/json"}


def raw_json(body):
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")


def test_what_a_client_sent_does_not_come_back_in_millions_of_letters(address):
    long = "x" * 1_000_000
    for body in (
        {"model": long, "messages": ask_about("ACGU")},
        {"model": NAME, "messages": ask_about("ACGU"), long: 1},
        {"model": NAME, "messages": [{"role": "user", "content": [{"type": long}]}]},
    ):
        reply = httpx.post(f"{address}/v1/chat/completions", json=body)
        assert reply.status_code in (400, 404)
        assert len(reply.content) < 3000


def test_proxies_are_told_to_pass_a_stream_on(client):
    raw = client.chat.completions.with_raw_response
    reply = raw.create(model=NAME, messages=ask_about("ACGU"), max_tokens=2, stream=True)
    assert reply.headers["cache-control"] == "no-cache"
    assert reply.headers["x-accel-buffering"] == "no"


def test_web_pages_may_ask_where_they_were_let_in(parts):
    page, other = "https://lab.example", "https://other.example"
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-any"}
    with serve_tiny(parts, api_key="secret", cors_origins=(page,)) as (address, _):
        url = f"{address}/v1/chat/completions"
        # A browser asks without the key.
        asked = httpx.options(url, headers={"Origin": page, **asks})
        assert asked.status_code == 200
        assert asked.headers["access-control-allow-origin"] == page
        assert "x-any" in asked.headers["access-control-allow-headers"]
        assert httpx.options(url, headers={"Origin": other, **asks}).status_code == 400
        rejected = httpx.get(f"{address}/v1/models", headers={"Origin": page})
        assert rejected.status_code == 401
        assert rejected.headers["access-control-allow-origin"] == page
    with serve_tiny(parts) as (address, _):
        answered = httpx.get(f"{address}/v1/models", headers={"Origin": page})
        assert "access-control-allow-origin" not in answered.headers


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
        for key in ("sécret", "秘密", "\xff"):
            # Bytes, since OpenAI's client rejects to send it.
            raw = {"Authorization": f"Bearer {key}".encode()}
            assert httpx.get(f"{address}/v1/models", headers=raw).status_code == 401
        with pytest.raises(UnicodeEncodeError):
            client_of(address, "sécret").models.list()
        for scheme in ("", "Basic "):
            headers = {"Authorization": f"{scheme}secret"}
            assert httpx.get(f"{address}/v1/models", headers=headers).status_code == 401
        for path in ("/v1/models", "/v1/models/tiny", "/v1/nothing", "/nothing"):
            assert httpx.get(f"{address}{path}").status_code == 401
        assert httpx.get(f"{address}/health").status_code == 200


def test_the_key_is_asked_for_before_the_body_is_read(parts):
    with serve_tiny(parts, api_key="secret") as (address, _):
        # It says that bytes follow, and none does.
        answer = send_and_read(address, POST + b"Content-Length: 100000\r\n\r\n{")
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert b"invalid_api_key" in answer
        url = f"{address}/v1/chat/completions"
        for body in (b"{", b'{"model": 1}', b"\xff"):
            assert httpx.post(url, content=body, headers=JSON).status_code == 401


POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"


def send_and_read(address, sent, seconds=10):
    """What a server answers to bytes, until its answer is there or it closes."""
    url = httpx.URL(address)
    with socket.create_connection((url.host, url.port), timeout=seconds) as connection:
        connection.sendall(sent)
        answer = b""
        while b"}" not in answer and (more := connection.recv(65_536)):
            answer += more
    return answer


def test_a_body_that_does_not_come_is_not_awaited_for_ever(parts):
    with serve_tiny(parts, Limits(read_seconds=1)) as (address, _):
        begin = time.monotonic()
        answer = send_and_read(address, POST + b"Content-Length: 1000\r\n\r\n{")
        assert 0.9 < time.monotonic() - begin < 5
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"connection: close" in answer.lower()
        assert b"request_timeout" in answer
        assert complete(client_of(address), ask_about("ACGU")).choices


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
    from rnagpt.serving.engines.token_batch import TokenBatch, TokenSampler

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
    from rnagpt.serving.engines.token_batch import TokenBatch

    step = TokenBatch.step
    monkeypatch.setattr(TokenBatch, "step", lambda *_: torch.zeros(1).reshape(3))
    with pytest.raises(openai.InternalServerError):
        complete(client, ask_about("ACGU"))
    monkeypatch.setattr(TokenBatch, "step", step)
    assert complete(client, ask_about("ACGU")).choices[0].message.content == say_alone(
        parts, ["ACGU"]
    )


def test_what_comes_while_it_stops_is_rejected(parts):
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
