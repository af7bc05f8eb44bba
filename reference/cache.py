"""The folder in the user's cache where what can be made again is kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$RNAGPT_CACHE`, else `rnagpt` in `$XDG_CACHE_HOME`, else `~/.cache/rnagpt`."""
    if os.environ.get("RNAGPT_CACHE"):
        return Path(os.environ["RNAGPT_CACHE"]).expanduser().absolute()
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home).expanduser().absolute() / "rnagpt"


__all__ = ["cache_folder"]
