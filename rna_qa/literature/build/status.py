"""Status of a build, and the summary of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rnagpt.rna_qa.literature.build.pipeline import (
    REQUESTS,
    WORK,
    corpus_key,
    corpus_stage_done,
    num_shards,
    pending_shards,
    read_state,
    stage_counts,
)
from rnagpt.rna_qa.literature.build.settings import LiteratureOptions, RunOptions
from rnagpt.rna_qa.literature.build.shards import read_sidecar
from rnagpt.rna_qa.literature.build.splits import SPLITS, splits_path
from rnagpt.rna_qa.literature.build.stages import Build, task_stages
from rnagpt.rna_qa.literature.llm.request_cache import RequestCache, Totals
from rnagpt.rna_qa.output import read_record


@dataclass(frozen=True)
class StageStatus:
    """A stage's units (shards, or the stage itself) that are done, and what they counted."""

    name: str
    done: int
    units: int
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Status:
    """How far a build is.

    `process` is that of the run that is at work, None where none is; `spent` what the language
    model has cost so far (see `spending.Spending`).
    """

    out: str
    finished: bool
    process: int | None
    corpus: Mapping[str, Any]
    stages: tuple[StageStatus, ...]
    spent: Mapping[str, Any] | None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def describe(self) -> str:
        """The same for people."""
        return "\n".join(_describe_status(self))


def read_status(out: Path) -> Status:
    """Read how far the build in `out` is, also while it is at work.

    Raises:
        FileNotFoundError: if there is no build.
    """
    work = out / WORK
    state = read_state(work)
    if state is None:
        raise FileNotFoundError(f"{out} holds no build of rna-qa literature")
    options = LiteratureOptions.from_values(state["options"])
    build = Build(work, options, RunOptions(), corpus_key(state))
    totals = read_totals(work)
    corpus: dict[str, Any] = {}
    if (work / "corpus.sqlite").exists():
        with build.open_corpus() as opened:
            corpus = opened.counts()
    return Status(
        out=str(out),
        finished=read_record(out) is not None,
        process=_running(work),
        corpus=corpus,
        stages=tuple(_stages(build, out)),
        spent=asdict(totals) if totals else None,
    )


def read_totals(work: Path) -> Totals | None:
    """What a build has spent; None where no language model was asked."""
    if not (work / REQUESTS).exists():
        return None
    with RequestCache(work / REQUESTS) as cache:
        return cache.totals()


def _running(work: Path) -> int | None:
    try:
        process = int((work / "lock.pid").read_text())
        os.kill(process, 0)
    except (OSError, ValueError):
        return None
    return process


def _stages(build: Build, out: Path) -> Iterator[StageStatus]:
    gathered = True
    for stage in ("select", "papers"):
        gathered = gathered and corpus_stage_done(build, stage)
        yield StageStatus(stage, int(gathered), 1, {})
    shards = 0
    if gathered:
        shards = num_shards(build)
    for folders in task_stages(build.options).values():
        for name in folders:
            done = shards - len(pending_shards(build, name)) if shards else 0
            counts = dict(stage_counts(build, name)) if shards else {}
            yield StageStatus(name, done, shards, counts)
    splits = read_sidecar(splits_path(build.work))
    yield StageStatus("splits", int(splits is not None), 1, splits.counts if splits else {})
    yield StageStatus("export", int(read_record(out) is not None), 1, {})


def _describe_status(status: Status) -> Iterator[str]:
    what = "finished" if status.finished else "not finished"
    who = f", process {status.process} is at work" if status.process else ""
    yield f"{status.out}: {what}{who}"
    if status.corpus:
        corpus = status.corpus
        yield f"  {corpus['rnas']:,} RNAs, {corpus['papers_kept']:,} of {corpus['papers']:,} papers"
    for stage in status.stages:
        counts = ", ".join(f"{name} {count:,}" for name, count in stage.counts.items())
        yield f"  {stage.name:22} {stage.done:5,} of {stage.units:,}   {counts}".rstrip()
    yield from describe_spent(status.spent)


def describe_summary(record: Mapping[str, Any], spent: Mapping[str, Any] | None) -> Iterator[str]:
    """The end of a run: what came in, what came out, what was left out and why."""
    counts = record["counts"]
    corpus = counts["corpus"]
    yield f"RNAs        {corpus['rnas']:,} read"
    yield from _left_out("rna", corpus)
    without = counts["topics"].get("rnas without papers", 0)
    if without:
        yield f"            {without:,} without papers"
    yield f"papers      {corpus['papers']:,} read, {corpus['papers_kept']:,} kept"
    yield from _left_out("paper", corpus)
    yield from _left_out("name", corpus)
    for what, count in corpus["tallies"].items():
        yield f"            {count:,} × {what}"
    for name, figures in counts.items():
        if name.startswith("annotate-"):
            yield from _describe_claims(name.removeprefix("annotate-"), figures)
    for name in ("", "_ais"):
        for split in SPLITS:
            if rnas := counts.get(f"annotations{name}", {}).get(split):
                asked = counts[f"qa{name}"][split]["rows"]
                yield f"{split + name:15} {rnas:,} RNAs, {asked:,} questions"
    yield from describe_spent(spent)


def _left_out(kind: str, corpus: Mapping[str, Any]) -> Iterator[str]:
    for reason, count in corpus["skipped"].get(kind, {}).items():
        yield f"            {count:,} {kind}s left out: {reason}"


def _describe_claims(mode: str, figures: Mapping[str, int]) -> Iterator[str]:
    rejected = {
        name.removeprefix("rejected: "): count
        for name, count in figures.items()
        if name.startswith("rejected: ")
    }
    kept, total = figures.get("claims kept", 0), sum(rejected.values())
    yield f"claims      {kept:,} kept, {total:,} rejected ({mode})"
    for reason, count in rejected.items():
        yield f"            {count:,} rejected: {reason}"


def describe_spent(spent: Mapping[str, Any] | None) -> Iterator[str]:
    """What the language model cost."""
    if not spent:
        return
    yield (
        f"requests    {spent['answered']:,} answered, {spent['failed']:,} failed, "
        f"{spent['hits']:,} answers used again"
    )
    if rejected := spent.get("rejected"):
        yield f"            {rejected:,} answers could not be used: see .work/quarantine.jsonl"
    yield (
        f"tokens      {spent['tokens_in']:,} read, {spent['tokens_out']:,} written, "
        f"{spent['hit_tokens_in'] + spent['hit_tokens_out']:,} spared by answers used again"
    )
    yield f"cost        ${spent['spent_usd']:,.4f}"


__all__ = [
    "StageStatus",
    "Status",
    "describe_spent",
    "describe_summary",
    "read_status",
    "read_totals",
]
