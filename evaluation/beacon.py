"""Tasks of BEACON (Ren et al. 2024, arXiv:2406.10391) by their published files, with probes.

A folder holds one folder a task, each with train.csv, val.csv and test.csv, as the authors'
repository terry-r123/RNABenchmark reads them. Here an encoder stays frozen and a linear layer reads
the means of its vectors, while BEACON's own tables are of whole models fine-tuned: the figures are
not comparable. Taken are tasks of one value or several for a whole sequence.
"""

from __future__ import annotations

import csv
import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler

from rnagpt.cleaning_rnagpt import RnaSequenceError, clean_rna
from rnagpt.evaluation.baselines import find_nearest
from rnagpt.evaluation.linear_probes import INVERSE_STRENGTHS, RIDGES, LabelProbe
from rnagpt.evaluation.probe_figures import Estimate, Figure, bootstrap_estimate, score_labels
from rnagpt.evaluation.probed_rnas import Read, kmer_reader, remembered

LABEL, NUMBERS, MARKS = "label", "numbers", "marks"
MAX_LENGTH = 10**6  # nt
TRAIN, VALIDATION, TEST = SPLITS = ("train", "val", "test")
KMERS, NEAREST, CONSTANT = "8-mers", "nearest by 8-mers", "commonest or mean"
R2, AUC = "r²", "AUC"


@dataclass(frozen=True)
class BeaconTask:
    """A task's folder and the columns of its files.

    Attributes:
        folder: its name in BEACON's data.
        kind: `LABEL`: one class; `NUMBERS`: values to regress; `MARKS`: zeros and ones.
        values: columns after the sequence.
        header: whether files begin with names of columns.
    """

    folder: str
    kind: str
    values: int
    header: bool = True


TASKS = (
    BeaconTask("NoncodingRNAFamily", LABEL, 1),
    BeaconTask("MeanRibosomeLoading", NUMBERS, 1),
    BeaconTask("ProgrammableRNASwitches", NUMBERS, 3),
    BeaconTask("Modification", MARKS, 12, header=False),
)


@dataclass(frozen=True)
class Rows:
    """A split: cleaned sequences and what is right, (RNAs, values) or the labels (RNAs,)."""

    sequences: list[str]
    values: np.ndarray


def find_tasks(folder: Path) -> list[BeaconTask]:
    """The tasks of a folder that can be asked.

    Raises:
        ValueError: it holds none of them.
    """
    found = [task for task in TASKS if (folder / task.folder).is_dir()]
    if not found:
        names = ", ".join(task.folder for task in TASKS)
        raise ValueError(
            f"{folder} holds none of BEACON's tasks that can be asked; expected folders named "
            f"{names}, each with train.csv, val.csv and test.csv."
        )
    return found


def read_split(folder: Path, task: BeaconTask, split: str) -> Rows:
    """One of `SPLITS` of a task.

    Args:
        folder: with the tasks' folders.

    Raises:
        ValueError: there is no such file, or a line is not of the task's form; names the line.
    """
    file = folder / task.folder / f"{split}.csv"
    if not file.is_file():
        raise ValueError(f"{file} is missing; BEACON's {task.folder} has train, val and test.csv.")
    sequences, values = [], []
    with file.open(encoding="utf-8", newline="") as lines:
        rows = csv.reader(lines)
        for number, row in enumerate(itertools.islice(rows, int(task.header), None), 1):
            sequences.append(_sequence(row, task, file, number + task.header))
            values.append(_values(row[1:], task, file, number + task.header))
    if not sequences:
        raise ValueError(f"{file} holds no RNA.")
    return Rows(sequences, np.array(values if task.kind != LABEL else [one[0] for one in values]))


def _sequence(row: Sequence[str], task: BeaconTask, file: Path, line: int) -> str:
    if len(row) != task.values + 1:
        raise ValueError(
            f"{file}, line {line}: {len(row)} columns; expected a sequence and {task.values} "
            "value(s), with commas between them."
        )
    try:
        rna = clean_rna(row[0], name=f"line {line}", max_length=MAX_LENGTH, max_ambiguous=1.0)
    except RnaSequenceError as error:
        raise ValueError(f"{file}: {error}") from error
    return rna.sequence


def _values(cells: Sequence[str], task: BeaconTask, file: Path, line: int) -> list[str | float]:
    if task.kind == LABEL:
        return [cells[0].strip()]
    try:
        numbers = [float(cell) for cell in cells]
    except ValueError as error:
        raise ValueError(f"{file}, line {line}: {error}; expected numbers.") from error
    if not np.isfinite(numbers).all() or (task.kind == MARKS and set(numbers) - {0.0, 1.0}):
        raise ValueError(
            f"{file}, line {line}: {', '.join(cells)}; expected "
            f"{'zeros and ones' if task.kind == MARKS else 'finite numbers'}."
        )
    return list(numbers)


def probe_task(
    folder: Path,
    task: BeaconTask,
    readers: Mapping[str, Read],
    *,
    max_train_rnas: int,
    seed: int = 0,
) -> Figure:
    """A task by each reader's vectors and 8-mers under a linear probe, the nearest and a constant.

    Regularisation is chosen on the task's own validation split; the test split is asked once.

    Args:
        folder: with the tasks' folders.
        readers: vectors of sequences by the way's name.
        max_train_rnas: probes are fitted on at most N RNAs, at random, and chosen on as many.
        seed: of the draws.
    """
    train, validation = (
        _some(read_split(folder, task, split), max_train_rnas, seed)
        for split in (TRAIN, VALIDATION)
    )
    test = read_split(folder, task, TEST)
    told: dict[str, np.ndarray] = {}
    for way, read in _with_kmers(readers, train.sequences, seed).items():
        vectors = [read(rows.sequences) for rows in (train, validation, test)]
        told[way] = _PROBES[task.kind](vectors, train.values, validation.values)
    constant = _constant(train, task)
    places = find_nearest(train.sequences, test.sequences)
    told[NEAREST] = np.array([constant if at is None else train.values[at] for at in places])
    told[CONSTANT] = np.array([constant] * len(test.sequences))
    ways = {way: _score(said, test.values, task, seed) for way, said in told.items()}
    return Figure(f"BEACON, {task.folder}", len(test.sequences), 0, ways)


def _some(rows: Rows, most: int, seed: int) -> Rows:
    drawn = np.random.default_rng(seed).permutation(len(rows.sequences))[:most]
    return Rows([rows.sequences[place] for place in drawn.tolist()], rows.values[drawn])


def _with_kmers(readers: Mapping[str, Read], train: Sequence[str], seed: int) -> dict[str, Read]:
    return {**readers, KMERS: remembered(kmer_reader(train, seed))}


def _constant(train: Rows, task: BeaconTask) -> str | np.ndarray:
    if task.kind == LABEL:
        return str(Counter(train.values.tolist()).most_common(1)[0][0])
    mean: np.ndarray = train.values.mean(0)
    return mean


# --- probes: vectors of train, validation and test; what is right of the first two; what is told


def _tell_labels(
    vectors: Sequence[np.ndarray], train: np.ndarray, validation: np.ndarray
) -> np.ndarray:
    both = np.concatenate(vectors[:2])
    held = np.arange(len(both)) >= len(train)
    probe = LabelProbe(both, np.concatenate([train, validation]), held, refit=False)
    return np.array(probe.predict(vectors[2]))


def _tell_numbers(
    vectors: Sequence[np.ndarray], train: np.ndarray, validation: np.ndarray
) -> np.ndarray:
    scaler = StandardScaler().fit(vectors[0])
    scaled = [scaler.transform(one) for one in vectors]
    models = [Ridge(alpha=strength).fit(scaled[0], train) for strength in RIDGES]
    best = max(models, key=lambda model: r_squared(_flat(model.predict(scaled[1])), validation))
    return _flat(best.predict(scaled[2]))


def _tell_marks(
    vectors: Sequence[np.ndarray], train: np.ndarray, validation: np.ndarray
) -> np.ndarray:
    scaler = StandardScaler().fit(vectors[0])
    scaled = [scaler.transform(one) for one in vectors]
    best, told = -1.0, np.zeros((len(vectors[2]), train.shape[1]))
    for strength in INVERSE_STRENGTHS:
        model = OneVsRestClassifier(LogisticRegression(C=strength, max_iter=200))
        model.fit(scaled[0], train)
        if (score := mean_auc(model.predict_proba(scaled[1]), validation)) > best:
            best, told = score, model.predict_proba(scaled[2])
    return told


def _flat(values: np.ndarray) -> np.ndarray:
    """(RNAs, values), which scikit-learn gives as (RNAs,) for one value."""
    return values.reshape(len(values), -1)


_PROBES: Mapping[str, Callable[[Sequence[np.ndarray], np.ndarray, np.ndarray], np.ndarray]] = {
    LABEL: _tell_labels,
    NUMBERS: _tell_numbers,
    MARKS: _tell_marks,
}


# --- scores, as BEACON's scripts compute them


def r_squared(told: np.ndarray, right: np.ndarray) -> float:
    """The mean over values of the squared correlation of Pearson; 0 for what is constant."""
    found = []
    for one, other in zip(told.T, right.T, strict=True):
        constant = np.ptp(one) == 0 or np.ptp(other) == 0
        found.append(0.0 if constant else float(np.corrcoef(one, other)[0, 1] ** 2))
    return float(np.mean(found))


def mean_auc(told: np.ndarray, right: np.ndarray) -> float:
    """The mean over marks of the area under the ROC curve; 0.5 for one that all or none bear."""
    areas = [
        0.5 if np.ptp(other) == 0 else float(roc_auc_score(other, one))
        for one, other in zip(told.T, right.T, strict=True)
    ]
    return float(np.mean(areas))


def _score(told: np.ndarray, right: np.ndarray, task: BeaconTask, seed: int) -> dict[str, Estimate]:
    if task.kind == LABEL:
        own = [str(place) for place in range(len(right))]  # families are not known
        return score_labels(told.tolist(), right.tolist(), own, seed)
    name, score = (R2, r_squared) if task.kind == NUMBERS else (AUC, mean_auc)
    return {name: bootstrap_estimate(lambda at: score(told[at], right[at]), len(right), seed)}


__all__ = ["TASKS", "BeaconTask", "find_tasks", "mean_auc", "probe_task", "r_squared", "read_split"]
