"""Parser of commands: their files and folders may stand before, between and after the options."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

# Of these the number of words is open, and argparse ends them at the next option.
_OPEN = ("?", "*", "+")


class CommandParser(argparse.ArgumentParser):
    """As argparse's, for a program and its commands, but for the order of files and options.

    argparse takes FASTA and OUT only where both stand side by side when OUT may be missing:
    `rnagpt annotate FASTA --tasks 2 OUT` would be rejected, and so would the merging of references
    that have an option between them.
    """

    _within = False

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """The arguments, and the words that are none.

        Words that "--" stands before are none of options; with them, argparse's own order holds.
        """
        if self._within or not self._is_open() or args is None or "--" in args:
            return super().parse_known_args(args, namespace)
        self._within = True  # what is called here calls this method, with its own arguments
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._within = False

    def _is_open(self) -> bool:
        """Whether it has several positional arguments of which the number of words is open."""
        places = [action for action in self._actions if not action.option_strings]
        return len(places) > 1 and any(action.nargs in _OPEN for action in places)


__all__ = ["CommandParser"]
