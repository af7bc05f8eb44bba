"""Scores of answers' texts, beside those of texts that need neither a search nor a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from datasets import Dataset

from rnagpt.evaluation.baselines import majority_labels, nearest_labels, random_labels
from rnagpt.evaluation.entities import EntityFinder
from rnagpt.evaluation.metrics import ROUGE_L, rouge_l
from rnagpt.evaluation.probe_figures import mean_estimate
from rnagpt.evaluation.search_quality import AskedRna

ANSWERS = "answers"


def score_beside(
    train: Dataset,
    finder: EntityFinder,
    asked: Sequence[AskedRna],
    references: Sequence[str],
    answers: Sequence[str],
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """ROUGE-L and what texts name, of answers and of training RNAs' annotations.

    Args:
        train: annotations of the training split.
        finder: of what texts name.
        asked: RNAs, whose families intervals resample.
        references: their annotations.
        answers: what was said of them.
        seed: of the draws.

    Returns:
        For each text its scores, each with `value`, `low` and `high`, and `rnas`.
    """
    sequences = [rna.sequence for rna in asked]
    beside = {
        "nearest by 8-mers": nearest_labels(train, sequences),
        "commonest": majority_labels(train, len(asked)),
        "at random": random_labels(train, len(asked), seed),
    }
    rows = {ANSWERS: list(answers)}
    rows |= {way: [text or "" for text in said.annotation] for way, said in beside.items()}
    families = [rna.family for rna in asked]
    table: dict[str, dict[str, Any]] = {}
    for way, texts in rows.items():
        scores = {ROUGE_L: rouge_l(references, texts), **finder.score(references, texts)}
        table[way] = {"rnas": len(asked)} | {
            name: asdict(mean_estimate(values, families, seed)) for name, values in scores.items()
        }
    return table


def texts_table(rows: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What `score_beside` returns, as Markdown."""
    names = [name for name in next(iter(rows.values())) if name != "rnas"]
    yield f"| text | RNAs | {' | '.join(names)} |"
    yield f"|{' --- |' * (len(names) + 2)}"
    for way, scores in rows.items():
        shown = ("{value:.3f} ({low:.3f}–{high:.3f})".format_map(scores[name]) for name in names)
        yield f"| {way} | {scores['rnas']:,} | {' | '.join(shown)} |"


__all__ = ["ANSWERS", "score_beside", "texts_table"]
