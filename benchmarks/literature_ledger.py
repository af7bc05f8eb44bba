"""Answers a second that the file of answers and costs takes, where a service is fast.

    python benchmarks/literature_ledger.py      # writes literature_ledger.md

Each request is noted before it is sent and its answer when it comes, both on the disk before the
next step; here the answer is there at once, so that nothing but the file is measured.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from measured import beginning, machine, table

from rnagpt.rna_qa.literature.llm.request_cache import Answer, RequestCache
from rnagpt.rna_qa.literature.llm.spending import Spending

REPORT = Path(__file__).with_suffix(".md")
THREADS = (1, 8)
# An answer of D&C has some 300 tokens; two thousand such characters.
TEXT = "claim " * 330
HEADER = ("threads", "answers a second, median", "lowest", "highest")


def rate(threads: int, answers: int) -> float:
    """Answers a second of the clock, in a file of its own."""
    with (
        tempfile.TemporaryDirectory(dir=".") as folder,
        RequestCache(Path(folder) / "requests.sqlite") as cache,
        ThreadPoolExecutor(threads) as pool,
    ):
        spending = Spending(cache)

        def ask(number: int) -> None:
            attempt = spending.begin(f"request {number}", 3000, 600)
            spending.settle(attempt, Answer(TEXT, tokens_in=2250, tokens_out=300))

        begin = time.monotonic()
        list(pool.map(ask, range(answers)))
        return answers / (time.monotonic() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n\n")[0])
    parser.add_argument("--answers", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rates: dict[int, list[float]] = {threads: [] for threads in THREADS}
    for _ in range(options.rounds):
        for threads in THREADS:
            rates[threads].append(rate(threads, options.answers))
    rows = [
        (str(threads), *(f"{value:.0f}" for value in (statistics.median(got), min(got), max(got))))
        for threads, got in rates.items()
    ]
    rounds = f"{options.rounds} rounds of {options.answers} answers, on this disk."
    about = f"{machine('datatrove')} {rounds}"
    REPORT.write_text(f"{beginning('The file of answers', about)}\n{table(HEADER, rows)}\n")
    print(REPORT.read_text())


if __name__ == "__main__":
    main()
