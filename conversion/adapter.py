"""A LoRA adapter as PEFT stores it: written whole, read, merged into the weights that it adapts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from rnagpt.conversion import WeightsError

ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
# The parts of RNA-GPT that a stage trains whole, next to the language model's LoRA matrices.
PROJECTOR_PART, ENCODER_PART = "projector", "rna_encoder"
_LORA_TENSOR = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight")
_PART_TENSOR = re.compile(rf"base_model\.model\.model\.({PROJECTOR_PART}|{ENCODER_PART})\.(.+)")


def adapter_tensors(folder: str | Path) -> dict[str, torch.Tensor]:
    """The tensors of an adapter's folder, under PEFT's names, but for parts that it holds whole."""
    tensors = load_file(Path(folder) / ADAPTER_WEIGHTS)
    return {name: tensor for name, tensor in tensors.items() if not _PART_TENSOR.fullmatch(name)}


def part_tensors(folder: str | Path) -> dict[str, dict[str, torch.Tensor]]:
    """The parts that an adapter's folder holds whole: names and tensors of each."""
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in load_file(Path(folder) / ADAPTER_WEIGHTS).items():
        if match := _PART_TENSOR.fullmatch(name):
            parts.setdefault(match[1], {})[match[2]] = tensor
    return parts


def with_parts(
    tensors: Mapping[str, torch.Tensor], parts: Mapping[str, Mapping[str, torch.Tensor]]
) -> dict[str, torch.Tensor]:
    """An adapter's tensors with those of whole parts, under the names of PEFT's modules_to_save."""
    return dict(tensors) | {
        f"base_model.model.model.{part}.{name}": tensor.detach().cpu().contiguous()
        for part, its_tensors in parts.items()
        for name, tensor in its_tensors.items()
    }


def naming_parts(config: Mapping[str, Any], parts: Mapping[str, object]) -> dict[str, Any]:
    """An adapter's configuration that names its whole parts, without which PEFT leaves them out.

    PEFT rejects an adapter that names a part and does not hold its tensors (KeyError).
    """
    named = set(config.get("modules_to_save") or []) | set(parts)
    return {**config, "modules_to_save": sorted(named)}


def add_parts(folder: Path, parts: Mapping[str, Mapping[str, torch.Tensor]]) -> None:
    """Make the adapter that PEFT wrote into `folder` whole, so that PEFT reloads all of it."""
    tensors = with_parts(load_file(folder / ADAPTER_WEIGHTS), parts)
    save_file(tensors, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    config = json.loads((folder / ADAPTER_CONFIG).read_text())
    text = json.dumps(naming_parts(config, parts), indent=2, sort_keys=True)
    (folder / ADAPTER_CONFIG).write_text(text + "\n")


def same_weights(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    """Whether both hold the same tensors, of which either may have been rounded to 16 bits.

    The frequencies of rotary positions do not count: they are computed from the configuration, and
    versions of transformers keep them in different places.
    """
    one, other = (
        {name: tensor for name, tensor in weights.items() if not name.endswith(".inv_freq")}
        for weights in (one, other)
    )
    return one.keys() == other.keys() and all(
        _same(tensor.float(), other[name].float()) for name, tensor in one.items()
    )


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return any(
        torch.equal(a.to(dtype).float(), b)
        for dtype in (torch.float32, torch.bfloat16, torch.float16)
        for a, b in ((one, other), (other, one))
    )


class LoraAdapter:
    """A LoRA adapter as PEFT saves it (Hu et al. 2021, arXiv 2106.09685): W + scale · B · A.

    Args:
        folder: holds adapter_config.json and adapter_model.safetensors.

    Attributes:
        targets: names of the weights that it changes, such as `lm_head.weight`.
        parts: the parts that it holds whole, projection or encoder: names and tensors of each.

    Raises:
        WeightsError: if `folder` holds no LoRA adapter, or one with parts beyond plain LoRA.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
            if not (folder / name).is_file():
                raise WeightsError(f"{folder} holds no {name}; give the folder of a training.")
        self.config = json.loads((folder / ADAPTER_CONFIG).read_text())
        if self.config.get("peft_type") != "LORA":
            raise WeightsError(
                f"{folder} holds an adapter of type {self.config.get('peft_type')}; expected LORA."
            )
        self._tensors = adapter_tensors(folder)
        self.parts = part_tensors(folder)
        self._pairs: dict[str, dict[str, str]] = {}
        for name in self._tensors:
            match = _LORA_TENSOR.fullmatch(name)
            if not match:
                raise WeightsError(
                    f"{folder}: {name} is not a matrix of plain LoRA. Adapters with DoRA, biases, "
                    "embeddings or whole modules are merged with PEFT's merge_and_unload."
                )
            self._pairs.setdefault(match[1], {})[match[2]] = name
        self.targets = {f"{module}.weight" for module in self._pairs}

    def merged(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        """The weight `name` with the adapter in it, in float32; unchanged where it is no target.

        Raises:
            WeightsError: if the adapter's matrices do not fit the weight's shape.
        """
        if name not in self.targets:
            return weight
        module = name.removesuffix(".weight")
        a, b = (self._tensors[self._pairs[module][letter]].float() for letter in "AB")
        change = self._scale(module, rank=len(a)) * (b @ a)
        if self.config.get("fan_in_fan_out"):
            change = change.T
        if change.shape != weight.shape:
            raise WeightsError(
                f"{self.folder}: the change to {name} has the shape {tuple(change.shape)}, the "
                f"weight {tuple(weight.shape)}. Was it trained on another model?"
            )
        return weight.float() + change

    def _scale(self, module: str, rank: int) -> float:
        alpha = self.config["lora_alpha"]
        for pattern, value in (self.config.get("alpha_pattern") or {}).items():
            if re.fullmatch(rf"(.*\.)?({pattern})", module):
                alpha = value
                break
        return alpha / (rank**0.5 if self.config.get("use_rslora") else rank)


__all__ = [
    "ADAPTER_CONFIG",
    "ADAPTER_WEIGHTS",
    "ENCODER_PART",
    "PROJECTOR_PART",
    "LoraAdapter",
    "adapter_tensors",
    "add_parts",
    "naming_parts",
    "part_tensors",
    "same_weights",
    "with_parts",
]
