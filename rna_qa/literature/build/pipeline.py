"""The literature build: stages from sources to data set, resumed where the last run stopped."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from rnagpt.rna_qa.literature.build.settings import (
    CONFIGURATIONS,
    EUROPE_PMC,
    STAGE_VERSIONS,
    STAGES,
    LiteratureOptions,
    RunOptions,
    Services,
    changed_options,
    fingerprint,
    flag,
    stage_values,
)
from rnagpt.rna_qa.literature.build.shards import (
    atomic_write,
    clean_partials,
    discard,
    read_sidecar,
)
from rnagpt.rna_qa.literature.build.stages import (
    Build,
    is_current,
    make_or_postpone_shard,
    make_shard,
    task_stages,
)
from rnagpt.rna_qa.literature.sources.source import SOURCES, choose_available
from rnagpt.rna_qa.output import check_output_dir, read_record

if TYPE_CHECKING:
    from rnagpt.rna_qa.literature.build.engine import Task
    from rnagpt.rna_qa.literature.sources.corpus import Corpus

WORK = ".work"
REQUESTS = "requests.sqlite"  # the language model's answers, and the ledger
POLL_SECONDS = 60.0  # between looks at batches
OTHER_RELEASE = (
    "this build was begun by a release that read papers in another way: RNAs and papers are read "
    "again; the language model's answers are cached, and used wherever its request is the same"
)


class BusyError(RuntimeError):
    """Another process is building in the same folder."""


def build(
    out: Path,
    options: LiteratureOptions,
    run: RunOptions | None = None,
    services: Services | None = None,
    stages: Sequence[str] = STAGES,
    *,
    check_retractions: bool = False,
) -> dict[str, Any]:
    """Build RNA-QA from the literature into the folder `out`; returns what came of it.

    What a killed or stopped build has done stands, and the next one resumes there; with other
    options, what they do not touch stands as well. The same sources, options and answers of the
    language model give the same bytes.

    Args:
        stages: Those to do; each needs the ones before it done.
        check_retractions: Ask Europe PMC again which papers are retracted, once a day at most; only
            RNAs that such a paper names are worked on again.

    Returns:
        ``done``: the stages that had something to do; ``record``: that of the finished data set,
        None where the export was not reached.

    Raises:
        BusyError: if another process builds in `out`.
        FileExistsError: if `out` holds something else.
        ValueError, OSError, RuntimeError: with what is wrong and how to fix it.
    """
    run, services = run or RunOptions(), services or Services.from_environment()
    if unknown := [stage for stage in stages if stage not in STAGES]:
        raise ValueError(f"no stage is called {unknown[0]!r}; they are {', '.join(STAGES)}")
    check_output_dir(out, WORK, CONFIGURATIONS)
    work = out.resolve() / WORK  # jobs elsewhere begin in another folder
    work.mkdir(parents=True, exist_ok=True)
    with _lock(work):
        clean_partials(work)
        state = _begin(work, options, check_retractions)
        task = Build(work, options, run, corpus_key(state))
        done = [
            stage
            for stage in STAGES
            if stage in stages and _run_stage(stage, task, out, services, state)
        ]
    return {"done": done, "record": read_record(out) if "export" in stages else None}


@contextmanager
def _lock(work: Path) -> Iterator[None]:
    """One build at a time; the lock goes with its process, however that ends."""
    lock, holder = FileLock(work / "lock"), work / "lock.pid"
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        process = holder.read_text() if holder.exists() else "unknown"
        raise BusyError(
            f"{work.parent} is being built by process {process}; wait for it, or choose another "
            "folder"
        ) from error
    try:
        holder.write_text(str(os.getpid()))
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def choose_source(out: Path, services: Services) -> str:
    """The source where none is given: that of the last run, else the first that is available."""
    if state := read_state(out / WORK):
        return str(state["options"]["source"])
    return choose_available(services)


# The state of a run: ``run.json``


def read_state(work: Path) -> dict[str, Any] | None:
    """The options and the date of the last run; None where there was none."""
    path = work / "run.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _begin(
    work: Path, options: LiteratureOptions, check_retractions: bool = False
) -> dict[str, Any]:
    """Compare with the last run, say what is different, and keep what is wanted now."""
    before, values = read_state(work), options.values()
    today = datetime.now(UTC).date().isoformat()
    is_live = SOURCES[options.source].is_live
    retrieved = today if is_live else None
    checked = None
    if before is not None:
        is_current = before.get("select_version", 1) == STAGE_VERSIONS["select"]
        if not is_current:
            print(OTHER_RELEASE, file=sys.stderr)
        if is_current and "select" not in changed_options(before["options"], values):
            retrieved, checked = before["retrieved"], before["retractions_checked"]
        for line in describe_changes(before["options"], values):
            print(line, file=sys.stderr)
    if check_retractions:
        if not is_live:
            raise ValueError(
                "--check-retractions: the papers are files; mark retracted ones there "
                '("retracted": true)'
            )
        checked = today
    state = {
        "options": values,
        "retrieved": retrieved,
        "retractions_checked": checked,
        "select_version": STAGE_VERSIONS["select"],
    }
    atomic_write(work / "run.json", (json.dumps(state, indent=2) + "\n").encode())
    return state


def describe_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What is different from the last run, and what is done again for it."""
    changed = changed_options(before, after)
    if not changed:
        return []
    first = next(iter(changed))
    lines = [
        f"changed since the last run: {flag(name)} was {before.get(name)!r}, is {after[name]!r}"
        for names in changed.values()
        for name in names
    ]
    again = STAGES[STAGES.index(first) :]
    lines.append(f"checked again: {', '.join(again)}; shards that come out the same are reused")
    return lines


def corpus_key(state: Mapping[str, Any]) -> str:
    """Names what the corpus holds when it is done."""
    return fingerprint(_select_key(state), _papers_key(state))


def _select_key(state: Mapping[str, Any]) -> str:
    values = stage_values(state["options"], "select")
    if "papers" in SOURCES[values["source"]].needs:  # which are kept depends on the RNAs' names
        values["papers"] = state["options"]["papers"]
    return fingerprint("select", STAGE_VERSIONS["select"], values, state["retrieved"])


def _papers_key(state: Mapping[str, Any]) -> str:
    values = stage_values(state["options"], "papers")
    return fingerprint("papers", STAGE_VERSIONS["papers"], values, state["retractions_checked"])


# The stages


def _run_stage(
    stage: str, build: Build, out: Path, services: Services, state: Mapping[str, Any]
) -> bool:
    """Do what a stage has left to do; says whether there was anything."""
    if stage == "select":
        return _select(build, services, state)
    if stage == "papers":
        return _papers(build, services, state)
    if stage in ("splits", "export"):
        _require_done(build, ("questions",))
        return _splits(build) if stage == "splits" else _export(build, out, services, state)
    _require_done(build, STAGES[: STAGES.index(stage)])
    return _run_tasks(build, stage)


def _require_done(build: Build, stages: Sequence[str]) -> None:
    for stage in stages:
        if stage in ("select", "papers"):
            done = corpus_stage_done(build, stage)
        else:
            done = not any(
                pending_shards(build, name) for name in task_stages(build.options)[stage]
            )
        if not done:
            raise ValueError(
                f"the stage {stage} is not done; leave --stages out, or begin with {stage}"
            )


def pending_shards(build: Build, name: str) -> list[int]:
    """The shards of a stage's folder that are missing, or were made of something else."""
    return [shard for shard in range(num_shards(build)) if not is_current(build, name, shard)]


def _run_tasks(build: Build, stage: str) -> bool:
    from rnagpt.rna_qa.literature.build.engine import run_shards

    pending = {name: pending_shards(build, name) for name in task_stages(build.options)[stage]}
    if not any(pending.values()):
        return False
    if stage == "topics" or build.options.mode == "extractive":
        for name, shards in pending.items():
            run_shards(partial(make_shard, build), build.work, name, shards, build.run)
    else:
        _ask(build, pending)
    return True


def _ask(build: Build, pending: Mapping[str, Sequence[int]]) -> None:
    """Make shards with a language model, here: threads of one process keep to one budget."""
    from rnagpt.rna_qa.literature.llm.batch_requests import BatchModel
    from rnagpt.rna_qa.literature.llm.service import open_model

    with open_model(build.work / REQUESTS, build.options, build.run) as model:
        if not build.run.batch_api:
            _make_here(build, pending, partial(make_shard, build, model=model))
            return
        batches = BatchModel(model, queue_tokens=build.run.queue_tokens, poll_seconds=POLL_SECONDS)
        task = partial(make_or_postpone_shard, build, model=batches)
        while any(pending.values()):
            _make_here(build, pending, task, may_be_postponed=True)
            batches.settle()
            pending = {name: pending_shards(build, name) for name in pending}


def _make_here(
    build: Build,
    pending: Mapping[str, Sequence[int]],
    task: Task,
    *,
    may_be_postponed: bool = False,
) -> None:
    from rnagpt.rna_qa.literature.build.engine import run_shards
    from rnagpt.rna_qa.literature.llm.language_model import NothingUsable

    here = replace(build.run, engine="local", workers=1)
    try:
        for name, shards in pending.items():
            run_shards(task, build.work, name, shards, here, may_lack=may_be_postponed)
    except NothingUsable:
        # The answers that are requested again may lie in shards that were finished before the last
        # of them came; their other answers are cached, so that they cost nothing.
        for name, shards in pending.items():
            for shard in shards:
                discard(build.shard(name, shard))
        raise


def num_shards(build: Build) -> int:
    """How many shards the RNAs make."""
    with build.open_corpus() as corpus:
        return corpus.num_shards(build.options.shard_size)


def _splits(build: Build) -> bool:
    from rnagpt.rna_qa.literature.build.splits import make_splits, splits_path

    before = read_sidecar(splits_path(build.work))
    return make_splits(build, num_shards(build)) != before


def _export(build: Build, out: Path, services: Services, state: Mapping[str, Any]) -> bool:
    from rnagpt.rna_qa.literature.build.export import export

    record = _make_record(build, services, state)
    if (finished := read_record(out)) and finished["fingerprint"] == record["fingerprint"]:
        return False
    export(build, num_shards(build), record, out)
    return True


def _make_record(build: Build, services: Services, state: Mapping[str, Any]) -> dict[str, Any]:
    from rnagpt.rna_qa.literature.build.splits import splits_path
    from rnagpt.rna_qa.literature.claims.prompts import prompt_hashes

    splits = read_sidecar(splits_path(build.work))
    if splits is None:
        raise ValueError("the stage splits is not done; leave --stages out, or begin with splits")
    with build.open_corpus() as corpus:
        counts: dict[str, Any] = {"corpus": corpus.counts()}
    names = [name for folders in task_stages(build.options).values() for name in folders]
    counts |= {name: dict(stage_counts(build, name)) for name in names}
    counts["splits"] = splits.counts
    shards = [build.shard(name, shard) for name in names for shard in range(num_shards(build))]
    made_of = [sidecar and sidecar.sha256 for sidecar in map(read_sidecar, shards)]
    return {
        "data_set": "RNA-QA, literature build",
        "options": state["options"],
        "retrieved": state["retrieved"],
        "retractions_checked": state["retractions_checked"],
        "services": _hosts(build.options, services),
        "prompts": {} if build.options.mode == "extractive" else dict(prompt_hashes()),
        "fingerprint": fingerprint(
            STAGE_VERSIONS["export"], state, splits.sha256, made_of, build.corpus
        ),
        "counts": counts,
    }


def _hosts(options: LiteratureOptions, services: Services) -> list[str]:
    """Those that the sources were read from."""
    addresses = (getattr(services, name) for name in SOURCES[options.source].services)
    hosts = (urlsplit(address).hostname for address in addresses)
    return list(dict.fromkeys(host for host in hosts if host))


def stage_counts(build: Build, name: str) -> Counter[str]:
    """What the finished shards of a stage counted."""
    counts: Counter[str] = Counter()
    for shard in range(num_shards(build)):
        if sidecar := read_sidecar(build.shard(name, shard)):
            counts.update(sidecar.counts)
    return counts


# RNAs and papers


def corpus_stage_done(build: Build, stage: str) -> bool:
    """Whether all RNAs, or all papers, that the last run wanted are there."""
    state = read_state(build.work)
    if state is None or not (build.work / "corpus.sqlite").exists():
        return False
    with build.open_corpus() as corpus:
        if corpus.progress("build: select") != _select_key(state):
            return False
        if stage == "select":
            return corpus.progress("build: select done") is not None
        return corpus.progress("build: papers done") == _papers_key(state)


def _select(build: Build, services: Services, state: Mapping[str, Any]) -> bool:
    """Gather the RNAs; a corpus of other sources is begun again."""
    if corpus_stage_done(build, "select"):
        return False
    key = _select_key(state)
    with build.open_corpus() as corpus:
        is_other = corpus.progress("build: select") not in (None, key)
    if is_other:
        for file in build.work.glob("corpus.sqlite*"):
            file.unlink()
    with build.open_corpus() as corpus:
        corpus.set_progress("build: select", key)
        SOURCES[build.options.source].read_rnas(corpus, build.options, services)
        corpus.set_progress("build: select done", key)
    return True


def _papers(build: Build, services: Services, state: Mapping[str, Any]) -> bool:
    """Complete the papers, and judge which are kept."""
    _require_done(build, ("select",))
    if corpus_stage_done(build, "papers"):
        return False
    with build.open_corpus() as corpus:
        SOURCES[build.options.source].read_papers(
            corpus,
            build.options,
            services,
            check_retractions=bool(state["retractions_checked"]),
        )
        if build.options.full_text:
            _read_full_texts(corpus, build.options.full_text, services)
        corpus.set_progress("build: papers done", _papers_key(state))
    return True


def _read_full_texts(corpus: Corpus, where: str, services: Services) -> None:
    from rnagpt.rna_qa.literature.sources import full_texts
    from rnagpt.rna_qa.literature.sources.europe_pmc import EuropePmc
    from rnagpt.rna_qa.literature.sources.http_client import HttpClient

    if where != EUROPE_PMC:
        full_texts.read_full_texts(corpus, Path(where).expanduser())
        return
    with HttpClient() as client:
        full_texts.request_full_texts(corpus, EuropePmc(client, services.europe_pmc))


__all__ = [
    "BusyError",
    "build",
    "choose_source",
    "corpus_key",
    "corpus_stage_done",
    "num_shards",
    "pending_shards",
    "read_state",
    "stage_counts",
]
