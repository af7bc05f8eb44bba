"""Features of a sequence that tell types of RNA apart: composition, folding, ends, length.

They need no family: a box C/D snoRNA closes with a short stem between its boxes, a microRNA's
precursor is one long hairpin, a terminator ends in U.
"""

from __future__ import annotations

import itertools
import math
import re

import numpy as np

from rnagpt.sequences.folding import MAX_FOLDED, fold_with_energy

MIN_READ, MAX_READ = 30, MAX_FOLDED  # nt
_KMERS = {
    "".join(letters): place
    for place, letters in enumerate(
        letters for size in (1, 2, 3) for letters in itertools.product("ACGU", repeat=size)
    )
}
_END = 6  # nt at each end whose letters count
_LETTERS = "ACGU"
FOLDING = (
    "share paired",
    "energy per nt",
    "start of the first pair",
    "rest after the last pair",
    "hairpins",
    "hairpins per nt",
    "longest hairpin loop",
)
# Boxes of snoRNAs where they lie (C and D at the ends, ACA at the 3' end), and a terminator's U.
MOTIFS = ("box C", "box D", "ACA at the end", "U in the last 8")
NAMES = (
    *_KMERS,
    *FOLDING,
    *MOTIFS,
    "length",
    "log length",
    *(f"{end} {place} {letter}" for end in "53" for place in range(_END) for letter in _LETTERS),
)


def type_features(sequence: str) -> np.ndarray:
    """Features of one cleaned sequence of `MIN_READ` to `MAX_READ` nt: (features,), float32.

    Raises:
        ImportError: when ViennaRNA is not installed.
        ValueError: it is shorter or longer.
    """
    if not MIN_READ <= len(sequence) <= MAX_READ:
        raise ValueError(
            f"Types are read from sequences of {MIN_READ} to {MAX_READ} nt; this one has "
            f"{len(sequence):,}."
        )
    return np.concatenate(
        [
            _composition(sequence),
            _folding(sequence),
            _motifs(sequence),
            [len(sequence), math.log(len(sequence))],
            _ends(sequence),
        ]
    ).astype(np.float32)


def _composition(sequence: str) -> np.ndarray:
    """Shares of single letters, pairs and triplets."""
    counts = np.zeros(len(_KMERS))
    for size in (1, 2, 3):
        for start in range(len(sequence) - size + 1):
            place = _KMERS.get(sequence[start : start + size])
            if place is not None:
                counts[place] += 1
    return counts / len(sequence)


def _folding(sequence: str) -> np.ndarray:
    pairs, energy = fold_with_energy(sequence)
    length = len(sequence)
    first, last = pairs.find("("), pairs.rfind(")")
    loops = [len(loop) - 2 for loop in re.findall(r"\(\.+\)", pairs)]
    return np.array(
        [
            2 * pairs.count("(") / length,
            energy / length,
            first / length if loops else 1.0,
            (length - 1 - last) / length if loops else 1.0,
            len(loops),
            len(loops) / length,
            max(loops, default=0),
        ]
    )


def _motifs(sequence: str) -> np.ndarray:
    return np.array(
        [
            float("UGAUGA" in sequence[:20]),
            float("CUGA" in sequence[-15:]),
            float("ACA" in sequence[-6:]),
            sequence[-8:].count("U"),
        ]
    )


def _ends(sequence: str) -> np.ndarray:
    """The letters of both ends, from the outside, one column each."""
    columns = np.zeros((2, _END, len(_LETTERS)))
    for row, letters in enumerate((sequence[:_END], sequence[::-1][:_END])):
        for place, letter in enumerate(letters):
            if letter in _LETTERS:
                columns[row, place, _LETTERS.index(letter)] = 1
    return columns.ravel()


__all__ = ["MAX_READ", "MIN_READ", "NAMES", "type_features"]
