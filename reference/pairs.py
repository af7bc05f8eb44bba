"""Base pairs as evidence: how well the letters of a match go together where its family pairs them.

A profile sees one column at a time. Two columns that pair in a family's consensus structure say
more together than each by itself: letters that have both changed and still pair speak for the
family, letters that no longer pair against it. `pair_tables.py` makes the scores, from seed
alignments.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping
from pathlib import Path

COLUMNS, SCORES = "pairs.json", "pairs.scores"
LETTERS = "ACGU"
UNIT = 0.01  # bits, of the scores in files
FIELDS = 2 + len(LETTERS) ** 2  # of a pair: its two columns and the scores of all letters
_CODE = {letter: code for code, letter in enumerate(LETTERS)} | {"T": 3}


class PairTables:
    """The pairs of many families with their scores.

    Args:
        numbers: `FIELDS` integers a pair: both columns of the profile, counted from 1, and the
            scores of AA, AC … UU in `UNIT`s.
        counts: pairs of each family, by its id, in the order of `numbers`.
    """

    def __init__(self, numbers: array[int], counts: Mapping[str, int]) -> None:
        self._numbers = numbers
        self._places: dict[str, tuple[int, int]] = {}
        first = 0
        for family, count in counts.items():
            self._places[family] = (first * FIELDS, (first + count) * FIELDS)
            first += count

    @classmethod
    def read(cls, folder: Path) -> PairTables:
        """The tables that `write` left in a folder; empty ones where there are none."""
        numbers = array("i")
        if not (folder / COLUMNS).is_file():
            return cls(numbers, {})
        numbers.frombytes((folder / SCORES).read_bytes())
        return cls(numbers, json.loads((folder / COLUMNS).read_text(encoding="utf-8")))

    def bits(self, family: str, letters: Mapping[int, str]) -> float | None:
        """The score of a match's pairs: the sum over those of which both columns hold a letter.

        Args:
            family: whose profile matches.
            letters: A, C, G, U of the query by column of the profile, counted from 1; others are
                passed over.

        Returns:
            Bits; None where there is no such pair.
        """
        start, end = self._places.get(family, (0, 0))
        total, pairs = 0, 0
        for place in range(start, end, FIELDS):
            left = _CODE.get(letters.get(self._numbers[place], ""))
            right = _CODE.get(letters.get(self._numbers[place + 1], ""))
            if left is not None and right is not None:
                total += self._numbers[place + 2 + left * len(LETTERS) + right]
                pairs += 1
        return total * UNIT if pairs else None


def write(folder: Path, numbers: array[int], counts: Mapping[str, int]) -> None:
    """Write what `PairTables.read` reads."""
    (folder / SCORES).write_bytes(numbers.tobytes())
    (folder / COLUMNS).write_text(json.dumps(dict(counts)), encoding="utf-8")


__all__ = ["FIELDS", "LETTERS", "UNIT", "PairTables", "write"]
