"""Figures of probes: shares and class-balanced shares of right answers, with intervals.

RNAs of one family are answered alike, so intervals come from resampling families, not RNAs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

RESAMPLES = 2000
RESAMPLES_OF_STATISTIC = 200  # of what is no mean
ACCURACY, BALANCED, ANSWERED = "accuracy", "balanced accuracy", "answered"


@dataclass(frozen=True)
class Estimate:
    """A figure from 0 to 1 with its 95 % interval."""

    value: float
    low: float
    high: float


# What was measured of one way to answer, by its name.
Measures = Mapping[str, Estimate]


@dataclass(frozen=True)
class Figure:
    """One question's answers by several ways.

    Attributes:
        question: what was asked.
        rnas: of how many RNAs.
        families: of how many families; 0: not known.
        ways: way → what was measured of it.
    """

    question: str
    rnas: int
    families: int
    ways: Mapping[str, Measures]


def score_labels(
    told: Sequence[Any], right: Sequence[str], families: Sequence[str], seed: int = 0
) -> dict[str, Estimate]:
    """Accuracy, balanced accuracy and, where some have no answer, the share that has one.

    Args:
        told: of each RNA the label; None: no answer, which is wrong.
        right: the labels that are right.
        families: that are resampled.
    """
    hits = np.array([one == other for one, other in zip(told, right, strict=True)], dtype=float)
    scores = {
        ACCURACY: mean_estimate(hits, families, seed),
        BALANCED: balanced_estimate(hits, right, families, seed),
    }
    answered = np.array([one is not None for one in told], dtype=float)
    if not answered.all():
        scores[ANSWERED] = mean_estimate(answered, families, seed)
    return scores


def mean_estimate(values: np.ndarray, families: Sequence[str], seed: int = 0) -> Estimate:
    """The mean over RNAs.

    Args:
        values: (RNAs,).
        families: of the RNAs.
    """
    names, places = np.unique(np.asarray(families), return_inverse=True)
    sums, sizes = np.bincount(places, values), np.bincount(places)
    drawn = _draws(len(names), seed)
    return _estimate(float(np.mean(values)), sums[drawn].sum(1) / sizes[drawn].sum(1))


def balanced_estimate(
    hits: np.ndarray, right: Sequence[str], families: Sequence[str], seed: int = 0
) -> Estimate:
    """The mean over classes of each class's share of right answers.

    A class of which a resampling draws no family does not count there.

    Args:
        hits: (RNAs,).
        right: the RNAs' classes.
        families: of the RNAs.
    """
    names, places = np.unique(np.asarray(families), return_inverse=True)
    classes, of = np.unique(np.asarray(right), return_inverse=True)
    sums, sizes = np.zeros((2, len(names), len(classes)))
    np.add.at(sums, (places, of), hits)
    np.add.at(sizes, (places, of), 1)
    drawn = _draws(len(names), seed)
    times = np.stack([np.bincount(draw, minlength=len(names)) for draw in drawn])
    value = float(np.mean(sums.sum(0) / sizes.sum(0)))
    return _estimate(value, _mean_of_classes(times @ sums, times @ sizes))


def bootstrap_estimate(
    statistic: Callable[[np.ndarray], float], count: int, seed: int = 0
) -> Estimate:
    """A statistic of RNAs, which it is given as positions; single RNAs are resampled.

    Args:
        count: of RNAs.
    """
    draws = _draws(count, seed, RESAMPLES_OF_STATISTIC)
    return _estimate(statistic(np.arange(count)), np.array([statistic(one) for one in draws]))


def _mean_of_classes(sums: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    there = sizes > 0
    shares = np.divide(sums, sizes, out=np.zeros_like(sums), where=there)
    means: np.ndarray = shares.sum(1) / there.sum(1)
    return means


def _draws(count: int, seed: int, resamples: int = RESAMPLES) -> np.ndarray:
    return np.random.default_rng(seed).integers(count, size=(resamples, count))


def _estimate(value: float, draws: np.ndarray) -> Estimate:
    low, high = np.quantile(draws, [0.025, 0.975])
    # Few classes or families: no draw may reach the value itself.
    return Estimate(value, min(float(low), value), max(float(high), value))


__all__ = [
    "ACCURACY",
    "ANSWERED",
    "BALANCED",
    "Estimate",
    "Figure",
    "Measures",
    "balanced_estimate",
    "bootstrap_estimate",
    "mean_estimate",
    "score_labels",
]
