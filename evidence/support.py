"""Whether a record says what a sentence of a model says.

A sentence is held against one line of the record at a time (its name and type, each sentence of it,
its terms, its papers, the place of the match): a claim put together from the words of several lines
is no claim of the record. Names, accessions, terms and numbers have to be the record's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rnagpt.evidence.gathering import Evidence, Item
from rnagpt.evidence.matching import content, stem, words_of
from rnagpt.evidence.sentences import Sentence
from rnagpt.sequences.rna_types import is_type, named_type, with_article

SUPPORTED = 0.8  # of the words that carry a fact have to be in one line
_MARK = re.compile(r"\s*\[(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\]")
_SENTENCE_END = re.compile(r"(?<=[.!?])(?:\s*(?:\[\d+\])+)?\s+(?=[A-Z0-9\"'(a-z])")
_ABBREVIATED = re.compile(
    r"(?:\b(?:[A-Z]|e\.g|i\.e|cf|vs|sp|spp|subsp|al|approx|ca|Fig|no|St|No)\.)$"
)
_NUMBER = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*(?:e[+-]?\d+)?(?![\w])")
_NEGATION = re.compile(
    r"\b(?:not|no|never|neither|nor|cannot|without|lacks?)\b|n't\b", re.IGNORECASE
)
# What a sentence says the RNA is: this has to be the record's name or type, whatever else the
# record speaks of.
_IDENTITY = re.compile(
    r"^(?:(?:yes|no),? )?(?:it|this rna|this|this sequence|the rna|the (?:part|sequence)[^.]*?"
    r"nucleotides [\d,–-]+) (?:is|belongs to|is part of|is a member of) (?:an? |the )?(?P<what>.+?)"
    r"\.?$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class WrittenSentence:
    """A sentence as a model wrote it, and the numbers of the records that it cites."""

    text: str
    cites: tuple[int, ...]


def read_sentences(answer: str) -> list[WrittenSentence]:
    """The sentences of a model's answer, its citations, "[1]" or "[1, 2]", taken out of them."""
    return [_read_sentence(piece) for piece in _split(answer) if _MARK.sub("", piece).strip()]


def _split(answer: str) -> Iterator[str]:
    waiting = ""
    start = 0
    text = " ".join(answer.split())
    for match in _SENTENCE_END.finditer(text):
        piece = text[start : match.end()]
        if _ABBREVIATED.search(text[start : match.start()]):
            waiting += piece
        else:
            yield waiting + piece
            waiting = ""
        start = match.end()
    yield waiting + text[start:]


def _read_sentence(piece: str) -> WrittenSentence:
    numbers = [int(n) for found in _MARK.findall(piece) for n in re.split(r"\s*[,;]\s*", found)]
    return WrittenSentence(_MARK.sub("", piece).strip(), tuple(dict.fromkeys(numbers)))


def check_sentence(written: WrittenSentence, evidence: Evidence) -> Sentence:
    """A model's sentence with the records that support it, or marked as supported by none.

    The records it cites are asked first, then the others: a right sentence with a wrong citation
    gets the right one.
    """
    items = sorted(evidence.items, key=lambda item: item.number not in written.cites)
    for item in items:
        if is_supported(written.text, item, evidence):
            return Sentence(written.text, (item.number,))
    if is_of_sequence(written.text, evidence):
        return Sentence(written.text)
    return Sentence(written.text, (), supported=False)


def is_supported(text: str, item: Item, evidence: Evidence) -> bool:
    """Whether a record says what a sentence says."""
    if not _says_what_it_is(text, item):
        return False
    whole = " ".join((*record_lines(item), *match_lines(item, evidence)))
    if not _names_are_in(text, whole):
        return False
    said = content(text)
    if not said:
        return False
    lines = (*record_lines(item), *match_lines(item, evidence))
    return any(_is_said_by(text, said, line) for line in lines)


def is_of_sequence(text: str, evidence: Evidence) -> bool:
    """Whether a sentence tells nothing but facts of the sequence, and tells them right."""
    line = fact_line(evidence)
    return (
        _names_are_in(text, line) and bool(said := content(text)) and _is_said_by(text, said, line)
    )


def _is_said_by(text: str, said: set[str], line: str) -> bool:
    known = content(line)
    if len(said & known) < SUPPORTED * len(said):
        return False
    # "No, it is a tRNA" denies what was asked, and not what it says.
    plain = re.sub(r"^(?:yes|no),\s*", "", text, flags=re.IGNORECASE)
    return bool(_NEGATION.search(plain)) == bool(_NEGATION.search(line)) or not _NEGATION.search(
        plain
    )


def _says_what_it_is(text: str, item: Item) -> bool:
    """False where a sentence gives the RNA a name or a type that is not the record's."""
    match = _IDENTITY.match(text)
    if match is None:
        return True
    record = item.record
    what = match["what"]
    # Sentences of the record may begin so as well: "It is found in Clostridia."
    if any(text.rstrip(".") in sentence for sentence in record.functions):
        return True
    kinds = [part.strip() for part in re.split(r",|\band\b|\(|\)", what) if part.strip()]
    for part in kinds:
        named = named_type(re.sub(r"^(?:an?|the) ", "", part, flags=re.IGNORECASE))
        if named is not None and record.type and is_type(named, record.type) is not True:
            return content(part) <= content(f"{record.name} {record.description}")
    return True


def _names_are_in(text: str, line: str) -> bool:
    """Whether all names, accessions and numbers of a sentence are in a line."""
    known = {word.lower() for word in words_of(line)} | {stem(word) for word in words_of(line)}
    numbers = set(_NUMBER.findall(line))
    for place, word in enumerate(words_of(text)):
        is_name = any(map(str.isdigit, word)) or any(map(str.isupper, word[1:]))
        if (
            is_name
            and word.lower() not in known
            and stem(word) not in known
            and word not in numbers
        ):
            return False
        del place
    return True


def record_lines(item: Item) -> tuple[str, ...]:
    """What a record says, a line for each thing that it says."""
    record = item.record
    kind = with_article(record.type) if record.type else ""
    label = (
        f"{record.description} {record.name} {record.id} Rfam accession ID {kind} {record.organism}"
    )
    lines = [label, *record.functions, *(claim.text for claim in record.claims)]
    lines += [claim.quote for claim in record.claims if claim.quote]
    terms = " ".join(f"{term.name} {term.id}" for term in record.terms)
    lines.append(f"linked ontology terms annotated takes part molecular function process {terms}")
    lines.append(f"Rfam clan {record.clan}" if record.clan else "")
    papers = [*record.papers, *(paper for claim in record.claims for paper in claim.papers)]
    lines.append(f"described papers PMID PubMed {' '.join(papers)}")
    lines.append(f"{label} {lines[1] if len(lines) > 1 else ''}")
    return tuple(line for line in lines if line)


def match_lines(item: Item, evidence: Evidence) -> tuple[str, ...]:
    """What is known of the match: where it lies, and how good it is."""
    hit = item.hit
    strand = "given" if hit.strand == "+" else "reverse complement opposite"
    place = (
        f"match {item.record.name} lies part nucleotides {hit.start:,} {hit.end:,} {hit.start} "
        f"{hit.end} {evidence.facts.length:,} {evidence.facts.length} strand {strand}"
    )
    score = (
        f"match {item.record.name} E-value E value {hit.evalue:.1g} {hit.evalue:.2g} bits "
        f"{hit.bits:.1f} {hit.bits:.0f} expected chance identity {hit.identity:.0%}"
    )
    return place, score


def fact_line(evidence: Evidence) -> str:
    """The facts of a sequence, in the words of which they are told."""
    facts = evidence.facts
    gc = "" if facts.gc is None else f"{facts.gc:.0%} {facts.gc:.1%} {100 * facts.gc:.0f}"
    return (
        f"nucleotides nt long length {facts.length:,} {facts.length} GC content percent G C {gc} "
        f"ambiguous letters {facts.ambiguous}"
    )


__all__ = [
    "SUPPORTED",
    "WrittenSentence",
    "check_sentence",
    "fact_line",
    "is_of_sequence",
    "is_supported",
    "match_lines",
    "read_sentences",
    "record_lines",
]
