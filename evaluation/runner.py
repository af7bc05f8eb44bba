"""Asks systems about RNAs and writes down what they said, and what was right."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence

from tqdm import tqdm

from rnagpt.evaluation.answers import (
    CALIBRATION,
    COMPARED,
    EVALUATED,
    NEVER_SEEN,
    UNDER_CONTROL,
    Answers,
    Asked,
)
from rnagpt.evaluation.controls import CONTROLS, REAL, SWAPPED, give, partners_of
from rnagpt.evaluation.matching import Judge
from rnagpt.evaluation.predictions import PredictionFile, Row
from rnagpt.evaluation.systems import RNA_GPT, Rating, Reply, System
from rnagpt.evaluation.tasks import KNOWN, QUESTIONS, DrawnRna
from rnagpt.inference.abstention import declines
from rnagpt.processing_rnagpt import CleanedRna

# Batches whose answers are written to the file together.
_BATCHES = 4


class Interview:
    """Asks one system, and takes from the file what it said before.

    Args:
        system: whom to ask.
        file: of answers.
        judge: finds what answers name.
        seed: of partners and shuffles.
        rated: whether to ask too how likely the system is to give the right answers. Annotations
            are not rated: they are long, and no answer is expected to be one word for word.
    """

    def __init__(
        self, system: System, file: PredictionFile, judge: Judge, seed: int, *, rated: bool
    ) -> None:
        self.system = system
        self.settings = system.settings()
        self.file = file
        self.judge = judge
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
        waiting.sort(key=lambda index: _length(given[index]), reverse=True)
        label = f"{self.system.name}, {group}, {control}: {question}"
        with tqdm(total=len(rnas), initial=len(rnas) - len(waiting), desc=label, unit="RNA") as bar:
            for chunk in _chunks(waiting, self.system.batch_size * _BATCHES):
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
        names = self.judge.names_in(reply.answer, question)
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
            "declines": declines(reply.answer),
            "names": names,
            "right": None if question == KNOWN else rna.label_of(question) in names,
            "reference": rna.answer_to(question),
            "reference_log_probability": rating.log_probability if rating else None,
            "reference_tokens": rating.tokens if rating else None,
            "sequence": given.sequence if given else None,
            "settings": self.settings,
        }


def ask_everything(
    interview: Interview,
    answers: Answers,
    groups: Mapping[str, Sequence[DrawnRna]],
    questions: Sequence[str],
) -> None:
    """Asks a system all that the tables need, and tells `answers` where it is.

    Every system is asked every question about the RNAs that systems are compared on; RNA-GPT is
    asked about the others too, and under the controls.

    Args:
        interview: with the system.
        answers: receives the places of the answers.
        groups: RNAs by `EVALUATED`, `UNDER_CONTROL`, `COMPARED`, `NEVER_SEEN`, `CALIBRATION`; the
            last two may lack.
        questions: those of `QUESTIONS` that the data set has answers to.
    """
    name = interview.system.name

    def ask(group: str, control: str, question: str) -> list[str]:
        keys = interview.ask(question, groups[group], control, group)
        answers.put(Asked(name, group, control, question), groups[group], keys)
        return keys

    if name != RNA_GPT:
        for question in questions:
            ask(COMPARED, REAL, question)
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


def _chunks(places: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (places[start : start + size] for start in range(0, len(places), size))


def _length(rna: CleanedRna | None) -> int:
    return len(rna.sequence) if rna else 0


__all__ = ["Interview", "ask_everything"]
