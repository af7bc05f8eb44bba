"""What a build of any size takes, against the sums of its parts, and against a real count."""

import json
from pathlib import Path

import pytest
from helpers.paths import ROOT

from rnagpt.rna_qa.literature.build.settings import LiteratureOptions
from rnagpt.rna_qa.literature.build.whole import (
    Plan,
    count_requests,
    default_papers,
    describe,
    needs,
    num_groups,
    read_papers,
)
from rnagpt.rna_qa.literature.llm.prices import Prices, price_table
from rnagpt.rna_qa.literature.llm.request_cache import USD


def plan(papers: dict[int, float], rnas: int = 1000) -> Plan:
    return Plan(rnas=rnas, papers_per_rna=papers)


def test_an_rna_with_one_paper_asks_twice() -> None:
    """One request for claims, one for questions; and a share of one for repairs."""
    asked = count_requests(plan({1: 7.0}), "dnc")
    assert 2000 < asked.requests < 3000
    # A request for claims holds the paper, four characters a token, and the instructions.
    assert asked.input_tokens > 1000 * 1632 / 4


def test_only_the_proportions_of_the_table_count() -> None:
    one, two = ({1: 3.0, 40: 1.0}, {1: 300.0, 40: 100.0})
    assert count_requests(plan(one), "dnc") == pytest.approx(count_requests(plan(two), "dnc"))
    alone = [count_requests(plan({papers: 1.0}, 1), "ais") for papers in (1, 40)]
    mixed = count_requests(plan(one, 4), "ais")
    assert mixed.input_tokens == pytest.approx(3 * alone[0].input_tokens + alone[1].input_tokens)


def test_the_two_ways_differ_where_papers_are_many() -> None:
    """400 papers of 1,632 characters are 163,000 tokens: 14 requests of 12,000 for AIS."""
    ais = count_requests(plan({400: 1.0}, 1), "ais")
    dnc = count_requests(plan({400: 1.0}, 1), "dnc")
    assert ais.requests > 14
    assert dnc.requests >= num_groups(400, LiteratureOptions(source="http"))
    few = [count_requests(plan({3: 1.0}, 1), mode) for mode in ("dnc", "ais")]
    assert few[0] == few[1]


def test_the_built_in_table_is_of_microrna_names() -> None:
    table = default_papers()
    assert sum(table.values()) == 610
    assert sum(papers * rnas for papers, rnas in table.items()) / 610 == pytest.approx(
        13.13, abs=0.01
    )


def test_hours_follow_workers_and_the_accounts_limits() -> None:
    two, four = (needs(Plan(rnas=10_000, workers=workers))[2] for workers in (2, 4))
    assert two.way == "extractive"
    assert two.hours.shared == pytest.approx(2 * four.hours.shared)
    assert two.hours.alone == four.hours.alone
    free = needs(Plan(rnas=10_000))[0]
    limited = needs(Plan(rnas=10_000, tokens_per_minute=10_000))[0]
    assert limited.slowest == "tokens a minute"
    tokens = free.requests.input_tokens + free.requests.output_tokens
    assert limited.hours.answers == pytest.approx(tokens / 10_000 / 60)
    assert free.hours.answers == pytest.approx(free.requests.requests * 5 / 8 / 3600)


def test_papers_that_many_rnas_share_are_stored_once() -> None:
    many = Plan(rnas=1000, papers_per_rna={10: 1.0}, articles=500)
    assert (many.mentions, many.papers) == (10_000, 500)
    assert Plan(rnas=10, papers_per_rna={10: 1.0}).papers == 100


@pytest.mark.parametrize("text", ["[1]", '{"0": 3}', '{"1": -1}', '{"one": 1}', "{}", "nothing"])
def test_a_wrong_table_of_papers_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "table.json").write_text(text)
    with pytest.raises(ValueError, match=r"table\.json.*expected JSON of RNAs"):
        read_papers(tmp_path / "table.json")


def test_dollars_are_tokens_times_the_price() -> None:
    made = plan({2: 1.0})
    found = needs(made)
    asked = found[0].requests
    dollars = round((asked.input_tokens * 1000 + asked.output_tokens * 3000) / 1e6)
    line = next(
        line
        for line in describe(made, found, {"my-model": (1000, 3000)}).splitlines()
        if "my-model" in line
    )
    assert line.split()[1] == f"{dollars:,}"
    assert float(line.split()[2].replace(",", "")) == pytest.approx(dollars / 2, abs=1)


def test_the_table_of_prices_says_when_and_where(tmp_path: Path) -> None:
    from rnagpt.rna_qa.literature.llm.prices import TABLE

    written = json.loads(TABLE.read_text())
    assert written["checked"].startswith("20")
    assert all(row["source"].startswith("https://") for row in written["models"].values())
    newer = tmp_path / "prices.json"
    newer.write_text(
        json.dumps({"checked": "2027-01-01", "models": {"m": {"read": 1, "written": 2}}})
    )
    assert price_table(newer).of("m-2027-01-01") == Prices(1, 2)
    assert price_table(newer).of("m-large") is None
    newer.write_text('{"models": {"m": {"read": 1}}}')
    price_table.cache_clear()
    with pytest.raises(ValueError, match="dollars per million tokens"):
        price_table(newer)


def test_the_guide_tells_what_the_command_says() -> None:
    dnc = needs(Plan(rnas=407_616))[0]
    cost = Prices(0.15, 0.60).cost(int(dnc.requests.input_tokens), int(dnc.requests.output_tokens))
    guide = (ROOT / "docs" / "guides" / "build-literature.md").read_text()
    for told in (
        f"{dnc.requests.requests / 1e6:.2f} million requests",
        f"{dnc.requests.input_tokens / 1e9:.1f} billion tokens read",
        f"${cost / USD:.0f} by gpt-4o-mini",
        f"{dnc.hours.total:.0f} hours with 8 open requests",
    ):
        assert told in " ".join(guide.split())
