"""Encoders' checkpoints as their authors publish them: pickles, read without running their code."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rnagpt.conversion import WeightsError, listed

Tensors = dict[str, torch.Tensor]


class Inert:
    """Stands in for an object that a file holds besides its tensors, and does nothing."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state


def unpickle(checkpoint: Path, model: str, file: str, inert: Sequence[str] = ()) -> Any:
    """What a file of `torch.save` holds, read with PyTorch's restricted unpickler.

    It builds tensors, numbers and an `argparse.Namespace`, and runs nothing else.

    Args:
        checkpoint: the file.
        model: the encoder's name, for messages.
        file: how its authors call the file, likewise.
        inert: how the names of classes begin whose objects are replaced by an `Inert`, as nothing
            here needs them.

    Raises:
        WeightsError: if it is no such file, or asks for anything else.
    """
    if not checkpoint.is_file():
        raise WeightsError(f"{checkpoint} is not a file; give the path of {file}.")
    checkpoint.open("rb").close()  # a file that may not be read says so itself
    try:
        with _allowed(checkpoint, inert):
            return torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:  # on bytes that are no pickle the unpickler stumbles in any way
        forbidden = re.search(r"GLOBAL ([\w.]+)", str(error))
        if forbidden:
            reason = (
                f"it asks for {forbidden[1]}, which no {model} checkpoint needs and which could "
                "run code. Nothing of it was run"
            )
        else:
            reason = "it is not a PyTorch checkpoint, or not a whole one"
        raise WeightsError(
            f"{checkpoint} was rejected: {reason}. Expected the file {file} as its authors "
            "publish it."
        ) from error


def _allowed(checkpoint: Path, inert: Sequence[str]) -> AbstractContextManager[None]:
    allowed: list[Any] = [argparse.Namespace]
    if inert:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(checkpoint)
        allowed += [(Inert, name) for name in names if name.startswith(tuple(inert))]
        # Of plain numbers, as trainers note them; NumPy called the module otherwise before 2.0.
        scalar = np.float64(0).__reduce__()[0]
        allowed += [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
        kinds = {type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "?")}
        allowed += [np.dtype, *kinds]
    return torch.serialization.safe_globals(allowed)


def reject_other_values(tensors: Mapping[str, Any], source: Path) -> None:
    """Raise a WeightsError for a value that is no tensor."""
    for name, tensor in tensors.items():
        if not isinstance(tensor, torch.Tensor):
            raise WeightsError(f"{source}: {name} is not a tensor but {type(tensor).__name__}.")


def reject_missing(names: Iterable[str], source: Path) -> None:
    """Raise a WeightsError that names the tensors, if there are any."""
    if names := list(names):
        raise WeightsError(f"{source}: tensors are missing: {listed(names)}.")


def joined_projections(tensors: Tensors, part: str, whole: str) -> Tensors:
    """Queries, keys and values of each layer as one tensor, one below the other.

    Where one of the three is missing or of another shape, they stay: `check_tensors` names them.

    Args:
        tensors: by their names.
        part: the name of each one's module, with `{}` for q, k or v.
        whole: the name of the module that they make together.
    """
    joined = dict(tensors)
    query = f".{part.format('q')}."
    for name in filter(lambda name: query in name, tensors):
        names = [name.replace(query, f".{part.format(letter)}.") for letter in "qkv"]
        found = [tensors[one] for one in names if one in tensors]
        if len(found) == 3 and len({one.shape for one in found}) == 1:
            for one in names:
                del joined[one]
            joined[name.replace(query, f".{whole}.")] = torch.cat(found)
    return joined


@dataclass(frozen=True)
class Renaming:
    """How the tensors of an official module are called here; an unknown name stays.

    Attributes:
        layer: matches a tensor of a layer: its number, then its name within the layer.
        in_layer: modules of a layer, by their official names.
        outside: other modules, likewise.
    """

    layer: re.Pattern[str]
    in_layer: Mapping[str, str]
    outside: Mapping[str, str]

    def __call__(self, name: str) -> str:
        layer = self.layer.fullmatch(name)
        module, _, parameter = (layer[2] if layer else name).rpartition(".")
        known = self.in_layer if layer else self.outside
        if module not in known:
            return name
        place = f"layers.{layer[1]}." if layer else ""
        return f"{place}{known[module]}.{parameter}"


def check_tensors(
    tensors: Mapping[str, torch.Tensor],
    expected: Mapping[str, torch.Tensor],
    model: str,
    *,
    source: Path,
) -> None:
    """Raise a WeightsError where tensors are not those that the model has, or of another shape."""
    reject_missing(sorted(expected.keys() - tensors.keys()), source)
    unknown = sorted(tensors.keys() - expected.keys())
    if unknown:
        raise WeightsError(f"{source}: tensors that {model} does not have: {listed(unknown)}.")
    for name, tensor in expected.items():
        if tensors[name].shape != tensor.shape:
            raise WeightsError(
                f"{source}: {name} has the shape {tuple(tensors[name].shape)}; expected "
                f"{tuple(tensor.shape)} from the sizes of the other tensors."
            )


__all__ = [
    "Inert",
    "Renaming",
    "Tensors",
    "check_tensors",
    "joined_projections",
    "reject_missing",
    "reject_other_values",
    "unpickle",
]
