"""RNA-QA on disk: Parquet shards of a fixed schema, and the card that makes them loadable."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rnagpt.rna_qa.splits import SPLITS


ROWS_PER_SHARD = 100_000
ROWS_PER_GROUP = 10_000
CARD = Path(__file__).resolve().parents[1] / "dataset_card.md"
COUNTS_BEGIN, COUNTS_END = "<!-- counts of the build -->", "<!-- end of counts -->"

ANNOTATIONS = pa.schema(
    [
        ("id", pa.string()),
        ("sequence", pa.string()),
        ("rna_type", pa.string()),
        ("family", pa.string()),
        ("family_accession", pa.string()),
        ("family_description", pa.string()),
        ("clan", pa.string()),
        ("organism", pa.string()),
        ("annotation", pa.string()),
        ("evidence", pa.list_(pa.string())),
        ("cluster", pa.int32()),
        ("split", pa.string()),
    ]
)
QA = pa.schema(
    [
        ("id", pa.string()),
        ("sequence", pa.string()),
        ("question", pa.string()),
        ("answer", pa.string()),
        ("evidence", pa.list_(pa.string())),
        ("category", pa.string()),
        ("family", pa.string()),
        ("rna_type", pa.string()),
        ("split", pa.string()),
    ]
)


def write_split(
    folder: Path, split: str, rows: Iterable[dict[str, Any]], count: int, schema: pa.Schema
) -> None:
    """Write `count` rows as ``folder/split-00000-of-0000N.parquet``; the same rows give the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    shards = max(1, -(-count // ROWS_PER_SHARD))
    stream = iter(rows)
    for shard in range(shards):
        path = folder / f"{split}-{shard:05d}-of-{shards:05d}.parquet"
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for group in _groups(islice(stream, ROWS_PER_SHARD)):
                writer.write_table(pa.Table.from_pylist(group, schema=schema))
    if next(stream, None) is not None:
        raise ValueError(f"{folder.name}, {split}: more rows than the {count:,} that were announced")


def _groups(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while group := list(islice(rows, ROWS_PER_GROUP)):
        yield group


def write_card(path: Path, counts: dict[str, dict[str, dict[str, int]]]) -> None:
    """Write the card of RNA-QA with a table of `counts` (configuration → split → {"rows", "rnas"})."""
    card = CARD.read_text(encoding="utf-8")
    before, found, rest = card.partition(COUNTS_BEGIN)
    _, found_end, after = rest.partition(COUNTS_END)
    if not (found and found_end):
        raise ValueError(f"{CARD}: the lines {COUNTS_BEGIN!r} and {COUNTS_END!r} are missing")
    table = ["| split | RNAs | families | clusters | questions |", "| --- | ---: | ---: | ---: | ---: |"]
    for split in SPLITS:
        figures = counts["annotations"].get(split, {})
        cells = [f"{figures.get(name, 0):,}" for name in ("rows", "families", "clusters")]
        questions = counts["qa"].get(split, {}).get("rows", 0)
        table.append(f"| {split} | {' | '.join(cells)} | {questions:,} |")
    text = "\n".join([COUNTS_BEGIN, "", *table, "", COUNTS_END])
    path.write_text(before + text + after, encoding="utf-8")
