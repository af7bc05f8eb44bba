"""The option `--quiet`: no progress and no remarks on standard error."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any, TextIO


def add_quiet(parser: Any) -> None:
    """Add ``--quiet`` to a parser, or to a group of its arguments."""
    parser.add_argument(
        "--quiet", action="store_true", help="no progress and no remarks; errors are still shown"
    )


@contextlib.contextmanager
def quieted(arguments: argparse.Namespace) -> Iterator[None]:
    """Silence standard error with ``--quiet``, except for Python's warnings.

    An error that leaves the context is an exception: whoever catches it has standard error again.
    """
    if not arguments.quiet:
        yield
        return
    shown, show = sys.stderr, warnings.showwarning
    # Never closed: handlers of loggers may keep it.
    nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115

    def show_still(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        show(message, category, filename, lineno, file or shown, line)

    with contextlib.redirect_stderr(nowhere):
        warnings.showwarning = show_still
        try:
            yield
        finally:
            warnings.showwarning = show
