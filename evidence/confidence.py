"""How likely a match is right: a logistic function of its E-value, fitted on validation RNAs.

Platt's scaling (1999) of the logarithm of the best match's E-value, below a ceiling. It was fitted
on validation RNAs, RNAs of families that the reference lacks and sequences of no family together,
each searched in a reference without its cluster.
"""

from __future__ import annotations

import math

from rnagpt.reference.hits import PROFILE, Hit

# CEILING * sigmoid(BIAS + SCALE * exponent), where the exponent is -log10(E), by
# `rnagpt evaluate-answers rna-qa out --calibrate --limit 500`.
BIAS, SCALE, CEILING = -6.729, 1.486, 0.985
# Below 10**-10 a match is clear: a smaller E-value says no more about the family.
CLEAR_EXPONENT = 10.0


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


def exponent_of(evalue: float) -> float:
    """-log10 of an E-value, no more than `CLEAR_EXPONENT`."""
    return -math.log10(max(evalue, 10.0**-CLEAR_EXPONENT))


__all__ = ["confidence_of_evalue", "confidence_of_match", "exponent_of"]
