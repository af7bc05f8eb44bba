"""Answers in the records' own words: for each kind of question, sentences with what they cite.

No language model is needed for these. They are what a model's words are held against, what stands
in their place where the words say what no record does, and the baseline "search only".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnagpt.evidence.facts import MAX_FOLDED, SequenceFacts
from rnagpt.evidence.gathering import Evidence, Item
from rnagpt.evidence.literature import find_claims
from rnagpt.evidence.matching import content, find_sentences, names_record
from rnagpt.evidence.questions import Kind, Question
from rnagpt.evidence.relations import (
    Names,
    names_of,
    tells_disease,
    tells_marking,
    tells_regulators,
    tells_targets,
)
from rnagpt.evidence.topics import (
    ACTION,
    FUNCTION,
    GO_COMPONENT,
    GO_FUNCTION,
    INTERACTION,
    LOCATION,
    REGULATORS,
    TARGETS,
    is_process,
    pick,
)
from rnagpt.reference.records import FAMILY, Claim, Record, Term
from rnagpt.sequences.rna_types import (
    PATH_OF_TYPE,
    family_sentence,
    is_type,
    named_type,
    type_sentence,
    with_article,
)

if TYPE_CHECKING:
    from rnagpt.evidence.type_reading import TypeReading

MAX_PARTS = 3  # of one RNA that an answer speaks of
MAX_PAPERS = 5
MAX_CLAIMS = 3  # of papers, in an answer
MAX_DRAWN = 300  # nt of a dot-bracket structure in an answer
LISTED_AS = {
    "Gene": "an RNA gene",
    "Cis-reg": "a cis-regulatory element",
    "Intron": "an intron",
}
# What an RNA is asked to be that is no type of Rfam's.
_CODING = frozenset({"coding", "protein-coding", "protein coding", "mrna", "messenger rna"})
_NON_CODING = frozenset({"non-coding", "noncoding", "non coding"})
_ACCESSION = re.compile(r"rf\d{5}")


@dataclass(frozen=True)
class Sentence:
    """A sentence of an answer.

    Attributes:
        text: without citations.
        cites: numbers of the records that support it; empty where it is of the sequence alone.
        supported: whether a record, or the sequence, says so.
    """

    text: str
    cites: tuple[int, ...] = ()
    supported: bool = True

    def with_marks(self) -> str:
        """The sentence with its citations before the full stop: "It is a tRNA [1]."."""
        if not self.cites:
            return self.text
        marks = "".join(f"[{number}]" for number in self.cites)
        body, stop = (self.text[:-1], self.text[-1]) if self.text[-1:] in ".!?" else (self.text, "")
        return f"{body} {marks}{stop}"


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
            *_nearest(told, [_Subject(item, evidence) for item in evidence.parts]),
            *told,
        ] or None
    subjects = [_Subject(item, evidence) for item in evidence.parts[:MAX_PARTS]]
    if relation := _RELATIONS.get(question.kind):
        told = [said for subject in subjects for said in relation.tell(subject, question)]
        return [*_nearest(told, subjects), *told] or None
    said = _FROM_RECORD.get(question.kind)
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
    subjects = [_Subject(item, evidence) for item in evidence.parts[:MAX_PARTS]]
    told: list[Sentence] | None = None
    for subject in subjects:
        found = find_claims(question.text, subject.record, names_of(subject.record))
        if found is not None:
            differ = [subject.quote(found.differ)] if found.differ else []
            claims = [subject.quote(_with_papers(claim)) for claim in found.claims]
            told = [*(told or []), *differ, *claims]
    return told and [*_nearest(told, subjects), *told]


def _nearest(told: Sequence[Sentence], subjects: Sequence[_Subject]) -> Iterator[Sentence]:
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
        names = _join(dict.fromkeys(item.record.name for item in parts))
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


# --- the records


class _Subject:
    """A record as the subject of sentences about an RNA, or about the part of it that matches."""

    def __init__(self, item: Item, evidence: Evidence) -> None:
        self.item = item
        self.record = item.record
        self.evidence = evidence
        hit = item.hit
        self.is_whole = evidence.is_whole(item)
        place = f"nucleotides {hit.start:,}–{hit.end:,}"
        if hit.strand == "-":
            words = f"reverse complement of its {place}" if not self.is_whole else ""
            self.name = f"The {words}" if words else "Its reverse complement"
        else:
            self.name = "It" if self.is_whole else f"The part at {place}"

    def say(self, predicate: str) -> Sentence:
        """ "It" with what is said of it."""
        return Sentence(f"{self.name} {predicate}.", (self.item.number,))

    def quote(self, sentence: str) -> Sentence:
        """A sentence of the record as it stands; of a claim, with its papers."""
        return Sentence(_cited(sentence, self.record), (self.item.number,))


def _identity(subject: _Subject) -> Iterator[Sentence]:
    record = subject.record
    if record.kind != FAMILY:
        percent = f"{subject.item.hit.identity:.0%}"
        whose = f" of {record.organism}" if record.organism else ""
        label = _label(record)
        if label.startswith("also called "):
            label = f"{record.name} ({label})"
        yield subject.say(f"matches {label}{whose} ({record.id}) with {percent} identity")
        return
    yield subject.say(f"is {_name_and_type(record)}")


def _label(record: Record) -> str:
    return record.description or record.name


def _name_and_type(record: Record) -> str:
    label = _label(record)
    if not record.type or label.lower() == record.type.lower():
        return label
    return f"{label}, {with_article(record.type)}"


def _family(subject: _Subject) -> Iterator[Sentence]:
    record = subject.record
    if record.kind != FAMILY:
        yield from _identity(subject)
        return
    sentence = family_sentence(_label(record), record.name)
    yield subject.say(sentence.removeprefix("It ").removesuffix("."))


def _type(subject: _Subject) -> Iterator[Sentence]:
    if subject.record.type:
        yield subject.say(type_sentence(subject.record.type).removeprefix("It ").removesuffix("."))


def _accession(subject: _Subject) -> Iterator[Sentence]:
    record = subject.record
    whose = "Rfam accession" if re.fullmatch(r"RF\d{5}", record.id) else "accession"
    if subject.is_whole and subject.item.hit.strand == "+":
        yield subject.quote(f"Its {whose} is {record.id} ({_label(record)}).")
    else:
        yield subject.say(f"has the {whose} {record.id} ({_label(record)})")


def _name(subject: _Subject) -> Iterator[Sentence]:
    record = subject.record
    if record.kind != FAMILY:
        yield from _identity(subject)
    elif re.fullmatch(r"RF\d{5}", record.id):
        yield subject.quote(f"Its Rfam family is called {record.name}.")
    else:
        yield subject.quote(f"Its family is called {record.name}.")


def _told(record: Record) -> tuple[str, ...]:
    """The record's sentences: on the family, and the claims of papers about an RNA."""
    return (*record.functions, *(claim.text for claim in record.claims))


def _summary(subject: _Subject) -> Iterator[Sentence]:
    record = subject.record
    yield from _identity(subject)
    yield from map(subject.quote, record.functions)
    yield from (subject.quote(_with_papers(claim)) for claim in record.claims)
    yield from _clan(subject)
    yield from _terms(subject)


def _clan(subject: _Subject) -> Iterator[Sentence]:
    if subject.record.clan:
        yield subject.say(f"belongs to the Rfam clan {subject.record.clan}")


def _terms(subject: _Subject) -> Iterator[Sentence]:
    terms = subject.record.terms
    if terms:
        kind = "terms" if len(terms) > 1 else "term"
        yield subject.say(f"is linked to the ontology {kind} {_join(map(_spell, terms))}")


def _spell(term: Term) -> str:
    return f"{term.name} ({term.id})"


def _join(things: Iterable[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    *first, last = things
    return f"{', '.join(first)} and {last}" if first else last


def _go(subject: _Subject, wanted: Callable[[str], object]) -> list[str]:
    return [
        _spell(term)
        for term in subject.record.terms
        if term.id.startswith("GO:") and wanted(term.name)
    ]


def _is_component(term: str) -> bool:
    # "Structural constituent of ribosome" is a function.
    return bool(GO_COMPONENT.search(term)) and not GO_FUNCTION.search(term)


def _function(subject: _Subject) -> Iterator[Sentence]:
    if found := pick(_told(subject.record), FUNCTION, ACTION):
        yield subject.quote(found)
    elif terms := _go(subject, GO_FUNCTION.search):
        yield subject.quote(f"Its annotated molecular function is {_join(terms)}.")


def _process(subject: _Subject) -> Iterator[Sentence]:
    if terms := _go(subject, is_process):
        yield subject.say(f"takes part in {_join(terms)}")


def _location(subject: _Subject) -> Iterator[Sentence]:
    if found := pick(_told(subject.record), LOCATION):
        yield subject.quote(found)
    elif terms := _go(subject, _is_component):
        yield subject.say(f"is annotated to the {_join(terms)}")
    elif subject.record.organism:
        yield from _organism(subject)


def _interaction(subject: _Subject) -> Iterator[Sentence]:
    if found := pick(_told(subject.record), INTERACTION):
        yield subject.quote(found)


@dataclass(frozen=True)
class _Relation:
    """What an RNA targets, what regulates it, or what it marks.

    Attributes:
        tells: whether a sentence about a record tells of it.
        of_family: the same of a sentence about a family; None: no such sentence is looked for.
        asking: words with which it is asked for.
    """

    tells: Callable[[str, Names], bool]
    of_family: re.Pattern[str] | None
    asking: str

    def tell(self, subject: _Subject, question: Question) -> Iterator[Sentence]:
        """The sentences that tell of it; of what a question asks besides, where it does."""
        record = subject.record
        if self.of_family and (found := pick(record.functions, self.of_family)):
            yield subject.quote(found)
        names = names_of(record)
        claims = [claim for claim in record.claims if self.tells(claim.text, names)]
        besides = content(question.text) - content(f"{self.asking} {record.name} {record.type}")
        shared = [len(besides & content(claim.text)) for claim in claims]
        most = max(shared, default=0)
        best = [c for c, n in zip(claims, shared, strict=True) if n == most]
        if besides and not most:
            return  # What it does in another cancer than the one asked about is no answer.
        for claim in best[:MAX_CLAIMS]:
            yield subject.quote(_with_papers(claim))


def _cited(sentence: str, record: Record) -> str:
    """A sentence with the papers that say so, where it is a claim of papers."""
    claim = next((claim for claim in record.claims if claim.text == sentence), None)
    return _with_papers(claim) if claim else sentence


def _with_papers(claim: Claim) -> str:
    """A claim and where it was published: "miR-1 targets X (PMID 1)."."""
    papers = ", ".join(map(_spell_paper, claim.papers))
    return f"{claim.text.removesuffix('.')} ({papers})." if papers else claim.text


_ASKING = (
    "microRNA miRNA lncRNA gene mRNA protein target targets regulate regulated control represses "
    "suppress inhibit silence induce activate sponge expression act on directly known validated "
    "direct what which"
)
_DISEASE = (
    "microRNA miRNA lncRNA disease cancer tumour tumor disorder illness marker mark linked "
    "associated related involved implicated role cause indicate potential use serve what which"
)
_RELATIONS = {
    Kind.TARGETS: _Relation(tells_targets, TARGETS, _ASKING),
    Kind.REGULATORS: _Relation(tells_regulators, REGULATORS, f"{_ASKING} regulator regulation"),
    Kind.MARKER: _Relation(tells_marking, None, f"{_DISEASE} prognostic diagnostic biomarker"),
    Kind.DISEASE: _Relation(tells_disease, None, _DISEASE),
}


def _gene(subject: _Subject) -> Iterator[Sentence]:
    if path := PATH_OF_TYPE.get(subject.record.type):
        where = "Rfam lists it" if subject.record.id.startswith("RF") else "It is listed"
        yield subject.quote(f"{where} as {LISTED_AS[path[0]]}.")


def _papers(subject: _Subject) -> Iterator[Sentence]:
    papers = [*subject.record.papers]
    papers += [paper for claim in subject.record.claims for paper in claim.papers]
    if papers := list(dict.fromkeys(papers)):
        named = _join(map(_spell_paper, papers[:MAX_PAPERS]))
        more = f", and in {len(papers) - MAX_PAPERS} more" if len(papers) > MAX_PAPERS else ""
        yield subject.say(f"is described in {named}{more}")


def _spell_paper(paper: str) -> str:
    return f"PMID {paper}" if paper.isdigit() else paper


def _organism(subject: _Subject) -> Iterator[Sentence]:
    if subject.record.organism:
        yield subject.quote(f"The record is of {subject.record.organism}.")
    elif found := pick(subject.record.functions, LOCATION):
        yield subject.quote(found)


def _structure(subject: _Subject) -> Iterator[Sentence]:
    hit = subject.item.hit
    if "(" not in hit.structure:
        return
    place = f"nucleotides {hit.start:,}–{hit.end:,}"
    if hit.strand == "-":
        place = f"the reverse complement of {place}"
    if len(hit.structure) > MAX_DRAWN:
        drawn = f"{hit.structure.count('(')} base pairs"
    else:
        drawn = hit.structure
    yield subject.quote(
        f"The consensus structure of {subject.record.name}, laid on {place}: {drawn}"
    )


def _place(subject: _Subject) -> Iterator[Sentence]:
    hit = subject.item.hit
    strand = "on the strand as given" if hit.strand == "+" else "on the reverse complement"
    yield subject.quote(
        f"The match to {subject.record.name} lies at nucleotides {hit.start:,}–{hit.end:,} of "
        f"{subject.evidence.facts.length:,}, {strand}."
    )


def _certainty(subject: _Subject) -> Iterator[Sentence]:
    hit = subject.item.hit
    yield subject.quote(
        f"The match to {subject.record.name} has {hit.bits:.1f} bits and an E-value of "
        f"{hit.evalue:.1g}, which is the number of matches this good expected by chance."
    )


_FROM_RECORD: dict[Kind, Callable[[_Subject], Iterator[Sentence]]] = {
    Kind.IDENTITY: _identity,
    Kind.FAMILY: _family,
    Kind.TYPE: _type,
    Kind.ACCESSION: _accession,
    Kind.NAME: _name,
    Kind.SUMMARY: _summary,
    Kind.FUNCTION: _function,
    Kind.PROCESS: _process,
    Kind.LOCATION: _location,
    Kind.INTERACTION: _interaction,
    Kind.GENE: _gene,
    Kind.TERMS: _terms,
    Kind.CLAN: _clan,
    Kind.PAPERS: _papers,
    Kind.ORGANISM: _organism,
    Kind.STRUCTURE: _structure,
    Kind.PLACE: _place,
    Kind.CERTAINTY: _certainty,
}


# --- yes or no, and what no pattern knows


def _check(question: Question, evidence: Evidence) -> list[Sentence] | None:
    """Yes, no, or what the RNA is where neither follows; None where what was asked is no name."""
    subjects = [_Subject(item, evidence) for item in evidence.parts[:MAX_PARTS]]
    for subject in subjects:
        if said := _confirmed(question.asked, subject):
            return [said if question.denied else _answered("Yes", said)]
    first = subjects[0]
    if said := _refuted(question.asked, first):
        # Of a part it does not follow that the RNA is not the other.
        is_plain = first.is_whole and not question.denied and not question.contains
        return [_answered("No", said) if is_plain else said]
    if named_type(question.asked) and first.record.type:
        return [next(_type(first))]
    if found := _quote(question, evidence):
        return found
    return [next(_identity(first))] if _is_name(question) else None


def _confirmed(asked: str, subject: _Subject) -> Sentence | None:
    """What the RNA is, where it is what was asked."""
    record = subject.record
    asked_type = "non-coding RNA" if asked in _NON_CODING else named_type(asked)
    if asked_type and record.type and is_type(asked_type, record.type):
        return next(_type(subject))
    return next(_family(subject)) if names_record(asked, record) else None


def _refuted(asked: str, subject: _Subject) -> Sentence | None:
    """What the RNA is, where that excludes what was asked."""
    record = subject.record
    if _ACCESSION.fullmatch(asked):
        others = {other.record.id.lower() for other in subject.item.hit.others}
        is_other = _ACCESSION.fullmatch(record.id.lower()) and asked not in others
        return next(_accession(subject)) if is_other else None
    if not record.type:
        return None
    if asked in _CODING:
        is_gene = PATH_OF_TYPE.get(record.type, ("",))[0] == "Gene"
        return next(_type(subject)) if is_gene else None
    # "Hammerhead ribozyme" is a ribozyme.
    other = named_type(asked) or named_type(asked.rpartition(" ")[2])
    is_excluded = other is not None and is_type(other, record.type) is False
    return next(_type(subject)) if is_excluded else None


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
        sentences = find_sentences(question.text, _told(item.record), item.record)
        found += [Sentence(_cited(text, item.record), (item.number,)) for text in sentences]
    return found[:MAX_PARTS]


# --- several RNAs


def compare(evidences: Sequence[Evidence]) -> list[Sentence]:
    """What the records say of several RNAs, one sentence each, and whether they are of one kind."""
    return [*map(_introduce, evidences), *_common(evidences)]


def _introduce(evidence: Evidence) -> Sentence:
    facts = evidence.facts
    gc = "" if facts.gc is None else f", GC {facts.gc:.0%}"
    name = f"{evidence.name} ({facts.length:,} nt{gc})"
    best = evidence.best
    if best is None:
        if evidence.note:
            return Sentence(f"{name}: {evidence.note}.")
        return Sentence(f"{name} matches no record of {evidence.reference}.")
    said = next(_identity(_Subject(best, evidence))).text
    if said.startswith("It "):
        return Sentence(f"{name} {said.removeprefix('It ')}", (best.number,))
    return Sentence(f"{name}: {said[0].lower()}{said[1:]}", (best.number,))


def _common(evidences: Sequence[Evidence]) -> Iterator[Sentence]:
    items = [evidence.best for evidence in evidences if evidence.best is not None]
    if len(items) < len(evidences) or len(items) < 2:
        return
    cites = tuple(item.number for item in items)
    who = "Both" if len(items) == 2 else "All"
    pairs = zip(items, evidences, strict=True)
    are = "are" if all(evidence.is_whole(item) for item, evidence in pairs) else "have a part"
    records = [item.record for item in items]
    clans, types = ({getattr(r, name) for r in records} for name in ("clan", "type"))
    if any(record.kind != FAMILY for record in records):
        if len({record.id for record in records}) == 1:
            yield Sentence(f"{who} match the same RNA.", cites)
    elif len({record.id for record in records}) == 1:
        yield Sentence(f"{who} {are} of the same family.", cites)
    elif len(clans) == 1 and "" not in clans:
        yield Sentence(f"{who} {are} of the clan {clans.pop()}, of different families.", cites)
    elif len(types) == 1 and "" not in types:
        yield Sentence(f"{who} {are} of the type {types.pop()}, of different families.", cites)
    else:
        yield Sentence("They match different families.", cites)


__all__ = ["LISTED_AS", "Sentence", "answer_from_records", "compare", "decline", "tell_energy"]
