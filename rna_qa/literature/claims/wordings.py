"""The wording of a question: what its kind asks for, with what its claim names beside the RNA."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from string import Formatter

from rnagpt.rna_qa.literature.claims.categories import LAST_RESORT, Kind
from rnagpt.rna_qa.literature.claims.slots import (
    diseases,
    drugs,
    genes,
    outcomes,
    processes,
    specimens,
)

# What questions of every kind are made of: two that differ in these words alone ask for the same.
_FRAME_WORDS = """
a about an and are by do does for have how in is it its known me of on play plays role tell the this
to what which with rna
"""
_FRAME = frozenset(_FRAME_WORDS.split())
_WORD = re.compile(r"[^\W_]+(?:-[^\W_]+)*")
MAX_OF_A_SLOT = 4  # genes of a long list, in questions
_GENERAL = frozenset(("of", "about"))
Signature = tuple[str, ...]


def choose_question(
    kind: Kind,
    answer: str,
    masked: str,
    draw: Callable[[str], float],
    asked: set[Signature],
) -> str | None:
    """A question that the answer answers and that was not asked; None where all were.

    First what its kind asks for in general, in one of its wordings, then what it asks for of a gene
    or a process, then `LAST_RESORT`.

    Args:
        masked: the answer with "@" in place of the RNA's names.
        draw: A number from 0 to 1 that a text draws: chooses the wording.
        asked: What was asked of this RNA; the new question is added.
    """
    slots = _slots_of(answer, masked)
    named = diseases(answer)[:2] or [""]
    for disease in named:
        for signature, question in _questions(kind, slots, disease, draw):
            words = ("words", *sorted(content_of(question)))
            if signature not in asked and words not in asked:
                asked.update((signature, words))
                return question
    return None


def content_of(question: str) -> frozenset[str]:
    """The words of a question that tell what it asks for."""
    return frozenset(_WORD.findall(question.lower())) - _FRAME


def _questions(
    kind: Kind, slots: Mapping[str, Sequence[str]], disease: str, draw: Callable[[str], float]
) -> Iterator[tuple[Signature, str]]:
    """Questions, each with what it asks for: two of one signature are one in other words."""
    general = [wording for wording in kind.questions if _slot_of(wording) is None]
    if general:
        wording = general[int(draw(kind.category) * len(general))]
        yield (kind.category, disease), _fill(wording, disease)
    for wording in (*(one for one in kind.questions if _slot_of(one)), *LAST_RESORT):
        slot = _slot_of(wording) or ""
        for value in slots[slot][:MAX_OF_A_SLOT]:
            yield (slot, value.lower(), disease), _fill(wording, disease, **{slot: value})


def _slot_of(wording: str) -> str | None:
    """The name of what a wording asks of, ``gene``; None for a general one."""
    names = {name for _, name, _, _ in Formatter().parse(wording) if name} - _GENERAL
    return next(iter(names), None)


def _fill(wording: str, disease: str, **slots: str) -> str:
    of = f" in {disease}" if disease else ""
    about = f" about {disease or 'a patient'}"
    if wording.startswith("Is "):
        about = f" of {disease}" if disease else ""
    return wording.format(of=of, about=about, **slots)


def _slots_of(answer: str, masked: str) -> dict[str, list[str]]:
    return {
        "gene": genes(masked),
        "process": processes(answer),
        "drug": drugs(answer),
        "specimen": specimens(answer),
        "outcome": outcomes(answer),
    }


__all__ = ["choose_question", "content_of"]
