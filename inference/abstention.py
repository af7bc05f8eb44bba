"""Whether an answer says that the model does not know."""

from __future__ import annotations

import re

# How training words it (`unfamiliar_rnas.DECLINED`), and what a language model says of itself.
_DECLINING = re.compile(
    r"\b(?:do(?:es)? not|don['’]t|cannot|can['’]t|could not|couldn['’]t|unable to)\s+"
    r"(?:recogni[sz]e|identify|tell|determine|know)\b",
    re.IGNORECASE,
)


def declines(answer: str) -> bool:
    """Whether an answer declines to say what an RNA is.

    Its first sentence alone counts: an answer may name a family and go on with what is not known
    of it.

    Examples:
        >>> declines("I do not recognise this RNA: it is like no family that I know.")
        True
        >>> declines("It belongs to the tRNA family (tRNA).")
        False
    """
    return bool(_DECLINING.search(re.split(r"(?<=[.!?])\s", answer.strip(), maxsplit=1)[0]))


__all__ = ["declines"]
