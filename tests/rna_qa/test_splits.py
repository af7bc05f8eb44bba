"""Splits: properties that every drawing must have, and the leak detector itself."""

from collections import Counter, defaultdict
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnagpt.rna_qa.splits import Member, find_leaks, fraction, split_members


@st.composite
def members(draw: st.DrawFn) -> list[Member]:
    """Families of some types, a few in clans or transcripts, some of them sharing clusters."""
    made = []
    for family in range(draw(st.integers(1, 40))):
        clan = draw(st.sampled_from([None, None, None, "CL1", "CL2"]))
        transcript = draw(st.sampled_from([None, None, None, "XIST"]))
        first = draw(st.integers(0, 60))
        made += [
            Member(
                sequence=f"{family} {number}",
                cluster=first + number % draw(st.integers(1, 4)),
                family=f"RF{family}",
                clan=clan,
                transcript=transcript,
                rna_type=f"type {family % 3}",
            )
            for number in range(draw(st.integers(1, 6)))
        ]
    return made


@settings(max_examples=50)
@given(members(), st.integers(0, 99))
def test_no_drawing_leaks(found: list[Member], seed: int) -> None:
    splits = split_members(found, seed, test=0.3, validation=0.2, families=0.3)
    assert find_leaks(found, splits) == []
    splits_of = defaultdict(set)
    for member, split in zip(found, splits, strict=True):
        splits_of[member.family].add(split)
    # A family is held out whole, or it is trained on.
    for where in splits_of.values():
        assert where == {"test_families"} or "train" in where


@settings(max_examples=50)
@given(members())
def test_the_order_of_rows_does_not_matter(found: list[Member]) -> None:
    forwards = dict(zip([m.sequence for m in found], split_members(found), strict=True))
    renumbered = [replace(m, cluster=1000 - m.cluster) for m in reversed(found)]
    splits = split_members(renumbered)
    assert forwards == dict(zip([m.sequence for m in renumbered], splits, strict=True))


def test_shares_and_types() -> None:
    found = [
        Member(
            f"{family} {number}", family * 10 + number, f"RF{family}", None, None, f"{family % 2}"
        )
        for family in range(400)
        for number in range(10)
    ]
    splits = Counter(split_members(found, seed=1))
    assert splits["test"] == pytest.approx(0.06 * 4000, rel=0.2)
    assert splits["validation"] == pytest.approx(0.03 * 4000, rel=0.3)
    assert splits["test_families"] == 2 * 6 * 10  # 3 % of 200 families, of either type
    held_out = {
        m.rna_type
        for m, split in zip(found, split_members(found, seed=1), strict=True)
        if split == "test_families"
    }
    assert held_out == {"0", "1"}
    assert split_members(found, seed=1) != split_members(found, seed=2)
    assert set(split_members(found, 1, 0, 0, 0)) == {"train"}


def test_leaks_are_found() -> None:
    one = Member("ACGU", 1, "RF1", "CL1", "XIST", "lncRNA")

    def leaks(other: Member, first: str, second: str) -> list[str]:
        return [leak.split(" ")[0] for leak in find_leaks([one, other], [first, second])]

    apart = Member("GGGG", 2, "RF2", None, None, "lncRNA")
    assert leaks(apart, "train", "test") == []
    assert leaks(replace(apart, cluster=1), "train", "test") == ["cluster"]
    assert leaks(replace(apart, sequence="ACGU"), "train", "validation") == ["sequence"]
    assert leaks(replace(apart, family="RF1"), "train", "test") == []
    assert leaks(replace(apart, family="RF1"), "train", "test_families") == ["family"]
    assert leaks(replace(apart, clan="CL1"), "test_families", "test") == ["clan"]
    assert leaks(replace(apart, transcript="XIST"), "test_families", "train") == ["transcript"]


def test_fractions_are_stable_and_spread() -> None:
    # Stored: other values would draw other splits from the same data.
    assert fraction(0, "cluster", "ACGU") == pytest.approx(0.6143583956850831, abs=1e-12)
    values = [fraction(7, number) for number in range(2000)]
    assert sum(values) / 2000 == pytest.approx(0.5, abs=0.03)
    assert fraction(0, "a", "b") != fraction(0, "ab")
