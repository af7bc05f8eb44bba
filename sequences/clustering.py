"""Clusters of similar sequences, so that no split sees a near copy of another's RNA."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import numpy as np
from tqdm import tqdm

# Measured on Rfam's seeds: these settings keep families of 22 to 1,500 nt together.
IDENTITY = ("-c", "0.8", "-n", "4", "-r", "0")
COVERAGE = ("-l", "9", "-aL", "0.8", "-aS", "0.8")
# One thread: with two, cd-hit 4.8.1 gives other clusters in every run.
RESOURCES = ("-d", "0", "-M", "4000", "-T", "1")
KMER = 8
# Two sequences that agree in 80 % of their nucleotides share about 0.8 ** 8 = 0.17 of their 8-mers;
# two unrelated ones of 100 nt share 0.001.
SHARED_KMERS = 0.15
LENGTH_RATIO = 0.8


def cluster_sequences(
    sequences: Sequence[str], folder: Path, method: str = "auto"
) -> tuple[list[int], str]:
    """Cluster unique sequences; returns each one's cluster and the method that was used.

    Args:
        sequences: Different from each other, of A, C, G, U and the IUPAC letters for several.
        folder: Keeps cd-hit's files, so that a run that was interrupted later does not repeat it.
        method: "cd-hit", "kmers", or "auto": cd-hit where it is installed.

    Clusters are numbered from 0 in the order of their first sequence.

    Raises:
        RuntimeError: if cd-hit-est is asked for and is not installed, or fails.
    """
    if method == "auto":
        method = "cd-hit" if shutil.which("cd-hit-est") else "kmers"
    if method == "cd-hit":
        labels = cluster_by_cd_hit(sequences, folder)
    else:
        labels = cluster_by_kmers(sequences)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(label, len(numbers)) for label in labels], method


def cluster_by_cd_hit(sequences: Sequence[str], folder: Path) -> list[int]:
    """Cluster at 80 % identity over 80 % of both sequences with ``cd-hit-est``.

    It leaves out what is shorter than 10 nt; each such sequence gets a cluster of its own.
    """
    program = shutil.which("cd-hit-est")
    if program is None:
        raise RuntimeError(
            "cd-hit-est is not installed; install cd-hit (from Debian, Ubuntu or Bioconda) or "
            "choose the built-in method: --clusters kmers"
        )
    folder.mkdir(parents=True, exist_ok=True)
    fasta, clusters = folder / "unique.fa", folder / "unique.clstr"
    text = "".join(f">{number}\n{sequence}\n" for number, sequence in enumerate(sequences))
    if not (clusters.exists() and fasta.exists() and fasta.read_text() == text):
        clusters.unlink(missing_ok=True)
        fasta.write_text(text)
        files = ("-i", str(fasta), "-o", str(folder / "cd-hit"))
        command = [program, *files, *IDENTITY, *COVERAGE, *RESOURCES]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode != 0:
            raise RuntimeError(
                f"cd-hit-est failed with {run.returncode}: {(run.stdout + run.stderr)[-500:]}"
            )
        (folder / "cd-hit.clstr").rename(clusters)
    labels = _read_clusters(clusters)
    alone = count(max(labels.values(), default=-1) + 1)
    return [labels[n] if n in labels else next(alone) for n in range(len(sequences))]


def _read_clusters(path: Path) -> dict[int, int]:
    """The cluster of each numbered sequence in a ``.clstr`` file of cd-hit."""
    labels: dict[int, int] = {}
    cluster = -1
    with path.open() as file:
        for line in file:
            if line.startswith(">Cluster"):
                cluster += 1
            elif member := re.search(r">(\d+)\.\.\.", line):
                labels[int(member[1])] = cluster
    return labels


def cluster_by_kmers(sequences: Sequence[str]) -> list[int]:
    """Cluster greedily, longest first, as cd-hit does, with shared 8-mers in place of an alignment.

    A sequence joins the representative with which it shares most of its 8-mers, if those are
    `SHARED_KMERS` of them and the lengths agree to `LENGTH_RATIO`; else it becomes one itself.
    """
    representatives: list[int] = []
    holders: list[list[int]] = [[] for _ in range(4**KMER)]
    labels = [0] * len(sequences)
    order = sorted(range(len(sequences)), key=lambda n: (-len(sequences[n]), sequences[n]))
    for number in tqdm(order, desc="clustering", unit=" sequences"):
        length = len(sequences[number])
        kmers = _kmer_codes(sequences[number])
        found = [holder for kmer in kmers for holder in holders[kmer]]
        best = -1
        if found:
            shared = np.bincount(found)
            for candidate in np.argsort(-shared, kind="stable"):
                if shared[candidate] < max(2, SHARED_KMERS * len(kmers)):
                    break
                if length >= LENGTH_RATIO * len(sequences[representatives[candidate]]):
                    best = int(candidate)
                    break
        if best < 0:
            best = len(representatives)
            representatives.append(number)
            for kmer in kmers:
                holders[kmer].append(best)
        labels[number] = best
    return labels


def _kmer_codes(sequence: str) -> list[int]:
    """The different 8-mers of A, C, G and U as numbers to base 4."""
    digits = np.frombuffer(sequence.translate(_DIGITS).encode(), dtype=np.uint8).astype(np.int64)
    if len(digits) < KMER:
        return []
    digits = np.lib.stride_tricks.sliding_window_view(digits - ord("0"), KMER)
    codes = digits[(digits < 4).all(axis=1)] @ 4 ** np.arange(KMER)
    different: list[int] = np.unique(codes).tolist()
    return different


_DIGITS = str.maketrans("ACGU", "0123")
