"""Splits without leakage: train / validation / test by sequence cluster, test_families by family."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass


SPLITS = ("train", "validation", "test", "test_families")
LARGEST_GROUP = 0.005  # of all sequences: a larger group of families is never held out


@dataclass(frozen=True)
class Member:
    """One row to be split.

    `family` is an accession; `transcript` names the long RNA of which the family is a region.
    """

    sequence: str
    cluster: int
    family: str
    clan: str | None
    transcript: str | None
    rna_type: str


def fraction(seed: int, *key: object) -> float:
    """A number in [0, 1) that depends on nothing but its arguments (BLAKE2b)."""
    text = "\x1f".join(map(str, (seed, *key)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) / 2**64


class Groups:
    """Union-find: things that were joined, directly or through others, share a root."""

    def __init__(self) -> None:
        self._parent: dict[Hashable, Hashable] = {}

    def root(self, thing: Hashable) -> Hashable:
        self._parent.setdefault(thing, thing)
        while self._parent[thing] != thing:
            self._parent[thing] = self._parent[self._parent[thing]]
            thing = self._parent[thing]
        return thing

    def join(self, first: Hashable, second: Hashable) -> None:
        self._parent[self.root(second)] = self.root(first)


def split_members(
    members: Sequence[Member],
    seed: int = 0,
    test: float = 0.06,
    validation: float = 0.03,
    families: float = 0.03,
) -> list[str]:
    """Give each member a split.

    `families` is the share of families held out whole for test_families, together with their clans, the
    other regions of their transcripts and every family that shares a cluster with them, spread over the
    RNA types. Of the other clusters
    the shares `test` and `validation` are drawn; a family that would lose all its training sequences
    gets its last drawn cluster back.
    """
    held_out = hold_out_families(members, seed, families)
    # A cluster is drawn by its smallest sequence, not by its number, which depends on the other clusters.
    key: dict[int, str] = {}
    for member in members:
        key[member.cluster] = min(member.sequence, key.get(member.cluster, member.sequence))
    draw = {cluster: fraction(seed, "cluster", sequence) for cluster, sequence in key.items()}
    split_of = {
        cluster: "test" if at < test else "validation" if at < test + validation else "train"
        for cluster, at in draw.items()
    }
    clusters_of: dict[str, set[int]] = defaultdict(set)
    for member in members:
        if member.family in held_out:
            split_of[member.cluster] = "test_families"
        else:
            clusters_of[member.family].add(member.cluster)
    for clusters in clusters_of.values():
        if not any(split_of[cluster] == "train" for cluster in clusters):
            split_of[max(clusters, key=draw.__getitem__)] = "train"
    return [split_of[member.cluster] for member in members]


def hold_out_families(members: Sequence[Member], seed: int, share: float) -> set[str]:
    """Draw the families of test_families: about `share` of each RNA type with five families or more."""
    groups = Groups()
    sizes = Counter(member.family for member in members)
    type_of = {member.family: member.rna_type for member in members}
    for member in members:
        groups.join(("cluster", member.cluster), member.family)
        for kind, name in _families_of_families(member):
            groups.join((kind, name), member.family)
    together: dict[Hashable, list[str]] = defaultdict(list)
    for family in sorted(sizes):
        together[groups.root(family)].append(family)
    quota = {
        rna_type: max(1, round(share * count)) if count >= 5 and share > 0 else 0
        for rna_type, count in Counter(type_of.values()).items()
    }
    held_out: set[str] = set()
    for group in sorted(together.values(), key=lambda group: fraction(seed, "families", group[0])):
        wanted = Counter(type_of[family] for family in group)
        small = sum(sizes[family] for family in group) <= max(10, LARGEST_GROUP * len(members))
        if small and all(count <= quota[rna_type] for rna_type, count in wanted.items()):
            held_out.update(group)
            for rna_type, count in wanted.items():
                quota[rna_type] -= count
    return held_out


def _families_of_families(member: Member) -> list[tuple[str, str]]:
    """What joins a member's family to others: its clan, its transcript."""
    pairs = (("clan", member.clan), ("transcript", member.transcript))
    return [(kind, name) for kind, name in pairs if name]


def find_leaks(members: Iterable[Member], splits: Iterable[str]) -> list[str]:
    """What lies in two splits and must not: clusters, sequences, and held-out families and clans."""
    places: dict[tuple[str, Hashable], set[str]] = defaultdict(set)
    for member, split in zip(members, splits, strict=True):
        places["cluster", member.cluster].add(split)
        places["sequence", member.sequence].add(split)
        side = "test_families" if split == "test_families" else "the other splits"
        places["family", member.family].add(side)
        for kind, name in _families_of_families(member):
            places[kind, name].add(side)
    return [
        f"{kind} {name} lies in {' and '.join(sorted(where))}"
        for (kind, name), where in places.items()
        if len(where) > 1
    ]
