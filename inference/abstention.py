"""Abstention: answers that say that the model does not know."""

from __future__ import annotations

import re

# The wording of training (`training.negatives.DECLINED`), and what language models say themselves.
_ABSTAINING = re.compile(
    r"\b(?:do(?:es)? not|don['’]t|cannot|can['’]t|could not|couldn['’]t|unable to)\s+"
    r"(?:recogni[sz]e|identify|tell|determine|know)\b",
    re.IGNORECASE,
)


def is_abstention(answer: str) -> bool:
    """Whether an answer says that the model does not know the RNA.

    Only its first sentence counts: an answer may name a family and continue with what is not known
    about it.

    Examples:
        >>> is_abstention("I do not recognise this RNA: it is like no family that I know.")
        True
        >>> is_abstention("It belongs to the tRNA family (tRNA).")
        False
    """
    return bool(_ABSTAINING.search(re.split(r"(?<=[.!?])\s", answer.strip(), maxsplit=1)[0]))


__all__ = ["is_abstention"]
