"""Baselines without a language model: the nearest training RNA, and the commonest class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from datasets import Dataset
from sklearn.feature_extraction.text import TfidfVectorizer

KMER_SIZE = 8


@dataclass(frozen=True)
class Labels:
    """What a baseline says of RNAs, one entry each; None where it says nothing."""

    family: list[str | None]
    type: list[str | None]
    annotation: list[str | None]

    def __getitem__(self, part: slice) -> Labels:
        return Labels(self.family[part], self.type[part], self.annotation[part])


def find_nearest(
    train: Sequence[str], sequences: Sequence[str], kmer_size: int = KMER_SIZE, chunk: int = 64
) -> list[int | None]:
    """The training sequence that shares most k-mers with each sequence (TF-IDF, cosine).

    Returns:
        Its position; None where no k-mer is shared.
    """
    vectorizer = TfidfVectorizer(
        analyzer="char", ngram_range=(kmer_size, kmer_size), dtype=np.float32
    )
    known = vectorizer.fit_transform(train).T.tocsr()
    queries = vectorizer.transform(sequences)
    nearest: list[int | None] = []
    for start in range(0, len(sequences), chunk):
        # Rows are of unit length, so products are cosines.
        cosines = (queries[start : start + chunk] @ known).toarray()
        best = cosines.argmax(1)
        shared = cosines.max(1) > 0
        nearest += [int(i) if found else None for i, found in zip(best, shared, strict=True)]
    return nearest


def nearest_labels(train: Dataset, sequences: Sequence[str]) -> Labels:
    """Family, type and annotation of each sequence's nearest training RNA."""
    # Both sides in one spelling: a data set may write T.
    known = [sequence.upper().replace("T", "U") for sequence in train["sequence"][:]]
    nearest = find_nearest(known, sequences)

    def of_nearest(name: str) -> list[str | None]:
        if name not in train.column_names:
            return [None] * len(nearest)
        column = train[name][:]
        return [None if index is None else column[index] for index in nearest]

    return Labels(*(of_nearest(name) for name in ("family_accession", "rna_type", "annotation")))


def majority_labels(train: Dataset, count: int) -> Labels:
    """The commonest family, type and annotation of the training RNAs, `count` times."""

    def most_common(name: str) -> list[str | None]:
        if name not in train.column_names:
            return [None] * count
        return [Counter(train[name][:]).most_common(1)[0][0]] * count

    return Labels(*(most_common(name) for name in ("family_accession", "rna_type", "annotation")))


__all__ = ["KMER_SIZE", "Labels", "find_nearest", "majority_labels", "nearest_labels"]
