"""What a match's pairs and its extent say beside its score, as a factor of its P-value.

A profile's score takes each part of the family in each part of the query for equally likely, and
sees no pairs. A true match is often one of the whole family, or one of the whole query, and its
letters pair as the family's do. Each such supposition has a likelihood ratio against what the score
assumes; the support is their mean over the suppositions. In chance matches it has a mean of no more
than about 1, and then `pvalue / support` is a P-value still (Ignatiadis, Wang and Ramdas 2024,
Biometrika 111:417, for a support that does not depend on the P-value). That was measured:
`docs/results.md` counts chance hits.
"""

from __future__ import annotations

from math import log2

# Of the ends of a true match of all of a family, or of all of a query: that one more column, or
# letter, is missing there, given those that are.
_MISSING = 0.8
MAX_PAIR_BITS = 8.0
# With scores limited per pair, 2 ** bits has a mean of 0.4 to 0.7 in chance matches, not of 1.
_PAIRS_FACTOR = 2.0
MAX_SUPPORT = 2.0**10


def whole_ratio(matched: int, length: int) -> float:
    """How much likelier the ends of a match are if it is one of all than if it is one of any part.

    Args:
        matched: columns of a profile, or letters of a query, from the match's first to its last.
        length: of all.

    Returns:
        The ratio of `(1 - q)² q^(length - matched)` with q = 0.8, which is independent of how what
        is missing is shared by both ends, to one of all `length (length + 1) / 2` parts.
    """
    ends = (1 - _MISSING) ** 2 * _MISSING ** (length - matched)
    return ends * length * (length + 1) / 2


def support_bits(*, of_profile: float, of_query: float, pair_bits: float | None) -> float:
    """Bits by which a match is better, or worse, than its score.

    Args:
        of_profile, of_query: `whole_ratio` of the profile's columns and of the query's letters.
        pair_bits: of `PairTables.bits`; None without a pair.

    Returns:
        log2 of the support: the mean over any part, all of the family and all of the query, times,
        where there are pairs, that over letters that pair and letters that need not.
    """
    extent = (1 + of_profile + of_query) / 3
    pairs = 1.0
    if pair_bits is not None:
        pairs = (1 + _PAIRS_FACTOR * 2 ** min(pair_bits, MAX_PAIR_BITS)) / 2
    return log2(min(extent * pairs, MAX_SUPPORT))


__all__ = ["MAX_PAIR_BITS", "MAX_SUPPORT", "support_bits", "whole_ratio"]
