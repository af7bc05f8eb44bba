"""How well RNA-GPT's confidence in its answers tells the right ones from the wrong ones.

Answers that decline are left out: about an RNA of a known family every one of them is wrong, and
about no RNA every one is right, so how they fare depends on how many of each are asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rnagpt.evaluation.answers import CALIBRATION, COMPARED, EVALUATED, Answers, Asked
from rnagpt.evaluation.bootstrap import Figures
from rnagpt.evaluation.calibration import (
    BINS,
    Calibration,
    area_under_risk_coverage,
    brier_score,
    expected_calibration_error,
    risk_coverage,
)
from rnagpt.evaluation.controls import REAL
from rnagpt.evaluation.systems import RNA_GPT
from rnagpt.evaluation.tasks import FAMILY, KNOWN, TYPE

CONFIDENCE = "confidence"
# Rows of the table: RNAs that are asked about, and the questions.
ROWS = {
    "family": (EVALUATED, (FAMILY,)),
    "type": (EVALUATED, (TYPE,)),
    "family and type": (EVALUATED, (FAMILY, TYPE)),
    "what is known": (COMPARED, (KNOWN,)),
}
# A curve of risk over coverage is written at so many coverages.
POINTS = 100

Curve = tuple[np.ndarray, np.ndarray]
# Coverage and risk, both (points,), by the name of a row of the table.
Curves = dict[str, Curve]
Score = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Claims:
    """Answers and how likely the model found them, as arrays (rnas, questions).

    Attributes:
        log_probability: of each answer, over its tokens.
        right: whether it names what is right.
        counts: False where it declines.
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
        Curves of risk over coverage, by the row's name: where only so large a share of the answers
        is kept, the most confident, so large a share of those is wrong.
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
    """Write the calibration into the `config.json` of a model's folder, beside what is there."""
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
        np.stack([~answers.declined(one) for one in asked], axis=1),
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


__all__ = ["CONFIDENCE", "Curves", "add_confidence", "fit_calibration", "write_calibration"]
