"""Sample answers, the best and the worst by their scores, for people to read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np

from rnagpt.evaluation.answers import COMPARED, EVALUATED, UNDER_CONTROL, Answers, Asked
from rnagpt.evaluation.controls import REAL, SHUFFLED
from rnagpt.evaluation.metrics import rouge_l
from rnagpt.evaluation.predictions import Row
from rnagpt.evaluation.systems import RNA_GPT, SYSTEMS
from rnagpt.evaluation.tasks import FAMILY, KNOWN, DrawnRna

Sample = dict[str, Any]


def choose_samples(answers: Answers, each: int = 5) -> dict[str, list[Sample]]:
    """RNAs with what was right and what each system said, by headings.

    The best and the worst by the ROUGE-L of what RNA-GPT knows (of another system's where it was
    not asked), each of another family; then claims of a family that are wrong, the most likely
    first, and claims about shuffled RNAs.

    Args:
        answers: of all systems.
        each: the most samples of a kind.
    """
    groups: dict[str, list[Sample]] = {}
    asked = [Asked(system, COMPARED, REAL, KNOWN) for system in reversed(SYSTEMS)]
    asked = [one for one in asked if one in answers]
    if asked:
        scores = [rouge_l(*answers.texts(one)) for one in asked]
        rnas = answers.rnas(asked[0])
        order = np.argsort(-scores[0], kind="stable").tolist()
        for heading, places in {"Best": order, "Worst": order[::-1]}.items():
            chosen = _of_different_families(places, rnas, each)
            groups[f"{heading} answers, by the ROUGE-L of {SYSTEMS[asked[0].system]}"] = [
                _sample(place, rnas[place], answers, asked, scores) for place in chosen
            ]
    groups |= _wrong_claims(answers, each)
    return {heading: samples for heading, samples in groups.items() if samples}


def _sample(
    place: int,
    rna: DrawnRna,
    answers: Answers,
    asked: Sequence[Asked],
    scores: Sequence[np.ndarray],
) -> Sample:
    rows = [answers.row(one, place) for one in asked]
    said = [
        (SYSTEMS[row["system"]], row["answer"], f"{score[place]:.2f}")
        for row, score in zip(rows, scores, strict=True)
    ]
    return _about(rna, rows[0]) | {"answers": said}


def _wrong_claims(answers: Answers, each: int) -> dict[str, list[Sample]]:
    kinds = {
        "Wrong families, the surest first": (EVALUATED, REAL),
        "Families claimed of shuffled RNAs, the surest first": (UNDER_CONTROL, SHUFFLED),
    }
    groups = {}
    for heading, (group, control) in kinds.items():
        asked = Asked(RNA_GPT, group, control, FAMILY)
        if asked not in answers:
            continue
        wrong = ~answers.declined(asked)
        if control == REAL:
            wrong &= ~answers.right(asked)
        sureness = np.where(wrong, answers.column(asked, "log_probability"), -np.inf)
        order = [i for i in np.argsort(-sureness, kind="stable").tolist() if wrong[i]]
        chosen = _of_different_families(order, answers.rnas(asked), each)
        groups[heading] = [_claim(answers.row(asked, place), control) for place in chosen]
    return groups


def _claim(row: Row, control: str) -> Sample:
    note = f"log-probability {row['log_probability']:.1f}"
    about = {"id": row["id"], "family": row["family"], "type": row["type"]}
    right = row["reference"] if control == REAL else "None: this RNA was shuffled."
    said = [(SYSTEMS[RNA_GPT], row["answer"], note)]
    return about | {"question": row["asked"], "reference": right, "answers": said}


def _about(rna: DrawnRna, row: Row) -> Sample:
    about = {"id": rna.id, "family": rna.family, "type": rna.type}
    return about | {"question": row["asked"], "reference": row["reference"]}


def _of_different_families(order: Sequence[int], rnas: Sequence[DrawnRna], most: int) -> list[int]:
    """The first places in an order whose RNAs are each of another family."""
    first: dict[str, int] = {}
    for place in order:
        first.setdefault(rnas[place].accession or rnas[place].annotation, place)
    return list(islice(first.values(), most))


__all__ = ["choose_samples"]
