"""The command `rnagpt pretrain-encoder`, whose options are those of transformers' trainers."""

from __future__ import annotations

from collections.abc import Sequence

HELP = """\
Pre-train an RNA encoder. Options are fields of `EncoderArguments` and `TrainingArguments`, from the
command line or from a YAML file (--config), spelled as there; --help lists all of them."""


def run(words: Sequence[str]) -> int:
    """Train with the options given; the exit code."""
    from transformers import TrainingArguments
    from trl import TrlParser

    from rnagpt.training.encoder.pretrain import EncoderArguments, main

    parser = TrlParser((EncoderArguments, TrainingArguments), prog="rnagpt pretrain-encoder")
    main(*parser.parse_args_and_config(list(words)))
    return 0


__all__ = ["HELP", "run"]
