"""Confidence in an answer: made of its log-probability, and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression

BINS = 10

Numbers = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Calibration:
    """Platt's scaling: confidence = sigmoid(scale · log-probability + bias).

    Platt, "Probabilistic outputs for support vector machines", Advances in Large Margin
    Classifiers, 61–74, 1999. The two numbers are a model's `confidence_scale` and
    `confidence_bias`, with which `generation_rnagpt.confidence_of` says how sure an answer is.
    """

    scale: float
    bias: float

    @classmethod
    def fit(cls, log_probabilities: Numbers, right: Sequence[bool] | np.ndarray) -> Calibration:
        """The most likely calibration of answers that were right or wrong.

        As Platt has it, n right answers count as (n + 1) / (n + 2) right each, and wrong ones
        likewise: so the numbers stay finite where all are right, or where the log-probability
        tells right from wrong without fault.

        Args:
            log_probabilities: (answers,), natural logarithms, of answers the model was not trained
                on; not those that its calibration is measured on either.
            right: (answers,), whether each was right.

        Raises:
            ValueError: for no answers, lengths that disagree, or a value that is not finite.
        """
        scores, is_right = _check(log_probabilities, right, "log-probabilities")
        n_right = is_right.sum()
        n_wrong = len(is_right) - n_right
        targets = np.where(is_right, (n_right + 1) / (n_right + 2), 1 / (n_wrong + 2))
        # The solver converges on standardised scores; one that is the same for all says nothing.
        centre, spread = scores.mean(), scores.std()
        if spread <= 1e-9 * abs(centre):  # what rounding leaves of equal scores
            spread = 1.0
        standardised = np.tile((scores - centre) / spread, 2)[:, None]
        # Each answer twice: right with its target as weight, and wrong with the rest.
        labels = np.repeat([1, 0], len(scores))
        regression = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000)
        regression.fit(standardised, labels, sample_weight=np.concatenate([targets, 1 - targets]))
        scale = regression.coef_[0, 0] / spread
        return cls(float(scale), float(regression.intercept_[0] - scale * centre))

    def __call__(self, log_probabilities: Numbers) -> np.ndarray:
        """Confidences (answers,) from 0 to 1."""
        logits = self.scale * np.asarray(log_probabilities, dtype=float) + self.bias
        # The sigmoid, in the form that overflows nowhere.
        return 0.5 + 0.5 * np.tanh(logits / 2)


def expected_calibration_error(
    confidences: Numbers, right: Sequence[bool] | np.ndarray, bins: int = BINS
) -> float:
    """How far confidences lie from the share of right answers, on average: 0 is best, 1 worst.

    Σ over bins of (bin's share of the answers) · |bin's share right − bin's mean confidence| (Guo
    et al., ICML 2017), with bins that hold equally many answers: of equal width, most would hold
    few, since most confidences are near 0 or 1. Answers of one confidence share a bin, so that the
    order of the answers does not matter.

    Args:
        confidences: (answers,), from 0 to 1.
        right: (answers,).
        bins: how many.

    Raises:
        ValueError: for no answers, lengths that disagree, or a value outside 0…1.
    """
    sure, is_right = _check_confidences(confidences, right)
    places = np.searchsorted(np.sort(sure), sure, side="left")
    differences = np.bincount(places * bins // len(sure), weights=is_right - sure)
    return float(np.abs(differences).sum() / len(sure))


def brier_score(confidences: Numbers, right: Sequence[bool] | np.ndarray) -> float:
    """The mean square of confidence − right: 0 is best, and 0.25 is had by always saying 0.5.

    Brier, Monthly Weather Review 78, 1–3, 1950. Arguments and errors as of
    `expected_calibration_error`.
    """
    sure, is_right = _check_confidences(confidences, right)
    return float(np.mean((sure - is_right) ** 2))


def risk_coverage(
    confidences: Numbers, right: Sequence[bool] | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What share of the answers is wrong where only the most confident are kept.

    El-Yaniv and Wiener, JMLR 11, 1605–1641, 2010. Answers of one confidence come in no order: the
    risk is then the mean over all orders.

    Args:
        confidences: (answers,); any score that is larger for surer answers, a log-probability too.
        right: (answers,).

    Returns:
        Coverage 1/n, 2/n … 1, and the risk at each, both (answers,).

    Raises:
        ValueError: for no answers, lengths that disagree, or a value that is not finite.
    """
    sure, is_right = _check(confidences, right, "confidences")
    _, group, sizes = np.unique(-sure, return_inverse=True, return_counts=True)
    share_wrong = np.bincount(group, weights=~is_right) / sizes
    kept = np.arange(1, len(sure) + 1)
    return kept / len(sure), np.repeat(share_wrong, sizes).cumsum() / kept


def area_under_risk_coverage(confidences: Numbers, right: Sequence[bool] | np.ndarray) -> float:
    """The mean risk over all coverages, from 0 (best) to 1; of answers in no order, their risk.

    Geifman, Uziel and El-Yaniv, ICLR 2019, arXiv:1805.08206. Arguments and errors as of
    `risk_coverage`.
    """
    return float(risk_coverage(confidences, right)[1].mean())


def _check_confidences(
    confidences: Numbers, right: Sequence[bool] | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    sure, is_right = _check(confidences, right, "confidences")
    outside = sure[(sure < 0) | (sure > 1)]
    if len(outside):
        raise ValueError(
            f"A confidence of {outside[0]:g} was given; expected numbers from 0 to 1. A "
            "Calibration makes them of log-probabilities."
        )
    return sure, is_right


def _check(
    numbers: Numbers, right: Sequence[bool] | np.ndarray, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays (answers,), of numbers and of bool."""
    values, is_right = np.asarray(numbers, dtype=float), np.asarray(right, dtype=bool)
    if values.ndim != 1 or values.shape != is_right.shape or not len(values):
        raise ValueError(
            f"{name} of shape {values.shape} and answers of shape {is_right.shape} were given; "
            "expected one number for each answer, and at least one answer."
        )
    if not np.isfinite(values).all():
        raise ValueError(
            f"{np.count_nonzero(~np.isfinite(values)):,} of {len(values):,} {name} are not finite. "
            "Leave those answers out."
        )
    return values, is_right


__all__ = ["BINS", "Calibration", "area_under_risk_coverage", "brier_score"]
__all__ += ["expected_calibration_error", "risk_coverage"]
