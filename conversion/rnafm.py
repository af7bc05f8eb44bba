"""The official RNA-FM checkpoint as an encoder folder that `transformers.EsmModel` loads.

RNA-FM (Chen et al. 2022, arXiv 2204.00300) was made with fairseq's ESM-1b, which transformers has
as `EsmModel`: the numbers are the same, the names of the tensors differ.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import EsmConfig, EsmModel

from rnagpt.configuration_rnagpt import RNA_PAD_TOKEN_ID, RNA_VOCABULARY
from rnagpt.conversion import WeightsError
from rnagpt.conversion.atomic_folder import atomic_folder
from rnagpt.conversion.official_checkpoint import (
    Tensors,
    check_tensors,
    reject_missing,
    reject_other_values,
    unpickle,
)

_MASK_TOKEN_ID = RNA_VOCABULARY.index("<mask>")
_FAIRSEQ_PREFIX = re.compile(r"^(encoder\.)?(sentence_encoder\.)?")
# The masked-language head, the contact head and a version number: nothing that the encoder uses.
_NOT_ENCODER = re.compile(r"^(lm_head|contact_head)\.|(^|\.)version$")
_NAMES = {
    "embed_tokens": "embeddings.word_embeddings",
    "embed_positions": "embeddings.position_embeddings",
    "emb_layer_norm_before": "embeddings.layer_norm",
    "emb_layer_norm_after": "encoder.emb_layer_norm_after",
}
_LAYER_NAMES = {
    "self_attn.q_proj": "attention.self.query",
    "self_attn.k_proj": "attention.self.key",
    "self_attn.v_proj": "attention.self.value",
    "self_attn.out_proj": "attention.output.dense",
    "self_attn_layer_norm": "attention.LayerNorm",
    "fc1": "intermediate.dense",
    "fc2": "output.dense",
    "final_layer_norm": "LayerNorm",
}


def convert_rnafm(checkpoint: str | Path, out: str | Path, *, overwrite: bool = False) -> Path:
    """Convert the official checkpoint `RNA-FM_pretrained.pth`.

    The file is a pickle. It is read with PyTorch's restricted unpickler, which builds tensors and
    one `argparse.Namespace` and runs nothing else.

    Args:
        checkpoint: file with `args` (fairseq's arguments) and `model` (the tensors).
        out: folder to write: config.json and model.safetensors.
        overwrite: replace `out` if it is a model folder already.

    Returns:
        `out`.

    Raises:
        WeightsError: if the file is not an RNA-FM checkpoint; says in what it differs.
    """
    checkpoint, out = Path(checkpoint), Path(out)
    arguments, official = read_checkpoint(checkpoint)
    config = encoder_config(arguments, official, source=checkpoint)
    tensors = {_esm_name(name): tensor.float().contiguous() for name, tensor in official.items()}
    with torch.device("meta"):
        expected = EsmModel(config, add_pooling_layer=False).state_dict()
    expected = {name: tensor for name, tensor in expected.items() if "contact_head" not in name}
    check_tensors(tensors, expected, "RNA-FM", source=checkpoint)
    # The official package does so at loading, whether or not masked tokens are dropped.
    tensors["embeddings.word_embeddings.weight"][_MASK_TOKEN_ID] = 0
    # ESM's own predictor of contacts, which the file lacks: zeros are plainly no prediction.
    tensors["contact_head.regression.weight"] = torch.zeros(
        1, config.num_hidden_layers * config.num_attention_heads
    )
    tensors["contact_head.regression.bias"] = torch.zeros(1)
    with atomic_folder(out, overwrite=overwrite) as folder:
        config.save_pretrained(folder)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return out


def read_checkpoint(checkpoint: Path) -> tuple[dict[str, object], Tensors]:
    """Read fairseq's arguments and the encoder's tensors, both under ESM's names for them.

    Raises:
        WeightsError: if the file cannot be read safely or does not hold the two.
    """
    data = unpickle(checkpoint, "RNA-FM", "RNA-FM_pretrained.pth")
    if not isinstance(data, dict) or not {"args", "model"} <= data.keys():
        found = sorted(map(str, data)) if isinstance(data, dict) else f"a {type(data).__name__}"
        raise WeightsError(
            f"{checkpoint} is not an official RNA-FM checkpoint: expected the keys 'args' and "
            f"'model', found {found}."
        )
    arguments, model = data["args"], data["model"]
    if not isinstance(arguments, argparse.Namespace) or not isinstance(model, dict):
        found = f"{type(arguments).__name__} and {type(model).__name__}"
        raise WeightsError(
            f"{checkpoint} is not an official RNA-FM checkpoint: expected a Namespace in 'args' "
            f"and a dictionary in 'model', found {found}."
        )
    named = {name.removeprefix("encoder_"): value for name, value in vars(arguments).items()}
    tensors = {_FAIRSEQ_PREFIX.sub("", str(name)): tensor for name, tensor in model.items()}
    tensors = {name: tensors[name] for name in tensors if not _NOT_ENCODER.search(name)}
    reject_other_values(tensors, checkpoint)
    return named, tensors


def encoder_config(arguments: dict[str, object], tensors: Tensors, *, source: Path) -> EsmConfig:
    """The sizes of the encoder: from the tensors' shapes, and from the arguments where those are
    silent (heads, token dropout).

    Raises:
        WeightsError: if the checkpoint is not ESM-1b over RNA-FM's 25 tokens.
    """
    if arguments.get("arch") != "roberta_large":
        raise WeightsError(
            f"{source}: expected the architecture 'roberta_large' in args.arch, as RNA-FM has it, "
            f"found {arguments.get('arch')!r}."
        )
    needed = ["embed_tokens.weight", "embed_positions.weight", "layers.0.fc1.weight"]
    reject_missing([name for name in needed if name not in tensors], source)
    tokens, hidden_size = tensors["embed_tokens.weight"].shape
    if tokens != len(RNA_VOCABULARY):
        raise WeightsError(
            f"{source}: expected RNA-FM's {len(RNA_VOCABULARY)} tokens in embed_tokens.weight, "
            f"found {tokens}. (mRNA-FM reads codons and is another model.)"
        )
    layers = {int(name.split(".")[1]) for name in tensors if re.match(r"layers\.\d+\.", name)}
    heads = arguments.get("attention_heads")
    if not isinstance(heads, int) or heads < 1 or hidden_size % heads:
        raise WeightsError(
            f"{source}: args.encoder_attention_heads={heads!r} does not divide the hidden size "
            f"{hidden_size}."
        )
    return EsmConfig(  # type: ignore[call-arg]  # the base class takes more
        architectures=["EsmModel"],
        vocab_size=tokens,
        hidden_size=hidden_size,
        num_hidden_layers=max(layers) + 1,
        num_attention_heads=heads,
        intermediate_size=tensors["layers.0.fc1.weight"].shape[0],
        max_position_embeddings=tensors["embed_positions.weight"].shape[0],
        position_embedding_type="absolute",
        emb_layer_norm_before="emb_layer_norm_before.weight" in tensors,
        layer_norm_eps=1e-5,
        token_dropout=bool(arguments.get("token_dropout", False)),
        pad_token_id=RNA_PAD_TOKEN_ID,
        mask_token_id=_MASK_TOKEN_ID,
        bos_token_id=RNA_VOCABULARY.index("<cls>"),
        eos_token_id=RNA_VOCABULARY.index("<eos>"),
        kmer_size=1,
        dtype="float32",
    )


def _esm_name(name: str) -> str:
    """`layers.3.fc1.bias` → `encoder.layer.3.intermediate.dense.bias`; an unknown name stays."""
    module, _, parameter = name.rpartition(".")
    layer = re.fullmatch(r"layers\.(\d+)\.(.+)", module)
    if layer and layer[2] in _LAYER_NAMES:
        return f"encoder.layer.{layer[1]}.{_LAYER_NAMES[layer[2]]}.{parameter}"
    return f"{_NAMES[module]}.{parameter}" if module in _NAMES else name


__all__ = ["convert_rnafm"]
