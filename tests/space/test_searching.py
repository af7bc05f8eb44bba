"""Searches of several visitors at once: each right, and a long one lets short ones by."""

from __future__ import annotations

import threading

from helpers.tiny_models import make_rna
from helpers.tiny_space import SPACE, searching

from rnagpt import Hit, Reference, read_fasta

EXAMPLES = list(read_fasta(SPACE / "examples.fasta"))
TRNA, SAM = EXAMPLES[0].sequence, EXAMPLES[2].sequence


def found(hits: list[Hit]) -> list[tuple[str, int, int, float]]:
    return [(hit.record.id, hit.start, hit.end, hit.evalue) for hit in hits]


def test_a_short_search_does_not_wait_for_a_long_ones_end() -> None:
    reference = searching.RememberingReference.open()
    reference.prepare()
    long = make_rna(30_000, 1) + SAM + make_rna(19_000, 2)
    hits: list[Hit] = []
    thread = threading.Thread(target=lambda: hits.extend(reference.search(long)))
    thread.start()
    while not reference._searching.locked():
        pass
    short = [reference.search(sequence) for sequence in (TRNA, SAM)]
    assert thread.is_alive()
    thread.join()
    plain = Reference.open()
    assert [found(one) for one in short] == [found(plain.search(one)) for one in (TRNA, SAM)]
    assert found(hits) == found(plain.search(long))
    assert (hits[0].record.id, hits[0].start) == ("RF00162", 30_001)


def test_many_at_once_find_what_each_finds_alone() -> None:
    reference = searching.RememberingReference.open()
    sequences = [make_rna(13_000, 3) + TRNA, SAM + make_rna(13_000, 4), TRNA, SAM]
    told: dict[str, list[Hit]] = {}

    def search(sequence: str) -> None:
        told[sequence] = reference.search(sequence)

    threads = [threading.Thread(target=search, args=(one,)) for one in sequences * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    plain = Reference.open()
    assert {one: found(hits) for one, hits in told.items()} == {
        one: found(plain.search(one)) for one in sequences
    }
    assert not reference._searching.locked()
