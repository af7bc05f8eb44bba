"""Annotation, questions and answers of an RNA: its family's record and its sequence, no more."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, NamedTuple, TypeVar

from rnagpt.evidence.topics import (
    ACTION,
    FUNCTION,
    GO_COMPONENT,
    GO_FUNCTION,
    INTERACTION,
    LOCATION,
    is_process,
    is_short,
)
from rnagpt.rna_qa.rfam.comments import Sentence
from rnagpt.rna_qa.rfam.families import Family, Term
from rnagpt.rna_qa.splits import fraction
from rnagpt.sequences.rna_types import (
    PATH_OF_TYPE,
    family_sentence,
    other_types,
    type_sentence,
    with_article,
)

MAX_PAPERS = 5  # that are named in an answer

Papers = tuple[str, ...]
Subject = TypeVar("Subject")


class Answer(NamedTuple):
    """An answer and the PubMed ids that support it."""

    text: str
    evidence: Papers


class Question(NamedTuple):
    """A question about one RNA with its answer."""

    category: str
    question: str
    answer: str
    evidence: Papers


@dataclass(frozen=True)
class Kind(Generic[Subject]):
    """A kind of question about a family's record or about a sequence.

    Attributes:
        name: Of the kind; the drawing of its wording depends on it.
        answer: Gives the answer, None where the record says nothing. One that is a text only is
            supported by all papers of the family.
        asked: Ways to ask for it, one per line.
        category: Of the data set's rows; "" for the name.
    """

    name: str
    answer: Callable[[Subject], Answer | str | None]
    asked: str
    category: str = ""

    @cached_property
    def wordings(self) -> list[str]:
        return [line.strip() for line in self.asked.strip().splitlines()]


def annotate(family: Family) -> str:
    """The whole text about an RNA: what it is, the comment, its clan and ontology terms."""
    parts = [f"{_name_and_type(family)}."]
    parts += [sentence.text for sentence in family.sentences]
    if family.clan:
        parts.append(f"It belongs to the Rfam clan {family.clan}.")
    return " ".join(parts + _linked_terms(family))


def ask(rna: str, sequence: str, family: Family, seed: int = 0) -> Iterator[Question]:
    """The questions about an RNA that its family's record and its sequence (A, C, G, U) can answer.

    At least nine: what it is, its family, type, accession and name, gene or element, a check of
    its type, length and composition. One wording of each kind is drawn by `seed` and the RNA's id.
    """
    papers = tuple(family.evidence)
    yield from _ask_kinds(RECORD_KINDS, family, papers, rna, seed)
    yield _ask_type_check(rna, family, seed)
    yield from _ask_kinds(SEQUENCE_KINDS, sequence, (), rna, seed)


def _ask_kinds(
    kinds: Iterable[Kind[Subject]], subject: Subject, papers: Papers, rna: str, seed: int
) -> Iterator[Question]:
    for kind in kinds:
        if answer := kind.answer(subject):
            text, evidence = (answer, papers) if isinstance(answer, str) else answer
            wording = _draw(kind.wordings, seed, rna, kind.name)
            yield Question(kind.category or kind.name, wording, text, evidence)


def _answer_family(family: Family) -> str:
    # The accession has a question of its own: a model that reads the family well may still not
    # know its number, and would learn to make one up here.
    return family_sentence(family.description, family.name)


def _answer_summary(family: Family) -> Answer | None:
    """The annotation with one sentence of the comment: none where it would be only the identity."""
    first = next((found for found in family.sentences if is_short(found.text)), None)
    parts = ([first.text] if first else []) + _linked_terms(family)
    if not parts:
        return None
    text = " ".join([f"{_name_and_type(family)}.", *parts])
    return Answer(text, _cited(family, first) if first else tuple(family.evidence))


def _answer_function(family: Family) -> Answer | str | None:
    if found := _pick(family, FUNCTION) or _pick(family, ACTION):
        return found
    terms = [term for term in family.go_terms if GO_FUNCTION.search(term.name)]
    return f"Its annotated molecular function is {_join(terms)}." if terms else None


def _answer_process(family: Family) -> str | None:
    terms = [term for term in family.go_terms if is_process(term.name)]
    return f"It takes part in {_join(terms)}." if terms else None


def _answer_location(family: Family) -> Answer | str | None:
    if found := _pick(family, LOCATION):
        return found
    terms = [term for term in family.go_terms if GO_COMPONENT.search(term.name)]
    return f"It is annotated to the {_join(terms)}." if terms else None


def _answer_gene(family: Family) -> str:
    kinds = {"Gene": "an RNA gene", "Cis-reg": "a cis-regulatory element", "Intron": "an intron"}
    kind = kinds[PATH_OF_TYPE[family.rna_type][0]]
    return f"Rfam lists it as {kind}."


def _answer_structure(family: Family) -> Answer | str | None:
    state, _, rest = family.structure.partition(";")
    source = rest.partition(";")[0].strip()
    if state not in ("Published", "Predicted"):
        return None
    if paper := re.fullmatch(r"(?:PMID:)?\s*(\d{5,8})", source):
        text = f"Its consensus structure is {state.lower()} (PMID {paper[1]})."
        return Answer(text, (paper[1],))
    # What is left names a program or a person.
    if state == "Predicted" and re.search(r"fold|WAR|CMfinder|INFERNAL", source, re.IGNORECASE):
        return f"Its consensus structure is predicted with {source}."
    return None


def _answer_clan(family: Family) -> str | None:
    return f"It belongs to the Rfam clan {family.clan}." if family.clan else None


def _answer_evidence(family: Family) -> Answer | None:
    papers = tuple(family.evidence[:MAX_PAPERS])
    named = [f"PMID {paper}" for paper in papers]
    return Answer(f"It is described in {_join(named)}.", papers) if papers else None


def _answer_composition(sequence: str) -> str:
    share = (sequence.count("G") + sequence.count("C")) / len(sequence)
    return f"Its GC content is {share:.0%}."


# Every question but the check of the type, in the order in which they are asked.
#
# To add one: write a function that answers it from a family's record (or from the sequence), or
# gives None where that says nothing, and add it here with a name and with its wordings, of which
# one is drawn for each RNA. A new name changes no other question's wording.
RECORD_KINDS: tuple[Kind[Family], ...] = (
    Kind(
        "identity",
        lambda family: f"It is {_name_and_type(family)}.",
        """
        What is this RNA?
        What is the identity of this RNA?
        Which RNA is this?
        Can you identify this RNA?
        What RNA is given here?
        Please identify the given RNA.
        What do you call this RNA?
        """,
    ),
    Kind(
        "family",
        _answer_family,
        """
        Which RNA family does this sequence belong to?
        What family is this RNA a member of?
        Which Rfam family does this RNA belong to?
        To which family would you assign this RNA?
        Name the RNA family of this sequence.
        What is the family of this RNA?
        """,
    ),
    Kind(
        "type",
        lambda family: type_sentence(family.rna_type),
        """
        What type of RNA is this?
        What kind of RNA is this?
        Which class of RNA does this sequence belong to?
        How would you classify this RNA?
        What is the RNA type of this sequence?
        Name the type of this RNA.
        """,
    ),
    Kind(
        "accession",
        lambda family: f"Its Rfam accession is {family.accession} ({family.description}).",
        """
        What is the Rfam accession of this RNA?
        Which Rfam accession does this RNA have?
        Under which accession does Rfam list this RNA?
        """,
    ),
    Kind(
        "name",
        lambda family: f"Its Rfam family is called {family.name}.",
        """
        What is the short name of this RNA's family?
        What identifier does Rfam give to this RNA's family?
        Which Rfam ID does this RNA have?
        """,
    ),
    Kind(
        "summary",
        _answer_summary,
        """
        Describe this RNA.
        Tell me about this RNA.
        What is known about this RNA?
        Give a short description of this RNA.
        """,
    ),
    Kind(
        "function",
        _answer_function,
        """
        What is the function of this RNA?
        What does this RNA do?
        Which role does this RNA play?
        What is known about the function of this RNA?
        How does this RNA act?
        """,
    ),
    Kind(
        "process",
        _answer_process,
        """
        In which biological process does this RNA take part?
        Which biological process is this RNA involved in?
        What process does this RNA contribute to?
        """,
    ),
    Kind(
        "location",
        _answer_location,
        """
        Where is this RNA found?
        Where does this RNA occur?
        In which organisms, genes or cellular compartments is this RNA found?
        What is known about where this RNA is located?
        """,
    ),
    Kind(
        "interaction",
        lambda family: _pick(family, INTERACTION),
        """
        What binds or regulates this RNA?
        What does this RNA interact with?
        Which molecules does this RNA bind, target or respond to?
        What are known partners, targets or regulators of this RNA?
        """,
    ),
    Kind(
        "gene",
        _answer_gene,
        """
        Is this an RNA gene or a cis-regulatory element?
        Does Rfam list this RNA as a gene, a cis-regulatory element or an intron?
        Does this sequence come from an RNA gene or from a regulatory element?
        """,
    ),
    Kind(
        "structure",
        _answer_structure,
        """
        How is the secondary structure of this RNA's family known?
        Is the secondary structure of this RNA published or predicted?
        What is the secondary structure of this RNA's family based on?
        """,
    ),
    Kind(
        "clan",
        _answer_clan,
        """
        Which Rfam clan does this RNA belong to?
        Is this RNA's family a member of a clan?
        What is the clan of this RNA?
        """,
    ),
    Kind(
        "evidence",
        _answer_evidence,
        """
        Which papers describe this RNA?
        What evidence is there for this RNA?
        Which publications support what is known about this RNA?
        Where was this RNA described?
        """,
    ),
)
SEQUENCE_KINDS: tuple[Kind[str], ...] = (
    Kind(
        "length",
        lambda sequence: f"It is {len(sequence):,} nucleotides long.",
        """
        How long is this RNA?
        How many nucleotides does this RNA have?
        What is the length of this RNA?
        """,
        category="sequence",
    ),
    Kind(
        "composition",
        _answer_composition,
        """
        What is the GC content of this RNA?
        How much of this RNA is G or C?
        What share of this RNA's nucleotides are G or C?
        """,
        category="sequence",
    ),
)


def _ask_type_check(rna: str, family: Family, seed: int) -> Question:
    """A question of yes or no, yes for half of the RNAs: the question does not give it away."""
    asked = family.rna_type
    answer = f"Yes, it is {with_article(family.rna_type)}."
    if fraction(seed, rna, "check") < 0.5:
        asked = _draw(other_types(family.rna_type), seed, rna, "other")
        answer = f"No, it is {with_article(family.rna_type)}."
    evidence = tuple(family.evidence)
    return Question("check", f"Is this RNA {with_article(asked)}?", answer, evidence)


def _linked_terms(family: Family) -> list[str]:
    """The sentence that names the ontology terms, where there are any."""
    terms = family.go_terms + family.so_terms
    kind = "terms" if len(terms) > 1 else "term"
    return [f"It is linked to the ontology {kind} {_join(terms)}."] if terms else []


def _name_and_type(family: Family) -> str:
    if family.description.lower() == family.rna_type.lower():
        return family.description
    return f"{family.description}, {with_article(family.rna_type)}"


def _pick(family: Family, pattern: re.Pattern[str]) -> Answer | None:
    """The first short sentence of the comment that matches."""
    for sentence in family.sentences:
        if is_short(sentence.text) and pattern.search(sentence.text):
            return Answer(sentence.text, _cited(family, sentence))
    return None


def _cited(family: Family, sentence: Sentence) -> tuple[str, ...]:
    """The papers that a sentence cites, or all of the family's where it cites none."""
    cited = [family.references[n] for n in sentence.citations if n in family.references]
    return tuple(dict.fromkeys(cited)) or tuple(family.evidence)


def _join(things: Sequence[Term | str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    *first, last = map(str, things)
    return f"{', '.join(first)} and {last}" if first else last


def _draw(choices: Sequence[str], seed: int, *key: object) -> str:
    return choices[int(fraction(seed, *key) * len(choices))]
