"""Estimate of what a build will ask of a language model, and of its cost, before anything is sent.

Requests for claims are known beforehand; what follows from the answers is assumed (`Assumptions`).
Where part of a build is done, its cached answers are replayed: for each kind of request, the ratio
of what came to what was expected of the same RNAs corrects what is expected of all others (a ratio
estimator, as in surveys).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from rnagpt.rna_qa.literature.build.pipeline import (
    REQUESTS,
    WORK,
    build,
    corpus_key,
    num_shards,
    read_state,
)
from rnagpt.rna_qa.literature.build.settings import LiteratureOptions, RunOptions, Services
from rnagpt.rna_qa.literature.build.stages import Build, read_groups
from rnagpt.rna_qa.literature.claims import prompts
from rnagpt.rna_qa.literature.claims.annotate import MAX_TO_COMBINE, Piece, annotate, divide
from rnagpt.rna_qa.literature.claims.question_generation import MAX_AT_ONCE, ask
from rnagpt.rna_qa.literature.llm.language_model import Pending, Request, count_tokens
from rnagpt.rna_qa.literature.llm.openai_model import OpenAiModel, read_answer
from rnagpt.rna_qa.literature.llm.service import open_model, prices
from rnagpt.rna_qa.literature.llm.spending import BATCH_SHARE
from rnagpt.rna_qa.literature.records import Rna

FREE_STAGES = ("select", "papers", "topics")
# Kinds of requests (`Request.schema_name`), in the order in which an RNA's are sent: each is known
# when those before it are answered.
KINDS = {
    "claims": "claims",
    "repair": "repairs",
    "combine": "order of claims",
    "questions": "questions",
}
HOW_TO_MEASURE = (
    "for a measured estimate do a part first, with --limit 50 (of files, their first 50 RNAs) or "
    "--budget 1, and estimate again: answers are cached, nothing is paid twice"
)
# Tokens of what stands around a claim's text in a request, and of a number in an order of claims.
_FRAME, _NUMBER = 10, 3

# Of floats: see their shapes where they are used.
Array: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"


class Requests(NamedTuple):
    """Requests to a language model, with the tokens that it reads and writes."""

    requests: float = 0.0
    input_tokens: float = 0.0
    output_tokens: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.requests:,.0f} requests, {self.input_tokens:,.0f} tokens read, "
            f"{self.output_tokens:,.0f} written"
        )


class Assumptions(NamedTuple):
    """Assumptions on a model's answers: shares, and tokens."""

    made: float = 1.0  # claims written, of those it may write
    faulty: float = 0.15  # claims that fail the checks at first
    standing: float = 0.9  # claims that stand in the end
    claim: float = 90  # tokens of a claim
    text: float = 30  # tokens of its text
    question: float = 70  # tokens of a question with its answer
    questions: float = 1.1  # per standing claim


ASSUMED = Assumptions()


@dataclass(frozen=True)
class Estimate:
    """Requests, tokens and dollars of a build.

    `shared` are RNAs that have names and papers in common with another, and so its answers; they
    cost nothing. By mode, `answered` is what earlier runs were answered, as the service counted
    it, `left` what is expected to be sent yet; `measured` counts, for each kind of request, the
    RNAs whose cached answers corrected the expectation. `error` is two standard errors of what is
    left (dollars, else tokens) as a share of it, None where it is not known. `usd` is the cost of
    what is left, `whole_usd` that of the whole build, were nothing answered yet; None where the
    model's prices are not known.
    """

    rnas: int
    shared: int
    answered: Mapping[str, Requests]
    left: Mapping[str, Requests]
    measured: Mapping[str, Mapping[str, int]]
    error: float | None
    usd: float | None
    whole_usd: float | None
    in_batches: bool

    @property
    def by_mode(self) -> dict[str, Requests]:
        """What the whole build takes: what is answered, and what is left."""
        return {
            mode: Requests(*map(sum, zip(done, self.left[mode], strict=True)))
            for mode, done in self.answered.items()
        }

    def describe(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.rnas:,} RNAs with papers, of which {self.shared:,} share another's answers"
        for mode, left in self.left.items():
            if self.answered[mode].requests:
                yield f"{mode}: already answered, at no further cost: {self.answered[mode]}"
                yield f"{mode}: left to ask: {left}"
            else:
                yield f"{mode}: {left}"
        asking = {mode for mode, requests in self.by_mode.items() if requests.requests}
        for mode, measured in self.measured.items():
            assumed = ", ".join(words for kind, words in KINDS.items() if not measured[kind])
            if mode not in asking:
                yield f"{mode}: asks nothing that another mode does not ask"
            elif rnas := measured["claims"]:
                rest = f"; assumed, not measured: {assumed}" if assumed else ""
                yield f"{mode}: from the cached answers to {rnas:,} RNAs{rest}"
            else:
                yield f"{mode}: no answers are cached: all that depends on them is assumed"
        if not all(self.measured[mode]["questions"] for mode in asking):
            yield HOW_TO_MEASURE
        if self.usd is None or self.whole_usd is None:
            yield "cost: give --prices IN,OUT, dollars per million tokens read and written"
            return
        each = 1000 * self.whole_usd / max(self.rnas, 1)
        yield (
            f"cost{' in batches' if self.in_batches else ''}: ${self.usd:,.2f} for what is left; "
            f"the whole build takes ${each:,.2f} per 1,000 RNAs"
        )
        if self.error is not None:
            yield f"± {100 * self.error:.0f} %: two standard errors of the sample of cached answers"


def estimate(
    out: Path, options: LiteratureOptions, run: RunOptions, services: Services
) -> Estimate:
    """Do the stages that cost nothing, and estimate what the others will ask.

    Nothing is sent, and the ledger of requests stays as it is.

    Raises:
        ValueError: in extractive mode, which asks nothing.
    """
    if options.mode == "extractive":
        raise ValueError("extractive mode asks no language model: there is nothing to estimate")
    build(out, options, run, services, FREE_STAGES)
    state = read_state(out / WORK)
    assert state is not None
    rnas, shared, asking = _count_all(Build(out / WORK, options, run, corpus_key(state)))
    answered = {
        mode: np.sum([rna.answered for rna in group] or np.zeros((1, 1, 3)), axis=(0, 1))
        for mode, group in asking.items()
    }
    left, measured, pairs = zip(*map(_extrapolate, asking.values()), strict=True)
    known = prices(options, run)
    usd_of = np.array([0, known.tokens_in, known.tokens_out]) / 1e6 if known else np.zeros(3)
    usd_of *= float(BATCH_SHARE) if run.batch_api else 1.0
    weights = usd_of if usd_of.any() else np.array([0.0, 1.0, 1.0])
    usd, usd_answered = (float(sum(sums) @ usd_of) for sums in (left, answered.values()))
    return Estimate(
        rnas,
        shared,
        answered={mode: Requests(*sums.tolist()) for mode, sums in answered.items()},
        left={mode: Requests(*sums.tolist()) for mode, sums in zip(asking, left, strict=True)},
        measured={
            mode: dict(zip(KINDS, counts.tolist(), strict=True))
            for mode, counts in zip(asking, measured, strict=True)
        },
        error=_relative_error(np.concatenate(pairs, axis=1) @ weights) if np.any(left) else None,
        usd=usd if known else None,
        whole_usd=usd + usd_answered if known else None,
        in_batches=run.batch_api,
    )


def _count_all(build: Build) -> tuple[int, int, dict[str, list[CachedReplay]]]:
    """All RNAs, those that share their requests with another, and by mode those that ask."""
    options, path = build.options, build.work / REQUESTS
    bounds = (options.token_budget, options.claims_per_topic)
    asking: dict[str, list[CachedReplay]] = {mode: [] for mode in options.modes}
    seen: set[int] = set()
    rnas = shared = 0
    # Nothing is sent, so a budget needs no prices.
    run = replace(build.run, budget=None)
    with open_model(path, options, run) if path.exists() else nullcontext() as model:
        groups = (
            group for shard in range(num_shards(build)) for group in read_groups(build, shard)
        )
        for rna, topics, papers in groups:
            before = len(seen)
            for mode, replays in asking.items():
                pieces = divide(rna, topics, papers, mode, *bounds)
                # Equal names and pieces make equal requests, which are sent once; so do both modes
                # where an RNA's papers are one group.
                parts = [(one.most_claims, *(paper.id for paper in one.papers)) for one in pieces]
                if (work := hash((rna.names, *parts))) not in seen:
                    seen.add(work)
                    replay = CachedReplay(model, np.array(list(expect(rna, pieces).values())))
                    replays.append(replay)
                    with suppress(Pending):
                        ask(rna, annotate(rna, topics, papers, replay, mode, *bounds), replay)
            rnas += 1
            shared += len(seen) == before
    return rnas, shared, asking


class CachedReplay:
    """An RNA's requests, answered only from the cache: nothing is sent or written.

    What is not there is `Pending`, so the RNA is followed as far as its answers go: `due` (kinds,)
    counts the requests that are known, `answered` (kinds, 3) is what they were answered.

    Args:
        model: Whose answers they are; None where nothing was answered.
        expected: What the RNA is expected to ask, (kinds, 3).
    """

    def __init__(self, model: OpenAiModel | None, expected: Array) -> None:
        self.name = model.name if model else ""
        self.expected, self.answered = expected, np.zeros_like(expected)
        self.due = np.zeros(len(KINDS))
        self._model = model

    def ask(self, request: Request) -> Any:
        """The cached answer, parsed.

        Raises:
            RequestFailed: as it was raised when the answer came.
            Pending: there is none.
        """
        kind = list(KINDS).index(request.schema_name)
        self.due[kind] += 1
        model = self._model
        answer = model and model.cache.get(model.key(request, model.body(request)))
        if not model or not answer or not model.is_wanted(answer, request):
            raise Pending("the request was not answered yet")
        self.answered[kind] += (1, answer.tokens_in, answer.tokens_out)
        return read_answer(answer, request.schema)


def expect(
    rna: Rna, pieces: Sequence[Piece], assumed: Assumptions = ASSUMED
) -> dict[str, Requests]:
    """What an RNA's annotation and questions are expected to take, by kind of request.

    Requests for claims are counted as they will be sent; what depends on the answers (repairs, the
    order, questions) is counted by `assumed`.

    Args:
        pieces: Of the RNA's papers, as `annotate.divide` makes them.
    """
    total = {kind: np.zeros(3) for kind in KINDS}
    standing = 0.0
    for piece in pieces:
        made = assumed.made * piece.most_claims
        request = prompts.ask_for_claims(rna.names, piece.papers, piece.most_claims)
        total["claims"] += (1, _size(request), made * assumed.claim)
        # One request for the faulty claims, if there are any, with the papers that they name.
        faulty, sent = made * assumed.faulty, 1 - (1 - assumed.faulty) ** made
        papers = dict(enumerate(piece.papers[: math.ceil(faulty)], start=1))
        read = sent * _size(prompts.ask_for_repair(rna.names, papers, ()))
        written = faulty * assumed.claim
        total["repair"] += (sent, read + written + faulty * _FRAME, written)
        standing += made * assumed.standing
    lists = {"questions": (prompts.ask_for_questions, MAX_AT_ONCE)}
    if len(pieces) > 1:
        lists["combine"] = (prompts.ask_for_order, MAX_TO_COMBINE)
    for kind, (make_request, most) in lists.items():
        sent = math.ceil(standing / most)
        read = sent * _size(make_request(rna.names, ()))
        written = standing * assumed.questions * assumed.question
        if kind == "combine":
            written = sent * _FRAME + standing * _NUMBER
        total[kind] += (sent, read + standing * (assumed.text + _FRAME), written)
    return {kind: Requests(*sums.tolist()) for kind, sums in total.items()}


def _size(request: Request) -> int:
    """The tokens that a model reads of a request; the schema is read, and paid, as well."""
    return sum(map(count_tokens, (request.system, request.user, json.dumps(request.schema))))


def _extrapolate(rnas: Sequence[CachedReplay]) -> tuple[Array, Array, Array]:
    """Correct what is expected of RNAs without answers by what came for those with answers.

    Returns:
        left: What is expected to be sent yet, (3,).
        measured: RNAs whose answers corrected it, by kind.
        pairs: What came for each of them, and the corrected expectation of it, (2, RNAs, 3).
    """
    shape = (-1, len(KINDS), 3)
    expected = np.reshape([rna.expected for rna in rnas], shape)
    answered = np.reshape([rna.answered for rna in rnas], shape)
    due = np.reshape([rna.due for rna in rnas], shape[:2])
    # Requests of a kind depend on the answers to those before it.
    is_whole = np.logical_and.accumulate(due == answered[..., 0], axis=1)
    in_sample = is_whole & (answered[:, :1, 0] > 0)
    came, guess = (part * in_sample[..., np.newaxis] for part in (answered, expected))
    actual, total = came.sum(axis=0), guess.sum(axis=0)
    ratios = np.divide(actual, total, out=np.ones_like(total), where=total > 0)
    # Requests for claims are counted as they are sent: their ratio is the service's way to count.
    ratios[:, 1] = np.where(total[:, 1] > 0, ratios[:, 1], ratios[0, 1])
    left = ((expected * ratios - answered) * ~is_whole[..., np.newaxis]).sum(axis=0)
    measured = in_sample & ((due > 0) | (expected[..., 0] > 0))
    pairs = np.stack([came, guess * ratios])[:, in_sample[:, 0]]
    return np.maximum(0.0, left).sum(axis=0), measured.sum(axis=0), pairs.sum(axis=2)


def _relative_error(pairs: Array) -> float | None:
    """Two standard errors of a corrected expectation, as a share of it; pairs: (2, RNAs)."""
    came, corrected = pairs
    if len(came) < 2:
        return None
    variance = np.square(came - corrected).sum() * len(came) / (len(came) - 1)
    return 2 * math.sqrt(variance) / float(came.sum())


__all__ = ["Assumptions", "Estimate", "Requests", "estimate", "expect"]
