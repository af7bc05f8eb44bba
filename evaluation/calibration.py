"""Calibration of the confidence in answers, and how far it can be trusted."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from rnagpt.evaluation.baselines import REAL
from rnagpt.evaluation.metrics import Figures
from rnagpt.evaluation.runner import Answers, Asked
from rnagpt.evaluation.systems import RNA_GPT
from rnagpt.evaluation.tasks import CALIBRATION, COMPARED, EVALUATED, FAMILY, KNOWN, TYPE

BINS = 10
Numbers = Sequence[float] | np.ndarray
CONFIDENCE = "confidence"
# Rows of the table: RNAs that are asked about, and the questions.
ROWS = {
    "family": (EVALUATED, (FAMILY,)),
    "type": (EVALUATED, (TYPE,)),
    "family and type": (EVALUATED, (FAMILY, TYPE)),
    "what is known": (COMPARED, (KNOWN,)),
}
# A curve of risk over coverage is written at N coverages.
POINTS = 100
Curve = tuple[np.ndarray, np.ndarray]
# Coverage and risk, both (points,), by the name of a row of the table.
Curves = dict[str, Curve]
Score = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Calibration:
    """Platt's scaling: confidence = sigmoid(scale · log-probability + bias).

    Platt, "Probabilistic outputs for support vector machines", Advances in Large Margin
    Classifiers, 61–74, 1999. The two numbers are a model's `confidence_scale` and
    `confidence_bias`, with which `inference.generation.confidence_of` says how sure an answer is.
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
    """What share of the answers is wrong where only the most confident are retained.

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


@dataclass(frozen=True)
class Claims:
    """Answers and how likely the model found them, as arrays (rnas, questions).

    Attributes:
        log_probability: of each answer, over its tokens.
        right: whether it names what is right.
        counts: False where it abstains.
    """

    log_probability: np.ndarray
    right: np.ndarray
    counts: np.ndarray

    def of(self, rnas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log-probabilities of the claims about some RNAs, and which are right: (claims,) both."""
        counts = self.counts[rnas]
        return self.log_probability[rnas][counts], self.right[rnas][counts]


def fit_calibration(answers: Answers) -> Calibration | None:
    """The calibration by the claims about the RNAs that it is fitted on; None without any."""
    claims = _claims(answers, CALIBRATION, (FAMILY, TYPE, KNOWN))
    if claims is None or not claims.counts.any():
        return None
    return Calibration.fit(*claims.of(np.arange(len(claims.counts))))


def add_confidence(figures: Figures, answers: Answers, calibration: Calibration) -> Curves:
    """How far the confidence in the evaluated answers can be trusted.

    Returns:
        Curves of risk over coverage, by the row's name: the share of wrong answers
        among the most confident ones that are retained.
    """
    curves = {}
    for row, (group, questions) in ROWS.items():
        claims = _claims(answers, group, questions)
        if claims is None or not claims.counts.any():
            continue
        for name, score in _scores(calibration).items():
            figures.add(CONFIDENCE, row, name, _of_claims(claims, score), len(claims.counts))
        curves[row] = _curve(*claims.of(np.arange(len(claims.counts))))
    return curves


def write_calibration(folder: Path, calibration: Calibration) -> None:
    """Write the calibration into the `config.json` of a model's folder, next to what is there."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config |= {"confidence_scale": calibration.scale, "confidence_bias": calibration.bias}
    whole = path.with_suffix(".json.new")
    whole.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    whole.replace(path)


def _claims(answers: Answers, group: str, questions: tuple[str, ...]) -> Claims | None:
    """What was said about a group of RNAs; None where a question was not asked."""
    asked = [Asked(RNA_GPT, group, REAL, question) for question in questions]
    if group == CALIBRATION:
        asked = [one for one in asked if one in answers]
    if not asked or any(one not in answers for one in asked):
        return None
    return Claims(
        np.stack([answers.column(one, "log_probability") for one in asked], axis=1),
        np.stack([answers.right(one) for one in asked], axis=1),
        np.stack([~answers.abstained(one) for one in asked], axis=1),
    )


def _scores(calibration: Calibration) -> dict[str, Score]:
    def risk_at(share: float) -> Score:
        def risk(log_probability: np.ndarray, right: np.ndarray) -> float:
            risks = risk_coverage(log_probability, right)[1]
            return float(risks[round(share * len(risks)) - 1])

        return risk

    return {
        "mean confidence": lambda log_p, right: float(calibration(log_p).mean()),
        "share right": lambda log_p, right: float(right.mean()),
        f"ECE ({BINS} bins of equal mass)": lambda log_p, right: expected_calibration_error(
            calibration(log_p), right
        ),
        "Brier score": lambda log_p, right: brier_score(calibration(log_p), right),
        "area under risk–coverage": area_under_risk_coverage,
        "risk at coverage 0.8": risk_at(0.8),
        "risk at coverage 0.5": risk_at(0.5),
    }


def _of_claims(claims: Claims, score: Score) -> Callable[[np.ndarray], float]:
    def statistic(drawn: np.ndarray) -> float:
        log_probability, right = claims.of(drawn)
        return score(log_probability, right) if len(right) > 1 else float("nan")

    return statistic


def _curve(log_probability: np.ndarray, right: np.ndarray) -> Curve:
    coverage, risk = risk_coverage(log_probability, right)
    if len(coverage) <= POINTS:
        return coverage, risk
    kept = np.linspace(0, len(coverage) - 1, POINTS).round().astype(int)
    return coverage[kept], risk[kept]
