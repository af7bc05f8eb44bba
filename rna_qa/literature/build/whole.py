"""What a build of any size will take, before a source is read: requests, dollars, hours, disk.

Where RNAs and papers are gathered already, `llm/estimate.py` counts what they will really ask. Here
there are none yet: a table says how many RNAs have how many papers, one made RNA of each number is
divided as a build would divide it, and its requests are counted times the RNAs that are like it.
Work and disk are those of `benchmarks/literature_scale.md`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnagpt.rna_qa.literature.build.settings import LiteratureOptions
from rnagpt.rna_qa.literature.claims.annotate import MODES, divide
from rnagpt.rna_qa.literature.llm.estimate import Requests, expect
from rnagpt.rna_qa.literature.records import Paper, Rna, Topics
from rnagpt.rna_qa.literature.text.topics import CHARACTERS_PER_TOKEN

FILE = Path(__file__).with_name("whole.json")
WAYS = (*MODES, "extractive")
FORM = 'expected JSON of RNAs by their number of papers, such as {"1": 120000, "2": 40000}'
_WORD = "abstract "


@dataclass(frozen=True)
class Plan:
    """A build that is thought of.

    Attributes:
        rnas: how many.
        papers_per_rna: weights of the numbers of papers; only their proportions count.
        articles: papers in all: no more are stored, however many RNAs name each.
        workers: processes that share the shards.
        concurrency: requests open at a time.
        seconds_per_request: until an answer is there.
        requests_per_minute, tokens_per_minute: of the account; None: no limit.
        options: the build's; its number of topics, claims and its token budget count.
    """

    rnas: int
    papers_per_rna: Mapping[int, float] = field(default_factory=lambda: default_papers())
    articles: int = 0
    workers: int = 2
    concurrency: int = 8
    seconds_per_request: float = 5.0
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    options: LiteratureOptions = field(default_factory=lambda: LiteratureOptions(source="http"))

    @property
    def mentions(self) -> float:
        """Papers of RNAs, added up."""
        total = sum(self.papers_per_rna.values())
        mean = sum(papers * weight for papers, weight in self.papers_per_rna.items()) / total
        return self.rnas * mean

    @property
    def papers(self) -> float:
        """Different papers, at most."""
        return min(self.mentions, self.articles or known()["articles"]["value"])


class Hours(NamedTuple):
    """Where the time goes: own work in all processes and in one alone, and waiting for answers."""

    shared: float
    alone: float
    answers: float

    @property
    def total(self) -> float:
        # One process asks: its work and the waiting go on at the same time.
        return self.shared + max(self.alone, self.answers)


@dataclass(frozen=True)
class Need:
    """What one way of annotating takes; `slowest` names the limit of `hours.answers`."""

    way: str
    requests: Requests
    hours: Hours
    gigabytes: float
    slowest: str


@cache
def known() -> Mapping[str, Any]:
    """The file of what was counted and measured, each with its source."""
    found: Mapping[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def default_papers() -> dict[int, float]:
    """RNAs by their number of papers, where no table is given."""
    return {int(papers): rnas for papers, rnas in known()["papers_per_rna"]["rnas"].items()}


def read_papers(file: Path) -> dict[int, float]:
    """A table of RNAs by their number of papers.

    Raises:
        ValueError: it holds something else.
    """
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
        table = {int(papers): float(rnas) for papers, rnas in rows.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{file}: {error}; {FORM}") from error
    wrong = [papers for papers, rnas in table.items() if papers < 1 or not rnas >= 0]
    if wrong or not sum(table.values()):
        raise ValueError(f"{file}: {wrong[:1] or 'no RNAs'}; {FORM}, one paper at least")
    return table


def needs(plan: Plan) -> list[Need]:
    """What each way takes, D&C first."""
    return [_need(plan, way) for way in WAYS]


def _need(plan: Plan, way: str) -> Need:
    requests = Requests() if way == "extractive" else count_requests(plan, way)
    answers, slowest = _waiting(plan, requests)
    return Need(way, requests, _hours(plan, way, requests, answers), _disk(plan, requests), slowest)


def count_requests(plan: Plan, mode: str) -> Requests:
    """Requests of all RNAs, as if no two shared their names and papers."""
    weights = plan.papers_per_rna
    each = [
        (weight, np.sum([*_requests_of(papers, mode, plan.options).values()], axis=0))
        for papers, weight in weights.items()
    ]
    total = sum(weight * sums for weight, sums in each) / sum(weights.values())
    return Requests(*(plan.rnas * total).tolist())


def _requests_of(papers: int, mode: str, options: LiteratureOptions) -> dict[str, Requests]:
    made = [_made_paper(number) for number in range(papers)]
    ids = [paper.id for paper in made]
    groups = num_groups(papers, options)
    topics = Topics("made", tuple(tuple(ids[place::groups]) for place in range(groups)))
    rna = Rna("made", "ACGU", ("miR-9001", "hsa-miR-9001"), "miRNA")
    bounds = (options.token_budget, options.claims_per_topic)
    return expect(rna, divide(rna, topics, made, mode, *bounds))


def num_groups(papers: int, options: LiteratureOptions) -> int:
    """Groups by topic of so many papers: between one and the most that `group_papers` tries."""
    characters = papers * known()["characters_per_paper"]["value"]
    if characters <= options.token_budget * CHARACTERS_PER_TOKEN or papers <= 5:
        return 1
    most = min(options.max_topics, math.isqrt(papers))
    return max(1, round(known()["groups"]["share_of_most"] * most))


def _made_paper(number: int) -> Paper:
    characters = known()["characters_per_paper"]["value"]
    text = (_WORD * (characters // len(_WORD) + 1))[:characters]
    return Paper(id=f"PMID:{number:09d}", title="", abstract=text)


def _waiting(plan: Plan, requests: Requests) -> tuple[float, str]:
    """Hours until all answers are there, and what they wait for most."""
    tokens = requests.input_tokens + requests.output_tokens
    seconds = {
        f"{plan.concurrency} open requests": requests.requests
        * plan.seconds_per_request
        / plan.concurrency,
        "requests a minute": 60 * requests.requests / (plan.requests_per_minute or math.inf),
        "tokens a minute": 60 * tokens / (plan.tokens_per_minute or math.inf),
    }
    slowest = max(seconds, key=lambda name: seconds[name])
    return seconds[slowest] / 3600, slowest if seconds[slowest] else ""


def _hours(plan: Plan, way: str, requests: Requests, answers: float) -> Hours:
    work = known()["work"]["seconds"]
    asks = way != "extractive"
    shared = ["topics"] if asks else ["topics", "annotate", "questions"]
    alone = _seconds(plan, [work[stage] for stage in ("select,papers", "splits", "export")])
    alone += requests.requests * work["request"]
    in_parts = _seconds(plan, [work[stage] for stage in shared]) / plan.workers
    return Hours(in_parts / 3600, alone / 3600, answers)


def _seconds(plan: Plan, rates: Iterable[Mapping[str, float]]) -> float:
    return sum(rate["rna"] * plan.rnas + rate["mention"] * plan.mentions for rate in rates)


def _disk(plan: Plan, requests: Requests) -> float:
    size = known()["work"]["bytes"]
    total = size["rna"] * plan.rnas + size["mention"] * plan.mentions + size["paper"] * plan.papers
    total += size["request"] * requests.requests + size["written token"] * requests.output_tokens
    return total / 1e9


def describe(plan: Plan, found: Iterable[Need], usd: Mapping[str, tuple[float, float]]) -> str:
    """The needs in words; `usd`: by model, dollars per million tokens read and written."""
    return "\n".join(_lines(plan, list(found), usd))


def _lines(plan: Plan, found: list[Need], usd: Mapping[str, tuple[float, float]]) -> Iterator[str]:
    mean = plan.mentions / plan.rnas
    yield f"{plan.rnas:,} RNAs with {mean:.1f} papers each on average, {plan.papers:,.0f} in all"
    yield ""
    yield f"{'':11}{'requests':>12}{'tokens read':>17}{'written':>15}{'hours':>9}{'GB':>7}"
    for need in found:
        asked = need.requests
        yield (
            f"{need.way:11}{asked.requests:12,.0f}{asked.input_tokens:17,.0f}"
            f"{asked.output_tokens:15,.0f}{need.hours.total:9,.1f}{need.gigabytes:7,.1f}"
        )
    yield ""
    for need in found:
        waits = f", {need.hours.answers:,.1f} for answers ({need.slowest})" if need.slowest else ""
        yield (
            f"{need.way}: {need.hours.shared:,.1f} h in {plan.workers} processes, "
            f"{need.hours.alone:,.1f} h in one{waits}"
        )
    asking = [need for need in found if need.requests.requests]
    yield ""
    yield f"{'dollars':26}" + "".join(f"{need.way:>12}{'in batches':>12}" for need in asking)
    for model, (read, written) in usd.items():
        costs = [
            (need.requests.input_tokens * read + need.requests.output_tokens * written) / 1e6
            for need in asking
        ]
        yield f"{model:26}" + "".join(f"{cost:12,.0f}{cost / 2:12,.0f}" for cost in costs)


__all__ = [
    "WAYS",
    "Hours",
    "Need",
    "Plan",
    "count_requests",
    "default_papers",
    "describe",
    "needs",
    "num_groups",
    "read_papers",
]
