"""The projection as training writes it: `projector.safetensors` and `projector_config.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from rnagpt.configuration_rnagpt import FORMER_NAMES, RnaGptConfig
from rnagpt.conversion import WeightsError

PROJECTOR_WEIGHTS, PROJECTOR_CONFIG = "projector.safetensors", "projector_config.json"
# Fields of `RnaGptConfig` that say a projection's shape.
SHAPE = (
    "projector_type",
    "rna_merge_size",
    "rna_summary_size",
    "rna_family_prototypes",
    "rna_type_size",
    "rna_type_prototypes",
)
# A projection without prototypes and types, whose file may leave the last three out.
PLAIN_SHAPE = {name: getattr(RnaGptConfig, name) for name in SHAPE}


def projector_settings(config: RnaGptConfig) -> dict[str, Any]:
    """What a projection's weights depend on, as `projector_config.json` holds it."""
    return {
        **{name: getattr(config, name) for name in SHAPE},
        "rna_hidden_size": config.rna_config.hidden_size,
        "text_hidden_size": config.text_config.hidden_size,
    }


def read_projector_settings(folder: str | Path) -> dict[str, Any]:
    """What the projection in a folder depends on, as `projector_settings` has it."""
    stored = json.loads((Path(folder) / PROJECTOR_CONFIG).read_text())
    optional = {name: PLAIN_SHAPE[name] for name in SHAPE[3:]}
    return optional | {FORMER_NAMES.get(name, name): value for name, value in stored.items()}


def check_projector(
    folder: str | Path, expected: Mapping[str, Any], remedy: str = ""
) -> dict[str, Any]:
    """The settings of the projection in a folder, if it fits what is expected of it.

    Args:
        folder: with both files of `save_projector`.
        expected: settings as `projector_settings` names them; None stands for any value.
        remedy: how to fix it, for the end of the error message.

    Raises:
        WeightsError: if a file is missing, or settings differ; names each with both values.
    """
    folder = Path(folder)
    for name in (PROJECTOR_CONFIG, PROJECTOR_WEIGHTS):
        if not (folder / name).is_file():
            raise WeightsError(f"{folder} holds no {name}; give the folder that training wrote.")
    stored = read_projector_settings(folder)
    different = [
        f"{name}={stored.get(name)!r} instead of {value!r}"
        for name, value in expected.items()
        if value is not None and stored.get(name) != value
    ]
    if different:
        raise WeightsError(
            f"The projection in {folder} does not fit: it has {', '.join(different)}. "
            f"{remedy}".rstrip()
        )
    return stored


def save_projector(
    tensors: Mapping[str, torch.Tensor], config: RnaGptConfig, folder: str | Path
) -> None:
    """Write the tensors of an `RnaProjector`, and what they depend on, into `folder` (made)."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(stored, folder / PROJECTOR_WEIGHTS, metadata={"format": "pt"})
    settings = json.dumps(projector_settings(config), indent=2)
    (folder / PROJECTOR_CONFIG).write_text(settings + "\n")


__all__ = [
    "PLAIN_SHAPE",
    "PROJECTOR_CONFIG",
    "PROJECTOR_WEIGHTS",
    "check_projector",
    "projector_settings",
    "read_projector_settings",
    "save_projector",
]
