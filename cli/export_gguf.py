"""The command `rnagpt export-gguf`: an RNA-GPT's language model, for llama.cpp."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rnagpt.cli.quiet import add_quiet, quieted
from rnagpt.conversion import DEFAULT_GGUF_TYPE, GGUF_TYPES

HELP = """\
Write the language model of an RNA-GPT as one GGUF file, with its tokens and chat template.

OUT is an ordinary file for llama.cpp and what is built on it, with the trained weights in float16,
8 bits (q8_0), 4 bits (q4_1) or float32. Fewer bits are faster, and change more of its words. It
reads no RNAs by itself: `rnagpt chat --engine llama.cpp` brings it those, and makes such a file by
itself where none is named. Where llama.cpp is installed (pip install 'rna-gpt[cpu]'), its own
tokenizer is compared with the model's.
"""
EXAMPLES = """\
examples:
  rnagpt export-gguf rna-gpt.gguf
  rnagpt export-gguf --model ./my-rna-gpt --type q8_0 my-rna-gpt.gguf
  rnagpt chat --engine llama.cpp --model ./my-rna-gpt --engine-option file=my-rna-gpt.gguf
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add("out", type=Path, metavar="OUT", help="the file to write")
    add("--model", metavar="PATH_OR_ID", help="RNA-GPT: folder or Hub id (default: rna-gpt-mini)")
    add(
        "--type",
        choices=GGUF_TYPES,
        default=DEFAULT_GGUF_TYPE,
        help="of the matrices (default: %(default)s)",
    )
    add("--overwrite", action="store_true", help="replace OUT if it is there")
    add_quiet(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; its errors are those that `rnagpt` explains."""
    from rnagpt.conversion.gguf_file import export_gguf
    from rnagpt.inference.default_model import resolve_model
    from rnagpt.inference.loading import load_model, load_processor

    with quieted(arguments):
        name = resolve_model(arguments.model)
        was_checked = export_gguf(
            load_model(name, dtype="auto", device_map="cpu"),
            load_processor(name),
            arguments.out,
            file_type=arguments.type,
            overwrite=arguments.overwrite,
        )
        if not was_checked:
            print(
                "llama.cpp is not installed, so its tokenizer was not compared with the model's.",
                file=sys.stderr,
            )
    print(arguments.out)
    return 0


__all__ = ["EXAMPLES", "HELP", "add_arguments", "run"]
