"""RNA-GPT: ask questions about an RNA sequence.

The names below are loaded when they are first used, so that `import rnagpt` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from .cleaning_rnagpt import MAX_RNA_LENGTH, CleanedRna, RnaSequenceError, clean_rna
    from .configuration_rnagpt import RnaGptConfig
    from .conversion.mini import load_bundled
    from .inference.attribution import explain_answer
    from .inference.batch import Answer, answer_questions
    from .inference.chat import RnaChat
    from .inference.embeddings import encode
    from .inference.loading import load_model, load_processor
    from .inference.local_model import LocalModel
    from .inference.prompt_embeds import EmbeddedPrompt, embed_prompts, load_embedder
    from .inference.remote_model import RemoteModel
    from .modeling_rnagpt import RnaGptForCausalLM, RnaGptModel
    from .processing_rnagpt import RnaGptProcessor, tokenize_rna
    from .reference.annotate import SearchResult, annotate
    from .reference.hits import Hit
    from .reference.library import Reference
    from .reference.structures import structure_of
    from .sequences.drawing import NucleotideScores, draw_scores
    from .sequences.fasta import FastaError, FastaRecord, clean_rnas, read_fasta
    from .sequences.folding import SecondaryStructure, fold_rna
    from .sequences.structure import base_pairs

_MODULE_OF = {
    "Answer": "inference.batch",
    "CleanedRna": "cleaning_rnagpt",
    "EmbeddedPrompt": "inference.prompt_embeds",
    "FastaError": "sequences.fasta",
    "FastaRecord": "sequences.fasta",
    "Hit": "reference.hits",
    "LocalModel": "inference.local_model",
    "MAX_RNA_LENGTH": "cleaning_rnagpt",
    "NucleotideScores": "sequences.drawing",
    "Reference": "reference.library",
    "RemoteModel": "inference.remote_model",
    "RnaChat": "inference.chat",
    "RnaGptConfig": "configuration_rnagpt",
    "RnaGptForCausalLM": "modeling_rnagpt",
    "RnaGptModel": "modeling_rnagpt",
    "RnaGptProcessor": "processing_rnagpt",
    "RnaSequenceError": "cleaning_rnagpt",
    "SearchResult": "reference.annotate",
    "SecondaryStructure": "sequences.folding",
    "annotate": "reference.annotate",
    "answer_questions": "inference.batch",
    "base_pairs": "sequences.structure",
    "clean_rna": "cleaning_rnagpt",
    "clean_rnas": "sequences.fasta",
    "draw_scores": "sequences.drawing",
    "embed_prompts": "inference.prompt_embeds",
    "encode": "inference.embeddings",
    "explain_answer": "inference.attribution",
    "fold_rna": "sequences.folding",
    "load_bundled": "conversion.mini",
    "load_embedder": "inference.prompt_embeds",
    "load_model": "inference.loading",
    "load_processor": "inference.loading",
    "read_fasta": "sequences.fasta",
    "structure_of": "reference.structures",
    "tokenize_rna": "processing_rnagpt",
}

__all__ = [
    "MAX_RNA_LENGTH",
    "Answer",
    "CleanedRna",
    "EmbeddedPrompt",
    "FastaError",
    "FastaRecord",
    "Hit",
    "LocalModel",
    "NucleotideScores",
    "Reference",
    "RemoteModel",
    "RnaChat",
    "RnaGptConfig",
    "RnaGptForCausalLM",
    "RnaGptModel",
    "RnaGptProcessor",
    "RnaSequenceError",
    "SearchResult",
    "SecondaryStructure",
    "__version__",
    "annotate",
    "answer_questions",
    "base_pairs",
    "clean_rna",
    "clean_rnas",
    "draw_scores",
    "embed_prompts",
    "encode",
    "explain_answer",
    "fold_rna",
    "load_bundled",
    "load_embedder",
    "load_model",
    "load_processor",
    "read_fasta",
    "structure_of",
    "tokenize_rna",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
