"""Figures with their intervals: means over RNAs, and what is computed from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 1000


@dataclass(frozen=True)
class Figure:
    """One figure of a table.

    Attributes:
        table: the table's name.
        row: the system or the control.
        name: what was measured.
        value: the figure.
        interval: its 95 % interval, which holds the value.
        n: RNAs that it is measured on.
    """

    table: str
    row: str
    name: str
    value: float
    interval: tuple[float, float]
    n: int


class Figures:
    """Collects figures, each with its bootstrap interval over RNAs.

    An RNA with all its questions is the unit that is drawn anew (percentile bootstrap; Efron,
    Annals of Statistics 7, 1–26, 1979): questions about one RNA are right or wrong together.

    Args:
        seed: of the draws; figures with the same number of RNAs share them.
        resamples: how often RNAs are drawn.
    """

    def __init__(self, seed: int, resamples: int = RESAMPLES) -> None:
        self.seed = seed
        self.resamples = resamples
        self._drawn = np.zeros((resamples, 0), dtype=int)
        self.all: list[Figure] = []

    def add_mean(
        self, table: str, row: str, name: str, values: Sequence[float] | np.ndarray
    ) -> None:
        """The mean of one value an RNA."""
        scores = np.asarray(values, dtype=float)
        draws = scores[self._draws(len(scores))].mean(axis=1)
        self._add(table, row, name, float(scores.mean()), draws, len(scores))

    def add(
        self, table: str, row: str, name: str, statistic: Callable[[np.ndarray], float], n: int
    ) -> None:
        """A statistic of RNAs, which it is given as positions (drawn,); NaN draws do not count."""
        draws = np.array([statistic(drawn) for drawn in self._draws(n)])
        self._add(table, row, name, statistic(np.arange(n)), draws, n)

    def _add(
        self, table: str, row: str, name: str, value: float, draws: np.ndarray, n: int
    ) -> None:
        kept = draws[~np.isnan(draws)]
        # A statistic such as a calibration error is larger in nearly every draw than in the RNAs
        # themselves; the interval then reaches from the value to the draws.
        low, high = np.percentile(kept, [2.5, 97.5]) if len(kept) else (value, value)
        low, high = min(low, value), max(high, value)
        self.all.append(Figure(table, row, name, value, (float(low), float(high)), n))

    def _draws(self, n: int) -> np.ndarray:
        """Positions of drawn RNAs: (resamples, n), the same for the same n."""
        if self._drawn.shape[1] != n:
            self._drawn = np.random.default_rng(self.seed).integers(n, size=(self.resamples, n))
        return self._drawn

    def rows(self, table: str) -> list[str]:
        """Rows of a table, in the order in which they came."""
        return list(dict.fromkeys(figure.row for figure in self.all if figure.table == table))

    def names(self, table: str) -> list[str]:
        """Names of a table's figures, in the order in which they came."""
        return list(dict.fromkeys(figure.name for figure in self.all if figure.table == table))

    def get(self, table: str, row: str, name: str) -> Figure | None:
        """A figure, or None where it was not measured."""
        wanted = (table, row, name)
        found = (figure for figure in self.all if (figure.table, figure.row, figure.name) == wanted)
        return next(found, None)


def share_lost(scores: np.ndarray, controlled: np.ndarray) -> Callable[[np.ndarray], float]:
    """Grounding: the share of a mean score that is lost under a control; NaN where there is none.

    1 where the answers depend on the RNA alone, 0 where they do not depend on it.

    Args:
        scores, controlled: (rnas,), of the same RNAs with their own and under the control.
    """

    def statistic(drawn: np.ndarray) -> float:
        score = scores[drawn].mean()
        return float(1 - controlled[drawn].mean() / score) if score > 0 else float("nan")

    return statistic


def ratio(scores: np.ndarray, others: np.ndarray) -> Callable[[np.ndarray], float]:
    """How many times another mean score a mean score is; NaN where the other is 0.

    Args:
        scores, others: (rnas,), of the same RNAs.
    """

    def statistic(drawn: np.ndarray) -> float:
        other = others[drawn].mean()
        return float(scores[drawn].mean() / other) if other > 0 else float("nan")

    return statistic


__all__ = ["Figure", "Figures", "ratio", "share_lost"]
