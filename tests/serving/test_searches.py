"""Searches of several requests: one at a time, and short ones not behind long ones."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import Mock

import pytest
from helpers.tiny_models import make_rna

from rnagpt.cleaning_rnagpt import clean_rna
from rnagpt.reference.annotate import annotate
from rnagpt.reference.library import Reference
from rnagpt.sequences.fasta import FastaRecord
from rnagpt.serving.metrics import Metrics
from rnagpt.serving.searches import SHORT, Searches

TRNA = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"
LONG = make_rna(SHORT + 6_000, 1) + TRNA + make_rna(4_000, 2)


@pytest.mark.parametrize("kind", ["find", "annotate"])
def test_short_ones_are_searched_between_the_windows_of_a_long_one(
    kind: str, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches = Searches(reference, 10, Metrics(Mock(running=0, waiting=0)))
    begun = asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []
    scan = Reference.scan
    scanned: list[int] = []

    def noted(
        self: Reference, letters: str, window: Any, length: int, *rest: Any, **more: Any
    ) -> Any:
        scanned.append(length)
        loops[0].call_soon_threadsafe(begun.set)
        return scan(self, letters, window, length, *rest, **more)

    monkeypatch.setattr(Reference, "scan", noted)

    async def search() -> tuple[Any, list[Any]]:
        loops.append(asyncio.get_running_loop())
        if kind == "find":
            long = asyncio.create_task(searches.find(clean_rna(LONG, max_length=50_000)))
        else:
            records = [FastaRecord("long", "", LONG, 0)]
            long = asyncio.create_task(searches.annotate(records, 1e-3))
        await asyncio.wait_for(begun.wait(), 60)
        shorts = [searches.find(clean_rna(TRNA + end)) for end in "ACG"]
        found = await asyncio.gather(*shorts)
        assert not long.done()
        return await long, found

    of_long, of_shorts = asyncio.run(search())
    for evidence in of_shorts:
        assert evidence.to_dict()[0]["id"] == "RF00005"
    # Between the long one's own windows, whose hits are those of a search alone.
    assert scanned[0] == scanned[-1] == len(LONG)
    assert [length for length in scanned if length < 100]
    monkeypatch.undo()
    (alone,) = annotate([FastaRecord("long", "", LONG, 0)], reference)
    hits = [item.hit for item in of_long.items] if kind == "find" else of_long[0].hits
    assert list(hits) == list(alone.hits)
    assert any(hit.record.id == "RF00005" for hit in hits)
    assert searches.waiting == 0


def test_what_nobody_awaits_ends_and_the_next_is_searched(reference: Reference) -> None:
    searches = Searches(reference, 10, Metrics(Mock(running=0, waiting=0)))

    async def search() -> Any:
        rnas = [clean_rna(LONG, max_length=50_000), clean_rna(TRNA + "AA")]
        tasks = [asyncio.create_task(searches.find(rna)) for rna in rnas]
        await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert searches.waiting == 0
        return await searches.find(clean_rna(TRNA))

    assert asyncio.run(search()).to_dict()[0]["id"] == "RF00005"


def test_an_error_of_a_search_is_that_of_its_request(
    reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches = Searches(reference, 10, Metrics(Mock(running=0, waiting=0)))
    search = Reference.search

    def fail(self: Reference, rna: Any, **options: Any) -> Any:
        if len(rna.sequence) == 80:
            raise MemoryError("too little")
        return search(self, rna, **options)

    monkeypatch.setattr(Reference, "search", fail)

    async def both() -> list[Any]:
        rnas = [clean_rna(make_rna(80)), clean_rna(TRNA)]
        return await asyncio.gather(*map(searches.find, rnas), return_exceptions=True)

    failed, found = asyncio.run(both())
    assert isinstance(failed, MemoryError)
    assert found.to_dict()[0]["id"] == "RF00005"
