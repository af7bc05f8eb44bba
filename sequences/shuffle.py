"""Shuffles an RNA and keeps its dinucleotides: what looks like RNA and is none."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import numpy as np


def shuffle_dinucleotides(sequence: str, random: np.random.Generator) -> str:
    """A random sequence with the same counts of dinucleotides, the same first and last letter.

    Stacked pairs give most of a fold's energy, so a plain shuffle would differ from an RNA by its
    dinucleotides already. Every such sequence is drawn with the same probability: it is an Eulerian
    path through the graph whose edges are the dinucleotides (Altschul and Erickson, Mol. Biol.
    Evol. 2, 526–538, 1985).

    Args:
        sequence: any letters; fewer than three stay as they are.
        random: where the draws come from.

    Examples:
        >>> shuffle_dinucleotides("GCGGAUUUAGCUC", np.random.default_rng(0))
        'GGCUUUCGAUAGC'
    """
    if len(sequence) < 3:
        return sequence
    successors: dict[str, list[str]] = defaultdict(list)
    for letter, following in pairwise(sequence):
        successors[letter].append(following)
    last_edges = _draw_last_edges(successors, sequence[-1], random)
    order = {
        letter: _put_last(following, last_edges.get(letter), random)
        for letter, following in successors.items()
    }
    path = [sequence[0]]
    for _ in sequence[1:]:
        path.append(order[path[-1]].pop())
    return "".join(path)


def _draw_last_edges(
    successors: dict[str, list[str]], end: str, random: np.random.Generator
) -> dict[str, str]:
    """The edge by which each letter is left for the last time: together a tree towards the end.

    Drawn by loop-erased random walks (Wilson, STOC 1996), in which an edge that is there twice is
    twice as likely: so all shuffles of the remaining edges are, too.
    """
    tree = {end}
    edges: dict[str, str] = {}
    for start in successors:
        letter = start
        while letter not in tree:
            # A later visit overwrites an earlier one, which erases the loop between them.
            edges[letter] = successors[letter][random.integers(len(successors[letter]))]
            letter = edges[letter]
        letter = start
        while letter not in tree:
            tree.add(letter)
            letter = edges[letter]
    return {letter: edges[letter] for letter in tree - {end}}


def _put_last(following: list[str], last: str | None, random: np.random.Generator) -> list[str]:
    """The letters that follow one, at random, in the order in which `pop` takes them."""
    rest = list(following)
    if last is not None:
        rest.remove(last)
    shuffled = [rest[index] for index in random.permutation(len(rest))]
    return shuffled if last is None else [last, *shuffled]


__all__ = ["shuffle_dinucleotides"]
