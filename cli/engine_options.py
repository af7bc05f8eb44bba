"""The options of the command line that say where tasks run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rnagpt.reference.executor import EXECUTORS


def add_engine_options(group: Any, where: str, workers: str = "all cores") -> None:
    """Add ``--engine``, ``--engine-config`` and ``--workers``.

    Args:
        group: a parser, or a group of its arguments.
        where: help of ``--engine``.
        workers: the default of ``--workers``, in words.
    """
    group.add_argument("--engine", choices=EXECUTORS, default=EXECUTORS[0], help=where)
    group.add_argument(
        "--engine-config",
        metavar="FILE",
        type=Path,
        help="JSON: arguments of datatrove's executor, for slurm at least partition and time",
    )
    group.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help=f"processes or jobs at a time (default: {workers})",
    )


def read_engine_config(path: Path | None) -> dict[str, Any]:
    """The arguments of datatrove's executor that a file holds; none without a file.

    Raises:
        ValueError: it is no JSON object.
    """
    if path is None:
        return {}
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error})") from error
    if not isinstance(config, dict):
        raise ValueError(
            f'{path}: expected a JSON object such as {{"partition": "cpu", "time": "04:00:00"}}'
        )
    return config


__all__ = ["add_engine_options", "read_engine_config"]
