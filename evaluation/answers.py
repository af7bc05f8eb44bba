"""The answers of all systems, by what was asked; read from disk when they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rnagpt.evaluation.matching import Judge, fold
from rnagpt.evaluation.predictions import PredictionFile, Row
from rnagpt.evaluation.tasks import KNOWN, DrawnRna
from rnagpt.inference.abstention import declines

EVALUATED, NEVER_SEEN, CALIBRATION = "evaluated", "unseen", "calibration"
# The first of those evaluated.
UNDER_CONTROL, COMPARED = "under control", "compared"


def begins_alike(annotation: str, answer: str) -> bool:
    """Whether an answer begins with the first sentence of an annotation, letter case apart."""
    first = annotation.partition(". ")[0].rstrip(".")
    return fold(answer)[: len(fold(first))] == fold(first)


@dataclass(frozen=True)
class Asked:
    """What was asked, and of whom.

    Attributes:
        system: one of `SYSTEMS`.
        group: of RNAs: `EVALUATED` and its first ones `UNDER_CONTROL` and `COMPARED`, `NEVER_SEEN`
            or `CALIBRATION`.
        control: `REAL` or one of `CONTROLS`.
        question: one of `QUESTIONS`.
    """

    system: str
    group: str
    control: str
    question: str


class Answers:
    """Answers in a file, a row for each RNA that a question was asked about.

    What is right is judged when it is asked for, by the names that the judge knows.
    """

    def __init__(self, file: PredictionFile, judge: Judge) -> None:
        self._file = file
        self.judge = judge
        self._keys: dict[Asked, list[str]] = {}
        self._rnas: dict[Asked, Sequence[DrawnRna]] = {}

    def put(self, asked: Asked, rnas: Sequence[DrawnRna], keys: list[str]) -> None:
        """Tell where the answers about RNAs are."""
        self._keys[asked] = keys
        self._rnas[asked] = rnas

    def __contains__(self, asked: Asked) -> bool:
        return asked in self._keys

    def rnas(self, asked: Asked) -> Sequence[DrawnRna]:
        return self._rnas[asked]

    def rows(self, asked: Asked) -> Iterator[Row]:
        return self._file.read(self._keys[asked])

    def row(self, asked: Asked, place: int) -> Row:
        """The row of the RNA at a place."""
        return next(self._file.read([self._keys[asked][place]]))

    def column(self, asked: Asked, name: str) -> np.ndarray:
        """One number of each row: (rnas,)."""
        return np.array([row[name] for row in self.rows(asked)], dtype=float)

    def texts(self, asked: Asked) -> tuple[list[str], list[str]]:
        """What was right to say, and what was said."""
        pairs = [(row["reference"], row["answer"]) for row in self.rows(asked)]
        references, answers = zip(*pairs, strict=True)
        return list(references), list(answers)

    def names(self, asked: Asked) -> list[list[str]]:
        """What each answer names."""
        return [self.judge.names_in(row["answer"], asked.question) for row in self.rows(asked)]

    def right(self, asked: Asked) -> np.ndarray:
        """Whether each answer is right: booleans (rnas,).

        To the questions of family and type, whether it names it among others; to what is known,
        whether it begins as the annotation does, which says in its first sentence what the RNA is.
        """
        if asked.question == KNOWN:
            return np.array([begins_alike(*pair) for pair in zip(*self.texts(asked), strict=True)])
        labels = [rna.label_of(asked.question) for rna in self.rnas(asked)]
        return np.array([x in names for x, names in zip(labels, self.names(asked), strict=True)])

    def right_alone(self, asked: Asked) -> np.ndarray:
        """Whether each answer names what is right and nothing else: booleans (rnas,)."""
        labels = [rna.label_of(asked.question) for rna in self.rnas(asked)]
        return np.array([[x] == names for x, names in zip(labels, self.names(asked), strict=True)])

    def declined(self, asked: Asked) -> np.ndarray:
        """Whether each answer declines: booleans (rnas,)."""
        return np.array([declines(row["answer"]) for row in self.rows(asked)])


__all__ = [
    "CALIBRATION",
    "COMPARED",
    "EVALUATED",
    "NEVER_SEEN",
    "UNDER_CONTROL",
    "Answers",
    "Asked",
    "begins_alike",
]
