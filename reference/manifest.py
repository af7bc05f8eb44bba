"""Manifest of a reference: what it holds, where that comes from, and the hash of each file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rnagpt.reference import InvalidReferenceError

MANIFEST = "manifest.json"
FORMAT = 1  # raised when older programs could not read what is written
PROFILES, FAMILIES, SEEDS = "profiles.h3m.xz", "families.jsonl.xz", "seeds.sto.xz"
RNAS, SEQUENCES = "rnas.jsonl.xz", "sequences.fasta.xz"


@dataclass(frozen=True)
class Manifest:
    """What a reference holds.

    Attributes:
        name: what answers call it, such as "Rfam".
        release: of the source, such as "14.2"; empty where it is not known.
        licence: of the records, as an SPDX identifier; empty where it is not known.
        date: when it was built, ISO 8601.
        sources: names or addresses of what it was built from, with their SHA-256.
        programs: versions of the programs that built it.
        families, rnas: how many it holds.
        sequences: how many sequences its families were built from.
        engine: what finds single RNAs, one of `single_rnas.ENGINES`.
        files: size in bytes and SHA-256 of each file.
        format: of the folder.
    """

    name: str
    release: str
    licence: str
    date: str
    sources: Mapping[str, str]
    programs: Mapping[str, str]
    families: int
    rnas: int
    sequences: int
    engine: str
    files: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def key(self) -> str:
        """Tells references of different content apart, by the hashes of their files."""
        text = json.dumps([self.format, self.engine, sorted(self.files.items())])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def title(self) -> str:
        """Such as "Rfam 14.2"."""
        return f"{self.name} {self.release}".strip()

    def write(self, folder: Path) -> None:
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        (folder / MANIFEST).write_text(f"{text}\n", encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a reference, after checking that its files are there.

    Raises:
        InvalidReferenceError: `folder` is no finished reference, or one of another format, or a
            file is missing or was cut.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise InvalidReferenceError(
            f"{folder} is no reference, or one whose build has not ended: it has no {MANIFEST}. "
            "Give the folder `reference` of a build of RNA-QA, or run the build again."
        )
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = values["format"]
        files = {name: (int(size), str(sha)) for name, (size, sha) in values["files"].items()}
        manifest = Manifest(**values | {"files": files})
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidReferenceError(
            f"{path} is no manifest of a reference ({type(error).__name__}: {error}). Build the "
            "reference again, or copy it again whole."
        ) from error
    if version != FORMAT:
        raise InvalidReferenceError(
            f"{folder} is a reference of format {version}; this version of rnagpt reads format "
            f"{FORMAT}. "
            + ("Install a newer rnagpt." if version > FORMAT else "Build the reference again.")
        )
    for name, (size, _) in files.items():
        found = (folder / name).stat().st_size if (folder / name).is_file() else None
        if found != size:
            state = "is missing" if found is None else f"has {found:,} bytes, not {size:,}"
            raise InvalidReferenceError(
                f"{folder / name} {state}: the reference is damaged. Copy or build it again."
            )
    return manifest


def check_hash(folder: Path, name: str, manifest: Manifest) -> None:
    """Compare a file with its hash.

    Raises:
        InvalidReferenceError: they differ.
    """
    with (folder / name).open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != manifest.files[name][1]:
        raise InvalidReferenceError(
            f"{folder / name} is not the file that the manifest names (SHA-256 {found[:12]}…, "
            f"expected {manifest.files[name][1][:12]}…). Copy or build the reference again."
        )


def describe_file(path: Path) -> tuple[int, str]:
    """Size and SHA-256 of a file, as a manifest holds them."""
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


__all__ = [
    "FAMILIES",
    "FORMAT",
    "MANIFEST",
    "PROFILES",
    "RNAS",
    "SEEDS",
    "SEQUENCES",
    "Manifest",
    "check_hash",
    "describe_file",
    "read_manifest",
]
