"""The client against a service in OpenAI's shapes on loopback, its faults included."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from helpers.fake_openai import KEY, MODEL, FakeOpenAi, serve_openai
from helpers.llm_requests import SCHEMA, make_request
from openai.types.chat import ChatCompletion

from rnagpt.rna_qa.literature.llm.language_model import (
    AuthenticationError,
    BudgetExceeded,
    ContextLengthExceeded,
    Refused,
    Request,
    RequestRejected,
    ServiceUnavailable,
    UnknownModel,
    Unparsable,
)
from rnagpt.rna_qa.literature.llm.openai_model import OpenAiModel, count_usage, read_answer
from rnagpt.rna_qa.literature.llm.prices import Prices
from rnagpt.rna_qa.literature.llm.request_cache import Answer, RequestCache
from rnagpt.rna_qa.literature.llm.spending import Spending

Make = Callable[..., OpenAiModel]


@pytest.fixture(scope="module")
def service() -> Iterator[FakeOpenAi]:
    with serve_openai() as fake:
        yield fake


@pytest.fixture
def fake(service: FakeOpenAi) -> FakeOpenAi:
    """The service, as if it had just begun."""
    address, app = service.address, service.app
    fresh = FakeOpenAi()
    service.__dict__.update(fresh.__dict__ | {"address": address, "app": app})
    return service


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[RequestCache]:
    with RequestCache(tmp_path / "requests.sqlite") as opened:
        opened._database.execute("PRAGMA synchronous = OFF")  # no power cuts here, but slow disks
        yield opened


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def make_model(fake: FakeOpenAi, cache: RequestCache, waits: list[float]) -> Iterator[Make]:
    """Makes models of the service; they wait in name only."""
    made = []

    def make(
        name: str = MODEL, api_key: str = KEY, limit_usd: float | None = None, **options: Any
    ) -> OpenAiModel:
        # Pauses are waited out on a clock of their own.
        spending = Spending(
            cache,
            Prices(0.15, 0.60),
            limit_usd=limit_usd,
            clock=lambda: sum(waits),
            sleep=waits.append,
        )
        options = {"sleep": waits.append, "attempts": 4} | options
        made.append(OpenAiModel(name, fake.base_url, api_key, cache, spending, **options))
        return made[-1]

    yield make
    for model in made:
        model.close()


def test_the_service_speaks_in_the_shapes_of_the_openai_package(fake: FakeOpenAi) -> None:
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "?"}],
        "max_tokens": 9,
        "response_format": {"json_schema": {"schema": SCHEMA}},
    }
    completion = ChatCompletion.model_validate(fake._complete(body), strict=True)
    assert completion.choices[0].finish_reason == "stop"


def test_an_answer_is_parsed_and_kept_for_later_runs(
    make_model: Make, fake: FakeOpenAi, cache: RequestCache
) -> None:
    first = make_model().ask(make_request())
    again = make_model().ask(make_request())
    other = make_model().ask(make_request("Abstracts about let-7"))

    assert first == again != other
    assert sorted(first["claims"][0]) == ["paper", "text"]
    assert list(fake.completed.values()) == [1, 1]
    totals = cache.totals()
    assert (totals.answered, totals.hits) == (2, 1)
    assert (totals.tokens_in, totals.tokens_out) == (
        fake.billed["tokens_in"],
        fake.billed["tokens_out"],
    )
    expected = (totals.tokens_in * 0.15 + totals.tokens_out * 0.60) / 1e6
    assert totals.spent_usd == totals.answers_usd == pytest.approx(expected)


def test_what_is_sent_is_a_strict_schema_and_the_bound_of_the_answer(
    make_model: Make, fake: FakeOpenAi
) -> None:
    seen = []
    fake.fault_of = lambda body: seen.append(body) or ""
    make_model().ask(make_request(max_tokens=77))
    (body,) = seen
    assert body["model"] == MODEL
    assert body["max_tokens"] == 77
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["response_format"]["json_schema"] == {
        "name": "claims",
        "schema": SCHEMA,
        "strict": True,
    }


def test_the_prompt_version_the_model_and_the_address_part_requests(make_model: Make) -> None:
    model, other = make_model(), make_model("another")
    request = make_request()
    newer = Request("You read abstracts.", request.user, SCHEMA, "claims", 100, "2")
    keys = {
        model.key(request, model.body(request)),
        model.key(newer, model.body(newer)),
        other.key(request, other.body(request)),
    }
    assert len(keys) == 3


@pytest.mark.parametrize(
    ("fault", "may_be_billed"),
    [
        ("429", False),
        ("500", False),
        ("html", False),
        ("html 200", True),
        ("cut", True),
        ("slow", True),
        ("truncated", True),
    ],
)
def test_a_fault_that_passes_is_tried_again(
    fault: str, may_be_billed: bool, make_model: Make, fake: FakeOpenAi, cache: RequestCache
) -> None:
    fake.faults.extend([fault, fault])
    answer = make_model(timeout=1.0).ask(make_request())

    assert len(answer["claims"]) == 1
    assert list(fake.received.values()) == [3]
    totals = cache.totals()
    assert (totals.answered, totals.failed, totals.open) == (1, 2, 0)
    # What may have been billed counts as spent, as much as it can have been.
    assert (totals.spent_usd > totals.answers_usd) == may_be_billed


def test_a_fault_that_does_not_pass_stops_the_run(
    make_model: Make, fake: FakeOpenAi, waits: list[float]
) -> None:
    fake.faults.extend(["html"] * 10)
    with pytest.raises(ServiceUnavailable, match=r"502.*Bad Gateway.*tried 4 times.*run again"):
        make_model().ask(make_request())
    assert sum(fake.received.values()) == 4
    assert len(waits) == 3
    assert waits == sorted(waits)


def test_no_service_at_all_stops_the_run(cache: RequestCache, waits: list[float]) -> None:
    model = OpenAiModel(
        MODEL, "http://127.0.0.1:9/v1", KEY, cache, Spending(cache), sleep=waits.append
    )
    with pytest.raises(ServiceUnavailable, match="connection failed"):
        model.ask(make_request())
    assert cache.totals().spent_usd == 0


def test_retry_after_is_obeyed_by_all_threads(
    make_model: Make, fake: FakeOpenAi, waits: list[float]
) -> None:
    fake.faults.append("429 after 7")
    model = make_model()
    model.ask(make_request())
    assert 7 <= waits[0] <= 8

    fake.faults.append("429 after 7200")
    with pytest.raises(ServiceUnavailable, match=r"wait for 7,200 seconds"):
        model.ask(make_request("another"))


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("invalid", Unparsable, "not JSON"),
        ("wrong schema", Unparsable, "claims"),
        ("whitespace", Unparsable, "white space"),
        ("length", ContextLengthExceeded, "cut after"),
        ("context", ContextLengthExceeded, "maximum context length"),
        ("refusal", Refused, "cannot help"),
        ("filter", Refused, "filter"),
    ],
)
def test_an_answer_of_no_use_is_kept_and_not_asked_for_again(
    fault: str,
    error: type[Exception],
    words: str,
    make_model: Make,
    fake: FakeOpenAi,
    cache: RequestCache,
    tmp_path: Path,
) -> None:
    fake.faults.append(fault)
    for _ in range(2):
        with pytest.raises(error, match=words):
            make_model().ask(make_request())
    assert sum(fake.received.values()) == 1

    written = cache.write_quarantine(tmp_path / "quarantine.jsonl")
    lines = (tmp_path / "quarantine.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == written == (1 if error is Unparsable else 0)
    for line in lines:
        assert words in json.loads(line)["reason"]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"name": "gpt-17"}, UnknownModel, "gpt-17"),
        ({"api_key": "sk-wrong"}, AuthenticationError, "OPENAI_API_KEY"),
    ],
)
def test_what_no_patience_mends_stops_at_once_with_the_reason(
    options: dict[str, str],
    error: type[Exception],
    words: str,
    make_model: Make,
    waits: list[float],
    cache: RequestCache,
) -> None:
    with pytest.raises(error, match=words) as raised:
        make_model(**options).ask(make_request())
    assert "sk-wrong" not in str(raised.value)
    assert not waits
    totals = cache.totals()
    assert (totals.failed, totals.spent_usd) == (1, 0)


def test_a_wrong_address_and_an_empty_account_stop_at_once(
    fake: FakeOpenAi, cache: RequestCache, make_model: Make
) -> None:
    model = OpenAiModel(MODEL, fake.address, KEY, cache, Spending(cache))
    with pytest.raises(RequestRejected, match="--base-url"):
        model.ask(make_request())
    fake.faults.append("quota")
    with pytest.raises(BudgetExceeded, match="no credit"):
        make_model().ask(make_request())


def test_threads_that_ask_the_same_share_one_request(make_model: Make, fake: FakeOpenAi) -> None:
    fake.delay = 0.1
    model = make_model()
    requests = [make_request(f"about {i % 3}") for i in range(24)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(model.ask, requests))
    assert sorted(fake.received.values()) == [1, 1, 1]
    assert answers[0] == answers[3] == answers[21]


def test_a_budget_is_never_exceeded_and_a_larger_one_goes_on(
    make_model: Make, fake: FakeOpenAi, cache: RequestCache
) -> None:
    limit = 0.002
    model = make_model(limit_usd=limit)
    stopped = threading.Event()

    def ask(number: int) -> None:
        try:
            model.ask(make_request(f"about {number}", max_tokens=300))
        except BudgetExceeded:
            stopped.set()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(200)))
    billed = (fake.billed["tokens_in"] * 0.15 + fake.billed["tokens_out"] * 0.60) / 1e6
    assert stopped.is_set()
    assert 0.5 * limit < billed <= limit
    assert cache.totals().spent_usd == pytest.approx(billed)

    answered = set(fake.completed)
    with pytest.raises(BudgetExceeded, match=r"--budget"):
        make_model(limit_usd=limit).ask(make_request("about 199", max_tokens=9000))
    make_model(limit_usd=1).ask(make_request("about 199", max_tokens=300))
    assert set(fake.completed.values()) == {1}
    assert answered <= set(fake.completed)


def test_what_was_on_its_way_when_a_process_died_counts_as_spent(tmp_path: Path) -> None:
    path = tmp_path / "requests.sqlite"
    with RequestCache(path) as cache:
        Spending(cache, Prices(1, 1)).begin("a key", 1000, 500)
    with RequestCache(path) as cache:
        totals = cache.totals()
        assert (totals.open, totals.spent_usd) == (1, 0.0015)
        with pytest.raises(BudgetExceeded):
            Spending(cache, Prices(1, 1), limit_usd=0.002).begin("a key", 1000, 500)


def test_tokens_that_a_service_does_not_count_are_counted_here() -> None:
    counted = count_usage(Answer("abc"), "abcdef")
    assert (counted.tokens_in, counted.tokens_out) == (2, 1)  # quarters of the characters
    told = Answer("abc", tokens_in=1, tokens_out=2)
    assert count_usage(told, "abcdef") == told


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"claims": []}, None),
        ({"claims": [{"text": "x", "paper": 1}]}, None),
        ([], "not of type 'object'"),
        ({"claims": [{"text": "x"}]}, r"claims\[0\]: 'paper' is a required"),
        ({"claims": [{"text": "x", "paper": True}]}, r"paper: True is not of type 'integer'"),
        ({"claims": [{"text": "x", "paper": 1.0}]}, r"paper: 1.0 is not of type 'integer'"),
        ({"claims": None}, "claims: None is not of type 'array'"),
        ({"claims": [], "more": 1}, "'more' was unexpected"),
    ],
)
def test_an_answer_is_of_the_schema_or_says_where_it_differs(value: Any, words: str | None) -> None:
    answer = Answer(json.dumps(value))
    if words is None:
        assert read_answer(answer, SCHEMA) == value
    else:
        with pytest.raises(Unparsable, match=words):
            read_answer(answer, SCHEMA)


def test_numbers_out_of_bounds_are_left_to_the_checks_of_claims() -> None:
    bounded = {"type": "array", "minItems": 1, "items": {"type": "integer", "maximum": 3}}
    assert read_answer(Answer("[7]"), bounded) == [7]
    assert read_answer(Answer("[]"), bounded) == []


def test_options_of_a_request_are_sent_along_and_null_leaves_one_out(
    make_model: Make, fake: FakeOpenAi
) -> None:
    seen = []
    fake.fault_of = lambda body: seen.append(body) or ""
    usual, other = make_model(), make_model(parameters={"seed": None, "repetition_penalty": 1.1})
    request = make_request()
    other.ask(request)
    (body,) = seen
    # A field that the openai package does not know reaches the service all the same.
    assert (body["repetition_penalty"], body["temperature"]) == (1.1, 0.0)
    assert "seed" not in body
    assert other.key(request, other.body(request)) != usual.key(request, usual.body(request))


def test_openai_itself_is_told_the_bound_by_its_newer_name(
    cache: RequestCache,
) -> None:
    model = OpenAiModel("any", "https://api.openai.com/v1/", None, cache, Spending(cache))
    body = model.body(make_request(max_tokens=77))
    assert body["max_completion_tokens"] == 77
    assert "max_tokens" not in body
    assert model.bounds(body, "four")[1] == 77
