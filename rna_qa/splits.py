"""Splits without leakage: train, validation and test by sequence cluster, the rest by family."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

Thing = TypeVar("Thing", bound=Hashable)

SPLITS = ("train", "validation", "test", "test_families")
# A type with fewer families gives none away; a group of families that holds more than this share
# of all sequences (ten at least) is never held out.
MIN_FAMILIES = 5
LARGEST_GROUP = 0.005


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

    @property
    def unions(self) -> list[tuple[str, str]]:
        """What unites the member's family with others."""
        unions = (("clan", self.clan), ("transcript", self.transcript))
        return [(kind, name) for kind, name in unions if name]


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

    def members(self, things: Iterable[Thing]) -> list[list[Thing]]:
        """These things by the group that each is in, in their order."""
        groups: dict[Hashable, list[Thing]] = defaultdict(list)
        for thing in things:
            groups[self.root(thing)].append(thing)
        return list(groups.values())


def fraction(seed: int, *key: object) -> float:
    """A number in [0, 1) that depends on nothing but its arguments (BLAKE2b)."""
    text = "\x1f".join(map(str, (seed, *key)))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def check_shares(*, test: float, validation: float, test_families: float = 0.0) -> None:
    """Check the shares that go to the splits.

    Raises:
        ValueError: naming the option of the command line.
    """
    shares = {"--test": test, "--validation": validation, "--test-families": test_families}
    for option, share in shares.items():
        if not 0 <= share < 1:
            raise ValueError(f"{option} is {share!r}; expected a share from 0 to 1")
    if test + validation >= 1:
        raise ValueError(f"--test {test} and --validation {validation} leave nothing to train on")


def split_members(
    members: Sequence[Member],
    seed: int = 0,
    test: float = 0.06,
    validation: float = 0.03,
    families: float = 0.03,
) -> list[str]:
    """Give each member its split.

    Args:
        test, validation: Shares of the clusters to draw. A family that would lose all its training
            sequences gets the last of its drawn clusters back.
        families: Share of the families of each RNA type to hold out whole for test_families,
            together with their clans, the other regions of their transcripts, and every family
            that shares a cluster with them.
    """
    held_out = hold_out_families(members, seed, families)
    # Drawn by its smallest sequence: its number depends on what else was clustered.
    key: dict[int, str] = {}
    clusters_of: dict[str, set[int]] = defaultdict(set)
    for member in members:
        key[member.cluster] = min(member.sequence, key.get(member.cluster, member.sequence))
        clusters_of[member.family].add(member.cluster)
    draw = {cluster: fraction(seed, "cluster", sequence) for cluster, sequence in key.items()}
    split_of = {
        cluster: "test" if at < test else "validation" if at < test + validation else "train"
        for cluster, at in draw.items()
    }
    for family, clusters in sorted(clusters_of.items()):
        if family in held_out:
            split_of.update(dict.fromkeys(clusters, "test_families"))
        elif not any(split_of[cluster] == "train" for cluster in clusters):
            split_of[max(clusters, key=draw.__getitem__)] = "train"
    return [split_of[member.cluster] for member in members]


def hold_out_families(members: Sequence[Member], seed: int, share: float) -> set[str]:
    """Draw the families of test_families, about `share` of each RNA type's."""
    groups = Groups()
    sizes = Counter(member.family for member in members)
    type_of = {member.family: member.rna_type for member in members}
    for member in members:
        for union in (("cluster", member.cluster), *member.unions):
            groups.join(union, member.family)
    united = groups.members(sorted(sizes))
    quota = {
        rna_type: max(1, round(share * count)) if count >= MIN_FAMILIES and share > 0 else 0
        for rna_type, count in Counter(type_of.values()).items()
    }
    largest = max(10, LARGEST_GROUP * len(members))
    held_out: set[str] = set()
    for group in sorted(united, key=lambda group: fraction(seed, "families", group[0])):
        wanted = Counter(type_of[family] for family in group)
        small = sum(sizes[family] for family in group) <= largest
        if small and all(count <= quota[rna_type] for rna_type, count in wanted.items()):
            held_out.update(group)
            for rna_type, count in wanted.items():
                quota[rna_type] -= count
    return held_out


def find_leaks(members: Iterable[Member], splits: Iterable[str]) -> list[str]:
    """What lies in two splits and must not.

    Clusters and sequences may lie in only one split; families, clans and transcripts that are in
    test_families in no other.
    """

    def placed() -> Iterator[tuple[tuple[str, Hashable], str]]:
        for member, split in zip(members, splits, strict=True):
            for thing in (("cluster", member.cluster), ("sequence", member.sequence)):
                yield thing, split
            side = "test_families" if split == "test_families" else "the other splits"
            for union in (("family", member.family), *member.unions):
                yield union, side

    return in_two_places(placed())


def in_two_places(placed: Iterable[tuple[tuple[str, Hashable], str]]) -> list[str]:
    """The things, each a kind and a name, that stand in more than one place."""
    places: dict[tuple[str, Hashable], set[str]] = defaultdict(set)
    for thing, place in placed:
        places[thing].add(place)
    return [
        f"{kind} {name} lies in {' and '.join(sorted(where))}"
        for (kind, name), where in places.items()
        if len(where) > 1
    ]
