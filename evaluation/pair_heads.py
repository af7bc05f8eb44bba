"""Linear heads that score pairs of nucleotides, and what they read: vectors, attention, letters."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set

import numpy as np
import torch
from torch import nn

from rnagpt.conversion.rna_encoder import RnaEncoder
from rnagpt.sequences.folding import SHORTEST_LOOP

MIN_STEPS, EPOCHS, BATCH = 300, 6, 8
# Of a head of one feature: a step moves the scores of larger heads by as many times as much.
LEARNING_RATE = 1.5
_LETTERS = "ACGU"

# Of sequences: what a linear head scores the pairs of their nucleotides by.
Features = Callable[[Sequence[str]], list[torch.Tensor]]
# Base pairs of an RNA, 0-based, the first nucleotide before the second.
Pairs = Set[tuple[int, int]]


def letter_features(around: int) -> Features:
    """The letters at and around each nucleotide, as ones and zeros: (nt, 4 · (2 · around + 1))."""

    def read(sequences: Sequence[str]) -> list[torch.Tensor]:
        return [_windows(_one_hot(sequence), around) for sequence in sequences]

    return read


def _one_hot(sequence: str) -> torch.Tensor:
    return torch.tensor([[float(letter == one) for one in _LETTERS] for letter in sequence])


def _windows(letters: torch.Tensor, around: int) -> torch.Tensor:
    padded = nn.functional.pad(letters, (0, 0, around, around))
    return torch.cat([padded[i : i + len(letters)] for i in range(2 * around + 1)], 1)


def vector_features(encoder: RnaEncoder) -> Features:
    """The encoder's vectors, one a nucleotide."""

    def read(sequences: Sequence[str]) -> list[torch.Tensor]:
        return [encoder.vectors([sequence])[0, : len(sequence)] for sequence in sequences]

    return read


def scaled_by(features: Features, sequences: Sequence[str]) -> Features:
    """The same features with mean 0 and variance 1 over the nucleotides of some sequences."""
    known = torch.cat(features(sequences))
    mean, deviation = known.mean(0), known.std(0).clamp(min=1e-6)

    def read(others: Sequence[str]) -> list[torch.Tensor]:
        return [(one - mean) / deviation for one in features(others)]

    return read


class BilinearHead(nn.Module):
    """Logistic regression on the outer product of two nucleotides' features.

    It takes a pair for the same from both ends. Of the distance between the two it knows nothing.

    Args:
        size: of a nucleotide's features.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size, size))
        self.bias = nn.Parameter(torch.tensor(-4.0))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Log-odds (…, nt, nt) of features (…, nt, size)."""
        scores = features @ self.weight @ features.mT / features.shape[-1]
        both: torch.Tensor = scores + scores.mT + self.bias
        return both


class AttentionHead(nn.Module):
    """Logistic regression on attention maps (maps, nt, nt), as `attention_maps` gives them."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size))
        self.bias = nn.Parameter(torch.tensor(-4.0))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Log-odds (nt, nt)."""
        scores: torch.Tensor = torch.einsum("mij,m->ij", maps, self.weight) + self.bias
        return scores


def attention_maps(encoder: RnaEncoder) -> Features | None:
    """Attention of all heads, symmetric and corrected for products of means; None without any.

    The correction (APC) is that of Rao et al. 2020 (Transformer protein language models are
    unsupervised structure learners). Values are in units of a mean map: times the length.
    """
    probe = encoder.attention("ACGUACGU")
    if probe is None:
        return None

    def read(sequences: Sequence[str]) -> list[torch.Tensor]:
        found = []
        for sequence in sequences:
            maps = encoder.attention(sequence)
            assert maps is not None  # it has attention
            both = maps + maps.mT
            rows = both.sum(-1, keepdim=True)
            products = rows * rows.mT / both.sum((-1, -2), keepdim=True)
            found.append((both - products) * len(sequence))
        return found

    return read


def fit_head(
    head: BilinearHead | AttentionHead,
    features: Sequence[torch.Tensor],
    right: Sequence[Pairs],
    rate: float,
    decay: float,
    seed: int,
) -> None:
    """Fit on all pairs of nucleotides that a hairpin's loop lets pair.

    Args:
        head: fitted in place.
        features: of each RNA.
        right: base pairs of each.
        rate: of learning, in units of the usual one for the head's size; a slow one ends early.
        decay: AdamW's weight decay.
        seed: of the order.
    """
    groups = [
        {"params": [head.weight], "weight_decay": decay},
        {"params": [head.bias], "weight_decay": 0.0},
    ]
    highest = rate * LEARNING_RATE / len(head.weight)
    optimizer = torch.optim.AdamW(groups, lr=highest)
    batches = -(-len(features) // BATCH)
    epochs = max(EPOCHS, -(-MIN_STEPS // batches))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, highest, epochs * batches)
    targets = [
        _targets(one.shape[-1] if one.ndim == 3 else len(one), pairs)
        for one, pairs in zip(features, right, strict=True)
    ]
    random = np.random.default_rng(seed)
    for _ in range(epochs):
        order = random.permutation(len(features))
        for start in range(0, len(features), BATCH):
            losses = [_loss(head, features[i], targets[i]) for i in order[start : start + BATCH]]
            torch.stack(losses).mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()


def _targets(length: int, right: Pairs) -> tuple[torch.Tensor, torch.Tensor]:
    """What is right of each pair of nucleotides, and which count: both (nt, nt)."""
    wanted = torch.zeros(length, length)
    for pair in right:
        wanted[pair] = 1
    return wanted, torch.ones(length, length).triu(SHORTEST_LOOP + 1)


def _loss(
    head: nn.Module, features: torch.Tensor, targets: tuple[torch.Tensor, torch.Tensor]
) -> torch.Tensor:
    """Per nucleotide: an RNA of twice the length has four times the pairs, but twice the right."""
    wanted, counted = targets
    losses = nn.functional.binary_cross_entropy_with_logits(
        head(features), wanted, weight=counted, reduction="sum"
    )
    return losses / len(wanted)


__all__ = [
    "AttentionHead",
    "BilinearHead",
    "Features",
    "Pairs",
    "attention_maps",
    "fit_head",
    "letter_features",
    "scaled_by",
    "vector_features",
]
