"""How alike two sequences are: identical letters of their best local alignment."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnagpt.reference.alignment import Scores, align

# Those of EMBOSS's `water` for nucleotides, but that each letter of a gap costs 1, not a half.
SCORES = Scores(match=5, mismatch=-4, gap_open=9, gap_extend=1)
# Places of the alignment's matrix, of 4 bytes each; two RNAs of 3,000 nt have 18 million.
MAX_PLACES = 40_000_000
_MAX_SHORTER = (2**15 - 1) // SCORES.match
_LETTERS = "ACGU"
# Of other letters, which are like none: a code for each of the two sequences, and one beyond them.
_OTHER, _OTHER_TARGET, _BEYOND = 4, 5, 6


class Identity(NamedTuple):
    """How alike two sequences are.

    Attributes:
        identical: aligned letters A, C, G and U that are the same.
        columns: of the alignment, gaps included.
        shorter: nt of the shorter sequence.
    """

    identical: int
    columns: int
    shorter: int

    @property
    def share(self) -> float:
        """Identical letters by the length of the shorter sequence, from 0 to 1."""
        return self.identical / self.shorter


@functools.lru_cache(maxsize=256)
def pairwise_identity(one: str, other: str) -> Identity | None:
    """The identity of two cleaned RNAs on the strands as given; None: too long to align.

    Unrelated RNAs of one length have some too: their best alignment is not of single letters.
    """
    query, target = sorted((one, other), key=len)
    if not query:
        return Identity(0, 0, 1)
    width = len(query) + len(target) - 1
    if len(query) > _MAX_SHORTER or (len(query) + 1) * width > MAX_PLACES:
        return None
    beyond = np.full(len(query) - 1, _BEYOND, dtype=np.int8)
    padded = np.concatenate([beyond, _codes(target, _OTHER_TARGET), beyond])
    codes = _codes(query, _OTHER)
    places, others = align(codes[None], padded[None], SCORES).trace(0)
    same = sum(
        codes[place] == padded[other]
        for place, other in zip(places, others, strict=True)
        if min(place, other) >= 0
    )
    return Identity(int(same), len(places), len(query))


def _codes(sequence: str, unknown: int) -> NDArray[np.int8]:
    codes = [_LETTERS.index(letter) if letter in _LETTERS else unknown for letter in sequence]
    return np.array(codes, dtype=np.int8)


__all__ = ["Identity", "pairwise_identity"]
