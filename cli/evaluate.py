"""The command `rnagpt evaluate`."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable
from pathlib import Path

from rnagpt.cli.quiet import add_quiet, quieted
from rnagpt.cli.values import positive, random_seed

HELP = """\
Ask a checkpoint about RNAs of a data set: the paper's tables, controls, baselines and confidence.

OUT receives results.json (every figure with its 95 % interval, settings, versions), tables.md,
tables.csv, rouge.png|svg, semantic.png|svg, risk_coverage.png|svg, samples.md and
predictions.jsonl with all answers. A run that was interrupted, or is repeated with a larger
--limit, asks only what is missing there."""

EXAMPLES = """\
examples:
  # the mini: only RNA-GPT, with controls and baselines, on 1,000 RNAs of the split `test`
  rnagpt mini rna-gpt-mini
  rnagpt evaluate --model rna-gpt-mini --dataset rna-qa out/evaluation
  # the paper's three systems; bfloat16 is faster on GPUs and new CPUs
  rnagpt evaluate --model rna-gpt-mini --dataset rna-qa --dtype bfloat16 \\
      --systems sequence,fusion,rnagpt --language-model mini \\
      --alignment checkpoints/rna-gpt-mini out/systems
  # semantic scores by the paper's embedding models
  rnagpt evaluate --model rna-gpt --dataset rna-qa --language-model LLAMA --alignment STAGE-1 \\
      --systems sequence,fusion,rnagpt --embedding-models bert-base-uncased,\\
microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract,openai:text-embedding-3-large out/paper
  # fit the confidence on the split `validation`, and write it into the checkpoint
  rnagpt evaluate --model rna-gpt-mini --dataset rna-qa --write-calibration out/evaluation"""

# As in `rnagpt.evaluation`, which imports torch: a test compares them.
SYSTEMS = ("sequence", "fusion", "rnagpt")
MATCHING = ("pair", "paper")
USUAL_SPLITS = {"calibration": "validation", "unseen": "test_families"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    add = parser.add_argument
    add("out", metavar="OUT", type=Path, help="folder of the results")
    add("--model", required=True, metavar="MODEL", help="folder or Hub id of an RNA-GPT")
    add("--dataset", required=True, metavar="DATA", help="folder or Hub id of an RNA-QA data set")
    add("--split", default="test", metavar="NAME", help="to draw from (default: %(default)s)")
    about = (
        "of all RNAs of the data set; its training part, built into OUT once, is searched for a "
        "row beside the systems (default: DATA/reference, where there is one)"
    )
    add("--reference", type=Path, metavar="DIR", help=about)
    number = functools.partial(_add_number, parser)
    number("--limit", 1000, "RNAs")
    number("--min-training-rnas", 10, "draw from families with at least N RNAs in train", int)
    number("--control-limit", 500, "ask under the controls about the first N of them")
    number("--seed", 0, "random seed of draws, shuffles and intervals", random_seed)
    _add_systems(parser)
    _add_scores(parser)
    _add_calibration(parser)
    number("--batch-size", 16, "prompts per batch")
    number("--max-new-tokens", 128, "longest answer")
    add(
        "--dtype",
        choices=("float32", "bfloat16", "float16"),
        default="float32",
        help="of weights and computation (default: %(default)s)",
    )
    add_quiet(parser)


def _add_number(
    parser: argparse._ActionsContainer,
    option: str,
    default: int,
    what: str,
    read: Callable[[str], int] = positive,
) -> None:
    about = f"{what} (default: %(default)s)"
    parser.add_argument(option, type=read, default=default, metavar="N", help=about)


def _add_systems(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("systems")
    add = group.add_argument
    add(
        "--systems",
        type=_list_of(SYSTEMS),
        metavar="NAMES",
        default=["rnagpt"],
        help=f"of the paper's systems {', '.join(SYSTEMS)} those to compare, with commas between "
        "them (default: rnagpt)",
    )
    add(
        "--language-model",
        metavar="MODEL",
        help="for sequence and fusion: the language model that the checkpoint was trained from, a "
        "folder, GGUF file or Hub id; 'mini': rna-gpt-mini's",
    )
    add("--alignment", type=Path, metavar="DIR", help="for fusion: output of the alignment stage")
    compared = "systems are compared, and all asked what is known, on the first N of the RNAs drawn"
    _add_number(group, "--compare-limit", 200, compared)


def _add_scores(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("semantic scores").add_argument
    add(
        "--embedding-models",
        type=_list_of(),
        metavar="MODELS",
        default=["minilm"],
        help="minilm (offline), Hub ids such as bert-base-uncased, or openai:NAME for an "
        "OpenAI-compatible service, with commas between them; none: '' (default: minilm)",
    )
    add(
        "--matching",
        type=_list_of(MATCHING),
        metavar="NAMES",
        default=["pair"],
        help="how texts are compared: pair matches the tokens of an answer with those of its "
        "reference (BERTScore); paper matches whole answers with all references (default: pair)",
    )


def _add_calibration(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("calibration")
    for option, split in USUAL_SPLITS.items():
        about = f"default: {split} where the data set has it"
        group.add_argument(f"--{option}-split", metavar="NAME", help=about)
        _add_number(group, f"--{option}-limit", 300, "RNAs")
    group.add_argument(
        "--write-calibration",
        action="store_true",
        help="write the two numbers of the confidence into the config.json of the folder MODEL",
    )


def _list_of(choices: tuple[str, ...] = ()) -> Callable[[str], list[str]]:
    """A reader of words with commas between them."""

    def read(text: str) -> list[str]:
        words = [word.strip() for word in text.split(",") if word.strip()]
        unknown = [word for word in words if choices and word not in choices]
        if unknown or (choices and not words):
            raise argparse.ArgumentTypeError(
                f"invalid choice: {', '.join(unknown) or 'none'} (choose from "
                f"{', '.join(choices)}, with commas between them)"
            )
        return words

    return read


def run(arguments: argparse.Namespace) -> int:
    """Check everything, then ask; the exit code."""
    from rnagpt.evaluation.evaluate import evaluate, prepare

    try:
        with quieted(arguments):
            prepared = prepare(arguments)
    except ValueError as error:
        print(f"rnagpt evaluate: {error}", file=sys.stderr)
        return 2
    with quieted(arguments):
        evaluate(arguments, *prepared)
    return 0
