"""What evidence in the prompt adds to an answer's time: to an RNA's first question, and its second.

    python benchmarks/evidence_cost.py --dataset rna-qa     # on the mini; writes evidence_cost.md

Each RNA is asked two questions, with its records above them and without, by PyTorch and, where that
is installed, by llama.cpp. An answer's time is that to its first token, and `--tokens` - 1 times
what a token takes: the mini's own answers have other numbers of tokens, and what they say is of no
matter here. The second question finds the RNA and its records read.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import measured
from datasets import load_dataset

from rnagpt.cleaning_rnagpt import CleanedRna, clean_rna
from rnagpt.conversion import DEFAULT_GGUF_TYPE
from rnagpt.conversion.llama_library import is_installed
from rnagpt.conversion.mini import load_bundled
from rnagpt.inference.cited import Request, search_rna
from rnagpt.inference.local_model import LocalModel
from rnagpt.reference.library import Reference

REPORT = Path(__file__).with_suffix(".md")
QUESTIONS = ("What is known about this RNA?", "Which family does it belong to?")
ORDER = ("first", "second")
WITH, WITHOUT = "with evidence", "without"
LONGEST = 600  # nt
MOST_SHARE = 0.15  # of an answer's time
MIN_RNAS = 12  # of a run to publish


@dataclass
class Taken:
    """Seconds of the same question about each RNA.

    Attributes:
        first: to the first token.
        token: of each further one.
        length: tokens of the prompts.
    """

    first: list[float] = field(default_factory=list)
    token: list[float] = field(default_factory=list)
    length: list[int] = field(default_factory=list)

    def answers(self, tokens: int) -> list[float]:
        """Seconds of whole answers of so many tokens."""
        each = statistics.median(self.token)
        return [first + (tokens - 1) * each for first in self.first]


Key = tuple[str, str, str]  # engine, which question, with evidence or without


def main() -> None:
    args = parse_arguments()
    asked, searching = draw(args)
    taken = measure(args, asked)
    text, figures = report(args, taken, searching)
    print(text)
    is_whole = args.rnas >= MIN_RNAS
    measured.write_down(args, text, figures, report=REPORT, is_whole=is_whole)


def parse_arguments() -> argparse.Namespace:
    parser = measured.make_parser(__doc__, dataset=True)
    parser.add_argument("--model", help="folder or Hub id; else rna-gpt-mini")
    parser.add_argument("--rnas", type=int, default=MIN_RNAS, help="that match a record")
    parser.add_argument("--tokens", type=int, default=24, help="of an answer")
    return measured.parse(parser)


def draw(args: argparse.Namespace) -> tuple[list[tuple[CleanedRna, str]], list[float]]:
    """RNAs with their evidence as a prompt has it, and the seconds of each search."""
    reference = Reference.open()
    rows = load_dataset(args.dataset, "annotations", split="test")
    sequences = [sequence for sequence in rows["sequence"] if len(sequence) <= LONGEST]
    random.Random(0).shuffle(sequences)
    reference.prepare()
    asked: list[tuple[CleanedRna, str]] = []
    seconds: list[float] = []
    for sequence in sequences:
        if len(asked) == args.rnas:
            break
        rna, begin = clean_rna(sequence), time.process_time()
        evidence = search_rna(rna, reference, "RNA")
        seconds.append(time.process_time() - begin)
        if evidence.items:
            asked.append((rna, evidence.to_prompt()))
    return asked, seconds


def measure(args: argparse.Namespace, asked: list[tuple[CleanedRna, str]]) -> dict[Key, Taken]:
    """Ask all questions; the ways take turns, RNA by RNA."""
    clock = measured.answering_clock()
    ways = list(open_ways(args.model or str(load_bundled())))
    taken: dict[Key, Taken] = defaultdict(Taken)
    # The first RNA is asked about once more, since what is first done is slow.
    for turn, (rna, evidence) in enumerate([asked[0], *asked]):
        for engine, kind, model in ways:
            for order, question in zip(ORDER, QUESTIONS, strict=True):
                text = f"{evidence}\n\n{question}" if kind == WITH else question
                one = ask(model, Request(rna, text), args.tokens, clock)
                if turn:
                    add(taken[engine, order, kind], *one)
    return taken


def open_ways(folder: str) -> Iterator[tuple[str, str, LocalModel]]:
    """Each engine with a conversation for questions with evidence, and one for those without."""
    engines = {"PyTorch, float32": LocalModel.open(folder)}
    if is_installed():
        name = f"llama.cpp, {DEFAULT_GGUF_TYPE}"
        engines[name] = LocalModel.open(folder, engine="llama.cpp")
    for name, model in engines.items():
        model.load()
        for kind in (WITHOUT, WITH):
            yield name, kind, model.for_conversation()


def ask(
    model: LocalModel, request: Request, tokens: int, clock: Callable[[], float]
) -> tuple[float, list[float], int]:
    """Seconds to the first token and of each further one, and the prompt's tokens."""
    length = model.prompt(0, request.rna.sequence, request.text).length
    begin = clock()
    writing = model.begin(request, tokens, {})
    more = writing.step()
    first = clock() - begin
    each = []
    while more:
        begin = clock()
        more = writing.step()
        if more:
            each.append(clock() - begin)
    writing.words()
    return first, each, length


def add(taken: Taken, first: float, each: list[float], length: int) -> None:
    taken.first.append(first)
    taken.token += each
    taken.length.append(length)


def report(
    args: argparse.Namespace, taken: dict[Key, Taken], searching: list[float]
) -> tuple[str, list[measured.Figure]]:
    lines, figures = [], []
    for engine in dict.fromkeys(engine for engine, _, _ in taken):
        for order in ORDER:
            bare, full = (taken[engine, order, kind] for kind in (WITHOUT, WITH))
            without, whole = (one.answers(args.tokens) for one in (bare, full))
            share = 1 - statistics.median(without) / statistics.median(whole)
            lines.append(
                [
                    engine,
                    order,
                    *(f"{statistics.median(one.length):.0f}" for one in (bare, full)),
                    *(f"{statistics.median(one):.2f} s" for one in (without, whole)),
                    f"{share:.2f}",
                ]
            )
            figures.append(
                measured.compare(
                    f"an answer with evidence, {engine}, {order} question",
                    whole,
                    without,
                    other_name="the same question without evidence",
                    unit="s",
                    target=f"evidence at most {MOST_SHARE} of it",
                )
            )
    packages = ["torch", "transformers", *(["llama-cpp-python"] if is_installed() else [])]
    about = (
        f"{measured.machine(*packages)} {args.rnas} RNAs of at most {LONGEST} nt that match a "
        f"record, medians; answers of {args.tokens} tokens; "
        f"{measured.clock_name(measured.answering_clock())}."
    )
    header = ["engine", "question", "tokens of its prompt", "with evidence", "an answer"]
    table = measured.table([*header, "with evidence", "share of the evidence"], lines)
    said = (
        f"The search itself takes {statistics.median(searching) * 1000:.0f} ms an RNA. RNAs of the "
        "same record share nothing but what stands before the RNA: it stands above its evidence, "
        "as in training, and keys and values of a token depend on all before it."
    )
    text = f"{measured.beginning('What evidence costs', about)}\n{table}\n\n{said}\n"
    return text, figures


if __name__ == "__main__":
    main()
