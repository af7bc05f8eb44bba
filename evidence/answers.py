"""Cited answers: what the records say to a question, and a model's words checked against them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rnagpt.evidence.comparison import compare
from rnagpt.evidence.confidence import confidence_of_match
from rnagpt.evidence.gathering import Evidence
from rnagpt.evidence.matching import content
from rnagpt.evidence.questions import SEQUENCE_KINDS, About, Kind, Question, find_about, understand
from rnagpt.evidence.record_sentences import Sentence
from rnagpt.evidence.sentences import answer_from_records, decline, tell_reading
from rnagpt.evidence.support import check_sentence, read_sentences

RECORDS, SEQUENCE, MODEL, NONE = BASES = ("records", "sequence", "model", "none")
UNSUPPORTED = "[not in the records]"
# What the model may read of an RNA that no record matches: of families it only knows those that
# the search has just excluded.
READABLE = frozenset({Kind.IDENTITY, Kind.TYPE, Kind.SUMMARY})
# Questions with one answer: other words that a record supports do not answer them.
CLOSED = frozenset(
    {
        Kind.IDENTITY,
        Kind.FAMILY,
        Kind.TYPE,
        Kind.ACCESSION,
        Kind.NAME,
        Kind.CLAN,
        Kind.TERMS,
        Kind.PAPERS,
        Kind.GENE,
        Kind.PLACE,
        Kind.CERTAINTY,
    }
)
# Questions that what the RNA is does not answer.
OPEN = frozenset(
    {
        Kind.FUNCTION,
        Kind.PROCESS,
        Kind.LOCATION,
        Kind.INTERACTION,
        Kind.TARGETS,
        Kind.REGULATORS,
        Kind.MARKER,
        Kind.DISEASE,
        Kind.ORGANISM,
        Kind.STRUCTURE,
        Kind.OTHER,
    }
)
_PLACE_WORDS = "part nucleotide reverse complement strand match"
_DASHES = re.compile(r"[–—]")


@dataclass(frozen=True)
class CitedAnswer:
    """An answer, sentence by sentence, with what it rests on.

    Attributes:
        question: as it was asked.
        kind: what the question asks for.
        about: names of the RNAs that it is about.
        sentences: each with the records that support it.
        basis: `RECORDS`, `SEQUENCE`, `MODEL` (read from the sequence by a model alone), or `NONE`
            (nothing is known, or nothing of what was asked).
        confidence: how likely it is that the cited records are of this RNA's family, from 0 to 1;
            None where that was not calibrated.
        note: what the reader is told besides, such as which RNA is meant; may be empty.
    """

    question: str
    kind: Kind
    about: tuple[str, ...]
    sentences: tuple[Sentence, ...]
    basis: str
    confidence: float | None = None
    note: str = ""

    @property
    def text(self) -> str:
        """The answer with its citations; what no record supports is marked.

        A model's own reading needs no mark: its sentence says so.
        """
        mark = "" if self.basis == MODEL else f" {UNSUPPORTED}"
        pieces = [
            sentence.with_marks() if sentence.supported else f"{sentence.text}{mark}"
            for sentence in self.sentences
        ]
        return " ".join(([f"({self.note})"] if self.note else []) + pieces)

    @property
    def plain(self) -> str:
        """The answer without citations."""
        return " ".join(sentence.text for sentence in self.sentences)

    @property
    def cites(self) -> tuple[int, ...]:
        """Numbers of the records that it cites, in their order."""
        return tuple(dict.fromkeys(n for sentence in self.sentences for n in sentence.cites))

    @property
    def abstains(self) -> bool:
        """Whether it says that this is not known."""
        return self.basis == NONE

    def to_dict(self) -> dict[str, Any]:
        """What programs read of it, beside its text."""
        confidence = self.confidence if self.confidence is None else round(self.confidence, 4)
        return {
            "basis": self.basis,
            "confidence": confidence,
            "about": list(self.about),
            "sentences": [
                {"text": s.text, "records": list(s.cites), "supported": s.supported}
                for s in self.sentences
            ],
        }


@dataclass(frozen=True)
class LookUp:
    """A question with the evidence that it is about, and the answer of the records alone.

    Attributes:
        question: understood.
        about: which RNAs.
        evidences: of these.
        answer: in the records' own words; says so where they do not tell.
    """

    question: Question
    about: About
    evidences: tuple[Evidence, ...]
    answer: CitedAnswer = field(repr=False)

    @property
    def is_known(self) -> bool:
        """Whether records or sequence answer."""
        return self.answer.basis != NONE

    @property
    def is_readable(self) -> bool:
        """Whether the model may be asked for its own reading: the search was silent."""
        silent = len(self.evidences) == 1 and self.evidences[0].is_silent
        return silent and self.answer.basis == NONE and self.question.kind in READABLE


def look_up(text: str, evidences: Sequence[Evidence], about: Sequence[int] = ()) -> LookUp:
    """Answer a question from the records.

    Args:
        text: the question.
        evidences: of the RNAs given, in order, with numbers that differ.
        about: the places, from 0, of those that it is about where it names none itself; by default
            the last one.

    Raises:
        ValueError: the question is about an RNA that was not given, or no RNA was.
    """
    if not evidences:
        raise ValueError("No RNA was given. Add one, and ask again.")
    names = [evidence.name for evidence in evidences]
    question = understand(text, names)
    return _looked_up(question, find_about(text, names, about), names, evidences)


def _looked_up(
    question: Question, about: About, names: Sequence[str], evidences: Sequence[Evidence]
) -> LookUp:
    if question.kind is Kind.COMPARE and len(about.places) == 1 and len(evidences) > 1:
        others = (*about.places, *(n for n in range(len(names)) if n not in about.places))
        about = About(tuple(sorted(others[:2] if about.named else range(len(names)))), named=True)
    chosen = tuple(evidences[place] for place in about.places)
    return LookUp(question, about, chosen, _answer(question, about, chosen, len(evidences)))


def answer_about(text: str, evidence: Evidence) -> CitedAnswer:
    """The records' answer to a question that is about one RNA, whatever it is called in it."""
    return _answer(understand(text), About((0,), named=True), (evidence,), 1)


def _answer(
    question: Question, about: About, evidences: tuple[Evidence, ...], given: int
) -> CitedAnswer:
    names = tuple(evidence.name for evidence in evidences)
    note = "" if about.named or given == 1 else f"about {names[-1]}, the last RNA given"
    if question.kind is Kind.COMPARE and len(evidences) > 1:
        sentences = compare(evidences)
        basis = RECORDS if any(sentence.cites for sentence in sentences) else NONE
        sure = confidence_of(evidences, sentences)
        return CitedAnswer(question.text, question.kind, names, tuple(sentences), basis, sure)
    if len(evidences) > 1:
        parts = [_answer(question, About((0,), True), (evidence,), 1) for evidence in evidences]
        return _joined(question, names, parts)
    (evidence,) = evidences
    found = answer_from_records(question, evidence)
    if found is None:
        said = decline(question, evidence)
        if question.kind in READABLE and evidence.is_silent:
            reading = evidence.facts.type_reading
            if reading is not None:
                told = (said, tell_reading(reading))
                sure = reading.confidence
                return CitedAnswer(question.text, question.kind, names, told, MODEL, sure, note)
        return CitedAnswer(question.text, question.kind, names, (said,), NONE, None, note)
    if question.kind in SEQUENCE_KINDS:
        return CitedAnswer(question.text, question.kind, names, tuple(found), SEQUENCE, None, note)
    sure = confidence_of(evidences, found)
    return CitedAnswer(question.text, question.kind, names, tuple(found), RECORDS, sure, note)


def _joined(
    question: Question, names: tuple[str, ...], parts: Sequence[CitedAnswer]
) -> CitedAnswer:
    """One answer about several RNAs: each sentence says whose it is."""
    sentences = tuple(
        Sentence(f"{name}: {sentence.text}", sentence.cites, sentence.supported)
        for name, part in zip(names, parts, strict=True)
        for sentence in part.sentences
    )
    bases = {part.basis for part in parts}
    basis = next(base for base in BASES if base in bases)
    known = [part.confidence for part in parts if part.confidence is not None]
    least = min(known) if len(known) == len(parts) else None
    return CitedAnswer(question.text, question.kind, names, sentences, basis, least)


def confidence_of(evidences: Iterable[Evidence], sentences: Iterable[Sentence]) -> float | None:
    """How likely the cited records are of the RNAs' families: that of the least likely one.

    None where nothing is cited, or a cited match is of a kind that was not calibrated.
    """
    cited = {number for sentence in sentences for number in sentence.cites}
    items = (item for evidence in evidences for item in evidence.items if item.number in cited)
    values = [confidence_of_match(item.hit) for item in items]
    known = [value for value in values if value is not None]
    return min(known) if known and len(known) == len(values) else None


def check_words(words: str, look: LookUp) -> CitedAnswer:
    """A model's words, checked: each sentence with the record that supports it.

    Where the records answer the question themselves, an answer with anything that they do not say
    is replaced by theirs: a name, an accession or a term is the record's, or is not given. (Repair
    in place of constrained decoding: it holds for any language model, one behind an address too.)
    Else sentences that no record supports are marked; where none is supported, the question is
    declined.
    """
    if len(look.evidences) != 1:
        return look.answer
    (evidence,) = look.evidences
    sentences = tuple(check_sentence(written, evidence) for written in read_sentences(words))
    is_clean = bool(sentences) and all(sentence.supported for sentence in sentences)
    if look.is_known and not (is_clean and _answers(sentences, look)):
        return look.answer
    if not any(sentence.supported for sentence in sentences):
        return look.answer
    if look.question.kind in OPEN and _only_introduces(sentences, evidence):
        return look.answer
    said = look.answer
    is_cited = any(sentence.cites for sentence in sentences)
    return CitedAnswer(
        said.question,
        said.kind,
        said.about,
        sentences,
        RECORDS if is_cited else SEQUENCE,
        confidence_of(look.evidences, sentences),
        said.note,
    )


def _only_introduces(sentences: Iterable[Sentence], evidence: Evidence) -> bool:
    """Whether words say no more than what the RNA is and where, which answers no open question."""
    introduced = content(_PLACE_WORDS)
    for item in evidence.items:
        record = item.record
        introduced |= content(f"{record.name} {record.description} {record.type} {record.id}")
    return all(
        word in introduced or word.replace(",", "").isdigit()
        for sentence in sentences
        for word in content(_DASHES.sub(" ", sentence.text))
    )


def _answers(sentences: tuple[Sentence, ...], look: LookUp) -> bool:
    """Whether words that the records support are an answer to this question, and the same one."""
    if look.question.kind is Kind.CHECK:
        given = sentences[0].text.lower()
        known = look.answer.sentences[0].text.lower()
        return given.split(",")[0].split()[0] == known.split(",")[0].split()[0]
    if look.question.kind in SEQUENCE_KINDS:
        return not any(sentence.cites for sentence in sentences)
    if look.question.kind in CLOSED:
        wanted = content(look.answer.sentences[0].text)
        said = content(" ".join(sentence.text for sentence in sentences))
        return len(wanted & said) >= len(wanted) / 2
    return any(sentence.cites for sentence in sentences)


__all__ = [
    "BASES",
    "MODEL",
    "NONE",
    "RECORDS",
    "SEQUENCE",
    "UNSUPPORTED",
    "CitedAnswer",
    "LookUp",
    "answer_about",
    "check_words",
    "confidence_of",
    "look_up",
]
