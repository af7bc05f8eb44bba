"""The finished data set: Parquet shards, reference, card and record, moved into place whole."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from rnagpt.rna_qa.export import (
    describe_configurations,
    fit_examples,
    hash_shards,
    size_category,
    write_split,
)
from rnagpt.rna_qa.literature.build.reference import write_rnas
from rnagpt.rna_qa.literature.build.settings import CONFIGURATIONS
from rnagpt.rna_qa.literature.build.shards import atomic_write, full_disk_explained
from rnagpt.rna_qa.literature.build.splits import SPLITS, Place, read_splits
from rnagpt.rna_qa.literature.build.stages import Build, read_annotations, read_questions
from rnagpt.rna_qa.literature.claims.categories import kind_of
from rnagpt.rna_qa.literature.claims.standing_alone import is_suggested
from rnagpt.rna_qa.literature.claims.validation import mask, other_rnas
from rnagpt.rna_qa.literature.judging.published import describe_precision
from rnagpt.rna_qa.literature.records import Annotation, Claim, QaPair, Rna
from rnagpt.rna_qa.output import RECORD, REFERENCE, move_into_place, read_record

CARD = Path(__file__).with_name("card.md")
CLAIM = pa.struct(
    {
        "text": pa.string(),
        "papers": pa.list_(pa.string()),
        "quote": pa.string(),
        "section": pa.string(),
        "category": pa.string(),
        "suggested": pa.bool_(),
        "other_rnas": pa.list_(pa.string()),
    }
)
ANNOTATIONS = pa.schema(
    {
        "id": pa.string(),
        "sequence": pa.string(),
        "names": pa.list_(pa.string()),
        "rna_type": pa.string(),
        "family": pa.string(),
        "organism": pa.string(),
        "taxid": pa.int32(),
        "annotation": pa.string(),
        "claims": pa.list_(CLAIM),
        "evidence": pa.list_(pa.string()),
        "model": pa.string(),
        "cluster": pa.int32(),
        "split": pa.string(),
    }
)
QA = pa.schema(
    {
        "id": pa.string(),
        "sequence": pa.string(),
        "question": pa.string(),
        "answer": pa.string(),
        "evidence": pa.list_(pa.string()),
        "quote": pa.string(),
        "category": pa.string(),
        "suggested": pa.bool_(),
        "other_rnas": pa.list_(pa.string()),
        "family": pa.string(),
        "rna_type": pa.string(),
        "split": pa.string(),
    }
)
PAPERS = pa.schema(
    {
        "id": pa.string(),
        "pmid": pa.string(),
        "pmcid": pa.string(),
        "doi": pa.string(),
        "year": pa.int32(),
        "licence": pa.string(),
        "also_known_as": pa.list_(pa.string()),
        "full_text": pa.bool_(),
    }
)


@dataclass(frozen=True)
class Row:
    """An RNA of the data set with its annotation, questions and split."""

    rna: Rna
    annotation: Annotation
    questions: list[QaPair]
    place: Place


def export(build: Build, shards: int, record: dict[str, Any], out: Path) -> dict[str, Any]:
    """Write the data set into `out`; returns the record with its counts added.

    The files are written next to each other in ``.work`` and moved at the end, ``build.json`` (the
    record) last: what is there without it is no finished data set. The same shards give the same
    bytes.

    Raises:
        DiskFullError: if there is no room.
    """
    folder = build.work / "export"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    counts: dict[str, Any] = {}
    with full_disk_explained(folder):
        for mode in build.options.modes:
            suffix = "" if mode == build.options.modes[0] else f"_{mode}"
            counts |= _write_configurations(build, mode, shards, folder, suffix)
        counts["papers"] = _write_papers(build, folder)
        write_rnas(build, shards, record, folder / REFERENCE)
        record = {**record, "counts": record["counts"] | counts, "files": hash_shards(folder)}
        (folder / "README.md").write_text(fill_card(record), encoding="utf-8")
        move_into_place(folder, out, CONFIGURATIONS, record)
    return record


def _write_configurations(
    build: Build, mode: str, shards: int, folder: Path, suffix: str
) -> dict[str, Any]:
    """Write annotations and questions of one way of annotating; returns their numbers of rows."""
    leaking = _quotes_of_training(build, mode, shards)
    annotations: Counter[str] = Counter()
    questions: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    left_out = 0
    for row in _rows(build, mode, shards):
        kept = _fit_questions(row, leaking)
        annotations[row.place.split] += 1
        questions[row.place.split].update(pair.category for pair in kept)
        left_out += len(row.questions) - len(kept)
    for split in SPLITS:
        if not annotations[split]:
            continue
        rows = (_annotation_row(row) for row in _rows(build, mode, shards, split))
        count = annotations[split]
        write_split(folder / f"annotations{suffix}", split, rows, count, ANNOTATIONS)
        if asked := questions[split].total():
            pairs = (
                _qa_row(row, pair)
                for row in _rows(build, mode, shards, split)
                for pair in _fit_questions(row, leaking)
            )
            write_split(folder / f"qa{suffix}", split, pairs, asked, QA)
    return {
        f"annotations{suffix}": {split: annotations[split] for split in SPLITS},
        f"qa{suffix}": {
            split: {"rows": questions[split].total(), **dict(sorted(questions[split].items()))}
            for split in SPLITS
        },
        f"questions{suffix} left out, quoted in training": left_out,
    }


def _rows(build: Build, mode: str, shards: int, split: str | None = None) -> Iterator[Row]:
    """The RNAs with claims of this mode, of one split or of all, in order of id."""
    places = read_splits(build.work)
    for shard in range(shards):
        annotated = read_annotations(build.work, mode, shard)
        asked = read_questions(build.work, mode, shard)
        held = _claimed_in_any_mode(build, shard) if len(build.options.modes) > 1 else None
        for (rna, annotation), (rna_id, questions) in zip(annotated, asked, strict=True):
            if rna.id != rna_id:
                raise ValueError(f"shard {shard}: questions of {rna_id} where {rna.id} is due")
            if not (annotation.claims if held is None else rna.id in held):
                continue
            placed, place = next(places)
            if placed != rna.id:
                raise ValueError(f"shard {shard}: the split of {placed} where {rna.id} is due")
            if annotation.claims and split in (None, place.split):
                yield Row(rna, annotation, questions, place)


def _claimed_in_any_mode(build: Build, shard: int) -> set[str]:
    return {
        rna.id
        for mode in build.options.modes
        for rna, annotation in read_annotations(build.work, mode, shard)
        if annotation.claims
    }


def _quotes_of_training(build: Build, mode: str, shards: int) -> set[int]:
    """Hashes of the quotes behind training's questions: no other split asks about the same words.

    Papers that many RNAs rest on tie no RNAs together, so a quote may reach two splits.
    """
    return {
        _hash(pair.quote) for row in _rows(build, mode, shards, "train") for pair in row.questions
    }


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _fit_questions(row: Row, leaking: set[int]) -> list[QaPair]:
    if row.place.split == "train":
        return row.questions
    return [pair for pair in row.questions if _hash(pair.quote) not in leaking]


def _annotation_row(row: Row) -> dict[str, Any]:
    claims = row.annotation.claims
    return {
        "id": row.rna.id,
        "sequence": row.rna.sequence,
        "names": row.rna.names,
        "rna_type": row.rna.rna_type,
        "family": row.rna.family,
        "organism": row.rna.organism,
        "taxid": row.rna.taxid,
        "annotation": row.annotation.text,
        "claims": [_claim_row(claim, row.rna.names) for claim in claims],
        "evidence": sorted({paper for claim in claims for paper in claim.papers}),
        "model": row.annotation.model or None,
        "cluster": row.place.cluster,
        "split": row.place.split,
    }


def _claim_row(claim: Claim, names: Sequence[str]) -> dict[str, Any]:
    return {
        "text": claim.text,
        "papers": claim.papers,
        "quote": claim.quote,
        "section": claim.section,
        "category": kind_of(mask(claim.text, names)).category,
        **_to_filter_by(claim.text, names),
    }


def _to_filter_by(text: str, names: Sequence[str]) -> dict[str, Any]:
    return {"suggested": is_suggested(text), "other_rnas": other_rnas(text, names)}


def _qa_row(row: Row, pair: QaPair) -> dict[str, Any]:
    return {
        "id": row.rna.id,
        "sequence": row.rna.sequence,
        "question": pair.question,
        "answer": pair.answer,
        "evidence": pair.papers,
        "quote": pair.quote,
        "category": pair.category,
        **_to_filter_by(pair.answer, row.rna.names),
        "family": row.rna.family,
        "rna_type": row.rna.rna_type,
        "split": row.place.split,
    }


def _write_papers(build: Build, folder: Path) -> dict[str, int]:
    """Write ids and licences of all papers that were read; returns how many of each licence."""
    licences: Counter[str] = Counter()
    with build.open_corpus() as corpus:
        for paper in corpus.iter_papers(kept=True):
            licences[paper.licence or "unknown"] += 1
        if count := licences.total():
            rows = (
                {
                    **{name: getattr(paper, name, None) for name in PAPERS.names},
                    "full_text": build.options.full_text is not None and bool(paper.body),
                }
                for paper in corpus.iter_papers(kept=True)
            )
            write_split(folder / "papers", "train", rows, count, PAPERS)
    return dict(sorted(licences.items()))


# The card


def fill_card(record: Mapping[str, Any]) -> str:
    """The card of the data set, with a build's figures in the places of its template."""
    text = CARD.read_text(encoding="utf-8")
    for name, value in _card_values(record).items():
        if f"<<{name}>>" not in text:
            raise ValueError(f"{CARD} has no place <<{name}>>")
        text = text.replace(f"<<{name}>>", value)
    return fit_examples(text, record["files"])


def write_precision(out: Path, precision: Mapping[str, Any]) -> None:
    """Write a data set's measured precision into its card and its record.

    Args:
        precision: as `judging.precision.Precision.as_record` gives it.

    Raises:
        FileNotFoundError: if the folder holds no finished build.
    """
    record = read_record(out)
    if record is None:
        raise FileNotFoundError(f"{out / RECORD}: no such file; the build is not finished")
    record = {**record, "precision": dict(precision)}
    atomic_write(out / "README.md", fill_card(record).encode())
    text = json.dumps(record, indent=2, ensure_ascii=False)
    atomic_write(out / RECORD, f"{text}\n".encode())


def _card_values(record: Mapping[str, Any]) -> dict[str, str]:
    counts, options = record["counts"], record["options"]
    suffixes = [suffix for suffix in ("", "_ais") if f"qa{suffix}" in counts]
    rows = sum(figures["rows"] for s in suffixes for figures in counts[f"qa{s}"].values())
    return {
        "licence": "cc-by-4.0" if options["licences"] else "other",
        "size": size_category(rows),
        "configurations": "\n".join(
            describe_configurations(record["files"], CONFIGURATIONS, SPLITS)
        ),
        "how": _describe_annotation(record),
        "figures": "\n".join(_figures(counts, suffixes)),
        "precision": "\n".join(describe_precision(record)),
        "papers": "\n".join(_licences(counts["papers"])),
        "source": _describe_source(record),
        "models": _describe_models(record),
        "options": json.dumps(options, ensure_ascii=False),
    }


def _figures(counts: Mapping[str, Any], suffixes: list[str]) -> Iterator[str]:
    yield "| configuration | split | RNAs | questions |"
    yield "| --- | --- | ---: | ---: |"
    for suffix in suffixes:
        for split in SPLITS:
            rnas, asked = counts[f"annotations{suffix}"][split], counts[f"qa{suffix}"][split]
            yield f"| `qa{suffix}` | `{split}` | {rnas:,} | {asked['rows']:,} |"
    yield ""
    yield "A configuration has the splits that have rows."


def _licences(licences: Mapping[str, int]) -> Iterator[str]:
    yield "| licence | papers |"
    yield "| --- | ---: |"
    for licence, count in licences.items():
        yield f"| {licence} | {count:,} |"


def _describe_source(record: Mapping[str, Any]) -> str:
    options = record["options"]
    if options["source"] == "files":
        return f"files given by the builder (RNAs {options['rnas']}, papers {options['papers']})"
    addresses = ", ".join(record["services"])
    query = f", query `{options['query']}`" if options["query"] else ""
    return f"RNAcentral and Europe PMC ({addresses}) as of {record['retrieved']}{query}"


def _describe_annotation(record: Mapping[str, Any]) -> str:
    how = {
        "extractive": "Sentences were chosen from the abstracts; no language model wrote anything.",
        "dnc": "A language model summarised each group of papers, then the groups' claims were "
        "combined (divide and conquer).",
        "ais": "A language model read all abstracts of an RNA at once.",
        "both": "A language model summarised each group of papers, then the groups' claims were "
        "combined (`qa`, `annotations`); and it read all abstracts of an RNA at once (`qa_ais`, "
        "`annotations_ais`).",
    }
    return how[record["options"]["mode"]]


def _describe_models(record: Mapping[str, Any]) -> str:
    if not record["prompts"]:
        return "none"
    prompts = ", ".join(f"{name} `{digest[:12]}`" for name, digest in record["prompts"].items())
    return f"`{record['options']['language_model']}`; prompts (SHA-256): {prompts}"


__all__ = ["ANNOTATIONS", "PAPERS", "QA", "export", "fill_card", "write_precision"]
