"""RNA-QA on disk: Parquet shards of a fixed schema, and the card that makes them loadable."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rnagpt.rna_qa.splits import SPLITS

ROWS_PER_SHARD = 100_000
ROWS_PER_GROUP = 10_000  # in memory at a time
CARD = Path(__file__).resolve().parents[1] / "dataset_card.md"
FIGURES_BEGIN, FIGURES_END = "<!-- figures of the build -->", "<!-- end of the figures -->"

ANNOTATIONS = pa.schema(
    {
        "id": pa.string(),
        "sequence": pa.string(),
        "rna_type": pa.string(),
        "family": pa.string(),
        "family_accession": pa.string(),
        "family_description": pa.string(),
        "clan": pa.string(),
        "organism": pa.string(),
        "annotation": pa.string(),
        "evidence": pa.list_(pa.string()),
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
        "category": pa.string(),
        "family": pa.string(),
        "rna_type": pa.string(),
        "split": pa.string(),
    }
)


def write_split(
    folder: Path, split: str, rows: Iterable[dict[str, Any]], count: int, schema: pa.Schema
) -> None:
    """Write `count` rows as ``split-00000-of-0000N.parquet``; the same rows give the same bytes.

    Raises:
        ValueError: if `rows` holds another number of rows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shards = max(1, -(-count // ROWS_PER_SHARD))
    stream = iter(rows)
    written = 0
    for shard in range(shards):
        path = folder / f"{split}-{shard:05d}-of-{shards:05d}.parquet"
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            shard_rows = islice(stream, ROWS_PER_SHARD)
            while group := list(islice(shard_rows, ROWS_PER_GROUP)):
                writer.write_table(pa.Table.from_pylist(group, schema=schema))
                written += len(group)
    if written != count or next(stream, None) is not None:
        raise ValueError(f"{folder.name}, {split}: {count:,} rows announced, others came")


def write_card(path: Path, record: dict[str, Any]) -> None:
    """Write the card of RNA-QA with the figures of a build's record (see `rfam.build`)."""
    before, _, rest = CARD.read_text(encoding="utf-8").partition(FIGURES_BEGIN)
    _, found, after = rest.partition(FIGURES_END)
    if not found:
        raise ValueError(f"{CARD}: expected the lines {FIGURES_BEGIN!r} and {FIGURES_END!r}")
    figures = "\n".join([FIGURES_BEGIN, "", *_format_figures(record), "", FIGURES_END])
    path.write_text(before + figures + after, encoding="utf-8")


def _format_figures(record: dict[str, Any]) -> list[str]:
    lines = [
        "| split | RNAs | families | clusters | questions |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for split in SPLITS:
        rnas, questions = record["counts"]["annotations"][split], record["counts"]["qa"][split]
        figures = (rnas["rows"], rnas["families"], rnas["clusters"], questions["rows"])
        lines.append(f"| `{split}` | " + " | ".join(f"{figure:,}" for figure in figures) + " |")
    read, options = record["read"], record["options"]
    lines += [
        "",
        f"Read: {read['families']:,} families with {read['sequences']:,} sequences, of which "
        f"{read['duplicates']:,} were identical to another of their family; left out with a "
        f"reason in `build.json`: {len(record['problems']):,} records. Clusters by "
        f"{record['clustering']}, random seed {options['random_seed']}. SHA-256 of the sources: "
        + ", ".join(f"{name} `{digest}`" for name, digest in record["sha256"].items())
        + ".",
    ]
    return lines
