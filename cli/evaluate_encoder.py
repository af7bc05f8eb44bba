"""The command `rnagpt evaluate-encoder`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rnagpt.cli.quiet import add_quiet, quieted
from rnagpt.cli.shown_command import shown_command
from rnagpt.cli.values import positive, random_seed

HELP = """\
Probe the frozen vectors of an RNA encoder: what a linear layer reads from them.

ENCODER is a folder or Hub id that transformers' AutoModel loads, such as what `rnagpt
convert-rnafm`, `convert-rinalmo` or `convert-ernie-rna` wrote, or `mini` for the one of
rna-gpt-mini. Asked are family and type of RNAs of clusters never seen; of families never seen type,
ontology terms and base pairs; and remote relatives that no profile finds. Beside the encoder stand
random weights, 8-mers, the nearest training RNA, the search, the commonest answer and chance. OUT
receives encoder.md, encoder.json and the references of the training split that are searched, which
take minutes to build, once."""

EXAMPLES = """\
examples:
  rnagpt evaluate-encoder mini rna-qa out/encoder
  # nRC's test set of 13 classes too: FASTA with the class after each name
  rnagpt evaluate-encoder ./rna-fm rna-qa out/rna-fm --nrc nrc_test.fasta
  rnagpt evaluate-encoder ./rinalmo rna-qa out/rinalmo
  # BEACON's tasks of whole sequences alone, from its published files
  rnagpt evaluate-encoder ./rna-fm rna-qa out/beacon --ask '' --beacon data/downstream
  # base pairs alone
  rnagpt evaluate-encoder ./rna-fm rna-qa out/pairs --ask structure"""

# As in `rnagpt.evaluation.encoder_evaluation`, which imports torch: a test compares them.
PARTS = ("families", "types", "terms", "structure", "relatives")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    add = parser.add_argument
    add("encoder", metavar="ENCODER", help="folder or Hub id of an encoder, or mini")
    add("dataset", metavar="DATA", help="folder of a data set that `rna-qa rfam` built")
    add("out", metavar="OUT", type=Path, help="folder of the results")
    # An empty list leaves --nrc and --beacon.
    about = f"what is asked of {', '.join(PARTS)}, with commas between them (default: all)"
    add("--ask", type=_parts, default=list(PARTS), metavar="NAMES", help=about)
    add("--nrc", type=Path, metavar="FASTA", help="nRC's test set, each name followed by its class")
    about = "folder of BEACON's tasks, each with its train.csv, val.csv and test.csv"
    add("--beacon", type=Path, metavar="FOLDER", help=about)
    add("--split", default="test", metavar="NAME", help="RNAs of new clusters (default: test)")
    about = "RNAs of a split that are asked (default: %(default)s)"
    add("--limit", type=positive, default=2000, metavar="N", help=about)
    about = "RNAs that probes are fitted on (default: %(default)s)"
    add("--max-train-rnas", type=positive, default=10_000, metavar="N", help=about)
    about = "RNAs that heads on base pairs are fitted on (default: %(default)s)"
    add("--max-folded-rnas", type=positive, default=800, metavar="N", help=about)
    about = "random seed of the draws (default: %(default)s)"
    add("--seed", type=random_seed, default=0, metavar="N", help=about)
    about = "processes that build profiles and search (default: %(default)s)"
    add("--jobs", type=positive, default=1, metavar="N", help=about)
    add_quiet(parser)


def _parts(text: str) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if unknown := [word for word in words if word not in PARTS]:
        raise argparse.ArgumentTypeError(
            f"invalid choice: {unknown[0]!r} (choose from {', '.join(PARTS)}, with commas)"
        )
    return words


def run(arguments: argparse.Namespace) -> int:
    """Measure, and write the report; the exit code."""
    try:
        return _measure(arguments)
    except ValueError as error:
        print(f"rnagpt evaluate-encoder: {error}", file=sys.stderr)
        return 2


def _measure(arguments: argparse.Namespace) -> int:
    from rnagpt.conversion.mini import CHECKPOINT
    from rnagpt.conversion.rna_encoder import RnaEncoder
    from rnagpt.evaluation.encoder_evaluation import EncoderEvaluation
    from rnagpt.evaluation.encoder_report import write_report
    from rnagpt.evaluation.nrc import read_nrc
    from rnagpt.reference.library import Reference

    source = CHECKPOINT / "encoder" if arguments.encoder == "mini" else arguments.encoder
    with quieted(arguments):
        reference = Reference.open(arguments.dataset)
        evaluation = EncoderEvaluation(
            RnaEncoder.open(source),
            arguments.dataset,
            reference,
            arguments.out,
            nrc=read_nrc(arguments.nrc) if arguments.nrc else [],
            beacon=arguments.beacon,
            split=arguments.split,
            limit=arguments.limit,
            max_train_rnas=arguments.max_train_rnas,
            max_folded_rnas=arguments.max_folded_rnas,
            seed=arguments.seed,
            jobs=arguments.jobs,
        )
        figures = evaluation.measure(arguments.ask)
    words = ["rnagpt", "evaluate-encoder", arguments.encoder, arguments.dataset, arguments.out]
    words += ["--ask", ",".join(arguments.ask)] if arguments.ask != list(PARTS) else []
    words += ["--nrc", arguments.nrc] if arguments.nrc else []
    words += ["--beacon", arguments.beacon] if arguments.beacon else []
    words += ["--split", arguments.split] if arguments.split != "test" else []
    words += ["--limit", arguments.limit] if arguments.limit != 2000 else []
    if arguments.max_train_rnas != 10_000:
        words += ["--max-train-rnas", arguments.max_train_rnas]
    if arguments.max_folded_rnas != 800:
        words += ["--max-folded-rnas", arguments.max_folded_rnas]
    words += ["--seed", arguments.seed] if arguments.seed else []
    text = write_report(figures, shown_command(words), arguments.out, evaluation.notes)
    print(text)
    return 0


__all__ = ["EXAMPLES", "HELP", "add_arguments", "run"]
