"""Columns of a data set: do they hold text, in every row?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, Value

_TEXTS = ("string", "large_string", "string_view")


_NAMED = 5  # rows that an error names


def check_columns(rows: Dataset, columns: Sequence[str], name: str) -> None:
    """Check that columns are there.

    Args:
        rows, name: as of `check_texts`.

    Raises:
        ValueError: naming those that are lacking, and those that there are.
    """
    if missing := [column for column in columns if column not in rows.column_names]:
        raise ValueError(
            f"The columns {', '.join(columns)} are needed; {name} lacks {', '.join(missing)} "
            f"and has {', '.join(rows.column_names)}."
        )


def check_texts(rows: Dataset, columns: Sequence[str], name: str) -> None:
    """Check that columns hold text, and that no row is without.

    Args:
        rows: of one split.
        columns: to check; `id` may hold whole numbers.
        name: of the data set, for the error.

    Raises:
        ValueError: naming the column, what it holds, or the rows that lack it.
    """
    for column in columns:
        check_type(rows, column, name)
        if len(missing := rows_without_text(rows, column)):
            named = ", ".join(map(str, missing[:_NAMED])) + ", …" * (len(missing) > _NAMED)
            raise ValueError(
                f"{len(missing):,} of {len(rows):,} rows of {name} have an empty {column}, or "
                f"none: {named} (counted from 0). Fill them, or leave these rows out."
            )


def check_type(rows: Dataset, column: str, name: str) -> None:
    kind = rows.features[column]
    is_number = isinstance(kind, Value) and "int" in kind.dtype
    if not holds_text(kind) and not (column == "id" and is_number):
        raise ValueError(
            f"The column {column!r} of {name} must hold one text a row; it holds {kind}. "
            "Turn it into text, or choose another column."
        )


def holds_text(kind: Any) -> bool:
    # A column that is null in every row has no type of its own.
    return isinstance(kind, Value) and kind.dtype in (*_TEXTS, "null")


def rows_without_text(rows: Dataset, column: str) -> np.ndarray:
    """Numbers of the rows where a column is null or blank."""
    values = rows.select_columns([column]).with_format("arrow")[:][column]
    texts = pc.utf8_trim_whitespace(values.cast(pa.large_string()))
    return np.flatnonzero(pc.fill_null(pc.equal(texts, ""), True).to_numpy())


__all__ = ["check_columns", "check_texts", "check_type", "holds_text", "rows_without_text"]
