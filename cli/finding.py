"""One line of `rnagpt doctor`: a thing that was looked for, its state, and what to do about it."""

from __future__ import annotations

import importlib.metadata
from dataclasses import asdict, dataclass
from typing import Any

OK, MISSING, BROKEN = "ok", "missing", "broken"
DISTRIBUTION = "rna-gpt"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for.

    Attributes:
        group: such as "programs".
        name: of the thing.
        state: `OK`, `MISSING` (something optional) or `BROKEN` (something that the core needs).
        found: a version, a place or a figure, in words; empty where there is nothing.
        use: what it is for.
        fix: what to do where it is missing or broken.
    """

    group: str
    name: str
    state: str
    found: str = ""
    use: str = ""
    fix: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As `rnagpt doctor --json` gives it."""
        return asdict(self)


def version_of(name: str) -> str | None:
    """The version of a distribution, by its metadata; None where it is not installed."""
    try:
        # None, whatever its type says, where the metadata lacks its file.
        version: str | None = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    return version


def told(error: BaseException) -> str:
    """An error as one line: its type and what it says."""
    return f"{type(error).__name__}: {one_line(str(error))}".rstrip(": ")


def one_line(text: str, letters: int = 300) -> str:
    """A text without line breaks, and cut where it is long, which an ellipsis then says."""
    line = " ".join(text.split())
    return line if len(line) <= letters else f"{line[:letters]} …"


__all__ = [
    "BROKEN",
    "DISTRIBUTION",
    "MISSING",
    "OK",
    "Finding",
    "one_line",
    "told",
    "version_of",
]
