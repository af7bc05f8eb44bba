"""The commands ``rna-qa sample`` and ``rna-qa precision``: a data set judged by a reader."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rnagpt.cli.values import add_seed, positive

SAMPLE_DESCRIPTION = """\
Draw claims and questions of a data set that `rna-qa literature` built, for a reader to judge.

SHEET becomes JSON lines. In the first line "judge" says who or what judges; in each other line
"labels" take true or false:
  true       it says what the quote says, in the paper's sense
  about      about this RNA and not another
  specific   says something that is not true of any RNA
  alone      stands without its paper: no dangling "it", no "the study", no "the two groups"
  answered   the question is answered by its answer
and "categories" those that the answer of a question belongs to. The same seed draws the same items
as far as a better builder still writes them; with --labels only those without a label are written.
"""
PRECISION_DESCRIPTION = """\
The precision of a data set, by sheets that a reader has filled, with 95 % intervals (Wilson).

A label belongs to a text with its question, paper and RNA. What the builder now writes otherwise
has none: the figures are those of the data set only where all that is drawn has a label, and only
then does --card write them into README.md and build.json.
"""
EPILOG = """\
examples:
  rna-qa sample OUT sheet.jsonl --count 100 --seed 1
  rna-qa precision OUT sheet.jsonl --card
  rna-qa precision OUT sheet.jsonl --labels-only labels.jsonl     without the papers' words
  rna-qa sample OUT more.jsonl --count 100 --seed 1 --labels labels.jsonl
"""


def add_commands(commands: Any) -> None:
    """Add the two commands to ``rna-qa``; each sets `run`."""
    sample = _add(commands, "sample", "draw claims and questions to be judged", SAMPLE_DESCRIPTION)
    sample.add_argument("sheet", metavar="SHEET", type=Path, help="file that is written")
    sample.add_argument(
        "--count",
        type=positive,
        default=100,
        metavar="N",
        help="claims, and as many questions (default: %(default)s)",
    )
    add_seed(sample)
    sample.add_argument(
        "--labels",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="leave out what has a label there (may be given again)",
    )
    sample.add_argument(
        "--leave-out",
        metavar="FILE",
        type=Path,
        help="draw nothing of the quotes whose hashes stand there, one a line: those that were "
        "looked at while the builder was mended",
    )
    sample.set_defaults(run=_run_sample)
    precision = _add(commands, "precision", "precision by what was judged", PRECISION_DESCRIPTION)
    precision.add_argument(
        "sheets", metavar="SHEET", type=Path, nargs="+", help="filled, with texts or without"
    )
    precision.add_argument("--json", action="store_true", help="print one JSON object")
    precision.add_argument(
        "--card", action="store_true", help="write the figures into the data set's card"
    )
    precision.add_argument(
        "--labels-only",
        metavar="FILE",
        type=Path,
        help="write the labels of one sheet without its texts, which are the publishers'",
    )
    precision.set_defaults(run=_run_precision)


def _add(commands: Any, name: str, help: str, description: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help,
        description=description,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("dataset", metavar="OUT", type=Path, help="folder of the data set")
    return parser


def _run_sample(arguments: argparse.Namespace) -> None:
    from rnagpt.rna_qa.literature.judging.samples import draw, read_items, read_sheet, write_sheet

    known = {one.key for file in arguments.labels for one in read_sheet(file).judgements}
    left_out = arguments.leave_out.read_text().split() if arguments.leave_out else ()
    drawn = draw(read_items(arguments.dataset), arguments.count, arguments.seed, {*left_out})
    left = [item for item in drawn if item.key not in known]
    write_sheet(left, arguments.sheet, arguments.count, arguments.seed, {*left_out})
    print(f"{arguments.sheet}: {len(left)} to be judged, of {len(drawn)} drawn")


def _run_precision(arguments: argparse.Namespace) -> None:
    from rnagpt.rna_qa.literature.judging.precision import describe, measure
    from rnagpt.rna_qa.literature.judging.samples import read_items, read_sheet, write_labels

    if arguments.labels_only:
        if len(arguments.sheets) > 1:
            raise ValueError("--labels-only takes the labels of one SHEET")
        write_labels(arguments.sheets[0], arguments.labels_only)
    found = measure(read_items(arguments.dataset), [read_sheet(file) for file in arguments.sheets])
    if arguments.json:
        print(json.dumps(found.as_record(), ensure_ascii=False, indent=2))
    else:
        print("\n".join(describe(found)))
    _report_labels(found.drawn, found.without_label, found.not_drawn)
    if arguments.card:
        _write_card(arguments.dataset, found)


def _report_labels(drawn: int, without_label: int, not_drawn: int) -> None:
    if without_label:
        print(
            f"{without_label} of {drawn} drawn have no label: the figures are of the rest, which a "
            "better builder kept. `rna-qa sample --labels` writes what is to be judged",
            file=sys.stderr,
        )
    if not_drawn:
        print(f"{not_drawn} labels are of what is no longer drawn", file=sys.stderr)


def _write_card(dataset: Path, found: Any) -> None:
    from rnagpt.rna_qa.literature.build.export import write_precision

    if not found.is_whole:
        raise ValueError(
            f"--card needs a label for each of the {found.drawn} drawn; {found.without_label} have "
            "none"
        )
    write_precision(dataset, found.as_record())
    print(f"{dataset / 'README.md'} has the figures")


__all__ = ["add_commands"]
