"""The other strand of a sequence, parts and mutants of it, and sequences by chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_COMPLEMENT = str.maketrans("ACGTURYKMSWBDHVN", "UGCAAYRMKSWVHDBN")
_LETTERS = "ACGU"


def reverse_complement(sequence: str) -> str:
    """The other strand of an RNA, from its own 5' end; upper-case IUPAC letters, others stay.

    Examples:
        >>> reverse_complement("GGAUN")
        'NAUCC'
    """
    return sequence.translate(_COMPLEMENT)[::-1]


def random_sequence(length: int, random: np.random.Generator) -> str:
    """Letters drawn independently, A, C, G and U alike."""
    return "".join(_LETTERS[place] for place in random.integers(0, 4, length).tolist())


_STOPS = ("UAA", "UAG", "UGA")


def random_coding(length: int, random: np.random.Generator) -> str:
    """An open reading frame of about so many nucleotides, from start to stop, codons at random.

    Codons of real genes are uneven; what matters is that the frame stays open and third letters
    are free.
    """
    codons = ["AUG"]
    while 3 * len(codons) < length - 3:
        codon = random_sequence(3, random)
        if codon not in _STOPS:
            codons.append(codon)
    return "".join([*codons, "UAA"])


def mutate(sequence: str, share: float, random: np.random.Generator) -> str:
    """The sequence with each letter changed into another of A, C, G and U with this probability."""
    letters = list(sequence)
    for place in (random.random(len(letters)) < share).nonzero()[0]:
        others = [letter for letter in _LETTERS if letter != letters[place]]
        letters[place] = others[random.integers(3)]
    return "".join(letters)


def changed_copy(
    sequence: str, share: float, random: np.random.Generator, max_start: int = 0
) -> str:
    """A copy as a relative might be: letters replaced, lost and gained, and begun elsewhere.

    Args:
        sequence: upper-case letters.
        share: of its letters that are changed, 0 to 1: half of these become another of A, C, G and
            U, a quarter is lost, before a quarter a random letter is put.
        random: draws.
        max_start: at most so many letters are left out at the 5' end.

    Returns:
        At least one letter, at most as many as the sequence has.
    """
    start = int(random.integers(min(max_start, len(sequence) - 1) + 1))
    letters = list(mutate(sequence[start:], share / 2, random))
    for place in (random.random(len(letters)) < share / 2).nonzero()[0]:
        lost = random.random() < 0.5
        letters[place] = "" if lost else _LETTERS[random.integers(4)] + letters[place]
    return "".join(letters)[: len(sequence)] or sequence[0]


def middle_part(sequence: str, share: float) -> str:
    """The middle of a sequence, `share` of its length.

    Examples:
        >>> middle_part("AACCGGUUAA", 0.6)
        'CCGGUU'
    """
    cut = round(len(sequence) * (1 - share) / 2)
    return sequence[cut : len(sequence) - cut]


__all__ = [
    "changed_copy",
    "middle_part",
    "mutate",
    "random_coding",
    "random_sequence",
    "reverse_complement",
]
