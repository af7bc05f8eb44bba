"""Searches of RNAs in a reference, one at a time, of which the last ones are remembered."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
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
# nt: a search of no more takes one window of most profiles, and need not wait for longer ones.
SHORT = 10_000
# RNAs whose evidence is kept, so that the next turn of a conversation searches nothing again.
REMEMBERED = 256


class _SearchThread:
    """Runs searches in one thread; those of short RNAs between two windows of a long one's too.

    One thread: pyhmmer's profiles, and the files of single RNAs, serve one search at a time.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "search")
        self._short: deque[Callable[[], None]] = deque()

    async def run(
        self, search: Callable[[threading.Event], _T], gone: threading.Event, *, is_short: bool
    ) -> _T:
        """What comes of a search."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[_T] = loop.create_future()

        def tell(deliver: Callable[[], None]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(lambda: None if found.done() else deliver())

        def work() -> None:
            try:
                result = search(gone)
            except BaseException as error:
                # Bound, and no local variable: that and the traceback would keep each other.
                tell(partial(found.set_exception, error))
            else:
                tell(partial(found.set_result, result))

        if is_short:
            self._short.append(work)
            self._pool.submit(self._run_one_short)
        else:
            self._pool.submit(work)
        return await found

    def run_short(self) -> None:
        """Within a search, where nothing of it is under way: run the short ones that wait."""
        for _ in range(len(self._short)):  # those that come meanwhile wait for the next window
            self._run_one_short()

    def _run_one_short(self) -> None:
        try:
            work = self._short.popleft()
        except IndexError:
            return  # it was run within a long one
        work()


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
        self._thread = _SearchThread()
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
        (found,) = await self._each([rna], lambda one: len(one.sequence), self._search)
        return found

    async def annotate(self, records: Sequence[FastaRecord], evalue: float) -> list[SearchResult]:
        """The hits of each record, as `rnagpt.reference.annotate.annotate` has them.

        Other requests' searches run between those of these records, short ones between the windows
        of a long one too; what nobody awaits is stopped.

        Args:
            records: each an RNA or not.
            evalue: hits of a larger E-value are left out.

        Raises:
            EngineOverloadedError: too many searches wait.
        """

        def search(record: FastaRecord, gone: threading.Event) -> SearchResult:
            stop = self._between_windows(len(record.sequence), gone)
            (result,) = annotate([record], self.reference, evalue=evalue, stop=stop)
            if not (result.error or result.note):
                self._metrics.searches.inc()
            return result

        return await self._each(records, lambda record: len(record.sequence), search)

    async def _each(
        self,
        rnas: Sequence[_Rna],
        length: Callable[[_Rna], int],
        search: Callable[[_Rna, threading.Event], _T],
    ) -> list[_T]:
        """What comes of one request's searches, one after the other."""
        if self.waiting > self._max_waiting:
            raise EngineOverloadedError(f"{self.waiting} searches wait already.")
        gone = threading.Event()
        self.waiting += 1
        try:
            return [
                await self._thread.run(partial(search, rna), gone, is_short=length(rna) <= SHORT)
                for rna in rnas
            ]
        finally:
            gone.set()
            self.waiting -= 1

    def _search(self, rna: CleanedRna, gone: threading.Event) -> Evidence:
        # Another request may have brought the same RNA meanwhile.
        if (known := self._remembered(rna.sequence)) is not None:
            return known
        stop = self._between_windows(len(rna.sequence), gone)
        found = search_rna(rna, self.reference, "", stop=stop)
        self._metrics.searches.inc()
        with self._lock:
            self._found[rna.sequence] = found
            if len(self._found) > REMEMBERED:
                self._found.popitem(last=False)
        return found

    def _between_windows(self, length: int, gone: threading.Event) -> Callable[[], bool]:
        """What a search asks before each window: whether it ends. A long one lets short ones by."""

        def stop() -> bool:
            if length > SHORT:
                self._thread.run_short()
            return gone.is_set()

        return stop

    def _remembered(self, sequence: str) -> Evidence | None:
        with self._lock:
            if sequence in self._found:
                self._found.move_to_end(sequence)
            return self._found.get(sequence)


__all__ = ["REMEMBERED", "Searches"]
