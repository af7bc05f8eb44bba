"""Numbered tasks as datatrove runs them: on this machine, on Slurm or on Ray."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shlex
import shutil
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
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from datatrove.executor import LocalPipelineExecutor, RayPipelineExecutor, SlurmPipelineExecutor
from datatrove.executor import ray as ray_executor
from datatrove.executor.base import PipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.utils.stats import PipelineStats
from loguru import logger
from tqdm import tqdm

from rnagpt.reference.executor import ExecutorOptions, TaskError

POLL_SECONDS = 0.5
# A cluster's file system may show a file this long after the job that wrote it has left the queue.
QUEUE_POLL_SECONDS = 10.0
SECONDS_AFTER_THE_QUEUE = 60.0

Task = Callable[[int], None]


@dataclass(frozen=True)
class Work:
    """What numbered tasks make, and where they leave their traces.

    Attributes:
        name: such as "topics".
        job: its name on Slurm.
        unit: what one task makes, such as "shard".
        is_done: whether the task of this number has made it, on whatever machine.
        logs: folder of datatrove's logs.
        failures: folder of the tasks' errors, one file each.
        if_lost: the remedy where a process was lost, such as "with fewer --workers".
    """

    name: str
    job: str
    unit: str
    is_done: Callable[[int], bool]
    logs: Path
    failures: Path
    if_lost: str


class TaskStep(PipelineStep):
    """A step of datatrove that does one task; its rank picks the number."""

    name = "task"
    type = "rnagpt"

    def __init__(self, task: Task, numbers: Sequence[int], failures: Path, work_name: str) -> None:
        super().__init__()
        self.task, self.numbers = task, list(numbers)
        self.failures, self.work_name = str(failures), work_name

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Any]:
        number = self.numbers[rank]
        try:
            self.task(number)
        except Exception as error:
            # A job's exception does not reach the process that submitted it, a file does.
            with suppress(OSError):
                _write_failure(Path(self.failures), self.work_name, number, error)
            raise
        yield from ()


def run_tasks(
    task: Task,
    numbers: Sequence[int],
    work: Work,
    options: ExecutorOptions,
    *,
    may_lack: bool = False,
) -> None:
    """Do tasks, which depend on each other in nothing, and wait for them.

    Args:
        task: called with a number; it is pickled unless there is one local worker only.
        numbers: of the tasks to do.
        work: what they make.
        options: of the executor that runs them.
        may_lack: a task may leave what it makes for later.

    Raises:
        TaskError: if a task failed; what is done stands, and no further task is begun.
        OSError, ValueError, RuntimeError: as the task raised it, on this machine.
        ValueError: the executor is not installed, or takes no such configuration.
    """
    if not numbers:
        return
    for path in work.failures.glob(f"{work.name}-*.json"):
        path.unlink()
    step = TaskStep(task, numbers, work.failures, work.name)
    executor = _make_executor(step, len(numbers), work, options)
    with _progress(work, numbers):
        _run(executor, options)
        if isinstance(executor, SlurmPipelineExecutor):
            _wait_for_slurm(executor, work, numbers)
    _raise_failure(work)
    missing = [number for number in numbers if not work.is_done(number)]
    if missing and not may_lack:
        raise TaskError(
            f"{work.name}: {len(missing):,} of {len(numbers):,} {work.unit}s were not made, the "
            f"first is {missing[0]}; see {work.logs}, then run the same command again"
        )


def _make_executor(
    step: TaskStep, tasks: int, work: Work, options: ExecutorOptions
) -> PipelineExecutor:
    # What is done is known from what the tasks made.
    shared: dict[str, Any] = {
        "pipeline": [step],
        "tasks": tasks,
        "logging_dir": str(work.logs.resolve()),
        "skip_completed": False,
    }
    try:
        if options.name == "slurm":
            activate = Path(sys.prefix) / "bin" / "activate"
            slurm = {"job_name": work.job, "workers": options.workers} | (
                {"env_command": f"source {shlex.quote(str(activate))}"} if activate.exists() else {}
            )
            return SlurmPipelineExecutor(**{**slurm, **options.config, **shared})
        if options.name == "ray":
            return RayExecutor(**{"workers": options.workers, **options.config, **shared})
    except TypeError as error:
        raise ValueError(f"--engine-config: {error}") from error
    return LocalExecutor(work.if_lost, **shared, workers=min(options.workers, tasks))


def _run(executor: PipelineExecutor, options: ExecutorOptions) -> None:
    if options.name == "slurm" and shutil.which("sbatch") is None:
        raise ValueError(
            "--engine slurm needs Slurm's sbatch, which is not here; run the command where jobs "
            "are submitted"
        )
    try:
        executor.run()
    except subprocess.CalledProcessError as error:
        raise TaskError(f"sbatch rejected the job, with exit code {error.returncode}") from error
    except ImportError as error:
        if options.name != "ray":
            raise
        raise ValueError(f"--engine ray: {error}") from error


class LocalExecutor(LocalPipelineExecutor):
    """datatrove's local executor on a pool that notices lost processes.

    The original's pool waits for ever for a task whose process was killed, out of memory
    perhaps, and its manager process lives on where the main process was killed.
    """

    def __init__(self, if_lost: str, **options: Any) -> None:
        super().__init__(**options)
        self.if_lost = if_lost

    def run(self) -> None:
        if self.workers == 1:
            for rank in range(self.tasks):
                _run_rank(self, rank)
            return
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__, _module_of(self.pipeline[0].task)])
        pool = ProcessPoolExecutor(self.workers, context, _prepare_worker)
        try:
            futures = [pool.submit(_run_rank, self, rank) for rank in range(self.tasks)]
            for future in as_completed(futures):
                future.result()
        except BrokenProcessPool as error:
            raise TaskError(
                f"a process was lost, perhaps out of memory; run again to resume, {self.if_lost}"
            ) from error
        except BaseException:
            for process in multiprocessing.active_children():
                process.terminate()
            # Waits for the pool's own thread, which would close its pipe while Python, ending,
            # writes into it ("Bad file descriptor").
            pool.shutdown(cancel_futures=True)
            raise
        pool.shutdown()


class RayExecutor(RayPipelineExecutor):
    """datatrove's Ray executor with workers that die with their tasks.

    The original's workers wait for ever for a task whose process was killed; here Ray notices, and
    the task is begun again, three times at most.
    """

    def run(self) -> None:
        original = ray_executor.RankWorker
        ray_executor.RankWorker = RankWorker
        try:
            super().run()
        finally:
            ray_executor.RankWorker = original


class RankWorker(ray_executor.RankWorker):
    """A worker of Ray that does one task itself, and several in processes that it notices die."""

    def run_for_rank(
        self, executor_ref: PipelineExecutor, ranks: list[int], node_ips: list[str], node_idx: int
    ) -> PipelineStats:
        """Do the tasks, as the original does.

        Raises:
            BrokenProcessPool: a process was lost.
        """
        os.environ["RAY_NODELIST"], os.environ["RAY_NODEID"] = ",".join(node_ips), str(node_idx)
        node = -1 if executor_ref.nodes_per_task == 1 else node_idx
        places = range(int(not executor_ref.log_first), len(ranks) + 1)
        run = partial(_run_on_ray, executor_ref, node)
        if len(ranks) == 1:
            run(ranks[0], places[0])
        else:
            with ProcessPoolExecutor(len(ranks), multiprocessing.get_context("spawn")) as pool:
                list(pool.map(run, ranks, places))
        return PipelineStats()


def _run_on_ray(executor: PipelineExecutor, node: int, rank: int, place: int) -> None:
    time.sleep(random.uniform(0, executor.randomize_start_duration))
    executor._run_for_rank(rank, place, node_rank=node)


def _module_of(task: Task) -> str:
    function = task.func if isinstance(task, partial) else task
    return str(function.__module__)


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
def _progress(work: Work, numbers: Sequence[int]) -> Iterator[None]:
    """A bar of finished tasks, read off the files: it is the same for every engine."""
    left = set(numbers)
    done = threading.Event()
    bar = tqdm(total=len(numbers), desc=f"{work.name:14}", unit=f" {work.unit}s", disable=None)

    def look() -> None:
        finished = {number for number in left if work.is_done(number)}
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


def _wait_for_slurm(executor: SlurmPipelineExecutor, work: Work, numbers: Sequence[int]) -> None:
    """Wait until all tasks are done, one has failed, or the job has left the queue."""
    left = set(numbers)
    gone_since: float | None = None
    while True:
        left = {number for number in left if not work.is_done(number)}
        if not left or any(work.failures.glob(f"{work.name}-*.json")):
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


def _write_failure(folder: Path, name: str, number: int, error: Exception) -> None:
    folder.mkdir(exist_ok=True)
    record = {"error": str(error), "traceback": traceback.format_exc()}
    (folder / f"{name}-{number:05d}.json").write_text(json.dumps(record), encoding="utf-8")


def _raise_failure(work: Work) -> None:
    for path in sorted(work.failures.glob(f"{work.name}-*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        number = path.stem[-5:]
        raise TaskError(f"{work.name}, {work.unit} {number}: {record['error']} (see {path})")


__all__ = ["LocalExecutor", "RankWorker", "RayExecutor", "Task", "TaskStep", "Work", "run_tasks"]
