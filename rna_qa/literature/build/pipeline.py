"""The build from sources to data set: its stages in order, never from scratch."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from rnagpt.rna_qa.literature.build.settings import (
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
from rnagpt.rna_qa.literature.build.shards import discard, read_sidecar, remove_remains, replace_file
from rnagpt.rna_qa.literature.build.stages import (
    Build,
    is_current,
    make_or_postpone_shard,
    make_shard,
    task_stages,
)

if TYPE_CHECKING:
    from rnagpt.rna_qa.literature.sources.corpus import Corpus
    from rnagpt.rna_qa.literature.build.engine import Task

WORK = ".work"
REQUESTS = "requests.sqlite"  # the language model's answers, and the ledger
# Europe PMC takes some 500 a minute, EBI Search and RNAcentral more.
REQUESTS_PER_SECOND = 8.0
POLL_SECONDS = 60.0  # between looks at batches
OTHER_RELEASE = (
    "this build was begun by a release that read papers in another way: RNAs and papers are read "
    "anew; the language model's answers are kept, and used wherever its request is still the same"
)
FILES_OF_A_BUILD = {
    WORK,
    "README.md",
    "build.json",
    "qa",
    "annotations",
    "qa_ais",
    "annotations_ais",
    "papers",
}


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

    What a killed or stopped build has done stands, and the next one goes on there; with other
    options, what they do not touch stands as well. The same sources, options and answers of the
    language model give the same bytes.

    Args:
        stages: Those to do; each needs the ones before it done.
        check_retractions: Ask Europe PMC anew which papers are retracted, once a day at most; only
            RNAs that such a paper names are worked on again.

    Returns:
        ``done``: the stages that had something to do; ``record``: that of the finished data set,
        None where the export was not reached.

    Raises:
        BusyError: if another process builds in `out`.
        FileExistsError: if `out` holds something else.
        ValueError, OSError, RuntimeError: with what is wrong and how to mend it.
    """
    run, services = run or RunOptions(), services or Services.from_environment()
    _check_stages(stages)
    _refuse_foreign(out)
    work = out.resolve() / WORK  # jobs elsewhere begin in another folder
    work.mkdir(parents=True, exist_ok=True)
    with _lock(work):
        remove_remains(work)
        state = _begin(work, options, check_retractions)
        one = Build(work, options, run, corpus_key(state))
        done = [
            stage
            for stage in STAGES
            if stage in stages and _run_stage(stage, one, out, services, state)
        ]
    return {"done": done, "record": read_record(out) if "export" in stages else None}


def _check_stages(stages: Sequence[str]) -> None:
    if unknown := [stage for stage in stages if stage not in STAGES]:
        raise ValueError(f"no stage is called {unknown[0]!r}; they are {', '.join(STAGES)}")


def _refuse_foreign(out: Path) -> None:
    """A folder that holds anything but a build of this kind is not to be written to."""
    names = {path.name for path in out.iterdir()} if out.exists() else set()
    others = names if WORK not in names else names - FILES_OF_A_BUILD
    if others:
        raise FileExistsError(
            f"{out} holds files of something else ({min(others)}); choose an empty folder"
        )


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
    """Where RNAs come from if nobody says: as in the last run, else the database if it answers."""
    if state := read_state(out / WORK):
        return str(state["options"]["source"])
    from rnagpt.rna_qa.literature.sources.postgres import is_reachable

    if is_reachable(services.database):
        return "postgres"
    print("RNAcentral's database does not answer; taking EBI Search", file=sys.stderr)
    return "http"


# What is kept of a run: ``run.json``


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
    # Files are what they are; services change from day to day.
    retrieved = None if options.source == "files" else today
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
        if options.source == "files":
            raise ValueError("--check-retractions: the papers are files; mark them there")
        checked = today
    state = {
        "options": values,
        "retrieved": retrieved,
        "retractions_checked": checked,
        "select_version": STAGE_VERSIONS["select"],
    }
    replace_file(work / "run.json", (json.dumps(state, indent=2) + "\n").encode())
    return state


def describe_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What is different from the last run, and what is done anew for it."""
    changed = changed_options(before, after)
    if not changed:
        return []
    first = next(iter(changed))
    lines = [
        f"changed since the last run: {flag(name)} was {before.get(name)!r}, is {after[name]!r}"
        for names in changed.values()
        for name in names
    ]
    anew = STAGES[STAGES.index(first) :]
    lines.append(f"looked at anew: {', '.join(anew)}; shards that come out the same are kept")
    return lines


def corpus_key(state: Mapping[str, Any]) -> str:
    """Names what the corpus holds when it is done."""
    return fingerprint(_select_key(state), _papers_key(state))


def _select_key(state: Mapping[str, Any]) -> str:
    values = stage_values(state["options"], "select")
    if values["source"] == "files":  # which papers are kept hangs on the RNAs' names
        values["papers"] = state["options"]["papers"]
    return fingerprint("select", STAGE_VERSIONS["select"], values, state["retrieved"])


def _papers_key(state: Mapping[str, Any]) -> str:
    values = stage_values(state["options"], "papers")
    return fingerprint("papers", STAGE_VERSIONS["papers"], values, state["retractions_checked"])


# The stages


def _run_stage(
    stage: str, one: Build, out: Path, services: Services, state: Mapping[str, Any]
) -> bool:
    """Do what a stage has left to do; says whether there was anything."""
    if stage == "select":
        return _select(one, services, state)
    if stage == "papers":
        return _papers(one, services, state)
    if stage in ("splits", "export"):
        _require_done(one, ("questions",))
        return _splits(one) if stage == "splits" else _export(one, out, services, state)
    _require_done(one, STAGES[: STAGES.index(stage)])
    return _run_tasks(one, stage)


def _require_done(one: Build, stages: Sequence[str]) -> None:
    for stage in stages:
        if stage in ("select", "papers"):
            done = corpus_stage_done(one, stage)
        else:
            done = not any(pending_shards(one, name) for name in task_stages(one.options)[stage])
        if not done:
            raise ValueError(
                f"the stage {stage} is not done; leave --stages out, or begin with {stage}"
            )


def pending_shards(one: Build, name: str) -> list[int]:
    """The shards of a stage's folder that are missing, or were made of something else."""
    return [shard for shard in range(num_shards(one)) if not is_current(one, name, shard)]


def _run_tasks(one: Build, stage: str) -> bool:
    from rnagpt.rna_qa.literature.build.engine import run_shards

    pending = {name: pending_shards(one, name) for name in task_stages(one.options)[stage]}
    if not any(pending.values()):
        return False
    if stage == "topics" or one.options.mode == "extractive":
        for name, shards in pending.items():
            run_shards(partial(make_shard, one), one.work, name, shards, one.run)
    else:
        _ask(one, pending)
    return True


def _ask(one: Build, pending: Mapping[str, Sequence[int]]) -> None:
    """Make shards with a language model, here: threads of one process keep to one budget."""
    from rnagpt.rna_qa.literature.llm.batch_requests import BatchModel
    from rnagpt.rna_qa.literature.llm.service import open_model

    with open_model(one.work / REQUESTS, one.options, one.run) as model:
        if not one.run.batch_api:
            _make_here(one, pending, partial(make_shard, one, model=model))
            return
        batches = BatchModel(model, queue_tokens=one.run.queue_tokens, poll_seconds=POLL_SECONDS)
        task = partial(make_or_postpone_shard, one, model=batches)
        while any(pending.values()):
            _make_here(one, pending, task, may_be_postponed=True)
            batches.settle()
            pending = {name: pending_shards(one, name) for name in pending}


def _make_here(
    one: Build, pending: Mapping[str, Sequence[int]], task: Task, *, may_be_postponed: bool = False
) -> None:
    from rnagpt.rna_qa.literature.build.engine import run_shards
    from rnagpt.rna_qa.literature.llm.language_model import NothingUsable

    here = replace(one.run, engine="local", workers=1)
    try:
        for name, shards in pending.items():
            run_shards(task, one.work, name, shards, here, may_lack=may_be_postponed)
    except NothingUsable:
        # The answers that are asked for again may lie in shards that were finished before the last
        # of them came; what else is in those is kept, so that they cost nothing.
        for name, shards in pending.items():
            for shard in shards:
                discard(one.shard(name, shard))
        raise


def num_shards(one: Build) -> int:
    """How many shards the RNAs make."""
    from rnagpt.rna_qa.literature.sources.corpus import Corpus

    with Corpus(one.work / "corpus.sqlite") as corpus:
        return corpus.num_shards(one.options.shard_size)


def _splits(one: Build) -> bool:
    from rnagpt.rna_qa.literature.build.splits import make_splits, splits_path

    before = read_sidecar(splits_path(one.work))
    return make_splits(one, num_shards(one)) != before


def _export(one: Build, out: Path, services: Services, state: Mapping[str, Any]) -> bool:
    from rnagpt.rna_qa.literature.build.export import export

    record = _make_record(one, services, state)
    if (finished := read_record(out)) and finished["fingerprint"] == record["fingerprint"]:
        return False
    export(one, num_shards(one), record, out)
    return True


def read_record(out: Path) -> dict[str, Any] | None:
    """The record of a finished build; None where there is none."""
    path = out / "build.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _make_record(one: Build, services: Services, state: Mapping[str, Any]) -> dict[str, Any]:
    from rnagpt.rna_qa.literature.sources.corpus import Corpus
    from rnagpt.rna_qa.literature.build.splits import splits_path

    splits = read_sidecar(splits_path(one.work))
    if splits is None:
        raise ValueError("the stage splits is not done; leave --stages out, or begin with splits")
    with Corpus(one.work / "corpus.sqlite") as corpus:
        counts: dict[str, Any] = {"corpus": corpus.counts()}
    names = [name for folders in task_stages(one.options).values() for name in folders]
    counts |= {name: dict(stage_counts(one, name)) for name in names}
    counts["splits"] = splits.counts
    made_of = [
        sidecar and sidecar.sha256
        for name in names
        for shard in range(num_shards(one))
        for sidecar in (read_sidecar(one.shard(name, shard)),)
    ]
    return {
        "data_set": "RNA-QA, literature build",
        "options": state["options"],
        "retrieved": state["retrieved"],
        "retractions_checked": state["retractions_checked"],
        "services": _addresses(one.options, services),
        "prompts": _prompts(one.options),
        "fingerprint": fingerprint(
            STAGE_VERSIONS["export"], state, splits.sha256, made_of, one.corpus
        ),
        "counts": counts,
    }


def _addresses(options: LiteratureOptions, services: Services) -> list[str]:
    """The hosts that the sources were read from."""
    if options.source == "files":
        return []
    used = ("database",) if options.source == "postgres" else ("ebi_search", "rnacentral")
    addresses = asdict(services)
    hosts = [urlsplit(addresses[name]).hostname for name in (*used, "europe_pmc")]
    return list(dict.fromkeys(host for host in hosts if host))


def _prompts(options: LiteratureOptions) -> dict[str, str]:
    if options.mode == "extractive":
        return {}
    from rnagpt.rna_qa.literature.claims.prompts import prompt_hashes

    return dict(prompt_hashes())


def stage_counts(one: Build, name: str) -> Counter[str]:
    """What the finished shards of a stage counted."""
    counts: Counter[str] = Counter()
    for shard in range(num_shards(one)):
        if sidecar := read_sidecar(one.shard(name, shard)):
            counts.update(sidecar.counts)
    return counts


# RNAs and papers


def corpus_stage_done(one: Build, stage: str) -> bool:
    """Whether all RNAs, or all papers, that the last run asked for are there."""
    from rnagpt.rna_qa.literature.sources.corpus import Corpus

    path = one.work / "corpus.sqlite"
    if not path.exists():
        return False
    with Corpus(path) as corpus:
        state = read_state(one.work)
        assert state is not None
        if corpus.progress("build: select") != _select_key(state):
            return False
        if stage == "select":
            return corpus.progress("build: select done") is not None
        return corpus.progress("build: papers done") == _papers_key(state)


def _select(one: Build, services: Services, state: Mapping[str, Any]) -> bool:
    """Gather the RNAs; a corpus of other sources is begun anew."""
    from rnagpt.rna_qa.literature.sources.corpus import Corpus

    if corpus_stage_done(one, "select"):
        return False
    path, key = one.work / "corpus.sqlite", _select_key(state)
    with Corpus(path) as corpus:
        wanted = corpus.progress("build: select") in (None, key)
    if not wanted:
        for file in one.work.glob("corpus.sqlite*"):
            file.unlink()
    with Corpus(path) as corpus:
        corpus.set_progress("build: select", key)
        _read_rnas(corpus, one.options, services)
        corpus.set_progress("build: select done", key)
    return True


def _read_rnas(corpus: Corpus, options: LiteratureOptions, services: Services) -> None:
    if options.source == "files":
        from rnagpt.rna_qa.literature.sources import files as select_files

        select_files.select(corpus, Path(str(options.rnas)).expanduser(), options.limit)
    elif options.source == "postgres":
        from rnagpt.rna_qa.literature.sources import postgres as select_postgres

        select_postgres.select(corpus, services.database, query=options.query, limit=options.limit)
    else:
        from rnagpt.rna_qa.literature.sources import http as select_http
        from rnagpt.rna_qa.literature.sources.http_client import HttpClient

        addresses = select_http.Addresses(services.ebi_search, services.rnacentral)
        with HttpClient(REQUESTS_PER_SECOND) as client:
            select_http.select(corpus, client, addresses, query=options.query, limit=options.limit)


def _papers(one: Build, services: Services, state: Mapping[str, Any]) -> bool:
    """Complete the papers, and judge which are kept."""
    from rnagpt.rna_qa.literature.sources.corpus import Corpus

    _require_done(one, ("select",))
    if corpus_stage_done(one, "papers"):
        return False
    with Corpus(one.work / "corpus.sqlite") as corpus:
        _complete_papers(corpus, one.options, services, bool(state["retractions_checked"]))
        corpus.set_progress("build: papers done", _papers_key(state))
    return True


def _complete_papers(
    corpus: Corpus, options: LiteratureOptions, services: Services, check_retractions: bool
) -> None:
    from rnagpt.rna_qa.literature.sources import papers
    from rnagpt.rna_qa.literature.sources.europe_pmc import EuropePmc
    from rnagpt.rna_qa.literature.sources.http_client import HttpClient

    if options.source == "files":
        from rnagpt.rna_qa.literature.sources import files as select_files

        select_files.read_papers(corpus, Path(str(options.papers)).expanduser())
        papers.complete(corpus, None, licences=options.licences)
        return
    with HttpClient(REQUESTS_PER_SECOND) as client:
        europe_pmc = EuropePmc(client, services.europe_pmc)
        if check_retractions:
            papers.mark_retractions(corpus, europe_pmc)
        papers.complete(corpus, europe_pmc, licences=options.licences)


__all__ = [
    "BusyError",
    "build",
    "choose_source",
    "corpus_key",
    "corpus_stage_done",
    "num_shards",
    "pending_shards",
    "read_record",
    "read_state",
    "stage_counts",
]
