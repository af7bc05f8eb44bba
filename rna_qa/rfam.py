"""RNA-QA from Rfam: curated text about real sequences, without any language-model service."""

import hashlib
import json
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rnagpt.rna_qa.clusters import cluster_sequences
from rnagpt.rna_qa.export import ANNOTATIONS, QA, write_card, write_split
from rnagpt.rna_qa.families import Family, describe_family, read_family_table
from rnagpt.rna_qa.questions import annotate, ask
from rnagpt.rna_qa.sources import Source
from rnagpt.rna_qa.splits import SPLITS, Member, find_leaks, fraction, split_members
from rnagpt.rna_qa.stockholm import Problem, read_seed


@dataclass(frozen=True)
class Options:
    """What decides the content of a build, beside its sources."""

    random_seed: int = 0
    test: float = 0.06
    validation: float = 0.03
    test_families: float = 0.03
    clusters: str = "auto"


@dataclass(frozen=True)
class Rna:
    """One RNA of the data set."""

    id: str
    sequence: str
    family: Family
    organism: str | None


def build(
    seed: Source,
    families: Source | None,
    out: Path,
    options: Options = Options(),
    *,
    threads: int | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Build RNA-QA from Rfam's seed alignments into the folder `out`; returns the build's record.

    Work goes on in ``out/.partial`` and is moved into place at the end, ``build.json`` last: a build that
    was interrupted is not mistaken for a finished one, and the next run takes up its downloads and its
    clusters. The same sources and options give the same bytes.

    Raises:
        FileExistsError: if `out` holds another build, or files that are not a build's.
        ValueError: if the sources are not what they should be.
        RuntimeError: if the splits leak, or no clustering method is installed.
    """
    request = {
        "options": asdict(options),
        "sources": {
            name: source.label for name, source in (("seed", seed), ("families", families)) if source
        },
    }
    finished = _find_finished(out, request, overwrite)
    if finished:
        print(f"{out} holds this build already; nothing to do", file=sys.stderr)
        return finished
    partial = out / ".partial"
    partial.mkdir(parents=True, exist_ok=True)
    paths = {"seed": seed.fetch(partial)} | (
        {"families": families.fetch(partial)} if families else {}
    )

    problems: list[Problem] = []
    rnas, duplicates = _read_rnas(paths["seed"], paths.get("families"), problems)
    unique = sorted({rna.sequence for rna in rnas})
    print(f"clustering {len(unique):,} sequences", file=sys.stderr)
    labels, method = cluster_sequences(unique, partial / "clusters", options.clusters, threads)
    cluster_of = dict(zip(unique, labels, strict=True))
    members = [
        Member(
            sequence=rna.sequence,
            cluster=cluster_of[rna.sequence],
            family=rna.family.accession,
            clan=rna.family.clan,
            transcript=rna.family.transcript,
            rna_type=rna.family.rna_type,
        )
        for rna in rnas
    ]
    splits = split_members(
        members, options.random_seed, options.test, options.validation, options.test_families
    )
    if leaks := find_leaks(members, splits):
        raise RuntimeError(f"the splits leak ({len(leaks)} times), first: {leaks[0]}")

    counts = _write_rows(partial, rnas, members, splits, options.random_seed)
    record = {
        "data_set": "RNA-QA, Rfam build",
        **request,
        "sha256": {name: _hash(path) for name, path in paths.items()},
        "clustering": method,
        "counts": counts,
        "identical_sequences_joined": duplicates,
        "training_families_without_training_sequences": _count_untrained(members, splits),
        "problems": {
            "count": len(problems),
            "records": [str(problem) for problem in problems],
        },
    }
    write_card(partial / "README.md", counts)
    for problem in problems:
        print(f"left out: {problem}", file=sys.stderr)
    _move_into_place(partial, out, record)
    return record


def _find_finished(out: Path, request: dict[str, Any], overwrite: bool) -> dict[str, Any] | None:
    """The record of the same build if it is there; refuses to touch anything else."""
    record_path = out / "build.json"
    if record_path.exists() and not overwrite:
        record = json.loads(record_path.read_text(encoding="utf-8"))
        if all(record.get(key) == value for key, value in request.items()):
            return record
        raise FileExistsError(
            f"{out} holds a build with other settings or sources; choose another folder, or pass "
            "--overwrite to replace it"
        )
    ours = {".partial", "annotations", "qa", "README.md", "build.json"}
    others = sorted(path.name for path in out.iterdir() if path.name not in ours) if out.exists() else []
    if others and not record_path.exists():
        raise FileExistsError(f"{out} holds files of something else ({others[0]}); choose an empty folder")
    return None


def _read_rnas(
    seed: Path, families: Path | None, problems: list[Problem]
) -> tuple[list[Rna], int]:
    """The RNAs of the seeds, identical sequences of one family joined, and how many were joined."""
    table = read_family_table(families, problems) if families else {}
    rnas: list[Rna] = []
    duplicates = 0
    for record in tqdm(read_seed(seed, problems), desc="reading families", unit=" families"):
        family = describe_family(record, table.get(record.accession), problems)
        if family is None:
            continue
        seen: set[str] = set()
        for name, sequence in record.sequences:
            if sequence in seen:
                duplicates += 1
                continue
            seen.add(sequence)
            rnas.append(Rna(name, sequence, family, record.organisms.get(name)))
    return rnas, duplicates


def _write_rows(
    folder: Path, rnas: list[Rna], members: list[Member], splits: list[str], seed: int
) -> dict[str, dict[str, dict[str, int]]]:
    """Write both configurations, RNAs in a drawn order so that the head of a file is a sample of it."""
    chosen: dict[str, list[int]] = defaultdict(list)
    for number, split in enumerate(splits):
        chosen[split].append(number)
    annotation_of = {rna.family.accession: annotate(rna.family) for rna in rnas}
    counts: dict[str, dict[str, dict[str, int]]] = {"annotations": {}, "qa": {}}

    def annotation_rows(numbers: list[int], split: str) -> Iterator[dict[str, Any]]:
        for number in numbers:
            rna, member = rnas[number], members[number]
            yield {
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
                "cluster": member.cluster,
                "split": split,
            }

    def qa_rows(numbers: list[int], split: str) -> Iterator[dict[str, Any]]:
        for rna in tqdm([rnas[number] for number in numbers], desc=f"asking, {split}", unit=" RNAs"):
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
                    "split": split,
                }

    for split in SPLITS:
        numbers = sorted(
            chosen[split],
            key=lambda number: (fraction(seed, "order", rnas[number].id), members[number].family),
        )
        categories = Counter(
            question.category
            for number in numbers
            for question in ask(
                rnas[number].id, rnas[number].sequence, rnas[number].family, seed
            )
        )
        write_split(
            folder / "annotations", split, annotation_rows(numbers, split), len(numbers), ANNOTATIONS
        )
        write_split(folder / "qa", split, qa_rows(numbers, split), categories.total(), QA)
        counts["annotations"][split] = {
            "rows": len(numbers),
            "families": len({members[number].family for number in numbers}),
            "clusters": len({members[number].cluster for number in numbers}),
        }
        counts["qa"][split] = {"rows": categories.total(), **dict(sorted(categories.items()))}
    return counts


def _count_untrained(members: list[Member], splits: list[str]) -> int:
    by_family: dict[str, set[str]] = defaultdict(set)
    for member, split in zip(members, splits, strict=True):
        by_family[member.family].add(split)
    return sum("train" not in found and "test_families" not in found for found in by_family.values())


def _move_into_place(partial: Path, out: Path, record: dict[str, Any]) -> None:
    (out / "build.json").unlink(missing_ok=True)
    for name in ("annotations", "qa"):
        shutil.rmtree(out / name, ignore_errors=True)
        (partial / name).rename(out / name)
    (partial / "README.md").replace(out / "README.md")
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    (partial / "build.json").write_text(text, encoding="utf-8")
    (partial / "build.json").rename(out / "build.json")
    shutil.rmtree(partial)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
