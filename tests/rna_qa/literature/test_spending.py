"""Prices, rate limits, and the ledger that several processes share."""

import errno
import sqlite3
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from rnagpt.rna_qa.literature.llm.prices import Prices, prices_of
from rnagpt.rna_qa.literature.llm.request_cache import USD, Answer, RequestCache, request_key
from rnagpt.rna_qa.literature.llm.spending import Spending


class Clock:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_prices_are_those_of_openais_list() -> None:
    # $0.15 and $0.60 per million tokens: 12,000 read and 1,500 written are $0.0027.
    prices = prices_of("gpt-4o-mini")
    assert prices
    assert prices.cost(12_000, 1_500) == 0.0027 * USD
    assert prices_of("gpt-4o-mini-2024-07-18") == prices_of("gpt-4o-mini")
    assert prices_of("gpt-4o-2024-08-06") is None  # another model, and not a release of gpt-4o-mini
    assert prices_of("SmolLM2") is None
    assert Prices(0.0000001, 0).cost(1, 0) == 1  # never rounded down
    with pytest.raises(ValueError, match="0 at least"):
        Prices(-1, 0)


def test_a_budget_needs_prices(tmp_path: Path) -> None:
    with RequestCache(tmp_path / "c") as cache, pytest.raises(ValueError, match=r"\$5.*price"):
        Spending(cache, None, limit_usd=5)


@pytest.mark.parametrize(
    ("limits", "tokens", "seconds"),
    [
        ({"requests_per_minute": 30}, 1, 2.0),
        ({"tokens_per_minute": 6000}, 500, 5.0),
        ({"requests_per_minute": 30, "tokens_per_minute": 6000}, 500, 5.0),
        ({}, 500, 0.0),
    ],
)
def test_the_pace_keeps_to_the_limits_of_a_minute(
    limits: dict[str, float], tokens: int, seconds: float, tmp_path: Path
) -> None:
    clock = Clock()
    with RequestCache(tmp_path / "c") as cache:
        spending = Spending(cache, clock=clock, sleep=clock.sleep, **limits)
        starts = []
        for _ in range(50):
            spending.rate.acquire(tokens)
            starts.append(clock.now)
    assert starts == pytest.approx([i * seconds for i in range(50)])


def test_a_pause_holds_the_next_request(tmp_path: Path) -> None:
    clock = Clock()
    with RequestCache(tmp_path / "c") as cache:
        spending = Spending(cache, clock=clock, sleep=clock.sleep)
        spending.rate.pause(17)
        spending.rate.pause(3)
        spending.rate.acquire(1)
    assert clock.now == 17


def test_keys_do_not_depend_on_the_order_of_a_body() -> None:
    body = {"model": "m", "max_tokens": 3}
    key = request_key("http://service/v1", body)
    assert key == request_key("http://service/v1/", dict(reversed(body.items())))
    assert key != request_key("http://service/v1", body | {"max_tokens": 4})
    assert key != request_key("http://service/v1", body, "2")
    assert key != request_key("http://other/v1", body)


def test_processes_share_one_limit(tmp_path: Path) -> None:
    path = tmp_path / "requests.sqlite"
    RequestCache(path).close()
    script = (
        "import sys; from pathlib import Path\n"
        "from rnagpt.rna_qa.literature.llm.request_cache import RequestCache\n"
        "cache = RequestCache(Path(sys.argv[1]))\n"
        "print(sum(cache.begin(str(i), 7, limit=1000) is not None for i in range(100)))\n"
    )
    command = [sys.executable, "-c", script, str(path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    begun = [int(process.communicate(timeout=100)[0]) for process in running]
    assert sum(begun) == 1000 // 7


def test_an_answer_and_its_cost_survive_together_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "requests.sqlite"
    answer = Answer('{"a": "ß"}', tokens_in=10, tokens_out=5)
    with RequestCache(path) as cache:
        attempt = cache.begin("key", 100)
        assert attempt is not None
        with suppress(KeyboardInterrupt), cache.transaction():
            cache.settle(attempt, answer, 40)
            raise KeyboardInterrupt
        assert (cache.get("key"), cache.totals().open) == (None, 1)
        cache.settle(attempt, answer, 40)
        cache.settle(attempt, answer, 40)  # the second time says nothing new
    with RequestCache(path) as cache:
        assert cache.get("key") == answer
        assert cache.totals().spent_usd == 40 / USD


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    with RequestCache(tmp_path / "requests.sqlite") as cache:
        attempt = cache.begin("key", 100)
        assert attempt is not None
        (pages,) = cache._database.execute("PRAGMA page_count").fetchone()
        cache._database.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(OSError, match="disk is full") as raised:
            cache.settle(attempt, Answer("x" * 100_000), 40)
        assert raised.value.errno == errno.ENOSPC
        assert (cache.get("key"), cache.totals().open) == (None, 1)


def test_a_file_of_something_else_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "requests.sqlite"
    path.write_text("It is a text, and a long one, so that SQLite looks at it." * 50)
    with pytest.raises(ValueError, match=r"requests\.sqlite.*move it away"):
        RequestCache(path)
    database = sqlite3.connect(tmp_path / "newer")
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(ValueError, match="version 99"):
        RequestCache(tmp_path / "newer")
