"""Checks for what is never uploaded: secrets, pickles, paths of this machine, links."""

from __future__ import annotations

import contextlib
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from rnagpt.hub import PublishError
from rnagpt.hub.manifest import Manifest, PlannedFile

MAX_PROBLEMS_SHOWN = 12
LARGEST_TEXT = 20_000_000  # bytes; larger files are data, of which nothing is read as text

# Formats that can run code when they are loaded.
PICKLE_SUFFIXES = frozenset(
    (".bin", ".ckpt", ".dill", ".joblib", ".npy", ".npz", ".pickle", ".pkl", ".pt", ".pth")
)
SECRET_NAMES = re.compile(
    r"\.?env(\..+)?|\.?netrc|id_(rsa|dsa|ecdsa|ed25519)|.+\.(pem|key|p12|pfx)|credentials(\.json)?"
)
# Beginnings that their services document, so that leaked ones can be found.
SECRETS = {
    "a Hugging Face token": re.compile(r"\bhf_[A-Za-z0-9]{30,}\b"),
    "an OpenAI key": re.compile(r"\bsk-(?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{20,}"),
    "an AWS key": re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    "a GitHub token": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{22,})\b"),
    "a Slack token": re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}"),
    "a Google key": re.compile(r"\bAIza[A-Za-z0-9_-]{35}\b"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
}
# Folders that exist on one machine only; a text that is nothing but a path counts wherever it
# points.
MACHINE_PATH = re.compile(
    r"(?<![\w.:/~$}-])/(?:home|Users|root|mnt|tmp|scratch|data|nfs|gpfs|lustre|private|var|opt|srv)"
    r"/[\w.-]+|\b[A-Za-z]:\\(?:Users|Documents)\b"
)
ABSOLUTE_VALUE = re.compile(r"/[\w.@+-]+(?:/[\w.@+-]+)+/?|[A-Za-z]:\\[\w.\\ -]+")
# Their strings are the words of a language, some of which look like paths.
VOCABULARIES = frozenset(("tokenizer.json", "vocab.json", "vocab.txt", "merges.txt"))


def reject(manifest: Manifest) -> None:
    """Raise if a file of the manifest must not be published.

    Raises:
        PublishError: naming each file, what is wrong with it (never the secret itself) and how to
            fix it.
    """
    problems = [problem for file in manifest.files for problem in find_problems(file)]
    if not problems:
        return
    shown = [f"  {problem}" for problem in problems[:MAX_PROBLEMS_SHOWN]]
    if len(problems) > MAX_PROBLEMS_SHOWN:
        shown.append(f"  and {len(problems) - MAX_PROBLEMS_SHOWN} more")
    raise PublishError("Nothing was uploaded, because of\n" + "\n".join(shown))


def find_problems(file: PlannedFile) -> Iterator[str]:
    """What speaks against publishing a file, a sentence each."""
    name = PurePosixPath(file.path).name
    if SECRET_NAMES.fullmatch(name):
        yield f"{file.path}: files of this name hold secrets; move it out of the folder."
        return
    if isinstance(file.source, Path) and file.source.is_symlink():
        yield f"{file.path}: a link; put the file itself there, or move the link away."
        return
    if is_pickle(file):
        yield (
            f"{file.path}: a pickle can run code when it is loaded; keep it out of the folder, or "
            "store its tensors as safetensors."
        )
        return
    text = read_text(file)
    if text is not None:
        yield from _secrets_in(file.path, text)
        if name not in VOCABULARIES:
            yield from _paths_in(file.path, text)


def is_pickle(file: PlannedFile) -> bool:
    """By its name, or by its content: a pickle of protocol 2 or later, or a zip with one inside."""
    if PurePosixPath(file.path).suffix.lower() in PICKLE_SUFFIXES:
        return True
    start = file.read(2)
    if len(start) == 2 and start[0] == 0x80 and 2 <= start[1] <= 5:
        # A file of safetensors begins with the length of its header, which may look alike.
        return not file.path.endswith(".safetensors")
    if start != b"PK":
        return False
    source = file.source if isinstance(file.source, Path) else io.BytesIO(file.source)
    try:
        with zipfile.ZipFile(source) as archive:
            return any(name.endswith(".pkl") for name in archive.namelist())
    except zipfile.BadZipFile:
        return False


def read_text(file: PlannedFile) -> str | None:
    """The content if it is text; None for data, and for texts that are too long to be written."""
    if file.size > LARGEST_TEXT or b"\0" in file.read(4096):
        return None
    try:
        return file.text()
    except UnicodeDecodeError:
        return None


def _secrets_in(path: str, text: str) -> Iterator[str]:
    for what, pattern in SECRETS.items():
        found = pattern.search(text)
        if found:
            line = text.count("\n", 0, found.start()) + 1
            yield f"{path}, line {line}: holds {what}; remove it, and revoke it where it is valid."


def _paths_in(path: str, text: str) -> Iterator[str]:
    for value in _texts_of(path, text):
        if found := ABSOLUTE_VALUE.fullmatch(value) or MACHINE_PATH.search(value):
            remedy = "make it relative, a Hub id, or null."
            yield f"{path}: names {found[0]}, a path of this machine; {remedy}"
            return


def _texts_of(path: str, text: str) -> Iterator[str]:
    """The whole text; of JSON the strings that are values."""
    values: list[Any] = []
    if path.endswith(".json"):
        with contextlib.suppress(json.JSONDecodeError):  # else it is read as any other text
            values = [json.loads(text)]
    if not values:
        yield text
    while values:
        value = values.pop()
        if isinstance(value, dict):
            values.extend(value.values())
        elif isinstance(value, list):
            values.extend(value)
        elif isinstance(value, str):
            yield value
