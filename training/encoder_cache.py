"""The frozen encoder's outputs, computed once per RNA and cached: in memory, or in files.

Exact: a frozen encoder in evaluation mode gives an RNA the same vectors every time (but for the
rounding of other batches). They take `nucleotides * rna hidden` numbers of the encoder's type.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from tqdm import tqdm

from rnagpt.inference.embeddings import encode_each
from rnagpt.modeling_rnagpt import RnaGptForCausalLM

# A file is written when it is so large: what a stopped run loses, and less memory than a batch's.
FILE_BYTES = 256 * 2**20

logger = logging.getLogger(__name__)


class VectorStore(Protocol):
    """Vectors (nucleotides, rna hidden) by the key of an RNA."""

    def __contains__(self, key: object) -> bool: ...

    def __getitem__(self, key: str) -> torch.Tensor: ...

    def __setitem__(self, key: str, vectors: torch.Tensor) -> None: ...


class VectorFiles:
    """Vectors in safetensors files of a folder, of which those asked for are read.

    New ones are in memory until `flush`, or until they fill a file; a file appears whole or not at
    all, so that a run that is stopped leaves a folder that the next one can use.
    """

    def __init__(self, folder: str | Path, file_bytes: int = FILE_BYTES) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file_bytes = file_bytes
        self._new: dict[str, torch.Tensor] = {}
        self._file_of: dict[str, Path] = {}
        self._open: dict[Path, safe_open] = {}
        self.find()

    def find(self) -> None:
        """Look for files that other processes have written."""
        for path in sorted(self.folder.glob("*.safetensors")):
            if path not in self._open:
                self._open[path] = safe_open(path, framework="pt")
                self._file_of |= dict.fromkeys(self._open[path].keys(), path)

    def __contains__(self, key: object) -> bool:
        return key in self._new or key in self._file_of

    def __getitem__(self, key: str) -> torch.Tensor:
        if key in self._new:
            return self._new[key]
        return self._open[self._file_of[key]].get_tensor(key)

    def __setitem__(self, key: str, vectors: torch.Tensor) -> None:
        self._new[key] = vectors
        if sum(one.nbytes for one in self._new.values()) >= self.file_bytes:
            self.flush()

    def flush(self) -> None:
        """Write what is new."""
        if not self._new:
            return
        # Named for what it holds, so that two processes never write the same name differently.
        name = hashlib.sha256("".join(sorted(self._new)).encode()).hexdigest()[:16]
        path = self.folder / f"{name}.safetensors"
        partial = path.with_suffix(".partial")
        save_file(self._new, partial)
        partial.rename(path)
        self._new = {}
        self.find()


class EncoderCache:
    """The outputs of a model's frozen encoder.

    Args:
        model: an RNA-GPT whose encoder is not trained.
        folder: keep them in files there, in a folder of its own for each encoder; None: in memory.
    """

    def __init__(self, model: RnaGptForCausalLM, folder: str | Path | None = None) -> None:
        self.model = model
        self.vectors: VectorStore = {}
        if folder is not None:
            self.vectors = VectorFiles(Path(folder) / encoder_key(model))

    def fill(self, sequences: Iterable[str]) -> None:
        """Encode cleaned RNAs that are not cached yet, in batches, and write them to files."""
        if isinstance(self.vectors, VectorFiles):
            self.vectors.find()
        alphabet = self.model.config.rna_alphabet
        missing = {
            sequence: key
            for sequence in dict.fromkeys(sequences)
            if (key := rna_key(torch.from_numpy(alphabet.tokenize(sequence)))) not in self.vectors
        }
        total = sum(map(len, missing))
        with tqdm(total=total, desc="Encoding RNAs", unit="nt", unit_scale=True) as bar:
            for sequence, vectors in encode_each(self.model, list(missing)):
                self.vectors[missing[sequence]] = vectors
                bar.update(len(sequence))
        if isinstance(self.vectors, VectorFiles):
            self.vectors.flush()

    @torch.no_grad()
    def __call__(
        self, rna_input_ids: torch.Tensor, rna_attention_mask: torch.Tensor
    ) -> torch.Tensor:
        """Encoder outputs `(rnas, longest, rna hidden)` of `(rnas, longest)` nucleotides."""
        mask = rna_attention_mask.bool()
        keys = [rna_key(ids[kept]) for ids, kept in zip(rna_input_ids, mask, strict=True)]
        new = [row for row, key in enumerate(keys) if key not in self.vectors]
        if new:
            encoded = self.model.encode_rna(rna_input_ids[new], rna_attention_mask[new])
            for row, vectors in zip(new, encoded, strict=True):
                self.vectors[keys[row]] = vectors[: int(mask[row].sum())].cpu()
        padded = nn.utils.rnn.pad_sequence([self.vectors[key] for key in keys], batch_first=True)
        return padded.to(rna_input_ids.device)


def rna_key(ids: torch.Tensor) -> str:
    """The key of an RNA, by its tokens (length,)."""
    return hashlib.sha256(ids.cpu().numpy().astype("<i8").tobytes()).hexdigest()[:32]


def encoder_key(model: RnaGptForCausalLM) -> str:
    """What outputs depend on besides the RNA: the encoder's weights, their type, the windows."""
    config = model.config
    settings = [
        config.rna_config.to_dict(),
        config.rna_window_length,
        config.rna_window_overlap,
        config.rna_cls_token_id,
        config.rna_eos_token_id,
    ]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for name, tensor in sorted(model.model.rna_encoder.state_dict().items()):
        digest.update(f"{name} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


__all__ = ["EncoderCache", "VectorFiles", "encoder_key", "rna_key"]
