"""Annotating many sequences: streamed, in order, by one process or several."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from rnagpt.cleaning_rnagpt import CleanedRna, RnaSequenceError
from rnagpt.reference.hits import Hit
from rnagpt.reference.library import EVALUE, MAX_LENGTH, Reference, TooShortError, check_length
from rnagpt.reference.profiles import Match, Window
from rnagpt.sequences.fasta import FastaRecord, clean_rnas

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
        note: why there was no search, such as "12 nt are too short"; empty else.
        error: of a record that is no RNA; empty else.
    """

    name: str
    length: int
    changes: tuple[str, ...] = ()
    hits: tuple[Hit, ...] = ()
    note: str = ""
    error: RnaSequenceError | None = None

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
    """A window of a record to be searched; `window` is None for a record that is not searched."""

    number: int
    result: SearchResult
    letters: str = ""
    window: Window | None = None


def annotate(
    rnas: Iterable[Any],
    reference: Reference | str | Path | None = None,
    *,
    evalue: float = EVALUE,
    jobs: int = 1,
) -> Iterator[SearchResult]:
    """What is known of RNAs: the families and RNAs of a reference that they match.

    Args:
        rnas: records of `read_fasta`, texts, and what else `clean_rna` takes; each up to
            `MAX_LENGTH` nt. They are read one by one.
        reference: an open one, or its folder; None: the one that comes with rna-gpt-mini.
        evalue: hits of a larger E-value are left out.
        jobs: processes that search.

    Yields:
        One result per RNA, in order; one with `error` for what is no RNA.

    Raises:
        InvalidReferenceError: the reference cannot be read.
        ValueError: for an E-value or a number of processes that is not positive.
    """
    if not evalue > 0 or jobs < 1:
        raise ValueError(f"evalue and jobs are positive, not {evalue} and {jobs}")
    opened = reference if isinstance(reference, Reference) else Reference.open(reference)
    parts = _parts(rnas, opened)
    for number, found in groupby(_scanned(parts, opened, evalue, jobs), lambda one: one[0].number):
        del number
        pieces = list(found)
        result = pieces[0][0].result
        if pieces[0][0].window is None:
            yield result
            continue
        matches = [match for _, matches in pieces for match in matches]
        yield replace(result, hits=tuple(opened.hits(matches, result.length)))


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
        for window in reference.windows(len(letters)):
            yield _Part(number, result, letters[window.start : window.end], window)


def _scanned(
    parts: Iterable[_Part], reference: Reference, evalue: float, jobs: int
) -> Iterator[tuple[_Part, list[Match]]]:
    """The matches of each part, in order."""
    if jobs == 1:
        for part in parts:
            yield part, _scan_part(part, reference, evalue)
        return
    # Made before the processes, which would each make it else.
    reference.prepare()
    with ProcessPoolExecutor(jobs, initializer=_open, initargs=(reference.folder, evalue)) as pool:
        for batch, matches in _in_order(pool, _scan_batch, _batches(parts), AHEAD * jobs):
            yield from zip(batch, matches, strict=True)


def _scan_part(part: _Part, reference: Reference, evalue: float) -> list[Match]:
    if part.window is None:
        return []
    return reference.scan(part.letters, part.window, part.result.length, evalue)


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
    pool: ProcessPoolExecutor,
    work: Callable[[list[_Part]], list[list[Match]]],
    batches: Iterable[list[_Part]],
    ahead: int,
) -> Iterator[tuple[list[_Part], list[list[Match]]]]:
    """Results in the order of the batches, of which no more than `ahead` are read in advance."""
    waiting: deque[tuple[list[_Part], Future[list[list[Match]]]]] = deque()
    try:
        for batch in batches:
            waiting.append((batch, pool.submit(work, batch)))
            if len(waiting) >= ahead:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        for _, future in waiting:
            future.cancel()


_opened: tuple[Reference, float] | None = None  # of a process of the pool


def _open(folder: Path, evalue: float) -> None:
    global _opened
    _opened = Reference.open(folder), evalue


def _scan_batch(batch: list[_Part]) -> list[list[Match]]:
    assert _opened is not None
    return [_scan_part(part, *_opened) for part in batch]


__all__ = ["SearchResult", "annotate"]
