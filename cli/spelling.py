"""Old spellings of commands and options: errors that name the new ones."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping, Sequence
from itertools import dropwhile, islice, takewhile

from rnagpt.cli.evaluate import MATCHING, SYSTEMS

# What version 0.1 called otherwise, by command.
RENAMED: Mapping[str, Mapping[str, str]] = {
    "rnagpt evaluate": {"--ways": "--matching"},
    "rnagpt mini": {"--out": "OUT, without an option: rnagpt mini OUT"},
    "rnagpt pretrain-encoder": {
        "--output-dir": "OUT, without an option: rnagpt pretrain-encoder … OUT"
    },
    "rnagpt publish model": {"--license": "--licence"},
    "rna-qa literature": {"--licenses": "--licences"},
    "rna-qa rfam": {"--random-seed": "--seed"},
}
# Options that took several words, `--systems fusion rnagpt`, and what these may be.
LISTS: Mapping[str, Mapping[str, Collection[str]]] = {
    "rnagpt evaluate": {"--systems": SYSTEMS, "--matching": MATCHING}
}


def check_spelling(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """End with an error where a command or an option has its old spelling.

    These are underscores (`--max_new_tokens`), the scripts of version 0.1 (`evaluate_sft.py`),
    lists without commas, and what is in `RENAMED`. Every other word is left to the parser.

    Raises:
        SystemExit: with code 2, as for everything that a parser rejects.
    """
    parser, rest = _parser_of(parser, words)
    renamed = RENAMED.get(parser.prog, {})
    for word in rest:
        if word == "--":
            return
        option = word.partition("=")[0]
        dashed = option.replace("_", "-")
        known = dashed if dashed in parser._option_string_actions else option
        new = renamed.get(dashed, known)
        if option.startswith("--") and new != option:
            parser.error(f"{option} is now {new}")
    for option, choices in LISTS.get(parser.prog, {}).items():
        _check_list(parser, rest, option, choices)


def _check_list(
    parser: argparse.ArgumentParser, words: Sequence[str], option: str, choices: Collection[str]
) -> None:
    after = dropwhile(lambda word: word != option, words)
    names = list(takewhile(lambda word: word in choices, islice(after, 1, None)))
    if len(names) > 1:
        parser.error(f"a list has commas between its words now: {option} {','.join(names)}")


def _parser_of(
    parser: argparse.ArgumentParser, words: Sequence[str]
) -> tuple[argparse.ArgumentParser, Sequence[str]]:
    """The parser of the command that is called, and the words after the command's name."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction) and words:
            if words[0] in action.choices:
                return _parser_of(action.choices[words[0]], words[1:])
            _check_command(parser, words[0], action.choices)
    return parser, words


def _check_command(
    parser: argparse.ArgumentParser, word: str, commands: Mapping[str, object]
) -> None:
    new = word.removesuffix(".py").replace("_", "-").removesuffix("-sft")
    if new in commands:
        parser.error(f"{word} is now {new}: {parser.prog} {new} --help")
