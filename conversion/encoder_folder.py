"""A converted encoder of this package as a folder that AutoModel loads, by itself too."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import PreTrainedConfig, PreTrainedModel

import rnagpt
from rnagpt.conversion import ENCODER_CODE
from rnagpt.conversion.atomic_folder import atomic_folder
from rnagpt.modeling_encoders_rnagpt import ENCODER_MODELS

# `compose` copies files that begin so next to the weights.
NOTICE = "NOTICE.rna-encoder.txt"


def write_encoder(
    out: Path,
    config: Any,
    tensors: Mapping[str, torch.Tensor],
    notice: str,
    *,
    overwrite: bool,
) -> None:
    """Write config.json, model.safetensors, the code that reads them, and whose weights they are.

    Args:
        out: the folder.
        config: of one of the encoders in `modeling_encoders_rnagpt.py`.
        tensors: under that model's names.
        notice: origin and licence of the weights.
        overwrite: replace `out` if it is a model folder already.

    Raises:
        WeightsError: if `out` is there, not empty, and not to be replaced.
    """
    with atomic_folder(out, overwrite=overwrite) as folder:
        kind = type(config).__name__.removesuffix("Config")
        config.architectures = [f"{kind}Model"]
        config.dtype = "float32"
        _save_config(config, folder)
        save_file(dict(tensors), folder / "model.safetensors", metadata={"format": "pt"})
        _copy_code(folder)
        (folder / NOTICE).write_text(notice, encoding="utf-8")


def save_encoder(encoder: PreTrainedModel, folder: str | Path) -> None:
    """Write a trained encoder beside what the folder holds already.

    Args:
        encoder: one that transformers has, or of `modeling_encoders_rnagpt.py`; then its code goes
            into the folder too.
        folder: made where it is missing.
    """
    folder = Path(folder)
    encoder.save_pretrained(folder)
    if encoder.config.model_type in ENCODER_MODELS:
        _save_config(encoder.config, folder)
        _copy_code(folder)


def _copy_code(folder: Path) -> None:
    for name in ENCODER_CODE:
        shutil.copy(Path(rnagpt.__file__).with_name(name), folder)


def _save_config(config: PreTrainedConfig, folder: Path) -> None:
    kind = type(config).__name__
    model = f"{kind.removesuffix('Config')}Model"
    config.auto_map = {
        "AutoConfig": f"configuration_encoders_rnagpt.{kind}",
        "AutoModel": f"modeling_encoders_rnagpt.{model}",
    }
    config.save_pretrained(folder)


__all__ = ["NOTICE", "save_encoder", "write_encoder"]
