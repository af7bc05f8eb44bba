"""Values of options that several commands share: read and checked."""

from __future__ import annotations

import argparse

MAX_SEED = 2**32 - 1  # NumPy's largest; PyTorch takes more


def positive(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, got {text!r}")
    return int(text)


def random_seed(text: str) -> int:
    """A random seed, which every generator in use takes."""
    if not text.isdecimal() or int(text) > MAX_SEED:
        raise argparse.ArgumentTypeError(
            f"the random seed must be a whole number from 0 to {MAX_SEED}, got {text!r}"
        )
    return int(text)
