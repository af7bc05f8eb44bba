"""The command `rnagpt evaluate-answers`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rnagpt.cli.quiet import add_quiet, quieted
from rnagpt.cli.shown_command import shown_command
from rnagpt.cli.values import positive, random_seed

HELP = """\
Measure cited answers on a data set that `rna-qa rfam` built: by search alone, and with a model.

Each RNA is asked in a reference of the training split, which holds nothing of its cluster; it is
built into OUT, once. OUT receives answers.md and answers.json."""

EXAMPLES = """\
examples:
  # search alone: the records' own words
  rnagpt evaluate-answers rna-qa out/answers
  # with the words of a model beside them
  rnagpt evaluate-answers rna-qa out/answers --model rna-gpt-mini
  # the numbers of the confidence, fitted without a look at the test splits
  rnagpt evaluate-answers rna-qa out/answers --calibrate"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    add = parser.add_argument
    add("dataset", metavar="DATA", help="folder of a data set with families")
    add("out", metavar="OUT", type=Path, help="folder of the results")
    add("--reference", type=Path, metavar="DIR", help="of all its RNAs (default: DATA/reference)")
    add("--model", metavar="MODEL", help="folder or Hub id of an RNA-GPT, asked beside the search")
    add("--split", default="test", metavar="NAME", help="to draw from (default: %(default)s)")
    about = "RNAs of a group (default: %(default)s)"
    add("--limit", type=positive, default=2000, metavar="N", help=about)
    about = "RNAs of which the whole text is asked (default: %(default)s)"
    add("--known-limit", type=positive, default=200, metavar="N", help=about)
    about = "random seed of the draws (default: %(default)s)"
    add("--seed", type=random_seed, default=0, metavar="N", help=about)
    about = "processes that build profiles (default: %(default)s)"
    add("--jobs", type=positive, default=1, metavar="N", help=about)
    about = "only fit the confidence, on the validation split, and print its numbers"
    add("--calibrate", action="store_true", help=about)
    add_quiet(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, and write the report; the exit code."""
    from rnagpt.evaluation.cited_answers import calibrate, evaluate_answers, report

    out: Path = arguments.out
    reference = arguments.reference or Path(arguments.dataset)
    try:
        if arguments.calibrate:
            with quieted(arguments):
                bias, scale, ceiling = calibrate(
                    arguments.dataset,
                    reference,
                    out,
                    limit=arguments.limit,
                    seed=arguments.seed,
                    jobs=arguments.jobs,
                )
            print(f"BIAS, SCALE, CEILING = {bias:.3f}, {scale:.3f}, {ceiling:.3f}")
            return 0
        with quieted(arguments):
            figures = evaluate_answers(
                arguments.dataset,
                reference,
                out,
                model=arguments.model,
                split=arguments.split,
                limit=arguments.limit,
                known_limit=arguments.known_limit,
                seed=arguments.seed,
                jobs=arguments.jobs,
            )
    except ValueError as error:
        print(f"rnagpt evaluate-answers: {error}", file=sys.stderr)
        return 2
    words = ["rnagpt", "evaluate-answers", arguments.dataset, out, "--limit", arguments.limit]
    words += ["--split", arguments.split] if arguments.split != "test" else []
    words += ["--model", arguments.model] if arguments.model else []
    text = report(figures, shown_command(words))
    (out / "answers.md").write_text(text, encoding="utf-8")
    (out / "answers.json").write_text(f"{json.dumps(figures, indent=2)}\n", encoding="utf-8")
    print(text)
    return 0


__all__ = ["EXAMPLES", "HELP", "add_arguments", "run"]
