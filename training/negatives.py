"""RNAs of which a model learns to say that it does not know them: decoys and strangers.

A language model that was never shown what it cannot know names a family for any sequence.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from datasets import Dataset, concatenate_datasets

from rnagpt.sequences.shuffle import shuffle_dinucleotides

DECLINED = "I do not recognise this RNA: it is like no family that I know."
# What can be told of an RNA of a family never seen: questions of these categories.
TOLD_OF_STRANGERS = ("type", "gene", "check")


def add_decoys(rnas: Dataset, known: Dataset, share: float, seed: int) -> Dataset:
    """Adds shuffled copies of RNAs, with the same questions, all of them answered by `DECLINED`.

    Questions that have an answer for any sequence (its length) have to be left out before.

    Args:
        rnas: rows of `training_data` with cleaned sequences.
        known: those of them that copies are made of.
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


def add_strangers(rnas: Dataset, known: Dataset, share: float, seed: int) -> Dataset:
    """Adds copies of RNAs, marked `stranger`: to be shown as if their family were not known.

    What can be told of such an RNA (`TOLD_OF_STRANGERS`) keeps its answer, all else is answered by
    `DECLINED`. The trainer hides the family from the model: see `trainer_rnagpt.FamilyHider`.

    Args:
        rnas, known, share, seed: as of `add_decoys`.

    Raises:
        ValueError: the data set does not say the categories of its questions.
    """
    if "categories" not in known.column_names:
        raise ValueError(
            "stranger_share needs the column 'category' of the questions, to know which can be "
            f"answered without the family ({', '.join(TOLD_OF_STRANGERS)}). Leave the option out, "
            "or add the column."
        )
    random = np.random.default_rng([seed, 2])

    def estrange(row: dict[str, Any]) -> dict[str, Any]:
        pairs = zip(row["categories"], row["answers"], strict=True)
        told = [answer if category in TOLD_OF_STRANGERS else DECLINED for category, answer in pairs]
        return {"id": f"{row['id']}/stranger", "answers": told, "stranger": True}

    rnas = rnas.add_column("stranger", [False] * len(rnas))
    known = known.add_column("stranger", [False] * len(known))
    return _add(rnas, known, share, random, estrange)


def _add(
    rnas: Dataset, known: Dataset, share: float, random: np.random.Generator, change: Any
) -> Dataset:
    chosen = sorted(random.permutation(len(known))[: round(share * len(known))].tolist())
    if not chosen:
        return rnas
    if "stranger" in rnas.column_names and "stranger" not in known.column_names:
        known = known.add_column("stranger", [False] * len(known))
    # What a random state makes is not to be taken from a cache.
    copies = known.select(chosen).map(change, load_from_cache_file=False, desc="Unfamiliar RNAs")
    return concatenate_datasets([rnas, copies.cast(rnas.features)])


__all__ = ["DECLINED", "TOLD_OF_STRANGERS", "add_decoys", "add_strangers"]
