"""What an assistant asks of an RNA in hand: what it is, all its hits, cited answers, and why.

The tools of `rnagpt mcp` and of the Space's MCP endpoint are these functions. They need no PyTorch,
but for answers that a language model has to write. Results are data classes whose fields say what
they hold; `dataclasses.asdict` makes JSON of them.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rnagpt.cleaning_rnagpt import MAX_AMBIGUOUS, CleanedRna
from rnagpt.evidence.answers import look_up
from rnagpt.evidence.confidence import confidence_of_match
from rnagpt.evidence.facts import SequenceFacts
from rnagpt.evidence.gathering import Evidence, Item
from rnagpt.evidence.record_sentences import Sentence
from rnagpt.evidence.support import telling_sentences
from rnagpt.inference.batch import Answer, answer_questions
from rnagpt.inference.cited import LanguageModel, search_rna
from rnagpt.reference.annotate import SearchResult, annotate
from rnagpt.reference.library import MAX_LENGTH, Reference
from rnagpt.reference.records import Record
from rnagpt.sequences.fasta import FastaRecord, clean_rnas, read_fasta

IDENTITY_QUESTION = "What is this RNA?"


@dataclass(frozen=True)
class Paper:
    """A paper.

    Attributes:
        id: PubMed id, or DOI where it has none.
        link: where it is read.
    """

    id: str
    link: str


@dataclass(frozen=True)
class Match:
    """A record that the RNA matches, and how well.

    Attributes:
        number: of the record: what "[1]" in an answer stands for.
        accession: such as RF00005.
        name: short, such as "tRNA".
        description: such as "Transfer RNA".
        type: such as "riboswitch"; None where it is not known.
        clan: Rfam's accession of the clan; None without one.
        organism: of a single RNA; None for families.
        evalue: matches as good that are expected by chance.
        bits: score of the match.
        identity: from 0 to 1, of the aligned nucleotides.
        strand: "+", or "-" for the reverse complement.
        start: first nucleotide, counted from 1 on the strand as given; never larger than `end`.
        end: last nucleotide.
        is_whole: whether the match covers most of the RNA; else it is a part of it.
        confidence: how likely the RNA, or this part, is of that family, from 0 to 1; None where
            that was not calibrated.
        link: the record's page; None without one.
        papers: about the record.
    """

    number: int
    accession: str
    name: str
    description: str
    type: str | None
    clan: str | None
    organism: str | None
    evalue: float
    bits: float
    identity: float
    strand: str
    start: int
    end: int
    is_whole: bool
    confidence: float | None
    link: str | None
    papers: list[Paper]


@dataclass(frozen=True)
class Identification:
    """What an RNA is.

    Attributes:
        known: whether it matches anything.
        summary: in a sentence or two, with citations; says so where nothing is known.
        name: of the RNA, as it was given.
        length: in nt.
        changes: what was changed before the search, such as "12 T read as U".
        matches: the best first; of those that lie in the same place the best alone.
        searched: what was searched, such as "Rfam 14.2".
        note: why there was no search, such as too few nucleotides; None else.
    """

    known: bool
    summary: str
    name: str
    length: int
    changes: list[str]
    matches: list[Match]
    searched: str
    note: str | None


@dataclass(frozen=True)
class Annotations:
    """All hits of RNAs.

    Attributes:
        records: one object for each RNA, as `rnagpt annotate --format json` writes them.
        rejected: why RNAs were rejected; their objects hold it as "error".
    """

    records: list[dict[str, Any]]
    rejected: list[str]


@dataclass(frozen=True)
class CitedSentence:
    """A sentence of an answer.

    Attributes:
        text: without citations.
        records: numbers of the records that support it; empty where it is of the sequence alone.
        supported: whether a record, or the sequence, says so.
    """

    text: str
    records: list[int]
    supported: bool


@dataclass(frozen=True)
class CitedReply:
    """The answer to a question about an RNA.

    Attributes:
        answer: with citations, such as "[1]".
        basis: what it rests on: "records", "sequence", "model" (a model's own reading), or "none"
            (this is not known).
        confidence: how likely the cited records are of this RNA's family, from 0 to 1; None where
            that was not calibrated.
        complete: False where a model's words were cut short.
        sentences: of the answer, each with its records.
        evidence: all records that the RNA matches, the cited ones among them.
        changes: what was changed in the sequence.
    """

    answer: str
    basis: str
    confidence: float | None
    complete: bool
    sentences: list[CitedSentence]
    evidence: list[Match]
    changes: list[str]


@dataclass(frozen=True)
class Support:
    """What a record says to a sentence.

    Attributes:
        record: the record, and the match to it.
        says: its own sentences that say the same, as they stand; empty where none does by itself.
        quotes: of papers, for those of these sentences that were taken from papers.
        fields: what it lists, such as its description or a term, and the sentence holds.
        papers: that these sentences cite; all of the record's where they cite none.
    """

    record: Match
    says: list[str]
    quotes: list[str]
    fields: dict[str, str]
    papers: list[Paper]


@dataclass(frozen=True)
class ExplainedSentence:
    """A sentence of an answer, with what it rests on.

    Attributes:
        text: without citations.
        rests_on: "records", "sequence" (counted or computed from it), or "nothing" (it says that
            this is not known).
        support: of each record that it cites.
    """

    text: str
    rests_on: str
    support: list[Support]


@dataclass(frozen=True)
class Explanation:
    """Why an answer says what it says.

    Attributes:
        answer: with citations, in the records' own words.
        basis: as of `CitedReply`.
        confidence: as of `CitedReply`.
        sentences: each with what it rests on.
        searched: what was searched, such as "Rfam 14.2".
    """

    answer: str
    basis: str
    confidence: float | None
    sentences: list[ExplainedSentence]
    searched: str


def read_one(sequence: str) -> CleanedRna:
    """The RNA of a text: a bare sequence, or one FASTA record.

    Raises:
        RnaSequenceError: it is none, too long, or a protein.
    """
    name = "" if sequence.lstrip().startswith(">") else "rna_1"
    given = FastaRecord(name, "", sequence, 0)
    return clean_rnas([given], max_length=MAX_LENGTH, max_ambiguous=MAX_AMBIGUOUS)[0]


def read_many(fasta: str) -> list[FastaRecord]:
    """The records of a text in FASTA; a bare sequence is one record without a name.

    Raises:
        FastaError: it is no FASTA.
        ValueError: it is empty.
    """
    if not fasta.strip():
        raise ValueError("There is no sequence. Give one, or FASTA records.")
    if not any(line.lstrip().startswith(">") for line in fasta.splitlines()):
        return [FastaRecord("", "", fasta, 1)]
    stream = io.StringIO(fasta)
    stream.name = "The text"  # what errors call it
    return list(read_fasta(stream))


def identify(rna: CleanedRna, reference: Reference) -> Identification:
    """What an RNA is, from the best of the records that it matches."""
    evidence = _searched(rna, reference)
    return Identification(
        known=bool(evidence.items),
        summary=look_up(IDENTITY_QUESTION, [evidence]).answer.text,
        name=evidence.name,
        length=evidence.facts.length,
        changes=list(rna.changes),
        matches=[_match(item, evidence) for item in evidence.parts],
        searched=evidence.reference,
        note=evidence.note or None,
    )


def annotate_all(
    rnas: Iterable[FastaRecord | CleanedRna | SearchResult], reference: Reference
) -> Annotations:
    """All hits of RNAs, in order.

    Args:
        rnas: and results of those that were rejected already.
        reference: what they are searched in.

    Raises:
        ValueError: all of them are rejected.
    """
    given = list(rnas)
    searched = annotate((one for one in given if not isinstance(one, SearchResult)), reference)
    results = [one if isinstance(one, SearchResult) else next(searched) for one in given]
    rejected = [str(result.error) for result in results if result.error]
    if rejected and len(rejected) == len(results):
        raise ValueError("\n".join(rejected))
    return Annotations([result.to_dict() for result in results], rejected)


def ask(
    rna: CleanedRna, question: str, reference: Reference, language: LanguageModel
) -> CitedReply:
    """The cited answer to a question about an RNA, as `rnagpt chat` gives it.

    Raises:
        ValueError: the question is empty, or about another RNA.
    """
    (answer,) = answer_questions(language, None, [rna], [question], reference=reference)
    return reply_of(answer, rna)


def reply_of(answer: Answer, rna: CleanedRna) -> CitedReply:
    """What a tool returns of an answer about this RNA."""
    evidence = Evidence(answer.name, SequenceFacts(rna.sequence), answer.items)
    return CitedReply(
        answer=answer.answer,
        basis=answer.basis,
        confidence=_rounded(answer.confidence),
        complete=answer.complete,
        sentences=[
            CitedSentence(one["text"], list(one["records"]), one["supported"])
            for one in answer.sentences
        ],
        evidence=[_match(item, evidence) for item in answer.items],
        changes=list(answer.changes),
    )


def explain(rna: CleanedRna, question: str, reference: Reference) -> Explanation:
    """Which record, and which of its sentences, supports each sentence of an answer.

    Explained is the answer in the records' own words, which no language model is needed for.

    Raises:
        ValueError: the question is empty, or about another RNA.
    """
    if not question.strip():
        raise ValueError("A question is empty.")
    evidence = _searched(rna, reference)
    answer = look_up(question, [evidence]).answer
    return Explanation(
        answer=answer.text,
        basis=answer.basis,
        confidence=_rounded(answer.confidence),
        sentences=[
            ExplainedSentence(one.text, _rests_on(one, answer.abstains), _supports(one, evidence))
            for one in answer.sentences
        ],
        searched=evidence.reference,
    )


def _searched(rna: CleanedRna, reference: Reference) -> Evidence:
    return search_rna(rna, reference, rna.name or "RNA 1")


def _match(item: Item, evidence: Evidence) -> Match:
    record, hit = item.record, item.hit
    return Match(
        number=item.number,
        accession=record.id,
        name=record.name,
        description=record.description,
        type=record.type or None,
        clan=record.clan or None,
        organism=record.organism or None,
        evalue=hit.evalue,
        bits=round(hit.bits, 1),
        identity=round(hit.identity, 3),
        strand=hit.strand,
        start=hit.start,
        end=hit.end,
        is_whole=evidence.is_whole(item),
        confidence=_rounded(confidence_of_match(hit)),
        link=item.address or None,
        papers=list(map(_paper, record.papers)),
    )


def _rounded(confidence: float | None) -> float | None:
    return None if confidence is None else round(confidence, 4)


def _paper(name: str) -> Paper:
    where = "https://pubmed.ncbi.nlm.nih.gov" if name.isdecimal() else "https://doi.org"
    return Paper(name, f"{where}/{name.removeprefix('doi:')}")


def _rests_on(sentence: Sentence, abstains: bool) -> str:
    if sentence.cites:
        return "records"
    return "nothing" if abstains else "sequence"


def _supports(sentence: Sentence, evidence: Evidence) -> list[Support]:
    items = {item.number: item for item in evidence.items}
    return [_support(sentence.text, items[number], evidence) for number in sentence.cites]


def _support(text: str, item: Item, evidence: Evidence) -> Support:
    record = item.record
    said = telling_sentences(text, item, evidence)
    claims = [one for one in record.claims if one.text in said or one.quote in said]
    papers = dict.fromkeys(paper for claim in claims for paper in claim.papers)
    return Support(
        record=_match(item, evidence),
        says=list(said),
        quotes=[claim.quote for claim in claims if claim.quote],
        fields=_fields_in(text, record),
        papers=list(map(_paper, papers or record.papers)),
    )


def _fields_in(text: str, record: Record) -> dict[str, str]:
    """What a record lists that a text holds."""
    listed = {
        "accession": record.id,
        "name": record.name,
        "description": record.description,
        "type": record.type,
        "clan": record.clan,
        "organism": record.organism,
        **{term.id: term.name for term in record.terms if term.id in text},
    }
    lower = text.lower()
    return {
        key: value
        for key, value in listed.items()
        if value and (key in text or value.lower() in lower)
    }


__all__ = [
    "Annotations",
    "CitedReply",
    "CitedSentence",
    "ExplainedSentence",
    "Explanation",
    "Identification",
    "Match",
    "Paper",
    "Support",
    "annotate_all",
    "ask",
    "explain",
    "identify",
    "read_many",
    "read_one",
    "reply_of",
]
