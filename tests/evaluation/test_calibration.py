"""Confidence: against cases computed by hand, and against slow literal implementations."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss

from rnagpt.configuration_rnagpt import RnaGptConfig
from rnagpt.evaluation.calibration import (
    Calibration,
    area_under_risk_coverage,
    brier_score,
    expected_calibration_error,
    risk_coverage,
)

# Few different confidences, so that many are the same.
ANSWERS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), st.booleans()),
    min_size=1,
    max_size=30,
)


def simulate(n, scale, bias, seed=0):
    """Log-probabilities of n answers, and which are right where a calibration is true."""
    generator = np.random.default_rng(seed)
    scores = -generator.exponential(4.0, n)
    return scores, generator.random(n) < 1 / (1 + np.exp(-(scale * scores + bias)))


def test_calibration_finds_the_numbers_behind_the_answers():
    fitted = Calibration.fit(*simulate(20_000, scale=0.7, bias=2.0))
    assert fitted.scale == pytest.approx(0.7, abs=0.03)
    assert fitted.bias == pytest.approx(2.0, abs=0.1)


def test_calibration_is_the_most_likely_one():
    """Its Platt likelihood falls to every side; nothing is penalised."""
    scores, right = simulate(200, scale=0.5, bias=1.0)

    def loss(scale, bias):
        n_right, n_wrong = sum(right), sum(~right)
        total = 0.0
        for score, is_right in zip(scores, right, strict=True):
            target = (n_right + 1) / (n_right + 2) if is_right else 1 / (n_wrong + 2)
            sure = 1 / (1 + math.exp(-(scale * score + bias)))
            total -= target * math.log(sure) + (1 - target) * math.log(1 - sure)
        return total

    fitted = Calibration.fit(scores, right)
    best = loss(fitted.scale, fitted.bias)
    for step in [(0.01, 0), (-0.01, 0), (0, 0.01), (0, -0.01), (0.01, 0.01), (-0.01, -0.01)]:
        assert loss(fitted.scale + step[0], fitted.bias + step[1]) > best


@pytest.mark.parametrize(
    ("scores", "right"),
    [
        ([-1.0, -2.0, -3.0], [True, True, True]),
        ([-1.0, -2.0, -3.0], [False, False, False]),
        ([-1.0, -1.1, -9.0, -9.1], [True, True, False, False]),
        ([-2.0, -2.0, -2.0, -2.0], [True, True, True, False]),
        ([-2.0], [True]),
    ],
)
def test_calibration_stays_finite(scores, right):
    """All right, all wrong, told apart without fault, all alike."""
    confidences = Calibration.fit(scores, right)(scores)
    assert np.all((confidences > 0) & (confidences < 1))
    # By Platt's targets: n right answers count as (n + 1) / (n + 2), wrong ones as 1 / (n + 2).
    n_right, n_wrong = sum(right), len(right) - sum(right)
    expected = n_right * (n_right + 1) / (n_right + 2) + n_wrong / (n_wrong + 2)
    assert confidences.sum() == pytest.approx(expected, abs=1e-3)


def test_calibration_says_what_the_model_will_say():
    """The same numbers in a model's configuration give the same confidence."""
    from rnagpt.inference.generation import confidence_of

    scores = [0.0, -0.5, -3.0, -4000.0]
    calibration = Calibration(scale=0.8, bias=1.5)
    config = RnaGptConfig(confidence_scale=0.8, confidence_bias=1.5)
    assert calibration(scores) == pytest.approx(
        [confidence_of(config, "a tRNA", score, complete=True) for score in scores]
    )
    assert calibration([0.0]) == pytest.approx([1 / (1 + math.exp(-1.5))])


def test_calibration_error_by_hand():
    """Four bins of two answers: 0.05 and 0.95 off at the ends, 0 and 0.3 between."""
    confidences = [0.0, 0.1, 0.4, 0.6, 0.7, 0.9, 0.95, 0.95]
    right = [False, False, True, False, True, False, False, False]
    by_hand = (0.05 + 0.0 + 0.3 + 0.95) / 4
    assert expected_calibration_error(confidences, right, bins=4) == pytest.approx(by_hand)
    # In one bin, what is too much here makes up for what is too little there.
    assert expected_calibration_error(confidences, right, bins=1) == pytest.approx(2.6 / 8)


def test_calibration_error_of_certain_answers():
    assert expected_calibration_error([1.0] * 7, [True] * 7) == 0
    assert expected_calibration_error([1.0] * 7, [False] * 7) == 1
    assert expected_calibration_error([0.75] * 4, [True, False, True, True]) == 0


@given(ANSWERS, st.integers(1, 12), st.randoms(use_true_random=False))
def test_calibration_error_literally(answers, bins, random):
    """Against bins filled one answer at a time; in whatever order the answers come."""
    confidences = sorted(sure for sure, _ in answers)
    members = {}
    for sure, is_right in answers:
        members.setdefault(confidences.index(sure) * bins // len(answers), []).append(
            (sure, is_right)
        )
    slow = 0.0
    for those in members.values():
        share_right = sum(is_right for _, is_right in those) / len(those)
        mean = sum(sure for sure, _ in those) / len(those)
        slow += len(those) / len(answers) * abs(share_right - mean)
    random.shuffle(answers)
    assert expected_calibration_error(*zip(*answers, strict=True), bins) == pytest.approx(slow)


@given(ANSWERS)
def test_brier_score_as_scikit_learn_has_it(answers):
    confidences, right = zip(*answers, strict=True)
    expected = brier_score_loss(right, confidences, labels=[False, True])
    assert brier_score(confidences, right) == pytest.approx(expected)


def test_brier_score_by_hand():
    assert brier_score([0.9, 0.2], [True, True]) == pytest.approx((0.01 + 0.64) / 2)
    assert brier_score([0.5, 0.5], [True, False]) == 0.25


def test_risk_coverage_by_hand():
    coverage, risk = risk_coverage([0.2, 0.9, 0.6, 0.4], [False, True, False, True])
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert risk == pytest.approx([0, 1 / 2, 1 / 3, 2 / 4])
    area = area_under_risk_coverage([0.2, 0.9, 0.6, 0.4], [False, True, False, True])
    assert area == pytest.approx((1 / 2 + 1 / 3 + 1 / 2) / 4)


def test_risk_of_answers_in_no_order_is_that_of_all():
    assert risk_coverage([0.5] * 4, [True, False, True, True])[1] == pytest.approx([0.25] * 4)


@given(ANSWERS)
def test_risk_coverage_is_the_mean_over_orders(answers):
    """Of one confidence, the wrong first and the right first bound the risk; its end is given."""
    confidences, right = zip(*answers, strict=True)
    _, risk = risk_coverage(confidences, right)

    def literal(right_first):
        ordered = sorted(answers, key=lambda one: (-one[0], one[1] != right_first))
        wrong = [not is_right for _, is_right in ordered]
        return [sum(wrong[:kept]) / kept for kept in range(1, len(wrong) + 1)]

    best, worst = np.array(literal(True)), np.array(literal(False))
    assert np.all((best - 1e-9 <= risk) & (risk <= worst + 1e-9))
    fixed = best == worst
    assert risk[fixed] == pytest.approx(best[fixed])
    assert area_under_risk_coverage(confidences, right) == pytest.approx(risk.mean())


def test_a_better_order_has_a_smaller_area():
    right = [True] * 6 + [False] * 4
    good = area_under_risk_coverage(np.linspace(1, 0, 10), right)
    bad = area_under_risk_coverage(np.linspace(0, 1, 10), right)
    assert good < 0.4 < bad


@pytest.mark.parametrize(
    "measure", [expected_calibration_error, brier_score, risk_coverage, Calibration.fit]
)
def test_errors_say_what_was_given(measure):
    with pytest.raises(ValueError, match=r"shape \(2,\) and answers of shape \(1,\)"):
        measure([0.1, 0.2], [True])
    with pytest.raises(ValueError, match="at least one answer"):
        measure([], [])
    with pytest.raises(ValueError, match=r"1 of 2 .* are not finite"):
        measure([float("nan"), 0.2], [True, False])


@pytest.mark.parametrize("measure", [expected_calibration_error, brier_score])
def test_log_probabilities_are_no_confidences(measure):
    with pytest.raises(ValueError, match="A confidence of -3 was given"):
        measure([-3.0, -0.2], [True, False])
