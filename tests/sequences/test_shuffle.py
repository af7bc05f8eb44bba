"""Shuffled RNAs against all sequences that have the same dinucleotides, written out."""

from collections import Counter
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnagpt.sequences.shuffle import shuffle_dinucleotides


def dinucleotides(sequence: str) -> Counter[tuple[str, str]]:
    return Counter(pairwise(sequence))


@given(st.text("ACGUN", min_size=0, max_size=80), st.integers(0, 2**32))
def test_dinucleotides_and_both_ends_stay(sequence: str, seed: int) -> None:
    shuffled = shuffle_dinucleotides(sequence, np.random.default_rng(seed))
    assert dinucleotides(shuffled) == dinucleotides(sequence)
    assert shuffled[:1] == sequence[:1]
    assert shuffled[-1:] == sequence[-1:]


@pytest.mark.parametrize("sequence", ["ACAGCAUCGA", "GAAUGAUGUA"])
def test_every_possible_sequence_is_as_likely_as_any_other(sequence: str) -> None:
    possible = {
        candidate
        for middle in set(permutations(sequence[1:-1]))
        if dinucleotides(candidate := sequence[0] + "".join(middle) + sequence[-1])
        == dinucleotides(sequence)
    }
    assert len(possible) > 3
    draws = 4000
    random = np.random.default_rng(0)
    drawn = Counter(shuffle_dinucleotides(sequence, random) for _ in range(draws))
    assert set(drawn) == possible
    expected = draws / len(possible)
    # Pearson's statistic; with 29 degrees of freedom it exceeds 60 once in a thousand times.
    assert sum((count - expected) ** 2 / expected for count in drawn.values()) < 60


def test_a_long_rna_changes() -> None:
    sequence = "".join(np.random.default_rng(1).choice(list("ACGU"), 300))
    shuffled = shuffle_dinucleotides(sequence, np.random.default_rng(2))
    same = sum(a == b for a, b in zip(sequence, shuffled, strict=True))
    assert same < 130  # a quarter by chance
