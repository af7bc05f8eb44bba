"""Changed copies of sequences: how much changes, and that a copy stays a relative."""

from difflib import SequenceMatcher

import numpy as np
import pytest

from rnagpt.sequences.strands import changed_copy, random_sequence

SEQUENCE = random_sequence(400, np.random.default_rng(1))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
def test_as_much_is_changed_as_was_asked_for(share: float) -> None:
    copies = [changed_copy(SEQUENCE, share, np.random.default_rng(seed)) for seed in range(20)]
    kept = [
        sum(
            block.size
            for block in SequenceMatcher(None, SEQUENCE, copy, False).get_matching_blocks()
        )
        for copy in copies
    ]
    # Half of the changes replace a letter and a quarter lose one; what is put between keeps all.
    assert np.mean(kept) / len(SEQUENCE) == pytest.approx(1 - 0.75 * share, abs=0.06)
    assert all(0.85 * len(SEQUENCE) < len(copy) <= len(SEQUENCE) for copy in copies)
    assert (len(set(copies)) == 1) == (share == 0)


def test_a_copy_begins_anywhere_in_the_first_letters() -> None:
    starts = [
        changed_copy(SEQUENCE, 0.0, np.random.default_rng(s), max_start=7) for s in range(200)
    ]
    assert {len(SEQUENCE) - len(copy) for copy in starts} == set(range(8))
    assert all(SEQUENCE.endswith(copy) for copy in starts)


def test_something_is_always_left() -> None:
    for seed in range(200):
        assert changed_copy("A", 0.9, np.random.default_rng(seed), max_start=7)
