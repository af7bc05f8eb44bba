"""Values of options that several commands share: read and checked."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

MAX_SEED = 2**32 - 1  # NumPy's largest; PyTorch takes more


def positive(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, got {text!r}")
    return int(text)


def evalue(text: str) -> float:
    """An E-value, larger than zero."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"an E-value such as 1e-3 is needed, got {text!r}")
    return value


def random_seed(text: str) -> int:
    """A random seed, which every generator in use takes."""
    if not text.isdecimal() or int(text) > MAX_SEED:
        raise argparse.ArgumentTypeError(
            f"the random seed must be a whole number from 0 to {MAX_SEED}, got {text!r}"
        )
    return int(text)


def add_seed(parser: Any, read: Callable[[str], int] = random_seed) -> None:
    """Add ``--seed``, which `read` reads, to a parser or to a group of its arguments."""
    parser.add_argument(
        "--seed", type=read, default=0, metavar="N", help="random seed of all draws (default: 0)"
    )
