"""Malformed requests: whatever comes, the server answers, says why, and lives."""

import copy
import json
import math
from collections import Counter
from typing import Any

import httpx
import pytest
import schemathesis
from helpers.tiny_models import make_rna
from helpers.tiny_server import NAME, ask_about, client_of, make_parts, serve_tiny
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from rnagpt.serving.limits import Limits

FEW, MANY = 40, 1000
CHAT, RESPONSES, ANNOTATE = POSTED = ("/v1/chat/completions", "/v1/responses", "/annotate")
# Without it no body is read, and every request is rejected for that alone.
HEADERS = {"Content-Type": "application/json"}
# Of 2,000 requests to a server that answers from records, how many go where.
SHARES = {CHAT: 1000, RESPONSES: 600, ANNOTATE: 400}
TRNA = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"
FILE = {"filename": "a.fa", "file_data": "data:text/plain;base64,PmEKR0NHR0FVVVVBR0NVQ0FHVVVHCg=="}
GOOD = {
    "model": NAME,
    "messages": [
        {"role": "system", "content": "Answer shortly."},
        *ask_about(make_rna(20), make_rna(9, 1)),
        {"role": "assistant", "content": "A tRNA."},
        {"role": "user", "content": "Why?"},
    ],
    "max_tokens": 2,
    "temperature": 0.5,
    "top_p": 0.9,
    "n": 2,
    "seed": 3,
    "stop": ["a", "bc"],
    "stream": False,
    "stream_options": {"include_usage": True},
    "user": "me",
}
# With records: pasted, in files and as parts; the reference is asked of all of them.
GOODS: dict[str, dict[str, Any]] = {
    CHAT: {
        **GOOD,
        "messages": [
            *ask_about(f">mine\n{TRNA}", make_rna(30, 1), text="What is mine?"),
            {
                "role": "assistant",
                "content": "It is a tRNA [1].",
                "evidence": [],
                "basis": "records",
            },
            {"role": "user", "content": [{"type": "file", "file": FILE}]},
            {"role": "user", "content": "What are RNA 1 and RNA 3, and where are they found?"},
        ],
        "logprobs": False,
    },
    RESPONSES: {
        "model": NAME,
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is it?"},
                    {"type": "rna", "rna": TRNA},
                    {"type": "input_file", **FILE},
                ],
            },
            {"type": "message", "role": "assistant", "content": "It is a tRNA [1]."},
            {"role": "user", "content": "What does RNA 1 do?"},
        ],
        "instructions": "Answer shortly.",
        "max_output_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.9,
        "stream": False,
        "metadata": {"a": "b"},
        "store": False,
    },
    ANNOTATE: {"rna": f">a b\n{TRNA}\n>c\n{make_rna(40)}", "evalue": 1e-3, "format": "json"},
}
# Values at the edges of what JSON, Python and the tokenizer take.
# fmt: off
ODD: st.SearchStrategy[Any] = st.sampled_from([
    None, True, "", " ", "\0", "\ud800", "\u202e", "ACGU", ">\n", ">x\nAC\n>y\nGU", "<RNAHere>",
    "<|im_end|>", "{{ 7 * 7 }}", "9" * 400, "N" * 50, "ACGU" * 2000, "is " + "GCGGAUUUAG" * 3 + "?",
    ">x y\nGCGGAUUUAG\nACGU\n\nwhat?", "GCGGAUUUAGCUCAGUUGGG\nGCGGAUUUAGCUCAGUUG", "\udfffx",
    [], {}, [[]], [None],
    0, -1, 1, 2, 2**31, 2**63, -(2**63) - 1, 10**400, 0.0, -0.0, 5e-324, 1e-300, 1e308,
    math.nan, math.inf, -math.inf, {"type": "rna"}, {"type": "rna", "rna": "acgt-n"},
])
# fmt: on
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def address():
    with serve_tiny(make_parts(), Limits(max_tokens=3, max_choices=2)) as (address, _):
        yield address


@pytest.fixture(scope="module")
def cited_address(reference):
    """A server that answers from records."""
    limits = Limits(max_tokens=3, max_choices=2)
    with serve_tiny(make_parts(), limits, reference=reference) as (address, _):
        yield address


@pytest.fixture(scope="module")
def description(address):
    return schemathesis.openapi.from_url(f"{address}/openapi.json")


@st.composite
def spoilt(draw, good=GOOD):
    """A good request in which up to three values are replaced, dropped or doubled."""
    body = copy.deepcopy(good)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(body))
        if not places:
            break
        holder, key = draw(st.sampled_from(places))
        change = draw(st.sampled_from(["odd", "odd", "any", "drop", "extra"]))
        if change == "drop":
            del holder[key]
        elif change == "extra" and isinstance(holder, dict):
            holder[draw(st.text(max_size=9))] = _drawn(draw, ODD | JSON)
        else:
            holder[key] = _drawn(draw, ODD if change == "odd" else JSON)
    return body


def _drawn(draw, strategy):
    # A copy: a list of ODD would else be spoilt itself by the next change, and in every example.
    return copy.deepcopy(draw(strategy))


def _places(value):
    """Every container in a request with each of its keys."""
    if isinstance(value, list | dict):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def check_reply(reply):
    """No 5xx, and every rejection in OpenAI's shape, with a reason."""
    assert reply.status_code < 500, reply.text
    if reply.status_code >= 400:
        error = json.loads(reply.text)["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["message"]
    elif reply.text.startswith("data: "):
        assert reply.text.endswith("data: [DONE]\n\n"), reply.text
        assert '"error"' not in reply.text
    elif reply.text.startswith("event: "):
        last = json.loads(reply.text.rstrip().rpartition("data: ")[2])
        assert last["type"] in ("response.completed", "response.incomplete"), reply.text


def fuzz(strategy, examples, check):
    """Check N examples, the same in every run."""
    given_all = given(strategy)(check)
    settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        # Smaller examples of a failure would take long to find, and tell no more.
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )(given_all)()


def fuzz_spoilt_requests(address, examples):
    answered = []
    with httpx.Client(timeout=60, headers=HEADERS) as client:

        def check(body):
            reply = client.post(f"{address}{CHAT}", content=json.dumps(body).encode())
            check_reply(reply)
            answered.append(reply.status_code == 200)

        def check_bytes(content):
            check_reply(client.post(f"{address}{CHAT}", content=content))

        fuzz(spoilt(), examples, check)
        assert sum(answered) > 0.05 * examples
        good = json.dumps(GOOD).encode()
        cuts = st.builds(
            lambda at, size, middle: good[:at] + middle + good[at + size :],
            st.integers(0, len(good)),
            st.integers(0, 8),
            st.binary(max_size=8),
        )
        fuzz(cuts | st.binary(max_size=50), examples // 2, check_bytes)


def fuzz_cited_requests(address, share):
    """Spoilt requests to all that is answered from records; how many were sent, and answered."""
    counts: Counter[tuple[str, bool]] = Counter()
    with httpx.Client(timeout=60, headers=HEADERS) as client:

        def check_at(path):
            def check(body):
                reply = client.post(f"{address}{path}", content=json.dumps(body).encode())
                check_reply(reply)
                counts[path, reply.status_code == 200] += 1

            return check

        for path, most in SHARES.items():
            fuzz(spoilt(GOODS[path]), round(share * most), check_at(path))
    return counts


def fuzz_described_requests(address, description, examples):
    operations = [operation.ok() for operation in description.get_all_operations()]
    assert {operation.path for operation in operations} >= {*POSTED, "/v1/models", "/health"}
    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            if operation.path not in POSTED and mode == GenerationMode.NEGATIVE:
                continue
            share = examples if operation.path == CHAT else examples // 10

            def check(case):
                # Else hardly a request would go further than to the model's name.
                if isinstance(case.body, dict) and isinstance(case.body.get("model"), str):
                    case.body["model"] = NAME
                check_reply(case.call(base_url=address))

            fuzz(operation.as_strategy(generation_mode=mode), share, check)


def still_answers(address):
    reply = client_of(address).chat.completions.create(
        model=NAME, messages=ask_about("ACGU"), max_tokens=3
    )
    return reply.usage is not None and reply.usage.completion_tokens == 3


def still_cites(address):
    message = (
        client_of(address)
        .chat.completions.create(model=NAME, messages=ask_about(TRNA))
        .choices[0]
        .message
    )
    return (message.model_extra or {})["evidence"][0]["id"] == "RF00005"


def test_spoilt_requests_are_no_server_error(address):
    fuzz_spoilt_requests(address, FEW)
    assert still_answers(address)


def test_requests_made_from_the_description_are_no_server_error(address, description):
    fuzz_described_requests(address, description, FEW // 2)
    assert still_answers(address)


def test_spoilt_requests_for_answers_from_records_are_no_server_error(cited_address):
    counts = fuzz_cited_requests(cited_address, 0.02)
    assert sum(counts.values()) == 0.02 * sum(SHARES.values())
    assert still_cites(cited_address)


@pytest.mark.slow
def test_two_thousand_requests_for_answers_from_records_are_no_server_error(cited_address):
    counts = fuzz_cited_requests(cited_address, 1)
    print(counts)
    assert sum(counts.values()) == 2000
    # Spoilt, and yet enough of them are answered: else the answers themselves were not tried.
    assert all(counts[path, True] > 0.05 * most for path, most in SHARES.items())
    assert still_cites(cited_address)


@pytest.mark.slow
def test_a_thousand_spoilt_requests_are_no_server_error(address):
    fuzz_spoilt_requests(address, MANY)
    assert still_answers(address)


@pytest.mark.slow
def test_a_thousand_requests_made_from_the_description_are_no_server_error(address, description):
    fuzz_described_requests(address, description, MANY)
    assert still_answers(address)


@pytest.mark.parametrize("path", POSTED)
def test_good_requests_for_answers_from_records_are_good(cited_address, path):
    body = {name: value for name, value in GOODS[path].items() if name != "stream_options"}
    reply = httpx.post(f"{cited_address}{path}", json=body, timeout=60)
    assert reply.status_code == 200, reply.text
    assert "RF00005" in reply.text


def test_good_request_is_good(address):
    """Else the spoilt ones would all be rejected for one reason."""
    body = {name: value for name, value in GOOD.items() if name != "stream_options"}
    assert httpx.post(f"{address}{CHAT}", json=body, timeout=60).status_code == 200
