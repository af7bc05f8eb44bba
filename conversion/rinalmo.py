"""Official RiNALMo checkpoints as an encoder folder that AutoModel loads.

RiNALMo (Penić et al. 2024, arXiv 2403.00043) is published as the state of its PyTorch module, in
the sizes micro, mega and giga. The numbers stay the same, the names of the tensors change.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch

from rnagpt.configuration_encoders_rnagpt import RinalmoConfig
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
from rnagpt.modeling_encoders_rnagpt import RinalmoModel

FILE = "rinalmo_giga_pretrained.pt (or mega, or micro)"
NOTICE = """\
The weights of the RNA encoder in this folder are those of RiNALMo, in other names and format.

Copyright 2024 Šikić Lab - AI in Genomics. The parameters of RiNALMo are made available under the
Creative Commons Attribution 4.0 International licence (CC BY 4.0):
https://creativecommons.org/licenses/by/4.0/legalcode

Penić, Vlašić, Huber, Wan, Šikić: RiNALMo: General-Purpose RNA Language Models Can Generalize Well
on Structure Prediction Tasks. arXiv 2403.00043 (2024). https://github.com/lbcb-sci/RiNALMo
"""
# All published sizes have as many heads; no tensor tells.
_HEADS = 20
# The head for masked tokens, and a table of wavelengths that one way of attention keeps.
_NOT_ENCODER = re.compile(r"^lm_mask_head\.|\.rotary_emb\.inv_freq$")
_NAMES = {"embedding": "embeddings", "transformer.final_layer_norm": "norm"}
_LAYER_NAMES = {
    "mh_attn.Wqkv": "qkv",
    "mh_attn.out_proj": "out",
    "attn_layer_norm": "attention_norm",
    "out_layer_norm": "feed_forward_norm",
    "transition.0.linear": "gate",
    "transition.0.linear_gate": "up",
    "transition.2": "down",
}
_BLOCK = re.compile(r"transformer\.blocks\.(\d+)\.(.+)")
_RENAMING = Renaming(_BLOCK, _LAYER_NAMES, _NAMES)


def convert_rinalmo(checkpoint: str | Path, out: str | Path, *, overwrite: bool = False) -> Path:
    """Convert an official file such as `rinalmo_giga_pretrained.pt`.

    The file is a pickle. It is read with PyTorch's restricted unpickler, which runs nothing.

    Args:
        checkpoint: the file: the state of the official module, with flash attention or without.
        out: folder to write: config.json, model.safetensors, the code that reads them, and a notice
            of whose weights they are.
        overwrite: replace `out` if it is a model folder already.

    Returns:
        `out`.

    Raises:
        WeightsError: if the file is no RiNALMo; says in what it differs.
    """
    checkpoint, out = Path(checkpoint), Path(out)
    official = _read(checkpoint)
    config = _config(official, checkpoint)
    tensors = {_name(name): tensor.float().contiguous() for name, tensor in official.items()}
    with torch.device("meta"):
        expected = RinalmoModel(config).state_dict()
    check_tensors(tensors, expected, "RiNALMo", source=checkpoint)
    write_encoder(out, config, tensors, NOTICE, overwrite=overwrite)
    return out


def _read(checkpoint: Path) -> Tensors:
    data = unpickle(checkpoint, "RiNALMo", FILE)
    if not isinstance(data, dict) or "embedding.weight" not in data:
        found = sorted(map(str, data))[:5] if isinstance(data, dict) else type(data).__name__
        advice = ""
        if isinstance(data, dict) and "lm.embedding.weight" in data:
            advice = " It is fine-tuned for another task: take the pre-trained one."
        raise WeightsError(
            f"{checkpoint} is no official RiNALMo checkpoint: expected the tensors of its module, "
            f"embedding.weight among them, found {found}.{advice}"
        )
    # Without flash attention the official module has one level more.
    tensors = {str(name).replace("mh_attn.mh_attn", "mh_attn"): data[name] for name in data}
    tensors = {name: tensors[name] for name in tensors if not _NOT_ENCODER.search(name)}
    reject_other_values(tensors, checkpoint)
    return joined_projections(tensors, "to_{}", "Wqkv")


def _config(tensors: Tensors, source: Path) -> RinalmoConfig:
    """The sizes of the encoder, from the tensors' shapes."""
    first = "transformer.blocks.0.transition.0.linear.weight"
    reject_missing([first] if first not in tensors else [], source)
    blocks = {int(found[1]) for name in tensors if (found := _BLOCK.match(name))}
    tokens, hidden_size = tensors["embedding.weight"].shape
    try:
        config = RinalmoConfig(
            hidden_size=hidden_size,
            num_hidden_layers=max(blocks) + 1,
            num_attention_heads=_HEADS,
            intermediate_size=tensors[first].shape[0],
        )
    except ValueError as error:
        raise WeightsError(f"{source}: {error}") from error
    if tokens != config.vocab_size:
        raise WeightsError(
            f"{source}: expected RiNALMo's {config.vocab_size} tokens in embedding.weight, found "
            f"{tokens}."
        )
    return config


def _name(name: str) -> str:
    """`transformer.blocks.3.mh_attn.out_proj.weight` → `layers.3.out.weight`."""
    block = _BLOCK.fullmatch(name)
    if block and block[2] == "transition.0.beta":
        return f"layers.{block[1]}.gate_slope"
    return _RENAMING(name)


__all__ = ["convert_rinalmo"]
