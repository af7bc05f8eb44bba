"""The command `rnagpt evaluate-encoder`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rnagpt.cli.quiet import add_quiet, quieted
from rnagpt.cli.shown_command import shown_command
from rnagpt.cli.values import positive, random_seed

HELP = """\
Probe the frozen vectors of an RNA encoder: what a linear layer reads from them.

ENCODER is a folder or Hub id that transformers' AutoModel loads, such as what `rnagpt
convert-rnafm`, `convert-rinalmo` or `convert-ernie-rna` wrote, or `mini` for the one of
rna-gpt-mini. Asked are family and type of RNAs of clusters never seen, and of families never seen
type, ontology terms and clan, each beside the nearest training RNA, the commonest answer and
chance. OUT receives encoder.md and encoder.json."""

EXAMPLES = """\
examples:
  rnagpt evaluate-encoder mini rna-qa out/encoder
  # nRC's test set of 13 classes too: FASTA with the class after each name
  rnagpt evaluate-encoder ./rna-fm rna-qa out/rna-fm --nrc nrc_test.fasta
  rnagpt evaluate-encoder ./rinalmo rna-qa out/rinalmo"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    add = parser.add_argument
    add("encoder", metavar="ENCODER", help="folder or Hub id of an encoder, or mini")
    add("dataset", metavar="DATA", help="folder of a data set that `rna-qa rfam` built")
    add("out", metavar="OUT", type=Path, help="folder of the results")
    add("--nrc", type=Path, metavar="FASTA", help="nRC's test set, each name followed by its class")
    add("--split", default="test", metavar="NAME", help="RNAs of new clusters (default: test)")
    about = "RNAs that probes are fitted on (default: %(default)s)"
    add("--max-train-rnas", type=positive, default=10_000, metavar="N", help=about)
    about = "random seed of the draws (default: %(default)s)"
    add("--seed", type=random_seed, default=0, metavar="N", help=about)
    add_quiet(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, and write the report; the exit code."""
    from rnagpt.conversion.mini import CHECKPOINT
    from rnagpt.conversion.rna_encoder import RnaEncoder
    from rnagpt.evaluation.encoder_probes import probe_encoder, read_nrc
    from rnagpt.evaluation.encoder_report import write_report
    from rnagpt.reference.library import Reference

    source = CHECKPOINT / "encoder" if arguments.encoder == "mini" else arguments.encoder
    with quieted(arguments):
        nrc = read_nrc(arguments.nrc) if arguments.nrc else []
        families = Reference.open(arguments.dataset).families
        figures = probe_encoder(
            RnaEncoder.open(source),
            arguments.dataset,
            families,
            nrc=nrc,
            max_train_rnas=arguments.max_train_rnas,
            split=arguments.split,
            seed=arguments.seed,
        )
    words = ["rnagpt", "evaluate-encoder", arguments.encoder, arguments.dataset, arguments.out]
    words += ["--nrc", arguments.nrc] if arguments.nrc else []
    words += ["--split", arguments.split] if arguments.split != "test" else []
    print(write_report(figures, shown_command(words), arguments.out))
    return 0


__all__ = ["EXAMPLES", "HELP", "add_arguments", "run"]
