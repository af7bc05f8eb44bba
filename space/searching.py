"""What RNAs are searched in, and what was found, so that no RNA is searched at every question."""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rnagpt import Hit, Reference
from rnagpt.reference.library import EVALUE, SearchStoppedError

VARIABLE = "RNAGPT_REFERENCE"
NOTHING = "none"
_MAX_KEPT = 256  # RNAs


class RememberingReference(Reference):
    """A reference that keeps what it found for the sequences that were searched last."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        # By sequence and E-value, the one searched longest ago first.
        self._kept: dict[tuple[str, float], list[Hit]] = {}
        # One search at a time: whoever comes with the same RNA finds it searched.
        self._searching = threading.Lock()
        # Who waits for it, so that a long sequence lets others by.
        self._waiting: set[object] = set()

    def search(
        self,
        rna: str | Any,
        *,
        evalue: float = EVALUE,
        stop: Callable[[], bool] = lambda: False,
    ) -> list[Hit]:
        """As `Reference.search`; a sequence that is kept is not searched again.

        Between two windows of a long one, the searches that wait take their turn.
        """
        key = (str(getattr(rna, "sequence", rna)), evalue)
        # Also that a fork of this process (ZeroGPU's) does not wait for a lock that it inherited.
        if (kept := self._kept.get(key)) is not None:
            return list(kept)
        self._take_turn(stop)

        def between_windows() -> bool:
            if self._waiting:
                self._searching.release()
                time.sleep(0.01)  # else this thread would be the first to have it again
                self._searching.acquire()
            return stop()

        try:
            if key not in self._kept:
                self._kept[key] = super().search(rna, evalue=evalue, stop=between_windows)
            if len(self._kept) > _MAX_KEPT:
                del self._kept[next(iter(self._kept))]
            return list(self._kept[key])
        finally:
            self._searching.release()

    def _take_turn(self, stop: Callable[[], bool]) -> None:
        waiting = object()
        self._waiting.add(waiting)
        try:
            while not self._searching.acquire(timeout=0.1):
                if stop():
                    raise SearchStoppedError
        finally:
            self._waiting.discard(waiting)


def reference() -> Reference | None:
    """What `RNAGPT_REFERENCE` names, by default families of Rfam; None: nothing is searched.

    Raises:
        InvalidReferenceError: there is no such folder.
    """
    return _opened(os.environ.get(VARIABLE, "").strip())


@functools.cache
def _opened(name: str) -> Reference | None:
    if name.lower() == NOTHING:
        return None
    return RememberingReference.open(Path(name) if name else None)
