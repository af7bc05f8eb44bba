"""Secondary structures as text: which of their nucleotides pair."""

from __future__ import annotations

import string
from collections.abc import Iterable

_OPENING = {"(": ")", "<": ">", "[": "]", "{": "}"}
_KINDS = ("[]", "{}", "<>", *(letter + letter.lower() for letter in string.ascii_uppercase))
_CLOSING = {closing: opening for opening, closing in _OPENING.items()}


def base_pairs(structure: str) -> list[tuple[int, int]]:
    """The base pairs of a structure in WUSS or dot-bracket notation, 0-based, pseudoknots left out.

    A bracket whose partner is missing, as at the end of a partial match, is no pair.
    """
    open_brackets: dict[str, list[int]] = {opening: [] for opening in _OPENING}
    pairs = []
    for place, letter in enumerate(structure):
        if letter in _OPENING:
            open_brackets[letter].append(place)
        elif letter in _CLOSING and (waiting := open_brackets[_CLOSING[letter]]):
            pairs.append((waiting.pop(), place))
    return sorted(pairs)


def pseudoknot_pairs(structure: str) -> list[tuple[int, int]]:
    """The pairs of pseudoknots in WUSS notation, where `A` pairs with `a` and so on, 0-based.

    A letter whose partner is missing is no pair.
    """
    open_letters: dict[str, list[int]] = {}
    pairs = []
    for place, letter in enumerate(structure):
        if letter.isascii() and letter.isupper():
            open_letters.setdefault(letter.lower(), []).append(place)
        elif waiting := open_letters.get(letter):
            pairs.append((waiting.pop(), place))
    return sorted(pairs)


def with_pseudoknots(structure: str, pairs: Iterable[tuple[int, int]]) -> str:
    """Dots and brackets with further pairs, which may cross, in brackets of other kinds.

    Args:
        structure: of dots and round brackets.
        pairs: 0-based, between dots of the structure.

    Returns:
        As ViennaRNA and others read it: `[]`, `{}`, `<>`, then `Aa`, `Bb` and so on, the first kind
        in which a pair crosses none.

    Raises:
        ValueError: 29 kinds are not enough.
    """
    letters = list(structure)
    layers: list[list[tuple[int, int]]] = [[] for _ in _KINDS]
    for first, second in sorted(pairs):
        for layer, kind in zip(layers, _KINDS, strict=True):
            if not any(_cross((first, second), other) for other in layer):
                layer.append((first, second))
                letters[first], letters[second] = kind[0], kind[1]
                break
        else:
            raise ValueError(f"{len(_KINDS)} kinds of brackets are too few for these pairs.")
    return "".join(letters)


def _cross(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[0] < one[1] < other[1] or other[0] < one[0] < other[1] < one[1]


__all__ = ["base_pairs", "pseudoknot_pairs", "with_pseudoknots"]
