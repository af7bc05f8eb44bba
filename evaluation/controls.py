"""Which RNA is given with a question: the one it is about, or another in its place.

A model that reads the RNA loses its score with a wrong RNA, or with none. One that has learnt what
answers usually say keeps it.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from rnagpt.evaluation.tasks import DrawnRna
from rnagpt.processing_rnagpt import CleanedRna
from rnagpt.sequences.shuffle import shuffle_dinucleotides

REAL, SWAPPED, SHUFFLED, NONE = "real", "swapped", "shuffled", "none"
CONTROLS = {
    SWAPPED: "another family's RNA",
    SHUFFLED: "shuffled, dinucleotides kept",
    NONE: "no RNA",
}


def draw_partners(groups: Sequence[str], seed: int) -> np.ndarray:
    """For each RNA another one, of a different group, drawn at random.

    Args:
        groups: of each RNA its family, or what else may not be the same.
        seed: of the random numbers.

    Returns:
        The partners' positions (rnas,).

    Raises:
        ValueError: when all are of one group.
    """
    codes = np.unique(groups, return_inverse=True)[1]
    if codes.max(initial=0) == 0:
        raise ValueError(
            f"RNAs are swapped between families, and the {len(codes)} drawn are of one family. "
            "Raise --limit and --compare_limit, or lower --min_training_rnas."
        )
    generator = np.random.default_rng(seed)
    return np.array([generator.choice(np.flatnonzero(codes != code)) for code in codes])


def partners_of(rnas: Sequence[DrawnRna], seed: int) -> np.ndarray:
    """The partners of RNAs: of another family, and without families of another annotation."""
    return draw_partners([rna.accession or rna.annotation for rna in rnas], seed)


def give(rnas: Sequence[DrawnRna], control: str, seed: int) -> list[CleanedRna | None]:
    """The RNAs that are given with questions about `rnas`.

    Args:
        rnas: that the questions are about.
        control: `REAL` or one of `CONTROLS`.
        seed: of partners and shuffles. An RNA's shuffle depends on nothing else but its name.
    """
    if control == NONE:
        return [None] * len(rnas)
    if control == SWAPPED:
        return [rnas[partner].cleaned for partner in partners_of(rnas, seed)]
    if control == SHUFFLED:
        return [_shuffled(rna.cleaned, seed) for rna in rnas]
    return [rna.cleaned for rna in rnas]


def _shuffled(rna: CleanedRna, seed: int) -> CleanedRna:
    random = np.random.default_rng([seed, zlib.crc32(rna.name.encode())])
    return CleanedRna(f"{rna.name}/shuffled", shuffle_dinucleotides(rna.sequence, random))


__all__ = [
    "CONTROLS",
    "NONE",
    "REAL",
    "SHUFFLED",
    "SWAPPED",
    "draw_partners",
    "give",
    "partners_of",
]
