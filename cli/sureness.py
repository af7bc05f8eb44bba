"""How sure a match is, in the marks that a terminal shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rnagpt.evidence.confidence import STRONG_EVALUE

if TYPE_CHECKING:
    from rnagpt.reference.hits import Hit

STRONG, WEAK = "●", "○"


def is_strong(hit: Hit) -> bool:
    """Whether a hit names the RNA's family nearly for sure: by Infernal, else by its E-value."""
    verified: Mapping[str, Any] = hit.verified or {}
    if verified.get("agrees") is not None:
        return bool(verified["agrees"])
    return hit.evalue <= STRONG_EVALUE


__all__ = ["STRONG", "WEAK", "is_strong"]
