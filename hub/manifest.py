"""Files of a publication, their sizes, and what is left out."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnagpt.hub import PublishError

CARD = "README.md"
# Files of tools, which nobody means to publish; they are shown as left out.
LEFT_OUT_FOLDERS = frozenset({"__pycache__", "__MACOSX"})
LEFT_OUT_FILES = frozenset({"Thumbs.db", "desktop.ini"})


@dataclass(frozen=True)
class PlannedFile:
    """One file to upload.

    Attributes:
        path: within the repository, with forward slashes.
        source: the local file, or the content itself.
    """

    path: str
    source: Path | bytes

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size

    def read(self, max_bytes: int = -1) -> bytes:
        """The content, or its first `max_bytes` bytes."""
        if isinstance(self.source, bytes):
            return self.source[: max_bytes if max_bytes >= 0 else None]
        with self.source.open("rb") as file:
            return file.read(max_bytes)

    def text(self) -> str:
        return self.read().decode("utf-8")

    def json(self) -> Any:
        return json.loads(self.read())

    def sha256(self) -> str:
        """Hexadecimal, as the Hub names LFS files."""
        if isinstance(self.source, bytes):
            return hashlib.sha256(self.source).hexdigest()
        with self.source.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Manifest:
    """The files of a publication, in the order of their paths, and what is left out of a folder."""

    files: tuple[PlannedFile, ...]
    left_out: tuple[str, ...] = ()

    @property
    def paths(self) -> list[str]:
        return [file.path for file in self.files]

    @property
    def size(self) -> int:
        """Of all files together, in bytes."""
        return sum(file.size for file in self.files)

    def __contains__(self, path: str) -> bool:
        return path in self.paths

    def get(self, path: str) -> PlannedFile:
        """The file at a path.

        Raises:
            KeyError: if there is none.
        """
        for file in self.files:
            if file.path == path:
                return file
        raise KeyError(path)

    def with_file(self, path: str, content: bytes) -> Manifest:
        """The same with one file added or replaced."""
        others = [file for file in self.files if file.path != path]
        return make_manifest([*others, PlannedFile(path, content)], self.left_out)

    def with_json(self, path: str, content: Mapping[str, Any]) -> Manifest:
        """The same with a JSON file added or replaced."""
        text = json.dumps(content, indent=2, ensure_ascii=False)
        return self.with_file(path, f"{text}\n".encode())

    def link_into(self, folder: Path) -> None:
        """Lay the files out in an empty folder: written ones as they are, others as links."""
        for file in self.files:
            target = folder / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(file.source, bytes):
                target.write_bytes(file.source)
                continue
            try:
                target.symlink_to(file.source.absolute())
            except OSError:  # Windows allows links to administrators and developers only
                shutil.copyfile(file.source, target)


def make_manifest(files: Iterable[PlannedFile], left_out: Sequence[str] = ()) -> Manifest:
    return Manifest(tuple(sorted(files, key=lambda file: file.path)), tuple(left_out))


def plan_folder(folder: Path) -> Manifest:
    """All files of a folder, at any depth; hidden files and those of tools are left out.

    Raises:
        PublishError: if there is no such folder, or it holds nothing.
    """
    if not folder.is_dir():
        raise PublishError(f"{folder} is no folder; give the folder to publish.")
    files, left_out = [], []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if _is_left_out(relative):
            # Of a folder its name says enough.
            if not _is_left_out(relative.parent):
                left_out.append(relative.as_posix() + ("/" if path.is_dir() else ""))
        elif path.is_file():
            files.append(PlannedFile(relative.as_posix(), path))
    if not files:
        raise PublishError(f"{folder} holds no files to publish.")
    return make_manifest(files, left_out)


def _is_left_out(relative: Path) -> bool:
    hidden = any(part.startswith(".") for part in relative.parts)
    return hidden or bool(LEFT_OUT_FOLDERS & set(relative.parts)) or relative.name in LEFT_OUT_FILES


def format_size(size: int) -> str:
    """Bytes as people read them, in powers of ten as the Hub shows them: "1.2 MB"."""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def format_manifest(manifest: Manifest) -> str:
    """A line per file with its size, the sum, and what is left out."""
    sizes = [format_size(file.size) for file in manifest.files]
    width = max(map(len, [*sizes, format_size(manifest.size)]))
    lines = [
        f"  {size:>{width}}  {file.path}" + ("" if isinstance(file.source, Path) else "  (new)")
        for size, file in zip(sizes, manifest.files, strict=True)
    ]
    lines.append(f"  {format_size(manifest.size):>{width}}  in {len(manifest.files)} files")
    lines += [f"  {'–':>{width}}  {path}  (left out)" for path in manifest.left_out]
    return "\n".join(lines)
