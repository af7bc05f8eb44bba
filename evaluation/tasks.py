"""Questions, the RNAs that they are about, and the plan of an evaluation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict

from rnagpt.cleaning_rnagpt import CleanedRna, RnaSequenceError, clean_rna
from rnagpt.processing_rnagpt import RnaGptProcessor
from rnagpt.sequences.dataset_columns import check_columns, check_texts
from rnagpt.sequences.dataset_loading import choose_split
from rnagpt.sequences.dataset_loading import load_splits as load_all_splits
from rnagpt.sequences.rna_types import family_sentence, type_sentence

COLUMNS = ("id", "sequence", "rna_type", "annotation")
# What a data set made from Rfam has besides; without families theirs is a question less.
FAMILY_COLUMNS = ("family", "family_accession", "family_description")
FAMILY, TYPE, KNOWN = "family", "type", "known"
QUESTIONS = {
    FAMILY: "Which RNA family does this sequence belong to?",
    TYPE: "What type of RNA is this?",
    KNOWN: "What is known about this RNA?",
}
EVALUATED, NEVER_SEEN, CALIBRATION = "evaluated", "unseen", "calibration"
# The first of those evaluated.
UNDER_CONTROL, COMPARED = "under control", "compared"


@dataclass(frozen=True)
class DrawnRna:
    """An RNA to ask about, with what is right to say of it.

    Attributes:
        id: as in the data set.
        cleaned: the RNA as a model reads it.
        family, accession, description: of its family; empty where the data set has no families.
        type: of the RNA.
        annotation: the whole text about it.
    """

    id: str
    cleaned: CleanedRna
    family: str
    accession: str
    description: str
    type: str
    annotation: str

    def label_of(self, question: str) -> str:
        """What the right answer to the question of family or type names."""
        return self.accession if question == FAMILY else self.type

    def answer_to(self, question: str) -> str:
        """The right answer to one of `QUESTIONS`, worded as RNA-QA words it."""
        if question == KNOWN:
            return self.annotation
        if question == TYPE:
            return type_sentence(self.type)
        return family_sentence(self.description, self.family)


@dataclass(frozen=True)
class Splits:
    """Annotations of the training split and of others, by their names."""

    train: Dataset
    others: dict[str, Dataset]
    has_families: bool

    @property
    def questions(self) -> tuple[str, ...]:
        """Which of `QUESTIONS` can be asked."""
        return tuple(QUESTIONS) if self.has_families else (TYPE, KNOWN)

    def __iter__(self) -> Iterator[Dataset]:
        return iter((self.train, *self.others.values()))


def load_splits(name: str, names: Sequence[str], if_there: Sequence[str] = ()) -> Splits:
    """Loads the annotations of the training split and of others.

    Args:
        name: folder or Hub id of an RNA-QA data set.
        names: of the other splits.
        if_there: of splits that a data set may lack.

    Raises:
        ValueError: a split is missing or empty, or a column is missing.
    """
    found = load_all_splits(name, usual="annotations")
    there = [split for split in if_there if len(found.get(split, ()))]
    names = [*names, *(split for split in there if split not in names)]
    for needed in ("train", *names):
        _check_split(found, needed, name)
    has_families = all(
        set(FAMILY_COLUMNS) <= set(found[needed].column_names) for needed in ("train", *names)
    )
    columns = [*COLUMNS, *(FAMILY_COLUMNS if has_families else ())]
    rows = {needed: found[needed].select_columns(columns) for needed in ("train", *names)}
    return Splits(rows["train"], {other: rows[other] for other in names}, has_families)


def _check_split(splits: DatasetDict, needed: str, name: str) -> None:
    advice = "Name one of them; the training RNAs have to be in 'train'."
    rows = choose_split(splits, needed, name, advice)
    check_columns(rows, COLUMNS, f"the split {needed!r} of {name!r}")
    check_texts(rows, ("id", "sequence"), repr(name))


def draw_rnas(
    splits: Splits,
    split: str,
    processor: RnaGptProcessor,
    *,
    limit: int,
    min_training_rnas: int,
    seed: int,
) -> tuple[list[DrawnRna], dict[str, int]]:
    """Draws RNAs of families with enough training RNAs; a larger limit draws the same and more.

    Args:
        splits: of a data set.
        split: the one to draw from.
        processor: its limits on sequences are kept.
        limit: the most RNAs.
        min_training_rnas: the fewest of an RNA's family in the training split; without families
            all RNAs are drawn from.
        seed: of the draw.

    Returns:
        The RNAs; and how many there were, had no type or no annotation, could be drawn, were drawn
        and rejected by the cleaner, and of how many families they are.

    Raises:
        ValueError: no RNA is of such a family, or none is accepted.
    """
    rows = splits.others[split]
    labels = zip(rows["rna_type"][:], rows["annotation"][:], strict=True)
    labelled = [index for index, label in enumerate(labels) if all(label)]
    eligible = labelled
    if splits.has_families:
        sizes = Counter(splits.train["family_accession"][:])
        accessions = rows["family_accession"][:]
        eligible = [i for i in labelled if sizes[accessions[i]] >= min_training_rnas]
    rnas: list[DrawnRna] = []
    rejected = 0
    for index in np.random.default_rng(seed).permutation(eligible).astype(int).tolist():
        if len(rnas) == limit:
            break
        try:
            rnas.append(_drawn(rows[index], processor))
        except RnaSequenceError:
            rejected += 1
    if not rnas:
        raise ValueError(
            f"Of {len(rows):,} RNAs in the split {split!r}, {len(labelled):,} have a type and an "
            f"annotation, {len(eligible):,} of them are of families with at least "
            f"{min_training_rnas} training RNAs, and {rejected:,} were rejected: none is left to "
            "ask about. Lower --min-training-rnas."
        )
    return rnas, {
        "rnas": len(rows),
        "unlabelled": len(rows) - len(labelled),
        "eligible": len(eligible),
        "rejected": rejected,
        "drawn": len(rnas),
        "families": len({rna.accession for rna in rnas}),
    }


def _drawn(row: dict[str, Any], processor: RnaGptProcessor) -> DrawnRna:
    cleaned = clean_rna(
        row["sequence"],
        name=row["id"],
        max_length=processor.max_rna_length,
        max_ambiguous=processor.max_ambiguous,
    )
    return DrawnRna(
        id=row["id"],
        cleaned=cleaned,
        family=row.get("family") or "",
        accession=row.get("family_accession") or "",
        description=row.get("family_description") or row.get("family") or "",
        type=row["rna_type"],
        annotation=row["annotation"],
    )


@dataclass(frozen=True)
class Plan:
    """What will be asked.

    Attributes:
        splits: the data.
        groups: RNAs to ask about, by `EVALUATED`, `UNDER_CONTROL`, `COMPARED`, `NEVER_SEEN` and
            `CALIBRATION`.
        split_of: the split that they are of, by the group; the first three are of the same.
        counts: how they were drawn, likewise.
        language_model, projector: the plain language model and stage 1's projection, where a system
            needs them.
    """

    splits: Splits
    groups: Mapping[str, list[DrawnRna]]
    split_of: Mapping[str, str]
    counts: Mapping[str, dict[str, int]]
    language_model: Path | None
    projector: Path | None
