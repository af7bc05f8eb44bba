"""Splits of the literature build: RNAs that share sequence, family or papers stay together."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rnagpt.rna_qa.literature.build.settings import STAGE_VERSIONS, fingerprint
from rnagpt.rna_qa.literature.build.shards import (
    Sidecar,
    read_lines,
    read_sidecar,
    write_shard,
)
from rnagpt.rna_qa.literature.build.stages import Build, read_annotations
from rnagpt.rna_qa.splits import Groups, fraction, in_two_places
from rnagpt.sequences.clustering import cluster_sequences

SPLITS = ("train", "validation", "test")
# Papers tie RNAs together as long as no more than this share of all RNAs is connected.
LARGEST_GROUP = 0.5


@dataclass(frozen=True)
class Member:
    """An RNA with claims: what ties it to others.

    `papers` are numbers of those that its claims rest on.
    """

    id: str
    sequence: str
    family: str | None
    papers: tuple[int, ...]


@dataclass(frozen=True)
class Place:
    """Where an RNA of the data set went."""

    split: str
    cluster: int


def splits_path(work: Path) -> Path:
    return work / "splits" / "00000.jsonl.gz"


def make_splits(build: Build, shards: int) -> Sidecar:
    """Give every RNA with claims its cluster and its split; done once for the same annotations.

    Raises:
        ValueError: if there is no claim at all.
        RuntimeError: if something that must not lies in two splits, or the clustering fails.
    """
    path, made_of = splits_path(build.work), _fingerprint(build, shards)
    if (old := read_sidecar(path)) and old.fingerprint == made_of:
        return old
    options = build.options
    members = read_members(build, shards)
    if not members:
        raise ValueError(
            "no RNA has a claim that stands, so there is nothing to split; `rna-qa status` says "
            "how many RNAs, papers and claims each stage had, and why they were left out"
        )
    unique = sorted({member.sequence for member in members})
    labels, method = cluster_sequences(unique, build.work / "clusters", options.clusters)
    cluster_of = dict(zip(unique, labels, strict=True))
    clusters = [cluster_of[member.sequence] for member in members]
    groups, cap = group_members(members, clusters, options.hub_papers)
    splits = split_groups(members, groups, options.seed, options.test, options.validation)
    if leaks := find_leaks(members, clusters, splits):
        raise RuntimeError(f"the splits leak in {len(leaks):,} places, the first: {leaks[0]}")
    counts = {
        "groups": len(set(groups)),
        "largest group": max(Counter(groups).values(), default=0),
        "paper ties RNAs up to": cap,
        "clusters": len(set(clusters)),
        f"clustering by {method}": 1,
        **{f"rnas in {split}": splits.count(split) for split in SPLITS},
    }
    lines = (
        json.dumps({"id": member.id, "split": split, "cluster": cluster})
        for member, split, cluster in zip(members, splits, clusters, strict=True)
    )
    return write_shard(path, lines, lambda sha256: Sidecar(made_of, sha256, counts))


def read_splits(work: Path) -> Iterator[tuple[str, Place]]:
    """The RNAs with claims, in order of id, each with its place."""
    for line in read_lines(splits_path(work)):
        fields = json.loads(line)
        yield fields["id"], Place(fields["split"], fields["cluster"])


def _fingerprint(build: Build, shards: int) -> str:
    made_of = [
        read_sidecar(build.shard(f"annotate-{mode}", shard))
        for mode in build.options.modes
        for shard in range(shards)
    ]
    used = ("test", "validation", "clusters", "hub_papers", "seed")
    options = {option: getattr(build.options, option) for option in used}
    return fingerprint(
        "splits",
        STAGE_VERSIONS["splits"],
        options,
        [sidecar and sidecar.sha256 for sidecar in made_of],
    )


def read_members(build: Build, shards: int) -> list[Member]:
    """The RNAs with claims in any of the ways of annotating, by id.

    A few hundred bytes each: 400,000 of them take some 200 MB.
    """
    numbers: dict[str, int] = {}
    sequences: dict[str, str] = {}
    members = []
    for shard in range(shards):
        readers = [read_annotations(build.work, mode, shard) for mode in build.options.modes]
        for annotated in zip(*readers, strict=True):
            rna = annotated[0][0]
            papers = {
                numbers.setdefault(paper, len(numbers))
                for _, annotation in annotated
                for claim in annotation.claims
                for paper in claim.papers
            }
            if papers:
                sequence = sequences.setdefault(rna.sequence, rna.sequence)
                members.append(Member(rna.id, sequence, rna.family, tuple(sorted(papers))))
    return members


def group_members(
    members: Sequence[Member], clusters: Sequence[int], hub_papers: int
) -> tuple[list[int], int]:
    """Number the groups of RNAs that are tied together, directly or through others.

    Ties are the cluster (an identical sequence included), the family, the same set of papers, and
    a paper on which `hub_papers` RNAs at most rest. Reviews and screens name many RNAs and would
    tie all into one: where more than half of the RNAs are connected, the bound is halved until
    they do not, or until single papers tie nothing.

    Returns:
        Each member's group, and the bound that was used.
    """
    while True:
        groups = _join(members, clusters, hub_papers)
        largest = max(Counter(groups).values(), default=0)
        if hub_papers == 1 or largest <= LARGEST_GROUP * len(members):
            return groups, hub_papers
        hub_papers //= 2


def _join(members: Sequence[Member], clusters: Sequence[int], hub_papers: int) -> list[int]:
    resting = Counter(paper for member in members for paper in member.papers)
    groups = Groups()
    for number, (member, cluster) in enumerate(zip(members, clusters, strict=True)):
        for tie in _strict_ties(member, cluster):
            groups.join(tie, number)
        for paper in member.papers:
            if 2 <= resting[paper] <= hub_papers:
                groups.join(("paper", paper), number)
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(groups.root(n), len(numbers)) for n in range(len(members))]


def _strict_ties(member: Member, cluster: int) -> Iterator[tuple[str, Hashable]]:
    """What never lies in two splits."""
    yield "cluster", cluster
    yield "papers", member.papers
    if member.family:
        yield "family", member.family


def split_groups(
    members: Sequence[Member], groups: Sequence[int], seed: int, test: float, validation: float
) -> list[str]:
    """Each member's split: whole groups are drawn for test, then for validation.

    A group is taken while it fits into the split's share of the RNAs. A split into which none fits
    gets the smallest that is left, as long as one stays for training.
    """
    sizes = Counter(groups)
    first: dict[int, str] = {}
    for member, group in zip(members, groups, strict=True):
        first[group] = min(member.id, first.get(group, member.id))
    left = sorted(sizes, key=lambda group: fraction(seed, "group", first[group]))
    split_of: dict[int, str] = {}
    for split, share in (("test", test), ("validation", validation)):
        taken = _fill(left, sizes, share * len(members)) if share else []
        split_of.update(dict.fromkeys(taken, split))
        left = [group for group in left if group not in split_of]
    return [split_of.get(group, "train") for group in groups]


def _fill(groups: Sequence[int], sizes: Counter[int], room: float) -> list[int]:
    taken: list[int] = []
    left = max(1, round(room))
    for group in groups:
        if sizes[group] <= left and len(taken) < len(groups) - 1:
            taken.append(group)
            left -= sizes[group]
    if not taken and len(groups) > 1:
        return [min(groups, key=lambda group: sizes[group])]
    return taken


def find_leaks(
    members: Iterable[Member], clusters: Iterable[int], splits: Iterable[str]
) -> list[str]:
    """Clusters, sequences, families and sets of papers that lie in two splits."""
    return in_two_places(
        (tie, split)
        for member, cluster, split in zip(members, clusters, splits, strict=True)
        for tie in (*_strict_ties(member, cluster), ("sequence", member.sequence))
    )


__all__ = [
    "SPLITS",
    "Member",
    "Place",
    "find_leaks",
    "group_members",
    "make_splits",
    "read_members",
    "read_splits",
    "split_groups",
    "splits_path",
]
