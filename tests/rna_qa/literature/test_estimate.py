"""Estimated costs of a build, against what a server on this machine was asked in the end."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.fake_openai import MODEL, FakeOpenAi
from helpers.tiny_literature import make_papers, make_rnas, write_lines

from rnagpt.rna_qa.literature.build.pipeline import build
from rnagpt.rna_qa.literature.build.settings import LiteratureOptions, RunOptions, Services
from rnagpt.rna_qa.literature.build.status import read_totals
from rnagpt.rna_qa.literature.llm.estimate import (
    KINDS,
    CachedReplay,
    Estimate,
    Requests,
    _extrapolate,
    _relative_error,
    estimate,
)
from rnagpt.rna_qa.literature.llm.language_model import BudgetExceeded
from rnagpt.rna_qa.literature.llm.request_cache import Totals

RNAS, PILOT = 21, 7
ASKING = ("select", "papers", "topics", "annotate", "questions")


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> LiteratureOptions:
    """RNAs with 2 to 14 papers each, of which 600 tokens take about ten in one request."""
    folder = tmp_path_factory.mktemp("literature")
    rnas = make_rnas(RNAS)
    papers = [
        paper
        for paper in make_papers(rnas, 14)
        if int(paper["pmid"]) % 1000 < 2 + 2 * (_place(paper) % 7)
    ]
    return LiteratureOptions(
        rnas=str(write_lines(folder / "rnas.jsonl", rnas)),
        papers=str(write_lines(folder / "papers.jsonl", papers)),
        clusters="kmers",
        token_budget=600,
        mode="dnc",
        language_model=MODEL,
    )


def _place(paper: dict[str, str]) -> int:
    """The number of the RNA that a made-up paper is about."""
    return int(paper["pmid"]) // 1000 % 1000


@pytest.fixture
def pilot(options: LiteratureOptions, tmp_path: Path) -> LiteratureOptions:
    """The same with the first RNAs alone."""
    lines = Path(str(options.rnas)).read_text().splitlines()[:PILOT]
    return replace(options, rnas=str(write_lines(tmp_path / "few.jsonl", map(json.loads, lines))))


def expect(out: Path, options: LiteratureOptions, run: RunOptions) -> Estimate:
    return estimate(out, options, run, Services())


def ask(out: Path, options: LiteratureOptions, run: RunOptions) -> None:
    """The build as far as it asks."""
    build(out, options, run, stages=ASKING)


def sum_up(by_mode: Mapping[str, Requests]) -> list[float]:
    """Requests, tokens read and tokens written of all modes."""
    return [sum(part) for part in zip(*by_mode.values(), strict=True)]


def used(out: Path) -> Totals:
    totals = read_totals(out / ".work")
    assert totals is not None
    return totals


def dump(out: Path) -> list[str]:
    """All that the file of requests holds."""
    with sqlite3.connect(out / ".work" / "requests.sqlite") as database:
        return list(database.iterdump())


@pytest.mark.parametrize("mode", ["dnc", "ais"])
def test_with_a_pilot_it_is_near_what_comes(
    options: LiteratureOptions,
    pilot: LiteratureOptions,
    run: RunOptions,
    service: FakeOpenAi,
    tmp_path: Path,
    mode: str,
) -> None:
    out = tmp_path / "out"
    ask(out, replace(pilot, mode=mode), run)
    asked, kept, before = service.received.total(), dump(out), used(out)

    whole = replace(options, mode=mode)
    expected = expect(out, whole, run)
    assert service.received.total() == asked
    assert dump(out) == kept
    assert sum_up(expected.answered) == [before.answered, before.tokens_in, before.tokens_out]
    assert f"from the cached answers to {PILOT} RNAs" in expected.describe()
    assert "at no further cost" in expected.describe()
    assert "assumed" not in expected.describe()
    assert expected.error is not None
    assert 0 < expected.error < 0.2

    ask(out, whole, run)
    after = used(out)
    requests, read, written = sum_up(expected.by_mode)
    assert requests == pytest.approx(after.answered, rel=0.1)
    assert read == pytest.approx(after.tokens_in, rel=0.1)
    assert written == pytest.approx(after.tokens_out, rel=0.1)
    assert expected.whole_usd == pytest.approx(after.answers_usd, rel=0.1)

    done = expect(out, whole, run)
    assert sum_up(done.answered) == [after.answered, after.tokens_in, after.tokens_out]
    assert (done.usd, sum_up(done.left)) == (0, [0, 0, 0])


def test_modes_that_ask_the_same_are_counted_once(
    pilot: LiteratureOptions, run: RunOptions, tmp_path: Path
) -> None:
    both, out = replace(pilot, mode="both"), tmp_path / "out"
    ask(out, both, run)
    expected, totals = expect(out, both, run), used(out)
    assert totals.hits > 0
    assert sum_up(expected.answered) == [totals.answered, totals.tokens_in, totals.tokens_out]
    assert sum_up(expected.left) == [0, 0, 0]


def test_a_spent_budget_measures_what_it_reached(
    options: LiteratureOptions, run: RunOptions, tmp_path: Path
) -> None:
    with pytest.raises(BudgetExceeded):
        ask(tmp_path, options, replace(run, budget=0.006))
    spent = used(tmp_path)
    expected = expect(tmp_path, options, run)
    assert expected.answered["dnc"] == (spent.answered, spent.tokens_in, spent.tokens_out)
    assert expected.measured["dnc"]["claims"] > 2
    assert expected.measured["dnc"]["questions"] == 0
    assert "assumed, not measured: questions" in expected.describe()
    ask(tmp_path, options, run)
    assert expected.by_mode["dnc"].input_tokens == pytest.approx(used(tmp_path).tokens_in, rel=0.1)


def test_without_answers_it_assumes_and_says_so(
    options: LiteratureOptions, run: RunOptions, service: FakeOpenAi, tmp_path: Path
) -> None:
    expected = expect(tmp_path, options, run)
    assert service.received.total() == 0
    assert not (tmp_path / ".work" / "requests.sqlite").exists()
    assert expected.answered["dnc"] == (0, 0, 0)
    assert expected.error is None
    assert "no answers are cached: all that depends on them is assumed" in expected.describe()
    assert "--limit 50" in expected.describe()


@pytest.mark.parametrize("other", ["model", "service"])
def test_answers_of_another_model_are_no_pilot(
    options: LiteratureOptions,
    pilot: LiteratureOptions,
    run: RunOptions,
    tmp_path: Path,
    other: str,
) -> None:
    unmeasured = expect(tmp_path / "empty", options, run)
    out = tmp_path / "out"
    ask(out, pilot, run)
    if other == "model":
        prices = (0.15, 0.60)
        elsewhere = expect(
            out, replace(options, language_model="another"), replace(run, prices=prices)
        )
    else:
        elsewhere = expect(out, options, replace(run, base_url="http://localhost:1/v1"))
    assert elsewhere == unmeasured


def test_rnas_that_share_names_and_papers_are_counted_once(
    options: LiteratureOptions, run: RunOptions, tmp_path: Path
) -> None:
    alone = expect(tmp_path / "alone", options, run)
    rnas = make_rnas(RNAS + 5)
    for extra, rna in zip(rnas[RNAS:], rnas, strict=False):
        extra["names"] = rna["names"]
    more = replace(options, rnas=str(write_lines(tmp_path / "more.jsonl", rnas)))
    expected = expect(tmp_path / "more", more, run)
    assert (expected.rnas, expected.shared) == (RNAS + 5, 5)
    assert expected.by_mode == alone.by_mode


def test_two_standard_errors_hold_what_comes_in_most_builds() -> None:
    """Of RNAs drawn at random, 40 of 400 answered, each with a deviation of its own."""
    random = np.random.default_rng(0)
    held = 0
    for _ in range(100):
        asking, comes = [], 0.0
        for number in range(400):
            expected = random.gamma(2.0, 500.0) * np.ones((len(KINDS), 3))
            actual = expected * 1.3 * random.gamma(10.0, 0.1)
            replay = CachedReplay(None, expected)
            replay.due = actual[:, 0]
            if number < 40:
                replay.answered = actual
            else:
                comes += actual[:, 1:].sum()
            asking.append(replay)
        left, measured, pairs = _extrapolate(asking)
        error = _relative_error(pairs @ np.array([0, 1, 1]))
        assert error is not None
        assert measured.tolist() == [40] * len(KINDS)
        held += abs(left[1:].sum() - comes) <= error * left[1:].sum()
    # Nearly 95: the rest has a spread of its own.
    assert 85 <= held < 100
