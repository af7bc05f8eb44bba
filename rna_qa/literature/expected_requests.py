"""What annotating an RNA is expected to take of a language model, before anything is sent."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from rnagpt.rna_qa.literature import prompts
from rnagpt.rna_qa.literature.annotate import (
    CLAIMS_PER_TOPIC,
    MOST_TO_COMBINE,
    TOKEN_BUDGET,
    Piece,
    divide,
)
from rnagpt.rna_qa.literature.language_model import Request
from rnagpt.rna_qa.literature.questions_of_claims import MOST_AT_ONCE
from rnagpt.rna_qa.literature.records import Paper, Rna, Topics

# Tokens of what stands around a claim's text in a request, and of a number in an order of claims.
_FRAME, _NUMBER = 10, 3


class Estimate(NamedTuple):
    """What a language model would be sent and would answer, in tokens."""

    requests: float
    input_tokens: float
    output_tokens: float

    def plus(self, requests: float, input_tokens: float, output_tokens: float) -> Estimate:
        return Estimate(
            self.requests + requests,
            self.input_tokens + input_tokens,
            self.output_tokens + output_tokens,
        )


@dataclass(frozen=True)
class Expected:
    """What a model makes of its requests: shares, and tokens. Measure them for your model.

    `made`: claims written, of those it may write; `faulty`: claims that fail the checks at first;
    `standing`: claims that stand in the end; `claim`, `text`, `question`: tokens of a claim, of its
    text alone, and of a question with its answer; `questions`: questions of a standing claim.
    """

    made: float = 1.0
    faulty: float = 0.15
    standing: float = 0.9
    claim: float = 90
    text: float = 30
    question: float = 70
    questions: float = 1.1


def estimate(
    rna: Rna,
    topics: Topics,
    papers: Iterable[Paper],
    mode: str,
    *,
    count_tokens: Callable[[str], int] | None = None,
    token_budget: int = TOKEN_BUDGET,
    claims_per_topic: int = CLAIMS_PER_TOPIC,
    expected: Expected = Expected(),
) -> Estimate:
    """The requests and tokens that an RNA's annotation and questions are expected to take.

    Requests for claims are counted as they will be sent; what depends on the answers (repairs, the
    order, questions) is counted by `expected`.

    Args:
        count_tokens: The tokens of a text; None counts four characters as one.
    """
    count = count_tokens or _count_quarters
    pieces = divide(rna, topics, papers, mode, count, token_budget, claims_per_topic)
    total = Estimate(0, 0, 0)
    claims = 0.0
    for piece in pieces:
        made = expected.made * piece.most_claims
        request = prompts.ask_for_claims(rna.names, piece.papers, piece.most_claims)
        total = total.plus(1, _size(request, count), made * expected.claim)
        total = total.plus(*_estimate_repair(rna, piece, made, count, expected))
        claims += made * expected.standing
    if not claims:
        return total
    if len(pieces) > 1:
        total = total.plus(*_estimate_order(rna, claims, count, expected))
    requests = math.ceil(claims / MOST_AT_ONCE)
    empty = _size(prompts.ask_for_questions(rna.names, ()), count)
    return total.plus(
        requests,
        requests * empty + claims * (expected.text + _FRAME),
        claims * expected.questions * expected.question,
    )


def _estimate_repair(
    rna: Rna, piece: Piece, made: float, count: Callable[[str], int], expected: Expected
) -> Estimate:
    """One request for the faulty claims of a piece, if there is one, with the papers they name."""
    faulty = made * expected.faulty
    sent = 1 - (1 - expected.faulty) ** made
    papers = dict(enumerate(piece.papers[: math.ceil(faulty)], start=1))
    read = _size(prompts.ask_for_repair(rna.names, papers, ()), count)
    return Estimate(sent, sent * read + faulty * (expected.claim + _FRAME), faulty * expected.claim)


def _estimate_order(
    rna: Rna, claims: float, count: Callable[[str], int], expected: Expected
) -> Estimate:
    requests = math.ceil(claims / MOST_TO_COMBINE)
    empty = _size(prompts.ask_for_order(rna.names, ()), count)
    read = requests * empty + claims * (expected.text + _FRAME)
    return Estimate(requests, read, requests * _FRAME + claims * _NUMBER)


def _size(request: Request, count: Callable[[str], int]) -> int:
    return count(request.system) + count(request.user)


def _count_quarters(text: str) -> int:
    return math.ceil(len(text) / 4)


__all__ = ["Estimate", "Expected", "estimate"]
