"""Models of RNA-FM's size with random weights: the official package's, and an RNA-GPT."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from transformers import EsmModel

from rnagpt.configuration_rnagpt import RnaGptConfig
from rnagpt.conversion.compose import compose
from rnagpt.conversion.rnafm import convert_rnafm

OFFICIAL_ARGUMENTS = {
    "arch": "roberta_large",
    "layers": 12,
    "embed_dim": 640,
    "ffn_embed_dim": 5120,
    "attention_heads": 20,
    "max_positions": 1024,
    "emb_layer_norm_before": True,
    "token_dropout": True,
}


def make_official() -> tuple[Any, Any]:
    """The official package's model and its alphabet."""
    import fm

    torch.manual_seed(1)
    alphabet = fm.Alphabet.from_architecture("roberta_large", theme="rna")
    model = fm.BioBertModel(argparse.Namespace(**OFFICIAL_ARGUMENTS), alphabet)
    with torch.no_grad():
        for weights in model.parameters():
            if weights.ndim == 1:  # a bias at its default could be left out unseen
                weights += 0.1 * torch.randn_like(weights)
    return model.eval(), alphabet


def convert_official(official: Any, folder: Path) -> EsmModel:
    """The same weights as transformers' model, by way of the official file's format."""
    tensors = {
        name: tensor
        for name, tensor in official.state_dict().items()
        if not name.startswith("contact_head")  # the official file has none
    }
    file = folder / "official.pth"
    torch.save({"args": argparse.Namespace(**OFFICIAL_ARGUMENTS), "model": tensors}, file)
    return EsmModel.from_pretrained(convert_rnafm(file, folder / "esm"), add_pooling_layer=False)


def compose_rna_fm_size(folder: Path, language_model: str) -> Path:
    """Compose an RNA-GPT with one vector per nucleotide; returns its folder."""
    torch.manual_seed(0)
    # RNA-FM's shape is the default.
    encoder = EsmModel(RnaGptConfig().rna_config, add_pooling_layer=False)
    encoder.save_pretrained(folder / "encoder")
    return compose(folder / "encoder", language_model, folder / "model", rna_merge_size=1)
