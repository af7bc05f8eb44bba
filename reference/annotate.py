"""Annotating many sequences: streamed, in order, by one process or several."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from rnagpt.cleaning_rnagpt import CleanedRna, RnaSequenceError
from rnagpt.reference.hits import Hit
from rnagpt.reference.library import (
    EVALUE,
    MAX_LENGTH,
    Reference,
    SearchStoppedError,
    TooShortError,
    check_length,
)
from rnagpt.reference.profiles import Match, Window
from rnagpt.sequences.fasta import FastaRecord, clean_rnas

if TYPE_CHECKING:
    from rnagpt.reference.infernal import Verifier

_Task = TypeVar("_Task")
_Done = TypeVar("_Done")
BATCH = 8_000  # nt that a process is handed at once
AHEAD = 4  # batches per process that wait for it


@dataclass(frozen=True)
class SearchResult:
    """What the search found in one sequence.

    Attributes:
        name: of the record.
        length: in nt.
        changes: what was changed before the search, such as "T read as U", in words.
        hits: the best first.
        note: why there was no search, such as "12 nt are too short", or which candidates were not
            verified; empty else.
        error: of a record that is no RNA; empty else.
        unverified: of each hit and candidate that Infernal was asked about in vain, its family and
            why; `verified` of the hits says so too.
    """

    name: str
    length: int
    changes: tuple[str, ...] = ()
    hits: tuple[Hit, ...] = ()
    note: str = ""
    error: RnaSequenceError | None = None
    unverified: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The result as `rnagpt annotate --format json` writes it."""
        values: dict[str, Any] = {
            "name": self.name,
            "length": self.length,
            "changes": list(self.changes),
            "hits": [hit.to_dict() for hit in self.hits],
        }
        if self.note:
            values["note"] = self.note
        if self.error:
            values["error"] = str(self.error)
        return values


class _Part(NamedTuple):
    """A window of a record to be searched; `window` is None for a record that is not searched.

    `share` is what it adds to the windows before it, in nt.
    """

    number: int
    result: SearchResult
    letters: str = ""
    window: Window | None = None
    share: int = 0


class _Settings(NamedTuple):
    """What the processes that search need to know.

    Attributes:
        evalue: matches of a larger E-value are left out.
        sensitive: as in `ProfileLibrary.scan`.
    """

    evalue: float
    sensitive: bool = False


class _Watch(NamedTuple):
    """Who watches a search: `stop` ends it, `searched` is told how far it is."""

    stop: Callable[[], bool]
    searched: Callable[[int], object]


class _Record(NamedTuple):
    """A searched record.

    Attributes:
        result: without hits.
        matches: of all of its windows.
        parts: the windows; one without letters where it was not searched.
    """

    result: SearchResult
    matches: list[Match]
    parts: list[_Part]


def annotate(
    rnas: Iterable[Any],
    reference: Reference | str | Path | None = None,
    *,
    evalue: float = EVALUE,
    jobs: int = 1,
    verify: Verifier | None = None,
    stop: Callable[[], bool] = lambda: False,
    searched: Callable[[int], object] = lambda nt: None,
) -> Iterator[SearchResult]:
    """What is known of RNAs: the families and RNAs of a reference that they match.

    Args:
        rnas: records of `read_fasta`, texts, and what else `clean_rna` takes; each up to
            `MAX_LENGTH` nt. They are read one by one.
        reference: an open one, or its folder; None: the one that comes with rna-gpt-mini.
        evalue: hits of a larger E-value are left out.
        jobs: processes that search; with `verify` as many of Infernal's run at once too.
        verify: asks Infernal about every hit. Weaker candidates (E-values up to `LOOSE_EVALUE`, the
            best `MAX_CANDIDATES` of a record) that reach their family's gathering cut-off are hits
            too, of the source `COVARIANCE_MODEL`. Where Infernal fails, the hit says why.
        stop: asked before each window: whether the search ends here.
        searched: called after each window with the nt that this was of the work: a record's windows
            together make up its length. The last of a record come before its result.

    Yields:
        One result per RNA, in order; one with `error` for what is no RNA.

    Raises:
        InvalidReferenceError: the reference cannot be read.
        SearchStoppedError: `stop` said so.
        ValueError: for an E-value or a number of processes that is not positive.
    """
    if not evalue > 0 or jobs < 1:
        raise ValueError(f"evalue and jobs are positive, not {evalue} and {jobs}")
    opened = reference if isinstance(reference, Reference) else Reference.open(reference)
    watch = _Watch(stop, searched)
    if verify is not None:
        yield from _verified(rnas, opened, evalue, jobs, verify, watch)
        return
    for record in _searched(rnas, opened, _Settings(evalue), jobs, watch):
        yield replace(record.result, hits=tuple(opened.hits(record.matches, record.result.length)))


def _searched(
    rnas: Iterable[Any],
    reference: Reference,
    settings: _Settings,
    jobs: int,
    watch: _Watch,
) -> Iterator[_Record]:
    parts = _until(watch.stop, _parts(rnas, reference))
    scanned = _counted(_scanned(parts, reference, settings, jobs), watch.searched)
    for _, found in groupby(scanned, lambda one: one[0].number):
        pieces = list(found)
        matches = [match for _, matches in pieces for match in matches]
        yield _Record(pieces[0][0].result, matches, [part for part, _ in pieces])


def _until(stop: Callable[[], bool], parts: Iterable[_Part]) -> Iterator[_Part]:
    for part in parts:
        if stop():
            raise SearchStoppedError
        yield part


def _counted(
    scanned: Iterable[tuple[_Part, list[Match]]], searched: Callable[[int], object]
) -> Iterator[tuple[_Part, list[Match]]]:
    for part, matches in scanned:
        searched(part.share)
        yield part, matches


def _joined(parts: list[_Part]) -> str:
    """The sequence of which these are the windows, some of them several times."""
    pieces: list[str] = []
    size = 0
    for part in parts:
        if part.window is not None and part.window.end > size:
            pieces.append(part.letters[size - part.window.start :])
            size = part.window.end
    return "".join(pieces)


def _verified(
    rnas: Iterable[Any],
    reference: Reference,
    evalue: float,
    jobs: int,
    verifier: Verifier,
    watch: _Watch,
) -> Iterator[SearchResult]:
    """As `annotate`, with what Infernal says; its programs are waited for by threads."""
    settings = _Settings(max(evalue, verifier.evalue), sensitive=True)
    records = _searched(rnas, reference, settings, jobs, watch)
    if jobs == 1:
        for record in records:
            yield _review(record, reference, evalue, verifier, map)
        return
    # Two pools: a record's task waits for those of its hits.
    with ThreadPoolExecutor(jobs) as reviews, ThreadPoolExecutor(jobs) as runs:

        def work(record: _Record) -> SearchResult:
            return _review(record, reference, evalue, verifier, runs.map)

        for _, result in _in_order(reviews, work, records, AHEAD * jobs):
            yield result


def _review(
    record: _Record, reference: Reference, evalue: float, verifier: Verifier, each: Any
) -> SearchResult:
    length = record.result.length
    standing = reference.hits(record.matches, length, evalue=evalue)
    known = {(hit.record.id, hit.start, hit.end, hit.strand) for hit in standing}
    weaker = [
        hit
        for hit in reference.hits(record.matches, length, clans=False)
        if (hit.record.id, hit.start, hit.end, hit.strand) not in known
    ]
    review = verifier.review(standing, weaker, _joined(record.parts), reference, each)
    return replace(
        record.result,
        hits=tuple(review.hits),
        note=record.result.note or review.note,
        unverified=review.unverified,
    )


def _parts(rnas: Iterable[Any], reference: Reference) -> Iterator[_Part]:
    for number, rna in enumerate(rnas, start=1):
        given = rna.name if isinstance(rna, CleanedRna | FastaRecord) else ""
        name = given or f"record_{number}"
        try:
            cleaned = clean_rnas([rna], max_length=MAX_LENGTH)[0]
        except RnaSequenceError as error:
            yield _Part(number, SearchResult(name, 0, error=error))
            continue
        letters = cleaned.sequence
        result = SearchResult(cleaned.name or name, len(letters), tuple(cleaned.changes))
        try:
            check_length(cleaned)
        except TooShortError as error:
            yield _Part(number, replace(result, note=str(error)))
            continue
        before = 0
        for window in reference.windows(len(letters)):
            # Without what it shares with the one before.
            share = window.end - before
            before = window.end
            yield _Part(number, result, letters[window.start : window.end], window, share)


def _scanned(
    parts: Iterable[_Part], reference: Reference, settings: _Settings, jobs: int
) -> Iterator[tuple[_Part, list[Match]]]:
    """The matches of each part, in order."""
    if jobs == 1:
        for part in parts:
            yield part, _scan_part(part, reference, settings)
        return
    # Made before the processes, which would each make it else.
    reference.prepare()
    with ProcessPoolExecutor(
        jobs, initializer=_open, initargs=(reference.folder, settings)
    ) as pool:
        for batch, matches in _in_order(pool, _scan_batch, _batches(parts), AHEAD * jobs):
            yield from zip(batch, matches, strict=True)


def _scan_part(part: _Part, reference: Reference, settings: _Settings) -> list[Match]:
    if part.window is None:
        return []
    return reference.scan(
        part.letters,
        part.window,
        part.result.length,
        settings.evalue,
        sensitive=settings.sensitive,
    )


def _batches(parts: Iterable[_Part]) -> Iterator[list[_Part]]:
    batch: list[_Part] = []
    size = 0
    for part in parts:
        batch.append(part)
        size += len(part.letters)
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _in_order(
    pool: Executor,
    work: Callable[[_Task], _Done],
    tasks: Iterable[_Task],
    ahead: int,
) -> Iterator[tuple[_Task, _Done]]:
    """Tasks with their results, in order; no more than `ahead` tasks are read in advance."""
    waiting: deque[tuple[_Task, Future[_Done]]] = deque()
    try:
        for task in tasks:
            waiting.append((task, pool.submit(work, task)))
            if len(waiting) >= ahead:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        for _, future in waiting:
            future.cancel()


_opened: tuple[Reference, _Settings] | None = None  # of a process of the pool


def _open(folder: Path, settings: _Settings) -> None:
    global _opened
    _opened = Reference.open(folder), settings


def _scan_batch(batch: list[_Part]) -> list[list[Match]]:
    assert _opened is not None
    return [_scan_part(part, *_opened) for part in batch]


__all__ = ["SearchResult", "annotate"]
