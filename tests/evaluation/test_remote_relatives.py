"""Remote relatives: who is asked, how families are ranked, what a recall counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from rnagpt.evaluation.probed_rnas import ProbedRna, Read
from rnagpt.evaluation.remote_relatives import (
    Base,
    Query,
    find_queries,
    probe_relatives,
    rank_by_kmers,
    recalls,
    weak_hits,
)
from rnagpt.reference.library import Reference

RANDOM = np.random.default_rng(0)
TRNA = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"


def made(family: int, clan: str, sequence: str = "") -> ProbedRna:
    letters = sequence or "".join(RANDOM.choice(list("ACGU"), 60))
    return ProbedRna(letters, f"family {family}", "sRNA", clan, accession=f"RF{family:05}")


# Thirty families; the first twelve are of four clans of three.
CLANS = {family: f"CL{family // 3}" if family < 12 else "" for family in range(30)}


@pytest.fixture(scope="module")
def known() -> list[ProbedRna]:
    return [made(family, CLANS[family]) for family in CLANS for _ in range(4)]


@pytest.fixture(scope="module")
def asked() -> list[ProbedRna]:
    return [made(family, CLANS[family]) for family in CLANS for _ in range(7)]


def test_queries_have_relatives_that_no_significant_hit_finds(
    known: list[ProbedRna], asked: list[ProbedRna]
) -> None:
    def weak(sequence: str) -> dict[str, float]:
        # Family 1 is found by relatives' profiles, which are then no news.
        return {"RF00000": 1e-9, "RF00001": 1e-5, "RF00004": 0.5}

    queries = find_queries(asked, known, weak)
    families = [query.rna.accession for query in queries]
    # Of the clan of 0, 1 and 2: 0 has relative 1 with a hit, 1 and 2 have relative 0.
    assert set(families) == {f"RF{n:05}" for n in range(3, 12)}
    assert all(families.count(name) == 2 for name in families)
    assert queries[0].relatives == {
        rna.accession
        for rna in known
        if rna.clan == queries[0].rna.clan and rna.accession != queries[0].rna.accession
    }
    assert all(query.rna.accession not in query.weak for query in queries)


def test_a_clan_with_no_other_family_to_find_is_not_asked(known: list[ProbedRna]) -> None:
    alone = [made(50, "CL9")]
    assert find_queries(alone, [*known, made(50, "CL9")], lambda _: {}) == []


def test_families_are_ranked_by_their_nearest_rna_without_ones_own(known: list[ProbedRna]) -> None:
    base = Base(known)
    likeness = np.zeros(len(known))
    places = {n: [i for i, rna in enumerate(known) if rna.accession == f"RF{n:05}"] for n in CLANS}
    likeness[places[20][3]], likeness[places[7][0]], likeness[places[9][1]] = 3.0, 2.0, 1.0
    assert base.rank(likeness, "RF00020")[:2] == ["RF00007", "RF00009"]
    assert len(base.rank(likeness, "")) == 10
    assert base.rank(np.full(len(known), -np.inf), "") == []


def test_recall_counts_relatives_among_ten() -> None:
    rna = made(0, "CL0")
    few = Query(rna, frozenset({"a", "b"}), {})
    many = Query(rna, frozenset(f"r{n}" for n in range(20)), {})
    ranked = [["x", "a", "y"], [f"r{n}" for n in range(5)]]
    assert recalls(ranked, [few, many]).tolist() == [0.5, 0.5]


def test_shared_8_mers_find_a_relative_and_rank_nobody_without_one(known: list[ProbedRna]) -> None:
    relative = made(40, "CL7")
    query = Query(made(41, "CL7", relative.sequence[:30] + "A" * 30), frozenset({"RF00040"}), {})
    (ranked,) = rank_by_kmers(Base([*known, relative]), [query])
    assert ranked[0] == "RF00040"
    stranger = Query(made(42, "CL7", "ACGU" * 15), frozenset({"RF00040"}), {})
    plain = [made(n, "", "G" * 40) for n in (50, 51)]
    assert rank_by_kmers(Base(plain), [stranger]) == [[]]


def test_a_planted_clan_is_found_and_noise_is_chance(
    known: list[ProbedRna], asked: list[ProbedRna]
) -> None:
    clan_of = {rna.sequence: rna.clan for rna in (*known, *asked)}

    def planted(strength: float) -> Read:
        def read(sequences: Sequence[str]) -> np.ndarray:
            vectors = np.random.default_rng(2).normal(size=(len(sequences), 8))
            for vector, sequence in zip(vectors, sequences, strict=True):
                if clan_of[sequence]:
                    vector[int(clan_of[sequence][2:])] += strength
            return vectors

        return read

    readers = {"the encoder": planted(20.0), "noise": planted(0.0)}
    figure = probe_relatives(readers, known, asked[::2], asked, lambda _: {"RF00003": 5.0})
    assert figure is not None
    recall = {way: scores["recall at 10"].value for way, scores in figure.ways.items()}
    assert recall["nearest by the encoder"] == 1
    # Two relatives among 29 families, ten of which are ranked.
    assert recall["at random"] == pytest.approx(10 / 29, abs=0.15)
    assert recall["nearest by noise"] == pytest.approx(10 / 29, abs=0.15)
    # One weak hit of family 3, which is a relative of 4 and 5 alone.
    assert recall["weak hits of profiles"] == pytest.approx(2 / 12 / 2)
    assert (figure.rnas, figure.families) == (24, 12)
    nobody = probe_relatives(readers, known, [], asked[-3:], lambda _: {})
    assert nobody is None


def test_weak_hits_hold_the_strong_ones_and_more() -> None:
    reference = Reference.open()
    found = weak_hits(reference)(TRNA)
    strong = {hit.record.id: hit.evalue for hit in reference.search(TRNA)}
    assert strong.keys() < found.keys()
    for name, evalue in strong.items():
        assert found[name] == pytest.approx(evalue, rel=1e-3)
    assert max(found.values()) > 1
    assert weak_hits(reference)("ACGU") == {}
