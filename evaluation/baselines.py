"""What the scores are compared with: controls of the RNA, and baselines without a model."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset
from sklearn.feature_extraction.text import TfidfVectorizer

from rnagpt.cleaning_rnagpt import CleanedRna
from rnagpt.evaluation.tasks import DrawnRna
from rnagpt.sequences.shuffle import shuffle_dinucleotides

REAL, SWAPPED, SHUFFLED, NONE = "real", "swapped", "shuffled", "none"
CONTROLS = {
    SWAPPED: "another family's RNA",
    SHUFFLED: "shuffled, dinucleotides kept",
    NONE: "no RNA",
}
KMER_SIZE = 8


def draw_partners(groups: Sequence[str], seed: int) -> np.ndarray:
    """For each RNA another one, of a different group, drawn at random.

    Args:
        groups: of each RNA its family, or what else may not be the same.
        seed: of the random numbers.

    Returns:
        The partners' positions (rnas,).

    Raises:
        ValueError: when all are of one group.
    """
    codes = np.unique(groups, return_inverse=True)[1]
    if codes.max(initial=0) == 0:
        raise ValueError(
            f"RNAs are swapped between families, and the {len(codes)} drawn are of one family. "
            "Raise --limit and --compare-limit, or lower --min-training-rnas."
        )
    generator = np.random.default_rng(seed)
    return np.array([generator.choice(np.flatnonzero(codes != code)) for code in codes])


def partners_of(rnas: Sequence[DrawnRna], seed: int) -> np.ndarray:
    """The partners of RNAs: of another family, and without families of another annotation."""
    return draw_partners([rna.accession or rna.annotation for rna in rnas], seed)


def give(rnas: Sequence[DrawnRna], control: str, seed: int) -> list[CleanedRna | None]:
    """The RNAs that are given with questions about `rnas`.

    Args:
        rnas: that the questions are about.
        control: `REAL` or one of `CONTROLS`.
        seed: of partners and shuffles. An RNA's shuffle depends on nothing else but its name.
    """
    if control == NONE:
        return [None] * len(rnas)
    if control == SWAPPED:
        return [rnas[partner].cleaned for partner in partners_of(rnas, seed)]
    if control == SHUFFLED:
        return [_shuffled(rna.cleaned, seed) for rna in rnas]
    return [rna.cleaned for rna in rnas]


def _shuffled(rna: CleanedRna, seed: int) -> CleanedRna:
    random = np.random.default_rng([seed, zlib.crc32(rna.name.encode())])
    return CleanedRna(f"{rna.name}/shuffled", shuffle_dinucleotides(rna.sequence, random))


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
    return _labels(
        train, lambda column: [None if index is None else column[index] for index in nearest]
    )


def majority_labels(train: Dataset, count: int) -> Labels:
    """The commonest family, type and annotation of the training RNAs, `count` times."""
    return _labels(train, lambda column: [Counter(column).most_common(1)[0][0]] * count)


def random_labels(train: Dataset, count: int, seed: int) -> Labels:
    """Family, type and annotation of `count` training RNAs, each drawn at random."""
    drawn = np.random.default_rng([seed, 9]).integers(len(train), size=count).tolist()
    return _labels(train, lambda column: [column[place] for place in drawn])


def _labels(train: Dataset, choose: Callable[[list[Any]], list[str | None]]) -> Labels:
    """What is chosen from each column; nothing of a column that the data set lacks."""
    lacking = [None] * len(train)
    return Labels(
        *(
            choose(train[name][:] if name in train.column_names else lacking)
            for name in ("family_accession", "rna_type", "annotation")
        )
    )
