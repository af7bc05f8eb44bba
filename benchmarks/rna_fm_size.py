"""An RNA-GPT with an encoder of RNA-FM's size and random weights, before a real language model."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import EsmConfig, EsmModel

from rnagpt.conversion.compose import compose


def compose_rna_fm_size(folder: Path, language_model: str) -> Path:
    """Put one together in a folder, a vector a nucleotide, and return where it is."""
    torch.manual_seed(0)
    config = EsmConfig(
        vocab_size=25,
        hidden_size=640,
        num_hidden_layers=12,
        num_attention_heads=20,
        intermediate_size=5120,
        max_position_embeddings=1026,
        emb_layer_norm_before=True,
        pad_token_id=1,
        mask_token_id=24,
    )
    EsmModel(config, add_pooling_layer=False).save_pretrained(folder / "encoder")
    return compose(folder / "encoder", language_model, folder / "model", rna_merge_size=1)


__all__ = ["compose_rna_fm_size"]
