"""A quick look at every figure of speed: `make bench DATASET=rna-qa`, some minutes.

    python benchmarks/quick.py --dataset rna-qa

Encoding, training, chatting and its start, llama.cpp and the search (these two where what they need
is installed), each on few RNAs and rounds. Shows what was found next to the published figures of
`results.json`, so that a change that makes something much slower shows. Those and the reports stay
as they are; this run's figures go to `quick_results.json`, which is not committed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from operator import attrgetter
from pathlib import Path
from typing import Any

from measured import RESULTS, read_stored, run_program, table

from rnagpt.conversion import DEFAULT_GGUF_TYPE
from rnagpt.conversion.llama_library import is_installed

HERE = Path(__file__).parent
QUICK_RESULTS = HERE / "quick_results.json"
QUICK = {
    "encoding.py": ["--rnas", "16", "--rounds", "1"],
    "training.py": ["--mini", "--rnas", "4", "--rounds", "1", "--no-growth"],
    "chatting.py": ["--parts", "turns", "start", "--rounds", "2"],
    "cpu_answers.py": ["--parts", "speed", "--types", DEFAULT_GGUF_TYPE, "--rounds", "1"],
    "search.py": ["--rnas", "200", "--long", "0", "--rounds", "1"],
}
WITHOUT_DATASET = {"search.py"}
MOST_SECONDS = 600  # of all together, on two quiet cores


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--dataset", required=True, help="folder or Hub id of an RNA-QA")
    args = parser.parse_args()
    QUICK_RESULTS.unlink(missing_ok=True)  # of the run before
    taken = []
    for name, options in QUICK.items():
        if reason := missing(name):
            print(f"benchmarks/{name} is left out: {reason}", flush=True)
            continue
        print(f"benchmarks/{name} {' '.join(options)}", flush=True)
        command = [sys.executable, str(HERE / name), *options]
        command += [] if name in WITHOUT_DATASET else ["--dataset", args.dataset]
        command += ["--report", os.devnull, "--results", str(QUICK_RESULTS)]
        seconds = run_program(command)
        taken.append(seconds)
        print(f"  {seconds.clock:.0f} s, {seconds.processor:.0f} s of the processor", flush=True)
    print(table_of_figures(read_stored(QUICK_RESULTS), read_stored(RESULTS)))
    clock, processor = (sum(map(attrgetter(way), taken)) for way in ("clock", "processor"))
    print(
        f"{clock:.0f} s in all, {processor:.0f} s of the processor; on two quiet cores at most "
        f"{MOST_SECONDS} s."
    )


def missing(name: str) -> str | None:
    """Why a benchmark cannot run here; None where it can."""
    if name == "search.py" and shutil.which("hmmscan") is None:
        return "hmmscan is not installed (package hmmer of Debian, Ubuntu, Bioconda)"
    if name == "cpu_answers.py" and not is_installed():
        return "llama.cpp is not installed (pip install 'rna-gpt[cpu]')"
    return None


def table_of_figures(measured: list[dict[str, Any]], published: list[dict[str, Any]]) -> str:
    """Only the figures of this run, each next to the published one of its name."""
    header = ["figure", "ours", "other", "ratio", "published", "share of the limit", "target"]
    ratios = {figure["figure"]: figure["ratio"] for figure in published}
    rows = [
        [
            figure["figure"],
            f"{figure['ours']:.4g} {figure['unit']}",
            "" if figure["other"] is None else f"{figure['other']:.4g} ({figure['other_name']})",
            _rounded(figure["ratio"]),
            _rounded(ratios.get(figure["figure"])),
            _rounded(figure["share_of_limit"]),
            figure["target"],
        ]
        for figure in measured
    ]
    return table(header, rows)


def _rounded(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    main()
