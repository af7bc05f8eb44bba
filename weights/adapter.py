"""A LoRA adapter, merged into the weights that it adapts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch
from safetensors.torch import load_file

from rnagpt.weights import WeightsError

_LORA_TENSOR = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight")


class LoraAdapter:
    """A LoRA adapter as PEFT saves it (Hu et al. 2021, arXiv 2106.09685): W + scale · B · A.

    Args:
        folder: holds adapter_config.json and adapter_model.safetensors.

    Attributes:
        targets: names of the weights that it changes, such as `lm_head.weight`.

    Raises:
        WeightsError: if `folder` holds no LoRA adapter, or one with parts beyond plain LoRA.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            if not (folder / name).is_file():
                raise WeightsError(f"{folder} holds no {name}; give the folder of a training.")
        self.config = json.loads((folder / "adapter_config.json").read_text())
        if self.config.get("peft_type") != "LORA":
            raise WeightsError(
                f"{folder} holds an adapter of type {self.config.get('peft_type')}; expected LORA."
            )
        self._tensors = load_file(folder / "adapter_model.safetensors")
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


__all__ = ["LoraAdapter"]
