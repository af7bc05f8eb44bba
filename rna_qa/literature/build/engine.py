"""Shards as tasks of datatrove: on this machine, on Slurm or on Ray, from the same command."""

from __future__ import annotations

import json
import multiprocessing
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from datatrove.executor import LocalPipelineExecutor, RayPipelineExecutor, SlurmPipelineExecutor
from datatrove.executor.base import PipelineExecutor
from datatrove.pipeline.base import PipelineStep
from loguru import logger
from tqdm import tqdm

from rnagpt.rna_qa.literature.build.settings import RunOptions
from rnagpt.rna_qa.literature.build.shards import read_sidecar, shard_path

POLL_SECONDS = 0.5
# A cluster's file system may show a file this long after the job that wrote it has left the queue.
QUEUE_POLL_SECONDS = 10.0
SECONDS_AFTER_THE_QUEUE = 60.0

Task = Callable[[str, int], None]


class ShardError(RuntimeError):
    """A shard could not be made; the message says why."""


class ShardStep(PipelineStep):
    """A step of datatrove that makes one shard of a stage; its rank picks the shard."""

    name = "shard"
    type = "rna-qa"

    def __init__(self, task: Task, work: Path, stage: str, shards: Sequence[int]) -> None:
        super().__init__()
        self.task, self.work, self.stage, self.shards = task, str(work), stage, list(shards)

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Any]:
        shard = self.shards[rank]
        try:
            self.task(self.stage, shard)
        except Exception as error:
            # A job's exception does not reach the process that submitted it, a file does.
            with suppress(OSError):
                _write_failure(Path(self.work), self.stage, shard, error)
            raise
        yield from ()


def run_shards(
    task: Task,
    work: Path,
    stage: str,
    shards: Sequence[int],
    run: RunOptions,
    *,
    may_lack: bool = False,
) -> None:
    """Make the shards of a stage that are missing, by the engine of `run`.

    Args:
        task: Called as ``task(stage, shard)``; it is pickled unless `run` has one local worker.
        work: The build's folder ``.work``.
        shards: Their numbers. They depend on each other in nothing.
        may_lack: A task may leave its shard for later.

    Raises:
        ShardError: if a shard failed; those that are done stand, and no further one is begun.
        DiskFullError, OSError, ValueError, RuntimeError: as the task raised it, on this machine.
    """
    if not shards:
        return
    failures = work / "failures"
    for path in failures.glob(f"{stage}-*.json"):
        path.unlink()
    step = ShardStep(task, work, stage, shards)
    executor = _make_executor(step, work, stage, len(shards), run)
    with _progress(work, stage, shards):
        executor.run()
        if isinstance(executor, SlurmPipelineExecutor):
            _wait_for_slurm(executor, work, stage, shards)
    _raise_failure(work, stage)
    missing = [shard for shard in shards if not read_sidecar(shard_path(work, stage, shard))]
    if missing and not may_lack:
        raise ShardError(
            f"{stage}: {len(missing):,} of {len(shards):,} shards were not made, the first is "
            f"{missing[0]}; see {work / 'logs' / stage}, then run the same command again"
        )


def _make_executor(
    step: ShardStep, work: Path, stage: str, tasks: int, run: RunOptions
) -> PipelineExecutor:
    # What is complete is known from the shards themselves, which are checked by fingerprint.
    shared: dict[str, Any] = {
        "pipeline": [step],
        "tasks": tasks,
        "logging_dir": str((work / "logs" / stage).resolve()),
        "skip_completed": False,
    }
    if run.engine == "slurm":
        activate = Path(sys.prefix) / "bin" / "activate"
        slurm = {"job_name": f"rna-qa-{stage}", "workers": run.workers} | (
            {"env_command": f"source {shlex.quote(str(activate))}"} if activate.exists() else {}
        )
        return SlurmPipelineExecutor(**{**slurm, **run.engine_config, **shared})
    if run.engine == "ray":
        return RayPipelineExecutor(**{"workers": run.workers, **run.engine_config, **shared})
    return LocalExecutor(**shared, workers=min(run.workers, tasks))


class LocalExecutor(LocalPipelineExecutor):
    """datatrove's local executor on a pool that notices lost processes.

    The original's pool waits for ever for a task whose process was killed, out of memory
    perhaps, and its manager process lives on where the main process was killed.
    """

    def run(self) -> None:
        if self.workers == 1:
            for rank in range(self.tasks):
                _run_rank(self, rank)
            return
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__, "rnagpt.rna_qa.literature.build.stages"])
        pool = ProcessPoolExecutor(self.workers, context, _prepare_worker)
        try:
            futures = [pool.submit(_run_rank, self, rank) for rank in range(self.tasks)]
            for future in as_completed(futures):
                future.result()
        except BrokenProcessPool as error:
            raise ShardError(
                "a process was lost, perhaps out of memory; run again to resume, with fewer "
                "--workers or a smaller --shard-size"
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise
        pool.shutdown()


def _run_rank(executor: LocalExecutor, rank: int) -> None:
    # Errors reach the user in their own words; datatrove would print each with its traceback.
    logger.disable("datatrove")
    executor._run_for_rank(rank, local_rank=1)


def _prepare_worker() -> None:
    # Ctrl-C is the main process's to handle: it ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    """Leave nothing running where the main process was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _progress(work: Path, stage: str, shards: Sequence[int]) -> Iterator[None]:
    """A bar of finished shards, read off the files: it is the same for every engine."""
    left = set(shards)
    done = threading.Event()
    bar = tqdm(total=len(shards), desc=f"{stage:14}", unit=" shards", disable=None)

    def look() -> None:
        finished = {n for n in left if read_sidecar(shard_path(work, stage, n)) is not None}
        left.difference_update(finished)
        bar.update(len(finished))

    def watch() -> None:
        while not done.wait(POLL_SECONDS):
            look()

    thread = threading.Thread(target=watch, daemon=True)
    if not bar.disable:
        thread.start()
    try:
        yield
    finally:
        done.set()
        if thread.is_alive():
            thread.join()
        look()
        bar.close()


def _wait_for_slurm(
    executor: SlurmPipelineExecutor, work: Path, stage: str, shards: Sequence[int]
) -> None:
    """Wait until all shards are there, one has failed, or the job has left the queue."""
    left = set(shards)
    gone_since: float | None = None
    while True:
        left = {n for n in left if read_sidecar(shard_path(work, stage, n)) is None}
        if not left or any((work / "failures").glob(f"{stage}-*.json")):
            return
        if _is_queued(str(executor.job_id)):
            gone_since = None
        elif gone_since is None:
            gone_since = time.monotonic()
        elif time.monotonic() - gone_since > SECONDS_AFTER_THE_QUEUE:
            return
        time.sleep(QUEUE_POLL_SECONDS)


def _is_queued(job: str) -> bool:
    command = ["squeue", "--noheader", "--jobs", job]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.returncode == 0 and bool(found.stdout.strip())


def _write_failure(work: Path, stage: str, shard: int, error: Exception) -> None:
    folder = work / "failures"
    folder.mkdir(exist_ok=True)
    record = {"error": str(error), "traceback": traceback.format_exc()}
    (folder / f"{stage}-{shard:05d}.json").write_text(json.dumps(record), encoding="utf-8")


def _raise_failure(work: Path, stage: str) -> None:
    for path in sorted((work / "failures").glob(f"{stage}-*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        raise ShardError(f"{stage}, shard {path.stem[-5:]}: {record['error']} (see {path})")


__all__ = ["LocalExecutor", "ShardError", "ShardStep", "run_shards"]
