"""Pairwise identity, against Biopython's alignment of the whole matrix."""

import numpy as np
import pytest
from Bio.Align import PairwiseAligner
from helpers.tiny_models import make_rna

from rnagpt.reference.identity import MAX_PLACES, SCORES, Identity, pairwise_identity
from rnagpt.sequences.strands import mutate


def identity_of(one: str, other: str) -> Identity:
    found = pairwise_identity(one, other)
    assert found is not None
    return found


def whole_matrix() -> PairwiseAligner:
    aligner = PairwiseAligner()
    aligner.mode = "local"
    aligner.match_score, aligner.mismatch_score = SCORES.match, SCORES.mismatch
    aligner.open_gap_score = -(SCORES.gap_open + SCORES.gap_extend)
    aligner.extend_gap_score = -SCORES.gap_extend
    return aligner


@pytest.mark.parametrize("seed", range(12))
def test_it_is_that_of_a_best_alignment(seed: int) -> None:
    random = np.random.default_rng(seed)
    one = make_rna(40 + 9 * seed, seed)
    other = mutate(one, 0.05 * seed, random)
    cut = int(random.integers(5, 30))
    other = make_rna(10, seed + 50) + other[:cut] + other[cut + seed % 4 :]
    found = identity_of(one, other)
    best = whole_matrix().align(one, other)
    counted = {
        (sum(a == b for a, b in zip(*alignment, strict=True)), alignment.length)
        for alignment, _ in zip(best, range(500), strict=False)
    }
    assert (found.identical, found.columns) in counted
    assert found.shorter == min(len(one), len(other))
    assert identity_of(other, one).identical in {identical for identical, _ in counted}


def test_a_part_is_identical_and_letters_that_are_not_known_are_like_none() -> None:
    long = make_rna(300, 1)
    found = identity_of(long[100:180], long)
    assert found == (80, 80, 80)
    assert found.share == 1.0
    assert identity_of("ACGUACGUNN", "ACGUACGUNN").identical == 8
    assert pairwise_identity("NNNN", "NNNN") == (0, 0, 4)
    assert identity_of("", "ACGU").share == 0.0


def test_what_is_too_long_is_not_aligned() -> None:
    assert pairwise_identity(make_rna(7000, 1), make_rna(7000, 1)) is None
    longest = round((MAX_PLACES / 2) ** 0.5)
    assert pairwise_identity(make_rna(longest + 10, 1), make_rna(longest + 10, 2)) is None
    assert pairwise_identity(make_rna(74, 1), make_rna(16_384, 2)) is not None
