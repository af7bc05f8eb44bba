"""The command `rnagpt export-language-model`: an RNA-GPT's language model, for other servers."""

from __future__ import annotations

import argparse
from pathlib import Path

from rnagpt.cli.quiet import add_quiet, quieted

HELP = """\
Write the language model of an RNA-GPT as a folder of its own, with its tokenizer and chat template.

OUT is an ordinary folder of transformers, with the weights as training left them. An unmodified
vLLM serves it, and `rnagpt prompt-embeds` makes the requests that bring it RNAs.
"""
EXAMPLES = """\
examples:
  rnagpt export-language-model ./language-model
  rnagpt export-language-model --model ./my-rna-gpt --dtype bfloat16 ./language-model
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add("out", type=Path, metavar="OUT", help="the folder to write")
    add("--model", metavar="PATH_OR_ID", help="RNA-GPT: folder or Hub id (default: rna-gpt-mini)")
    add(
        "--dtype",
        choices=("float32", "bfloat16", "float16"),
        help="number format of all weights (default: as they are stored)",
    )
    largest = "largest weights file, such as 500MB (default: 5GB)"
    add("--max-shard-size", default="5GB", metavar="SIZE", help=largest)
    add("--overwrite", action="store_true", help="replace OUT if it is there and not empty")
    add_quiet(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; its errors are those that `rnagpt` explains."""
    from rnagpt.conversion.language_model import export_language_model
    from rnagpt.conversion.model_sources import model_folder
    from rnagpt.inference.default_model import resolve_model
    from rnagpt.inference.loading import load_model, load_processor

    with quieted(arguments):
        # Fetched whole, since licence files go with the weights.
        folder = model_folder(resolve_model(arguments.model))
        model = load_model(str(folder), dtype=arguments.dtype or "auto", device_map="cpu")
        export_language_model(
            model,
            load_processor(str(folder)),
            arguments.out,
            source=folder,
            max_shard_size=arguments.max_shard_size,
            overwrite=arguments.overwrite,
        )
    print(arguments.out)
    return 0


__all__ = ["EXAMPLES", "HELP", "add_arguments", "run"]
