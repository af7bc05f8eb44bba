"""What the benchmarks share: turns, ratios, the file of figures."""

import json
import sys
from pathlib import Path

import pytest

import rnagpt

sys.path.insert(0, str(Path(rnagpt.__file__).parent / "benchmarks"))
measured = pytest.importorskip("measured")


def figure(name, ours):
    return measured.Figure(name, ours, 1.0, "plain", ours, None, None, "nt/s", "ratio 2")


def test_ways_take_turns():
    order = []
    seconds = measured.take_turns(
        {"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3
    )
    assert order == ["a", "b"] * 3
    assert {name: len(taken) for name, taken in seconds.items()} == {"a": 3, "b": 3}


def test_a_ratio_is_that_of_each_round():
    # In the slow second round both took ten times as long.
    assert measured.ratio([2.0, 20.0, 2.2], [1.0, 10.0, 1.0]) == pytest.approx(2.0)


def test_a_figure_takes_the_place_of_its_last(tmp_path, monkeypatch):
    monkeypatch.setattr(measured, "RESULTS", tmp_path / "results.json")
    measured.keep([figure("one", 2.0), figure("two", 3.0)])
    measured.keep([figure("one", 5.0)])
    kept = json.loads((tmp_path / "results.json").read_text())
    assert [(one["figure"], one["ours"]) for one in kept] == [("one", 5.0), ("two", 3.0)]
    assert set(kept[0]) == {
        *("figure", "ours", "other", "other_name", "ratio"),
        *("limit", "share_of_limit", "unit", "target"),
    }
