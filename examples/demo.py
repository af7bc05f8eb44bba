"""Ask rna-gpt-mini about five real RNAs, and print its answers beside what Rfam says.

    make demo
    python examples/demo.py --model ./my-rna-gpt

The RNAs, named by accession and position in the sequence archives, come from five families of Rfam
(CC0), each from a cluster of sequences that training leaves out. Rfam's side is its description,
its type and a part of its comment, word for word.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import shutil
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

from transformers.utils import logging

from rnagpt import answer_questions, clean_rnas, read_fasta
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
        header, *rows = csv.reader(file, delimiter="\t")
    questions = header[2:]
    rfam = {row[0]: row for row in rows}

    model, processor = load_model(name_or_path), load_processor(name_or_path)
    answers = answer_questions(model, processor, rnas, questions, max_new_tokens=64)
    num_answers = 0
    for name, group in itertools.groupby(answers, key=lambda answer: answer.name):
        answered = list(group)
        num_answers += len(answered)
        _, family, *said = rfam[name]
        print(f"\n{name}, {answered[0].length} nt, Rfam family {family}")
        print_columns(["question", "the model", "Rfam"], line="─")
        for answer, text in zip(answered, said, strict=True):
            cut = "" if answer.complete else " …"
            print_columns([answer.question, answer.answer + cut, text])
    print(f"\n{num_answers} answers in {time.monotonic() - start:.0f} s, loading included.")
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
