"""What each table of the report is about."""

from __future__ import annotations

from rnagpt.evaluation.answers import (
    CALIBRATION,
    COMPARED,
    EVALUATED,
    NEVER_SEEN,
    UNDER_CONTROL,
)
from rnagpt.evaluation.confidence import CONFIDENCE
from rnagpt.evaluation.metrics import (
    CONTROLLED,
    FAMILIES,
    GROUNDING,
    LEAST_OF_FAMILY,
    RATIOS,
    REFUSALS,
    TEXTS,
    UNSEEN,
)
from rnagpt.evaluation.plan import Plan


def headings(plan: Plan, min_training_rnas: int) -> dict[str, str]:
    """What each table is about, by its name and in the order in which they are shown."""
    drawn = plan.counts[EVALUATED]
    families = (
        f" of {drawn['families']:,} families with at least {min_training_rnas} training RNAs"
        if plan.splits.has_families
        else ""
    )
    rnas = f"{drawn['drawn']:,} RNAs{families}, split `{plan.split_of[EVALUATED]}`"
    unseen = plan.split_of.get(NEVER_SEEN)
    fitted = plan.split_of.get(CALIBRATION)
    first = len(plan.groups[UNDER_CONTROL])
    controls = f"; controls on the first {first:,}" if first < drawn["drawn"] else ""
    return {
        TEXTS: f"What is known about the first {len(plan.groups[COMPARED]):,} of {rnas}",
        RATIOS: "The same: how many times the plain language model's score",
        CONTROLLED: f"{rnas}: share of right answers, log-likelihood of the right answer{controls}",
        GROUNDING: "Grounding: the share of the score, and the nats, that a control costs",
        REFUSALS: "Knowing that it does not know: answers to the question of the family",
        UNSEEN: f"RNAs of families never seen in training, split `{unseen}`",
        CONFIDENCE: f"Confidence, calibrated on the split `{fitted}`; answers that do not decline",
        FAMILIES: f"Families of which at least {LEAST_OF_FAMILY} RNAs were drawn, the least known "
        "first",
    }


__all__ = ["headings"]
