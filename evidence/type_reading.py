"""What type of RNA a sequence is by its composition and folding, where no record tells.

A small network on the features of `rnagpt.sequences.type_features`, fitted on Rfam's families by
`python -m rnagpt.training.type_reader`, with one class for what is of no type. It knows types, no
families. Its confidence is calibrated on families that it was not fitted on, and on sequences that
are of no type.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from safetensors import safe_open

import rnagpt
from rnagpt.sequences.type_features import MAX_READ, MIN_READ, NAMES, type_features

BUNDLED = Path(rnagpt.__file__).parent / "checkpoints" / "rna-gpt-mini" / "types.safetensors"
# A reading that is less likely to be right is not told: what is pasted and matches no record is
# mostly of no type.
MIN_CONFIDENCE = 0.8
# Different triplets that a sequence holds at least: repeats fold into whatever their letters allow.
MIN_TRIPLETS = 15


@dataclass(frozen=True)
class TypeReading:
    """A type of RNA that a sequence looks like.

    Attributes:
        type: such as "C/D box snoRNA".
        confidence: how likely it is right, from 0 to 1, for a sequence that no record matches.
    """

    type: str
    confidence: float


class TypeReader:
    """The network, as a file of safetensors holds it.

    Args:
        file: with the weights of its two layers, scales of the features, and the numbers of the
            calibration.

    Raises:
        ValueError: it was fitted on other features than this version makes.
    """

    def __init__(self, file: Path = BUNDLED) -> None:
        with safe_open(file, framework="numpy") as opened:
            metadata = opened.metadata()
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        if json.loads(metadata["features"]) != list(NAMES):
            raise ValueError(
                f"{file} was fitted on other features. Fit it again: python -m "
                "rnagpt.training.type_reader."
            )
        self.types: list[str] = json.loads(metadata["types"])
        self._scale, self._bias = json.loads(metadata["confidence"])
        self._tensors = tensors

    def read(self, sequence: str) -> TypeReading | None:
        """The type that a cleaned sequence most looks like.

        Returns:
            None where it looks like none, where the reading is too uncertain to be told, for a
            sequence of a length that is not read, and without ViennaRNA.
        """
        if not MIN_READ <= len(sequence) <= MAX_READ or _triplets(sequence) < MIN_TRIPLETS:
            return None
        try:
            features = type_features(sequence)
        except ImportError:
            return None
        probabilities = self.probabilities(features[None])[0]
        best = int(probabilities.argmax())
        confidence = self.confidence(float(probabilities[best]))
        if not self.types[best] or confidence < MIN_CONFIDENCE:
            return None
        return TypeReading(self.types[best], confidence)

    def likeliest(self, features: np.ndarray) -> list[str]:
        """The best type of each sequence, however uncertain, from features (sequences, features).

        For figures: a user is told what `read` tells.
        """
        named = [place for place, rna_type in enumerate(self.types) if rna_type]
        best = self.probabilities(features)[:, named].argmax(1)
        return [self.types[named[place]] for place in best]

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Of each type: (sequences, types), from features (sequences, features)."""
        tensors = self._tensors
        scaled = (features - tensors["mean"]) / tensors["deviation"]
        hidden = np.maximum(scaled @ tensors["hidden.weight"] + tensors["hidden.bias"], 0)
        logits = hidden @ tensors["output.weight"] + tensors["output.bias"]
        powers = np.exp(logits - logits.max(1, keepdims=True))
        shares: np.ndarray = powers / powers.sum(1, keepdims=True)
        return shares

    def confidence(self, probability: float) -> float:
        """The calibrated confidence of the network's own probability."""
        odds = np.log(probability / max(1 - probability, 1e-6))
        return float(1 / (1 + np.exp(-(self._scale * odds + self._bias))))


def _triplets(sequence: str) -> int:
    return len({sequence[start : start + 3] for start in range(len(sequence) - 2)})


@cache
def bundled_reader() -> TypeReader:
    """The reader that comes with the package."""
    return TypeReader()


__all__ = ["BUNDLED", "MIN_CONFIDENCE", "TypeReader", "TypeReading", "bundled_reader"]
