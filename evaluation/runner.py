"""Asking the systems: their answers on disk, and which of them are right."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from tqdm import tqdm

from rnagpt.cleaning_rnagpt import CleanedRna
from rnagpt.evaluation.baselines import CONTROLS, NONE, REAL, SWAPPED, give, partners_of
from rnagpt.evaluation.matching import AnswerMatcher, fold
from rnagpt.evaluation.systems import RNA_GPT, SEQUENCE, Rating, Reply, System
from rnagpt.evaluation.tasks import (
    CALIBRATION,
    COMPARED,
    EVALUATED,
    KNOWN,
    NEVER_SEEN,
    QUESTIONS,
    UNDER_CONTROL,
    DrawnRna,
)
from rnagpt.inference.abstention import is_abstention
from rnagpt.sequences.rna_types import first_sentence

Row = dict[str, Any]
# Batches whose answers are written to the file together.
_BATCHES = 4


class PredictionFile:
    """A file of answers, one JSON object per line, with which an interrupted run resumes.

    Every row has a `key`, which tells it from all others. Only the lines' places are in memory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[str, int] = {}
        path.touch()
        self._file = path.open("r+b")
        end = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            self._places[self._key_of(line)] = end
            end += len(line)
        # The last line was being written when an earlier run was killed.
        os.truncate(path, end)

    def _key_of(self, line: bytes) -> str:
        row = json.loads(line)
        if "key" not in row:
            raise ValueError(
                f"{self.path} holds answers in an older form. Give another folder as OUT."
            )
        return str(row["key"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def append(self, row: Row) -> None:
        self._places[row["key"]] = self._file.seek(0, os.SEEK_END)
        self._file.write((json.dumps(row, ensure_ascii=False) + "\n").encode())
        self._file.flush()

    def read(self, keys: Iterable[str]) -> Iterator[Row]:
        """The rows of keys, in the keys' order."""
        for key in keys:
            self._file.seek(self._places[key])
            yield json.loads(self._file.readline())


def begins_alike(annotation: str, answer: str) -> bool:
    """Whether an answer begins with the first sentence of an annotation, letter case apart."""
    first = fold(first_sentence(annotation))
    return fold(answer)[: len(first)] == first


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

    What is right is decided when it is asked for, by the names that the matcher knows.
    """

    def __init__(self, file: PredictionFile, matcher: AnswerMatcher) -> None:
        self._file = file
        self.matcher = matcher
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
        return [self.matcher.names_in(row["answer"], asked.question) for row in self.rows(asked)]

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

    def abstained(self, asked: Asked) -> np.ndarray:
        """Whether each answer abstains: booleans (rnas,)."""
        return np.array([is_abstention(row["answer"]) for row in self.rows(asked)])


class EvalRunner:
    """Asks one system, and takes from the file what it said before.

    Args:
        system: whom to ask.
        file: of answers.
        matcher: finds what answers name.
        seed: of partners and shuffles.
        rated: whether to ask too how likely the system is to give the right answers. Annotations
            are not rated: they are long, and no answer is expected to be one word for word.
    """

    def __init__(
        self,
        system: System,
        file: PredictionFile,
        matcher: AnswerMatcher,
        seed: int,
        *,
        rated: bool,
    ) -> None:
        self.system = system
        self.settings = system.settings()
        self.file = file
        self.matcher = matcher
        self.seed = seed
        self.rated = rated

    def ask(
        self, question: str, rnas: Sequence[DrawnRna], control: str = REAL, group: str = ""
    ) -> list[str]:
        """Ask one of `QUESTIONS` about each RNA, unless the file has the answer.

        With `SWAPPED` the answers are those about the partners, which have to be asked about
        before: all RNAs are asked the same questions, and greedily, so none is asked again.

        Args:
            question: one of `QUESTIONS`.
            rnas: that it is about.
            control: which RNA is given with it: `REAL` or one of `CONTROLS`.
            group: of the RNAs, for the reader of the file.

        Returns:
            The rows' keys in the file, in the RNAs' order.
        """
        given = give(rnas, control, self.seed)
        keys = [
            self._key(question, rna, one, control) for rna, one in zip(rnas, given, strict=True)
        ]
        # With another RNA the answer is the one about that RNA.
        partners = [rnas[i] for i in partners_of(rnas, self.seed)] if control == SWAPPED else None
        waiting = [index for index, key in enumerate(keys) if key not in self.file]
        # RNAs of similar length share a batch; a lack of memory shows at once with the longest.
        lengths = [len(rna.sequence) if rna else 0 for rna in given]
        waiting.sort(key=lengths.__getitem__, reverse=True)
        label = f"{self.system.name}, {group}, {control}: {question}"
        with tqdm(total=len(rnas), initial=len(rnas) - len(waiting), desc=label, unit="RNA") as bar:
            size = self.system.batch_size * _BATCHES
            for start in range(0, len(waiting), size):
                chunk = waiting[start : start + size]
                asked = [given[i] for i in chunk]
                replies = (
                    self._replies(question, asked)
                    if partners is None
                    else self._known_replies(question, [partners[i] for i in chunk])
                )
                ratings = self._ratings(question, [rnas[i] for i in chunk], asked)
                for i, reply, rating in zip(chunk, replies, ratings, strict=True):
                    place = {"key": keys[i], "group": group, "control": control}
                    self.file.append(place | self._row(question, rnas[i], given[i], reply, rating))
                bar.update(len(chunk))
        return keys

    def _key(self, question: str, rna: DrawnRna, given: CleanedRna | None, control: str) -> str:
        """A digest of all that an answer and its judgement depend on."""
        # A region may be listed in two families, and another data set may reuse an identifier.
        about = [rna.id, rna.accession, rna.answer_to(question)]
        sequence = given.sequence if given else None
        parts = [self.settings, control, QUESTIONS[question], *about, sequence]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]

    def _replies(self, question: str, given: Sequence[CleanedRna | None]) -> list[Reply]:
        if all(rna is None for rna in given):
            return list(self.system.answer(QUESTIONS[question], [None])) * len(given)
        return list(self.system.answer(QUESTIONS[question], given))

    def _known_replies(self, question: str, rnas: Sequence[DrawnRna]) -> list[Reply]:
        keys = [self._key(question, rna, rna.cleaned, REAL) for rna in rnas]
        return [Reply(row["answer"], row["log_probability"]) for row in self.file.read(keys)]

    def _ratings(
        self, question: str, rnas: Sequence[DrawnRna], given: Sequence[CleanedRna | None]
    ) -> Sequence[Rating | None]:
        if not self.rated or question == KNOWN:
            return [None] * len(rnas)
        answers = [rna.answer_to(question) for rna in rnas]
        return list(self.system.rate(QUESTIONS[question], given, answers))

    def _row(
        self,
        question: str,
        rna: DrawnRna,
        given: CleanedRna | None,
        reply: Reply,
        rating: Rating | None,
    ) -> Row:
        names = self.matcher.names_in(reply.answer, question)
        return {
            "system": self.system.name,
            "id": rna.id,
            "family": rna.family,
            "family_accession": rna.accession,
            "type": rna.type,
            "question": question,
            "asked": QUESTIONS[question],
            "answer": reply.answer,
            "log_probability": reply.log_probability,
            "abstains": is_abstention(reply.answer),
            "names": names,
            "right": None if question == KNOWN else rna.label_of(question) in names,
            "reference": rna.answer_to(question),
            "reference_log_probability": rating.log_probability if rating else None,
            "reference_tokens": rating.tokens if rating else None,
            "sequence": given.sequence if given else None,
            "settings": self.settings,
        }


def ask_everything(
    runner: EvalRunner,
    answers: Answers,
    groups: Mapping[str, Sequence[DrawnRna]],
    questions: Sequence[str],
) -> None:
    """Asks a system all that the tables need, and tells `answers` where it is.

    Every system is asked every question about the RNAs that systems are compared on, the plain
    language model without an RNA too; RNA-GPT is asked about the others, and under the controls.

    Args:
        runner: with the system.
        answers: receives the places of the answers.
        groups: RNAs by `EVALUATED`, `UNDER_CONTROL`, `COMPARED`, `NEVER_SEEN`, `CALIBRATION`; the
            last two may lack.
        questions: those of `QUESTIONS` that the data set has answers to.
    """
    name = runner.system.name

    def ask(group: str, control: str, question: str) -> list[str]:
        keys = runner.ask(question, groups[group], control, group)
        answers.put(Asked(name, group, control, question), groups[group], keys)
        return keys

    if name != RNA_GPT:
        for question in questions:
            ask(COMPARED, REAL, question)
            if name == SEQUENCE:
                ask(COMPARED, NONE, question)
        return
    for question in questions:
        # What is known takes long to say.
        asked, controlled = (COMPARED,) * 2 if question == KNOWN else (EVALUATED, UNDER_CONTROL)
        keys = ask(asked, REAL, question)
        for group in {COMPARED, controlled}:
            rnas = groups[group]
            answers.put(Asked(name, group, REAL, question), rnas, keys[: len(rnas)])
        for control in CONTROLS:
            ask(controlled, control, question)
    for question in questions:
        if NEVER_SEEN in groups and question != KNOWN:
            ask(NEVER_SEEN, REAL, question)
        if CALIBRATION in groups:
            ask(CALIBRATION, REAL, question)
