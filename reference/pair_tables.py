"""The scores of base pairs, made from seed alignments and the profiles that were built from them.

For each pair of the consensus structure whose columns are both match columns of the profile: the
letters of both columns are counted together, in rows that differ in some paired column, and
`PSEUDOCOUNT` is added, spread as base pairs are in general. The score of two letters is the log-
odds of this against the product of the profile's own letters in each column, so that it adds to
what the profile counts and does not repeat it. It is limited to `MAX_BITS` each way: one pair
alone, such as of a family of a few near-identical rows, decides nothing.
"""

from __future__ import annotations

import io
from array import array
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyhmmer.plan7 import HMM

from rnagpt.reference.pairs import LETTERS, UNIT
from rnagpt.reference.profiles import SeedAlignment
from rnagpt.sequences.structure import base_pairs

Array = NDArray[Any]

PSEUDOCOUNT = 16.0  # pairs
# Shares of the pairs in structures; the other ten share what is missing to 1.
_USUAL = {"GC": 0.27, "CG": 0.27, "AU": 0.17, "UA": 0.17, "GU": 0.045, "UG": 0.045}
CAN_PAIR_SHARE = 0.9
MAX_BITS = 2.0
_GAP = len(LETTERS)


def _prior() -> Array:
    prior = np.full((4, 4), (1 - CAN_PAIR_SHARE) / 10)
    for pair, share in _USUAL.items():
        place = LETTERS.index(pair[0]), LETTERS.index(pair[1])
        prior[place] = CAN_PAIR_SHARE * share / sum(_USUAL.values())
    return prior


def _codes() -> Array:
    codes = np.full(256, _GAP, dtype=np.uint8)
    for code, letter in enumerate(LETTERS):
        codes[[ord(letter), ord(letter.lower())]] = code
    codes[[ord("T"), ord("t")]] = LETTERS.index("U")
    return codes


_PRIOR, _CODES = _prior(), _codes()


def match_columns(hmm: HMM[Any]) -> tuple[list[int], Array]:
    """The match columns of a profile, as HMMER's text format has them.

    See "HMMER profile HMM files" in its User's Guide, 3.4.

    Returns:
        The column of the alignment, 0-based, of each (the field MAP), and the probabilities of A,
        C, G and U there `(columns, 4)`.
    """
    text = io.BytesIO()
    hmm.write(text, binary=False)
    lines = iter(text.getvalue().decode().splitlines())
    for line in lines:
        if line.startswith("HMM "):
            break
    columns: list[int] = []
    emissions: list[list[float]] = []
    for line in lines:
        number, *words = line.split()
        if number == str(len(columns) + 1):
            # Negative natural logarithms, "*" for a probability of 0; then MAP.
            emissions.append([float(word.replace("*", "inf")) for word in words[:4]])
            columns.append(int(words[4]) - 1)
    return columns, np.exp(-np.array(emissions))


def pair_scores(seed: SeedAlignment, hmm: HMM[Any]) -> tuple[list[tuple[int, int]], Array]:
    """The pairs of a family and their scores.

    Args:
        seed: its alignment.
        hmm: the profile that was built from `seed`.

    Returns:
        Columns of the profile, counted from 1, and scores in bits `(pairs, 4, 4)`, by the letter in
        the left and in the right column.
    """
    nothing: list[tuple[int, int]] = []
    if not (in_alignment := base_pairs(seed.structure)):
        return nothing, np.zeros((0, 4, 4))
    places, emissions = match_columns(hmm)
    column_of = {place: column for column, place in enumerate(places)}
    kept = [pair for pair in in_alignment if pair[0] in column_of and pair[1] in column_of]
    if not kept:
        return nothing, np.zeros((0, 4, 4))
    rows = np.stack([_CODES[np.frombuffer(row.encode("ascii"), np.uint8)] for _, row in seed.rows])
    left, right = np.array(kept).T
    paired = np.unique(np.concatenate([rows[:, left], rows[:, right]], axis=1), axis=0)
    single = np.eye(5)[:, :4][paired]
    together = np.einsum("rpa,rpb->pab", single[:, : len(kept)], single[:, len(kept) :])
    counted = together.sum(axis=(1, 2), keepdims=True)
    shares = (together + PSEUDOCOUNT * _PRIOR) / (counted + PSEUDOCOUNT)
    columns = [(column_of[one], column_of[other]) for one, other in kept]
    first, second = (emissions[list(side)] for side in zip(*columns, strict=True))
    alone = np.maximum(first[:, :, None] * second[:, None, :], 1e-12)
    scores = np.clip(np.log2(shares / alone), -MAX_BITS, MAX_BITS)
    return [(one + 1, other + 1) for one, other in columns], scores


def make_tables(
    seeds: Iterable[SeedAlignment], hmms: Mapping[str, HMM[Any]]
) -> tuple[array[int], dict[str, int]]:
    """What `pairs.write` writes, of all families with pairs."""
    numbers, counts = array("i"), {}
    for seed in seeds:
        columns, scores = pair_scores(seed, hmms[seed.id])
        if columns:
            units = np.rint(scores.reshape(-1, 16) / UNIT)
            table = np.concatenate([np.array(columns), units], axis=1).astype(np.intc)
            numbers.frombytes(table.tobytes())
            counts[seed.id] = len(columns)
    return numbers, counts


__all__ = ["MAX_BITS", "PSEUDOCOUNT", "make_tables", "match_columns", "pair_scores"]
