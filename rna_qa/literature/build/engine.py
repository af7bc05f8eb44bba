"""Shards as tasks of datatrove: on this machine, on Slurm or on Ray, from the same command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from rnagpt.reference.tasks import Work, run_tasks
from rnagpt.rna_qa.literature.build.settings import RunOptions
from rnagpt.rna_qa.literature.build.shards import read_sidecar, shard_path

Task = Callable[[str, int], None]


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
        TaskError: if a shard failed; those that are done stand, and no further one is begun.
        DiskFullError, OSError, ValueError, RuntimeError: as the task raised it, on this machine.
    """
    made = Work(
        name=stage,
        job=f"rna-qa-{stage}",
        unit="shard",
        # What is complete is known from the shards themselves, which are checked by fingerprint.
        is_done=lambda shard: read_sidecar(shard_path(work, stage, shard)) is not None,
        logs=work / "logs" / stage,
        failures=work / "failures",
        if_lost="with fewer --workers or a smaller --shard-size",
    )
    run_tasks(partial(task, stage), shards, made, run.executor, may_lack=may_lack)


__all__ = ["Task", "run_shards"]
