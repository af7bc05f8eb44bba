"""Ask about five real RNAs: cited answers, and beside them what rna-gpt-mini says from memory.

    make demo
    python examples/demo.py --model ./my-rna-gpt

The RNAs, named by accession and position in the sequence archives, come from five families of Rfam
(CC0), each from a cluster of sequences that training leaves out. The search knows them: they are in
the reference that comes with the mini. The mini alone does not, and what it makes up shows.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import shutil
import textwrap
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from transformers.utils import logging

from rnagpt import Reference, answer_questions, clean_rnas, read_fasta
from rnagpt.conversion.mini import load_bundled
from rnagpt.inference.loading import load_model, load_processor

FOLDER = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description="Ask about five real RNAs.")
    parser.add_argument("--model", help="model folder or Hub id (default: rna-gpt-mini)")
    args = parser.parse_args()
    logging.disable_progress_bar()
    name_or_path = args.model or str(load_bundled())

    start = time.monotonic()
    rnas = clean_rnas(read_fasta(FOLDER / "five_rnas.fasta"))
    with open(FOLDER / "five_rnas.tsv", newline="") as file:
        questions = next(csv.reader(file, delimiter="\t"))[2:]

    model, processor = load_model(name_or_path), load_processor(name_or_path)
    ask = partial(answer_questions, model, processor, rnas, questions, max_new_tokens=64)
    num_answers = 0
    both = zip(ask(reference=Reference.open()), ask(), strict=True)
    for name, group in itertools.groupby(both, key=lambda pair: pair[0].name):
        answered = list(group)
        num_answers += len(answered)
        print(f"\n{name}, {answered[0][0].length} nt")
        print_columns(["question", "cited answer", "the mini from memory"], line="─")
        for cited, remembered in answered:
            cut = "" if remembered.complete else " …"
            print_columns([cited.question, cited.answer, remembered.answer + cut])
        for source in {line for cited, _ in answered for line in cited.sources.values()}:
            print(f"  {source}")
    print(f"\n{num_answers} questions in {time.monotonic() - start:.0f} s, loading included.")
    print('Ask about your own: rnagpt chat my.fasta --ask "What is this RNA?"')
    print("Search them, with papers and without a model: rnagpt annotate my.fasta")


def print_columns(cells: Sequence[str], line: str = "") -> None:
    """Print cells side by side, the first half as wide as the others; `line` or a blank below."""
    unit = (min(shutil.get_terminal_size().columns, 120) - 6) // 5
    widths = [unit, 2 * unit, 2 * unit]
    wrapped = [textwrap.wrap(cell, width) for cell, width in zip(cells, widths, strict=True)]
    for row in itertools.zip_longest(*wrapped, fillvalue=""):
        padded = [text.ljust(width) for text, width in zip(row, widths, strict=True)]
        print(("  " + "  ".join(padded)).rstrip())
    print("  " + "  ".join(line * width for width in widths) if line else "", flush=True)


if __name__ == "__main__":
    main()
