"""Tensors of a folder's safetensors files, read one at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from rnagpt.conversion import WeightsError, listed


class StoredTensors(Mapping[str, torch.Tensor]):
    """The tensors of a model folder, by name; each access maps one tensor from its file.

    Memory is used by the tensors that the caller holds, not by the folder's others.

    Args:
        folder: holds model.safetensors, or several files with their index.

    Raises:
        WeightsError: if `folder` has no safetensors, or a file of its index is missing or broken.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file_of = _file_of_each_tensor(folder)

    def __getitem__(self, name: str) -> torch.Tensor:
        with safe_open(self.folder / self._file_of[name], framework="pt") as file:
            return file.get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._file_of)

    def __len__(self) -> int:
        return len(self._file_of)


def _file_of_each_tensor(folder: Path) -> dict[str, str]:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        file_of: dict[str, str] = json.loads(index.read_text())["weight_map"]
        absent = sorted(file for file in set(file_of.values()) if not (folder / file).is_file())
        if absent:
            raise WeightsError(f"{folder} lacks files that {index.name} names: {listed(absent)}.")
        return file_of
    file = folder / "model.safetensors"
    if not file.is_file():
        raise WeightsError(
            f"{folder} holds no model.safetensors. Weights are read from safetensors only; load "
            "the model with transformers and save it again with save_pretrained."
        )
    try:
        with safe_open(file, framework="pt") as opened:
            return dict.fromkeys(opened.keys(), file.name)
    except SafetensorError as error:
        raise WeightsError(f"{file} is not a whole safetensors file: {error}") from error


__all__ = ["StoredTensors"]
