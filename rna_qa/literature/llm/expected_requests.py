"""What annotating an RNA is expected to take of a language model, before anything is sent."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rnagpt.rna_qa.literature.claims import prompts
from rnagpt.rna_qa.literature.claims.annotate import MOST_TO_COMBINE, Piece
from rnagpt.rna_qa.literature.claims.question_generation import MOST_AT_ONCE
from rnagpt.rna_qa.literature.llm.language_model import Request
from rnagpt.rna_qa.literature.records import Rna

# Kinds of requests (`Request.schema_name`), in the order in which an RNA's are sent: each is known
# when those before it are answered.
KINDS = ("claims", "repair", "combine", "questions")
# Tokens of what stands around a claim's text in a request, and of a number in an order of claims.
_FRAME, _NUMBER = 10, 3


class Requests(NamedTuple):
    """Requests to a language model, with the tokens that it reads and writes."""

    requests: float = 0.0
    input_tokens: float = 0.0
    output_tokens: float = 0.0

    def plus(self, other: Requests) -> Requests:
        return Requests(*(one + more for one, more in zip(self, other, strict=True)))

    def times(self, factor: Requests) -> Requests:
        return Requests(*(one * by for one, by in zip(self, factor, strict=True)))

    def less(self, other: Requests) -> Requests:
        """What is left when some are done; never below nothing."""
        return Requests(*(max(0.0, one - done) for one, done in zip(self, other, strict=True)))


NOTHING = Requests()


@dataclass(frozen=True)
class Expected:
    """Assumptions on what a model makes of its requests: shares, and tokens.

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


def expect(
    rna: Rna,
    pieces: Sequence[Piece],
    expected: Expected = Expected(),
    count_tokens: Callable[[str], int] | None = None,
) -> dict[str, Requests]:
    """What an RNA's annotation and questions are expected to take, by kind of request.

    Requests for claims are counted as they will be sent; what depends on the answers (repairs, the
    order, questions) is counted by `expected`.

    Args:
        pieces: Of the RNA's papers, as `annotate.divide` makes them.
        count_tokens: The tokens of a text; None counts four characters as one.
    """
    count = count_tokens or count_quarters
    total = dict.fromkeys(KINDS, NOTHING)
    standing = 0.0
    for piece in pieces:
        made = expected.made * piece.most_claims
        request = prompts.ask_for_claims(rna.names, piece.papers, piece.most_claims)
        sent = Requests(1, request_size(request, count), made * expected.claim)
        total["claims"] = total["claims"].plus(sent)
        total["repair"] = total["repair"].plus(_expect_repair(rna, piece, made, count, expected))
        standing += made * expected.standing
    if not standing:
        return total
    if len(pieces) > 1:
        total["combine"] = _expect_order(rna, standing, count, expected)
    total["questions"] = _expect_questions(rna, standing, count, expected)
    return total


def _expect_repair(
    rna: Rna, piece: Piece, made: float, count: Callable[[str], int], expected: Expected
) -> Requests:
    """One request for the faulty claims of a piece, if there is one, with the papers they name."""
    faulty = made * expected.faulty
    sent = 1 - (1 - expected.faulty) ** made
    papers = dict(enumerate(piece.papers[: math.ceil(faulty)], start=1))
    read = request_size(prompts.ask_for_repair(rna.names, papers, ()), count)
    return Requests(sent, sent * read + faulty * (expected.claim + _FRAME), faulty * expected.claim)


def _expect_order(
    rna: Rna, claims: float, count: Callable[[str], int], expected: Expected
) -> Requests:
    requests = math.ceil(claims / MOST_TO_COMBINE)
    empty = request_size(prompts.ask_for_order(rna.names, ()), count)
    read = requests * empty + claims * (expected.text + _FRAME)
    return Requests(requests, read, requests * _FRAME + claims * _NUMBER)


def _expect_questions(
    rna: Rna, claims: float, count: Callable[[str], int], expected: Expected
) -> Requests:
    requests = math.ceil(claims / MOST_AT_ONCE)
    empty = request_size(prompts.ask_for_questions(rna.names, ()), count)
    read = requests * empty + claims * (expected.text + _FRAME)
    return Requests(requests, read, claims * expected.questions * expected.question)


def request_size(request: Request, count: Callable[[str], int]) -> int:
    """The tokens that a model reads of a request; the schema is read, and paid, as well."""
    return count(request.system) + count(request.user) + count(json.dumps(request.schema))


def count_quarters(text: str) -> int:
    """The tokens of a text where nobody knows better: a quarter of its characters."""
    return math.ceil(len(text) / 4)


__all__ = ["KINDS", "NOTHING", "Expected", "Requests", "count_quarters", "expect", "request_size"]
