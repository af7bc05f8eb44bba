"""Searches of RNAs in a reference, one at a time, of which the last ones are remembered."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

from rnagpt.cleaning_rnagpt import CleanedRna
from rnagpt.evidence.gathering import Evidence
from rnagpt.inference.cited import search_rna
from rnagpt.reference.library import Reference
from rnagpt.serving.engines.base import EngineOverloadedError
from rnagpt.serving.metrics import Metrics

# RNAs whose evidence is kept, so that the next turn of a conversation searches nothing again.
REMEMBERED = 256


class Searches:
    """Finds the evidence about RNAs; to be used in one event loop.

    Args:
        reference: that is searched.
        max_waiting: searches that may wait.
        metrics: counts the searches.

    Attributes:
        waiting: searches that wait, and the one that runs.
    """

    def __init__(self, reference: Reference, max_waiting: int, metrics: Metrics) -> None:
        self._reference, self._max_waiting, self._metrics = reference, max_waiting, metrics
        # One: pyhmmer's profiles, and the files of single RNAs, serve one search at a time.
        self._thread = ThreadPoolExecutor(1, "search")
        self.waiting = 0
        self._found: OrderedDict[str, Evidence] = OrderedDict()
        self._lock = threading.Lock()

    async def find(self, rna: CleanedRna) -> Evidence:
        """The evidence about an RNA, without its name; a search that nobody awaits is stopped.

        Raises:
            EngineOverloadedError: too many searches wait.
        """
        if (known := self._remembered(rna.sequence)) is not None:
            return known
        if self.waiting > self._max_waiting:
            raise EngineOverloadedError(f"{self.waiting} searches wait already.")
        gone = threading.Event()
        self.waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, self._search, rna, gone)
        finally:
            gone.set()
            self.waiting -= 1

    def _search(self, rna: CleanedRna, gone: threading.Event) -> Evidence:
        # Another request may have brought the same RNA meanwhile.
        if (known := self._remembered(rna.sequence)) is not None:
            return known
        found = search_rna(rna, self._reference, "", stop=gone.is_set)
        self._metrics.searches.inc()
        with self._lock:
            self._found[rna.sequence] = found
            if len(self._found) > REMEMBERED:
                self._found.popitem(last=False)
        return found

    def _remembered(self, sequence: str) -> Evidence | None:
        with self._lock:
            if sequence in self._found:
                self._found.move_to_end(sequence)
            return self._found.get(sequence)


__all__ = ["REMEMBERED", "Searches"]
