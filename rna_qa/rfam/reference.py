"""The reference of an Rfam build: its families' records and seed alignments, and later releases."""

from __future__ import annotations

import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from rnagpt.reference import InvalidReferenceError
from rnagpt.reference.cache import cache_folder
from rnagpt.reference.edit import families_of
from rnagpt.reference.library import Reference
from rnagpt.reference.profiles import SeedAlignment
from rnagpt.reference.records import FAMILY, Record, Term, read_cutoff
from rnagpt.reference.writer import Family as ReferenceFamily
from rnagpt.reference.writer import write_reference
from rnagpt.rna_qa.rfam.downloads import (
    Source,
    current_release,
    default_family_url,
    default_seed_url,
    hash_file,
)
from rnagpt.rna_qa.rfam.families import Family, describe_family, read_family_table
from rnagpt.sequences.stockholm import Problem, SeedFamily, read_seed


def family_record(family: Family, seed: SeedFamily, source: str) -> Record:
    """The structured record of a family.

    Args:
        source: what answers call the release, such as "Rfam 14.2".
    """
    return Record(
        id=family.accession,
        kind=FAMILY,
        name=family.name,
        description=family.description,
        type=family.rna_type,
        functions=tuple(sentence.text for sentence in family.sentences),
        terms=tuple(Term(term.id, term.name) for term in (*family.go_terms, *family.so_terms)),
        papers=tuple(family.evidence),
        clan=family.clan or "",
        gathering=read_cutoff(seed.feature("GA")),
        source=source,
    )


def seed_alignment(seed: SeedFamily) -> SeedAlignment:
    return SeedAlignment(seed.accession, tuple(seed.rows), seed.structure)


@dataclass(frozen=True)
class Update:
    """What an update did.

    Attributes:
        before, after: releases of Rfam; empty where one is not known.
        added, removed: families of Rfam.
        changed: families with another seed alignment or another record than before.
        own: how many families and RNAs that are not Rfam's were kept.
        written: whether the reference was; not so where nothing differs.
    """

    before: str
    after: str
    added: tuple[Record, ...] = ()
    changed: tuple[Record, ...] = ()
    removed: tuple[Record, ...] = ()
    own: int = 0
    written: bool = False


def update(reference: Reference, *, jobs: int = 1) -> Update:
    """Bring a reference that came from Rfam to Rfam's current release, in its place.

    Profiles of families whose seed alignment is the same are taken over. Families and RNAs whose id
    is none of Rfam's (RF and five digits) stay as they are.

    Args:
        jobs: processes that build profiles.

    Raises:
        InvalidReferenceError: nothing in it is from Rfam, or it is a part of a reference.
        OSError: the release could not be downloaded; the next call resumes.
        ValueError: what was downloaded is damaged; the next call downloads it again.
    """
    old = dict(_check_updatable(reference))
    before = _release_of((record for record, _ in old.values()), reference)
    after = current_release()
    if after and after == before:
        return Update(before, after)
    work = cache_folder() / f"rfam-{after or 'current'}"
    sources = [Source(default_seed_url()), Source(default_family_url())]
    seed, table = (source.fetch(work) for source in sources)
    try:
        new = dict(_read_families(seed, table, f"Rfam {after}".strip()))
        hashes = [hash_file(path) for path in (seed, table)]
    finally:
        # Also what is damaged: it would be damaged the next time.
        shutil.rmtree(work, ignore_errors=True)
    result = _compare(old, new, before, after)
    is_renamed = after not in ("", before)
    if not (result.added or result.changed or result.removed or is_renamed):
        return result
    own = [family for family in families_of(reference) if not _is_rfams(family[0])]
    same = {family for family, (_, alignment) in new.items() if _seed(old, family) == alignment}
    manifest = reference.manifest
    write_reference(
        reference.folder,
        chain(new.values(), own),
        reference.rnas(),
        name=manifest.name,
        release=_renamed(manifest.release, before, after),
        licence=manifest.licence,
        sources=_other_sources(manifest.sources, sources)
        | dict(zip((source.location for source in sources), hashes, strict=True)),
        engine=manifest.engine,
        profiles={
            name: hmm for name, hmm in reference.hmms().items() if name in same or name not in new
        },
        jobs=jobs,
        overwrite=True,
    )
    return replace(result, own=len(own) + manifest.rnas, written=True)


def _check_updatable(reference: Reference) -> Iterator[tuple[str, ReferenceFamily]]:
    """Rfam's families in a reference, by their ids."""
    if reference.manifest.name.endswith("(a part)"):
        raise InvalidReferenceError(
            f"{reference.folder} holds a part of a reference, such as that of a training split, "
            "and an update would put the rest into it. Update the whole reference, and take its "
            "part again."
        )
    found = [family for family in families_of(reference) if _is_rfams(family[0])]
    if not found:
        raise InvalidReferenceError(
            f"{reference.folder} holds no family of Rfam (RF00001 and so on), so there is nothing "
            "to update. `rnagpt reference merge` puts two references together."
        )
    yield from ((record.id, (record, seed)) for record, seed in found)


def _is_rfams(record: Record) -> bool:
    return re.fullmatch(r"RF\d{5}", record.id) is not None


def _release_of(records: Iterable[Record], reference: Reference) -> str:
    """The release that most of the records come from."""
    named = (re.fullmatch(r"Rfam (\S+)", record.source) for record in records)
    counts = Counter(found[1] for found in named if found)
    return counts.most_common(1)[0][0] if counts else reference.manifest.release


def _read_families(seed: Path, table: Path, source: str) -> Iterator[tuple[str, ReferenceFamily]]:
    """The families of a release by their ids; what is left out of it is told."""
    problems: list[Problem] = []
    rows = read_family_table(table, problems)
    for found in read_seed(seed, problems):
        family = describe_family(found, rows.get(found.accession), problems)
        if family is not None:
            yield found.accession, (family_record(family, found, source), seed_alignment(found))
    for problem in problems:
        print(f"left out: {problem}", file=sys.stderr)


def _seed(families: dict[str, ReferenceFamily], name: str) -> SeedAlignment | None:
    return families[name][1] if name in families else None


def _compare(
    old: dict[str, ReferenceFamily], new: dict[str, ReferenceFamily], before: str, after: str
) -> Update:
    def is_same(name: str) -> bool:
        (record, seed), (other, other_seed) = old[name], new[name]
        return seed == other_seed and replace(record, source="") == replace(other, source="")

    return Update(
        before,
        after,
        added=tuple(record for name, (record, _) in new.items() if name not in old),
        changed=tuple(
            record for name, (record, _) in new.items() if name in old and not is_same(name)
        ),
        removed=tuple(record for name, (record, _) in old.items() if name not in new),
    )


def _renamed(release: str, before: str, after: str) -> str:
    """The release of a reference, which may be of several sources: "14.2, 3"."""
    parts = [after if part == before else part for part in release.split(", ")]
    return ", ".join(part for part in parts if part) or after


def _other_sources(old: Mapping[str, str], new: Iterable[Source]) -> dict[str, str]:
    """The sources of a reference without earlier versions of these files."""
    names = {source.location.rpartition("/")[2] for source in new}
    return {name: hash_ for name, hash_ in old.items() if name.rpartition("/")[2] not in names}


__all__ = ["Update", "family_record", "seed_alignment", "update"]
