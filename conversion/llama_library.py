"""llama.cpp, by llama-cpp-python's low-level functions: whether it is there, and its tokenizer."""

from __future__ import annotations

import ctypes
import importlib.util
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from rnagpt.conversion import WeightsError

INSTALL = "pip install 'rna-gpt[cpu]'"
logger = logging.getLogger(__name__)
_LEVELS = {4: logging.ERROR, 3: logging.INFO}  # of ggml's log levels


class LlamaMissingError(WeightsError):
    """llama.cpp is not installed, or cannot be loaded."""


def is_installed() -> bool:
    """Whether llama-cpp-python is installed; it is not loaded."""
    return importlib.util.find_spec("llama_cpp") is not None


def require_llama() -> None:
    """See that llama-cpp-python is installed; it is not loaded.

    Raises:
        LlamaMissingError: it is not.
    """
    if not is_installed():
        raise LlamaMissingError(_missing("it is not installed"))


def _missing(reason: object) -> str:
    return (
        f"llama.cpp is needed, and cannot be loaded ({reason}). Install it with {INSTALL}; it is "
        "compiled for this machine, which takes some minutes and a C++ compiler."
    )


@cache
def llama_library() -> Any:
    """The module `llama_cpp`, made quiet: what llama.cpp says goes to Python's log.

    Raises:
        LlamaMissingError: it is not installed, or does not load.
    """
    try:
        import llama_cpp
    except (ImportError, OSError, RuntimeError) as error:
        raise LlamaMissingError(_missing(error)) from error
    llama_cpp.llama_log_set(_LOG, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    return llama_cpp


def _log(level: int, text: bytes | None, _: object) -> None:
    said = (text or b"").decode("utf-8", errors="replace").strip()
    if said:
        logger.log(_LEVELS.get(level, logging.DEBUG), said)


# Kept, since llama.cpp calls it as long as the process runs.
_LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(_log)


class Vocabulary:
    """llama.cpp's tokenizer of a file."""

    def __init__(self, vocabulary: Any) -> None:
        self._vocabulary = vocabulary

    def tokenize(self, text: str) -> list[int]:
        """The tokens of a text, in which special tokens are read as such; none is added."""
        library, raw = llama_library(), text.encode("utf-8")
        room = len(raw) + 16
        tokens = (library.llama_token * room)()
        count = library.llama_tokenize(self._vocabulary, raw, len(raw), tokens, room, False, True)
        return list(tokens[:count])


@contextmanager
def read_vocabulary(file: Path) -> Iterator[Vocabulary]:
    """The tokenizer of a GGUF file, whose weights are left there.

    Raises:
        WeightsError: llama.cpp cannot read it.
    """
    library = llama_library()
    settings = library.llama_model_default_params()
    settings.vocab_only = True
    model = library.llama_model_load_from_file(str(file).encode(), settings)
    if not model:
        raise WeightsError(f"llama.cpp cannot read the tokenizer in {file}.")
    try:
        yield Vocabulary(library.llama_model_get_vocab(model))
    finally:
        library.llama_model_free(model)


__all__ = [
    "INSTALL",
    "LlamaMissingError",
    "Vocabulary",
    "is_installed",
    "llama_library",
    "read_vocabulary",
    "require_llama",
]
