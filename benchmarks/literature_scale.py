"""Memory and time of `rna-qa literature --extractive` for 1,000, 10,000 and 100,000 RNAs.

    python benchmarks/literature_scale.py                  # writes literature_scale.md
    python benchmarks/literature_scale.py --rnas 1000 10000

The RNAs and their papers are made up (`tests/helpers/tiny_literature.py`): microRNAs in families of two
near copies, four papers each. Memory is the most that all processes of a build held at one time
(the sum of their resident sets, so what they share counts more than once), looked at ten times a
second. Each build is run a second time when it is finished.

Sequences are clustered by shared 8-mers. cd-hit compares each with all clusters, so its time is
about quadratic where most sequences are unlike each other, as here: see `--clusters cd-hit`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from helpers.tiny_literature import write_literature  # noqa: E402

REPORT = Path(__file__).with_suffix(".md")
PAPERS_OF_AN_RNA = 4
SECONDS_BETWEEN_LOOKS = 0.1
STAGES = ("select,papers", "topics", "annotate", "questions", "splits", "export")


@dataclass(frozen=True)
class Run:
    """Seconds by the clock and of processors, and GB of memory at most, of one command."""

    seconds: float
    processor: float
    memory: float


def measure(command: Sequence[str]) -> Run:
    """Run a command to its end and watch it with all its processes."""
    start = time.monotonic()
    process = psutil.Popen(command, stdout=subprocess.DEVNULL)
    most = 0
    processor: dict[int, float] = {}
    while process.poll() is None:
        held = 0
        for one in [process, *_children(process)]:
            try:
                held += one.memory_info().rss
                times = one.cpu_times()
            except psutil.Error:
                continue
            processor[one.pid] = times.user + times.system
        most = max(most, held)
        time.sleep(SECONDS_BETWEEN_LOOKS)
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return Run(time.monotonic() - start, sum(processor.values()), most / 1e9)


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        found: list[psutil.Process] = process.children(recursive=True)
    except psutil.Error:
        return []
    return found


def build(folder: Path, rnas: int, workers: int, clusters: str) -> tuple[dict[str, Run], Run, Run]:
    """Each stage by itself, all together, and a finished build's second run."""
    papers = write_literature(folder / "in", rnas, PAPERS_OF_AN_RNA)
    command = [sys.executable, "-m", "rnagpt.cli.rna_qa", "literature", str(folder / "out")]
    command += ["--rnas", str(papers[0]), "--papers", str(papers[1]), "--extractive"]
    command += ["--workers", str(workers), "--clusters", clusters]
    stages = {names: measure([*command, "--stages", names]) for names in STAGES}
    second = measure(command)
    record = json.loads((folder / "out" / "build.json").read_text(encoding="utf-8"))
    assert sum(record["counts"]["annotations"].values()) > 0.9 * rnas
    total = Run(
        sum(run.seconds for run in stages.values()),
        sum(run.processor for run in stages.values()),
        max(run.memory for run in stages.values()),
    )
    return stages, total, second


def describe_machine() -> str:
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    found = re.search(r"model name\s*:\s*(.*)", text)
    processor = found[1] if found else platform.processor()
    return (
        f"{processor}, {os.cpu_count()} cores; Python {platform.python_version()}; load average at "
        f"the start {os.getloadavg()[0]:.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rnas", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--clusters", choices=("kmers", "cd-hit"), default="kmers")
    parser.add_argument("--folder", type=Path, help="for the builds (default: a temporary one)")
    parser.add_argument("--out", type=Path, default=REPORT)
    arguments = parser.parse_args()

    machine = describe_machine()
    rows, parts = [], []
    for rnas in arguments.rnas:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            stages, total, second = build(Path(folder), rnas, arguments.workers, arguments.clusters)
        rows.append(
            f"| {rnas:,} | {total.seconds:,.0f} | {total.processor:,.0f} | "
            f"{1000 * total.processor / rnas:.1f} | {total.memory:.2f} | {second.seconds:.1f} |"
        )
        parts += [
            f"| {rnas:,} | {name} | {run.seconds:,.1f} | {run.processor:,.1f} | {run.memory:.2f} |"
            for name, run in stages.items()
        ]
        print(rows[-1], flush=True)
        text = format_report(machine, rows, parts, arguments)
        arguments.out.write_text(text, encoding="utf-8")


def format_report(
    machine: str, rows: Sequence[str], parts: Sequence[str], arguments: argparse.Namespace
) -> str:
    sizes = " ".join(map(str, arguments.rnas))
    lines = [
        "# Memory and time of `rna-qa literature --extractive`",
        "",
        f"`python benchmarks/literature_scale.py --rnas {sizes} --workers {arguments.workers} "
        f"--clusters {arguments.clusters}`",
        "",
        f"{machine}, {os.getloadavg()[0]:.1f} at the end. {PAPERS_OF_AN_RNA} papers an RNA, "
        f"{arguments.workers} processes.",
        "Where the load is above the number of cores, other work took its share: processor seconds",
        "tell more than the clock's. Every stage is a command of its own here, some two seconds of",
        "which are its start.",
        "",
        "| RNAs | seconds | processor seconds | ms of a processor an RNA | memory at most, GB | "
        "second run, seconds |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
        *rows,
        "",
        "| RNAs | stages | seconds | processor seconds | memory at most, GB |",
        "| ---: | --- | ---: | ---: | ---: |",
        *parts,
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
