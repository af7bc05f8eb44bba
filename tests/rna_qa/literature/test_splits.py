"""Splits of the literature build, against connected components that networkx finds."""

from collections import Counter, defaultdict

import networkx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnagpt.rna_qa.literature.build.splits import (
    Member,
    find_leaks,
    group_members,
    split_groups,
)


def make_member(number: int, papers: tuple[int, ...], family: str | None = None) -> Member:
    return Member(f"R{number:03}", "ACGU" * (number + 1), family, papers)


members_and_clusters = st.lists(
    st.tuples(
        st.sets(st.integers(0, 30), min_size=1, max_size=3),
        st.sampled_from([None, None, "RF1", "RF2", "RF3"]),
        st.integers(0, 40),
    ),
    min_size=1,
    max_size=40,
)


@given(members_and_clusters, st.integers(1, 8))
def test_groups_are_the_connected_components(
    drawn: list[tuple[set[int], str | None, int]], hub_papers: int
) -> None:
    members = [
        make_member(number, tuple(sorted(papers)), family)
        for number, (papers, family, _) in enumerate(drawn)
    ]
    clusters = [cluster for *_, cluster in drawn]
    groups, cap = group_members(members, clusters, hub_papers)
    graph = networkx.Graph()
    resting = Counter(paper for member in members for paper in member.papers)
    for number, (member, cluster) in enumerate(zip(members, clusters, strict=True)):
        graph.add_edge(number, ("cluster", cluster))
        graph.add_edge(number, ("papers", member.papers))
        if member.family:
            graph.add_edge(number, ("family", member.family))
        for paper in member.papers:
            if resting[paper] <= cap:
                graph.add_edge(number, ("paper", paper))
    for component in networkx.connected_components(graph):
        assert len({groups[node] for node in component if isinstance(node, int)}) == 1
    assert len(set(groups)) == networkx.number_connected_components(graph)
    assert cap <= hub_papers
    largest = max(Counter(groups).values())
    assert cap == 1 or largest <= len(members) / 2


def test_papers_of_many_tie_nothing() -> None:
    members = [make_member(number, (number, 99)) for number in range(12)]
    groups, cap = group_members(members, list(range(12)), hub_papers=10)
    assert (len(set(groups)), cap) == (12, 10)
    pairs = [make_member(number, (number, 50 + number // 2)) for number in range(12)]
    groups, _ = group_members(pairs, list(range(12)), hub_papers=10)
    assert groups == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_the_bound_falls_where_most_hang_together() -> None:
    chain = [make_member(number, (number, number + 1)) for number in range(12)]
    groups, cap = group_members(chain, list(range(12)), hub_papers=10)
    assert (len(set(groups)), cap) == (12, 1)


@pytest.mark.parametrize("seed", range(5))
def test_shares_hold_and_groups_stay_whole(seed: int) -> None:
    members = [make_member(number, (number,)) for number in range(200)]
    groups = [number // 4 for number in range(200)]
    splits = split_groups(members, groups, seed, test=0.1, validation=0.06)
    assert Counter(splits) == {"train": 168, "test": 20, "validation": 12}
    where = defaultdict(set)
    for group, split in zip(groups, splits, strict=True):
        where[group].add(split)
    assert all(len(found) == 1 for found in where.values())


def test_another_seed_draws_others() -> None:
    members = [make_member(number, (number,)) for number in range(100)]
    groups = list(range(100))
    drawn = {tuple(split_groups(members, groups, seed, 0.1, 0.1)) for seed in range(5)}
    assert len(drawn) == 5


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([5], {"train": 5}),
        ([9, 1], {"train": 9, "test": 1}),
        ([6, 5, 4], {"train": 6, "validation": 5, "test": 4}),
    ],
)
def test_few_groups(sizes: list[int], expected: dict[str, int]) -> None:
    """Training keeps a group at all events; each other split gets the smallest left, if any."""
    groups = [group for group, size in enumerate(sizes) for _ in range(size)]
    members = [make_member(number, (number,)) for number in range(len(groups))]
    assert Counter(split_groups(members, groups, 0, 0.06, 0.03)) == expected


def test_leaks_are_found() -> None:
    members = [make_member(0, (1,), "RF1"), make_member(1, (1,), "RF1"), make_member(2, (2,))]
    assert find_leaks(members, [0, 1, 2], ["train", "train", "test"]) == []
    leaks = find_leaks(members, [0, 0, 2], ["train", "test", "test"])
    assert [leak.split()[0] for leak in leaks] == ["cluster", "papers", "family"]
