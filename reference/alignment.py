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
    flat = heights.reshape(-1, pairs)
    end, best = flat.argmax(axis=0), flat.max(axis=0, initial=0)
    for number in np.flatnonzero(best >= max(least, 1)):
        matrix = _Matrix(
            heights[:, :, number],
            inserted[:, :, number],
            query[:, number],
            target[:, number],
            scores,
        )
        row, column = divmod(int(end[number]), width)
        yield Alignment(int(number), int(best[number]), *matrix.trace(row, column))


class _Matrix(NamedTuple):
    """The scores of one pair.

    Attributes:
        heights: (rows + 1, width), best scores of alignments that end at a place; row n + 1 is that
            of letter n of the query.
        inserted: (rows + 1, width), of those that end with a letter of the query above a gap.
        query, target, scores: as in `align`.
    """

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


__all__ = ["Alignment", "Scores", "align"]
