"""The options of the command line that say what runs a language model on this machine."""

from __future__ import annotations

import argparse
import json
from typing import Any

ENGINES = ("transformers", "llama.cpp")  # of `rnagpt.inference.local_model`, which loads more


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add ``--engine`` and ``--engine-option``."""
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        help="what runs the language model; llama.cpp is faster on a CPU, and needs "
        "pip install 'rna-gpt[cpu]' (default: transformers)",
    )
    parser.add_argument(
        "--engine-option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of llama.cpp: type=f16 (or q8_0, q4_1, f32), threads=N, context=TOKENS, "
        "file=GGUF; may be repeated",
    )


def engine_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options as arguments of `LocalModel.open`.

    Raises:
        ValueError: one is no NAME=VALUE, or is given without --engine llama.cpp.
    """
    options = dict(map(named_option, arguments.engine_option))
    engine = arguments.engine or ENGINES[0]
    if options and engine == ENGINES[0]:
        raise ValueError("--engine-option is for --engine llama.cpp; leave it out.")
    return {"engine": engine, "engine_options": options}


def named_option(text: str) -> tuple[str, Any]:
    """A NAME=VALUE; the value as JSON where it is some, so that 2 is a number; else a string.

    Raises:
        ValueError: it is none.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise ValueError(f"--engine-option expects NAME=VALUE, got {text!r}.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


__all__ = ["ENGINES", "add_engine", "engine_of", "named_option"]
