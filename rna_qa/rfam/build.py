"""RNA-QA from Rfam: curated text about real sequences, without any language-model service."""

import contextlib
import os
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from rnagpt.reference import InvalidReferenceError
from rnagpt.reference.manifest import MANIFEST, read_manifest
from rnagpt.reference.writer import Family as ReferenceFamily
from rnagpt.reference.writer import write_reference
from rnagpt.rna_qa.export import (
    ANNOTATIONS,
    CONFIGURATIONS,
    QA,
    hash_shards,
    write_card,
    write_split,
)
from rnagpt.rna_qa.output import REFERENCE, check_output_dir, move_into_place, read_record
from rnagpt.rna_qa.rfam.downloads import Source, hash_file
from rnagpt.rna_qa.rfam.families import Family, describe_family, read_family_table
from rnagpt.rna_qa.rfam.questions import annotate, ask
from rnagpt.rna_qa.rfam.reference import family_record, seed_alignment
from rnagpt.rna_qa.splits import SPLITS, Member, check_shares, find_leaks, fraction, split_members
from rnagpt.sequences.clustering import cluster_sequences
from rnagpt.sequences.stockholm import Problem, read_seed

WORK = ".partial"


@dataclass(frozen=True)
class Options:
    """What decides the content of a build besides its sources.

    `test` and `validation` are shares of the sequence clusters, `test_families` a share of the
    families; `clusters` is the method of `cluster_sequences`.
    """

    random_seed: int = 0
    test: float = 0.06
    validation: float = 0.03
    test_families: float = 0.03
    clusters: str = "auto"

    def __post_init__(self) -> None:
        check_shares(test=self.test, validation=self.validation, test_families=self.test_families)


class Found(NamedTuple):
    """One RNA of the sources."""

    id: str
    sequence: str
    family: Family
    organism: str | None


class Rna(NamedTuple):
    """One RNA of the data set."""

    id: str
    sequence: str
    family: Family
    organism: str | None
    cluster: int
    split: str


def build(
    seed: Source,
    families: Source | None,
    out: Path,
    options: Options | None = None,
    *,
    release: str = "",
    overwrite: bool = False,
) -> dict[str, Any]:
    """Build RNA-QA from Rfam's seed alignments into the folder `out`; returns the build's record.

    The work is done in ``out/.partial`` and is moved into place at the end, ``build.json`` (the
    record) last: a build that was interrupted is not mistaken for a finished one, and the next run
    resumes with its downloads and its clusters. The same sources and options give the same bytes;
    a build that is there already is left as it is.

    Args:
        families: Rfam's `family` table, which fills what seeds leave empty.
        release: Of Rfam, such as "15.1", which the records of the reference name.
        overwrite: Replace another build in `out`.

    Raises:
        FileExistsError: if `out` holds another build, or files that are not a build's.
        ValueError: if the sources are not what they should be.
        RuntimeError: if the splits leak, or the clustering fails.
    """
    options = options or Options()
    sources = {"seed": seed} | ({"families": families} if families else {})
    request = {
        "options": asdict(options),
        "sources": {name: source.label for name, source in sources.items()},
    }
    if finished := _find_finished(out, request, overwrite):
        print(f"{out} holds this very build; nothing to do{_age(sources)}", file=sys.stderr)
        return finished
    partial = out / WORK
    partial.mkdir(parents=True, exist_ok=True)
    paths = {name: source.fetch(partial) for name, source in sources.items()}

    problems: list[Problem] = []
    found, references, read = _read_sequences(
        paths["seed"], paths.get("families"), f"Rfam {release}".strip(), problems
    )
    rnas, clustering = _split(found, partial / "clusters", options)
    for name in CONFIGURATIONS:
        # An interrupted run's, which had other rows perhaps.
        shutil.rmtree(partial / name, ignore_errors=True)
    record: dict[str, Any] = {
        "data_set": "RNA-QA, Rfam build",
        **request,
        "sha256": {name: hash_file(path) for name, path in paths.items()},
        "clustering": clustering,
        "read": read,
        "counts": _write_rows(partial, rnas, options.random_seed),
        "files": hash_shards(partial),
    }
    unmodelled = _write_reference(partial / REFERENCE, references, release, record["sha256"])
    record["problems"] = [*map(str, problems), *unmodelled]
    write_card(partial / "README.md", record)
    for problem in record["problems"]:
        print(f"left out: {problem}", file=sys.stderr)
    move_into_place(partial, out, CONFIGURATIONS, record)
    return record


def _age(sources: dict[str, Source]) -> str:
    """What to know of a finished build whose sources are named only by their addresses."""
    if not any(source.is_address for source in sources.values()):
        return ""
    return " (--overwrite downloads the sources again, in case they have changed)"


def _find_finished(out: Path, request: dict[str, Any], overwrite: bool) -> dict[str, Any] | None:
    """The record of this very build if it is there and stays.

    Rejects a folder that holds anything but a build, or another one that is not to be overwritten.
    """
    record = read_record(out)
    if record is None:
        check_output_dir(out, WORK, CONFIGURATIONS)
        return None
    if overwrite:
        return None
    if different := [key for key, value in request.items() if record.get(key) != value]:
        raise FileExistsError(
            f"{out} holds a build with other {' and '.join(different)}; choose another "
            "folder, or replace it with --overwrite"
        )
    return record


def _write_reference(
    folder: Path, families: list[ReferenceFamily], release: str, sources: dict[str, str]
) -> list[str]:
    """Write the reference of all families; the reasons why some are left out.

    One that an interrupted run has finished from the same sources stays.
    """
    if (folder / MANIFEST).is_file():
        with contextlib.suppress(InvalidReferenceError):
            manifest = read_manifest(folder)
            if manifest.sources == sources and manifest.release == release:
                return []
    shutil.rmtree(folder, ignore_errors=True)
    problems: list[str] = []
    write_reference(
        folder,
        families,
        name="Rfam",
        release=release,
        licence="CC0-1.0",
        sources=sources,
        jobs=os.cpu_count() or 1,
        problems=problems,
    )
    return problems


def _read_sequences(
    seed: Path, families: Path | None, source: str, problems: list[Problem]
) -> tuple[list[Found], list[ReferenceFamily], dict[str, int]]:
    """The RNAs of all sound families, identical ones of a family joined; the same families as a
    reference holds them; how many were read."""
    table = read_family_table(families, problems) if families else {}
    found: list[Found] = []
    references: list[ReferenceFamily] = []
    read = Counter(families=0, sequences=0, duplicates=0)
    for record in tqdm(read_seed(seed, problems), desc="reading", unit=" families", disable=None):
        family = describe_family(record, table.get(record.accession), problems)
        if family is None:
            continue
        references.append((family_record(family, record, source), seed_alignment(record)))
        seen: set[str] = set()
        for name, sequence in record.sequences:
            if sequence not in seen:
                found.append(Found(name, sequence, family, record.organisms.get(name)))
            seen.add(sequence)
        read["families"] += 1
        read["sequences"] += len(record.sequences)
        read["duplicates"] += len(record.sequences) - len(seen)
    return found, references, dict(read)


def _split(
    found: list[Found],
    folder: Path,
    options: Options,
) -> tuple[list[Rna], str]:
    """The RNAs with their clusters and splits, and the method of the clustering."""
    unique = sorted({rna.sequence for rna in found})
    print(f"clustering {len(unique):,} different sequences", file=sys.stderr)
    labels, method = cluster_sequences(unique, folder, options.clusters)
    cluster_of = dict(zip(unique, labels, strict=True))
    members = [
        Member(
            rna.sequence,
            cluster=cluster_of[rna.sequence],
            family=rna.family.accession,
            clan=rna.family.clan,
            transcript=rna.family.transcript,
            rna_type=rna.family.rna_type,
        )
        for rna in found
    ]
    splits = split_members(
        members, options.random_seed, options.test, options.validation, options.test_families
    )
    if leaks := find_leaks(members, splits):
        raise RuntimeError(f"the splits leak in {len(leaks):,} places, the first: {leaks[0]}")
    rnas = [
        Rna(*rna, cluster=member.cluster, split=split)
        for rna, member, split in zip(found, members, splits, strict=True)
    ]
    return rnas, method


def _write_rows(folder: Path, rnas: list[Rna], seed: int) -> dict[str, dict[str, dict[str, int]]]:
    """Write both configurations; returns the numbers of rows, by configuration and split.

    RNAs come in a drawn order, so that the head of a file is a sample of the whole.
    """
    chosen: dict[str, list[Rna]] = defaultdict(list)
    for rna in rnas:
        chosen[rna.split].append(rna)
    annotation_of = {rna.family.accession: annotate(rna.family) for rna in rnas}
    counts: dict[str, dict[str, dict[str, int]]] = {"annotations": {}, "qa": {}}
    for split in SPLITS:
        drawn = sorted(
            chosen[split],
            key=lambda rna: (fraction(seed, "order", rna.id), rna.family.accession),
        )
        # Asked twice, here and below: cheaper than keeping all rows, and shards are named by
        # their number.
        categories = Counter(
            question.category
            for rna in drawn
            for question in ask(rna.id, rna.sequence, rna.family, seed)
        )
        rows = sum(categories.values())
        annotations = (_annotation_row(rna, annotation_of) for rna in drawn)
        write_split(folder / "annotations", split, annotations, len(drawn), ANNOTATIONS)
        asked = tqdm(drawn, desc=f"asking, {split}", unit=" RNAs", disable=None)
        questions = (row for rna in asked for row in _qa_rows(rna, seed))
        write_split(folder / "qa", split, questions, rows, QA)
        counts["annotations"][split] = {
            "rows": len(drawn),
            "families": len({rna.family.accession for rna in drawn}),
            "clusters": len({rna.cluster for rna in drawn}),
        }
        counts["qa"][split] = {"rows": rows, **dict(sorted(categories.items()))}
    return counts


def _annotation_row(rna: Rna, annotation_of: dict[str, str]) -> dict[str, Any]:
    return {
        "id": rna.id,
        "sequence": rna.sequence,
        "rna_type": rna.family.rna_type,
        "family": rna.family.name,
        "family_accession": rna.family.accession,
        "family_description": rna.family.description,
        "clan": rna.family.clan,
        "organism": rna.organism,
        "annotation": annotation_of[rna.family.accession],
        "evidence": rna.family.evidence,
        "cluster": rna.cluster,
        "split": rna.split,
    }


def _qa_rows(rna: Rna, seed: int) -> Iterator[dict[str, Any]]:
    for question in ask(rna.id, rna.sequence, rna.family, seed):
        yield {
            "id": rna.id,
            "sequence": rna.sequence,
            "question": question.question,
            "answer": question.answer,
            "evidence": list(question.evidence),
            "category": question.category,
            "family": rna.family.name,
            "rna_type": rna.family.rna_type,
            "split": rna.split,
        }
