"""How sure a language model is of its own answer, by its calibration; needs no PyTorch."""

from __future__ import annotations

import math
from typing import Protocol

from rnagpt.inference.abstention import is_abstention


class Calibration(Protocol):
    """The two numbers of `RnaGptConfig`; None where the model was not calibrated."""

    @property
    def confidence_scale(self) -> float | None: ...

    @property
    def confidence_bias(self) -> float | None: ...


def confidence_of(
    config: Calibration, answer: str, log_probability: float, complete: bool
) -> float | None:
    """How likely an answer is right, by Platt's scaling (1999) of its log-probability.

    The model's configuration holds the two numbers, fitted to greedy answers to the questions that
    `rnagpt evaluate` asks; for questions of another kind they are a guess.

    Returns:
        From 0 to 1. None where the model was not calibrated, for an answer that was cut short, and
        for one that abstains: how often that is right depends on what is asked about.
    """
    if config.confidence_scale is None or config.confidence_bias is None or not complete:
        return None
    if is_abstention(answer):
        return None
    logit = config.confidence_scale * log_probability + config.confidence_bias
    # The sigmoid, in the form that overflows nowhere.
    return 0.5 + 0.5 * math.tanh(logit / 2)


__all__ = ["Calibration", "confidence_of"]
