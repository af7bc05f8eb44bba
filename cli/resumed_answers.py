"""A file of answers that an interrupted run left, and the next one goes on with.

Beside FILE, a line for each answer, lies FILE.settings: what they were asked with. A run with other
RNAs, questions or settings is rejected, since it would mix its answers with those.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from rnagpt.cleaning_rnagpt import CleanedRna


class ResumedAnswers:
    """A file that answers are appended to; a context manager, in which nobody else may write it.

    Args:
        file: of one JSON object per line.
        settings: of this run: what its answers depend on.
        rnas: that are asked about.
        questions: that are asked of each.

    Attributes:
        done: answers that are there already, from the first on.

    Raises:
        ValueError: another run writes the file; it is of other settings, or was not written by
            `--resume`. It is as before.
        OSError: it cannot be read or written.
    """

    def __init__(
        self,
        file: Path,
        settings: dict[str, Any],
        rnas: Sequence[CleanedRna],
        questions: Sequence[str],
    ) -> None:
        self.file = file
        self._settings_file = file.with_name(f"{file.name}.settings")
        self._settings = {**settings, "questions": list(questions), "rnas": digest(rnas)}
        self._rnas, self._questions = rnas, questions
        self._lock = FileLock(f"{file}.lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise ValueError(f"{file} is being written by another `rnagpt chat`.") from error
        try:
            self.done = self._begin()
            self.stream: IO[str] = file.open("a", encoding="utf-8", newline="\n")
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> ResumedAnswers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stream.close()
        self._lock.release()

    def _begin(self) -> int:
        """Compare what is there with this run, and cut a torn last line off; how much is done."""
        if self.file.exists() and self.file.stat().st_size:
            self._check_settings()
            done, length = self._count()
            if length < self.file.stat().st_size:
                os.truncate(self.file, length)
            return done
        partial = self._settings_file.with_name(f"{self._settings_file.name}.partial")
        partial.write_text(json.dumps(self._settings, indent=2) + "\n", encoding="utf-8")
        os.replace(partial, self._settings_file)
        return 0

    def _check_settings(self) -> None:
        advice = f"Give --resume another file, or delete {self.file} to begin again."
        try:
            stored = json.loads(self._settings_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ValueError(
                f"{self.file} is there, and was not written by --resume: {self._settings_file} is "
                f"missing. {advice}"
            ) from None
        except ValueError as error:
            raise ValueError(f"{self._settings_file} is no JSON: {error}. {advice}") from error
        names = [*self._settings, *(name for name in stored if name not in self._settings)]
        other = [name for name in names if stored.get(name) != self._settings.get(name)]
        if not other:
            return
        told = [
            "the RNAs" if name == "rnas" else _difference(name, stored, self._settings)
            for name in other
        ]
        raise ValueError(f"{self.file} was begun otherwise: {'; '.join(told)} differ. {advice}")

    def _count(self) -> tuple[int, int]:
        """Whole lines, each checked to be of the RNA and question in its place, and their bytes."""
        done = length = 0
        total = len(self._rnas) * len(self._questions)
        with self.file.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break  # torn: the run was stopped while it was written
                if done < total:
                    self._check_line(line, done)
                elif line.strip():
                    raise ValueError(f"{self.file} has more lines than the {total:,} answers.")
                done += 1
                length += len(line)
        return done, length

    def _check_line(self, line: bytes, done: int) -> None:
        record, place = divmod(done, len(self._questions))
        expected = (record + 1, len(self._rnas[record].sequence), self._questions[place])
        try:
            row = json.loads(line)
            found = (row["record"], row["length"], row["question"])
        except (ValueError, KeyError, TypeError):
            found = None
        if found != expected:
            raise ValueError(
                f"Line {done + 1} of {self.file} is not the answer to {self._questions[place]!r} "
                f"about record {record + 1}: the file was changed. Delete it to begin again."
            )


def _difference(name: str, stored: dict[str, Any], given: dict[str, Any]) -> str:
    return f"{name} ({json.dumps(stored.get(name))} there, {json.dumps(given.get(name))} now)"


def digest(rnas: Sequence[CleanedRna]) -> str:
    """Of names and sequences, in their order."""
    total = hashlib.sha256()
    for rna in rnas:
        total.update(f"{rna.name}\t{rna.sequence}\n".encode())
    return total.hexdigest()


__all__ = ["ResumedAnswers", "digest"]
