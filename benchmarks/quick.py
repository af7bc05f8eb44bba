"""A quick look at every figure of speed: `make bench DATASET=rna-qa`, some minutes.

    python benchmarks/quick.py --dataset rna-qa

Runs each benchmark on few RNAs and rounds, and shows what was found next to the published figures
of
`results.json`, so that a change that makes something much slower shows. Those and the reports stay
as they are; this run's figures go to `quick_results.json`, which is not committed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from measured import RESULTS, read_stored, table

HERE = Path(__file__).parent
QUICK_RESULTS = HERE / "quick_results.json"
QUICK = {
    "encoding.py": ["--rnas", "24", "--rounds", "2"],
    "training.py": ["--mini", "--rnas", "4", "--rounds", "1", "--no-growth"],
    "chatting.py": ["--parts", "turns", "start", "--rounds", "2"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--dataset", required=True, help="folder or Hub id of an RNA-QA")
    args = parser.parse_args()
    QUICK_RESULTS.unlink(missing_ok=True)  # of the run before
    for name, options in QUICK.items():
        print(f"benchmarks/{name} {' '.join(options)}", flush=True)
        command = [sys.executable, str(HERE / name), "--dataset", args.dataset, *options]
        command += ["--report", os.devnull, "--results", str(QUICK_RESULTS)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    print(table_of_figures(read_stored(QUICK_RESULTS), read_stored(RESULTS)))


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
