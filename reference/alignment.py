"""Local alignment in a band, of many pairs of sequences at once, with numpy.

Smith and Waterman's alignment with affine gaps (Gotoh 1982, J Mol Biol 162:705). Of the libraries
that align, parasail (65 MB installed) and Biopython have no local alignment in a band with a
traceback: whole matrices of two RNAs of 10,000 nt take hundreds of MB each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_IMPOSSIBLE = -(10**6)
_STOP, _PAIR, _INSERTION, _DELETION = range(4)
_KIND, _INSERTION_GOES_ON, _DELETION_GOES_ON = 3, 4, 8  # bits of a step


class Scores(NamedTuple):
    """What a match brings, and what a mismatch, a gap and each of its letters cost.

    Attributes:
        match, mismatch: of two letters; the second is negative.
        gap_open, gap_extend: a gap of n letters costs `gap_open` + n `gap_extend`.
    """

    match: int
    mismatch: int
    gap_open: int
    gap_extend: int


class Alignment(NamedTuple):
    """The best local alignment of a pair.

    Attributes:
        number: of the pair in the batch.
        score: raw.
        query, target: places in the two, 0-based, of each column; -1 for a gap.
    """

    number: int
    score: int
    query: list[int]
    target: list[int]


def align(query: Array, target: Array, scores: Scores, least: float) -> Iterator[Alignment]:
    """The best local alignment of each pair, in a band.

    Args:
        query: (pairs, rows), codes of letters.
        target: (pairs, rows + width - 1), codes. Letter i of the query may stand above the letters
            i to i + width - 1 of the target, and above no other.
        scores: letters of equal code match.
        least: pairs of a lower score are left out.
    """
    pairs, rows = query.shape
    width = target.shape[1] - rows + 1
    steps = np.empty((rows, pairs, width), dtype=np.uint8)
    best = np.zeros(pairs, dtype=np.int32)
    row_of, column_of = np.zeros(pairs, dtype=np.int64), np.zeros(pairs, dtype=np.int64)
    height = np.zeros((pairs, width), dtype=np.int32)
    inserted = np.full((pairs, width), _IMPOSSIBLE, dtype=np.int32)
    for row in range(rows):
        agree = target[:, row : row + width] == query[:, row, None]
        height, inserted = _next_row(height, inserted, agree, scores, steps[row])
        top = height.max(axis=1)
        if (rises := top > best).any():
            best[rises], row_of[rises] = top[rises], row
            column_of[rises] = height[rises].argmax(axis=1)
    for number in np.flatnonzero(best >= max(least, 1)):
        path = _trace(steps[:, number], int(row_of[number]), int(column_of[number]))
        yield Alignment(int(number), int(best[number]), *path)


def _next_row(
    height: Array, inserted: Array, agree: Array, scores: Scores, steps: Array
) -> tuple[Array, Array]:
    """The best scores that end at each place of a row, and those that end with an insertion.

    An insertion is a letter of the query above a gap; a deletion one of the target below a gap. A
    row's places are those of the band: what lies above a place is one column further on.
    """
    extend, opened = scores.gap_extend, scores.gap_open + scores.gap_extend
    paired = height + np.where(agree, np.int32(scores.match), np.int32(scores.mismatch))
    begun, gone_on = height[:, 1:] - opened, inserted[:, 1:] - extend
    inserted = np.full_like(height, _IMPOSSIBLE)
    np.maximum(begun, gone_on, out=inserted[:, :-1])
    without = np.maximum(np.maximum(paired, inserted), 0)
    # A deletion that begins at any place before: its cost is a difference of two terms, one of each
    # place, so that the best beginning is a running maximum.
    cost = np.arange(height.shape[1], dtype=np.int32) * extend
    beginnings = without + cost
    best_beginning = np.maximum.accumulate(beginnings, axis=1)
    deleted = best_beginning[:, :-1] - scores.gap_open - cost[1:]
    height = without.copy()
    np.maximum(height[:, 1:], deleted, out=height[:, 1:])

    steps[:] = np.where(
        height == paired, _PAIR, np.where(height == inserted, _INSERTION, _DELETION)
    )
    steps[height <= 0] = _STOP
    steps[:, :-1] |= (gone_on > begun) * np.uint8(_INSERTION_GOES_ON)
    steps[:, 1:] |= (best_beginning[:, :-1] > beginnings[:, :-1]) * np.uint8(_DELETION_GOES_ON)
    return height, inserted


def _trace(steps: Array, row: int, column: int) -> tuple[list[int], list[int]]:
    """The places of the columns of an alignment that ends at a place of the band."""
    query: list[int] = []
    target: list[int] = []
    kind = _STOP  # of the gap that goes on; none
    while row >= 0 and (kind or steps[row, column] & _KIND):
        step = int(steps[row, column])
        kind = kind or step & _KIND
        query.append(-1 if kind == _DELETION else row)
        target.append(-1 if kind == _INSERTION else row + column)
        if kind == _DELETION:
            column -= 1
            kind = _DELETION if step & _DELETION_GOES_ON else _STOP
        elif kind == _INSERTION:
            row, column = row - 1, column + 1
            kind = _INSERTION if step & _INSERTION_GOES_ON else _STOP
        else:
            row, kind = row - 1, _STOP
    return query[::-1], target[::-1]


__all__ = ["Alignment", "Scores", "align"]
