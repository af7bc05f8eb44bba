"""Odd answers, one or all: a paid build continues, stops for a reason, and pays nothing twice.

The service is the one in OpenAI's shapes on loopback; what it was asked is counted there.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.fake_openai import KEY, MODEL, FakeOpenAi, serve_openai
from helpers.finished_dataset import read_bytes
from helpers.llm_requests import SCHEMA, make_request
from helpers.tiny_literature import make_papers, make_rnas, write_lines, write_literature
from helpers.tiny_scribe import scribe

from rnagpt.cli.rna_qa import main
from rnagpt.rna_qa.literature.answer_text import parse_json
from rnagpt.rna_qa.literature.build.pipeline import build
from rnagpt.rna_qa.literature.build.settings import LiteratureOptions, RunOptions
from rnagpt.rna_qa.literature.build.status import read_status
from rnagpt.rna_qa.literature.llm.batch_requests import BatchModel
from rnagpt.rna_qa.literature.llm.language_model import (
    BudgetExceeded,
    NothingUsable,
    Pending,
    Refused,
    RegionBlocked,
    RequestRejected,
    ServiceUnavailable,
    Unparsable,
)
from rnagpt.rna_qa.literature.llm.openai_model import OpenAiModel
from rnagpt.rna_qa.literature.llm.prices import Prices
from rnagpt.rna_qa.literature.llm.request_cache import RequestCache
from rnagpt.rna_qa.literature.llm.spending import Spending

Make = Callable[..., OpenAiModel]
ODD = ["deep", "half a character", "half, escaped", "object", "number", "image parts"]
WRAPPED = ["parts", "thought parts", "fence", "fence and words", "think", "end of think"]


@pytest.fixture
def fake() -> Iterator[FakeOpenAi]:
    with serve_openai() as served:
        yield served


@pytest.fixture
def make_model(fake: FakeOpenAi, tmp_path: Path) -> Iterator[Make]:
    """Makes models as new runs have them: each with a cache of its own on the same file."""
    opened: list[tuple[OpenAiModel, RequestCache]] = []

    def make(**options: Any) -> OpenAiModel:
        cache = RequestCache(tmp_path / "requests.sqlite")
        cache._database.execute("PRAGMA synchronous = OFF")
        spending = Spending(cache, Prices(0.15, 0.60), sleep=lambda _: None)
        options = {"sleep": lambda _: None, "attempts": 3} | options
        opened.append((OpenAiModel(MODEL, fake.base_url, KEY, cache, spending, **options), cache))
        return opened[-1][0]

    yield make
    for model, cache in opened:
        model.close()
        cache.close()


# One odd answer


@pytest.mark.parametrize("fault", ODD)
def test_an_odd_answer_is_one_rejected_answer_and_kept(
    fault: str, fake: FakeOpenAi, make_model: Make, tmp_path: Path
) -> None:
    fake.faults.append(fault)
    for _ in range(2):
        model = make_model()
        with pytest.raises(Unparsable):
            model.ask(make_request())
        assert model.cache.totals().rejected == 1
    assert fake.received.total() == 1
    assert model.ask(make_request("another"))["claims"]
    assert model.cache.write_quarantine(tmp_path / "quarantine.jsonl") == 1
    assert (tmp_path / "quarantine.jsonl").read_text(encoding="utf-8")


def test_an_envelope_that_nobody_can_read_is_one_rejected_answer(
    fake: FakeOpenAi, make_model: Make
) -> None:
    fake.faults.append("deep envelope")
    for _ in range(2):
        with pytest.raises(Unparsable, match="too deeply"):
            make_model().ask(make_request())
    assert fake.received.total() == 1


@pytest.mark.parametrize("fault", [*WRAPPED, "odd usage"])
def test_what_stands_around_an_answer_is_taken_off(
    fault: str, fake: FakeOpenAi, make_model: Make
) -> None:
    plain = make_model().ask(make_request("one"))
    fake.faults.append(fault)
    wrapped = make_model().ask(make_request("two"))
    assert wrapped.keys() == plain.keys() == {"claims"}
    assert wrapped == fake.answer(
        {
            "response_format": {"json_schema": {"schema": SCHEMA}},
            "messages": [{"content": "two"}],
        }
    )
    assert make_model().ask(make_request("two")) == wrapped
    assert fake.received.total() == 2


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": "</think> and ```json"}', {"a": "</think> and ```json"}),
        ("<think>a {</think>[1]", [1]),
        ('```JSON\r\n{"a": "```"}\r\n```', {"a": "```"}),
        ('\ufeff{"a": 1}', {"a": 1}),
        ('{"a": "\\ud83d\\ude00"}', {"a": "😀"}),
    ],
)
def test_json_is_found(text: str, value: Any) -> None:
    assert parse_json(text) == value


@pytest.mark.parametrize("text", ["", "<think>{}", "{} and {}", "```json\n{}\n```\n```\n{}\n```"])
def test_and_only_where_there_is_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"Expecting value|Extra data"):
        parse_json(text)


def test_an_error_of_the_service_is_no_answer(fake: FakeOpenAi, make_model: Make) -> None:
    for fault in ("error", "error 200"):
        fake.faults.append(fault)
        assert make_model().ask(make_request(fault))["claims"]
    assert sorted(fake.received.values()) == [2, 2]
    fake.faults.extend(["error"] * 3)
    with pytest.raises(ServiceUnavailable, match="broke off"):
        make_model().ask(make_request("lasting"))
    assert make_model().ask(make_request("lasting"))["claims"]


@pytest.mark.parametrize(
    ("kept", "paid_again"),
    [
        ({"text": [{"type": "text", "text": '{"claims": []}'}], "finish_reason": "stop"}, 0),
        ({"text": '```json\n{"claims": []}\n```', "finish_reason": "stop"}, 0),
        ({"text": {"claims": []}, "finish_reason": "stop"}, None),
        ({"text": '{"claims": ' + "[" * 9999, "finish_reason": "stop"}, None),
        ({"text": "", "finish_reason": "error"}, 1),
    ],
)
def test_answers_that_an_older_release_kept_do_not_block(
    kept: dict[str, Any], paid_again: int | None, fake: FakeOpenAi, make_model: Make, tmp_path: Path
) -> None:
    """As the older release wrote them, in a file without the newer tables."""
    model = make_model()
    key = model.key(make_request(), model.body(make_request()))
    model.cache.close()
    database = sqlite3.connect(tmp_path / "requests.sqlite")
    database.executescript("DROP TABLE set_aside; DROP TABLE learned")
    row = {**kept, "refusal": None, "tokens_in": 9, "tokens_out": 9}
    database.execute("INSERT INTO answers VALUES (?, ?)", (key, json.dumps(row)))
    database.execute("INSERT INTO quarantine VALUES (?, 'not JSON')", (key,))
    database.commit()
    database.close()
    for _ in range(2):
        model = make_model()
        if paid_again is None:
            with pytest.raises(Unparsable):
                model.ask(make_request())
        else:
            model.ask(make_request())
            assert model.cache.totals().rejected == 0
    assert fake.received.total() == (paid_again or 0)


# Answers that are all of no use


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("empty", "max_completion_tokens"),
        ("thoughts alone", "max_completion_tokens"),
        ("prose cut", "max_completion_tokens"),
        ("invalid", "not JSON"),
        ("refusal", "cannot help"),
    ],
)
def test_answers_of_no_use_stop_the_run_and_a_later_one_goes_on(
    fault: str, words: str, fake: FakeOpenAi, make_model: Make
) -> None:
    model = make_model(stop_after=5)
    answers = {str(number): model.ask(make_request(str(number))) for number in range(2)}
    fake.fault_of = lambda body: fault

    expected = Refused if fault == "refusal" else Unparsable

    def ask_all(model: OpenAiModel) -> None:
        for number in range(30):
            try:
                answers[str(number)] = model.ask(make_request(str(number)))
            except expected:
                continue

    with pytest.raises(NothingUsable, match=rf"5 answers in a row(?s:.*){words}"):
        ask_all(model)
    assert fake.received.total() == 2 + 5
    # Nothing has changed: three requests show it, not five.
    with pytest.raises(NothingUsable, match="3 answers in a row"):
        ask_all(make_model(stop_after=5))
    assert fake.received.total() == 2 + 5 + 3

    fake.fault_of = lambda body: ""
    ask_all(make_model(stop_after=5))
    assert len(answers) == 30
    # Only what could not be used was asked again; what could is asked once.
    assert fake.received.total() == 2 + 5 + 3 + 28
    ask_all(make_model(stop_after=5))
    assert fake.received.total() == 2 + 5 + 3 + 28


def test_a_stop_is_one_for_all_threads(fake: FakeOpenAi, make_model: Make) -> None:
    fake.fault_of, fake.delay = lambda body: "invalid", 0.02
    model = make_model(stop_after=5)

    def ask(number: int) -> str:
        try:
            return str(model.ask(make_request(str(number))))
        except (Unparsable, NothingUsable) as error:
            return type(error).__name__

    with ThreadPoolExecutor(8) as pool:
        came = list(pool.map(ask, range(100)))
    assert came.count("Unparsable") == 4
    assert came.count("NothingUsable") == 96
    # Those on their way when the fifth came back, and no others.
    assert 5 <= fake.received.total() <= 5 + 8


def test_some_answers_of_no_use_stop_nothing(fake: FakeOpenAi, make_model: Make) -> None:
    model = make_model(stop_after=3)
    fake.fault_of = lambda body: "invalid" if int(body["messages"][-1]["content"]) % 3 else ""
    for number in range(12):
        if number % 3:
            with pytest.raises(Unparsable):
                model.ask(make_request(str(number)))
        else:
            model.ask(make_request(str(number)))
    fake.fault_of = lambda body: "invalid"
    never = make_model(stop_after=0)
    for number in range(20, 40):
        with pytest.raises(Unparsable):
            never.ask(make_request(str(number)))


def test_a_larger_bound_asks_again_for_what_was_cut_alone(
    fake: FakeOpenAi, make_model: Make
) -> None:
    make_model().ask(make_request("good"))
    fake.faults.append("empty")
    for _ in range(2):
        with pytest.raises(Unparsable, match="cut before"):
            make_model().ask(make_request("cut"))
    assert fake.received.total() == 2
    seen: list[Any] = []
    fake.fault_of = lambda body: seen.append(body) or ""
    for _ in range(2):
        model = make_model(parameters={"max_completion_tokens": 4000})
        assert model.ask(make_request("good"))["claims"]
        assert model.ask(make_request("cut"))["claims"]
    (body,) = seen
    assert (body["max_completion_tokens"], "max_tokens" in body) == (4000, False)
    assert fake.received.total() == 3


# What services reject


@pytest.mark.parametrize("refusal", ["openai", "gateway", "pydantic"])
@pytest.mark.parametrize(
    "rejects",
    [{"max_tokens"}, {"temperature"}, {"seed"}, {"response_format"}, {"max_tokens", "temperature"}],
)
def test_what_a_service_refuses_is_learned_once(
    refusal: str,
    rejects: set[str],
    fake: FakeOpenAi,
    make_model: Make,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake.rejects, fake.refusal = rejects, refusal
    model = make_model()
    # Of schemas, the older form is tried as well.
    refused = len(rejects) + ("response_format" in rejects)
    first = model.ask(make_request("one", max_tokens=77))
    assert fake.received.total() == 1 + refused
    said = capsys.readouterr().err
    assert all(f"takes no {name}" in said for name in rejects)
    model.ask(make_request("two"))
    # Nor in another run, nor twice because requests are written in another way.
    again = make_model()
    assert again.ask(make_request("one", max_tokens=77)) == first
    again.ask(make_request("three"))
    assert fake.received.total() == 3 + refused
    assert capsys.readouterr().err == ""
    assert again.cache.totals().spent_usd == again.cache.totals().answers_usd


def test_a_service_without_openais_type_gets_the_schema_in_the_older_one(
    fake: FakeOpenAi, make_model: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Any] = []
    fake.fault_of = lambda body: seen.append(body) or ""
    fake.rejects = {"json_schema"}
    make_model().ask(make_request("one"))
    make_model().ask(make_request("two"))
    forms = [body["response_format"] for body in seen]
    assert [form["type"] for form in forms] == ["json_schema", "json_object", "json_object"]
    assert forms[1]["schema"] == SCHEMA
    assert json.dumps(SCHEMA) in seen[1]["messages"][0]["content"]
    assert "json_object with its schema" in capsys.readouterr().err


def test_a_service_that_bounds_no_texts_gets_a_schema_without(
    fake: FakeOpenAi, make_model: Make
) -> None:
    text = {"type": "string", "maxLength": 9}
    schema = {"type": "object", "properties": {"text": text}, "required": ["text"]}
    seen: list[Any] = []
    fake.fault_of = lambda body: seen.append(body) or ""
    fake.rejects = {"maxLength"}
    for user in ("one", "two"):
        make_model().ask(replace(make_request(user), schema=schema))
    assert fake.received.total() == 3
    sent = [body["response_format"] for body in seen[1:]]
    assert [form["type"] for form in sent] == ["json_schema", "json_schema"]
    properties = [form["json_schema"]["schema"]["properties"] for form in sent]
    assert properties == [{"text": {"type": "string"}}] * 2


def test_the_bound_goes_by_the_other_name(fake: FakeOpenAi, make_model: Make) -> None:
    seen: list[Any] = []
    fake.fault_of = lambda body: seen.append(body) or ""
    fake.rejects = {"max_tokens"}
    make_model().ask(make_request("learned", max_tokens=77))
    for number, given in enumerate(({"max_tokens": None}, {"max_completion_tokens": 55})):
        make_model(parameters=given).ask(make_request(f"given {number}", max_tokens=77))
    assert [body["max_completion_tokens"] for body in seen[1:]] == [77, 77, 55]
    assert not any("max_tokens" in body for body in seen[1:])


def test_both_names_rejected_is_an_error_with_advice(fake: FakeOpenAi, make_model: Make) -> None:
    fake.rejects = {"max_tokens", "max_completion_tokens"}
    with pytest.raises(RequestRejected, match="--request-options"):
        make_model().ask(make_request())
    assert fake.received.total() == 2


def test_what_the_user_asks_for_is_not_left_out_in_silence(
    fake: FakeOpenAi, make_model: Make
) -> None:
    fake.rejects = {"temperature"}
    advice = r'leave temperature out: --request-options .*"temperature": null'
    with pytest.raises(RequestRejected, match=advice) as raised:
        make_model(parameters={"temperature": 0.5}).ask(make_request())
    assert "--base-url" not in str(raised.value)
    make_model(parameters={"temperature": None}).ask(make_request())
    # Nor where an earlier run has learned to do without it.
    make_model().ask(make_request("another"))
    with pytest.raises(RequestRejected, match=advice):
        make_model(parameters={"temperature": 0.5}).ask(make_request())


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("402", BudgetExceeded, "no credit left.*top it up"),
        ("region", RegionBlocked, "not offered where this machine is"),
        ("451", RegionBlocked, "not offered where this machine is"),
    ],
)
def test_each_refusal_has_advice_of_its_own(
    fault: str, error: type[Exception], words: str, fake: FakeOpenAi, make_model: Make
) -> None:
    fake.faults.append(fault)
    with pytest.raises(error, match=words) as raised:
        make_model().ask(make_request())
    assert "check --base-url" not in str(raised.value)
    assert "OPENAI_API_KEY" not in str(raised.value)
    assert make_model().ask(make_request())["claims"]
    assert fake.received.total() == 2


# In batches


def ask_in_batches(model: OpenAiModel, users: list[str]) -> dict[str, Any]:
    batches = BatchModel(model, poll_seconds=0, sleep=lambda _: None)
    answers: dict[str, Any] = {}
    while len(answers) < len(users):
        for user in users:
            try:
                answers[user] = batches.ask(make_request(user))
            except Pending:
                continue
            except Unparsable as error:
                answers[user] = error
        if len(answers) < len(users):
            batches.settle()
    return answers


def test_batches_learn_and_keep_odd_answers_too(fake: FakeOpenAi, make_model: Make) -> None:
    users = [str(number) for number in range(len(ODD) + 2)]
    fake.rejects = {"max_tokens", "temperature"}
    faults = dict(zip(users, [*ODD, "parts", "fence"], strict=True))
    fake.fault_of = lambda body: faults[body["messages"][-1]["content"]]
    for _ in range(2):
        answers = ask_in_batches(make_model(), users)
        assert [isinstance(answers[user], Unparsable) for user in users] == [True] * len(ODD) + [
            False
        ] * 2
    # Two batches taught what the service rejects, the third was answered.
    assert len(fake.batches) == 3
    assert set(fake.completed.values()) == {1}


def test_batches_of_no_use_stop_the_run(fake: FakeOpenAi, make_model: Make) -> None:
    users = [str(number) for number in range(12)]
    fake.fault_of = lambda body: "invalid"
    with pytest.raises(NothingUsable, match="4 answers in a row"):
        ask_in_batches(make_model(stop_after=4), users)
    fake.fault_of = lambda body: ""
    answers = ask_in_batches(make_model(stop_after=4), users)
    usable = [user for user in users if not isinstance(answers[user], Unparsable)]
    # Those that stopped it were asked again; the rest stays what it is, rejected and counted.
    assert len(usable) == 4
    assert sorted(fake.received.values()) == [1] * 8 + [2] * 4


# Whole builds


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    rnas, papers = write_literature(tmp_path / "files", rnas=8, per_rna=4)
    return str(rnas), str(papers)


def test_a_build_goes_on_with_an_odd_answer_for_every_kind(
    files: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNAQA_API_KEY", KEY)
    options = LiteratureOptions(
        rnas=files[0], papers=files[1], mode="ais", language_model=MODEL, clusters="kmers"
    )
    out = tmp_path / "out"
    names = [rna["names"][0] for rna in make_rnas(8)]
    faults = dict(zip(names, [*ODD, *WRAPPED], strict=False))

    def fault_of(body: Any) -> str:
        data = json.loads(body["messages"][-1]["content"])
        return faults.get(data["names"][0], "") if "papers" in data else ""

    with serve_openai(scribe) as fake:
        fake.fault_of = fault_of
        run = RunOptions(base_url=fake.base_url)
        record = build(out, options, run)["record"]
        counts = record["counts"]["annotate-ais"]
        assert counts["rejected: no answer: unparsable"] == len(ODD)
        assert counts["rnas with claims"] == len(names) - len(ODD)
        assert f"{len(ODD)} answers could not be used" in read_status(out).describe()
        asked, before = fake.received.total(), read_bytes(out)
        # All made again, from cached answers.
        for folder in ("annotate-ais", "questions-ais"):
            for path in (out / ".work" / folder).iterdir():
                path.unlink()
        build(out, options, run)
        assert fake.received.total() == asked
        assert read_bytes(out) == before


def test_a_build_whose_answers_are_all_of_no_use_stops_and_goes_on_when_they_are_mended(
    files: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RNAQA_API_KEY", KEY)
    out = tmp_path / "out"
    command = ["literature", str(out), "--rnas", files[0], "--papers", files[1]]
    command += ["--language-model", MODEL, "--clusters", "kmers", "--concurrency", "1"]
    command += ["--stop-after-failures", "4", "--shard-size", "2"]
    with serve_openai(scribe) as fake:
        command += ["--base-url", fake.base_url]
        fake.fault_of = lambda body: "empty"
        assert main(command) == 2
        said = capsys.readouterr().err
        assert "4 answers in a row are of no use" in said
        assert "max_completion_tokens" in said
        # Not halved down to single papers.
        assert fake.received.total() == 4
        fake.fault_of = lambda body: ""
        assert main(command) == 0
        assert "0 failed" in capsys.readouterr().out
        assert sorted(fake.received.values())[-5:] == [1, 2, 2, 2, 2]
        total = fake.received.total()
        fresh = tmp_path / "fresh"
        assert main(["literature", str(fresh), *command[2:]]) == 0
        assert fake.received.total() == total + len(fake.received)
        assert read_bytes(out) == read_bytes(fresh)


def test_half_a_character_in_a_file_names_file_and_line(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    papers = list(make_papers(make_rnas(2), 2))
    papers[2]["abstract"] = "miR-9001 is a half \ud83d of it."
    path = tmp_path / "papers.jsonl"
    path.write_text("".join(json.dumps(paper) + "\n" for paper in papers))
    rnas = write_lines(tmp_path / "rnas.jsonl", make_rnas(2))
    command = ["literature", str(tmp_path / "out"), "--rnas", str(rnas), "--papers"]
    assert main([*command, str(path)]) == 2
    said = capsys.readouterr().err
    assert f"{path}, line 3: " in said
    assert "abstract" in said
    deep = tmp_path / "deep.jsonl"
    deep.write_text('{"pmid": "1", "title": ' + "[" * 100_000 + "\n")
    assert main([*command, str(deep)]) == 2
    assert f"{deep}, line 1: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("status", "code", "said", "error"),
    [
        (404, "DeploymentNotFound", "The API deployment for this resource does not exist.", "Un"),
        (400, "", "User location is not supported for the API use.", "Region"),
        (403, "", "Country, region, or territory not supported", "Region"),
        (403, "", "You do not have access to this project.", "AuthenticationError"),
        (404, "", "Not Found", "RequestRejected"),
        (400, "", "max_tokens is too large: 9000. It supports at most 4096.", "RequestRejected"),
    ],
)
def test_words_of_other_services_are_understood(
    status: int, code: str, said: str, error: str, make_model: Make
) -> None:
    """As Azure, Google, OpenAI and vLLM write them."""
    explained = make_model().explain(status, code, said)
    assert type(explained).__name__.startswith(error)
    assert said in str(explained)
    assert ("check --base-url" in str(explained)) == (said == "Not Found")
