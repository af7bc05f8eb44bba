"""What is known: families and RNAs that a sequence is searched in, with their records.

Nothing here needs PyTorch or a language model.
"""

from __future__ import annotations


class InvalidReferenceError(ValueError):
    """A reference cannot be read, written or searched; the message says why and what to do."""


__all__ = ["InvalidReferenceError"]
