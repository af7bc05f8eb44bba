"""What a build will ask of a language model, and what that costs, before anything is asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rnagpt.rna_qa.literature.expected_requests import Estimate as Requests
from rnagpt.rna_qa.literature.expected_requests import estimate as expect
from rnagpt.rna_qa.literature.pipeline import WORK, build, corpus_key, num_shards, read_state
from rnagpt.rna_qa.literature.service import prices
from rnagpt.rna_qa.literature.settings import LiteratureOptions, RunOptions, Services
from rnagpt.rna_qa.literature.spending import BATCH_SHARE, Prices
from rnagpt.rna_qa.literature.stages import Build, read_groups

FREE_STAGES = ("select", "papers", "topics")


@dataclass(frozen=True)
class Estimate:
    """Requests and tokens of a build, by mode.

    `shared` are RNAs that have names and papers in common with another, and so its answers; they
    cost nothing. `prices` is None where they are not known.
    """

    rnas: int
    shared: int
    by_mode: dict[str, Requests]
    prices: Prices | None
    in_batches: bool

    @property
    def usd(self) -> float | None:
        """US dollars of all modes."""
        if self.prices is None:
            return None
        share = float(BATCH_SHARE) if self.in_batches else 1.0
        return (
            share
            * sum(
                self.prices.tokens_in * one.input_tokens
                + self.prices.tokens_out * one.output_tokens
                for one in self.by_mode.values()
            )
            / 1e6
        )

    def describe(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.rnas:,} RNAs with papers, of which {self.shared:,} share another's answers"
        for mode, one in self.by_mode.items():
            yield (
                f"{mode}: {one.requests:,.0f} requests, {one.input_tokens:,.0f} tokens read, "
                f"{one.output_tokens:,.0f} written"
            )
        if self.usd is None:
            yield "cost: give --prices IN,OUT, dollars per million tokens read and written"
        else:
            each = 1000 * self.usd / max(self.rnas, 1)
            batches = " in batches" if self.in_batches else ""
            yield f"cost: ${self.usd:,.2f}{batches}, ${each:,.2f} per 1,000 RNAs"


def estimate(
    out: Path, options: LiteratureOptions, run: RunOptions, services: Services
) -> Estimate:
    """Do the stages that cost nothing, and say what the others will ask.

    What a model makes of a request (claims an abstract, answers that need repair) is taken as
    `expected_requests.Expected` has it; answers that are there already are counted as well.

    Raises:
        ValueError: in extractive mode, which asks nothing.
    """
    if options.mode == "extractive":
        raise ValueError("extractive mode asks no language model: there is nothing to estimate")
    build(out, options, run, services, FREE_STAGES)
    state = read_state(out / WORK)
    assert state is not None
    one = Build(out / WORK, options, run, corpus_key(state))
    sums = {mode: Requests(0, 0, 0) for mode in options.modes}
    seen: set[int] = set()
    rnas = 0
    for shard in range(num_shards(one)):
        for rna, topics, papers in read_groups(one, shard):
            rnas += 1
            # Equal names and papers make equal requests, which are sent once.
            work = hash((rna.names, topics.groups))
            if work in seen:
                continue
            seen.add(work)
            for mode in options.modes:
                expected = expect(
                    rna,
                    topics,
                    papers,
                    mode,
                    token_budget=options.token_budget,
                    claims_per_topic=options.claims_per_topic,
                )
                sums[mode] = sums[mode].plus(*expected)
    return Estimate(rnas, rnas - len(seen), sums, prices(options, run), run.batch_api)


__all__ = ["Estimate", "estimate"]
