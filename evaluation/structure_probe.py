"""Base pairs read from an encoder: by a linear head on pairs of vectors, or on attention.

What is right are the consensus structures of Rfam's families, laid on the RNAs by their own rows in
the seed alignments: nested pairs whose letters can pair. A consensus holds what a family shares, so
a right pair beyond it counts as wrong, for every way alike. Asked are RNAs of families that no head
was fitted on; regularisation and threshold are chosen on training families left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import torch

from rnagpt.conversion.rna_encoder import RnaEncoder
from rnagpt.evaluation.pair_heads import (
    AttentionHead,
    BilinearHead,
    Features,
    Pairs,
    attention_maps,
    fit_head,
    letter_features,
    scaled_by,
    vector_features,
)
from rnagpt.evaluation.probe_figures import Estimate, Figure, mean_estimate
from rnagpt.evaluation.probed_rnas import ProbedRna, untrained
from rnagpt.evaluation.search_quality import seed_pairs
from rnagpt.reference.edit import families_of, ungapped
from rnagpt.reference.hits import CAN_PAIR
from rnagpt.reference.library import Reference
from rnagpt.sequences.even_families import even_families
from rnagpt.sequences.folding import SHORTEST_LOOP, fold_rna
from rnagpt.sequences.structure import base_pairs

QUESTION = "base pairs, of families never seen"
VECTORS, UNTRAINED, ATTENTION = "encoder", "the same with random weights", "attention"
LETTERS, STEMS = "letters of the pair", f"letters within {(STEM := 5)} nt of the pair"
ENERGY, RANDOM = "minimum free energy", "random pairs that letters can form"
F1, PRECISION, RECALL = "F1", "precision", "recall"
MAX_LENGTH = 200  # nt; the number of pairs grows with the square
MAX_TRAIN_RNAS = 800
MAX_PER_FAMILY = 5  # of those asked
# Rate of learning and weight decay of heads, one pair of which held-out families choose.
SETTINGS = ((1.0, 0.01), (0.1, 0.01), (1.0, 3.0))
THRESHOLDS = np.linspace(-6, 3, 37)  # log-odds
_PAIR_UP = np.array([[one + other in CAN_PAIR for other in "ACGU"] for one in "ACGU"])
Head = BilinearHead | AttentionHead
# Score and place of each pair that may be told.
Ranked = list[list[tuple[float, int, int]]]


@dataclass(frozen=True)
class FoldedRna:
    """An RNA with the base pairs of its family's consensus, 0-based."""

    sequence: str
    family: str
    pairs: frozenset[tuple[int, int]]


def folded_rnas(
    rnas: Iterable[ProbedRna], reference: Reference, max_length: int = MAX_LENGTH
) -> tuple[list[FoldedRna], int]:
    """RNAs whose family has a consensus structure with pairs, and how many were too long.

    Args:
        rnas: of the data set.
        reference: whose seed alignments hold their rows.
        max_length: in nt; longer RNAs are left out.
    """
    wanted = {(rna.accession, rna.sequence) for rna in rnas}
    found, too_long = [], 0
    for record, seed in families_of(reference):
        if not seed.structure:
            continue
        for _, row in seed.rows:
            key = (record.id, ungapped(row))
            if key not in wanted or not (pairs := seed_pairs(row, seed.structure)):
                continue
            wanted.discard(key)  # a seed may hold one sequence twice
            if len(key[1]) > max_length:
                too_long += 1
                continue
            found.append(FoldedRna(key[1], record.name, frozenset(pairs)))
    return found, too_long


def best_pairs(scores: np.ndarray, sequence: str) -> list[tuple[float, int, int]]:
    """Pairs that letters can form, the best first, each nucleotide in one at most.

    Args:
        scores: (nt, nt), symmetric; pairs below the least of `THRESHOLDS` are left out.
        sequence: of `nt` letters.

    Returns:
        Score and place of each pair, 0-based.
    """
    codes = np.array(["ACGU".find(letter) for letter in sequence])
    allowed = _PAIR_UP[codes][:, codes] & (codes >= 0) & (codes >= 0)[:, None]
    allowed &= scores >= THRESHOLDS[0]
    left, right = np.nonzero(np.triu(allowed, SHORTEST_LOOP + 1))
    values = scores[left, right]
    free = [True] * len(sequence)
    pairs = []
    for place in np.argsort(-values, kind="stable").tolist():
        i, j = int(left[place]), int(right[place])
        if free[i] and free[j]:
            free[i] = free[j] = False
            pairs.append((float(values[place]), i, j))
    return pairs


def pair_scores(told: Pairs, right: frozenset[tuple[int, int]]) -> tuple[float, float, float]:
    """F1, precision and recall; precision is 0 where nothing was told."""
    shared = len(told & right)
    return (
        2 * shared / max(1, len(told) + len(right)),
        shared / max(1, len(told)),
        shared / max(1, len(right)),
    )


def choose_threshold(ranked: Ranked, rnas: Sequence[FoldedRna]) -> tuple[float, float]:
    """The mean F1 on RNAs and the score from which pairs are told that reaches it."""
    means = [_mean_f1(ranked, rnas, threshold) for threshold in THRESHOLDS]
    best = int(np.argmax(means))
    return means[best], float(THRESHOLDS[best])


def _mean_f1(ranked: Ranked, rnas: Sequence[FoldedRna], threshold: float) -> float:
    both = zip(ranked, rnas, strict=True)
    return float(np.mean([pair_scores(_above(one, threshold), rna.pairs)[0] for one, rna in both]))


def _above(ranked: Sequence[tuple[float, int, int]], threshold: float) -> Pairs:
    return {(i, j) for score, i, j in ranked if score >= threshold}


@torch.inference_mode()
def _rank(head: Head, features: Sequence[torch.Tensor], rnas: Sequence[FoldedRna]) -> Ranked:
    return [
        best_pairs(head(one).numpy(), rna.sequence) for one, rna in zip(features, rnas, strict=True)
    ]


def read_pairs(
    features: Features,
    make: Callable[[int], Head],
    train: Sequence[FoldedRna],
    held: Sequence[FoldedRna],
    asked: Sequence[FoldedRna],
    seed: int,
) -> list[Pairs]:
    """The pairs of RNAs by the head that is best on held-out ones."""
    own, others = ([*features([rna.sequence for rna in rnas])] for rnas in (train, held))
    best, chosen, threshold = -1.0, None, 0.0
    for rate, decay in SETTINGS:
        size = own[0].shape[0] if make is AttentionHead else own[0].shape[-1]
        head = make(size)
        fit_head(head, own, [rna.pairs for rna in train], rate, decay, seed)
        score, bound = choose_threshold(_rank(head, others, held), held)
        if score > best:
            best, chosen, threshold = score, head, bound
    assert chosen is not None  # one is better than none
    ranked = _rank(chosen, features([rna.sequence for rna in asked]), asked)
    return [_above(one, threshold) for one in ranked]


def random_pairs(held: Sequence[FoldedRna], asked: Sequence[FoldedRna], seed: int) -> list[Pairs]:
    """Pairs by random scores, at the threshold that is best on held-out RNAs."""
    random = np.random.default_rng(seed)

    def rank(rnas: Sequence[FoldedRna]) -> Ranked:
        ranked = []
        for rna in rnas:
            scores = random.normal(size=(len(rna.sequence),) * 2)
            ranked.append(best_pairs(scores + scores.T, rna.sequence))
        return ranked

    threshold = choose_threshold(rank(held), held)[1]
    return [_above(one, threshold) for one in rank(asked)]


def heads_of(
    encoder: RnaEncoder, train: Sequence[str], seed: int
) -> Iterator[tuple[str, Features, Callable[[int], Head]]]:
    """Name, features and head of each way that is fitted."""
    yield VECTORS, scaled_by(vector_features(encoder), train), BilinearHead
    other = untrained(encoder, seed)
    yield UNTRAINED, scaled_by(vector_features(other), train), BilinearHead
    for name, one in ((ATTENTION, encoder), (f"{ATTENTION}, random weights", other)):
        if (maps := attention_maps(one)) is not None:
            yield name, maps, AttentionHead
    yield LETTERS, letter_features(0), BilinearHead
    yield STEMS, letter_features(STEM), BilinearHead


def probe_structure(
    encoder: RnaEncoder,
    train: Sequence[FoldedRna],
    asked: Sequence[FoldedRna],
    *,
    max_train_rnas: int = MAX_TRAIN_RNAS,
    seed: int = 0,
) -> Figure:
    """F1, precision and recall of base pairs, means over RNAs.

    Args:
        encoder: frozen.
        train: of training families; a fifth of the families chooses, and is not fitted on.
        asked: of families never seen.
        max_train_rnas: heads are fitted on at most N RNAs, of as many families as possible.
        seed: of all draws.
    """
    drawn = even_families(train, max_train_rnas, seed)
    families = sorted({rna.family for rna in drawn})
    aside = set(np.random.default_rng(seed).permutation(families)[: max(1, len(families) // 5)])
    fitted = [rna for rna in drawn if rna.family not in aside]
    held = [rna for rna in drawn if rna.family in aside]
    asked = few_of_each(asked, seed)
    told: dict[str, list[Pairs]] = {}
    for way, features, make in heads_of(encoder, [rna.sequence for rna in fitted], seed):
        told[way] = read_pairs(features, make, fitted, held, asked, seed)
    if find_spec("RNA"):
        told[ENERGY] = [set(base_pairs(fold_rna(rna.sequence))) for rna in asked]
    told[RANDOM] = random_pairs(held, asked, seed)
    return Figure(
        QUESTION,
        len(asked),
        len({rna.family for rna in asked}),
        {way: _measure(pairs, asked, seed) for way, pairs in told.items()},
    )


def few_of_each(rnas: Sequence[FoldedRna], seed: int) -> list[FoldedRna]:
    """At most `MAX_PER_FAMILY` RNAs of a family, at random."""
    met: dict[str, int] = {}
    kept = []
    for place in np.random.default_rng(seed).permutation(len(rnas)).tolist():
        rna = rnas[place]
        met[rna.family] = met.get(rna.family, 0) + 1
        if met[rna.family] <= MAX_PER_FAMILY:
            kept.append(rna)
    return kept


def _measure(
    told: Sequence[Pairs], asked: Sequence[FoldedRna], seed: int
) -> Mapping[str, Estimate]:
    rows = [pair_scores(pairs, rna.pairs) for pairs, rna in zip(told, asked, strict=True)]
    families = [rna.family for rna in asked]
    return {
        name: mean_estimate(np.array(values), families, seed)
        for name, values in zip((F1, PRECISION, RECALL), zip(*rows, strict=True), strict=True)
    }


__all__ = [
    "FoldedRna",
    "best_pairs",
    "folded_rnas",
    "pair_scores",
    "probe_structure",
]
