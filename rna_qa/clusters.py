"""Clusters of similar sequences, so that no split sees a near copy of another's RNA."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np


# Measured on Rfam's seeds: these settings keep families of 22 to 1,500 nt together.
CD_HIT_OPTIONS = ("-c 0.8 -n 4 -l 9 -aL 0.8 -aS 0.8 -r 0 -d 0 -M 4000").split()
SHORTEST_FOR_CD_HIT = 10  # nt; cd-hit-est -l 9 throws away what is not longer
KMER = 8
# Two sequences that agree in 80 % of their nucleotides share 0.8 ** 8 = 0.17 of their 8-mers.
SHARED_KMERS = 0.15
LENGTH_RATIO = 0.8


def cluster_sequences(
    sequences: Sequence[str], folder: Path, method: str = "auto", threads: int | None = None
) -> tuple[list[int], str]:
    """Cluster unique sequences; returns a cluster number for each and the method that made them.

    `method` is "cd-hit" (80 % identity over 80 % of both sequences), "kmers" (components of sequences
    that share 0.15 of their 8-mers and 80 % of their length), or "auto": cd-hit where it is installed.
    Clusters are numbered in the order of their first sequence. `folder` keeps cd-hit's files: a run that
    was interrupted after the clustering does not repeat it.

    Raises:
        RuntimeError: if cd-hit-est is asked for and missing, or fails.
    """
    if method == "auto":
        method = "cd-hit" if shutil.which("cd-hit-est") else "kmers"
    if method == "cd-hit":
        labels = cluster_by_cd_hit(sequences, folder, threads or os.cpu_count() or 1)
    else:
        labels = cluster_by_kmers(sequences)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(label, len(numbers)) for label in labels], method


def cluster_by_cd_hit(sequences: Sequence[str], folder: Path, threads: int) -> list[int]:
    """Cluster with ``cd-hit-est``; what is too short for it gets a cluster of its own."""
    program = shutil.which("cd-hit-est")
    if program is None:
        raise RuntimeError(
            "cd-hit-est is not installed: install cd-hit (Debian, Bioconda), or choose --clusters kmers"
        )
    folder.mkdir(parents=True, exist_ok=True)
    fasta, result = folder / "unique.fa", folder / "unique.clstr"
    text = "".join(f">{number}\n{sequence}\n" for number, sequence in enumerate(sequences))
    if not (result.exists() and fasta.exists() and fasta.read_text() == text):
        result.unlink(missing_ok=True)
        fasta.write_text(text)
        output = folder / "cd-hit"
        command = [program, "-i", fasta, "-o", output, *CD_HIT_OPTIONS, "-T", str(threads)]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode != 0:
            raise RuntimeError(f"cd-hit-est failed ({run.returncode}): {(run.stdout + run.stderr)[-500:]}")
        (folder / "cd-hit.clstr").rename(result)
    labels: dict[int, int] = {}
    cluster = -1
    with result.open() as file:
        for line in file:
            if line.startswith(">Cluster"):
                cluster += 1
            elif member := re.search(r">(\d+)\.\.\.", line):
                labels[int(member[1])] = cluster
    return [
        labels[number] if number in labels else cluster + 1 + number for number in range(len(sequences))
    ]


def cluster_by_kmers(sequences: Sequence[str]) -> list[int]:
    """Cluster by shared 8-mers: connected components, so a chain of similar sequences stays together."""
    try:
        from scipy.sparse import coo_matrix, csr_matrix, vstack
        from scipy.sparse.csgraph import connected_components
    except ImportError as error:
        raise RuntimeError(
            "clustering needs cd-hit (Debian, Bioconda) or scipy: pip install 'rnagpt[rna-qa]'"
        ) from error
    count = len(sequences)
    rows, columns = [], []
    for number, sequence in enumerate(sequences):
        kmers = {sequence[i : i + KMER] for i in range(len(sequence) - KMER + 1)}
        codes = [kmer.translate(_DIGITS) for kmer in kmers if not kmer.strip("ACGU")]
        columns += [int(code, 4) for code in codes]
        rows += [number] * len(codes)
    profile = csr_matrix(
        (np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=(count, 4**KMER)
    )
    transposed = profile.T.tocsr()
    sizes = np.asarray(profile.sum(axis=1)).ravel()
    lengths = np.array([len(sequence) for sequence in sequences])
    links = []
    for start in range(0, count, 1000):
        shared = (profile[start : start + 1000] @ transposed).tocoo()
        left, right = shared.row + start, shared.col
        close = shared.data >= SHARED_KMERS * np.minimum(sizes[left], sizes[right])
        close &= np.minimum(lengths[left], lengths[right]) >= LENGTH_RATIO * np.maximum(
            lengths[left], lengths[right]
        )
        close &= shared.data >= 2
        block = (shared.data[close], (shared.row[close], right[close]))
        links.append(coo_matrix(block, shape=(min(1000, count - start), count)))
    _, labels = connected_components(vstack(links), directed=False)
    return labels.tolist()


_DIGITS = str.maketrans("ACGU", "0123")
