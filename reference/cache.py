"""The folder in the user's cache where what can be made again is kept."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rnagpt.reference import InvalidReferenceError

ABANDONED = 24 * 3600  # seconds after which what a killed process left half made is deleted


def cache_folder() -> Path:
    """`$RNAGPT_CACHE`, else `rnagpt` in `$XDG_CACHE_HOME`, else `~/.cache/rnagpt`."""
    if os.environ.get("RNAGPT_CACHE"):
        return Path(os.environ["RNAGPT_CACHE"]).expanduser().absolute()
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home).expanduser().absolute() / "rnagpt"


def cached(name: str, make: Callable[[Path], None]) -> Path:
    """A folder in the cache, made when it is not there; whole, or not there at all.

    Args:
        name: of the folder; says all that its content depends on.
        make: fills an empty folder, which then takes its place.

    Raises:
        InvalidReferenceError: the cache cannot be written.
    """
    folder = cache_folder() / name
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _delete_abandoned(folder)
        partial = Path(tempfile.mkdtemp(prefix=f"{name}.partial-", dir=folder.parent))
    except OSError as error:
        raise InvalidReferenceError(
            f"The cache {folder.parent} cannot be written ({error.strerror}); set RNAGPT_CACHE to "
            "a folder that can."
        ) from error
    try:
        make(partial)
        # Another process may have made the same one meanwhile; either is as good.
        os.rename(partial, folder)
    except OSError:
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _delete_abandoned(folder: Path) -> None:
    for partial in folder.parent.glob(f"{folder.name}.partial-*"):
        if time.time() - partial.stat().st_mtime > ABANDONED:
            shutil.rmtree(partial, ignore_errors=True)


__all__ = ["cache_folder", "cached"]
