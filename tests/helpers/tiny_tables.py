"""Tiny RNA-GPTs whose encoder is a table, as rna-gpt-mini's is: read without PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from helpers.tiny_models import make_config, make_processor

from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor

KMERS = 3
TABLE: dict[str, Any] = {
    "num_hidden_layers": 0,
    "position_embedding_type": "rotary",
    "emb_layer_norm_before": None,
    "token_dropout": False,
    "vocab_size": 25 + 4**KMERS,
    "kmer_size": KMERS,
}
SUMMARIES: list[dict[str, Any]] = [
    {
        "rna_summary_size": 5,
        "rna_family_prototypes": 7,
        "rna_type_size": 2,
        "rna_type_prototypes": 4,
    },
    {"rna_summary_size": 3, "rna_family_prototypes": 7},
    {"rna_summary_size": 2},
    {},
]


def save_table_model(
    folder: Path, style: str = "chatml", merge: int = 2, dtype: Any = None, **options: Any
) -> tuple[RnaGptForCausalLM, RnaGptProcessor]:
    """A tiny RNA-GPT whose encoder is a table, in a folder."""
    options = options or SUMMARIES[0]
    summary = options.get("rna_summary_size", 0)
    processor = make_processor(style, kmer_size=KMERS, merge_size=merge, summary_size=summary)
    torch.manual_seed(1)
    model = RnaGptForCausalLM(make_config(processor, rna=TABLE, **options)).eval()
    with torch.no_grad():  # norms of 1 and biases of 0 could be lost unseen
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    model.to(dtype)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return model.float(), processor


__all__ = ["KMERS", "SUMMARIES", "TABLE", "save_table_model"]
