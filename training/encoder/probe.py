"""A linear probe on the means of an encoder's frozen vectors, for the record of its training.

For family and RNA type a linear classifier is fitted on training RNAs and measured on those of
RNA-QA's validation split: about the most that a language model behind a linear projection can say.
`rnagpt evaluate-encoder` asks more, of any encoder.
"""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from transformers import EsmModel

from rnagpt.conversion.rna_encoder import MAX_WINDOW, RnaEncoder
from rnagpt.sequences.even_families import even_families
from rnagpt.training.encoder.batches import RnaRow, annotated_rows

MAX_TRAIN_RNAS = 10_000


def linear_probe(
    encoder: EsmModel, dataset_name: str, *, max_train_rnas: int = MAX_TRAIN_RNAS
) -> dict[str, Any]:
    """Share of validation RNAs of which a linear classifier tells the family and the RNA type.

    Args:
        encoder: frozen meanwhile; `kmer_size` in its configuration says what it reads.
        dataset_name: RNA-QA, folder or Hub id.
        max_train_rnas: fitted on at most N training RNAs, of as many families as possible.

    Returns:
        `family` and `rna_type`: accuracies, from 0 to 1, each over the validation RNAs whose family
        or type is among those fitted. `train_rnas`, `validation_rnas` (whose family is), `seconds`.
    """
    start = time.monotonic()
    train = even_families(annotated_rows(dataset_name, "train"), max_train_rnas)
    families = {row.family for row in train}
    validation = [
        row for row in annotated_rows(dataset_name, "validation") if row.family in families
    ]
    accuracies = probe_rows(encoder, train, validation)
    return {
        **accuracies,
        "train_rnas": len(train),
        "validation_rnas": len(validation),
        "seconds": round(time.monotonic() - start, 1),
    }


def probe_rows(
    encoder: EsmModel, train: Sequence[RnaRow], validation: Sequence[RnaRow]
) -> dict[str, float]:
    """Accuracy for `family` and `rna_type`, fitted on `train` and measured on `validation`."""
    vectors, others = rna_means(encoder, train), rna_means(encoder, validation)
    accuracies = {}
    for label in ("family", "rna_type"):
        # Means of RNAs share most of what they are: scaled, the differences count.
        classifier = make_pipeline(StandardScaler(), RidgeClassifier(alpha=10.0))
        classifier.fit(vectors, [getattr(row, label) for row in train])
        right = classifier.predict(others) == [getattr(row, label) for row in validation]
        accuracies[label] = round(float(np.mean(right)), 4)
    return accuracies


def rna_means(encoder: EsmModel, rows: Sequence[RnaRow]) -> np.ndarray:
    """Means of RNAs' nucleotide vectors, of long RNAs over 1,022 nt: (rnas, hidden), float32."""
    training = encoder.training
    try:
        with torch.autocast(encoder.device.type, dtype=torch.bfloat16):
            return RnaEncoder(encoder.eval()).means([row.sequence[:MAX_WINDOW] for row in rows])
    finally:
        encoder.train(training)


__all__ = ["linear_probe", "probe_rows", "rna_means"]
