"""RNAs that an encoder is asked about, and the vectors that stand beside the encoder's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from rnagpt.conversion.rna_encoder import RnaEncoder
from rnagpt.evaluation.baselines import KMER_SIZE
from rnagpt.reference.records import Record
from rnagpt.sequences.dataset_loading import load_splits
from rnagpt.sequences.type_features import MAX_READ, MIN_READ, NAMES, type_features

KMER_VECTOR = 512  # numbers that 8-mers are reduced to
Label = Callable[["ProbedRna"], str]
# Vectors (RNAs, size) of sequences.
Read = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class ProbedRna:
    """An RNA and what is right to say of it.

    Attributes:
        sequence: cleaned.
        family: its Rfam id.
        type: one of `RNA_TYPES`.
        clan: of its family; empty if that has none.
        terms: GO and SO ids of its family.
        accession: of its family.
    """

    sequence: str
    family: str
    type: str
    clan: str = ""
    terms: frozenset[str] = frozenset()
    accession: str = ""


def read_rnas(dataset: str, split: str, families: Mapping[str, Record]) -> list[ProbedRna]:
    """RNAs of a split, with the clan and terms of their families' records."""
    rows = load_splits(dataset, usual="annotations")[split]
    rnas = []
    for row in rows:
        accession = row["family_accession"]
        record = families.get(accession)
        clan = record.clan if record else ""
        terms = frozenset(term.id for term in record.terms) if record else frozenset()
        rnas.append(
            ProbedRna(row["sequence"], row["family"], row["rna_type"], clan, terms, accession)
        )
    return rnas


def untrained(encoder: RnaEncoder, seed: int = 0) -> RnaEncoder:
    """An encoder of the same architecture with random weights, as transformers begins them."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return RnaEncoder.of(encoder.network.config, {})


def remembered(read: Read) -> Read:
    """The same vectors, each read once."""
    known: dict[str, np.ndarray] = {}

    def look(sequences: Sequence[str]) -> np.ndarray:
        new = [one for one in dict.fromkeys(sequences) if one not in known]
        if new:
            known.update(zip(new, read(new), strict=True))
        return np.stack([known[one] for one in sequences])

    return look


def kmer_reader(train: Sequence[str], seed: int = 0) -> Read:
    """Vectors of shared 8-mers: TF-IDF, reduced by a truncated SVD that training RNAs fit."""
    weigh = TfidfVectorizer(analyzer="char", ngram_range=(KMER_SIZE, KMER_SIZE), dtype=np.float32)
    counts = weigh.fit_transform(train)
    size = max(1, min(KMER_VECTOR, min(counts.shape) - 1))
    reduce = TruncatedSVD(size, random_state=seed).fit(counts)

    def read(sequences: Sequence[str]) -> np.ndarray:
        vectors: np.ndarray = reduce.transform(weigh.transform(sequences)).astype(np.float32)
        return vectors

    return read


def read_features(sequences: Sequence[str]) -> np.ndarray:
    """Composition and folding: (RNAs, features), of the middle of what is too long to be folded.

    Of what is too short to be read all features are 0.

    Raises:
        ImportError: when ViennaRNA is not installed.
    """
    middles = [one[max(0, len(one) - MAX_READ) // 2 :][:MAX_READ] for one in sequences]
    nothing = np.zeros(len(NAMES), dtype=np.float32)
    return np.stack([type_features(one) if len(one) >= MIN_READ else nothing for one in middles])


def side_by_side(*reads: Read) -> Read:
    """One vector of what several ways give."""
    return lambda sequences: np.concatenate([read(sequences) for read in reads], axis=1)


__all__ = [
    "Label",
    "ProbedRna",
    "Read",
    "kmer_reader",
    "read_features",
    "read_rnas",
    "remembered",
    "side_by_side",
    "untrained",
]
