"""The language model of an RNA-GPT as a GGUF file in the user's cache, written on first use."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

from rnagpt.conversion import DEFAULT_GGUF_TYPE, WeightsError
from rnagpt.inference.default_model import resolve_model
from rnagpt.inference.model_config import hub_options
from rnagpt.reference.cache import cache_folder

FOLDER = "gguf"


def cached_gguf(
    name_or_path: str | None = None, *, file_type: str = DEFAULT_GGUF_TYPE, **options: Any
) -> Path:
    """A model's GGUF file, for llama.cpp to run: without tokens, which the processor has.

    Args:
        name_or_path, **options: as of `load_model`.
        file_type: one of `GGUF_TYPES`.

    Raises:
        OSError, ValueError, WeightsError: as of `load_model` and `export_gguf`.
    """
    name = resolve_model(name_or_path)
    folder = Path(name)
    if not folder.is_dir():
        from huggingface_hub import snapshot_download

        patterns = ["*.json", "*.safetensors", "*.jinja", "*.py", "*.txt", "*.model"]
        folder = Path(snapshot_download(name, allow_patterns=patterns, **hub_options(options)))
    file = cached_file(folder, file_type)
    if file.is_file():
        return file
    return _written(folder, file, file_type)


def _written(folder: Path, file: Path, file_type: str) -> Path:
    """The file, written unless another process was first; this alone loads PyTorch."""
    from filelock import FileLock

    from rnagpt.conversion.gguf_file import export_gguf
    from rnagpt.inference.loading import load_model, load_processor

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{file}.lock")
        lock.acquire()
    except OSError as error:
        raise WeightsError(
            f"The cache {file.parent} cannot be written ({error.strerror}); set RNAGPT_CACHE to a "
            "folder that can."
        ) from error
    with lock:
        if not file.is_file():
            print(f"Writing the language model for llama.cpp, once: {file}", file=sys.stderr)
            model = load_model(str(folder), dtype="auto", device_map="cpu")
            export_gguf(
                model, load_processor(str(folder)), file, file_type=file_type, has_tokenizer=False
            )
            _delete_older(file)
    return file


def cached_file(folder: Path, file_type: str) -> Path:
    """Where a model folder's GGUF file is, or will be; another one once its weights change."""
    where = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("*config.json")])
    stamps = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    version = hashlib.sha256(repr(stamps).encode()).hexdigest()[:12]
    return cache_folder() / FOLDER / f"{where}-{file_type}-{version}.gguf"


def _delete_older(file: Path) -> None:
    """What was written of weights that are no longer there."""
    prefix = file.name.rsplit("-", 1)[0]
    for other in file.parent.glob(f"{prefix}-*.gguf"):
        if other != file:
            other.unlink(missing_ok=True)
            Path(f"{other}.lock").unlink(missing_ok=True)


__all__ = ["cached_file", "cached_gguf"]
