"""The families of `paper_design.py`: which are asked, their part of RNA-QA, who names them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from rnagpt import answer_questions, clean_rna, load_model, load_processor
from rnagpt.evaluation.baselines import draw_partners, majority_labels, nearest_labels
from rnagpt.evaluation.matching import Names
from rnagpt.sequences.dataset_loading import load_splits
from rnagpt.sequences.even_families import even_families

SPLITS = ("train", "validation", "test")
CATEGORIES = ("family", "identity", "type")
MIN_TRAINING_RNAS = 10
QUESTION = "Which RNA family does this sequence belong to?"
RESAMPLES = 2000


def chosen_families(dataset: str, count: int) -> list[str]:
    """The largest families by training RNAs: of at least 10, with RNAs in validation and test."""
    rows = load_splits(dataset, usual="annotations")
    sizes = Counter(rows["train"]["family"])
    others = [set(rows[split]["family"]) for split in SPLITS[1:]]
    able = [
        family
        for family, size in sizes.most_common()
        if size >= MIN_TRAINING_RNAS and any(family in split for split in others)
    ]
    if count > len(able):
        raise ValueError(f"{dataset} has {len(able)} such families, {count} were asked for.")
    return able[:count]


def write_part(dataset: str, families: list[str], out: Path) -> None:
    """A data set of these families and `CATEGORIES` alone, in RNA-QA's form."""
    configs = {"annotations": ["family"], "qa": ["family", "category"]}
    for config, columns in configs.items():
        rows = load_splits(dataset, usual=config)
        for split in SPLITS:
            part = rows[split].filter(_Wanted(set(families)), input_columns=columns)
            (out / config).mkdir(parents=True, exist_ok=True)
            part.to_parquet(out / config / f"{split}.parquet")
    card = "---\nconfigs:\n" + "".join(
        f"  - config_name: {config}\n    data_files:\n"
        + "".join(
            f"      - {{split: {split}, path: {config}/{split}.parquet}}\n" for split in SPLITS
        )
        for config in configs
    )
    (out / "README.md").write_text(f"{card}---\n")


@dataclass(frozen=True)
class _Wanted:
    families: set[str]

    def __call__(self, family: str, category: str = CATEGORIES[0]) -> bool:
        return family in self.families and category in CATEGORIES


def draw(data: Path, limit: int, seed: int) -> list[dict[str, Any]]:
    """RNAs of clusters never seen, of as many families as possible; the test split's first."""
    rows = load_splits(str(data), usual="annotations")
    held_out = [*rows["test"], *rows["validation"]]
    return even_families(held_out, limit, seed, itemgetter("family"))


def measure(model_folder: Path, data: Path, limit: int, seed: int) -> dict[str, Any]:
    """Share of RNAs of clusters never seen whose family is named.

    Args:
        model_folder: what is asked, without any record.
        data: its part of RNA-QA.
        limit: RNAs that are asked (`draw`).
        seed: of the draw.

    Returns:
        `right`, with their own vectors; `swapped`: the right answer of an RNA, given the vectors
        of an RNA of another family; `right_interval` (95 %, by resampling families);
        `asked_rnas`; `asked_families`.
    """
    model, processor = load_model(str(model_folder)), load_processor(str(model_folder))
    train = load_splits(str(data), usual="annotations")["train"]
    known = Names({row["family"]: [row["family"], row["family_description"]] for row in train})
    drawn = draw(data, limit, seed)
    families = np.array([row["family"] for row in drawn])
    rnas = [clean_rna(row["sequence"], name=row["id"]) for row in drawn]
    partners = draw_partners(families.tolist(), seed)
    given = {"right": rnas, "swapped": [rnas[partner] for partner in partners]}
    hits = {}
    for kind, shown in given.items():
        answers = answer_questions(
            model, processor, shown, [QUESTION], batch_size=16, max_new_tokens=48
        )
        told = [known.named_in(answer.answer) for answer in answers]
        hits[kind] = np.array([one == {own} for one, own in zip(told, families, strict=True)])
    low, high = interval_over(families, hits["right"], seed)
    return {
        **{kind: round(float(values.mean()), 4) for kind, values in hits.items()},
        "right_interval": [round(low, 4), round(high, 4)],
        "asked_rnas": len(drawn),
        "asked_families": len(set(families)),
    }


def interval_over(groups: np.ndarray, hits: np.ndarray, seed: int) -> tuple[float, float]:
    """95 % interval of a share, by resampling groups with all that is in them.

    Args:
        groups: of each RNA, (rnas,).
        hits: whether each counts, (rnas,).
        seed: of the resampling.
    """
    codes = np.unique(groups, return_inverse=True)[1]
    sizes, right = np.bincount(codes), np.bincount(codes, weights=hits)
    drawn = np.random.default_rng(seed).integers(len(sizes), size=(RESAMPLES, len(sizes)))
    shares = right[drawn].sum(1) / sizes[drawn].sum(1)
    return float(np.quantile(shares, 0.025)), float(np.quantile(shares, 0.975))


def neighbour_and_commonest(data: Path, limit: int, seed: int) -> tuple[float, float]:
    """The shares that need no model, for the same RNAs as in `measure`.

    Returns:
        Right family by the training RNA that shares most 8-mers; by always naming the commonest.
    """
    drawn = draw(data, limit, seed)
    train = load_splits(str(data), usual="annotations")["train"]
    right = [row["family_accession"] for row in drawn]
    nearest = nearest_labels(train, [row["sequence"] for row in drawn]).family
    commonest = majority_labels(train, len(drawn)).family
    by_neighbour, by_commonest = (
        float(np.mean([one == own for one, own in zip(told, right, strict=True)]))
        for told in (nearest, commonest)
    )
    return by_neighbour, by_commonest
