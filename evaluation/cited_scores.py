"""Scores of cited answers: names, backing by the cited record, yes against no, confidence."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from rnagpt.cleaning_rnagpt import CleanedRna
from rnagpt.evaluation.calibration import brier_score, expected_calibration_error
from rnagpt.evaluation.matching import AnswerMatcher
from rnagpt.evaluation.search_quality import AskedRna
from rnagpt.evaluation.tasks import FAMILY, QUESTIONS, TYPE
from rnagpt.evidence.answers import CitedAnswer
from rnagpt.evidence.confidence import CLEAR_EXPONENT, exponent_of
from rnagpt.evidence.gathering import Evidence, gather_evidence
from rnagpt.reference.library import Reference
from rnagpt.reference.records import Record
from rnagpt.sequences.rna_types import RNA_TYPES, with_article

# Weaker matches are candidates that no answer names; their confidence is measured all the same.
WEAK = 10.0
IDENTIFIERS = re.compile(r"\b(?:RF\d{5}|CL\d{5}|GO:\d{7}|SO:\d{7}|(?<=PMID )\d{5,8})\b")
# Words with which a sentence is built around what a record says.
_FRAME = frozenset(
    [
        "belongs",
        "family",
        "rfam",
        "clan",
        "linked",
        "ontology",
        "term",
        "terms",
        "listed",
        "lists",
        "gene",
        "element",
        "annotated",
        "molecular",
        "function",
        "takes",
        "accession",
        "called",
        "described",
        "pmid",
        "nucleotides",
        "reverse",
        "complement",
        "structure",
        "consensus",
        "laid",
        "match",
        "lies",
        "given",
        "strand",
        "rna",
        "yes",
        "does",
        "tell",
        "record",
    ]
)


@dataclass(frozen=True)
class Said:
    """An answer, and the evidence that it was given.

    Attributes:
        answer: with its sentences and citations.
        evidence: of the RNA.
    """

    answer: CitedAnswer
    evidence: Evidence


# Answers of one system: for each RNA those to each question.
Ask = Callable[[Sequence[CleanedRna], Sequence[str]], list[list[Said]]]


@dataclass
class Shares:
    """Answers about RNAs of families: shares that are right, and that claim one at all."""

    rnas: int
    right_family: float
    claimed_family: float
    right_type: float
    claimed_type: float


def score_names(
    said: Sequence[Sequence[Said]], asked: Sequence[AskedRna | None], matcher: AnswerMatcher
) -> Shares:
    """What the answers to the questions of family and type name.

    Args:
        said: for each RNA the two answers.
        asked: with what is right; None for a sequence of no family.
    """
    named = [
        [
            set(matcher.names_in(one.answer.plain, question))
            for one, question in zip(two, (FAMILY, TYPE), strict=True)
        ]
        for two in said
    ]
    count = max(1, len(named))
    right = [
        (rna is not None and {rna.family} == families, rna is not None and {rna.type} == types)
        for (families, types), rna in zip(named, asked, strict=True)
    ]
    return Shares(
        len(named),
        sum(family for family, _ in right) / count,
        sum(bool(families) for families, _ in named) / count,
        sum(kind for _, kind in right) / count,
        sum(bool(types) for _, types in named) / count,
    )


# --- what sentences rest on


def record_text(record: Record) -> str:
    """All that a record says, as one text."""
    return record.to_json().replace("\\n", " ")


def is_backed(sentence: str, texts: Iterable[str], question: str = "") -> bool:
    """Whether every word of a sentence that carries something is in what it cites.

    Another way than that of `evidence.support`, which has let the sentence pass: no stems, no
    shares, all words, in the whole record.
    """
    known = {word for text in (*texts, question) for word in _words(text)}
    return all(
        word in known or word in _FRAME or word in ENGLISH_STOP_WORDS for word in _words(sentence)
    )


def _words(text: str) -> Iterator[str]:
    return (word for word in re.findall(r"[^\W_]+", text.casefold()))


@dataclass
class Backing:
    """How sentences and identifiers stand to the records that are cited."""

    sentences: int = 0
    backed: int = 0
    unsupported: int = 0
    identifiers: int = 0
    of_record: int = 0
    not_backed: list[str] = field(default_factory=list)

    def add(self, said: Said) -> None:
        items = {item.number: item for item in said.evidence.items}
        for sentence in said.answer.sentences:
            if not sentence.supported:
                self.unsupported += 1
            if not sentence.cites:
                continue
            texts = [record_text(items[n].record) for n in sentence.cites if n in items]
            texts.append(f"{_places(items[n].hit for n in sentence.cites if n in items)}")
            self.sentences += 1
            if is_backed(sentence.text, texts, said.answer.question):
                self.backed += 1
            elif len(self.not_backed) < 50:
                self.not_backed.append(sentence.text)
            found = IDENTIFIERS.findall(sentence.text)
            self.identifiers += len(found)
            self.of_record += sum(any(name in text for text in texts) for name in found)

    def shares(self) -> dict[str, float]:
        return {
            "sentences": self.sentences,
            "backed": self.backed / max(1, self.sentences),
            "marked as unsupported": self.unsupported,
            "identifiers": self.identifiers,
            "of the cited record": self.of_record / max(1, self.identifiers),
        }


def _places(hits: Iterable[Any]) -> str:
    return " ".join(f"{hit.start} {hit.end} {hit.start:,} {hit.end:,}" for hit in hits)


# --- confidence


@dataclass(frozen=True)
class Candidate:
    """The best match of an RNA, however weak, and whether its family and its type are right."""

    evalue: float | None
    right_family: bool
    right_type: bool


def find_candidates(
    sequences: Sequence[str], asked: Sequence[AskedRna | None], reference: Reference
) -> list[Candidate]:
    """The best match with E < `WEAK` of each sequence."""
    found = []
    for sequence, rna in zip(sequences, asked, strict=True):
        evidence = gather_evidence(CleanedRna("", sequence), reference, evalue=WEAK)
        best = evidence.best
        found.append(
            Candidate(
                best.hit.evalue if best else None,
                bool(best and rna and best.record.id == rna.family),
                bool(best and rna and best.record.type == rna.type),
            )
        )
    return found


def fit_confidence(candidates: Sequence[Candidate]) -> tuple[float, float, float]:
    """Bias, scale and ceiling of `evidence.confidence`, fitted on the families of matches.

    The ceiling is the share of the clear matches that is right: near relatives of a family match it
    as clearly as its own RNAs do. Bias and scale are the likeliest ones for the others.

    Raises:
        ValueError: the best matches are all right, or all wrong.
    """
    known = [one for one in candidates if one.evalue is not None]
    exponents = np.array([exponent_of(one.evalue or 0.0) for one in known])
    right = np.array([one.right_family for one in known], dtype=bool)
    clear = exponents >= CLEAR_EXPONENT
    if len(set(right[~clear].tolist())) < 2:
        raise ValueError(
            f"Of {len(candidates):,} sequences {int((~clear).sum()):,} match a family, but not "
            "clearly, and these are all right or all wrong: no confidence can be fitted. Take a "
            "larger --limit, or a data set with more families."
        )
    ceiling = (right[clear].sum() + 1) / (clear.sum() + 2) if clear.any() else 1.0
    fitted = LogisticRegression(C=1e6).fit(exponents[~clear, None], right[~clear])
    return float(fitted.intercept_[0]), float(fitted.coef_[0][0]), float(ceiling)


def score_confidence(
    candidates: Sequence[Candidate], confidence: Callable[[float], float]
) -> dict[str, dict[str, float]]:
    """What the confidence in the best match is worth, for family and type.

    An RNA without any match has none, which is right to doubt: it counts with confidence 0.
    """
    values = np.array([0.0 if c.evalue is None else confidence(c.evalue) for c in candidates])
    scores = {}
    for name in ("family", "type"):
        right = np.array([getattr(c, f"right_{name}") for c in candidates])
        base = brier_score(np.full(len(right), right.mean()), right)
        brier = brier_score(values, right)
        scores[name] = {
            "rnas": len(right),
            "base rate": float(right.mean()),
            "AUROC": float(roc_auc_score(right, values)) if 0 < right.mean() < 1 else 0.5,
            "calibration error": float(expected_calibration_error(values, right)),
            "Brier": float(brier),
            "Brier of the base rate": float(base),
            "better by": float(1 - brier / base) if base else 0.0,
        }
    return scores


# --- yes and no


def count_contradictions(
    ask: Ask, rnas: Sequence[CleanedRna], random: np.random.Generator
) -> dict[str, float]:
    """Shares of questions of yes or no whose answer contradicts that to the type, or its opposite.

    Of each RNA it is asked whether it is of the type that was just named, whether it is not, and
    whether it is of another one.
    """
    typed = ask(rnas, [QUESTIONS[TYPE]])
    others = list(RNA_TYPES.values())
    pairs, contradictions, answered = 0, 0, 0
    for rna, (said,) in zip(rnas, typed, strict=True):
        best = said.evidence.best
        if said.answer.abstains or best is None or not best.record.type:
            continue
        own, other = (
            with_article(best.record.type),
            with_article(others[random.integers(len(others))]),
        )
        questions = [
            f"Is this RNA {own}?",
            f"This is not {own}, is it?",
            f"Is it {other}?",
            f"It isn't {other}, right?",
        ]
        ((yes, same, no, opposite),) = ask([rna], questions)
        pairs += 2
        answered += sum(_verdict(one) is not None for one in (yes, no))
        contradictions += _contradict(yes, same, expected=True, named=best.record.type)
        contradictions += _contradict(no, opposite, expected=None, named=best.record.type)
    return {
        "pairs": pairs,
        "contradictions": contradictions / max(1, pairs),
        "answered by yes or no": answered / max(1, pairs),
    }


def _contradict(asked: Said, denied: Said, *, expected: bool | None, named: str) -> bool:
    """Whether two answers, to a question and to the same one denied, do not go together.

    Args:
        expected: of the first, yes or no; None: either, or neither.
        named: the RNA's type, which an answer of yes or no has to name.
    """
    verdicts = {_verdict(asked), _verdict(denied)} - {None}
    if len(verdicts) > 1 or (expected is not None and verdicts == {not expected}):
        return True
    clear = [one for one in (asked, denied) if _verdict(one) is not None]
    return any(named not in one.answer.plain for one in clear)


def _verdict(said: Said) -> bool | None:
    word = said.answer.plain.split(",")[0].split(" ")[0].lower()
    return {"yes": True, "no": False}.get(word)


__all__ = [
    "IDENTIFIERS",
    "Ask",
    "Backing",
    "Candidate",
    "Said",
    "Shares",
    "count_contradictions",
    "find_candidates",
    "fit_confidence",
    "is_backed",
    "record_text",
    "score_confidence",
    "score_names",
]
