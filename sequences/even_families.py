"""A draw of RNAs in which every family has about as many as any other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np

_Row = TypeVar("_Row")


def even_families(
    rows: Sequence[_Row],
    most: int,
    seed: int = 0,
    family_of: Callable[[_Row], Any] = attrgetter("family"),
) -> list[_Row]:
    """At most N rows, at random, with about as many of each family as it has to give.

    Args:
        rows: RNAs.
        most: N.
        seed: of the draw.
        family_of: tells a row's family; by default its attribute `family`.
    """
    order = np.random.default_rng(seed).permutation(len(rows)).tolist()
    met: Counter[Any] = Counter()
    ranks = {}
    for index in order:
        family = family_of(rows[index])
        ranks[index] = met[family]
        met[family] += 1
    return [rows[index] for index in sorted(order, key=ranks.__getitem__)[:most]]


__all__ = ["even_families"]
