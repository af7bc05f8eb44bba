"""
Fits the reader of types: what a sequence looks like by composition and folding.

```bash
python -m rnagpt.training.type_reader rna-qa checkpoints/rna-gpt-mini/types.safetensors
```

Fitted on the training split of RNA-QA, many families alike, and as a class of their own on
sequences that are of no type: shuffled, random and coding ones, and stretches of the FASTA files
given. Its confidence is calibrated by predictions on families that were left out in turn.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from rnagpt.sequences.even_families import even_families
from rnagpt.sequences.fasta import clean_rnas, read_fasta
from rnagpt.sequences.shuffle import shuffle_dinucleotides
from rnagpt.sequences.strands import random_coding, random_sequence
from rnagpt.sequences.type_features import MAX_READ, MIN_READ, NAMES, type_features
from rnagpt.training.encoder.batches import RnaRow, annotated_rows

NONE = ""  # the class of what is of no type
FOLDS = 5
MIN_FAMILIES = 3  # of a type, so that it is more than one family's trait
HIDDEN, PENALTY, EPOCHS = 128, 3.0, 40  # chosen by the folds

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Examples:
    """What the reader is fitted on.

    Attributes:
        features: (sequences, features).
        types: of each; `NONE` for what has none.
        groups: what is left out together: a family, or a negative with what it was made of.
    """

    features: np.ndarray
    types: np.ndarray
    groups: np.ndarray


def negatives(
    rows: Sequence[RnaRow], others: Sequence[str], seed: int
) -> Iterator[tuple[str, str]]:
    """Sequences of no type, each with its group.

    Of each RNA: by turns its dinucleotides shuffled, a random sequence or a made coding one of its
    length, or a stretch of that length of `others`. Not its other strand: a hairpin's is a hairpin.
    """
    random = np.random.default_rng(seed)
    for place, row in enumerate(rows):
        length = len(row.sequence)
        kind = place % (4 if others else 3)
        if kind == 0:
            yield shuffle_dinucleotides(row.sequence, random), row.family
        elif kind == 1:
            yield random_sequence(length, random), f"random {place}"
        elif kind == 2:
            yield random_coding(length, random), f"coding {place}"
        else:
            yield stretch(others, length, random), f"other {place}"


def stretch(sequences: Sequence[str], length: int, random: np.random.Generator) -> str:
    """A stretch of at most this length of one of the sequences."""
    sequence = sequences[int(random.integers(len(sequences)))]
    start = int(random.integers(max(1, len(sequence) - length + 1)))
    return sequence[start : start + length]


def collect(rows: Sequence[RnaRow], others: Sequence[str], share: float, seed: int) -> Examples:
    """Features of RNAs and of negatives, `share` of them for each RNA; some minutes."""
    families = {row.rna_type: set[str]() for row in rows}
    for row in rows:
        families[row.rna_type].add(row.family)
    kept = [row for row in rows if len(families[row.rna_type]) >= MIN_FAMILIES]
    of_none = list(negatives(kept[: int(share * len(kept))], others, seed))
    asked = [(row.sequence, row.rna_type, row.family) for row in kept]
    asked += [(sequence, NONE, group) for sequence, group in of_none]
    asked = [one for one in asked if MIN_READ <= len(one[0]) <= MAX_READ]
    features = [type_features(sequence) for sequence, _, _ in tqdm(asked, unit=" RNAs")]
    types, groups = (np.array([one[place] for one in asked]) for place in (1, 2))
    return Examples(np.stack(features), types, groups)


@dataclass(frozen=True)
class Fitted:
    """A fitted network with its scales."""

    scaler: StandardScaler
    network: MLPClassifier

    @classmethod
    def of(cls, features: np.ndarray, types: np.ndarray, seed: int) -> Fitted:
        scaler = StandardScaler().fit(features)
        network = MLPClassifier((HIDDEN,), alpha=PENALTY, max_iter=EPOCHS, random_state=seed).fit(
            scaler.transform(features), types
        )
        return cls(scaler, network)

    def predict(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The most probable types and their probabilities."""
        shares = self.network.predict_proba(self.scaler.transform(features))
        return self.network.classes_[shares.argmax(1)], shares.max(1)


def left_out(examples: Examples, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Types and probabilities of each example by a network fitted without its group."""
    told = np.empty_like(examples.types)
    shares = np.empty(len(told))
    folds = GroupKFold(FOLDS).split(examples.features, examples.types, examples.groups)
    for fitted, held in folds:
        network = Fitted.of(examples.features[fitted], examples.types[fitted], seed)
        told[held], shares[held] = network.predict(examples.features[held])
    return told, shares


def calibrate(
    examples: Examples, told: np.ndarray, shares: np.ndarray
) -> tuple[float, float, dict[str, Any]]:
    """Scale and bias of the confidence, and what was measured on what was left out.

    A told type is right or wrong; what is told to be of none needs no confidence.
    """
    claims = told != NONE
    right = told == examples.types
    odds = np.log(shares / np.maximum(1 - shares, 1e-6))[:, None]
    fit = LogisticRegression(C=1e6).fit(odds[claims], right[claims])
    real = examples.types != NONE
    measured = {
        "examples": len(told),
        "families": len(set(examples.groups[real].tolist())),
        "right type": round(float(right[real].mean()), 4),
        "commonest type": round(
            float(np.unique(examples.types[real], return_counts=True)[1].max() / real.sum()), 4
        ),
        "of no type, said so": round(float(right[~real].mean()), 4),
    }
    return float(fit.coef_[0, 0]), float(fit.intercept_[0]), measured


def save(fitted: Fitted, scale: float, bias: float, measured: dict[str, Any], out: Path) -> None:
    """Write what `rnagpt.evidence.type_reading` reads."""
    network, scaler = fitted.network, fitted.scaler
    tensors = {
        "mean": scaler.mean_,
        "deviation": scaler.scale_,
        "hidden.weight": network.coefs_[0],
        "hidden.bias": network.intercepts_[0],
        "output.weight": network.coefs_[1],
        "output.bias": network.intercepts_[1],
    }
    metadata = {
        "features": json.dumps(list(NAMES)),
        "types": json.dumps(network.classes_.tolist()),
        "confidence": json.dumps([scale, bias]),
        "measured": json.dumps(measured),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: one.astype(np.float32) for name, one in tensors.items()}, out, metadata)


def main(arguments: Sequence[str] | None = None) -> None:
    description, _, rest = str(__doc__).strip().partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description,
        epilog=rest.replace("```bash\n", "").replace("```\n", ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("dataset", help="RNA-QA, folder or Hub id")
    parser.add_argument("out", type=Path, help="file to write")
    parser.add_argument(
        "--max-rnas", type=int, default=12_000, help="of as many families as possible"
    )
    parser.add_argument(
        "--none", type=Path, nargs="*", default=[], help="FASTA of what has no type"
    )
    parser.add_argument("--none-share", type=float, default=0.5, help="negatives for each RNA")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    rows = even_families(annotated_rows(options.dataset, "train"), options.max_rnas, options.seed)
    others = [
        rna.sequence
        for file in options.none
        for rna in clean_rnas(read_fasta(file), max_length=10**6)
    ]
    examples = collect(rows, others, options.none_share, options.seed)
    told, shares = left_out(examples, options.seed)
    scale, bias, measured = calibrate(examples, told, shares)
    logger.info("%s", json.dumps(measured))
    fitted = Fitted.of(examples.features, examples.types, options.seed)
    save(fitted, scale, bias, measured, options.out)
    logger.info("Saved in %s.", options.out)


if __name__ == "__main__":
    main()


__all__ = ["Examples", "Fitted", "calibrate", "collect", "left_out", "negatives", "save"]
