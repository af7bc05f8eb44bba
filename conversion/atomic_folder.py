"""A folder that is either whole or not there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rnagpt.conversion import WeightsError


@contextmanager
def atomic_folder(out: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give the empty folder `OUT.partial` to write into, and rename it to `out` at the end.

    When the block raises, what it wrote is removed; what a killed run left behind is removed by
    the next one. `out` is therefore never half written.

    Args:
        out: the folder to make.
        overwrite: replace `out` if it is a model folder (one with a config.json) already.

    Raises:
        WeightsError: if `out` is there, not empty, and not to be replaced.
    """
    _check_replaceable(out, overwrite)
    partial = out.with_name(out.name + ".partial")
    _remove(partial)
    partial.mkdir(parents=True)
    try:
        yield partial
        _put_in_place(partial, out)
    finally:
        _remove(partial)


def _check_replaceable(out: Path, overwrite: bool) -> None:
    if not out.name:
        raise WeightsError(
            f"{out} has no name of its own; give a folder to write, such as ./rna-gpt."
        )
    if out.exists() and not out.is_dir():
        raise WeightsError(f"{out} is a file; give the name of a folder to write.")
    if not out.exists() or not any(out.iterdir()):
        return
    if not overwrite:
        raise WeightsError(f"{out} is not empty; choose another folder, or add --overwrite.")
    if not (out / "config.json").is_file():
        raise WeightsError(
            f"{out} holds no config.json, so it is not a model folder and is not replaced; "
            "choose another folder."
        )


def _put_in_place(partial: Path, out: Path) -> None:
    replaced = out.with_name(out.name + ".replaced")
    _remove(replaced)
    if out.exists():
        out.rename(replaced)
    partial.rename(out)
    _remove(replaced)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


__all__ = ["atomic_folder"]
