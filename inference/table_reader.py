"""What a language model reads of RNAs and tokens, by NumPy, where the RNA encoder is a table.

A table has no layers: a nucleotide's vector is that of the k-mer that begins there, whatever else
the RNA holds. So a few products of matrices take the place of the model in PyTorch, whose import
alone takes longer than an answer. The numbers are the model's but for rounding.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import safe_open

from rnagpt.cleaning_rnagpt import NUCLEOTIDES, RNA_LETTERS

Vectors = npt.NDArray[np.float32]
# RNA-FM's tokens, `configuration_rnagpt.RNA_VOCABULARY`: letters from 4 on, k-mers after all.
_FIRST_LETTER, _FIRST_KMER = 4, 25
# Fields of the encoder's configuration without which it is a table of vectors, normed.
_TABLE = {
    "model_type": "esm",
    "num_hidden_layers": 0,
    "position_embedding_type": "rotary",
    "emb_layer_norm_before": None,
    "token_dropout": False,
}
_READ_TYPES = ("F32", "F16")  # NumPy has no bfloat16
_PROJECTOR_EPS = 1e-5  # of PyTorch's LayerNorm
_EMBEDDINGS = "model.language_model.embed_tokens.weight"
_ENCODER, _PROJECTOR = "model.rna_encoder.", "model.projector."


class TableReader:
    """Vectors of RNAs and of tokens, from a model's folder.

    Args:
        folder: with safetensors.
        config: its `config.json`; `can_read` is true of it.

    Raises:
        NotReadableError: the weights are in a type that NumPy does not have, or not all are there.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self._folder = folder
        self._file_of = _file_of_each_tensor(folder)
        rna = config["rna_config"]
        self._kmer_size: int = rna.get("kmer_size", 1)
        self._eps: float = rna["layer_norm_eps"]
        self._merge_size: int = config["rna_merge_size"]
        self._summary_size: int = config["rna_summary_size"]
        self._type_size: int = config["rna_type_size"]
        self._has_prototypes = bool(config["rna_family_prototypes"])
        self._rna_token: int = config["rna_token_id"]
        self._table = self._tensor(f"{_ENCODER}embeddings.word_embeddings.weight")
        self._norm = self._pair(f"{_ENCODER}encoder.emb_layer_norm_after")
        self._projector = {
            name: self._pair(f"{_PROJECTOR}{name}") for name in self._file_of_projector()
        }
        self._known: dict[int, Vectors] = {}  # tokens' vectors
        self._tensor_slice(_EMBEDDINGS, 0)

    @staticmethod
    def can_read(config: Mapping[str, Any]) -> bool:
        """Whether a model's encoder is a table and its projection linear, by its configuration."""
        rna = config.get("rna_config") or {}
        needed = ("rna_merge_size", "rna_summary_size", "rna_type_size", "rna_family_prototypes")
        return (
            all(rna.get(name, "missing") == value for name, value in _TABLE.items())
            and "rna_alphabet" not in rna
            and "layer_norm_eps" in rna
            and config.get("projector_type") == "linear"
            and config.get("rna_token_id") is not None
            and all(config.get(name) is not None for name in needed)
        )

    def rna_vectors(self, sequence: str) -> Vectors:
        """The vectors that take an RNA's place in a prompt: (vectors, text hidden).

        Args:
            sequence: as `clean_rna` gives it.
        """
        hidden = _layer_norm(
            self._table[kmer_tokens(sequence, self._kmer_size)], self._norm, self._eps
        )
        missing = -len(hidden) % self._merge_size
        groups = np.pad(hidden, ((0, missing), (0, 0))).reshape(
            -1, self._merge_size * hidden.shape[1]
        )
        vectors = self._linear("nucleotides", groups)
        if not self._summary_size:
            return vectors
        return np.concatenate([self._summary(hidden.mean(0)), vectors])

    def embed(self, ids: Sequence[int], rnas: Sequence[Vectors]) -> Vectors:
        """What the language model reads of a prompt: (tokens, text hidden).

        Args:
            ids: its tokens, a placeholder for each vector of its RNAs.
            rnas: `rna_vectors` of these, in order.
        """
        tokens = np.asarray(ids)
        places = tokens == self._rna_token
        first = next(iter(rnas)) if len(rnas) else self._token(int(tokens[0]))[None]
        embeds = np.empty((len(tokens), first.shape[1]), np.float32)
        for place in np.flatnonzero(~places):
            embeds[place] = self._token(int(tokens[place]))
        if len(rnas):
            embeds[places] = np.concatenate(list(rnas))
        return embeds

    def _token(self, token: int) -> Vectors:
        if token not in self._known:
            self._known[token] = self._tensor_slice(_EMBEDDINGS, token)
        return self._known[token]

    def _summary(self, mean: Vectors) -> Vectors:
        """As `RnaProjector.summarise`, of one RNA: (summary size, text hidden)."""
        vectors = []
        if self._type_size:
            types = self._linear("type_values", _softmax(self._linear("type_keys", mean)))
            vectors.append(types.reshape(self._type_size, -1))
        mean = _layer_norm(mean, self._projector["summary_norm"], _PROJECTOR_EPS)
        if self._has_prototypes:
            mean = self._linear("summary_values", _softmax(self._linear("summary_keys", mean)))
        summary = self._linear("summary", mean)
        vectors.append(summary.reshape(self._summary_size - self._type_size, -1))
        return np.concatenate(vectors)

    def _linear(self, name: str, values: Vectors) -> Vectors:
        weight, bias = self._projector[name]
        product: Vectors = values @ weight.T
        return product if bias is None else product + bias

    def _file_of_projector(self) -> list[str]:
        """The projection's parts by name, each once."""
        names = [name for name in self._file_of if name.startswith(_PROJECTOR)]
        return sorted({name.removeprefix(_PROJECTOR).rsplit(".", 1)[0] for name in names})

    def _pair(self, name: str) -> tuple[Vectors, Vectors | None]:
        """Weight and bias of a layer."""
        bias = f"{name}.bias"
        return self._tensor(f"{name}.weight"), self._tensor(bias) if bias in self._file_of else None

    def _tensor(self, name: str) -> Vectors:
        return self._read(name, slice(None))

    def _tensor_slice(self, name: str, row: int) -> Vectors:
        return self._read(name, slice(row, row + 1))[0]

    def _read(self, name: str, rows: slice) -> Vectors:
        """Rows of a tensor, which alone are read from its file."""
        if name not in self._file_of:
            raise NotReadableError(f"{self._folder} has no tensor {name}.")
        with safe_open(self._folder / self._file_of[name], framework="np") as file:
            stored = file.get_slice(name)
            if stored.get_dtype() not in _READ_TYPES:
                raise NotReadableError(f"{name} of {self._folder} is in {stored.get_dtype()}.")
            tensor: Vectors = stored[rows].astype(np.float32, copy=False)
        return tensor


class NotReadableError(ValueError):
    """Weights that NumPy cannot read; PyTorch may."""


def kmer_tokens(sequence: str, kmer_size: int) -> npt.NDArray[np.int64]:
    """Token ids of a cleaned sequence, as `tokenize_rna` gives them: (length,)."""
    letters = np.frombuffer(sequence.encode("ascii"), np.uint8)
    ids = _LETTER_IDS[letters]
    if kmer_size == 1 or len(letters) < kmer_size:
        return ids
    digits = np.lib.stride_tricks.sliding_window_view(_BASE_4[letters], kmer_size)
    known = np.flatnonzero((digits < len(NUCLEOTIDES)).all(1))
    ids[known] = _FIRST_KMER + (digits @ 4 ** np.arange(kmer_size - 1, -1, -1))[known]
    return ids


_LETTER_IDS = np.zeros(128, np.int64)
_LETTER_IDS[[ord(letter) for letter in RNA_LETTERS]] = _FIRST_LETTER + np.arange(len(RNA_LETTERS))
_BASE_4 = np.full(128, len(NUCLEOTIDES))
_BASE_4[[ord(letter) for letter in NUCLEOTIDES]] = range(len(NUCLEOTIDES))


def _layer_norm(values: Vectors, weights: tuple[Vectors, Vectors | None], eps: float) -> Vectors:
    weight, bias = weights
    assert bias is not None
    centred = values - values.mean(-1, keepdims=True)
    normed: Vectors = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + np.float32(eps))
    return normed * weight + bias


def _softmax(values: Vectors) -> Vectors:
    powers: Vectors = np.exp(values - values.max())
    return powers / powers.sum()


def _file_of_each_tensor(folder: Path) -> dict[str, str]:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        file_of: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        return file_of
    file = folder / "model.safetensors"
    if not file.is_file():
        raise NotReadableError(f"{folder} holds no model.safetensors.")
    with safe_open(file, framework="np") as opened:
        return dict.fromkeys(opened.keys(), file.name)


__all__ = ["NotReadableError", "TableReader", "Vectors", "kmer_tokens"]
