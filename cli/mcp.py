"""The command `rnagpt mcp`: RNA tools for desktop assistants."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnagpt.inference.local_model import LocalModel

HELP = """\
Give an assistant (Claude Desktop, VS Code and others) tools that identify an RNA in hand and answer
questions about it, with citations. Assistants start this command themselves, and talk with it over
standard input and output by the Model Context Protocol. Sequences are searched on this machine;
nothing is sent anywhere by the tools.

Tools: identify_rna, annotate_rna, ask_about_rna, explain_answer. Without --model the answers are
those of `rnagpt chat`; PyTorch is loaded only when a model's own words are needed.
"""
EXAMPLES = """\
examples:
  rnagpt mcp                                     # what an assistant's configuration names
  rnagpt mcp --reference ./my-reference          # what `rnagpt reference` or `rna-qa` wrote
  rnagpt mcp --no-model                          # the records' own words alone, never a model's

In the assistant's configuration, under "mcpServers":
  "rna-gpt": {"command": "rnagpt", "args": ["mcp"]}

exit codes: 0 the assistant went away, 2 rejected (the reason is on standard error), 130 stopped by
Ctrl-C
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options, without importing torch."""
    add = parser.add_argument
    add(
        "--reference",
        metavar="DIR",
        help="what RNAs are searched in (default: the families of Rfam that rna-gpt-mini has)",
    )
    add("--model", metavar="PATH_OR_ID", help="model folder or Hub id (default: rna-gpt-mini)")
    add("--no-model", action="store_true", help="answer in the records' own words alone")


def run(arguments: argparse.Namespace) -> int:
    """Serve until the assistant goes away; the exit code."""
    try:
        return _serve(arguments)
    except ValueError as error:
        print(f"rnagpt mcp: {error}", file=sys.stderr)
        return 2


def _serve(arguments: argparse.Namespace) -> int:
    if arguments.model is not None and arguments.no_model:
        raise ValueError("--model and --no-model contradict each other; give one of them.")
    try:
        from rnagpt.serving.mcp_server import RnaTools, make_server, serve_stdio
    except ImportError as error:
        raise ValueError(
            f"The MCP server needs {error.name}: pip install 'rna-gpt[mcp]'."
        ) from error
    from rnagpt.reference.library import Reference

    tools = RnaTools(Reference.open(arguments.reference), _language_model(arguments))
    # A thread waits for standard input, which no cancellation ends.
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    serve_stdio(make_server(tools))
    return 0


def _language_model(arguments: argparse.Namespace) -> LocalModel:
    """What writes where records do not; loaded when it is first needed."""
    from rnagpt.inference.local_model import LocalModel

    if arguments.no_model:
        return LocalModel(_no_model, _no_model, reads_evidence=False, reads_rnas=False)
    return LocalModel.open(arguments.model, quiet=True)


def _no_model() -> Any:
    raise AssertionError("A model that reads nothing is never asked.")


__all__ = ["EXAMPLES", "HELP", "add_arguments", "run"]
