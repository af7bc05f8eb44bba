"""Questions about an RNA from claims that stand: with a language model, or with templates."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from rnagpt.rna_qa.literature.claims import prompts
from rnagpt.rna_qa.literature.claims.annotate import apply_to_each, in_parts
from rnagpt.rna_qa.literature.claims.categories import kind_of
from rnagpt.rna_qa.literature.claims.standing_alone import needs_its_paper, tidy
from rnagpt.rna_qa.literature.claims.validation import (
    leaked_phrase,
    mask,
    mask_names,
    names_rna,
    overlap,
    violations_of_premise,
    violations_of_statement,
)
from rnagpt.rna_qa.literature.claims.wordings import choose_question, content_of
from rnagpt.rna_qa.literature.llm.language_model import (
    ContextLengthExceeded,
    LanguageModel,
    RequestFailed,
)
from rnagpt.rna_qa.literature.records import Annotation, Claim, QaPair, Rna
from rnagpt.rna_qa.literature.text.plain_text import plain_text
from rnagpt.rna_qa.splits import fraction

# Rises when the same claims may give other questions.
VERSION = 5
MAX_WORDS = 40  # of a language model's answer
# Two answers say the same where they share this part of the shorter one's words.
SAME = 0.75
# Claims that a language model is asked about at once.
MAX_AT_ONCE = 20


_STATISTICS = re.compile(
    r"\s*[(\[](?=(?:[^()\[\]]|\([^()]*\))*"
    r"(?:\b[Pp]\s?[<>=≤≥]|\bn\s?=|\bCI\b|\bHR\b|\bOR\s?=|\bAUC\s?=|±|\bvs\.?\s|\bfold\b|\b[Ff]igs?\b|\bTable\b))"
    r"(?:[^()\[\]]|\([^()]*\))*[)\]]"
)
# Outside of brackets, which are read whole.
_TRAILING_P = re.compile(
    r"\([^()]*\)|\[[^\[\]]*\]|(?P<p>,?\s*(?<![\w-])[Pp]\s?[<>=≤≥]\s?0?[.,]\s?\d+(?=[.,;]?(?:\s|$)))"
)


def ask(
    rna: Rna, annotation: Annotation, model: LanguageModel | None = None, seed: int = 0
) -> list[QaPair]:
    """Questions that the standing claims of an annotation answer, each with its papers and quote.

    No question names the RNA: it is to be read from the sequence. Questions that were asked before,
    answers that say the same as an earlier one, and answers that speak of a paper ("the study
    shows") are left out.

    Args:
        model: None takes templates, which make one question of a claim by its key words. A question
            of the model's, too, may presume nothing that its claim does not say.
        seed: Draws the wording of templates, together with the RNA's id.
    """
    pairs: Iterable[QaPair]
    if model:
        parts = in_parts(annotation.claims, MAX_AT_ONCE)
        pairs = apply_to_each(parts, lambda part: _questions_of(rna, part, model))
    else:
        pairs = _ask_by_templates(rna, annotation.claims, seed)
    return _distinct(pairs, rna.names)


def _questions_of(rna: Rna, claims: Sequence[Claim], model: LanguageModel) -> list[QaPair]:
    """What the model asks of claims and answers, as far as it passes the checks."""
    try:
        answer = model.ask(prompts.ask_for_questions(rna.names, claims))
    except RequestFailed as failure:
        if not isinstance(failure, ContextLengthExceeded) or len(claims) == 1:
            return []
        middle = len(claims) // 2
        halves = (claims[:middle], claims[middle:])
        return apply_to_each(halves, lambda half: _questions_of(rna, half, model))
    numbered = dict(enumerate(claims, start=1))
    pairs = (
        _read_question(written, numbered[written["claim"]], rna)
        for written in answer["questions"]
        if written["claim"] in numbered
    )
    return [pair for pair in pairs if pair]


def _read_question(written: Mapping[str, Any], claim: Claim, rna: Rna) -> QaPair | None:
    """A question and its answer, None where one of them says what the claim does not."""
    question = _unname(plain_text(written["question"]), rna.names)
    answer = plain_text(written["answer"])
    if not question.endswith("?") or not re.search(r"\bthis RNA\b", question):
        return None
    if not answer or len(question.split()) > MAX_WORDS or len(answer.split()) > MAX_WORDS:
        return None
    if leaked_phrase(question) or leaked_phrase(answer):
        return None
    source = f"{claim.text} {claim.quote}"
    if any(violations_of_statement(answer, source, source, rna.names)):
        return None
    if any(violations_of_premise(question, source, rna.names)):
        return None
    return QaPair(question, answer, written["category"], claim.papers, claim.quote)


def _unname(question: str, names: Sequence[str]) -> str:
    """The question with "this RNA" in place of its names, which may follow a noun."""
    lead = (
        r"(?:\b(?:the|this)\s+)?(?:\b(?:(?:micro|lnc|circ|long non-?coding )?RNA|miRNA|gene)\s+)?"
    )
    text = re.sub(f"{lead}@", "this RNA", mask_names(question, names, "@"))
    return text[0].upper() + text[1:] if text else text


def _ask_by_templates(rna: Rna, claims: Iterable[Claim], seed: int) -> Iterator[QaPair]:
    asked: set[tuple[str, ...]] = set()
    for claim in claims:
        if answer := _answer_of(claim.text, rna.names):
            draw = partial(fraction, seed, rna.id)
            kind = kind_of(mask(answer, rna.names))
            found = choose_question(kind, answer, mask(answer, rna.names), draw, asked)
            if found:
                yield QaPair(found, answer, kind.category, claim.papers, claim.quote)


def _answer_of(text: str, names: Sequence[str]) -> str | None:
    """A claim as an answer that stands alone; None where it cannot."""

    def unless_it_names(match: re.Match[str]) -> str:
        return match[0] if names_rna(match[0], names) else ""

    text = _STATISTICS.sub(unless_it_names, text)
    text = _TRAILING_P.sub(lambda match: "" if match["p"] else match[0], text)
    text = tidy(re.sub(r"\s+([.,;])", r"\1", text))
    return text if names_rna(text, names) and not needs_its_paper(text) else None


def _distinct(pairs: Iterable[QaPair], names: Sequence[str]) -> list[QaPair]:
    """The pairs whose question was not asked and whose answer was not given before.

    A question was asked where another one differs from it in words alone that all questions have.
    """
    given: list[QaPair] = []
    asked: list[frozenset[str]] = []
    for pair in pairs:
        words = content_of(pair.question)
        if words not in asked and not any(
            overlap(pair.answer, other.answer, names) >= SAME for other in given
        ):
            given.append(pair)
            asked.append(words)
    return given


__all__ = ["ask"]
