"""The command `rnagpt pretrain-encoder`, whose options are those of transformers' trainers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rnagpt.cli.exit_codes import DONE, REJECTED
from rnagpt.cli.spelling import check_spelling

if TYPE_CHECKING:
    from transformers import TrainingArguments
    from trl import TrlParser

    from rnagpt.training.encoder.arguments import EncoderArguments

USAGE = "rnagpt pretrain-encoder [-h] [--config FILE] [OPTIONS] OUT"
HELP = """\
Pre-train an RNA encoder. OUT receives it as a folder for `rnagpt compose`, with the record of its
training.

Options are the fields of `EncoderArguments` and of transformers' `TrainingArguments`: in
kebab-case on the command line (--max-steps), spelled as the fields in a YAML file (--config).
`rnagpt pretrain-encoder --help` lists all of them."""
EXAMPLES = """\
examples:
  # masked nucleotides, as RNA-FM was made
  rnagpt pretrain-encoder --config recipes/mini/encoder-masked.yaml --fasta rnas.fasta.gz out/masked
  # the same with single nucleotides, in pieces: this command again goes on
  rnagpt pretrain-encoder --config recipes/mini/encoder-nucleotides.yaml --minutes 60 \\
      --fasta rnas.fasta.gz --dataset-name rna-qa --kept-out test.fasta out/nucleotides
  # the first words of annotations: the table of k-mers first, then the layers above it
  rnagpt pretrain-encoder --config recipes/mini/encoder-table.yaml --dataset-name rna-qa \\
      --language-model mini out/table
  rnagpt pretrain-encoder --config recipes/mini/encoder-words.yaml --dataset-name rna-qa \\
      --language-model mini --encoder out/table out/words"""


def run(words: Sequence[str]) -> int:
    """Train with the options given; the exit code."""
    from rnagpt.training.encoder.pretrain import prepare, train

    try:
        arguments, training_args = parse(words)
        prepared = prepare(arguments, training_args)
    except ValueError as error:
        print(f"rnagpt pretrain-encoder: {error}", file=sys.stderr)
        return REJECTED
    train(arguments, training_args, *prepared)
    return DONE


def parse(words: Sequence[str]) -> tuple[EncoderArguments, TrainingArguments]:
    """Read the options and the YAML file.

    Raises:
        SystemExit: with code 2, for words that are no options, and for old spellings.
        OSError, ValueError: the YAML file cannot be read, or the values do not go together.
    """
    import yaml

    parser = make_parser()
    check_spelling(parser, words)
    if words[-1:] == ["--config"]:  # TRL takes it for granted that a file follows
        parser.error("argument --config: expected one argument")
    try:
        *parsed, given, unknown = parser.parse_args_and_config(
            list(words), return_remaining_strings=True
        )
    except yaml.YAMLError as error:
        raise ValueError(f"The file after --config is not YAML: {error}") from error
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    arguments, training_args = parsed
    training_args.output_dir = given.out
    return arguments, training_args


def make_parser() -> TrlParser:
    """The parser of the options; transformers is imported for it."""
    from transformers import TrainingArguments
    from trl import TrlParser

    from rnagpt.training.encoder.arguments import EncoderArguments

    classes: Any = (EncoderArguments, TrainingArguments)  # no class is of the type that TRL states
    parser = TrlParser(
        classes,
        prog="rnagpt pretrain-encoder",
        usage=USAGE,
        description=HELP,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for action in parser._actions:
        if action.dest == "output_dir":
            action.help = argparse.SUPPRESS  # it is OUT here
    parser.add_argument("out", metavar="OUT", help="folder of the encoder")
    return parser


def make_completed_parser() -> TrlParser:
    """The parser with ``--config`` too, which TRL reads before a parser sees it."""
    parser = make_parser()
    parser.add_argument("--config", metavar="FILE", help="YAML file with options")
    return parser
