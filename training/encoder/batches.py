"""Batches for the training of an encoder: RNAs of similar length, changed or masked at random."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.utils.data import Sampler

from rnagpt.configuration_rnagpt import RNA_VOCABULARY
from rnagpt.processing_rnagpt import tokenize_rna
from rnagpt.sequences.dataset_columns import check_columns
from rnagpt.sequences.dataset_loading import choose_split, load_splits
from rnagpt.sequences.rna_types import first_sentence
from rnagpt.sequences.shuffle import shuffle_dinucleotides
from rnagpt.training.columns import check_texts
from rnagpt.training.encoder.objectives import (
    IGNORE,
    UNKNOWN,
    UNKNOWN_TYPE,
    UNKNOWN_WORDS,
    WordTargets,
)

CLS, PAD, EOS, MASK = (RNA_VOCABULARY.index(word) for word in ("<cls>", "<pad>", "<eos>", "<mask>"))
ANNOTATED = ("sequence", "annotation", "family", "rna_type")  # columns that words are learnt from


@dataclass(frozen=True)
class RnaRow:
    """An RNA to learn from, with what is written about it where that is known."""

    sequence: str
    words: str = ""
    family: str = ""
    rna_type: str = ""


def annotated_rows(dataset_name: str, split: str) -> list[RnaRow]:
    """RNAs of a split of RNA-QA, each with the first sentence of its annotation.

    Raises:
        ValueError: the split is missing or empty, a column is missing, or a row lacks something.
    """
    advice = f"The words of annotations are learnt from train and validation; {split} is needed."
    splits = load_splits(dataset_name, usual="annotations")
    data = choose_split(splits, split, dataset_name, advice)
    check_columns(data, ANNOTATED, repr(dataset_name))
    check_texts(data, ("sequence", "annotation"), repr(dataset_name))
    columns = (data[name] for name in ANNOTATED)
    return [
        RnaRow(sequence, f"{first_sentence(annotation)}.", family, rna_type)
        for sequence, annotation, family, rna_type in zip(*columns, strict=True)
    ]


def decoy_of(row: RnaRow, random: np.random.Generator) -> RnaRow:
    """What is no RNA and has another's length and dinucleotides."""
    sequence = shuffle_dinucleotides(row.sequence, random)
    return RnaRow(sequence, UNKNOWN_WORDS, UNKNOWN, UNKNOWN_TYPE)


class TokenBudgetSampler(Sampler[list[int]]):
    """Batches of rows of similar length, within a budget of nucleotides, padding included.

    Families of n rows are drawn in proportion to the square root of n, so that large ones do not
    drown small ones. An epoch has as many batches as all rows would fill. The order depends on
    seed and epoch only, so that a resumed run meets the same batches.

    Args:
        rows: what is drawn from.
        budget: nucleotides of a batch; an RNA longer than it makes a batch of its own.
        max_length: RNAs count as at most so long (nt): longer ones are cut.
        shuffle: draw at random; else each row once, shortest first.
        seed: of the draw.
    """

    def __init__(
        self,
        rows: Sequence[RnaRow],
        budget: int,
        *,
        max_length: int = 1022,
        shuffle: bool = True,
        seed: int = 0,
    ) -> None:
        self.lengths = np.array([min(len(row.sequence), max_length) for row in rows])
        self.budget, self.shuffle, self.seed, self.epoch = budget, shuffle, seed, 0
        sizes = Counter(row.family for row in rows)
        weights = np.array([sizes[row.family] ** -0.5 for row in rows])
        self.weights = weights / weights.sum()
        self.shortest_first = np.argsort(self.lengths, kind="stable")
        self.num_batches = sum(1 for _ in self._cut(self.shortest_first))

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer before each epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        if not self.shuffle:
            return self._cut(self.shortest_first)
        return islice(self._draw(), self.num_batches)

    def __len__(self) -> int:
        return self.num_batches

    def _draw(self) -> Iterator[list[int]]:
        """Batches at random, without end."""
        random = np.random.default_rng([self.seed, self.epoch])
        while True:
            drawn = random.choice(len(self.lengths), len(self.lengths), p=self.weights)
            # Some noise, so that the same RNAs do not always meet.
            noisy = self.lengths[drawn] * random.uniform(0.9, 1.1, len(drawn))
            batches = list(self._cut(drawn[np.argsort(noisy)]))
            random.shuffle(batches)
            yield from batches

    def _cut(self, order: np.ndarray) -> Iterator[list[int]]:
        batch: list[int] = []
        longest = 0
        for index in order.tolist():
            longest = max(longest, self.lengths[index])
            if batch and longest * (len(batch) + 1) > self.budget:
                yield batch
                batch, longest = [], self.lengths[index]
            batch.append(index)
        if batch:
            yield batch


def cut_at_random(sequence: str, length: int) -> str:
    """A stretch of at most `length` nt, anywhere in the RNA."""
    start = np.random.randint(max(1, len(sequence) - length + 1))
    return sequence[start : start + length]


def mutate(sequence: str, most: float) -> str:
    """Replace a share of nucleotides, drawn between none and `most`, with random ones.

    One in four stays what it was by chance.
    """
    letters = np.frombuffer(sequence.encode(), dtype=np.uint8).copy()
    chosen = np.random.random(len(letters)) < np.random.uniform(0, most)
    letters[chosen] = np.random.choice(np.frombuffer(b"ACGU", dtype=np.uint8), chosen.sum())
    return letters.tobytes().decode()


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


def pad_rnas(rows: list[np.ndarray]) -> dict[str, torch.Tensor]:
    """Tokens of RNAs, with cls and eos, as (rnas, longest) and their mask."""
    ids = [torch.tensor([CLS, *row.tolist(), EOS]) for row in rows]
    input_ids = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=PAD)
    return {"input_ids": input_ids, "attention_mask": input_ids.ne(PAD).long()}


@dataclass
class WordsCollator:
    """RNAs, mutated while training, with the family and the words to be read from them.

    Args:
        targets: numbers of families, ids of words.
        kmer_size: k of the encoder's vocabulary.
        max_length: longer RNAs (nt) are cut at random.
        most_mutations: share of nucleotides replaced, at most.
        decoy_share: share of rows in whose place a decoy is shown.
    """

    targets: WordTargets
    kmer_size: int
    max_length: int
    most_mutations: float
    decoy_share: float = 0.0

    def __call__(self, rows: Sequence[RnaRow]) -> dict[str, torch.Tensor]:
        if self.decoy_share:
            random = np.random.default_rng(np.random.randint(2**32))
            decoys = random.random(len(rows)) < self.decoy_share
            rows = [
                decoy_of(row, random) if decoy else row
                for row, decoy in zip(rows, decoys, strict=True)
            ]
        sequences = [cut_at_random(row.sequence, self.max_length) for row in rows]
        tokens = [tokenize_rna(mutate(s, self.most_mutations), self.kmer_size) for s in sequences]
        families = torch.tensor([self.targets.families[row.family] for row in rows])
        words = torch.stack([self.targets.words_of(row.words) for row in rows])
        return {**pad_rnas(tokens), "labels": torch.cat([families[:, None], words], dim=1)}


@dataclass
class MaskedCollator:
    """RNAs with hidden nucleotides: every token that reads one is masked, and is to be predicted.

    For k > 1 these are k tokens in a row, as in DNABERT (Ji et al. 2021): with only one of them
    masked, its neighbours would reveal it.

    Args:
        kmer_size: k of the encoder's vocabulary.
        max_length: longer RNAs (nt) are cut at random.
        mask_share: share of tokens masked, on average; at least one nucleotide is hidden.
    """

    kmer_size: int
    max_length: int
    mask_share: float

    def __call__(self, rows: Sequence[RnaRow]) -> dict[str, torch.Tensor]:
        tokens = [
            tokenize_rna(cut_at_random(row.sequence, self.max_length), self.kmer_size)
            for row in rows
        ]
        batch: dict[str, Any] = pad_rnas(tokens)
        masked = torch.zeros_like(batch["input_ids"], dtype=torch.bool)
        for row, ids in enumerate(tokens):
            hides = reads_hidden(ids, self._hide(len(ids)), self.kmer_size)
            masked[row, 1 : len(ids) + 1] = torch.from_numpy(hides)  # after cls
        labels = batch["input_ids"].masked_fill(~masked, IGNORE)
        batch["input_ids"].masked_fill_(masked, MASK)
        return {**batch, "labels": labels}

    def _hide(self, length: int) -> np.ndarray:
        """Nucleotides to hide: (length,), bool."""
        hidden = np.random.random(length) < self.mask_share / self.kmer_size
        hidden[np.random.randint(length)] = True
        return hidden


__all__ = [
    "MaskedCollator",
    "RnaRow",
    "TokenBudgetSampler",
    "WordsCollator",
    "annotated_rows",
    "cut_at_random",
    "decoy_of",
    "mutate",
    "pad_rnas",
    "reads_hidden",
]
