"""Abstention of a projection with family prototypes, adjusted after training.

The summary of an RNA is a mixture of prototypes, one per family and the last for what is like none
of them, in shares that are the softmax of scores. Training makes every fifth RNA or so a decoy, so
that the last prototype takes more RNAs than it should of those a biologist asks about. What is
right depends on the use: fewer abstentions on known RNAs, or fewer false claims about unknown ones.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch

KEYS = ("summary_keys.weight", "summary_keys.bias")


@dataclass(frozen=True)
class PrototypeScores:
    """What the scores of the family prototypes become.

    Attributes:
        unknown_offset: subtracted from the score of the last prototype; more means fewer
            abstentions.
        sharpness: factor of all scores after that; more means less of other families mixed in.
    """

    unknown_offset: float = 0.0
    sharpness: float = 1.0

    def apply(self, weight: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights (prototypes, rna hidden) and bias (prototypes,) of the keys, changed."""
        offset = torch.zeros_like(bias)
        offset[-1] = self.unknown_offset
        return weight * self.sharpness, (bias - offset) * self.sharpness

    def apply_to(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The tensors of a projection with changed keys.

        Raises:
            ValueError: the projection has no family prototypes.
        """
        if self == AS_TRAINED:
            return tensors
        if not set(KEYS) <= set(tensors):
            raise ValueError(
                "The projection has no family prototypes (rna_family_prototypes is 0), so none for "
                "unknown RNAs. Leave --unknown_offset and --sharpness out."
            )
        weight, bias = self.apply(*(tensors[name] for name in KEYS))
        return tensors | {KEYS[0]: weight, KEYS[1]: bias}

    def record(self) -> dict[str, Any]:
        """As a training record holds it."""
        return asdict(self)


AS_TRAINED = PrototypeScores()

__all__ = ["AS_TRAINED", "PrototypeScores"]
