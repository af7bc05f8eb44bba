"""A finished RNA-QA, read back."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from rnagpt.rna_qa.literature.build.settings import RunOptions

ONE = RunOptions(workers=1)


def read_rows(folder: Path, configuration: str, split: str = "*") -> list[dict[str, Any]]:
    files = sorted((folder / configuration).glob(f"{split}-*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def read_bytes(folder: Path) -> dict[str, bytes]:
    """The finished data set: all files but those of the work."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".work" not in path.parts
    }
