"""Searches of RNAs in a reference, one at a time, of which the last ones are remembered."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from rnagpt.cleaning_rnagpt import CleanedRna
from rnagpt.evidence.gathering import Evidence
from rnagpt.inference.cited import search_rna
from rnagpt.reference.annotate import SearchResult, annotate
from rnagpt.reference.library import Reference
from rnagpt.sequences.fasta import FastaRecord
from rnagpt.serving.engines.base import EngineOverloadedError
from rnagpt.serving.metrics import Metrics

_Rna = TypeVar("_Rna")
_T = TypeVar("_T")
# RNAs whose evidence is kept, so that the next turn of a conversation searches nothing again.
REMEMBERED = 256


class Searches:
    """Finds the evidence about RNAs; to be used in one event loop.

    Args:
        reference: that is searched.
        max_waiting: searches that may wait.
        metrics: counts the searches.

    Attributes:
        reference: that is searched.
        waiting: requests whose searches wait, and the one whose search runs.
    """

    def __init__(self, reference: Reference, max_waiting: int, metrics: Metrics) -> None:
        self.reference, self._max_waiting, self._metrics = reference, max_waiting, metrics
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
        (found,) = await self._each([rna], self._search)
        return found

    async def annotate(self, records: Sequence[FastaRecord], evalue: float) -> list[SearchResult]:
        """The hits of each record, as `rnagpt.reference.annotate.annotate` has them.

        Other requests' searches run between those of these records; what nobody awaits is stopped.

        Args:
            records: each an RNA or not.
            evalue: hits of a larger E-value are left out.

        Raises:
            EngineOverloadedError: too many searches wait.
        """

        def search(record: FastaRecord, gone: threading.Event) -> SearchResult:
            (result,) = annotate([record], self.reference, evalue=evalue, stop=gone.is_set)
            if not (result.error or result.note):
                self._metrics.searches.inc()
            return result

        return await self._each(records, search)

    async def _each(
        self, rnas: Sequence[_Rna], search: Callable[[_Rna, threading.Event], _T]
    ) -> list[_T]:
        """What comes of one request's searches, one after the other."""
        if self.waiting > self._max_waiting:
            raise EngineOverloadedError(f"{self.waiting} searches wait already.")
        loop, gone = asyncio.get_running_loop(), threading.Event()
        self.waiting += 1
        try:
            return [await loop.run_in_executor(self._thread, search, rna, gone) for rna in rnas]
        finally:
            gone.set()
            self.waiting -= 1

    def _search(self, rna: CleanedRna, gone: threading.Event) -> Evidence:
        # Another request may have brought the same RNA meanwhile.
        if (known := self._remembered(rna.sequence)) is not None:
            return known
        found = search_rna(rna, self.reference, "", stop=gone.is_set)
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
