"""Linear readers of vectors: logistic regression, whose regularisation held-out RNAs choose."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

# Inverse strengths of regularisation (scikit-learn's C), of vectors scaled to unit variance.
INVERSE_STRENGTHS = (0.001, 0.01, 0.1, 1.0)
# Thousands of classes take a minute for each.
MANY_CLASSES = 200
INVERSE_STRENGTHS_OF_MANY = (0.01, 0.1)
MAX_ITERATIONS = 100
MAX_ITERATIONS_OF_MANY = 40
THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4)
RIDGES = (1.0, 10.0, 100.0, 1000.0, 10_000.0)


class LabelProbe:
    """Logistic regression on vectors that it scales itself.

    Of several strengths of regularisation, and of classes weighted alike or by their sizes, that
    one is taken which has the highest mean of accuracy and balanced accuracy on held-out RNAs.

    Args:
        vectors: (RNAs, size).
        labels: of the RNAs.
        held: which of the RNAs choose, and are not fitted on meanwhile: (RNAs,).
        refit: whether the choice is at last fitted on all RNAs.
    """

    def __init__(
        self, vectors: np.ndarray, labels: np.ndarray, held: np.ndarray, *, refit: bool = True
    ) -> None:
        self._scaler = StandardScaler().fit(vectors[~held])
        scaled = self._scaler.transform(vectors)
        fitted = ~held
        # What was never fitted cannot be told.
        judged = held & np.isin(labels, labels[fitted])
        best = -1.0
        for model in _models(len(np.unique(labels))):
            _fit(model, scaled[fitted], labels[fitted])
            score = _score(model, scaled[judged], labels[judged]) if judged.any() else 0.0
            if score > best:
                best, self._model = score, model
        if refit:
            _fit(self._model, scaled, labels)

    @property
    def chosen(self) -> dict[str, Any]:
        """C and class weights."""
        return {"C": self._model.C, "class_weight": self._model.class_weight}

    def predict(self, vectors: np.ndarray) -> list[str]:
        """The labels of vectors (RNAs, size)."""
        told: list[str] = self._model.predict(self._scaler.transform(vectors)).tolist()
        return told


def _models(classes: int) -> Iterator[LogisticRegression]:
    if classes > MANY_CLASSES:
        for strength in INVERSE_STRENGTHS_OF_MANY:
            yield LogisticRegression(C=strength, max_iter=MAX_ITERATIONS_OF_MANY)
        return
    for weight in (None, "balanced"):
        for strength in INVERSE_STRENGTHS:
            yield LogisticRegression(C=strength, class_weight=weight, max_iter=MAX_ITERATIONS)


def _fit(model: LogisticRegression, vectors: np.ndarray, labels: np.ndarray) -> None:
    with warnings.catch_warnings():
        # Held-out RNAs judge a fit, ended or not.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(vectors, labels)


def _score(model: LogisticRegression, vectors: np.ndarray, labels: np.ndarray) -> float:
    hits = model.predict(vectors) == labels
    balanced = np.mean([hits[labels == label].mean() for label in np.unique(labels)])
    return float(hits.mean() + balanced) / 2


@dataclass(frozen=True)
class _Terms:
    strength: float
    threshold: float


class TermsProbe:
    """Sets of terms by ridge regression on each, above a threshold that held-out RNAs choose.

    Args:
        vectors: (RNAs, size).
        terms: of the RNAs; RNAs without any do not choose.
        held: which of the RNAs choose.
    """

    def __init__(
        self, vectors: np.ndarray, terms: Sequence[frozenset[str]], held: np.ndarray
    ) -> None:
        self._names = sorted({term for one in terms for term in one})
        self._scaler = StandardScaler().fit(vectors[~held])
        scaled = self._scaler.transform(vectors)
        wanted = np.array([[name in one for name in self._names] for one in terms])
        judged = held & wanted.any(1)
        best, self._chosen = -1.0, _Terms(RIDGES[-1], THRESHOLDS[0])
        for strength in RIDGES:
            model = Ridge(alpha=strength).fit(scaled[~held], wanted[~held])
            scores = model.predict(scaled[judged])
            for threshold in THRESHOLDS:
                score = _mean_f1(scores, wanted[judged], threshold)
                if score > best:
                    best, self._chosen = score, _Terms(strength, threshold)
        self._model = Ridge(alpha=self._chosen.strength).fit(scaled, wanted)

    def predict(self, vectors: np.ndarray) -> list[set[str]]:
        """The terms of high scores; the highest in any case."""
        scores = self._model.predict(self._scaler.transform(vectors))
        named = _named(scores, self._chosen.threshold)
        return [
            {name for name, there in zip(self._names, row, strict=True) if there} for row in named
        ]


def _named(scores: np.ndarray, threshold: float) -> np.ndarray:
    named: np.ndarray = scores >= np.minimum(threshold, scores.max(1, keepdims=True))
    return named


def _mean_f1(scores: np.ndarray, wanted: np.ndarray, threshold: float) -> float:
    if not len(scores):
        return 0.0
    named = _named(scores, threshold)
    both = (named & wanted).sum(1)
    return float(np.mean(2 * both / (named.sum(1) + wanted.sum(1))))


def set_f1(named: Any, right: Any) -> float:
    """F1 of two sets; 0 where one is empty."""
    return 2 * len(set(named) & set(right)) / max(1, len(set(named)) + len(set(right)))


__all__ = ["LabelProbe", "TermsProbe", "set_f1"]
