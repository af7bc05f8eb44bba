"""Sequences for masked pre-training: what is kept out of it, and the clusters that are held out."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rnagpt.sequences.clustering import cluster_sequences
from rnagpt.sequences.dataset_loading import load_splits
from rnagpt.sequences.fasta import clean_rnas, read_fasta
from rnagpt.training.encoder.batches import RnaRow

CLUSTERS = "clusters.npz"
# Each side of a nucleotide; 4 ** 10 contexts are some 16 for each of a corpus of 20 Mnt.
CONTEXT = 5
_LONGEST = 10**6  # nt

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Corpus:
    """RNAs to train on and to be asked about, of other clusters; their `family` is the cluster.

    Attributes:
        train: all RNAs of the clusters that are trained on.
        evaluation: an RNA of each cluster that is held out.
        left_out: RNAs of clusters in which there is one that must not be trained on.
        clustered_by: the method.
    """

    train: list[RnaRow]
    evaluation: list[RnaRow]
    left_out: int
    clustered_by: str


def read_corpus(
    fasta: str,
    folder: Path,
    *,
    dataset_name: str | None = None,
    kept_out: Sequence[str] = (),
    max_eval_rnas: int = 1500,
) -> Corpus:
    """Read, cluster and divide the sequences of a FASTA file.

    Args:
        fasta: the sequences; of equal ones the first counts.
        folder: keeps the clusters, which take long to find.
        dataset_name: RNA-QA, whose splits but `train` are kept out, with all that is like them.
        kept_out: FASTA files of more RNAs that are kept out in the same way.
        max_eval_rnas: hold so many clusters out, of at most half of them.

    Raises:
        OSError, ValueError: a file cannot be read, or fewer than two clusters are left.
    """
    corpus = _sequences(fasta)
    others = {one for path in kept_out for one in _sequences(path)}
    if dataset_name:
        splits = load_splits(dataset_name, usual="annotations")
        others |= {s for name, rows in splits.items() if name != "train" for s in rows["sequence"]}
    everything = list(dict.fromkeys([*corpus, *sorted(others)]))
    labels, method = _clusters(everything, folder)
    forbidden = {label for label, one in zip(labels, everything, strict=True) if one in others}
    rows = [
        RnaRow(one, family=str(label))
        for label, one in zip(labels, corpus, strict=False)  # the corpus stands first
        if label not in forbidden
    ]
    held_out = _held_out({row.family for row in rows}, max_eval_rnas, fasta)
    asked = {row.family: row for row in reversed(rows) if row.family in held_out}
    divided = Corpus(
        train=[row for row in rows if row.family not in held_out],
        evaluation=sorted(asked.values(), key=lambda row: int(row.family)),
        left_out=len(corpus) - len(rows),
        clustered_by=method,
    )
    logger.info(
        "%d sequences; %d are left out with their clusters, %d clusters are held out (%s).",
        *(len(corpus), divided.left_out, len(held_out), method),
    )
    return divided


def _sequences(fasta: str) -> list[str]:
    records = clean_rnas(read_fasta(fasta), max_length=_LONGEST)
    return list(dict.fromkeys(record.sequence for record in records))


def _clusters(sequences: list[str], folder: Path) -> tuple[list[int], str]:
    """Clusters of sequences, of `folder` where they stand there already."""
    digest = hashlib.sha256("\n".join(sequences).encode()).hexdigest()
    file = folder / CLUSTERS
    if file.is_file():
        with np.load(file) as known:
            if str(known["sha256"]) == digest:
                return known["labels"].tolist(), str(known["method"])
    labels, method = cluster_sequences(sequences, folder / "cd-hit")
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(file, labels=labels, method=method, sha256=digest)
    return labels, method


def _held_out(clusters: set[str], wanted: int, fasta: str) -> set[str]:
    """Clusters drawn at random, the same in every run."""
    if len(clusters) < 2:
        raise ValueError(
            f"{fasta} has RNAs of {len(clusters)} clusters that may be trained on; at least two "
            "are needed, of which one is held out."
        )
    inorder = sorted(clusters, key=int)
    number = min(wanted, len(inorder) // 2)
    drawn = np.random.default_rng(0).choice(len(inorder), number, replace=False)
    return {inorder[place] for place in drawn.tolist()}


def context_losses(corpus: Corpus, longest: int = CONTEXT) -> dict[str, float]:
    """What a table of neighbours makes of held-out RNAs: nats a nucleotide, as the masked loss.

    A nucleotide is predicted by how often each stood between the same k nucleotides on either side
    in the training RNAs; a context of k is smoothed with that of k - 1 (Witten & Bell 1991). All
    neighbours are shown, as they are not to an encoder.

    Returns:
        The loss by k, from `"0"`, the letters' frequencies.
    """
    losses = {}
    lower: np.ndarray | None = None
    asked = np.concatenate([_windows(part, longest) for part in _joined(corpus.evaluation)])
    counts = [np.zeros(4 ** (2 * k + 1), dtype=np.int64) for k in range(longest + 1)]
    for part in _joined(corpus.train):
        windows = _windows(part, longest)
        for k, table in enumerate(counts):
            table += np.bincount(_codes(windows, k, longest), minlength=len(table))
    for k, table in enumerate(counts):
        here = table.reshape(-1, 4)[_codes(asked, k, longest) // 4].astype(np.float64)
        total, kinds = here.sum(1, keepdims=True), (here > 0).sum(1, keepdims=True)
        weight = np.where(total > 0, kinds, 1.0)
        before = np.full_like(here, 0.25) if lower is None else lower
        lower = (here + weight * before) / (total + weight)
        right = lower[np.arange(len(here)), asked[:, longest]]
        losses[str(k)] = round(float(-np.log(right).mean()), 4)
    return losses


def _joined(rows: Sequence[RnaRow], size: int = 1_000_000) -> Iterator[np.ndarray]:
    """A, C, G, U of many RNAs as 0 to 3; all else, and what stands between two RNAs, as -1."""
    parts: list[str] = []
    length = 0
    for row in rows:
        parts.append(row.sequence)
        length += len(row.sequence)
        if length > size:
            yield _digits("-".join(parts))
            parts, length = [], 0
    yield _digits("-".join(parts))


def _digits(sequence: str) -> np.ndarray:
    """A, C, G, U as 0 to 3, all else as -1."""
    return _DIGIT_OF[np.frombuffer(sequence.encode(), dtype=np.uint8)]


_DIGIT_OF = np.full(256, -1, dtype=np.int64)
_DIGIT_OF[np.frombuffer(b"ACGU", dtype=np.uint8)] = np.arange(4)


def _windows(digits: np.ndarray, longest: int) -> np.ndarray:
    """Nucleotides with `longest` neighbours on either side, in one RNA: (places, 2 longest + 1).

    The same places whatever context is looked at, so that all are asked alike.
    """
    width = 2 * longest + 1
    if len(digits) < width:
        return np.empty((0, width), dtype=np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(digits, width)
    return windows[(windows >= 0).all(1)]


def _codes(windows: np.ndarray, k: int, longest: int) -> np.ndarray:
    """Numbers to base 4 of k neighbours on either side and, as the last digit, the middle."""
    near = np.delete(windows[:, longest - k : longest + k + 1], k, axis=1)
    codes: np.ndarray = 4 * (near @ 4 ** np.arange(2 * k)) + windows[:, longest]
    return codes


__all__ = ["CONTEXT", "Corpus", "context_losses", "read_corpus"]
