"""Which families and types of RNA an answer names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from datasets import Dataset

from rnagpt.evaluation.tasks import FAMILY, KNOWN, TYPE
from rnagpt.inference.abstention import is_abstention

_WORD = re.compile(r"[^\W_]+")
# What joins words to one: "tRNA-dependent" is no tRNA.
_JOINTS = frozenset("-‐‑–_")


def fold(text: str) -> tuple[str, ...]:
    """The words of a text, without case, punctuation and white space.

    Examples:
        >>> fold("5S_rRNA (RF00001)")
        ('5s', 'rrna', 'rf00001')
    """
    return tuple(_WORD.findall(text.casefold()))


class Names:
    """Finds in free text what goes by given names: families, or types of RNA.

    A name counts as a whole: neither a part of it nor a part of a word does, so "SNORD11" is not in
    "SNORD113", nor "tRNA" in "tRNA-dependent". A name within a longer one does not count either:
    "tRNA" is not in "tRNA-Sec". A name that several share tells none of them: 64 families are each
    described as "CRISPR RNA direct repeat element".

    Args:
        names: for each thing its names.

    Examples:
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
        text = text.casefold()
        places = [match.span() for match in _WORD.finditer(text)]
        words = tuple(text[first:last] for first, last in places)
        spans = [
            (start, end)
            for start in range(len(words))
            for end in range(start + 1, min(start + self._longest, len(words)) + 1)
            if words[start:end] in self._owners
            and _is_whole(text, places[start][0], places[end - 1][1])
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


def _is_whole(text: str, first: int, last: int) -> bool:
    """Whether `text[first:last]` is not joined to a word before or after it."""
    before, after = text[max(first - 2, 0) : first], text[last : last + 2]
    joined_before = len(before) == 2 and before[1] in _JOINTS and before[0].isalnum()
    joined_after = len(after) == 2 and after[0] in _JOINTS and after[1].isalnum()
    return not (joined_before or joined_after)


class AnswerMatcher:
    """Finds the families, by their accessions, and the types that answers name.

    Names are looked for among those of all families and types of the data set: see `Names`.

    Args:
        splits: annotations, with `rna_type`, and where they have families with their columns.
        has_families: whether they do.
    """

    def __init__(self, splits: Iterable[Dataset], has_families: bool = True) -> None:
        names: dict[str, set[str]] = {}
        types: dict[str, set[str]] = {}
        spellings = ("family_accession", "family", "family_description")
        for rows in splits:
            types |= {rna_type: {rna_type} for rna_type in set(rows["rna_type"][:])}
            if has_families:
                columns = (rows[name][:] for name in spellings)
                for accession, *others in set(zip(*columns, strict=True)):
                    names.setdefault(accession, {accession}).update(filter(None, others))
        self._names = {FAMILY: Names(names), TYPE: Names(types), KNOWN: Names({})}

    def names_in(self, answer: str, question: str) -> list[str]:
        """What an answer to one of `QUESTIONS` names, in order of the alphabet.

        An answer that abstains names nothing, whatever words it takes.
        """
        return [] if is_abstention(answer) else sorted(self._names[question].named_in(answer))
