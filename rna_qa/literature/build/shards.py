"""Crash-safe shards on disk: JSON lines with a sidecar that names what they were made of."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class Sidecar:
    """What a finished shard was made of and what it holds.

    `fingerprint` is of everything that decides its content, `sha256` of its lines; `corpus` and
    `corpus_sha256` say of which corpus, and of which of its records, the first stage made it.
    """

    fingerprint: str
    sha256: str
    counts: Mapping[str, int] = field(default_factory=dict)
    corpus: str = ""
    corpus_sha256: str = ""


class DiskFullError(OSError):
    """There is no room for a file; what was being written is gone, all else stands."""


@contextmanager
def full_disk_explained(path: Path) -> Iterator[None]:
    """Turn the errors of a full disk into one that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise DiskFullError(
                f"no room for {path}: {error.strerror}; make room and run the same command again: "
                "it resumes from here"
            ) from error
        raise


def shard_path(work: Path, stage: str, shard: int) -> Path:
    """The file of a shard, for example ``topics/00003.jsonl.gz``."""
    return work / stage / f"{shard:05d}.jsonl.gz"


def read_sidecar(path: Path) -> Sidecar | None:
    """What is known of a shard; None where it is not finished."""
    try:
        text = _sidecar_path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return Sidecar(**json.loads(text)) if path.exists() else None


def discard(path: Path) -> None:
    """Have a shard made again, should it be finished."""
    _sidecar_path(path).unlink(missing_ok=True)


def write_sidecar(path: Path, sidecar: Sidecar) -> None:
    atomic_write(_sidecar_path(path), (json.dumps(asdict(sidecar)) + "\n").encode())


def write_shard(path: Path, lines: Iterable[str], describe: Callable[[str], Sidecar]) -> Sidecar:
    """Write the lines as a whole file or not at all; the same lines give the same bytes.

    Args:
        describe: Called when all lines are written, with their SHA-256: whoever makes the lines
            may count meanwhile.

    Raises:
        DiskFullError: if there is no room.
    """
    digest = hashlib.sha256()
    # First of all: an old sidecar must never stand next to a new file.
    _sidecar_path(path).unlink(missing_ok=True)
    # Neither a name nor a time in the header.
    with _whole_file(path) as file, gzip.GzipFile("", "wb", 6, file, mtime=0) as zipped:
        for line in lines:
            data = line.encode() + b"\n"
            digest.update(data)
            zipped.write(data)
    sidecar = describe(digest.hexdigest())
    write_sidecar(path, sidecar)
    return sidecar


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a shard, in order."""
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        for line in file:
            yield line.rstrip("\n")


def atomic_write(path: Path, content: bytes) -> None:
    """Put `content` at `path`: at every moment the old file is there or the new one, whole."""
    with _whole_file(path) as file:
        file.write(content)


def clean_partials(work: Path) -> None:
    """Delete what writers that were killed left half-written."""
    for path in work.rglob("*.partial-*"):
        path.unlink(missing_ok=True)


def _sidecar_path(path: Path) -> Path:
    return path.with_name(path.name.partition(".")[0] + ".json")


@contextmanager
def _whole_file(path: Path) -> Iterator[io.BufferedWriter]:
    with full_disk_explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
        try:
            with partial.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make renames in the folder outlive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


__all__ = [
    "DiskFullError",
    "Sidecar",
    "atomic_write",
    "clean_partials",
    "discard",
    "full_disk_explained",
    "read_lines",
    "read_sidecar",
    "shard_path",
    "write_shard",
    "write_sidecar",
]
