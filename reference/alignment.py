"""Local alignment in a band, of many pairs of sequences at once, with numpy.

Smith and Waterman's alignment with affine gaps (Gotoh 1982, J Mol Biol 162:705). Of the libraries
that align, parasail (65 MB installed) and Biopython have no local alignment in a band with a
traceback: whole matrices of two RNAs of 10,000 nt take hundreds of MB each.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_IMPOSSIBLE = -(10**4)


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


def align(query: Array, target: Array, scores: Scores) -> Alignments:
    """The best local alignment of each pair, in a band.

    Args:
        query: (pairs, rows), codes of letters.
        target: (pairs, rows + width - 1), codes. Letter i of the query may stand above the letters
            i to i + width - 1 of the target, and above no other.
        scores: letters of equal code match.

    Raises:
        ValueError: there are so many rows that a score may not fit into 16 bits.
    """
    pairs, rows = query.shape
    width = target.shape[1] - rows + 1
    if rows * scores.match >= 2**15:
        raise ValueError(f"{rows:,} rows of scores up to {scores.match} do not fit into 16 bits")
    # The pairs are the last axis: all of them take a step at once.
    query, target = np.ascontiguousarray(query.T), np.ascontiguousarray(target.T)
    heights = np.zeros((rows + 1, width, pairs), dtype=np.int16)
    inserted = np.full((rows + 1, width, pairs), _IMPOSSIBLE, dtype=np.int16)
    gain, loss = np.int16(scores.match), np.int16(scores.mismatch)
    opened, extend = scores.gap_open + scores.gap_extend, scores.gap_extend
    cost = (np.arange(width, dtype=np.int16) * extend)[:, None]
    for row in range(rows):
        above, here, insertion = heights[row], heights[row + 1], inserted[row + 1]
        # What lies above a place of the band is one column further on.
        np.maximum(above[1:] - opened, inserted[row, 1:] - extend, out=insertion[:-1])
        np.add(above, np.where(target[row : row + width] == query[row], gain, loss), out=here)
        np.maximum(here, insertion, out=here)
        np.maximum(here, 0, out=here)
        # A deletion that begins at any place before: its cost is a difference of two terms, one of
        # each place, so that the best beginning is a running maximum.
        begun = np.maximum.accumulate(here + cost, axis=0)
        np.maximum(here[1:], begun[:-1] - (cost[1:] + scores.gap_open), out=here[1:])
    return Alignments(heights, inserted, query, target, scores)


class Alignments:
    """The best local alignments of many pairs.

    Attributes:
        score: (pairs,), raw.
    """

    def __init__(
        self, heights: Array, inserted: Array, query: Array, target: Array, scores: Scores
    ) -> None:
        """Take the scores of all places of the band.

        Args:
            heights: (rows + 1, width, pairs), of the best alignments that end at a place; row n + 1
                is that of letter n of the query.
            inserted: the same of those that end with a letter of the query above a gap.
            query, target: (letters, pairs), codes.
            scores: as in `align`.
        """
        flat = heights.reshape(-1, heights.shape[2])
        self._end = flat.argmax(axis=0)
        self.score: Array = np.take_along_axis(flat, self._end[None], axis=0)[0]
        self._pairs = heights, inserted, query, target
        self._scores = scores

    def trace(self, pair: int) -> tuple[list[int], list[int]]:
        """The places in query and target of each column of a pair's alignment; -1 for a gap."""
        heights, inserted, query, target = (values[..., pair] for values in self._pairs)
        row, column = divmod(int(self._end[pair]), heights.shape[1])
        return _Matrix(heights, inserted, query, target, self._scores).trace(row, column)


class _Matrix(NamedTuple):
    """What `Alignments` holds, of one pair."""

    heights: Array
    inserted: Array
    query: Array
    target: Array
    scores: Scores

    def trace(self, row: int, column: int) -> tuple[list[int], list[int]]:
        """The places of the columns of the alignment that ends at a place of the band."""
        query: list[int] = []
        target: list[int] = []
        while (height := int(self.heights[row, column])) > 0:
            place = row - 1 + column
            agree = self.query[row - 1] == self.target[place]
            gain = self.scores.match if agree else self.scores.mismatch
            if height == self.heights[row - 1, column] + gain:
                query.append(row - 1)
                target.append(place)
                row -= 1
            elif height == self.inserted[row, column]:
                length = self._insertion(row, column)
                query += range(row - 1, row - 1 - length, -1)
                target += [-1] * length
                row, column = row - length, column + length
            else:
                length = self._deletion(row, column)
                query += [-1] * length
                target += range(place, place - length, -1)
                column -= length
        return query[::-1], target[::-1]

    def _insertion(self, row: int, column: int) -> int:
        """The length of the gap in the target that ends at a place."""
        return next(
            length
            for length in range(1, row + 1)
            if self.heights[row - length, column + length] - self._cost(length)
            == self.inserted[row, column]
        )

    def _deletion(self, row: int, column: int) -> int:
        """The length of the gap in the query that ends at a place."""
        return next(
            length
            for length in range(1, column + 1)
            if self.heights[row, column - length] - self._cost(length) == self.heights[row, column]
        )

    def _cost(self, length: int) -> int:
        return self.scores.gap_open + length * self.scores.gap_extend


__all__ = ["Alignments", "Scores", "align"]
