"""Masked nucleotides: which are hidden, what stands in their place; RNAs packed into a row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from rnagpt.cleaning_rnagpt import NUCLEOTIDES
from rnagpt.configuration_rnagpt import RNA_VOCABULARY
from rnagpt.processing_rnagpt import tokenize_rna
from rnagpt.sequences.strands import reverse_complement
from rnagpt.training.encoder.batches import CLS, EOS, MASK, PAD, RnaRow, cut_at_random, pad_rnas
from rnagpt.training.encoder.objectives import IGNORE

_NUCLEOTIDES = np.array([RNA_VOCABULARY.index(letter) for letter in NUCLEOTIDES])


def reads_hidden(ids: np.ndarray, hidden: np.ndarray, kmer_size: int) -> np.ndarray:
    """Which tokens read a hidden nucleotide: (length,), bool.

    A k-mer at position i reads nucleotides i to i+k-1; any other token its own letter.

    Args:
        ids: tokens of `tokenize_rna`: (length,).
        hidden: nucleotides that must not be revealed: (length,), bool.
        kmer_size: k of the vocabulary.
    """
    read = np.where(ids >= len(RNA_VOCABULARY), kmer_size, 1)
    hidden_before = np.concatenate([[0], np.cumsum(hidden)])
    first = np.arange(len(ids))
    return hidden_before[first + read] > hidden_before[first]


def pack_rnas(rows: list[np.ndarray], size: int) -> dict[str, torch.Tensor]:
    """RNAs one after another in a single row, each with cls and eos: (1, size).

    Returns:
        `input_ids`; `position_ids`, which begin at 0 with each RNA. What is left of the row is
        padding, which counts as an RNA of its own.

    Raises:
        ValueError: if the RNAs do not fit.
    """
    ids = [[CLS, *row.tolist(), EOS] for row in rows]
    left = size - sum(map(len, ids))
    if left < 0:
        raise ValueError(f"RNAs of {size - left:,} tokens, cls and eos included, in {size:,}.")
    ids.append([PAD] * left)
    places = [place for rna in ids for place in range(len(rna))]
    return {
        "input_ids": torch.tensor([[token for rna in ids for token in rna]]),
        "position_ids": torch.tensor([places]),
    }


@dataclass
class MaskedCollator:
    """RNAs with hidden nucleotides, which are to be predicted.

    Every token that reads a hidden nucleotide is chosen. For k > 1 these are k tokens in a row, as
    in DNABERT (Ji et al. 2021): with only one of them masked, its neighbours would reveal it.
    Of the tokens chosen some show a random nucleotide and some what they are (Devlin et al. 2019);
    the rest are masked.

    Args:
        kmer_size: k of the encoder's vocabulary.
        max_length: longer RNAs (nt) are cut at random.
        mask_share: share of tokens chosen, on average; at least one nucleotide is hidden.
        random_share, kept_share: of the tokens chosen; for k = 1 only.
        other_strand_share: of the RNAs, whose other strand is shown.
        packed_size: tokens of the single row that the RNAs share; None for a row each.

    Raises:
        ValueError: for random or kept tokens where k > 1.
    """

    kmer_size: int
    max_length: int
    mask_share: float
    random_share: float = 0.0
    kept_share: float = 0.0
    other_strand_share: float = 0.0
    packed_size: int | None = None

    def __post_init__(self) -> None:
        if self.kmer_size > 1 and (self.random_share or self.kept_share):
            raise ValueError(
                f"random_share ({self.random_share}) and kept_share ({self.kept_share}) are for "
                f"single nucleotides: a k-mer (k = {self.kmer_size}) that stays tells its "
                "neighbours. Leave both 0."
            )

    def __call__(self, rows: Sequence[RnaRow]) -> dict[str, torch.Tensor]:
        tokens = [tokenize_rna(self._shown(row.sequence), self.kmer_size) for row in rows]
        chosen = [reads_hidden(ids, self._hide(len(ids)), self.kmer_size) for ids in tokens]
        labels = [np.where(c, ids, IGNORE) for ids, c in zip(tokens, chosen, strict=True)]
        seen = [self._replaced(ids, c) for ids, c in zip(tokens, chosen, strict=True)]
        batch = pad_rnas(seen) if self.packed_size is None else pack_rnas(seen, self.packed_size)
        ends = [np.concatenate([[IGNORE], one, [IGNORE]]) for one in labels]
        return {**batch, "labels": self._like(batch["input_ids"], ends)}

    def _shown(self, sequence: str) -> str:
        part = cut_at_random(sequence, self.max_length)
        other = self.other_strand_share and np.random.random() < self.other_strand_share
        return reverse_complement(part) if other else part

    def _hide(self, length: int) -> np.ndarray:
        """Nucleotides to hide: (length,), bool."""
        hidden = np.random.random(length) < self.mask_share / self.kmer_size
        hidden[np.random.randint(length)] = True
        return hidden

    def _replaced(self, ids: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """What is shown: most chosen tokens masked, some random, some as they are."""
        fate = np.random.random(len(ids))
        shown = np.where(chosen & (fate >= self.random_share + self.kept_share), MASK, ids)
        by_chance = chosen & (fate < self.random_share)
        shown[by_chance] = np.random.choice(_NUCLEOTIDES, by_chance.sum())
        return shown

    def _like(self, input_ids: torch.Tensor, labels: list[np.ndarray]) -> torch.Tensor:
        """Labels in the places of their tokens."""
        placed = torch.full_like(input_ids, IGNORE)
        if self.packed_size is None:
            for row, one in zip(placed, labels, strict=True):
                row[: len(one)] = torch.from_numpy(one)
        else:
            joined = torch.from_numpy(np.concatenate(labels))
            placed[0, : len(joined)] = joined
        return placed


__all__ = ["MaskedCollator", "pack_rnas", "reads_hidden"]
