"""Unusable answers in a row: a run that only costs money stops, and can be resumed."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rnagpt.rna_qa.literature.llm.language_model import NothingUsable, RequestFailed
from rnagpt.rna_qa.literature.llm.request_cache import RequestCache

STOP_AFTER = 20
# What a run that was stopped so asks again before anything else, one by one.
PROBES = 3


class Failures:
    """Counts unusable answers that came in a row, for the same reason.

    At `stop_after` of them the run stops, and they are set aside: the next run asks for them again
    when it needs them, the first few one at a time, and stops at once where they fail as well.

    Args:
        stop_after: 0 for never.
        explain: Says of a reason to stop what to do about it.
    """

    def __init__(
        self,
        cache: RequestCache,
        stop_after: int = STOP_AFTER,
        explain: Callable[[str, RequestFailed], str] = lambda reason, failure: reason,
    ) -> None:
        self._cache = cache
        self._explain = explain
        self._stop_after = stop_after
        self._lock = threading.RLock()
        self._keys: list[str] = []
        self._reason = ""
        self._stopped: str | None = None
        self._is_probing = bool(stop_after) and cache.has_set_aside()

    def turn(self) -> AbstractContextManager[Any]:
        """Holds requests apart from each other while it is not known whether any is answered."""
        return self._lock if self._is_probing else nullcontext()

    def check(self) -> None:
        """To be called before a request is sent.

        Raises:
            NothingUsable: if the run has stopped, in another thread.
        """
        if self._stopped is not None:
            raise NothingUsable(self._stopped)

    def succeed(self) -> None:
        """Note an answer that can be used."""
        with self._lock:
            self._keys.clear()
            self._is_probing = False

    def fail(self, key: str, failure: RequestFailed) -> None:
        """Note an unusable answer.

        Raises:
            NothingUsable: if it is one too many.
        """
        if not self._stop_after:
            return
        with self._lock:
            reason = _kind(failure)
            if reason != self._reason and not self._is_probing and not self._stopped:
                self._keys.clear()
            self._reason = reason
            self._keys.append(key)
            most = min(PROBES, self._stop_after) if self._is_probing else self._stop_after
            if self._stopped is None and len(self._keys) >= most:
                reason = f"{len(self._keys)} answers in a row are of no use ({failure})"
                self._stopped = self._explain(reason, failure)
            if self._stopped is not None:
                self._cache.set_aside(self._keys)
                raise NothingUsable(self._stopped)


def _kind(failure: RequestFailed) -> str:
    """The reason without what differs from answer to answer."""
    return re.sub(r"\d+", "", str(failure).split(":")[0])


__all__ = ["PROBES", "STOP_AFTER", "Failures"]
