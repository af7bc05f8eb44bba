"""The option `--print-completion SHELL`: a script that lets a shell complete the command."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

SHELLS = ("bash", "zsh", "fish", "tcsh")
# What a value is, by the name that the help gives it.
FOLDERS = ("DIR", "FOLDER")
FILES = ("FASTA", "FILE", "OUT", "PATH", "PATH_OR_ID", "CM")


class _PrintCompletion(argparse.Action):
    # By command: the parsers of those that `main` hands their words to.
    whole: Mapping[str, Callable[[], argparse.ArgumentParser]]

    def __init__(self, *args: Any, whole: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.whole = whole

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        for name, make in self.whole.items():
            # A library that warns at its import would warn at every start of a shell.
            logging.disable(logging.WARNING)
            try:
                take_options(commands_of(parser)[name], make())
            except ImportError as error:
                fix = "pip install 'rna-gpt[train]'"
                left_out = f"the options of {name} are left out ({error}); with them: {fix}"
                print(f"{parser.prog}: {left_out}", file=sys.stderr)
            finally:
                logging.disable(logging.NOTSET)
        print(completion_script(parser, str(values)))
        parser.exit()


def add_print_completion(
    parser: argparse.ArgumentParser,
    whole: Mapping[str, Callable[[], argparse.ArgumentParser]] | None = None,
) -> None:
    """Add ``--print-completion`` to the parser of a program.

    Args:
        parser: of the program.
        whole: makes the parsers of commands whose options `parser` does not hold, by name.
    """
    parser.add_argument(
        "--print-completion",
        action=_PrintCompletion,
        whole=whole or {},
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


def commands_of(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    """The parsers of a program's commands, by name."""
    action = next(one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
    return dict(action.choices)


def take_options(command: argparse.ArgumentParser, whole: argparse.ArgumentParser) -> None:
    """Add the arguments of another parser, without the spellings that `check_spelling` rejects."""
    for action in whole._actions:
        if action.dest == "help" or action.help == argparse.SUPPRESS:
            continue
        action.option_strings = [name for name in action.option_strings if "_" not in name]
        command._add_action(action)


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
        else:
            yield action


__all__ = ["SHELLS", "add_print_completion", "commands_of", "completion_script", "take_options"]
