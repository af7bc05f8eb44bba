"""What the search is asked: RNAs as people paste them, and sequences that are of no family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rnagpt.sequences.shuffle import shuffle_dinucleotides
from rnagpt.sequences.strands import (
    middle_part,
    mutate,
    random_coding,
    random_sequence,
    reverse_complement,
)

# Sequences of the trade that are in many files and are no RNA of a family.
PRIMERS = (
    "AGATCGGAAGAGCACACGTCTGAACTCCAGTCA",  # Illumina TruSeq, read 1
    "AGATCGGAAGAGCGTCGTGTAGGGAAAGAGTGT",  # Illumina TruSeq, read 2
    "TGGAATTCTCGGGTGCCAAGG",  # small RNA, 3' adapter
    "GTTCAGAGTTCTACAGTCCGACGATC",  # small RNA, 5' adapter
    "CTGTCTCTTATACACATCT",  # Nextera
    "TAATACGACTCACTATAGGG",  # T7 promoter
    "ATTTAGGTGACACTATAG",  # SP6 promoter
    "AGAGTTTGATCMTGGCTCAG",  # 27F
    "TACGGYTACCTTGTTACGACTT",  # 1492R
    "GTAAAACGACGGCCAGT",  # M13 forward
    "CAGGAAACAGCTATGAC",  # M13 reverse
    "TTTTTTTTTTTTTTTTTTTTVN",  # oligo-dT
)
REPEATS = ("A", "U", "G", "C", "AU", "GC", "CA", "GA", "UUAGGG", "CUG", "CAG", "GGGGCC")


@dataclass(frozen=True)
class Condition:
    """A way in which RNAs are pasted.

    Attributes:
        name: of the row in the report.
        change: from the sequence to what is searched.
        strand: that the hit has to lie on.
    """

    name: str
    change: Callable[[str, np.random.Generator], str]
    strand: str = "+"


def flanked(length: int) -> Callable[[str, np.random.Generator], str]:
    """With `length` random letters on each side."""

    def change(sequence: str, random: np.random.Generator) -> str:
        return random_sequence(length, random) + sequence + random_sequence(length, random)

    return change


CONDITIONS = (
    Condition("whole", lambda sequence, _: sequence),
    Condition("100 nt on each side", flanked(100)),
    Condition("500 nt on each side", flanked(500)),
    Condition("antisense, with the strand", lambda sequence, _: reverse_complement(sequence), "-"),
    Condition(
        "5 % of the letters changed", lambda sequence, random: mutate(sequence, 0.05, random)
    ),
    Condition("the middle 70 %", lambda sequence, _: middle_part(sequence, 0.7)),
)


def made_negatives(
    sequences: Sequence[str], count: int, random: np.random.Generator
) -> dict[str, list[str]]:
    """Sequences of no family: made ones, and some of the trade."""
    lengths = [len(sequences[n]) for n in random.integers(0, len(sequences), count)]
    shuffled = [sequences[n] for n in random.integers(0, len(sequences), count)]
    return {
        "random": [random_sequence(length, random) for length in lengths],
        "shuffled, dinucleotides kept": [
            shuffle_dinucleotides(sequence, random) for sequence in shuffled
        ],
        "coding sequence, made": [random_coding(length, random) for length in lengths],
        "primers and adapters": [primer.replace("T", "U") for primer in PRIMERS],
        "repeats": [(unit * 200)[:length] for unit in REPEATS for length in (30, 80, 200)],
    }


__all__ = [
    "CONDITIONS",
    "Condition",
    "flanked",
    "made_negatives",
]
