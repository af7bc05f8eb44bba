"""How sure a match or an answer is, in the words and marks that a terminal shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rnagpt.evidence.confidence import confidence_of_evalue

if TYPE_CHECKING:
    from rnagpt.reference.hits import Hit

STRONG_EVALUE = 1e-6
# That of a profile that matches with this E-value: some 0.89.
HIGH_CONFIDENCE = confidence_of_evalue(STRONG_EVALUE)
STRONG, WEAK = "●", "○"


def is_strong(hit: Hit) -> bool:
    """Whether a hit names the RNA's family nearly for sure: by Infernal, else by its E-value."""
    verified: Mapping[str, Any] = hit.verified or {}
    if verified.get("agrees") is not None:
        return bool(verified["agrees"])
    return hit.evalue <= STRONG_EVALUE


def confidence_in_words(confidence: float | None) -> str:
    """Such as "high (0.98)"; "not measured" where it was not calibrated."""
    if confidence is None:
        return "not measured"
    return f"{'high' if confidence >= HIGH_CONFIDENCE else 'low'} ({confidence:.2f})"


__all__ = [
    "HIGH_CONFIDENCE",
    "STRONG",
    "STRONG_EVALUE",
    "WEAK",
    "confidence_in_words",
    "is_strong",
]
