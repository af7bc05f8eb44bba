"""RNA-QA on disk: Parquet shards of a fixed schema, and the card that makes them loadable."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rnagpt.rna_qa.rfam.downloads import hash_file
from rnagpt.rna_qa.splits import SPLITS

ROWS_PER_SHARD = 100_000
ROWS_PER_GROUP = 10_000  # in memory at a time
CARD = Path(__file__).resolve().parents[1] / "dataset_card.md"
FIGURES_BEGIN, FIGURES_END = "<!-- figures of the build -->", "<!-- end of the figures -->"
CONFIGURATIONS = ("qa", "annotations")  # the first that a build has is loaded by default

_SHARD = re.compile(r"(?P<configuration>\w+)/(?P<split>\w+)-\d{5}-of-\d{5}\.parquet")
_CONFIGS = re.compile(r"^configs:\n(?:[ ].*\n)*", re.MULTILINE)
_SIZE = re.compile(r"^size_categories: \[.*\]$", re.MULTILINE)
_EXAMPLE = re.compile(r'load_dataset\("OUT", "(?P<configuration>\w+)", split="(?P<split>\w+)"\)')

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

    Without rows no file is written: `datasets` loads no configuration of which a split is empty.

    Raises:
        ValueError: if `rows` holds another number of rows.
    """
    shards = -(-count // ROWS_PER_SHARD)
    stream = iter(rows)
    written = 0
    for shard in range(shards):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{split}-{shard:05d}-of-{shards:05d}.parquet"
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            shard_rows = islice(stream, ROWS_PER_SHARD)
            while group := list(islice(shard_rows, ROWS_PER_GROUP)):
                writer.write_table(pa.Table.from_pylist(group, schema=schema))
                written += len(group)
    if written != count or next(stream, None) is not None:
        raise ValueError(f"{folder.name}, {split}: {count:,} rows announced, others came")


def hash_shards(folder: Path) -> dict[str, str]:
    """SHA-256 of each Parquet file of a build, by its path in the folder."""
    paths = sorted(folder.glob("*/*.parquet"))
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in paths}


def splits_of(files: Iterable[str], configuration: str) -> list[str]:
    """The splits of a configuration that have a file, in the order of the files."""
    found = (match for match in map(_SHARD.fullmatch, files) if match)
    return list(dict.fromkeys(m["split"] for m in found if m["configuration"] == configuration))


def describe_configurations(
    files: Mapping[str, str], order: Sequence[str], splits: Sequence[str]
) -> Iterator[str]:
    """The card's lines of YAML after ``configs:``, one block per configuration that has files.

    The description holds a hash of the files. `datasets` tells one state of a folder from another
    only by the card: without it, a new build would be read from the old one's cache.

    Args:
        files: of `hash_shards`.
        order: of the configurations; the first that is there is the default.
        splits: the order of the splits.
    """
    default = True
    for configuration in order:
        there = splits_of(files, configuration)
        if not there:
            continue
        yield f"  - config_name: {configuration}"
        yield f'    description: "SHA-256 of its files: {hash_configuration(files, configuration)}"'
        if default:
            yield "    default: true"
            default = False
        yield "    data_files:"
        for split in sorted(there, key=splits.index):
            yield f'      - {{split: {split}, path: "{configuration}/{split}-*.parquet"}}'


def hash_configuration(files: Mapping[str, str], configuration: str) -> str:
    """One SHA-256 for all files of a configuration: of their paths and hashes."""
    digest = hashlib.sha256()
    for path in sorted(files):
        if path.startswith(f"{configuration}/"):
            digest.update(f"{path} {files[path]}\n".encode())
    return digest.hexdigest()


def size_category(rows: int) -> str:
    """The Hub's word for a number of rows."""
    bounds = (("n<1K", 1e3), ("1K<n<10K", 1e4), ("10K<n<100K", 1e5), ("100K<n<1M", 1e6))
    return next((name for name, bound in bounds if rows < bound), "1M<n<10M")


def fit_examples(card: str, files: Iterable[str]) -> str:
    """The card with examples of code that work: of configurations and splits that are there."""
    files = list(files)

    def fit(line: str) -> str:
        example = _EXAMPLE.search(line)
        if example is None:
            return line
        there = splits_of(files, example["configuration"])
        if not there or example["split"] in there:
            return line if there else ""
        first = "train" if "train" in there else there[0]
        return line.replace(f'split="{example["split"]}"', f'split="{first}"')

    return "".join(map(fit, card.splitlines(keepends=True)))


def write_card(path: Path, record: dict[str, Any]) -> None:
    """Write the card of RNA-QA with the figures of a build's record (see `rfam.build`)."""
    before, _, rest = CARD.read_text(encoding="utf-8").partition(FIGURES_BEGIN)
    _, found, after = rest.partition(FIGURES_END)
    if not found:
        raise ValueError(f"{CARD}: expected the lines {FIGURES_BEGIN!r} and {FIGURES_END!r}")
    figures = "\n".join([FIGURES_BEGIN, "", *_format_figures(record), "", FIGURES_END])
    files = record["files"]
    configs = "\n".join(["configs:", *describe_configurations(files, CONFIGURATIONS, SPLITS), ""])
    text, replaced = _CONFIGS.subn(lambda _: configs, before + figures + after, count=1)
    if not replaced:
        raise ValueError(f"{CARD}: expected the configurations, 'configs:', in the front matter")
    rows = sum(figures["rows"] for figures in record["counts"]["qa"].values())
    text = _SIZE.sub(f"size_categories: [{size_category(rows)}]", text, count=1)
    path.write_text(fit_examples(text, files), encoding="utf-8")


def _format_figures(record: dict[str, Any]) -> list[str]:
    lines = [
        "| split | RNAs | families | clusters | questions |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for split in SPLITS:
        rnas, questions = record["counts"]["annotations"][split], record["counts"]["qa"][split]
        figures = (rnas["rows"], rnas["families"], rnas["clusters"], questions["rows"])
        lines.append(f"| `{split}` | " + " | ".join(f"{figure:,}" for figure in figures) + " |")
    counts = record["counts"]["annotations"]
    if empty := [f"`{split}`" for split in SPLITS if not counts[split]["rows"]]:
        lines += ["", f"No RNA fell into {', '.join(empty)}: there is no such split to load."]
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
