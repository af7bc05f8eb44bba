"""What the official RiNALMo and ERNIE-RNA gave for random weights, as `tests/data/` keeps it.

Run as a program it asks them again and writes the files; `official_encoders.py` says what it needs:

    PYTHONPATH=tests python -m helpers.official_outputs
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from helpers import official_encoders
from helpers.official_encoders import KEEPING_SIZE, Tensors, random_weights
from helpers.paths import DATA
from safetensors import safe_open
from safetensors.torch import save_file

FOLDER = DATA / "official_encoders"
RNAS = (
    "GGGCCGGGCGCGGUGGCGCGCGCC",
    "ACGURYKMSWBDHVN",
    "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGG",
    "A",
)
_RINALMO: dict[str, Any] = {"hidden_size": 80, "num_hidden_layers": 2}
_ERNIE_RNA: dict[str, Any] = {
    "encoder_layers": 3,
    "encoder_embed_dim": 24,
    "encoder_ffn_embed_dim": 40,
    "encoder_attention_heads": 4,
    "max_positions": 60,
}
CASES: dict[str, dict[str, Any]] = {
    "rinalmo": {**_RINALMO, "flash": True},
    "rinalmo_without_flash": {**_RINALMO, "flash": False},
    "ernie_rna_sinusoidal": {**_ERNIE_RNA, "encoder_learned_pos": False},
    "ernie_rna_learned": {**_ERNIE_RNA, "encoder_learned_pos": True},
}


@dataclass(frozen=True)
class OfficialOutputs:
    """An official model's checkpoint and what it gives.

    Attributes:
        shapes: of its tensors, by their official names; `random_weights` fills them.
        settings: that fairseq stores; empty for RiNALMo.
        vectors: of each of `RNAS` with its ends: (tokens, hidden).
        scale: of the weights; see `random_weights`.
    """

    shapes: dict[str, list[int]]
    settings: dict[str, Any]
    vectors: list[torch.Tensor]
    scale: float = KEEPING_SIZE

    def weights(self) -> Tensors:
        return random_weights(self.shapes, self.scale)

    def write_checkpoint(self, file: Path, weights: Tensors | None = None) -> Path:
        """Weights in the format of the official file."""
        tensors = self.weights() if weights is None else weights
        settings = argparse.Namespace(**self.settings)
        torch.save({"args": settings, "model": tensors} if self.settings else tensors, file)
        return file


def official_outputs(
    sizes: dict[str, Any],
    rnas: tuple[str, ...] = RNAS,
    *,
    scale: float = KEEPING_SIZE,
    dtype: torch.dtype = torch.float32,
) -> OfficialOutputs:
    """Ask the official implementation, or skip the test."""
    settings: dict[str, Any] = {}
    if "flash" in sizes:
        given = {name: size for name, size in sizes.items() if name != "flash"}
        model, alphabet = official_encoders.rinalmo(given, flash=sizes["flash"])
    else:
        model, alphabet, arguments = official_encoders.ernie_rna(sizes)
        settings = vars(arguments)
    state = model.state_dict()
    # Tables that are computed, not trained.
    shapes = {name: list(state[name].shape) for name in state if "inv_freq" not in name}
    with torch.no_grad():
        for name, shape in shapes.items():  # one by one: the largest of them fills a laptop
            state[name].copy_(random_weights({name: shape}, scale)[name])
    model.to(dtype)
    of = official_encoders.ernie_rna_vectors if settings else official_encoders.rinalmo_vectors
    return OfficialOutputs(shapes, settings, of(model, alphabet, rnas), scale)


def stored_outputs(case: str) -> OfficialOutputs:
    """Read what is kept."""
    with safe_open(FOLDER / f"{case}.safetensors", "pt") as file:
        vectors = [file.get_tensor(f"vectors.{number}") for number in range(len(RNAS))]
        metadata = file.metadata()
    return OfficialOutputs(
        json.loads(metadata["shapes"]), json.loads(metadata["settings"]), vectors
    )


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for case, sizes in CASES.items():
        found = official_outputs(sizes)
        vectors = {f"vectors.{n}": one.contiguous() for n, one in enumerate(found.vectors)}
        metadata = {"shapes": json.dumps(found.shapes), "settings": json.dumps(found.settings)}
        save_file(vectors, FOLDER / f"{case}.safetensors", metadata)


if __name__ == "__main__":
    main()
