"""What records tell, in sentences of their own words: a function for each kind of question."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from rnagpt.evidence.gathering import Evidence, Item
from rnagpt.evidence.matching import content
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
from rnagpt.sequences.rna_types import PATH_OF_TYPE, family_sentence, type_sentence, with_article

MAX_PAPERS = 5
MAX_CLAIMS = 3  # of papers, in an answer
MAX_DRAWN = 300  # nt of a dot-bracket structure in an answer
LISTED_AS = {
    "Gene": "an RNA gene",
    "Cis-reg": "a cis-regulatory element",
    "Intron": "an intron",
}


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


class Subject:
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
        return Sentence(cite_claim(sentence, self.record), (self.item.number,))


def tell_identity(subject: Subject) -> Iterator[Sentence]:
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


def tell_family(subject: Subject) -> Iterator[Sentence]:
    record = subject.record
    if record.kind != FAMILY:
        yield from tell_identity(subject)
        return
    sentence = family_sentence(_label(record), record.name)
    yield subject.say(sentence.removeprefix("It ").removesuffix("."))


def tell_type(subject: Subject) -> Iterator[Sentence]:
    if subject.record.type:
        yield subject.say(type_sentence(subject.record.type).removeprefix("It ").removesuffix("."))


def tell_accession(subject: Subject) -> Iterator[Sentence]:
    record = subject.record
    whose = "Rfam accession" if re.fullmatch(r"RF\d{5}", record.id) else "accession"
    if subject.is_whole and subject.item.hit.strand == "+":
        yield subject.quote(f"Its {whose} is {record.id} ({_label(record)}).")
    else:
        yield subject.say(f"has the {whose} {record.id} ({_label(record)})")


def _name(subject: Subject) -> Iterator[Sentence]:
    record = subject.record
    if record.kind != FAMILY:
        yield from tell_identity(subject)
    elif re.fullmatch(r"RF\d{5}", record.id):
        yield subject.quote(f"Its Rfam family is called {record.name}.")
    else:
        yield subject.quote(f"Its family is called {record.name}.")


def told_of(record: Record) -> tuple[str, ...]:
    """The record's sentences: on the family, and the claims of papers about an RNA."""
    return (*record.functions, *(claim.text for claim in record.claims))


def _summary(subject: Subject) -> Iterator[Sentence]:
    record = subject.record
    yield from tell_identity(subject)
    yield from map(subject.quote, record.functions)
    yield from (subject.quote(with_papers(claim)) for claim in record.claims)
    yield from _clan(subject)
    yield from _terms(subject)


def _clan(subject: Subject) -> Iterator[Sentence]:
    if subject.record.clan:
        yield subject.say(f"belongs to the Rfam clan {subject.record.clan}")


def _terms(subject: Subject) -> Iterator[Sentence]:
    terms = subject.record.terms
    if terms:
        kind = "terms" if len(terms) > 1 else "term"
        yield subject.say(f"is linked to the ontology {kind} {join(map(_spell, terms))}")


def _spell(term: Term) -> str:
    return f"{term.name} ({term.id})"


def join(things: Iterable[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    *first, last = things
    return f"{', '.join(first)} and {last}" if first else last


def _go(subject: Subject, wanted: Callable[[str], object]) -> list[str]:
    return [
        _spell(term)
        for term in subject.record.terms
        if term.id.startswith("GO:") and wanted(term.name)
    ]


def _is_component(term: str) -> bool:
    # "Structural constituent of ribosome" is a function.
    return bool(GO_COMPONENT.search(term)) and not GO_FUNCTION.search(term)


def _function(subject: Subject) -> Iterator[Sentence]:
    if found := pick(told_of(subject.record), FUNCTION, ACTION):
        yield subject.quote(found)
    elif terms := _go(subject, GO_FUNCTION.search):
        yield subject.quote(f"Its annotated molecular function is {join(terms)}.")


def _process(subject: Subject) -> Iterator[Sentence]:
    if terms := _go(subject, is_process):
        yield subject.say(f"takes part in {join(terms)}")


def _location(subject: Subject) -> Iterator[Sentence]:
    if found := pick(told_of(subject.record), LOCATION):
        yield subject.quote(found)
    elif terms := _go(subject, _is_component):
        yield subject.say(f"is annotated to the {join(terms)}")
    elif subject.record.organism:
        yield from _organism(subject)


def _interaction(subject: Subject) -> Iterator[Sentence]:
    if found := pick(told_of(subject.record), INTERACTION):
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

    def tell(self, subject: Subject, question: Question) -> Iterator[Sentence]:
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
            yield subject.quote(with_papers(claim))


def cite_claim(sentence: str, record: Record) -> str:
    """A sentence with the papers that say so, where it is a claim of papers."""
    claim = next((claim for claim in record.claims if claim.text == sentence), None)
    return with_papers(claim) if claim else sentence


def with_papers(claim: Claim) -> str:
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
RELATIONS = {
    Kind.TARGETS: _Relation(tells_targets, TARGETS, _ASKING),
    Kind.REGULATORS: _Relation(tells_regulators, REGULATORS, f"{_ASKING} regulator regulation"),
    Kind.MARKER: _Relation(tells_marking, None, f"{_DISEASE} prognostic diagnostic biomarker"),
    Kind.DISEASE: _Relation(tells_disease, None, _DISEASE),
}


def _gene(subject: Subject) -> Iterator[Sentence]:
    if path := PATH_OF_TYPE.get(subject.record.type):
        where = "Rfam lists it" if subject.record.id.startswith("RF") else "It is listed"
        yield subject.quote(f"{where} as {LISTED_AS[path[0]]}.")


def _papers(subject: Subject) -> Iterator[Sentence]:
    papers = [*subject.record.papers]
    papers += [paper for claim in subject.record.claims for paper in claim.papers]
    if papers := list(dict.fromkeys(papers)):
        named = join(map(_spell_paper, papers[:MAX_PAPERS]))
        more = f", and in {len(papers) - MAX_PAPERS} more" if len(papers) > MAX_PAPERS else ""
        yield subject.say(f"is described in {named}{more}")


def _spell_paper(paper: str) -> str:
    return f"PMID {paper}" if paper.isdigit() else paper


def _organism(subject: Subject) -> Iterator[Sentence]:
    if subject.record.organism:
        yield subject.quote(f"The record is of {subject.record.organism}.")
    elif found := pick(subject.record.functions, LOCATION):
        yield subject.quote(found)


def _structure(subject: Subject) -> Iterator[Sentence]:
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


def _place(subject: Subject) -> Iterator[Sentence]:
    hit = subject.item.hit
    strand = "on the strand as given" if hit.strand == "+" else "on the reverse complement"
    yield subject.quote(
        f"The match to {subject.record.name} lies at nucleotides {hit.start:,}–{hit.end:,} of "
        f"{subject.evidence.facts.length:,}, {strand}."
    )


def _certainty(subject: Subject) -> Iterator[Sentence]:
    hit = subject.item.hit
    yield subject.quote(
        f"The match to {subject.record.name} has {hit.bits:.1f} bits and an E-value of "
        f"{hit.evalue:.1g}, which is the number of matches this good expected by chance."
    )


FROM_RECORD: dict[Kind, Callable[[Subject], Iterator[Sentence]]] = {
    Kind.IDENTITY: tell_identity,
    Kind.FAMILY: tell_family,
    Kind.TYPE: tell_type,
    Kind.ACCESSION: tell_accession,
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


__all__ = [
    "FROM_RECORD",
    "LISTED_AS",
    "RELATIONS",
    "Sentence",
    "Subject",
    "cite_claim",
    "join",
    "tell_accession",
    "tell_family",
    "tell_identity",
    "tell_type",
    "told_of",
    "with_papers",
]
