"""The official ERNIE-RNA checkpoint as an encoder folder that AutoModel loads.

ERNIE-RNA (Yin et al. 2024, bioRxiv 2024.03.17.585376) was trained with fairseq, whose checkpoint
holds settings and notes of the training beside the tensors. The numbers stay the same, the names of
the tensors change.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import torch

from rnagpt.configuration_encoders_rnagpt import ErnieRnaConfig
from rnagpt.conversion import WeightsError
from rnagpt.conversion.encoder_folder import write_encoder
from rnagpt.conversion.official_checkpoint import (
    Renaming,
    Tensors,
    check_tensors,
    joined_projections,
    reject_missing,
    reject_other_values,
    unpickle,
)
from rnagpt.modeling_encoders_rnagpt import ErnieRnaModel

FILE = "ERNIE-RNA_pretrain.pt"
NOTICE = """\
The weights of the RNA encoder in this folder are those of ERNIE-RNA, in other names and format.
Its repository is under the licence below, and names no other for the weights.

MIT License. Copyright (c) 2024 Weijie Yin

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial
portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES
OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.

Yin, Zhang, He et al.: ERNIE-RNA: An RNA Language Model with Structure-enhanced Representations.
bioRxiv 2024.03.17.585376 (2024). https://github.com/Bruce-ywj/ERNIE-RNA
"""
# What fairseq notes of a training, in objects of its own: nothing that the encoder needs.
_INERT = ("fairseq.", "omegaconf.", "typing.Any", "builtins.dict", "builtins.list", "builtins.int")
# Heads of the pre-training, segments that no RNA has, and a number that only tells a device.
_NOT_ENCODER = re.compile(
    r"^(masked_lm_pooler|lm_head_transform_weight|layer_norm|sentence_projection_layer|embed_out)\."
    r"|^lm_output_learned_bias$|^sentence_encoder\.segment_embeddings\.|\.embed_positions\.(_float_tensor|weights)$"
)
_NAMES = {
    "sentence_encoder.embed_tokens": "embeddings",
    "sentence_encoder.embed_positions": "positions",
    "sentence_encoder.emb_layer_norm": "norm",
    "twod_proj.linear1": "pair_in",
    "twod_proj.linear2": "pair_out",
}
_LAYER_NAMES = {
    "self_attn.qkv_proj": "qkv",
    "self_attn.out_proj": "out",
    "self_attn_layer_norm": "attention_norm",
    "fc1": "up",
    "fc2": "down",
    "final_layer_norm": "feed_forward_norm",
}
_LAYER = re.compile(r"sentence_encoder\.layers\.(\d+)\.(.+)")
# `sentence_encoder.layers.3.fc1.bias` → `layers.3.up.bias`
_RENAMING = Renaming(_LAYER, _LAYER_NAMES, _NAMES)


def convert_ernie_rna(checkpoint: str | Path, out: str | Path, *, overwrite: bool = False) -> Path:
    """Convert the official file `ERNIE-RNA_pretrain.pt`.

    The file is a pickle. It is read with PyTorch's restricted unpickler; objects of fairseq and
    omegaconf in it are not built, but replaced by what does nothing.

    Args:
        checkpoint: file with `model` (the tensors) and fairseq's settings in `args` or `cfg`.
        out: folder to write: config.json, model.safetensors, the code that reads them, and a notice
            of whose weights they are.
        overwrite: replace `out` if it is a model folder already.

    Returns:
        `out`.

    Raises:
        WeightsError: if the file is no ERNIE-RNA; says in what it differs.
    """
    checkpoint, out = Path(checkpoint), Path(out)
    settings, official = _read(checkpoint)
    config = _config(settings, official, checkpoint)
    tensors = {_RENAMING(name): tensor.float().contiguous() for name, tensor in official.items()}
    with torch.device("meta"):
        expected = ErnieRnaModel(config).state_dict()
    check_tensors(tensors, expected, "ERNIE-RNA", source=checkpoint)
    write_encoder(out, config, tensors, NOTICE, overwrite=overwrite)
    return out


def _read(checkpoint: Path) -> tuple[dict[str, Any], Tensors]:
    """fairseq's settings of the model, and the encoder's tensors."""
    data = unpickle(checkpoint, "ERNIE-RNA", FILE, _INERT)
    if not isinstance(data, dict) or not isinstance(data.get("model"), dict):
        found = sorted(map(str, data)) if isinstance(data, dict) else f"a {type(data).__name__}"
        raise WeightsError(
            f"{checkpoint} is no official ERNIE-RNA checkpoint: expected a dictionary of tensors "
            f"in 'model', found {found}."
        )
    tensors = {str(name).removeprefix("encoder."): one for name, one in data["model"].items()}
    tensors = {name: tensors[name] for name in tensors if not _NOT_ENCODER.search(name)}
    reject_other_values(tensors, checkpoint)
    return _settings(data), joined_projections(tensors, "{}_proj", "qkv_proj")


def _settings(data: dict[str, Any]) -> dict[str, Any]:
    """What `args`, or since fairseq 0.10 `cfg.model`, says; nothing where that is an `Inert`."""
    found = data.get("args")
    if found is None and isinstance(data.get("cfg"), dict):
        found = data["cfg"].get("model")
    if isinstance(found, argparse.Namespace):
        return vars(found)
    return found if isinstance(found, dict) else {}


def _config(settings: dict[str, Any], tensors: Tensors, source: Path) -> ErnieRnaConfig:
    """The sizes of the encoder, from the tensors' shapes; the settings have to agree.

    Raises:
        WeightsError: if they are of another architecture.
    """
    _check_settings(settings, source)
    needed = [
        *("sentence_encoder.embed_tokens.weight", "sentence_encoder.layers.0.fc1.weight"),
        *("twod_proj.linear1.weight", "twod_proj.linear2.weight"),
    ]
    reject_missing([name for name in needed if name not in tensors], source)
    tokens, hidden_size = tensors[needed[0]].shape
    layers = {int(found[1]) for name in tensors if (found := _LAYER.match(name))}
    table = tensors.get("sentence_encoder.embed_positions.weight")
    given = settings.get("max_positions", 1024)
    try:
        config = ErnieRnaConfig(
            hidden_size=hidden_size,
            num_hidden_layers=max(layers) + 1,
            num_attention_heads=tensors[needed[3]].shape[0],
            intermediate_size=tensors[needed[1]].shape[0],
            # fairseq's table has two rows before those of the first token.
            max_position_embeddings=given if table is None else table.shape[0] - 2,
            position_embedding_type="sinusoidal" if table is None else "learned",
            embedding_norm="sentence_encoder.emb_layer_norm.weight" in tensors,
            pair_hidden_size=tensors[needed[2]].shape[0],
        )
    except (ValueError, TypeError) as error:
        raise WeightsError(f"{source}: {error}") from error
    if tokens != config.vocab_size:
        raise WeightsError(
            f"{source}: expected ERNIE-RNA's {config.vocab_size} tokens in embed_tokens.weight, "
            f"found {tokens}."
        )
    return config


def _check_settings(settings: dict[str, Any], source: Path) -> None:
    arch = str(settings.get("arch") or settings.get("_name") or "rna_twod_mlm")
    activation = settings.get("activation_fn", "gelu")
    if not arch.startswith("rna_twod_mlm") or activation != "gelu":
        raise WeightsError(
            f"{source}: expected the architecture 'rna_twod_mlm' with the activation 'gelu', as "
            f"ERNIE-RNA has them, found {arch!r} with {activation!r}."
        )
    if settings.get("no_token_positional_embeddings"):
        raise WeightsError(f"{source}: a model without positions is no published ERNIE-RNA.")


__all__ = ["convert_ernie_rna"]
