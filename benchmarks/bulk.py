"""Bulk questions: `rnagpt chat FASTA --ask QUESTION --json` on more and more RNAs, as a program.

    python benchmarks/bulk.py --dataset rna-qa                # writes bulk.md
    python benchmarks/bulk.py --dataset rna-qa --sizes 100 1000     # only prints it

Answers in the records' words, and the model's own by each engine on as many RNAs as `--most-words`
says: seconds of whole programs, questions and tokens a second beyond the start, and the highest
memory, which is to stay the same however many RNAs there are.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import measured
from datasets import load_dataset

from rnagpt.conversion.llama_library import is_installed
from rnagpt.conversion.mini import load_bundled
from rnagpt.inference.light_prompts import LightPrompts

REPORT = Path(__file__).with_suffix(".md")
SIZES = (100, 1_000, 10_000)
MOST_WORDS = 100  # RNAs about which the model itself is asked
LONGEST = 600  # nt
QUESTION = "What is this RNA?"
RECORDS, PYTORCH, LLAMA = "records' words", "own words, PyTorch", "own words, llama.cpp"
# Memory may grow by this from the fewest RNAs to the most: pages that the C library keeps.
MOST_GROWTH = 1.1


@dataclass(frozen=True)
class Run:
    """A program that has ended.

    Attributes:
        rnas: that it answered about.
        clock, processor: its seconds.
        memory: highest resident, MiB.
        tokens: of its answers.
    """

    rnas: int
    clock: float
    processor: float
    memory: float
    tokens: int


def main() -> None:
    args = parse_arguments()
    sequences = draw(args, max(args.sizes))
    runs: dict[str, list[Run]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for size, (name, options) in itertools.product(sorted(args.sizes), ways().items()):
            if name != RECORDS and size > args.most_words:
                continue
            fasta = write_fasta(Path(folder), sequences[:size])
            runs.setdefault(name, []).append(run(fasta, size, options))
            print(f"{name}: {runs[name][-1]}", file=sys.stderr, flush=True)
    text, figures = report(args, runs)
    print(text)
    is_whole = set(args.sizes) == set(SIZES) and args.most_words >= MOST_WORDS
    measured.write_down(args, text, figures, report=REPORT, is_whole=is_whole)


def parse_arguments() -> argparse.Namespace:
    parser = measured.make_parser(__doc__, dataset=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="RNAs of a run")
    parser.add_argument(
        "--most-words",
        type=int,
        default=MOST_WORDS,
        help="RNAs about which the model is asked at most",
    )
    return measured.parse(parser)


def ways() -> dict[str, list[str]]:
    """Options of the command, by name."""
    own = ["--no-reference", "--max-new-tokens", "32"]
    found = {RECORDS: [], PYTORCH: own}
    if is_installed():
        found[LLAMA] = [*own, "--engine", "llama.cpp"]
    return found


def draw(args: argparse.Namespace, number: int) -> list[str]:
    """So many different RNAs; those of tests first."""
    found: dict[str, None] = {}
    for split in ("test", "validation", "train"):
        rows = list(load_dataset(args.dataset, "annotations", split=split)["sequence"])
        random.Random(0).shuffle(rows)
        found |= dict.fromkeys(row for row in rows if len(row) <= LONGEST)
    if len(found) < number:
        raise SystemExit(
            f"{args.dataset} has {len(found):,} RNAs of at most {LONGEST} nt, and --sizes asks for "
            f"{number:,}; ask for fewer."
        )
    return list(found)[:number]


def write_fasta(folder: Path, sequences: list[str]) -> Path:
    file = folder / f"{len(sequences)}.fasta"
    file.write_text("".join(f">rna{n}\n{one}\n" for n, one in enumerate(sequences)))
    return file


def run(fasta: Path, size: int, options: list[str]) -> Run:
    """The command on a file, in a process of its own.

    Raises:
        RuntimeError: it failed, or has not answered about each RNA.
    """
    command = [sys.executable, "-m", "rnagpt.cli.main", "chat", str(fasta), "--ask", QUESTION]
    with tempfile.TemporaryFile("w+") as out:
        begin = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--json", *options], stdout=out, stderr=subprocess.DEVNULL
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        passed = time.perf_counter() - begin
        out.seek(0)
        answers = [json.loads(line)["answer"] for line in out]
    if process.returncode or len(answers) != size:
        raise RuntimeError(f"{command} ended with {process.returncode} after {len(answers)} lines.")
    tokens = sum(tokens_of(answers))
    return Run(size, passed, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, tokens)


def tokens_of(answers: list[str]) -> Iterator[int]:
    """Tokens of texts, by the mini's tokenizer."""
    prompts = LightPrompts.open(Path(load_bundled()))
    assert prompts is not None
    return (len(prompts.tokenizer.encode(one, add_special_tokens=False).ids) for one in answers)


def report(
    args: argparse.Namespace, runs: dict[str, list[Run]]
) -> tuple[str, list[measured.Figure]]:
    lines, figures = [], []
    for name, of_way in runs.items():
        for one in of_way:
            # The start is the same for all: what the fewest take tells how much it is.
            lines.append(
                [
                    name,
                    f"{one.rnas:,}",
                    f"{one.clock:.1f} s",
                    f"{one.processor:.1f} s",
                    f"{one.rnas / one.processor:.1f}",
                    f"{one.tokens / one.processor:.0f}",
                    f"{one.memory:,.0f} MiB",
                ]
            )
    few, many = runs[RECORDS][0], runs[RECORDS][-1]
    if many is not few:
        figures.append(
            measured.Figure(
                f"bulk questions, memory with {many.rnas:,} RNAs",
                many.memory / 1024,
                few.memory / 1024,
                f"with {few.rnas:,}",
                "GB",
                f"at most {MOST_GROWTH} times",
            )
        )
    each = [one.processor / one.rnas for one in runs[RECORDS]]
    header = ["answers", "RNAs", "seconds", "of the processor", "questions a second of it"]
    table = measured.table([*header, "tokens a second of it", "highest memory"], lines)
    about = (
        f'{measured.machine("torch", "transformers")} "{QUESTION}" of RNAs of at most {LONGEST} '
        "nt; whole programs with their start; the model's own answers have at most 32 tokens."
    )
    said = (
        f"In the records' words a question takes {min(each) * 1000:.0f} to {max(each) * 1000:.0f} "
        f"ms of the processor (median {statistics.median(each) * 1000:.0f}), the start included."
    )
    return f"{measured.beginning('Bulk questions', about)}\n{table}\n\n{said}\n", figures


if __name__ == "__main__":
    main()
