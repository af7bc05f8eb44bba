"""Weights: the official RNA-FM checkpoint, an RNA-GPT folder from its parts, the mini.

Nothing is imported here: `rnagpt --help` must not wait for torch.
"""


class WeightsError(ValueError):
    """A weights file or folder that cannot be used; the message says why and how to mend it."""


__all__ = ["WeightsError"]
