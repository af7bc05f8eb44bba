"""Secondary structures as text: which of their nucleotides pair."""

from __future__ import annotations

_OPENING = {"(": ")", "<": ">", "[": "]", "{": "}"}
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


__all__ = ["base_pairs"]
