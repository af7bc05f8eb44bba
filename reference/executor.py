"""Where numbered tasks run: on this machine, on Slurm or on Ray."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

EXECUTORS = ("local", "slurm", "ray")


class TaskError(RuntimeError):
    """A task failed, or could not be run; the message says why."""


@dataclass(frozen=True)
class ExecutorOptions:
    """What datatrove's executor is and gets.

    Attributes:
        name: one of `EXECUTORS`.
        workers: processes or jobs at a time.
        config: further arguments of it.

    Raises:
        ValueError: as `check_config`, or there are no workers.
    """

    name: str = "local"
    workers: int = 1
    config: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"--workers is {self.workers}; expected 1 at least")
        check_config(self.name, self.config)


def check_config(name: str, config: Mapping[str, Any]) -> None:
    """Reject a configuration that lacks what the executor needs.

    Raises:
        ValueError: Slurm lacks its partition or time.
    """
    missing = {"partition", "time"} - config.keys()
    if name == "slurm" and missing:
        raise ValueError(
            f"--engine slurm needs {' and '.join(sorted(missing))} in --engine-config, "
            'for example {"partition": "cpu", "time": "04:00:00"}'
        )


__all__ = ["EXECUTORS", "ExecutorOptions", "TaskError", "check_config"]
