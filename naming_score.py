"""Does an answer name the right family or RNA type, and how sure is the share of those that do?"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

_WORD = re.compile(r"[^\W_]+")


def fold(text: str) -> tuple[str, ...]:
    """The words of a text, without case, punctuation and white space.

    Example:
        >>> fold("5S_rRNA (RF00001)")
        ('5s', 'rrna', 'rf00001')
    """
    return tuple(_WORD.findall(text.casefold()))


class Names:
    """Finds in free text what goes by given names: families, or types of RNA.

    A name counts as a whole: neither a part of it nor a part of a word does, so "SNORD11" is not in
    "SNORD113". A name within a longer one does not count either: "tRNA" is not in "tRNA-Sec". A
    name that several share tells none of them: 64 families are each described as "CRISPR RNA direct
    repeat element".

    Args:
        names: for each thing its names.

    Example:
        >>> families = Names({"RF00005": ["tRNA"], "RF01852": ["tRNA-Sec"]})
        >>> families.named_in("It belongs to the tRNA-sec family.")
        {'RF01852'}
    """

    def __init__(self, names: Mapping[str, Iterable[str]]) -> None:
        self._owners: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for owner, spellings in names.items():
            for words in filter(None, map(fold, spellings)):
                self._owners[words].add(owner)
        self._longest = max(map(len, self._owners), default=0)

    def named_in(self, text: str) -> set[str]:
        """All that a text names."""
        words = fold(text)
        spans = [
            (start, end)
            for start in range(len(words))
            for end in range(start + 1, min(start + self._longest, len(words)) + 1)
            if words[start:end] in self._owners
        ]
        named: set[str] = set()
        for start, end in spans:
            within_longer = any(
                first <= start and end <= last and (first, last) != (start, end)
                for first, last in spans
            )
            owners = self._owners[words[start:end]]
            if len(owners) == 1 and not within_longer:
                named |= owners
        return named


def draw_partners(families: Sequence[str], seed: int) -> np.ndarray:
    """For each RNA another one, of a different family, drawn at random.

    Args:
        families: family of each RNA.
        seed: of the random numbers.

    Returns:
        The partners' positions (rnas,).

    Raises:
        ValueError: when all are of one family.
    """
    codes = np.unique(families, return_inverse=True)[1]
    if codes.max(initial=0) == 0:
        raise ValueError(
            f"RNAs are swapped between families, and the {len(codes)} drawn are of one family. "
            "Raise --limit or lower --min_training_rnas."
        )
    generator = np.random.default_rng(seed)
    return np.array([generator.choice(np.flatnonzero(codes != code)) for code in codes])


def bootstrap_interval(
    scores: Sequence[float] | np.ndarray, *, seed: int, resamples: int = 1000
) -> tuple[float, float]:
    """95 % interval of a mean by the percentile bootstrap (Efron, 1979).

    Args:
        scores: one for each RNA, the unit that is drawn anew.
        seed: of the random numbers.
        resamples: how often all are drawn.
    """
    values = np.asarray(scores, dtype=float)
    generator = np.random.default_rng(seed)
    means = [generator.choice(values, size=len(values)).mean() for _ in range(resamples)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


__all__ = ["Names", "bootstrap_interval", "draw_partners", "fold"]
