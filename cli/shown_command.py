"""The command of a report, as a reader may give it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path


def shown_command(words: Iterable[object]) -> str:
    """A command's words as one line, folders and files by their last name only.

    Where they lay on this machine tells a reader nothing.
    """
    return shlex.join(Path(text).name if "/" in text else text for text in map(str, words))


__all__ = ["shown_command"]
