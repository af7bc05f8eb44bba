"""Random checkpoints in the official RNA-FM file's format."""

import argparse
from pathlib import Path

import pytest
import torch

OFFICIAL_SIZES = {
    "encoder_layers": 12,
    "encoder_embed_dim": 640,
    "encoder_ffn_embed_dim": 5120,
    "encoder_attention_heads": 20,
    "max_positions": 1024,
}


SMALL_SIZES = {
    "encoder_layers": 2,
    "encoder_embed_dim": 16,
    "encoder_ffn_embed_dim": 32,
    "encoder_attention_heads": 4,
    "max_positions": 62,
}


def official_checkpoint(path: Path, sizes: dict[str, int], *, token_dropout: bool) -> Path:
    """Random weights in the official file's format: fairseq's names and arguments."""
    fm = pytest.importorskip("fm", reason="needs the official package: pip install rna-gpt[rna-fm]")
    torch.manual_seed(1)
    alphabet = fm.Alphabet.from_architecture("roberta_large", theme="rna")
    plain = {name.removeprefix("encoder_"): value for name, value in sizes.items()}
    arguments = argparse.Namespace(
        arch="roberta_large", token_dropout=token_dropout, emb_layer_norm_before=True, **plain
    )
    model = fm.BioBertModel(arguments, alphabet)
    tensors = {}
    for name, tensor in model.state_dict().items():
        if name.startswith("contact_head"):
            continue  # the official file has none
        if tensor.ndim == 1:  # a bias or layer norm at its default could be left out unseen
            tensor = tensor + 0.1 * torch.randn_like(tensor)
        part = "encoder." if name.startswith("lm_head") else "encoder.sentence_encoder."
        tensors[part + name] = tensor
    tensors["encoder.lm_head.weight"] = tensors["encoder.sentence_encoder.embed_tokens.weight"]
    arguments = argparse.Namespace(arch="roberta_large", token_dropout=token_dropout, **sizes)
    torch.save({"args": arguments, "model": tensors}, path)
    return path
