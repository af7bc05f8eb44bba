"""RNA-GPT: ask questions about an RNA sequence.

The names below are loaded when they are first used, so that `import rnagpt` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .configuration_rnagpt import RnaGptConfig
    from .inference.batch import answer_questions
    from .inference.chat import RnaChat
    from .inference.embeddings import encode
    from .modeling_rnagpt import RnaGptForCausalLM, RnaGptModel
    from .processing_rnagpt import RnaGptProcessor, RnaSequenceError, clean_rna, tokenize_rna
    from .sequences.fasta import FastaError, FastaRecord, clean_rnas, read_fasta

_MODULE_OF = {
    "FastaError": "sequences.fasta",
    "FastaRecord": "sequences.fasta",
    "RnaChat": "inference.chat",
    "RnaGptConfig": "configuration_rnagpt",
    "RnaGptForCausalLM": "modeling_rnagpt",
    "RnaGptModel": "modeling_rnagpt",
    "RnaGptProcessor": "processing_rnagpt",
    "RnaSequenceError": "processing_rnagpt",
    "answer_questions": "inference.batch",
    "clean_rna": "processing_rnagpt",
    "clean_rnas": "sequences.fasta",
    "encode": "inference.embeddings",
    "read_fasta": "sequences.fasta",
    "tokenize_rna": "processing_rnagpt",
}

__all__ = [
    "FastaError",
    "FastaRecord",
    "RnaChat",
    "RnaGptConfig",
    "RnaGptForCausalLM",
    "RnaGptModel",
    "RnaGptProcessor",
    "RnaSequenceError",
    "__version__",
    "answer_questions",
    "clean_rna",
    "clean_rnas",
    "encode",
    "read_fasta",
    "tokenize_rna",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
