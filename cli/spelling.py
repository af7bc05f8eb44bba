"""Old spellings of options: an error that names the new one."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

# Options of version 0.1 that have another name now, by command.
RENAMED: Mapping[str, Mapping[str, str]] = {"evaluate": {"--ways": "--matching"}}


def check_spelling(command: str, words: Sequence[str], parser: argparse.ArgumentParser) -> None:
    """End with an error where an option has its old spelling, such as `--max_new_tokens`.

    Raises:
        SystemExit: with code 2, as for every option that is not known.
    """
    renamed = RENAMED.get(command, {})
    for word in words:
        if word == "--":
            return
        option = word.partition("=")[0]
        new = renamed.get(option) or option.replace("_", "-")
        if option.startswith("--") and new != option:
            parser.error(f"{option} is called {new} now")


__all__ = ["check_spelling"]
