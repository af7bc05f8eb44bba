"""What type of RNA it is: a classifier for the projection that holds for families never seen."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from rnagpt.sequences.even_families import even_families
from rnagpt.training.encoder.batches import RnaRow, decoy_of
from rnagpt.training.encoder.objectives import AnnotationWords
from rnagpt.training.encoder.probe import rna_means

MAX_RNAS = 12_000
DECOY_SHARE = 0.1
# Of scikit-learn's C: how closely the training RNAs are followed. A family is easily learned by
# heart, and tells its type; for a new family only what is common to many helps. Chosen with an
# encoder that had not seen the families it was measured on.
STRENGTH = 1e-3


def fit_types(objective: AnnotationWords, rows: Sequence[RnaRow], seed: int = 0) -> dict[str, Any]:
    """Fits the keys of the types to an encoder that is trained, by logistic regression.

    Families count by the square root of their RNAs; shuffled RNAs are of the type UNKNOWN_TYPE.

    Args:
        objective: its projection receives the keys.
        rows: training RNAs with their types.
        seed: of draws.

    Returns:
        `rnas` and `right`: how many it was fitted on, and of what share of them it tells the type.
    """
    random = np.random.default_rng(seed)
    rnas = even_families(rows, MAX_RNAS, seed)
    decoys = random.choice(len(rnas), round(DECOY_SHARE * len(rnas)), replace=False)
    families = np.array([*(row.family for row in rnas), *(rnas[i].family for i in decoys)])
    rnas += [decoy_of(rnas[i], random) for i in decoys]
    means = rna_means(objective.encoder, rnas)
    types = np.array([row.rna_type for row in rnas])
    classifier = _fit(means, types, families)
    _write_keys(objective, classifier)
    return {"rnas": len(rnas), "right": round(float(classifier.score(means, types)), 4)}


def _fit(means: np.ndarray, types: np.ndarray, families: np.ndarray) -> Pipeline:
    _, family, sizes = np.unique(families, return_inverse=True, return_counts=True)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=200))
    weights = sizes[family] ** -0.5
    return classifier.fit(means, types, logisticregression__sample_weight=weights)


def _write_keys(objective: AnnotationWords, classifier: Pipeline) -> None:
    """Give the projection a classifier's weights, with its scaling folded into them."""
    scaler, regression = classifier[0], classifier[1]
    weights = regression.coef_ / scaler.scale_
    bias = regression.intercept_ - weights @ scaler.mean_
    keys: Any = objective.projector.type_keys
    with torch.no_grad():
        # A type without RNAs here is never chosen.
        keys.weight.zero_()
        keys.bias.fill_(-1e4)
        for row, rna_type in enumerate(regression.classes_):
            place = objective.types.index(rna_type)
            keys.weight[place] = torch.from_numpy(weights[row])
            keys.bias[place] = float(bias[row])


__all__ = ["fit_types"]
