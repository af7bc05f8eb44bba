"""Batches against a service in OpenAI's shapes on loopback: crashes, caps, halves, expiry."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.fake_openai import KEY, MODEL, FakeOpenAi, serve_openai
from openai.types import Batch

from rnagpt.rna_qa.literature.llm.batch_requests import BatchModel
from rnagpt.rna_qa.literature.llm.language_model import (
    BudgetExceeded,
    ContextLengthExceeded,
    Pending,
    Request,
    RequestRejected,
    ServiceUnavailable,
)
from rnagpt.rna_qa.literature.llm.openai_model import OpenAiModel
from rnagpt.rna_qa.literature.llm.prices import Prices
from rnagpt.rna_qa.literature.llm.request_cache import RequestCache
from rnagpt.rna_qa.literature.llm.spending import Spending

SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
Make = Callable[..., BatchModel]


class Crashed(BaseException):
    """The machine is gone: no `except Exception` sees it."""


@pytest.fixture(scope="module")
def service() -> Iterator[FakeOpenAi]:
    with serve_openai() as fake:
        yield fake


@pytest.fixture
def fake(service: FakeOpenAi) -> FakeOpenAi:
    """The service, as if it had just begun."""
    kept = {"address": service.address, "app": service.app}
    service.__dict__.update(FakeOpenAi().__dict__ | kept)
    return service


@pytest.fixture
def make(fake: FakeOpenAi, tmp_path: Path) -> Iterator[Make]:
    """Opens the ledger again each time, as runs that follow one another do."""
    opened: list[tuple[OpenAiModel, RequestCache]] = []

    def make_model(limit_usd: float | None = None, **options: Any) -> BatchModel:
        cache = RequestCache(tmp_path / "requests.sqlite")
        cache._database.execute("PRAGMA synchronous = OFF")  # no power cuts here, but slow disks
        spending = Spending(cache, Prices(0.15, 0.60), limit_usd=limit_usd)
        model = OpenAiModel(
            MODEL, fake.base_url, KEY, cache, spending, attempts=3, sleep=lambda seconds: None
        )
        opened.append((model, cache))
        return BatchModel(model, poll_seconds=0, **options)

    yield make_model
    for model, cache in opened:
        model.close()
        cache.close()


def requests(number: int) -> list[Request]:
    # U+2028 ends a line for Python, not for JSON.
    return [Request("Read.", f"about {i}\u2028and more", SCHEMA, "text", 50) for i in range(number)]


def ask(model: BatchModel, number: int) -> list[Any]:
    """The answers to the first requests, None for those that are postponed."""
    answers = []
    for request in requests(number):
        try:
            answers.append(model.ask(request))
        except Pending:
            answers.append(None)
    return answers


def expect_all_once(fake: FakeOpenAi, model: BatchModel, number: int) -> None:
    assert all(ask(model, number))
    assert list(fake.completed.values()) == [1] * number


def test_the_service_speaks_in_the_shapes_of_the_openai_package(
    make: Make, fake: FakeOpenAi
) -> None:
    model = make()
    ask(model, 2)
    model.settle()
    (batch,) = fake.batches.values()
    assert Batch.model_validate(batch, strict=True).status == "completed"


def test_requests_wait_for_a_batch_and_are_answered_once(make: Make, fake: FakeOpenAi) -> None:
    model = make()
    assert ask(model, 5) == [None] * 5
    assert ask(model, 5) == [None] * 5
    assert model.settle() == 5
    expect_all_once(fake, model, 5)
    assert model.settle() == 0
    assert len(fake.batches) == 1

    (upload,) = (content for content in fake.files.values() if b"custom_id" in content[:20])
    lines = [json.loads(line) for line in upload.decode().split("\n")[:-1]]
    assert {line["body"]["messages"][1]["content"] for line in lines} == {
        request.user for request in requests(5)
    }
    assert {(line["method"], line["url"]) for line in lines} == {("POST", "/v1/chat/completions")}


def test_an_answer_of_a_batch_costs_half_and_serves_single_requests(
    make: Make, fake: FakeOpenAi
) -> None:
    batches = make()
    ask(batches, 3)
    batches.settle()
    single = batches._model
    answers = [single.ask(request) for request in requests(3)]
    assert answers == ask(batches, 3)
    expected = (fake.billed["tokens_in"] * 0.15 + fake.billed["tokens_out"] * 0.60) / 2e6
    assert single.cache.totals().spent_usd == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(
    "limits",
    [{"max_requests": 2}, {"max_bytes": 1300}, {"queue_tokens": 220}],
)
def test_batches_keep_to_the_limits_of_the_service(
    limits: dict[str, int], make: Make, fake: FakeOpenAi
) -> None:
    model = make(**limits)
    ask(model, 7)
    assert model.settle() == 7
    expect_all_once(fake, model, 7)
    uploads = [content for content in fake.files.values() if b'"method"' in content]
    assert len(uploads) > 2
    for upload in uploads:
        assert upload.count(b"\n") <= limits.get("max_requests", 99)
        assert len(upload) <= limits.get("max_bytes", 10**6)


def test_a_request_that_no_queue_takes_is_named(make: Make) -> None:
    model = make(queue_tokens=10)
    ask(model, 1)
    with pytest.raises(RequestRejected, match="--token-budget"):
        model.settle()


@pytest.mark.parametrize("end", ["expired", "half failed", "errors only"])
def test_what_a_batch_leaves_unanswered_goes_into_another(
    end: str, make: Make, fake: FakeOpenAi
) -> None:
    fake.batch_ends.append(end)
    model = make()
    ask(model, 6)
    assert model.settle() == 6
    expect_all_once(fake, model, 6)
    assert len(fake.batches) == 2
    totals = model._cache.totals()
    assert (totals.answered, totals.open) == (6, 0)
    assert totals.failed == (6 if end == "errors only" else 3)
    assert totals.spent_usd == totals.answers_usd


def test_requests_that_fail_in_every_batch_stop_the_run(make: Make, fake: FakeOpenAi) -> None:
    fake.batch_ends.extend(["errors only"] * 3)
    model = make()
    ask(model, 2)
    with pytest.raises(
        ServiceUnavailable, match=r"2 requests had no answer in 3 batches .*server_error"
    ):
        model.settle()
    later = make()
    ask(later, 2)
    assert later.settle() == 2


def test_a_batch_that_the_service_does_not_take_stops_the_run(make: Make, fake: FakeOpenAi) -> None:
    fake.batch_ends.append("failed")
    model = make()
    ask(model, 2)
    with pytest.raises(RequestRejected, match="invalid_json_line"):
        model.settle()
    assert model._cache.totals().spent_usd == 0


def test_a_full_queue_is_given_smaller_batches(make: Make, fake: FakeOpenAi) -> None:
    fake.batch_ends.append("too many tokens")
    model = make()
    ask(model, 8)
    assert model.settle() == 8
    expect_all_once(fake, model, 8)
    assert len(fake.batches) >= 3


def test_inputs_that_are_too_long_are_answered_so(make: Make, fake: FakeOpenAi) -> None:
    fake.fault_of = lambda body: "context" if "about 1" in str(body["messages"]) else ""
    model = make()
    ask_two = requests(2)
    for request in ask_two:
        with pytest.raises(Pending):
            model.ask(request)
    assert model.settle() == 2
    assert model.ask(ask_two[0])
    with pytest.raises(ContextLengthExceeded):
        model.ask(ask_two[1])


def test_the_budget_bounds_batches_too(make: Make, fake: FakeOpenAi) -> None:
    limit = 0.00008
    model = make(limit_usd=limit)
    ask(model, 12)
    with pytest.raises(BudgetExceeded, match="--budget"):
        model.settle()
    billed = (fake.billed["tokens_in"] * 0.15 + fake.billed["tokens_out"] * 0.60) / 2e6
    assert 0 < billed <= limit
    richer = make(limit_usd=1)
    ask(richer, 12)
    richer.settle()
    expect_all_once(fake, richer, 12)


def test_a_creation_whose_answer_was_lost_is_found_in_the_list(
    make: Make, fake: FakeOpenAi
) -> None:
    fake.lose_batches = 1
    model = make()
    ask(model, 3)
    assert model.settle() == 3
    assert len(fake.batches) == 1
    expect_all_once(fake, model, 3)


STEPS = ["_intend", "_upload", "_create", "_look_at", "_read", "_keep", "_release"]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_a_crash_around_any_step_sends_nothing_twice(
    step: str, after: bool, make: Make, fake: FakeOpenAi, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make(max_requests=3)
    ask(model, 5)
    original = getattr(model, step)

    def crash(*arguments: Any, **options: Any) -> None:
        if after:
            original(*arguments, **options)
        raise Crashed

    monkeypatch.setattr(model, step, crash)
    with pytest.raises(Crashed):
        model.settle()

    later = make(max_requests=3)
    ask(later, 5)
    later.settle()
    expect_all_once(fake, later, 5)
    assert len(fake.batches) == 2
    totals = later._cache.totals()
    assert (totals.answered, totals.open) == (5, 0)
    assert totals.spent_usd == totals.answers_usd


def test_a_crash_between_creation_and_note_of_it_is_reconciled(
    make: Make, fake: FakeOpenAi, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make()
    ask(model, 3)
    update = model._update

    def crash(intent: Any, **columns: str) -> None:
        if "name" in columns:
            raise Crashed
        update(intent, **columns)

    monkeypatch.setattr(model, "_update", crash)
    with pytest.raises(Crashed):
        model.settle()
    assert len(fake.batches) == 1

    # Others use the account as well: the list has several pages.
    for i in range(250):
        fake.batches[f"other_{i}"] = {
            **fake.batches["batch_0"],
            "id": f"other_{i}",
            "metadata": {"of": "others"},
        }
    later = make()
    ask(later, 3)
    assert later.settle() == 3
    assert len(fake.batches) == 251
    expect_all_once(fake, later, 3)


def test_what_an_earlier_run_would_have_asked_is_not_sent(make: Make, fake: FakeOpenAi) -> None:
    ask(make(), 5)
    later = make()
    ask(later, 2)
    assert later.settle() == 2
    assert sum(fake.completed.values()) == 2


def test_the_name_of_a_run_is_in_its_batches(make: Make, fake: FakeOpenAi) -> None:
    model = make()
    ask(model, 1)
    model.settle()
    (batch,) = fake.batches.values()
    assert batch["metadata"] == {"rna_qa_run": model._cache.run, "rna_qa_batch": "1"}
    assert re.fullmatch("[0-9a-f]{32}", model._cache.run)
