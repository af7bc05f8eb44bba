"""Measuring, and writing down what was measured: shared by all benchmarks.

`results.json` next to this file holds the figures of the last whole run of each, a list of objects
as `Figure.row` makes them. A run on less (few RNAs, some parts) changes neither it nor a report.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rnagpt.cli.spelling import check_spelling

RESULTS = Path(__file__).with_name("results.json")
# Where less is better; of all other units more is.
COSTS = ("ms/token", "s to the first word", "s", "GB", "times its seconds")
MIN_ROUNDS = 6  # for an interval
RESAMPLES = 2000


@dataclass(frozen=True)
class Figure:
    """One comparison, measured side by side.

    Attributes:
        figure: what was measured.
        ours, other: the values, medians over rounds.
        other_name: what ours is compared with.
        unit: of ours, other and limit; `COSTS` are those where less is better.
        target: the ratio (or share of the limit) to reach, in words.
        limit: the best that the machine could do, in the same unit and data type; None: unknown.
        interval: 95 % interval of the ratio over rounds; None: too few rounds.

    Raises:
        ValueError: the figure cannot be true.
    """

    figure: str
    ours: float
    other: float | None
    other_name: str
    unit: str
    target: str
    limit: float | None = None
    interval: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.share_of_limit is not None and self.share_of_limit > 1:
            raise ValueError(
                f"{self.figure}: {self.ours:.4g} {self.unit} is better than its limit of "
                f"{self.limit:.4g}, so that is not a limit. Measure the limit in the data type of "
                "the run itself, or give none."
            )
        if self.interval and not self.interval[0] <= (self.ratio or 0) <= self.interval[1]:
            raise ValueError(f"{self.figure}: {self.ratio} lies outside {self.interval}.")

    @property
    def ratio(self) -> float | None:
        """How many times better ours is than the other."""
        return None if self.other is None else self._times_better(self.other)

    @property
    def share_of_limit(self) -> float | None:
        """At most 1."""
        return None if self.limit is None else self._times_better(self.limit)

    def _times_better(self, than: float) -> float:
        return than / self.ours if self.unit in COSTS else self.ours / than

    def row(self) -> dict[str, Any]:
        """As it stands in `results.json`."""
        return {
            "figure": self.figure,
            "ours": self.ours,
            "other": self.other,
            "other_name": self.other_name,
            "ratio": self.ratio,
            "interval": None if self.interval is None else list(self.interval),
            "limit": self.limit,
            "share_of_limit": self.share_of_limit,
            "unit": self.unit,
            "target": self.target,
        }


def compare(
    figure: str,
    ours: Sequence[float],
    other: Sequence[float],
    *,
    other_name: str,
    unit: str,
    target: str,
    work: float = 1.0,
    limit: float | None = None,
) -> Figure:
    """A figure from the seconds of both ways in each round.

    Args:
        ours, other: seconds, by round.
        work: of a round, by whose quantity per second the ways are compared; where less of the unit
            is better, the seconds are.
        figure, other_name, unit, target, limit: see `Figure`.
    """
    values = map(statistics.median, (ours, other))
    mine, theirs = (value if unit in COSTS else work / value for value in values)
    interval = ratio_interval(other, ours)
    return Figure(figure, mine, theirs, other_name, unit, target, limit, interval)


def take_turns(
    ways: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of each way in each round; the ways take turns, so that a noisy machine is fair.

    Args:
        clock: `time.process_time` for ways of one thread on a machine that others use too.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            begin = clock()
            way()
            seconds[name].append(clock() - begin)
    return seconds


def answering_clock() -> Callable[[], float]:
    """Of one thread the processor's time, which others on the machine hardly lengthen."""
    import torch

    return time.process_time if torch.get_num_threads() == 1 else time.perf_counter


def clock_name(clock: Callable[[], float]) -> str:
    """What a report says of it."""
    return f"seconds of the {'processor' if clock is time.process_time else 'clock'}"


@dataclass(frozen=True)
class ProgramSeconds:
    """What a program took, from its start to its end.

    Attributes:
        clock: seconds that passed.
        processor: seconds in which a core was busy for it, on all cores together. Others on the
            machine lengthen them little.
    """

    clock: float
    processor: float


def run_program(command: Sequence[str]) -> ProgramSeconds:
    """Run a program in a process of its own; what it prints is dropped.

    Raises:
        RuntimeError: it failed; with what it said of that.
    """
    before, begin = _children_seconds(), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    passed = time.perf_counter() - begin
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
    return ProgramSeconds(passed, _children_seconds() - before)


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ratio(slower: Sequence[float], faster: Sequence[float]) -> float:
    """How many times as fast: the ratio of the medians over rounds."""
    return statistics.median(slower) / statistics.median(faster)


def ratio_interval(slower: Sequence[float], faster: Sequence[float]) -> tuple[float, float] | None:
    """95 % interval of `ratio`; None for fewer than six rounds.

    Rounds are resampled with both of their times (percentile bootstrap): what slowed the machine
    down for a round slowed both ways.
    """
    pairs = list(zip(slower, faster, strict=True))
    if len(pairs) < MIN_ROUNDS:
        return None
    draw = random.Random(0)
    drawn = sorted(
        ratio(*zip(*draw.choices(pairs, k=len(pairs)), strict=True)) for _ in range(RESAMPLES)
    )
    measured = ratio(slower, faster)
    low, high = drawn[int(0.025 * RESAMPLES)], drawn[int(0.975 * RESAMPLES) - 1]
    return min(low, measured), max(high, measured)


def limit_of(limit: float | None, *, ours: float) -> float | None:
    """A limit of speed; None where a noisy machine ran what it limits faster."""
    return None if limit is None or ours > limit else limit


def machine(*packages: str) -> str:
    """The machine and the versions, in one line."""
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    import torch

    threads = f"{torch.get_num_threads()} threads"
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {threads}{gpu}; "
        f"Python {platform.python_version()}, {versions}."
    )


def beginning(title: str, about: str) -> str:
    """A report's heading, the command of this run (folders by their last name only), and about."""
    words = ["python", f"benchmarks/{Path(sys.argv[0]).name}"]
    words += [Path(word).name if "/" in word else word for word in sys.argv[1:]]
    return f"# {title}\n\n`{' '.join(words)}`\n\n{about}\n"


def measure_parts(
    parts: Iterable[str], ways: Mapping[str, Callable[[], tuple[str, list[Figure]]]]
) -> tuple[str, list[Figure]]:
    """The report's text and the figures of some parts, each printed as soon as it is measured."""
    text, figures = "", []
    for part in parts:
        found, of_part = ways[part]()
        print(found, flush=True)
        text += found
        figures += of_part
    return text, figures


def make_parser(
    doc: str | None, *, dataset: bool = False, rounds: int | None = None
) -> argparse.ArgumentParser:
    """A benchmark's parser, with the options that say where a run is written down.

    Args:
        doc: the program's docstring, whose first paragraph describes it.
        dataset: whether it needs an RNA-QA.
        rounds: how often the ways take turns by default; None: it has no rounds.
    """
    parser = argparse.ArgumentParser(
        description=(doc or "").split("\n\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    where = "without it a whole run writes that next to this file, and a smaller one none"
    parser.add_argument("--report", type=Path, help=f"report to write; {where}")
    parser.add_argument("--results", type=Path, help=f"file of figures to write to; {where}")
    if dataset:
        parser.add_argument("--dataset", required=True, help="folder or Hub id of an RNA-QA")
    if rounds:
        parser.add_argument(
            "--rounds", type=int, default=rounds, help="in which the ways take turns"
        )
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The options of this run; an old spelling (`--no_growth`) ends it with the new one."""
    check_spelling(parser, sys.argv[1:])
    return parser.parse_args()


def write_down(
    args: argparse.Namespace,
    text: str,
    figures: Iterable[Figure],
    *,
    report: Path,
    is_whole: bool,
) -> None:
    """Write a run's report and figures where its options say.

    Args:
        args: options of a parser that `make_parser` made.
        text: the report.
        figures: of this run.
        report: the published one.
        is_whole: whether the run is one to publish; else only files that were named are written.
    """
    if to := args.report or (report if is_whole else None):
        to.write_text(text)
    if results := args.results or (RESULTS if is_whole else None):
        store(figures, results)
    if not (to or results):
        print("Not a whole run: the published report and figures stay.", file=sys.stderr)


def store(figures: Iterable[Figure], file: Path) -> None:
    """Write figures into a file, in place of earlier ones of the same name."""
    stored = {one["figure"]: one for one in read_stored(file)}
    stored |= {figure.figure: figure.row() for figure in figures}
    file.write_text(json.dumps(list(stored.values()), indent=2, ensure_ascii=False) + "\n")


def read_stored(file: Path) -> list[dict[str, Any]]:
    """The figures in a file; empty where there is no such file."""
    return json.loads(file.read_text()) if file.exists() else []


def make_rna(length: int, seed: int = 0) -> str:
    """A random RNA."""
    return "".join(random.Random(seed).choices("ACGU", k=length))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
