"""Data sets as they are now, from a folder or by a Hub id, for training and evaluation.

`datasets` keeps what it has read, and knows a folder only by its name and its card: new rows under
the same card, and another folder of the same name, would be answered with the old rows. Here the
state of a folder's files belongs to what it is kept under.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from datasets import (
    Dataset,
    DatasetBuilder,
    DatasetDict,
    get_dataset_config_names,
    load_dataset_builder,
)
from datasets.exceptions import DatasetGenerationError

# What `Dataset.save_to_disk` leaves, which is no data set for `load_dataset`.
_SAVED = ("dataset_dict.json", "state.json")

logger = logging.getLogger(__name__)


def load_splits(name: str, config: str | None = None, usual: str | None = None) -> DatasetDict:
    """All splits of a configuration; one without rows has its columns and no row.

    Args:
        name: folder or Hub id.
        config: the configuration to load. None: `usual`, or the only one where there is but one.
        usual: the configuration that is loaded unless another is asked for. None: the data set's
            own default.

    Raises:
        ValueError: there is no such configuration, or its files cannot be read.
    """
    builder = _find_builder(name, config, usual)
    try:
        builder.download_and_prepare()
    except DatasetGenerationError as error:
        reason = str(error.__cause__ or error).split("\n", maxsplit=1)[0]
        raise ValueError(
            f"The configuration {builder.config.name!r} of {name!r} cannot be read: {reason}. "
            "All its files need the same columns, and rows."
        ) from error
    return DatasetDict({split: _rows(builder, split) for split in builder.info.splits or ()})


def choose_split(splits: DatasetDict, split: str, name: str, advice: str) -> Dataset:
    """The rows of a split.

    Args:
        splits: of `load_splits`.
        split: the one that is needed.
        name: of the data set, for the error.
        advice: what to do where it is missing or empty.

    Raises:
        ValueError: it is missing or empty.
    """
    there = [str(one) for one, rows in splits.items() if len(rows)]
    if split in there:
        return splits[split]
    what = f"has an empty split: {split}" if split in splits else f"has no split {split!r}"
    raise ValueError(f"{name!r} {what}; its splits are {', '.join(there) or 'all empty'}. {advice}")


def _find_builder(name: str, config: str | None, usual: str | None) -> DatasetBuilder:
    if any((Path(name) / file).is_file() for file in _SAVED):
        raise ValueError(
            f"{name!r} was written by save_to_disk. Write its splits as Parquet files instead: "
            "load_from_disk(FOLDER)['train'].to_parquet('NEW/train.parquet'), and name NEW."
        )
    wanted = config or usual
    try:
        return _builder(name, wanted)
    except ValueError as error:
        names = get_dataset_config_names(name)
        if wanted is None or wanted in names:
            raise
        if config is None and len(names) == 1:
            logger.info("%s has no configuration %s; %s is taken", name, wanted, names[0])
            return _builder(name, names[0])
        raise ValueError(
            f"{name!r} has no configuration {wanted!r}; its configurations are {', '.join(names)}."
        ) from error


def _builder(name: str, config: str | None) -> DatasetBuilder:
    """A builder whose cache is of the very files that are there."""
    builder = load_dataset_builder(name, config)
    files = sorted(_local_files(builder))
    if not files:
        return builder  # the Hub's, which are cached by their commit
    return load_dataset_builder(name, builder.config.name, description=_state_of(files))


def _local_files(builder: DatasetBuilder) -> Iterator[Path]:
    for paths in (builder.config.data_files or {}).values():
        yield from (Path(path) for path in paths if Path(path).is_file())


def _state_of(files: Sequence[Path]) -> str:
    """A hash that changes when a file is written again, even with the same size and time."""
    digest = hashlib.sha256()
    for file in files:
        stat = file.stat()
        digest.update(f"{file} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _rows(builder: DatasetBuilder, split: str) -> Dataset:
    splits: Any = builder.info.splits
    if splits[split].num_examples:
        return builder.as_dataset(split=split)  # type: ignore[return-value]  # of one split
    features: Any = builder.info.features or {}
    return Dataset.from_dict({column: [] for column in features}, features=builder.info.features)


__all__ = ["choose_split", "load_splits"]
