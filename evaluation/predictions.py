"""Answers on disk: written as they come, found again by what was asked."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Row = dict[str, Any]


class PredictionFile:
    """A file of answers, one JSON object a line, that an interrupted run goes on with.

    Every row has a `key`, which tells it from all others. Only the lines' places are in memory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[str, int] = {}
        path.touch()
        self._file = path.open("r+b")
        end = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            self._places[self._key_of(line)] = end
            end += len(line)
        # The last line was being written when an earlier run was killed.
        os.truncate(path, end)

    def _key_of(self, line: bytes) -> str:
        row = json.loads(line)
        if "key" not in row:
            raise ValueError(
                f"{self.path} holds answers in an older form. Give another folder as OUT."
            )
        return row["key"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def append(self, row: Row) -> None:
        self._places[row["key"]] = self._file.seek(0, os.SEEK_END)
        self._file.write((json.dumps(row, ensure_ascii=False) + "\n").encode())
        self._file.flush()

    def read(self, keys: Iterable[str]) -> Iterator[Row]:
        """The rows of keys, in the keys' order."""
        for key in keys:
            self._file.seek(self._places[key])
            yield json.loads(self._file.readline())


__all__ = ["PredictionFile", "Row"]
