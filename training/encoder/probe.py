"""
Measures what an RNA encoder tells: a linear probe on the means of its frozen vectors.

```bash
python training/encoder/probe.py --encoder out/words --dataset_name rna-qa
```

For family and RNA type a linear classifier is fitted on training RNAs and measured on those of
RNA-QA's validation split: about the most that a language model behind a linear projection can say.
"""

import argparse
import json
import logging
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from transformers import EsmModel

from rnagpt.processing_rnagpt import tokenize_rna
from rnagpt.training.encoder.batches import RnaRow, TokenBudgetSampler, annotated_rows, pad_rnas
from rnagpt.training.encoder.objectives import mean_vectors

MAX_TRAIN_RNAS = 10_000
MAX_LENGTH = 1022
TOKENS_PER_BATCH = 8192


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


def even_families(rows: Sequence[RnaRow], most: int, seed: int = 0) -> list[RnaRow]:
    """At most N rows, at random, with about as many of each family as it has to give."""
    order = np.random.default_rng(seed).permutation(len(rows)).tolist()
    met: Counter[str] = Counter()
    ranks = {}
    for index in order:
        ranks[index] = met[rows[index].family]
        met[rows[index].family] += 1
    return [rows[index] for index in sorted(order, key=ranks.__getitem__)[:most]]


@torch.inference_mode()
def rna_means(encoder: EsmModel, rows: Sequence[RnaRow]) -> np.ndarray:
    """Means of RNAs' nucleotide vectors, of long RNAs over 1,022 nt: (rnas, hidden), float32."""
    training = encoder.training
    encoder.eval()
    means = np.empty((len(rows), encoder.config.hidden_size), dtype=np.float32)
    kmer_size = getattr(encoder.config, "kmer_size", 1)
    sampler = TokenBudgetSampler(rows, TOKENS_PER_BATCH, max_length=MAX_LENGTH, shuffle=False)
    for indices in sampler:
        tokens = [tokenize_rna(rows[i].sequence[:MAX_LENGTH], kmer_size) for i in indices]
        batch = {name: value.to(encoder.device) for name, value in pad_rnas(tokens).items()}
        with torch.autocast(encoder.device.type, dtype=torch.bfloat16):
            means[indices] = mean_vectors(encoder, **batch).float().cpu().numpy()
    encoder.train(training)
    return means


def main(arguments: Sequence[str] | None = None) -> None:
    description, _, rest = str(__doc__).strip().partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description,
        epilog=rest.replace("```bash\n", "").replace("```\n", ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--encoder", required=True, help="folder or Hub id of an EsmModel")
    parser.add_argument("--dataset_name", required=True, help="RNA-QA, folder or Hub id")
    parser.add_argument("--max_train_rnas", type=int, default=MAX_TRAIN_RNAS)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    encoder = EsmModel.from_pretrained(options.encoder, add_pooling_layer=False)
    result = linear_probe(encoder, options.dataset_name, max_train_rnas=options.max_train_rnas)
    print(json.dumps(result))


if __name__ == "__main__":
    main()


__all__ = ["even_families", "linear_probe", "probe_rows", "rna_means"]
