"""The folder of a finished data set: what may be written to it, and how it comes to be there."""

import json
import shutil
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from rnagpt.rna_qa.literature.build.shards import atomic_write

RECORD = "build.json"
REFERENCE = "reference"  # the folder in which the data set's RNAs can be searched


def check_output_dir(out: Path, work: str, configurations: Collection[str]) -> None:
    """Reject a folder that holds anything but a build.

    Args:
        work: The folder that a build of this kind works in: other names are its own only next to
            that one.
        configurations: Of the data set.

    Raises:
        FileExistsError: if `out` holds something else.
    """
    names = {path.name for path in out.iterdir()} if out.exists() else set()
    if others := names - (
        {work, "README.md", RECORD, REFERENCE, *configurations} if work in names else set()
    ):
        raise FileExistsError(
            f"{out} holds files of something else ({min(others)}); choose an empty folder"
        )


def read_record(out: Path) -> dict[str, Any] | None:
    """The record of a finished build; None where there is none."""
    path = out / RECORD
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def move_into_place(
    made: Path, out: Path, configurations: Iterable[str], record: Mapping[str, Any]
) -> None:
    """Move a data set from the folder where it was made to `out`; ``build.json``, its record, last.

    What is there without a record is no finished data set.
    """
    (out / RECORD).unlink(missing_ok=True)
    for name in (*configurations, REFERENCE):
        shutil.rmtree(out / name, ignore_errors=True)
        if (made / name).exists():
            (made / name).rename(out / name)
    (made / "README.md").replace(out / "README.md")
    text = json.dumps(record, indent=2, ensure_ascii=False)
    atomic_write(out / RECORD, f"{text}\n".encode())
    shutil.rmtree(made)


__all__ = ["REFERENCE", "check_output_dir", "move_into_place", "read_record"]
