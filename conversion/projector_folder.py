"""The projection as training writes it: `projector.safetensors` and `projector_config.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from rnagpt.configuration_rnagpt import RnaGptConfig

PROJECTOR_WEIGHTS, PROJECTOR_CONFIG = "projector.safetensors", "projector_config.json"
# What a projection without a memory, or without types, may leave unsaid.
_UNSAID = {"rna_summary_memory": 0, "rna_type_size": 0, "rna_type_memory": 0}


def projector_settings(config: RnaGptConfig) -> dict[str, Any]:
    """What a projection's weights depend on, as `projector_config.json` holds it."""
    return {
        "projector_type": config.projector_type,
        "rna_merge_size": config.rna_merge_size,
        "rna_summary_size": config.rna_summary_size,
        "rna_summary_memory": config.rna_summary_memory,
        "rna_type_size": config.rna_type_size,
        "rna_type_memory": config.rna_type_memory,
        "rna_hidden_size": config.rna_config.hidden_size,
        "text_hidden_size": config.text_config.hidden_size,
    }


def read_projector_settings(folder: str | Path) -> dict[str, Any]:
    """What the projection in a folder depends on, as `projector_settings` has it."""
    return _UNSAID | json.loads((Path(folder) / PROJECTOR_CONFIG).read_text())


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
    "PROJECTOR_CONFIG",
    "PROJECTOR_WEIGHTS",
    "projector_settings",
    "read_projector_settings",
    "save_projector",
]
