"""How figures are taken and written down: shared by the benchmarks of speed.

`results.json` beside this file holds the last figures of all of them, a list of objects with the
fields of `Figure`.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results.json")


@dataclass(frozen=True)
class Figure:
    """One comparison, measured side by side.

    Attributes:
        figure: what was measured.
        ours, other: the values; higher is better where the unit is a speed.
        other_name: what ours is compared with.
        ratio: how many times better ours is.
        limit: the best that the machine could do, in the same unit; None: not known.
        share_of_limit: ours over the limit.
        unit: of ours, other and limit.
        target: the ratio (or share of the limit) to reach, in words.
    """

    figure: str
    ours: float
    other: float | None
    other_name: str
    ratio: float | None
    limit: float | None
    share_of_limit: float | None
    unit: str
    target: str


def take_turns(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each way in each round; the ways take turns, so that a noisy machine is fair."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            begin = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - begin)
    return seconds


def ratio(slower: Sequence[float], faster: Sequence[float]) -> float:
    """How many times as fast: the median over rounds of the ratio within a round."""
    return statistics.median(a / b for a, b in zip(slower, faster, strict=True))


def machine(*packages: str) -> str:
    """The machine and the versions, in a line."""
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    import torch

    threads = f"{torch.get_num_threads()} threads"
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {threads}{gpu}; "
        f"Python {platform.python_version()}, {versions}."
    )


def command_line() -> str:
    """The options of this run, without where this machine keeps its folders."""
    return " ".join(Path(word).name if "/" in word else word for word in sys.argv[1:])


def keep(figures: Iterable[Figure]) -> None:
    """Put figures into `results.json`, in the place of earlier ones of the same name."""
    kept = (
        {one["figure"]: one for one in json.loads(RESULTS.read_text())} if RESULTS.exists() else {}
    )
    kept |= {figure.figure: asdict(figure) for figure in figures}
    RESULTS.write_text(json.dumps(list(kept.values()), indent=2, ensure_ascii=False) + "\n")


def read_kept() -> list[dict[str, Any]]:
    """The figures in `results.json`."""
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else []


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


__all__ = [
    "RESULTS",
    "Figure",
    "command_line",
    "keep",
    "machine",
    "ratio",
    "read_kept",
    "table",
    "take_turns",
]
