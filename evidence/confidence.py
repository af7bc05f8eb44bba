"""How likely a match is right: a logistic function of its E-value, fitted on validation RNAs.

Platt's scaling (1999) of the logarithm of the best match's E-value, below a ceiling. It was fitted
on validation RNAs, RNAs of families that the reference lacks and sequences of no family together,
each searched in a reference without its cluster.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from rnagpt.reference.hits import PROFILE, Hit

# CEILING * sigmoid(BIAS + SCALE * exponent), where the exponent is -log10(E), by
# `rnagpt evaluate-answers rna-qa out --calibrate --limit 500`.
BIAS, SCALE, CEILING = -6.729, 1.486, 0.985
# Below 10**-10 a match is clear: a smaller E-value says no more about the family.
CLEAR_EXPONENT = 10.0
# A match up to this E-value names the family nearly for sure.
STRONG_EVALUE = 1e-6
CONFIDENCE_MEANS: Mapping[str, str] = {
    "high": "About 9 of 10 RNAs or more with a match like this are of this family.",
    "low": "Fewer than 9 of 10 RNAs with a match like this are of this family: verify it.",
    "not measured": "How often matches or answers of this kind are right has not been measured.",
}


def confidence_of_match(hit: Hit) -> float | None:
    """How likely a hit names the RNA's family, from 0 to 1.

    None for what was not calibrated: hits of single RNAs and of covariance models.
    """
    if hit.source != PROFILE:
        return None
    return confidence_of_evalue(hit.evalue)


def confidence_of_evalue(evalue: float) -> float:
    """How likely a profile that matches with this E-value is the RNA's family."""
    logit = BIAS + SCALE * exponent_of(evalue)
    # The sigmoid, in the form that overflows nowhere.
    return CEILING * (0.5 + 0.5 * math.tanh(logit / 2))


def confidence_word(confidence: float | None) -> str:
    """A key of `CONFIDENCE_MEANS`; None is not measured."""
    if confidence is None:
        return "not measured"
    return "high" if confidence >= HIGH_CONFIDENCE else "low"


def confidence_in_words(confidence: float | None) -> str:
    """Such as "high (0.98)"; "not measured" where it was not calibrated."""
    number = "" if confidence is None else f" ({confidence:.2f})"
    return confidence_word(confidence) + number


def exponent_of(evalue: float) -> float:
    """-log10 of an E-value, no more than `CLEAR_EXPONENT`."""
    return -math.log10(max(evalue, 10.0**-CLEAR_EXPONENT))


# That of a profile that matches with `STRONG_EVALUE`: some 0.89.
HIGH_CONFIDENCE = confidence_of_evalue(STRONG_EVALUE)

__all__ = [
    "CONFIDENCE_MEANS",
    "HIGH_CONFIDENCE",
    "STRONG_EVALUE",
    "confidence_in_words",
    "confidence_of_evalue",
    "confidence_of_match",
    "confidence_word",
    "exponent_of",
]
