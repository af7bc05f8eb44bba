"""The report of `literature_scale.py`: what each engine took, and what a lost worker cost."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

COMMAND = "python benchmarks/literature_scale.py"
HEAD = (
    "| engine | stages | seconds | processor seconds | memory at most, GB | files open at most "
    "| exit codes |",
    "| --- | --- | ---: | ---: | ---: | ---: | --- |",
)
CHECKS = {
    "stood": "shards that stood when the worker was killed",
    "left_after_kill": "shards left to make",
    "made_again": "of those that stood, made again",
    "lost": "RNAs lost",
    "twice": "RNAs there twice",
    "unlike_local": "shards unlike the local build's",
    "requests": "different requests",
    "sent_twice": "requests sent twice (open when the build was killed)",
    "paid_twice": "requests sent again though their answer was kept",
}


def write_report(path: Path, sizes: Mapping[str, Any], results: Mapping[str, Any]) -> None:
    """Write the tables; `path` keeps what stands behind the line that says so."""
    kept = ""
    if path.exists():
        _, mark, rest = path.read_text(encoding="utf-8").partition("\n## What it means\n")
        kept = mark + rest
    text = "\n".join(_lines(sizes, results)) + "\n"
    path.write_text(text + kept, encoding="utf-8")


def _lines(sizes: Mapping[str, Any], results: Mapping[str, Any]) -> Iterator[str]:
    yield "# `rna-qa literature` at scale, a worker lost on the way"
    yield ""
    yield f"`{COMMAND} --rnas {sizes['rnas']} --copies {sizes['copies']}`"
    yield ""
    yield (
        f"{os.cpu_count()} cores, Python {platform.python_version()}; {sizes['workers']} workers, "
        f"{sizes['shard_size']:,} RNAs a shard, {sizes['copies']} RNAs of one name. Other work "
        "shared the cores: processor seconds tell more than the clock's."
    )
    yield ""
    yield from HEAD
    for engine, told in results.items():
        for stages, run in told["stages"].items():
            codes = ", ".join(map(str, run.codes))
            yield (
                f"| {engine} | {stages} | {run.seconds:,.0f} | {run.processor:,.0f} "
                f"| {run.memory:.2f} | {run.files} | {codes} |"
            )
    yield ""
    yield "| after the worker was killed | " + " | ".join(results) + " |"
    yield "| --- |" + " ---: |" * len(results)
    for name, words in CHECKS.items():
        if any(name in told for told in results.values()):
            cells = " | ".join(str(told.get(name, "")) for told in results.values())
            yield f"| {words} | {cells} |"
    for engine, told in results.items():
        if disk := told.get("disk"):
            yield ""
            large = {name: size for name, (size, _) in disk.items() if size > 0.05}
            sizes_of = ", ".join(f"{name} {size:,.1f} MB" for name, size in large.items())
            files = sum(count for _, count in disk.values())
            yield f"On disk, {engine}: {sizes_of}; {files:,.0f} files."
        if spent := told.get("totals"):
            yield ""
            yield (
                f"The ledger of {engine}: {spent['answered']:,} answers, {spent['hits']:,} used "
                f"again, {spent['open']:,} open when it was killed, "
                f"{spent['tokens_in']:,} tokens read, {spent['tokens_out']:,} written."
            )


__all__ = ["write_report"]
