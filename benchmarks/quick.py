"""A quick look at every figure of speed: `make bench DATASET=rna-qa`, some minutes.

    python benchmarks/quick.py --dataset rna-qa

Runs each benchmark on few RNAs and rounds, leaves their reports as they are, and writes what was
found to `results.json`, so that a change that makes something slower shows.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from measured import read_kept, table

HERE = Path(__file__).parent
QUICK = {
    "encoding.py": ["--rnas", "24", "--rounds", "2"],
    "training.py": ["--mini", "--rnas", "4", "--rounds", "1", "--no_growth"],
    "chatting.py": ["--parts", "tokens", "turns", "start", "--rounds", "2"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--dataset", required=True, help="folder or Hub id of an RNA-QA")
    args = parser.parse_args()
    for name, options in QUICK.items():
        print(f"benchmarks/{name} {' '.join(options)}", flush=True)
        command = [sys.executable, str(HERE / name), "--dataset", args.dataset, *options]
        subprocess.run([*command, "--report", os.devnull], check=True, stdout=subprocess.DEVNULL)
    print(table_of_figures())


def table_of_figures() -> str:
    """All figures that are kept, also those of whole benchmarks that were run before."""
    header = ["figure", "ours", "other", "ratio", "share of the limit", "target"]
    rows = [
        [
            figure["figure"],
            f"{figure['ours']:.4g} {figure['unit']}",
            "" if figure["other"] is None else f"{figure['other']:.4g} ({figure['other_name']})",
            "" if figure["ratio"] is None else f"{figure['ratio']:.2f}",
            "" if figure["share_of_limit"] is None else f"{figure['share_of_limit']:.2f}",
            figure["target"],
        ]
        for figure in read_kept()
    ]
    return table(header, rows)


if __name__ == "__main__":
    main()
