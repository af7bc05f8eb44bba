"""Publishing models, data sets and Spaces to a Hub, and checking them as a stranger would.

Nothing is imported here: `rnagpt --help` must not wait for torch.
"""


class PublishError(ValueError):
    """What cannot be published, or was not; the message says why, what is there now, what to do."""


__all__ = ["PublishError"]
