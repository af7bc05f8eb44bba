"""Annotations by a language model: claims of each group of papers, checked, repaired, combined."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Any, NamedTuple, TypeVar

from rnagpt.rna_qa.literature.claims import prompts
from rnagpt.rna_qa.literature.claims.numbered_sentences import sentences_about, with_quotes
from rnagpt.rna_qa.literature.claims.standing_alone import ITS_LENGTH, needs_its_paper, tidy
from rnagpt.rna_qa.literature.claims.validation import (
    Violation,
    adds_nothing,
    find_quote,
    leaked_phrase,
    validate_claim,
)
from rnagpt.rna_qa.literature.llm.language_model import (
    ContextLengthExceeded,
    LanguageModel,
    NoRoom,
    Pending,
    RequestFailed,
    count_tokens,
)
from rnagpt.rna_qa.literature.records import Annotation, Claim, Paper, Rna, Topics
from rnagpt.rna_qa.literature.text.passages import section_of
from rnagpt.rna_qa.literature.text.plain_text import plain_text

# Rises when the same answers may give other annotations.
VERSION = 4
MODES = ("dnc", "ais")
# What a model is given of papers.
ABSTRACTS, SENTENCES = "abstracts", "sentences"
TOKEN_BUDGET = 12_000
CLAIMS_PER_TOPIC = 4
# Claims whose order is asked for at once.
MAX_TO_COMBINE = 60
# Two claims say the same where they share this part of the shorter one's content words; less is
# enough where the model says so.
SAME, SAME_BY_THE_MODEL = 0.85, 0.5
# Requests without an answer are counted under these words, else under the error's name.
_WHY = {ContextLengthExceeded: "too long", NoRoom: "no room"}

Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Piece:
    """Papers that go into one request for claims, and how many claims it may bring."""

    papers: tuple[Paper, ...]
    most_claims: int

    @property
    def by_id(self) -> dict[str, Paper]:
        return {paper.id: paper for paper in self.papers}

    def halves(self) -> tuple[Piece, Piece]:
        middle, claims = len(self.papers) // 2, math.ceil(self.most_claims / 2)
        return Piece(self.papers[:middle], claims), Piece(self.papers[middle:], claims)


class _Faulty(NamedTuple):
    """A claim, as the model wrote it and as it was read, and what is wrong with it."""

    written: Mapping[str, Any]
    claim: Claim
    violation: Violation


@dataclass
class _Sifted:
    """What became of a piece's claims."""

    piece: Piece
    standing: list[Claim] = field(default_factory=list)
    faulty: list[_Faulty] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)


def annotate(
    rna: Rna,
    topics: Topics,
    papers: Iterable[Paper],
    model: LanguageModel,
    mode: str,
    token_budget: int = TOKEN_BUDGET,
    claims_per_topic: int = CLAIMS_PER_TOPIC,
    reads: str = ABSTRACTS,
) -> Annotation:
    """What the papers say about an RNA, in claims of which each passed `claims.validate_claim`.

    ``dnc`` (divide and conquer) asks about each group of papers by itself; ``ais`` about all papers
    at once, or as many at a time as the token budget takes. Claims that fail are sent back once
    with what is wrong; what fails again is rejected and counted. Where more than one request
    brought claims, another asks for their order and for those that say the same: it is answered in
    numbers, so no evidence is lost. Requests hold only the RNA's names and papers, never its id:
    RNAs that share both share the answers.

    Args:
        papers: The papers of `topics`; others are ignored.
        token_budget: Most tokens of papers in one request.
        claims_per_topic: Most claims per group of papers; in ``ais``, which sees no
            groups, as many in all.
        reads: ``abstracts``, or ``sentences``: those that name the RNA, numbered. Of these a model
            names one in place of a quote, and what fails is rejected at once: there is nothing
            more to show it.

    Raises:
        ValueError: for an unknown mode, or where a paper of `topics` is missing.
        RunStopped, Pending: as `LanguageModel.ask` does; requests that can be sent before are.
    """
    pieces = divide(rna, topics, papers, mode, token_budget, claims_per_topic)
    extracted = apply_to_each(pieces, lambda piece: _extract(rna, piece, model, reads))
    mend = _reject if reads == SENTENCES else partial(_repair, rna, model=model)
    sifted = apply_to_each(extracted, lambda part: [mend(part)])
    topic_of = {paper: topic for topic, group in enumerate(topics.groups) for paper in group}
    standing = [
        replace(claim, topic=topic_of[claim.papers[0]])
        for part in sifted
        for claim in part.standing
    ]
    if sum(bool(part.standing) for part in sifted) > 1:
        parts = in_parts(standing, MAX_TO_COMBINE)
        standing = apply_to_each(parts, lambda part: _combine(rna, part, model))
    standing = _merge(standing, rna, SAME)
    rejected = sum((part.rejected for part in sifted), Counter[str]())
    return Annotation(
        rna.id,
        mode,
        " ".join(claim.text for claim in standing),
        tuple(standing),
        model.name,
        dict(sorted(rejected.items())),
    )


def divide(
    rna: Rna,
    topics: Topics,
    papers: Iterable[Paper],
    mode: str,
    token_budget: int,
    claims_per_topic: int,
) -> list[Piece]:
    """The papers in pieces that fit the token budget, each within one group (``dnc``) or not."""
    if mode not in MODES:
        raise ValueError(f"mode {mode!r}: expected one of {', '.join(MODES)}")
    groups = topics.group(papers)
    most_claims = claims_per_topic
    if mode == "ais" and groups:
        most_claims *= len(groups)
        groups = [list(chain.from_iterable(groups))]
    return [piece for group in groups for piece in _fit(group, most_claims, token_budget)]


def _fit(papers: Sequence[Paper], most_claims: int, token_budget: int) -> list[Piece]:
    """Pieces of about equal size, none over the budget unless a single paper is."""
    papers = sorted(papers, key=lambda paper: paper.id)
    sizes = [count_tokens(paper.text) for paper in papers]
    bins = max(1, math.ceil(sum(sizes) / token_budget))
    pieces: list[list[Paper]] = [[]]
    size = 0
    for paper, more in zip(papers, sizes, strict=True):
        full = size + more > token_budget or size >= sum(sizes) / bins
        if pieces[-1] and full:
            pieces.append([])
            size = 0
        pieces[-1].append(paper)
        size += more
    share = math.ceil(most_claims / len(pieces))
    return [Piece(tuple(piece), share) for piece in pieces]


def apply_to_each(
    items: Iterable[Given], function: Callable[[Given], Iterable[Made]]
) -> list[Made]:
    """All that a function makes of the items.

    Raises:
        Pending: after all items, where it was raised for some: their requests share a batch.
    """
    made: list[Made] = []
    postponed: Pending | None = None
    for item in items:
        try:
            made += function(item)
        except Pending as later:
            postponed = later
    if postponed:
        raise postponed
    return made


def in_parts(items: Sequence[Given], most: int) -> list[Sequence[Given]]:
    """The items in parts of at most N."""
    return [items[start : start + most] for start in range(0, len(items), most)]


def _extract(rna: Rna, piece: Piece, model: LanguageModel, reads: str) -> list[_Sifted]:
    """The claims of a piece; of its halves where the model cannot take it whole."""
    sentences = sentences_about(piece.papers, rna.names) if reads == SENTENCES else []
    if reads == SENTENCES and not sentences:
        return [_Sifted(piece)]
    if sentences:
        most = piece.most_claims
        request = prompts.ask_for_claims_on_sentences(rna.names, sentences, most)
    else:
        request = prompts.ask_for_claims(rna.names, piece.papers, piece.most_claims)
    try:
        answer = model.ask(request)
    except RequestFailed as failure:
        if isinstance(failure, ContextLengthExceeded) and len(piece.papers) > 1:
            return apply_to_each(piece.halves(), lambda half: _extract(rna, half, model, reads))
        why = _WHY.get(type(failure), type(failure).__name__.lower())
        return [_Sifted(piece, rejected=Counter({f"no answer: {why}": 1}))]
    written = answer["claims"][: piece.most_claims]
    return [_sift(rna, piece, with_quotes(written, sentences) if sentences else written)]


def _sift(rna: Rna, piece: Piece, written: Iterable[Mapping[str, Any]]) -> _Sifted:
    sifted = _Sifted(piece)
    for fields in written:
        claim = _read_claim(fields, piece)
        if violation := _leans(claim) or validate_claim(claim, rna, piece.by_id):
            sifted.faulty.append(_Faulty(fields, claim, violation))
        else:
            sifted.standing.append(_with_quote_as_it_stands(claim, piece))
    return sifted


def _leans(claim: Claim) -> Violation | None:
    """Words that speak of the paper, or need it; what names no finding needs it too."""
    if phrase := leaked_phrase(claim.text):
        return Violation("speaks of the paper", phrase)
    words = needs_its_paper(claim.text)
    # How long a model's claim may be, `validate_claim` says.
    if words and words != ITS_LENGTH:
        return Violation("needs its paper", words)
    return None


def _read_claim(written: Mapping[str, Any], piece: Piece) -> Claim:
    """A claim of an answer; a number that no paper has stays a number, to be rejected."""
    ids = {number: paper.id for number, paper in enumerate(piece.papers, start=1)}
    papers = tuple(ids.get(number, str(number)) for number in dict.fromkeys(written["papers"]))
    return Claim(tidy(plain_text(written["text"])), papers, plain_text(written["quote"]))


def _with_quote_as_it_stands(claim: Claim, piece: Piece) -> Claim:
    """The claim with the quote as its paper prints it, and that paper first."""
    quotes = {id_: find_quote(claim.quote, piece.by_id[id_]) for id_ in claim.papers}
    source = next(id_ for id_, quote in quotes.items() if quote)
    others = (id_ for id_ in claim.papers if id_ != source)
    quote = quotes[source] or claim.quote
    section = section_of(quote, piece.by_id[source])
    return replace(claim, papers=(source, *others), quote=quote, section=section)


def _reject(sifted: _Sifted) -> _Sifted:
    """What stands, with faulty claims counted."""
    faults = Counter(faulty.violation.reason for faulty in sifted.faulty)
    return _Sifted(sifted.piece, sifted.standing, rejected=sifted.rejected + faults)


def _repair(rna: Rna, sifted: _Sifted, model: LanguageModel) -> _Sifted:
    """Send faulty claims back, once; what is still faulty, or left out, is rejected."""
    if not sifted.faulty:
        return sifted
    piece = sifted.piece
    named = {id_ for faulty in sifted.faulty for id_ in faulty.claim.papers}
    numbered = {
        number: paper
        for number, paper in enumerate(piece.papers, start=1)
        if paper.id in named or named.isdisjoint(piece.by_id)
    }
    faults = [(faulty.written, str(faulty.violation)) for faulty in sifted.faulty]
    try:
        answer = model.ask(prompts.ask_for_repair(rna.names, numbered, faults))
    except RequestFailed:
        answer = {"claims": []}
    written = {claim["claim"]: claim for claim in reversed(answer["claims"])}
    standing, rejected = list(sifted.standing), Counter(sifted.rejected)
    for number, faulty in enumerate(sifted.faulty, start=1):
        again = _sift(rna, piece, [written[number]] if number in written else [])
        standing += again.standing
        if not again.standing:
            rejected[(again.faulty or [faulty])[0].violation.reason] += 1
    return _Sifted(piece, standing, rejected=rejected)


def _combine(rna: Rna, claims: Sequence[Claim], model: LanguageModel) -> list[Claim]:
    """The claims in the order that the model asks for, with those merged that say the same."""
    try:
        groups = model.ask(prompts.ask_for_order(rna.names, claims))["groups"]
    except RequestFailed:
        # The order is a nicety: the claims stand as they came.
        return list(claims)
    left = dict(enumerate(claims, start=1))
    combined: list[Claim] = []
    for numbers in groups:
        together = [left.pop(number) for number in dict.fromkeys(numbers) if number in left]
        combined += _merge(together, rna, SAME_BY_THE_MODEL)
    # What the model forgot is not lost.
    return combined + list(left.values())


def _merge(claims: Iterable[Claim], rna: Rna, same: float) -> list[Claim]:
    """The claims without those that say what an earlier one says; that one takes their papers."""
    merged: list[Claim] = []
    for claim in claims:
        for place, other in enumerate(merged):
            if adds_nothing(claim.text, other.text, rna.names, same):
                papers = tuple(dict.fromkeys(other.papers + claim.papers))
                merged[place] = replace(other, papers=papers)
                break
        else:
            merged.append(claim)
    return merged


__all__ = ["ABSTRACTS", "SENTENCES", "Piece", "annotate", "apply_to_each", "divide", "in_parts"]
