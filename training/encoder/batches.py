"""Batches for the training of an encoder: RNAs of similar length, changed or masked at random."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from rnagpt.configuration_rnagpt import RNA_VOCABULARY
from rnagpt.processing_rnagpt import tokenize_rna
from rnagpt.sequences.dataset_columns import check_columns
from rnagpt.sequences.dataset_loading import choose_split, load_splits
from rnagpt.sequences.rna_types import first_sentence
from rnagpt.sequences.shuffle import shuffle_dinucleotides
from rnagpt.training.columns import check_texts
from rnagpt.training.encoder.objectives import (
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
    """Batches of rows of similar length, within a budget of nucleotides, padding included; or
    packed: of any lengths, whose sum is within the budget.

    Families of n rows are drawn in proportion to the square root of n, so that large ones do not
    drown small ones. An epoch has as many batches as all rows would fill. The order depends on
    seed and epoch only, so that a resumed run meets the same batches.

    Args:
        rows: what is drawn from.
        budget: nucleotides of a batch; an RNA longer than it makes a batch of its own.
        max_length: RNAs count as at most so long (nt): longer ones are cut.
        shuffle: draw at random; else each row once, shortest first.
        seed: of the draw.
        packed: RNAs of a batch share a row, each with two tokens for its ends.

    Raises:
        ValueError: where an RNA does not fit into the row.
    """

    def __init__(
        self,
        rows: Sequence[RnaRow],
        budget: int,
        *,
        max_length: int = 1022,
        shuffle: bool = True,
        seed: int = 0,
        packed: bool = False,
    ) -> None:
        ends = 2 if packed else 0
        self.lengths = np.array([min(len(row.sequence), max_length) + ends for row in rows])
        self.packed = packed
        if packed and self.lengths.max() > budget:
            raise ValueError(
                f"An RNA takes {self.lengths.max():,} tokens with its ends, a packed row has "
                f"{budget:,}: raise tokens_per_batch or lower max_length."
            )
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
            if not self.packed:
                # Some noise, so that the same RNAs do not always meet.
                noisy = self.lengths[drawn] * random.uniform(0.9, 1.1, len(drawn))
                drawn = drawn[np.argsort(noisy)]
            batches = list(self._cut(drawn))
            random.shuffle(batches)
            yield from batches

    def _cut(self, order: np.ndarray) -> Iterator[list[int]]:
        batch: list[int] = []
        longest = total = 0
        for index in order.tolist():
            length = int(self.lengths[index])
            longest, total = max(longest, length), total + length
            if batch and (total if self.packed else longest * (len(batch) + 1)) > self.budget:
                yield batch
                batch, longest, total = [], length, length
            batch.append(index)
        if batch:
            yield batch


class DrawnRows(Dataset[Any]):
    """Rows by their number, each with the seed of its batch's draws."""

    def __init__(self, rows: Sequence[RnaRow]) -> None:
        self.rows = rows

    def __getitem__(self, drawn: tuple[int, int]) -> tuple[RnaRow, int]:
        number, seed = drawn
        return self.rows[number], seed

    def __len__(self) -> int:
        return len(self.rows)


class SeededBatches(Sampler[Any]):
    """Batches of a sampler with a seed each, which depends on seed, epoch and the batch's number.

    So whatever a collator draws is the same in a run that was stopped and resumed.
    """

    def __init__(self, sampler: TokenBudgetSampler) -> None:
        self.sampler = sampler

    def set_epoch(self, epoch: int) -> None:
        self.sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for number, batch in enumerate(self.sampler):
            seeds = np.random.SeedSequence([self.sampler.seed, self.sampler.epoch, number])
            seed = int(seeds.generate_state(1)[0])
            yield [(row, seed) for row in batch]

    def __len__(self) -> int:
        return len(self.sampler)


@dataclass
class SeededCollator:
    """A collator whose draws, of numpy's global generator, follow from its batch's seed."""

    collator: Callable[[Sequence[RnaRow]], dict[str, torch.Tensor]]

    def __call__(self, drawn: Sequence[tuple[RnaRow, int]]) -> dict[str, torch.Tensor]:
        before = np.random.get_state()
        np.random.seed(drawn[0][1])
        try:
            return self.collator([row for row, _ in drawn])
        finally:
            np.random.set_state(before)


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


__all__ = [
    "DrawnRows",
    "RnaRow",
    "SeededBatches",
    "SeededCollator",
    "TokenBudgetSampler",
    "WordsCollator",
    "annotated_rows",
    "cut_at_random",
    "decoy_of",
    "mutate",
    "pad_rnas",
]
