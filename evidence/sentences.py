"""Answers in the records' own words: for each kind of question, sentences with what they cite.

No language model is needed for these. They are what a model's words are held against, what stands
in their place where the words say what no record does, and the baseline "search only".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from rnagpt.evidence.facts import MAX_FOLDED, SequenceFacts
from rnagpt.evidence.gathering import Evidence
from rnagpt.evidence.literature import find_claims
from rnagpt.evidence.matching import find_sentences, names_record
from rnagpt.evidence.questions import Kind, Question
from rnagpt.evidence.record_sentences import (
    FROM_RECORD,
    RELATIONS,
    Sentence,
    Subject,
    cite_claim,
    join,
    tell_accession,
    tell_family,
    tell_identity,
    tell_type,
    told_of,
    with_papers,
)
from rnagpt.evidence.relations import names_of
from rnagpt.reference.records import FAMILY
from rnagpt.sequences.rna_types import PATH_OF_TYPE, is_type, named_type, with_article

if TYPE_CHECKING:
    from rnagpt.evidence.type_reading import TypeReading

MAX_PARTS = 3  # of one RNA that an answer speaks of
# What an RNA is asked to be that is no type of Rfam's.
_CODING = frozenset({"coding", "protein-coding", "protein coding", "mrna", "messenger rna"})
_NON_CODING = frozenset({"non-coding", "noncoding", "non coding"})
_ACCESSION = re.compile(r"rf\d{5}")


def answer_from_records(question: Question, evidence: Evidence) -> list[Sentence] | None:
    """What the sequence and the records say to a question about one RNA; None: nothing."""
    if of_sequence := _FROM_SEQUENCE.get(question.kind):
        return [Sentence(of_sequence(evidence.facts))]
    if not evidence.items:
        return None
    told = _from_literature(question, evidence)
    if told is not None:
        return told or None
    if question.kind is Kind.CHECK:
        return _check(question, evidence)
    if question.kind is Kind.OTHER:
        told = _quote(question, evidence)
        return [
            *_nearest(told, [Subject(item, evidence) for item in evidence.parts]),
            *told,
        ] or None
    subjects = [Subject(item, evidence) for item in evidence.parts[:MAX_PARTS]]
    if relation := RELATIONS.get(question.kind):
        told = [said for subject in subjects for said in relation.tell(subject, question)]
        return [*_nearest(told, subjects), *told] or None
    said = FROM_RECORD.get(question.kind)
    if said is None:
        return None
    return [sentence for subject in subjects for sentence in said(subject)] or None


# Kinds that papers on an RNA may answer better than a record's own fields.
_OF_PAPERS = frozenset(
    {
        Kind.OTHER,
        Kind.CHECK,
        Kind.UNKNOWABLE,
        Kind.FUNCTION,
        Kind.PROCESS,
        Kind.LOCATION,
        Kind.INTERACTION,
        Kind.TARGETS,
        Kind.REGULATORS,
        Kind.MARKER,
        Kind.DISEASE,
        Kind.PAPERS,
        Kind.TYPE,
        Kind.IDENTITY,
        Kind.COMPARE,
        Kind.GENE,
    }
)


def _from_literature(question: Question, evidence: Evidence) -> list[Sentence] | None:
    """What papers say of what a question names; empty: nothing, None: it names no such thing."""
    if question.kind not in _OF_PAPERS:
        return None
    subjects = [Subject(item, evidence) for item in evidence.parts[:MAX_PARTS]]
    told: list[Sentence] | None = None
    for subject in subjects:
        found = find_claims(question.text, subject.record, names_of(subject.record))
        if found is not None:
            differ = [subject.quote(found.differ)] if found.differ else []
            claims = [subject.quote(with_papers(claim)) for claim in found.claims]
            told = [*(told or []), *differ, *claims]
    return told and [*_nearest(told, subjects), *told]


def _nearest(told: Sequence[Sentence], subjects: Sequence[Subject]) -> Iterator[Sentence]:
    """That what is told was found of another RNA, where the record's is not the one that was given.

    Members of a family such as let-7 are alike, and papers tell different things of them.
    """
    cited = {number for sentence in told for number in sentence.cites}
    for subject in subjects:
        hit, record = subject.item.hit, subject.record
        if subject.item.number in cited and record.kind != FAMILY and hit.identity < 1:
            yield Sentence(
                f"The nearest record is of {record.name}, with {hit.identity:.0%} identity.",
                (subject.item.number,),
            )


def decline(question: Question, evidence: Evidence) -> Sentence:
    """What is said where neither records nor sequence answer."""
    if question.kind is Kind.UNKNOWABLE:
        text = "That cannot be read from a sequence and the records about it."
        return Sentence(text)
    if parts := evidence.parts[:MAX_PARTS]:
        names = join(dict.fromkeys(item.record.name for item in parts))
        record, does = ("record", "does") if len(parts) == 1 else ("records", "do")
        cites = tuple(item.number for item in parts)
        return Sentence(f"The {record} of {names} {does} not tell that.", cites)
    if evidence.note:
        return Sentence(f"Nothing is known of this RNA here: {evidence.note}.")
    return Sentence(f"No record of {evidence.reference} matches this RNA.")


def tell_reading(reading: TypeReading) -> Sentence:
    """The type that a sequence looks like, which no record supports."""
    text = f"By composition and folding alone, it looks like {with_article(reading.type)}."
    return Sentence(text, supported=False)


# --- the sequence


def _length(facts: SequenceFacts) -> str:
    return f"It is {facts.length:,} nucleotides long."


def _composition(facts: SequenceFacts) -> str:
    if facts.gc is None:
        return "None of its letters says which nucleotide it is, so its GC content is not known."
    return f"Its GC content is {facts.gc:.0%}."


def _ambiguity(facts: SequenceFacts) -> str:
    if not facts.ambiguous:
        return "None of its letters is ambiguous."
    letters = "letter is" if facts.ambiguous == 1 else "letters are"
    return f"{facts.ambiguous:,} of its {facts.length:,} {letters} ambiguous."


def tell_energy(facts: SequenceFacts) -> str:
    """What is said of the free energy, or why it is not known."""
    if facts.energy is not None:
        return (
            f"Its structure of minimum free energy has {facts.energy:.1f} kcal/mol "
            "(ViennaRNA, 37 °C)."
        )
    if facts.length > MAX_FOLDED:
        return (
            f"It has {facts.length:,} nt, and a free energy is computed for up to "
            f"{MAX_FOLDED:,} nt."
        )
    return "ViennaRNA, which computes the free energy, is not installed."


_FROM_SEQUENCE: dict[Kind, Callable[[SequenceFacts], str]] = {
    Kind.LENGTH: _length,
    Kind.COMPOSITION: _composition,
    Kind.AMBIGUITY: _ambiguity,
    Kind.ENERGY: tell_energy,
}


# --- yes or no, and what no pattern knows


def _check(question: Question, evidence: Evidence) -> list[Sentence] | None:
    """Yes, no, or what the RNA is where neither follows; None where what was asked is no name."""
    subjects = [Subject(item, evidence) for item in evidence.parts[:MAX_PARTS]]
    for subject in subjects:
        if said := _confirmed(question.asked, subject):
            return [said if question.denied else _answered("Yes", said)]
    first = subjects[0]
    if said := _refuted(question.asked, first):
        # Of a part it does not follow that the RNA is not the other.
        is_plain = first.is_whole and not question.denied and not question.contains
        return [_answered("No", said) if is_plain else said]
    if named_type(question.asked) and first.record.type:
        return [next(tell_type(first))]
    if found := _quote(question, evidence):
        return found
    return [next(tell_identity(first))] if _is_name(question) else None


def _confirmed(asked: str, subject: Subject) -> Sentence | None:
    """What the RNA is, where it is what was asked."""
    record = subject.record
    asked_type = "non-coding RNA" if asked in _NON_CODING else named_type(asked)
    if asked_type and record.type and is_type(asked_type, record.type):
        return next(tell_type(subject))
    return next(tell_family(subject)) if names_record(asked, record) else None


def _refuted(asked: str, subject: Subject) -> Sentence | None:
    """What the RNA is, where that excludes what was asked."""
    record = subject.record
    if _ACCESSION.fullmatch(asked):
        others = {other.record.id.lower() for other in subject.item.hit.others}
        is_other = _ACCESSION.fullmatch(record.id.lower()) and asked not in others
        return next(tell_accession(subject)) if is_other else None
    if not record.type:
        return None
    if asked in _CODING:
        is_gene = PATH_OF_TYPE.get(record.type, ("",))[0] == "Gene"
        return next(tell_type(subject)) if is_gene else None
    # "Hammerhead ribozyme" is a ribozyme.
    other = named_type(asked) or named_type(asked.rpartition(" ")[2])
    is_excluded = other is not None and is_type(other, record.type) is False
    return next(tell_type(subject)) if is_excluded else None


def _is_name(question: Question) -> bool:
    """Whether what was asked may be the name of an RNA, and no property such as "human"."""
    asked = question.asked
    written = re.search(re.escape(asked), question.text, re.IGNORECASE)
    looks_so = written and re.search(r"\d|[A-Z]", written[0])
    return bool(looks_so or named_type(asked.rpartition(" ")[2]) or asked in _CODING | _NON_CODING)


def _answered(answer: str, sentence: Sentence) -> Sentence:
    text = sentence.text[0].lower() + sentence.text[1:]
    return Sentence(f"{answer}, {text}", sentence.cites)


def _quote(question: Question, evidence: Evidence) -> list[Sentence]:
    """The records' sentences that speak of what was asked."""
    found: list[Sentence] = []
    for item in evidence.parts[:MAX_PARTS]:
        sentences = find_sentences(question.text, told_of(item.record), item.record)
        found += [Sentence(cite_claim(text, item.record), (item.number,)) for text in sentences]
    return found[:MAX_PARTS]


__all__ = ["answer_from_records", "decline", "tell_energy", "tell_reading"]
