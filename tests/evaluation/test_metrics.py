"""Figures, their intervals, and how they are shown."""

import csv
import io
import json
import math

import numpy as np
import pytest

from rnagpt.evaluation.calibration import expected_calibration_error
from rnagpt.evaluation.metrics import Figures, ratio, share_lost
from rnagpt.evaluation.report import nest, show, write_csv, write_tables


@pytest.fixture
def figures() -> Figures:
    figures = Figures(seed=0)
    figures.add_mean("one", "A", "right", np.repeat([0.0, 1.0], [700, 300]))
    figures.add_mean("one", "B", "right", np.ones(5))
    figures.add_mean("one", "B", "wrong | not", np.zeros(5))
    figures.add("two", "A", "lost", share_lost(np.zeros(4), np.ones(4)), 4)
    return figures


def test_interval_agrees_with_the_normal_approximation(figures: Figures) -> None:
    one = figures.get("one", "A", "right")
    assert one is not None
    half = 1.96 * np.sqrt(0.3 * 0.7 / 1000)
    assert one.interval == pytest.approx((0.3 - half, 0.3 + half), abs=0.004)
    assert (one.value, one.n) == (pytest.approx(0.3), 1000)
    same = figures.get("one", "B", "right")
    assert same is not None
    assert same.interval == (1.0, 1.0)


def test_an_interval_holds_its_value() -> None:
    """Each confidence is right as often as it says: an error of 0, and of more in every draw."""
    sure = np.repeat(np.arange(1, 10) / 10, 10)
    right = np.tile(np.arange(10), 9) < np.repeat(np.arange(1, 10), 10)
    figures = Figures(seed=0)
    figures.add(
        "confidence",
        "all",
        "ECE",
        lambda drawn: expected_calibration_error(sure[drawn], right[drawn]),
        len(sure),
    )
    (error,) = figures.all
    assert error.value == pytest.approx(0, abs=1e-12)
    low, high = error.interval
    assert low <= error.value < 0.05 < high


def test_what_was_not_measured_is_no_figure(figures: Figures) -> None:
    assert figures.get("one", "A", "wrong | not") is None
    assert show(None) == "–"


def test_the_share_lost_is_one_where_nothing_is_kept() -> None:
    own, every = np.array([1.0, 0.0, 1.0, 1.0]), np.arange(4)
    assert share_lost(own, np.zeros(4))(every) == 1
    assert share_lost(own, own)(every) == 0
    assert share_lost(own, np.array([1.0, 0, 0, 0]))(every) == pytest.approx(2 / 3)
    # What gets better is no loss; and nothing can be lost of nothing.
    assert share_lost(own, np.ones(4))(every) == pytest.approx(-1 / 3)
    assert math.isnan(share_lost(np.zeros(4), own)(every))


def test_a_ratio_is_of_means() -> None:
    statistic = ratio(np.array([1.0, 0.5, 0.0]), np.array([0.25, 0.25, 0.0]))
    assert statistic(np.arange(3)) == pytest.approx(3)
    assert statistic(np.array([0, 0])) == pytest.approx(4)
    assert math.isnan(statistic(np.array([2])))


def test_an_interval_leaves_out_draws_without_a_value() -> None:
    figures = Figures(seed=0)
    own = np.array([1.0, 0.0])
    figures.add("t", "r", "lost", share_lost(own, np.array([0.5, 0.0])), 2)
    assert figures.all[0].interval == (0.5, 0.5)


def test_markdown_has_a_row_each_or_systems_side_by_side(figures: Figures) -> None:
    captions = {"one": "The first", "two": "The second", "three": "Nothing"}
    text = write_tables(figures, captions)
    assert "## The first\n\n|  | right | wrong \\| not | RNAs |\n" in text
    assert "| B | 1.000 (1.000–1.000) | 0.000 (0.000–0.000) | 5 |" in text
    assert "| A | – | 4 |" in text
    assert "Nothing" not in text
    across = write_tables(figures, captions, across=["one"])
    assert "| metric | A | B |" in across
    assert "| wrong \\| not | – | 0.000 (0.000–0.000) |\n| RNAs | 1,000 | 5 |" in across


def test_csv_and_json_hold_the_same_figures(figures: Figures) -> None:
    rows = list(csv.DictReader(io.StringIO(write_csv(figures))))
    nested = json.loads(json.dumps(nest(figures), allow_nan=False))
    assert len(rows) == 4
    for row in rows[:3]:
        one = nested[row["table"]][row["row"]][row["name"]]
        assert one["value"] == float(row["value"])
        assert one["interval"] == [float(row["low"]), float(row["high"])]
        assert one["n"] == int(row["rnas"])
    assert nested["two"]["A"]["lost"] == {"value": None, "interval": [None, None], "n": 4}
