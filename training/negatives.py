"""RNAs of which a model learns to say that it does not know them: decoys and novel families.

A language model that was never shown what it cannot know names a family for any sequence.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from datasets import Dataset, concatenate_datasets

from rnagpt.sequences.shuffle import shuffle_dinucleotides

DECLINED = "I do not recognise this RNA: it is like no family that I know."
# Categories of questions that can be answered about an RNA of a family never seen.
ANSWERABLE_CATEGORIES = ("type", "gene", "check")


def add_decoys(rnas: Dataset, known: Dataset, share: float, seed: int) -> Dataset:
    """Adds shuffled copies of RNAs, with the same questions, all of them answered by `DECLINED`.

    Questions that have an answer for any sequence (its length) have to be left out before.

    Args:
        rnas: rows of `training.rows` with cleaned sequences.
        known: those of them that are copied.
        share: copies for each of these, from 0 to 1.
        seed: of the choice and of the shuffles.
    """
    random = np.random.default_rng([seed, 1])

    def shuffle(row: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": f"{row['id']}/shuffled",
            "sequence": shuffle_dinucleotides(row["sequence"], random),
            "answers": [DECLINED] * len(row["answers"]),
        }

    return _add(rnas, known, share, random, shuffle)


def add_novel_families(rnas: Dataset, known: Dataset, share: float, seed: int) -> Dataset:
    """Adds copies of RNAs, marked `novel_family`: shown as if their family were unknown.

    Questions of `ANSWERABLE_CATEGORIES` keep their answers, all others are answered by `DECLINED`.
    The trainer masks the family: see `trainer.FamilyMasking`.

    Args:
        rnas, known, share, seed: as of `add_decoys`.

    Raises:
        ValueError: the data set has no categories of questions.
    """
    if "categories" not in known.column_names:
        raise ValueError(
            "novel_family_share needs the column 'category' of the questions, to know which can be "
            f"answered without the family ({', '.join(ANSWERABLE_CATEGORIES)}). Leave the option "
            "out, or add the column."
        )
    random = np.random.default_rng([seed, 2])

    def mask_family(row: dict[str, Any]) -> dict[str, Any]:
        pairs = zip(row["categories"], row["answers"], strict=True)
        answers = [
            answer if category in ANSWERABLE_CATEGORIES else DECLINED for category, answer in pairs
        ]
        return {"id": f"{row['id']}/novel-family", "answers": answers, "novel_family": True}

    rnas = rnas.add_column("novel_family", [False] * len(rnas))
    known = known.add_column("novel_family", [False] * len(known))
    return _add(rnas, known, share, random, mask_family)


def _add(
    rnas: Dataset, known: Dataset, share: float, random: np.random.Generator, change: Any
) -> Dataset:
    chosen = sorted(random.permutation(len(known))[: round(share * len(known))].tolist())
    if not chosen:
        return rnas
    if "novel_family" in rnas.column_names and "novel_family" not in known.column_names:
        known = known.add_column("novel_family", [False] * len(known))
    # The result depends on a random state, so it must not come from a cache.
    copies = known.select(chosen).map(change, load_from_cache_file=False, desc="Negatives")
    return concatenate_datasets([rnas, copies.cast(rnas.features)])


__all__ = ["ANSWERABLE_CATEGORIES", "DECLINED", "add_decoys", "add_novel_families"]
