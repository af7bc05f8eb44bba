"""What a build will ask of a language model, and what that costs, before anything is asked.

Requests for claims are known before they are sent; what follows from the answers is not. Where a
part of the build was done, its kept answers are gone through once more and compared with what was
expected of the same RNAs: the ratios correct what is expected of all others (a ratio estimator, as
in surveys; its error is a jackknife's over groups of those RNAs). Otherwise
`expected_requests.Expected` is assumed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

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
from rnagpt.rna_qa.literature.claims.annotate import Piece, divide
from rnagpt.rna_qa.literature.llm.cached_replay import KeptAnswers, Replayed, open_kept
from rnagpt.rna_qa.literature.llm.expected_requests import (
    KINDS,
    NOTHING,
    Requests,
    count_quarters,
    expect,
)
from rnagpt.rna_qa.literature.llm.service import prices
from rnagpt.rna_qa.literature.llm.spending import BATCH_SHARE, Prices
from rnagpt.rna_qa.literature.records import Paper, Rna, Topics

FREE_STAGES = ("select", "papers", "topics")
GROUPS = 20  # of the RNAs with kept answers: one after the other is left out for the error
IN_WORDS = {
    "claims": "claims",
    "repair": "repairs",
    "combine": "order of claims",
    "questions": "questions",
}
HOW_TO_MEASURE = (
    "for a measured estimate do a part first, with --limit 50 (of files, their first 50 RNAs) or "
    "--budget 1, and estimate again: answers are kept, nothing is paid twice"
)


@dataclass(frozen=True)
class Estimate:
    """Requests and tokens of a build, by mode.

    `shared` are RNAs that have names and papers in common with another, and so its answers; they
    cost nothing. `answered` is what earlier runs were answered, as the service counted it, `left`
    what is expected to be asked yet. `measured` counts, for each kind of request, the RNAs whose
    kept answers the expectation was corrected with. `error` is two standard errors of what is left
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
        return {mode: done.plus(self.left[mode]) for mode, done in self.answered.items()}

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
        return share * sum(_dollars(one, self.prices) for one in by_mode.values())

    def describe(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.rnas:,} RNAs with papers, of which {self.shared:,} share another's answers"
        for mode, left in self.left.items():
            if (done := self.answered[mode]).requests:
                yield f"{mode}: already answered, at no further cost: {_in_words(done)}"
                yield f"{mode}: left to ask: {_in_words(left)}"
            else:
                yield f"{mode}: {_in_words(left)}"
        yield from self._basis()
        yield from self._costs()

    def _basis(self) -> Iterator[str]:
        """What the figures rest on."""
        assumes = False
        for mode, measured in self.measured.items():
            assumed = [IN_WORDS[kind] for kind in KINDS if not measured[kind]]
            if not self.by_mode[mode].requests:
                yield f"{mode}: asks nothing that another mode does not ask"
                continue
            assumes = assumes or not measured["questions"]
            if rnas := measured["claims"]:
                rest = f"; assumed, not measured: {', '.join(assumed)}" if assumed else ""
                yield f"{mode}: from the answers to {rnas:,} RNAs that are kept{rest}"
            else:
                yield f"{mode}: no answers are kept: all that depends on them is assumed"
        if assumes:
            yield HOW_TO_MEASURE

    def _costs(self) -> Iterator[str]:
        if self.usd is None or self.whole_usd is None:
            yield "cost: give --prices IN,OUT, dollars per million tokens read and written"
            return
        each = 1000 * self.whole_usd / max(self.rnas, 1)
        batches = " in batches" if self.in_batches else ""
        yield (
            f"cost{batches}: ${self.usd:,.2f} for what is left; the whole build takes "
            f"${each:,.2f} per 1,000 RNAs"
        )
        if self.error is not None:
            yield f"± {100 * self.error:.0f} %: two standard errors of the sample of kept answers"


def _in_words(one: Requests) -> str:
    return (
        f"{one.requests:,.0f} requests, {one.input_tokens:,.0f} tokens read, "
        f"{one.output_tokens:,.0f} written"
    )


def _dollars(one: Requests, prices: Prices) -> float:
    return (prices.tokens_in * one.input_tokens + prices.tokens_out * one.output_tokens) / 1e6


class _Sample(NamedTuple):
    """Sums over RNAs of which requests of one kind are known, and what was expected of the same.

    `asked` and `read_here` are requests and their tokens as counted here; `counted_here` and
    `counted` the tokens of answered ones, as counted here and by the service; `written` the tokens
    of the answers to RNAs that have all of them (`answered`).
    """

    answered: float = 0.0
    asked: float = 0.0
    asked_expected: float = 0.0
    read_here: float = 0.0
    read_expected: float = 0.0
    counted: float = 0.0
    counted_here: float = 0.0
    written: float = 0.0
    written_expected: float = 0.0

    def plus(self, other: _Sample) -> _Sample:
        return _Sample(*(one + more for one, more in zip(self, other, strict=True)))

    def ratio(self, tokens: float) -> Requests:
        """Actual over expected; `tokens` is the service's count over ours where this has none."""
        read = _share(self.read_here, self.read_expected)
        return Requests(
            _share(self.asked, self.asked_expected),
            read * _share(self.counted, self.counted_here, tokens),
            # Requests that are due, but not answered, tell how much there is to answer.
            _share(self.written, self.written_expected, read),
        )


def _share(part: float, whole: float, default: float = 1.0) -> float:
    return part / whole if whole else default


@dataclass
class _Kind:
    """One kind of requests in one mode: what is done, what is open, and a sample in groups."""

    answered: Requests = NOTHING  # of all RNAs
    partly: Requests = NOTHING  # of RNAs that lack an answer
    open: Requests = NOTHING  # expected of those
    groups: list[_Sample] = field(default_factory=lambda: [_Sample()] * GROUPS)

    def add(self, expected: Requests, replayed: Replayed | None, group: int | None) -> None:
        """Add an RNA; `replayed` is None where its requests are not known, `group` if no answer."""
        done = replayed.answered if replayed else NOTHING
        self.answered = self.answered.plus(done)
        if replayed is None or not replayed.is_answered:
            self.partly = self.partly.plus(done)
            self.open = self.open.plus(expected)
        if replayed is not None and group is not None:
            self.groups[group] = self.groups[group].plus(_sample(expected, replayed))

    def sample(self, without: int | None = None) -> _Sample:
        total = _Sample()
        for number, group in enumerate(self.groups):
            if number != without:
                total = total.plus(group)
        return total


def _sample(expected: Requests, replayed: Replayed) -> _Sample:
    known = _Sample(
        asked=replayed.asked.requests,
        asked_expected=expected.requests,
        read_here=replayed.asked.input_tokens,
        read_expected=expected.input_tokens,
        counted=replayed.answered.input_tokens,
        counted_here=replayed.counted,
    )
    if not replayed.is_answered or not (replayed.asked.requests or expected.requests):
        return known
    return known._replace(
        answered=1,
        written=replayed.answered.output_tokens,
        written_expected=expected.output_tokens,
    )


class _Tally:
    """All kinds of requests of all modes."""

    def __init__(self, modes: tuple[str, ...]) -> None:
        self.kinds = {mode: {kind: _Kind() for kind in KINDS} for mode in modes}
        self._in_sample = 0

    def add(
        self, mode: str, expected: Mapping[str, Requests], replayed: Mapping[str, Replayed]
    ) -> None:
        """Add an RNA's requests in one mode; `replayed` holds those that are known."""
        group = None
        if any(one.answered.requests for one in replayed.values()):
            group = self._in_sample % GROUPS
            self._in_sample += 1
        for kind, sums in self.kinds[mode].items():
            sums.add(expected[kind], replayed.get(kind), group)

    def answered(self) -> dict[str, Requests]:
        """What earlier runs were answered, by mode."""
        return {
            mode: _total(sums.answered for sums in kinds.values())
            for mode, kinds in self.kinds.items()
        }

    def left(self, without: int | None = None) -> dict[str, Requests]:
        """What is expected yet, corrected by the sample (without one of its groups)."""
        samples = {
            mode: {kind: sums.sample(without) for kind, sums in kinds.items()}
            for mode, kinds in self.kinds.items()
        }
        every = [sample for kinds in samples.values() for sample in kinds.values()]
        tokens = _share(sum(one.counted for one in every), sum(one.counted_here for one in every))
        return {
            mode: _total(
                sums.open.times(samples[mode][kind].ratio(tokens)).less(sums.partly)
                for kind, sums in kinds.items()
            )
            for mode, kinds in self.kinds.items()
        }

    def measured(self) -> dict[str, dict[str, int]]:
        """RNAs of the sample that could ask of a kind and have all answers, by mode and kind."""
        return {
            mode: {kind: int(sums.sample().answered) for kind, sums in kinds.items()}
            for mode, kinds in self.kinds.items()
        }

    def error(self, weigh: Callable[[Requests], float]) -> float | None:
        """Two standard errors of what is left, as a share of it: a jackknife over the groups."""
        groups = min(self._in_sample, GROUPS)
        whole = weigh(_total(self.left().values()))
        if groups < 2 or not whole:
            return None
        each = [weigh(_total(self.left(group).values())) for group in range(groups)]
        mean = sum(each) / groups
        variance = (groups - 1) / groups * sum((one - mean) ** 2 for one in each)
        return 2 * math.sqrt(variance) / whole


def _total(parts: Iterable[Requests]) -> Requests:
    total = NOTHING
    for part in parts:
        total = total.plus(part)
    return total


def estimate(
    out: Path, options: LiteratureOptions, run: RunOptions, services: Services
) -> Estimate:
    """Do the stages that cost nothing, and say what the others will ask.

    Nothing is sent, and the ledger of requests stays as it is.

    Raises:
        ValueError: in extractive mode, which asks nothing.
    """
    if options.mode == "extractive":
        raise ValueError("extractive mode asks no language model: there is nothing to estimate")
    build(out, options, run, services, FREE_STAGES)
    state = read_state(out / WORK)
    assert state is not None
    one = Build(out / WORK, options, run, corpus_key(state))
    with open_kept(one.work / REQUESTS, options, run) as kept:
        rnas, shared, tally = _tally(one, kept)
    known = prices(options, run)

    def weigh(requests: Requests) -> float:
        dollars = _dollars(requests, known) if known else 0.0
        return dollars or requests.input_tokens + requests.output_tokens

    return Estimate(
        rnas,
        shared,
        tally.answered(),
        tally.left(),
        tally.measured(),
        tally.error(weigh),
        known,
        run.batch_api,
    )


def _tally(one: Build, kept: KeptAnswers | None) -> tuple[int, int, _Tally]:
    """All RNAs, those of them that share their requests with another, and the sums."""
    tally = _Tally(one.options.modes)
    seen: set[int] = set()
    rnas = shared = 0
    count = kept.count_tokens if kept else count_quarters
    for rna, topics, papers in _read_all_groups(one):
        new = {}
        for mode in one.options.modes:
            pieces = _divide(rna, topics, papers, mode, one.options, count)
            # Equal names and pieces make equal requests, which are sent once; so do both modes
            # where an RNA's papers are one group.
            work = hash((rna.names, *(_identity(piece) for piece in pieces)))
            if work not in seen:
                seen.add(work)
                new[mode] = pieces
        rnas += 1
        shared += not new
        for mode, pieces in new.items():
            replayed = kept.replay(rna, topics, papers, mode, one.options) if kept else {}
            tally.add(mode, expect(rna, pieces, count_tokens=count), replayed)
    return rnas, shared, tally


def _read_all_groups(one: Build) -> Iterator[tuple[Rna, Topics, list[Paper]]]:
    for shard in range(num_shards(one)):
        yield from read_groups(one, shard)


def _divide(
    rna: Rna,
    topics: Topics,
    papers: list[Paper],
    mode: str,
    options: LiteratureOptions,
    count: Callable[[str], int],
) -> list[Piece]:
    budget, claims = options.token_budget, options.claims_per_topic
    return divide(rna, topics, papers, mode, count, budget, claims)


def _identity(piece: Piece) -> tuple[int, tuple[str, ...]]:
    return piece.most_claims, tuple(paper.id for paper in piece.papers)


__all__ = ["Estimate", "estimate"]
