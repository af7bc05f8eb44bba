"""The other strand of a sequence, and sequences by chance."""

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


__all__ = ["random_sequence", "reverse_complement"]
