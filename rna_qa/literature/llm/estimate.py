"""Estimate of what a build will ask of a language model, and of its cost, before anything is sent.

Requests for claims are known before they are sent; what follows from the answers is assumed
(`Assumptions`). Where part of a build is done, its cached answers are replayed and compared with
what was expected of the same RNAs. The ratios correct what is expected of all others (a ratio
estimator, as in surveys; its error is a jackknife's over groups of those RNAs).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
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
from rnagpt.rna_qa.literature.llm.language_model import Pending, Request
from rnagpt.rna_qa.literature.llm.openai_model import OpenAiModel, read_answer
from rnagpt.rna_qa.literature.llm.service import open_model, prices
from rnagpt.rna_qa.literature.llm.spending import BATCH_SHARE, Prices
from rnagpt.rna_qa.literature.records import Paper, Rna, Topics

FREE_STAGES = ("select", "papers", "topics")
GROUPS = 20  # of the RNAs with cached answers: the jackknife leaves out one after the other
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

CountTokens: TypeAlias = Callable[[str], int]
Sums: TypeAlias = "np.ndarray[Any, np.dtype[np.float64]]"  # of requests, tokens read and written


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


@dataclass(frozen=True)
class Assumptions:
    """Assumptions on a model's answers: shares, and tokens.

    `made`: claims written, of those it may write; `faulty`: claims that fail the checks at first;
    `standing`: claims that stand in the end; `claim`, `text`, `question`: tokens of a claim, of its
    text, and of a question with its answer; `questions`: questions per standing claim.
    """

    made: float = 1.0
    faulty: float = 0.15
    standing: float = 0.9
    claim: float = 90
    text: float = 30
    question: float = 70
    questions: float = 1.1


@dataclass(frozen=True)
class Estimate:
    """Requests and tokens of a build, by mode.

    `shared` are RNAs that have names and papers in common with another, and so its answers; they
    cost nothing. `answered` is what earlier runs were answered, as the service counted it, `left`
    what is expected to be sent yet. `measured` counts, for each kind of request, the RNAs whose
    cached answers corrected the expectation. `error` is two standard errors of what is left
    (dollars, else tokens) as a share of it, None where it cannot be told. `prices` is None where
    they are not known.
    """

    rnas: int
    shared: int
    answered: Mapping[str, Requests]
    left: Mapping[str, Requests]
    measured: Mapping[str, Mapping[str, int]]
    error: float | None
    prices: Prices | None
    in_batches: bool

    @property
    def by_mode(self) -> dict[str, Requests]:
        """What the whole build takes: what is answered, and what is left."""
        return {mode: _add(done, self.left[mode]) for mode, done in self.answered.items()}

    @property
    def usd(self) -> float | None:
        """US dollars of what is left."""
        return self._cost(self.left)

    @property
    def whole_usd(self) -> float | None:
        """US dollars of the whole build, were nothing answered yet."""
        return self._cost(self.by_mode)

    def _cost(self, by_mode: Mapping[str, Requests]) -> float | None:
        if self.prices is None:
            return None
        share = float(BATCH_SHARE) if self.in_batches else 1.0
        return share * sum(_dollars(requests, self.prices) for requests in by_mode.values())

    def describe(self) -> str:
        return "\n".join(
            [*self._describe_requests(), *self._describe_basis(), *self._describe_cost()]
        )

    def _describe_requests(self) -> Iterator[str]:
        yield f"{self.rnas:,} RNAs with papers, of which {self.shared:,} share another's answers"
        for mode, left in self.left.items():
            if self.answered[mode].requests:
                yield f"{mode}: already answered, at no further cost: {self.answered[mode]}"
                yield f"{mode}: left to ask: {left}"
            else:
                yield f"{mode}: {left}"

    def _describe_basis(self) -> Iterator[str]:
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

    def _describe_cost(self) -> Iterator[str]:
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
    task = Build(out / WORK, options, run, corpus_key(state))
    with _open_replay(task) as replay:
        rnas, shared, tally = _count_all(task, replay)
    known = prices(options, run)

    def weigh(requests: Requests) -> float:
        dollars = _dollars(requests, known) if known else 0.0
        return dollars or requests.input_tokens + requests.output_tokens

    answered, left, error = tally.answered(), tally.left(), tally.error(weigh)
    return Estimate(rnas, shared, answered, left, tally.measured(), error, known, run.batch_api)


def _count_all(build: Build, replay: CachedReplay | None) -> tuple[int, int, _Tally]:
    """All RNAs, those of them that share their requests with another, and the sums."""
    options, tally = build.options, _Tally(build.options.modes)
    budget, claims = options.token_budget, options.claims_per_topic
    count = replay.count_tokens if replay else count_quarters
    seen: set[int] = set()
    rnas = shared = 0
    for rna, topics, papers in _read_all_groups(build):
        new = {}
        for mode in options.modes:
            pieces = divide(rna, topics, papers, mode, count, budget, claims)
            # Equal names and pieces make equal requests, which are sent once; so do both modes
            # where an RNA's papers are one group.
            parts = ((piece.most_claims, *(paper.id for paper in piece.papers)) for piece in pieces)
            if (work := hash((rna.names, *parts))) not in seen:
                seen.add(work)
                new[mode] = pieces
        rnas += 1
        shared += not new
        for mode, pieces in new.items():
            stored = replay.replay(rna, topics, papers, mode, options) if replay else {}
            tally.add(mode, expect(rna, pieces, count_tokens=count), stored)
    return rnas, shared, tally


def _read_all_groups(build: Build) -> Iterator[tuple[Rna, Topics, list[Paper]]]:
    for shard in range(num_shards(build)):
        yield from read_groups(build, shard)


def count_quarters(text: str) -> int:
    """The tokens of a text where nobody knows better: a quarter of its characters."""
    return math.ceil(len(text) / 4)


def _size(request: Request, count_tokens: CountTokens) -> int:
    """The tokens that a model reads of a request; the schema is read, and paid, as well."""
    return sum(map(count_tokens, (request.system, request.user, json.dumps(request.schema))))


def expect(
    rna: Rna,
    pieces: Sequence[Piece],
    assumed: Assumptions = Assumptions(),
    count_tokens: CountTokens = count_quarters,
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
        total["claims"] += (1, _size(request, count_tokens), made * assumed.claim)
        # One request for the faulty claims, if there are any, with the papers that they name.
        faulty, sent = made * assumed.faulty, 1 - (1 - assumed.faulty) ** made
        papers = dict(enumerate(piece.papers[: math.ceil(faulty)], start=1))
        read = sent * _size(prompts.ask_for_repair(rna.names, papers, ()), count_tokens)
        written = faulty * assumed.claim
        total["repair"] += (sent, read + written + faulty * _FRAME, written)
        standing += made * assumed.standing
    lists = {"questions": (prompts.ask_for_questions, MAX_AT_ONCE)}
    if len(pieces) > 1:
        lists["combine"] = (prompts.ask_for_order, MAX_TO_COMBINE)
    for kind, (make_request, most) in lists.items():
        sent = math.ceil(standing / most)
        read = sent * _size(make_request(rna.names, ()), count_tokens)
        written = standing * assumed.questions * assumed.question
        if kind == "combine":
            written = sent * _FRAME + standing * _NUMBER
        total[kind] += (sent, read + standing * (assumed.text + _FRAME), written)
    return {kind: _requests(sums) for kind, sums in total.items()}


@dataclass
class Replayed:
    """An RNA's requests of one kind: those that are due, and those with a cached answer.

    `due_size` and `answered_size` are their tokens as counted here; `read` and `written` are those
    that the service counted.
    """

    due: int = 0
    due_size: int = 0
    answered: int = 0
    answered_size: int = 0
    read: int = 0
    written: int = 0

    @property
    def is_answered(self) -> bool:
        return self.due == self.answered


class CachedReplay:
    """Answers as the build's model does, but only from the cache: nothing is sent or written.

    What is not there is `Pending`, so an RNA is followed as far as its answers go. One thread
    may ask at a time.
    """

    def __init__(self, model: OpenAiModel) -> None:
        self.name = model.name
        self._model = model
        self._replayed: dict[str, Replayed] = {}

    def count_tokens(self, text: str) -> int:
        """The tokens of a text, about."""
        return self._model.count_tokens(text)

    def ask(self, request: Request) -> Any:
        """The cached answer, parsed.

        Raises:
            RequestFailed: as it was raised when the answer came.
            Pending: there is none.
        """
        answer = self._model.cache.get(self._model.key(request, self._model.body(request)))
        size = _size(request, self.count_tokens)
        replayed = self._replayed[request.schema_name]
        replayed.due += 1
        replayed.due_size += size
        if answer is None or not self._model.is_wanted(answer, request):
            raise Pending("the request was not answered yet")
        replayed.answered += 1
        replayed.answered_size += size
        replayed.read += answer.tokens_in
        replayed.written += answer.tokens_out
        return read_answer(answer, request.schema)

    def replay(
        self, rna: Rna, topics: Topics, papers: list[Paper], mode: str, options: LiteratureOptions
    ) -> dict[str, Replayed]:
        """An RNA's requests by kind, as far as they are known from the cached answers.

        Kinds that depend on answers which are not there are left out; what an RNA turned out not to
        need is there with no request.
        """
        self._replayed = {kind: Replayed() for kind in KINDS}
        budget, claims = options.token_budget, options.claims_per_topic
        with suppress(Pending):
            annotation = annotate(
                rna, topics, papers, self, mode, token_budget=budget, claims_per_topic=claims
            )
            ask(rna, annotation, self)
        reached = {}
        for kind, replayed in self._replayed.items():
            reached[kind] = replayed
            if not replayed.is_answered:
                break
        return reached


@contextmanager
def _open_replay(build: Build) -> Iterator[CachedReplay | None]:
    """The cached answers of a build; None where it has none."""
    path = build.work / REQUESTS
    if not path.exists():
        yield None
        return
    # Nothing is sent, so a budget needs no prices.
    with open_model(path, build.options, replace(build.run, budget=None)) as model:
        yield CachedReplay(model)


class _Tally:
    """Sums over RNAs, by mode and kind of request.

    `answered` is of all RNAs; `partly` what RNAs have that lack an answer, `open` what is expected
    of those. `pairs` are of RNAs whose requests are known, in groups, each actual and expected:
    requests; their tokens as counted here; tokens read, of answered requests, as the service
    counted and as counted here; and tokens written, of RNAs that have all answers (`measured`).
    """

    def __init__(self, modes: tuple[str, ...]) -> None:
        self._modes = modes
        shape = (len(modes), len(KINDS))
        self._answered, self._partly, self._open = np.zeros((3, *shape, 3))
        self._pairs = np.zeros((GROUPS, *shape, 4, 2))
        self._measured = np.zeros(shape, dtype=int)
        self._in_sample = 0

    def add(
        self, mode: str, expected: Mapping[str, Requests], replayed: Mapping[str, Replayed]
    ) -> None:
        """Add an RNA's requests in one mode; `replayed` holds those that are known."""
        group = self._in_sample % GROUPS
        in_sample = any(known.answered for known in replayed.values())
        self._in_sample += in_sample
        for number, (kind, guess) in enumerate(expected.items()):
            at = (self._modes.index(mode), number)
            known = replayed.get(kind, Replayed())
            done = (known.answered, known.read, known.written)
            self._answered[at] += done
            if kind not in replayed or not known.is_answered:
                self._partly[at] += done
                self._open[at] += guess
            if kind in replayed and in_sample:
                measured = known.is_answered and bool(known.due or guess.requests)
                self._measured[at] += measured
                self._pairs[group, *at] += (
                    (known.due, guess.requests),
                    (known.due_size, guess.input_tokens),
                    (known.read, known.answered_size),
                    (known.written * measured, guess.output_tokens * measured),
                )

    def answered(self) -> dict[str, Requests]:
        """What earlier runs were answered, by mode."""
        return self._by_mode(self._answered)

    def left(self, without: int | None = None) -> dict[str, Requests]:
        """What is expected yet, corrected by the sample (without one of its groups)."""
        used = [group for group in range(GROUPS) if group != without]
        pairs = self._pairs[used].sum(axis=0)
        due, size, service, written = np.moveaxis(pairs, -2, 0)
        here = _share(size)
        read = here * _share(service, _share(service.sum(axis=(0, 1))))
        # Requests that are due, but not answered, tell how much there is to answer.
        ratio = np.stack([_share(due), read, _share(written, here)], axis=-1)
        return self._by_mode(np.maximum(0.0, self._open * ratio - self._partly))

    def _by_mode(self, sums: Sums) -> dict[str, Requests]:
        return dict(zip(self._modes, map(_requests, sums.sum(axis=1)), strict=True))

    def measured(self) -> dict[str, dict[str, int]]:
        """RNAs of the sample that could ask of a kind and have all answers, by mode and kind."""
        counts = self._measured.tolist()
        return {
            mode: dict(zip(KINDS, kinds, strict=True))
            for mode, kinds in zip(self._modes, counts, strict=True)
        }

    def error(self, weigh: Callable[[Requests], float]) -> float | None:
        """Two standard errors of what is left, as a share of it: a jackknife over the groups."""
        groups = min(self._in_sample, GROUPS)
        whole = weigh(_add(*self.left().values()))
        if groups < 2 or not whole:
            return None
        each = [weigh(_add(*self.left(group).values())) for group in range(groups)]
        return 2 * math.sqrt((groups - 1) * float(np.var(each))) / whole


def _share(pairs: Sums, default: Sums | float = 1.0) -> Sums:
    """Actual over expected; the default where nothing was expected."""
    actual, expected = pairs[..., 0], pairs[..., 1]
    return np.where(expected > 0, actual / np.where(expected > 0, expected, 1.0), default)


def _requests(sums: Any) -> Requests:
    return Requests(*map(float, sums))


def _add(*parts: Requests) -> Requests:
    return _requests(np.sum(parts, axis=0))


def _dollars(requests: Requests, prices: Prices) -> float:
    read, written = requests.input_tokens, requests.output_tokens
    return (prices.tokens_in * read + prices.tokens_out * written) / 1e6


__all__ = ["Assumptions", "Estimate", "Requests", "estimate", "expect"]
