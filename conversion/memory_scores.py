"""Abstention of a projection with family prototypes, adjusted after training.

The summary of an RNA is a mixture of the memory's entries, one per family and the last for what is
like none of them, in shares that are the softmax of scores. Training makes every fifth RNA or so a
decoy, so that the last entry takes more RNAs than it should of those a biologist asks about. What
is right depends on the use: fewer abstentions on known RNAs, or fewer false claims about unknown
ones.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch

KEYS = ("summary_keys.weight", "summary_keys.bias")


@dataclass(frozen=True)
class MemoryScores:
    """What the scores of the memory's entries become.

    Attributes:
        unknown_offset: taken from the score of the last entry; more means fewer abstentions.
        sharpness: factor of all scores after that; more means less of other families mixed in.
    """

    unknown_offset: float = 0.0
    sharpness: float = 1.0

    def apply(self, weight: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights (entries, rna hidden) and bias (entries,) of the memory's keys, changed."""
        offset = torch.zeros_like(bias)
        offset[-1] = self.unknown_offset
        return weight * self.sharpness, (bias - offset) * self.sharpness

    def apply_to(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The tensors of a projection with changed keys.

        Raises:
            ValueError: the projection has no memory.
        """
        if self == AS_TRAINED:
            return tensors
        if not set(KEYS) <= set(tensors):
            raise ValueError(
                "The projection has no memory (rna_family_prototypes is 0), so it has no entry for "
                "unknown RNAs. Leave --unknown_offset and --sharpness out."
            )
        weight, bias = self.apply(*(tensors[name] for name in KEYS))
        return tensors | {KEYS[0]: weight, KEYS[1]: bias}

    def record(self) -> dict[str, Any]:
        """As a training record holds it."""
        return asdict(self)


AS_TRAINED = MemoryScores()

__all__ = ["AS_TRAINED", "MemoryScores"]
