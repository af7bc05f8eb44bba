"""Publication of models, data sets and Spaces on a Hub, verified in a clean environment.

Nothing is imported here: `rnagpt --help` must not wait for torch.
"""


class PublishError(ValueError):
    """What cannot be published, or was not; says why, what is on the Hub now, and what to do."""


__all__ = ["PublishError"]
