"""The option `--print-completion SHELL`: a script that lets a shell complete the command."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

SHELLS = ("bash", "zsh", "fish", "tcsh")
# What a value is, by the name that the help gives it.
FOLDERS = ("DIR", "FOLDER")
FILES = ("FASTA", "FILE", "OUT", "PATH", "PATH_OR_ID", "CM")


class _PrintCompletion(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        print(completion_script(parser, str(values)))
        parser.exit()


def add_print_completion(parser: argparse.ArgumentParser) -> None:
    """Add ``--print-completion`` to the parser of a program."""
    parser.add_argument(
        "--print-completion",
        action=_PrintCompletion,
        choices=SHELLS,
        metavar="SHELL",
        default=argparse.SUPPRESS,
        help=f"print the completion script of a shell ({', '.join(SHELLS)}) and leave",
    )


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script of one of `SHELLS`; commands, options and their choices, files and folders."""
    import shtab

    for action in _actions(parser):
        if action.nargs == 0 or action.choices is not None:
            continue
        words = (action.metavar,) if isinstance(action.metavar, str) else action.metavar or ()
        if any(word in FOLDERS for word in words):
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif action.type is Path or any(word in FILES for word in words):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    return shtab.complete(parser, shell=shell)


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
        else:
            yield action


__all__ = ["SHELLS", "add_print_completion", "completion_script"]
