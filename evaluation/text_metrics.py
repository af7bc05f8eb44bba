"""How near an answer's text is to its reference: ROUGE, and semantic precision, recall and F1.

The semantic scores are computed in two ways, and every score's name says in which:

- `pair` compares an answer with its own reference only, token by token: BERTScore without
  importance weights and without rescaling (Zhang et al., ICLR 2020, arXiv:1904.09675).
- `paper` embeds whole texts and compares each with all texts of the other side, so that an answer
  may also be credited for being near another RNA's reference: right answers that are dealt to the
  wrong RNAs score 1. It is there to compare with published figures, and says little of one answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from rouge_score.rouge_scorer import RougeScorer

if TYPE_CHECKING:
    from rnagpt.evaluation.embedding_models import EmbeddingModel

# The scores' names, and what `rouge-score` calls them.
ROUGE = {"ROUGE-1": "rouge1", "ROUGE-2": "rouge2", "ROUGE-L": "rougeL"}
# Porter's stemmer would merge names: "RNases" and "RNase", but also "guided" and "guides".
ROUGE_STEMMER = False
PRECISION, RECALL, F1 = MEASURES = ("precision", "recall", "F1")
PAIR, PAPER = WAYS = ("pair", "paper")
BLOCK = 1024  # texts of a side whose cosines are computed at once
PAIRS_AT_ONCE = 128  # whose tokens' vectors are in memory
TEXTS_KEPT = 256  # whose tokens' vectors stay there for later pairs: some 60 MB

Pairs = Sequence[tuple[str, str]]
# Precision and recall, each (pairs,).
PrecisionAndRecall = tuple[np.ndarray, np.ndarray]


def score_texts(
    references: Sequence[str],
    predictions: Sequence[str],
    models: Sequence[EmbeddingModel] = (),
    ways: Sequence[str] = (PAIR,),
) -> dict[str, np.ndarray]:
    """Scores each prediction against its reference.

    ROUGE is the F1 of `rouge-score` (Lin 2004), lower-cased and, by ROUGE_STEMMER, not stemmed.
    F1 is taken of each pair and then averaged, as it was for the published tables: there it lies
    below the harmonic mean of the published precision and recall.

    An empty prediction has precision and F1 0; its recall is 0 as well, but for `paper`, where a
    reference's recall is that of the nearest of all predictions. No score is NaN.

    Args:
        references: what should have been said.
        predictions: what was said, one for each reference.
        models: for the semantic scores; without them ROUGE is all.
        ways: PAIR, PAPER or both.

    Returns:
        Scores from 0 to 1, each (pairs,), by name: "ROUGE-1", "ROUGE-2", "ROUGE-L", and the names
        that `semantic_names` gives.

    Raises:
        ValueError: for numbers of texts that disagree, or a way that is not known.
    """
    if len(references) != len(predictions):
        raise ValueError(
            f"{len(references):,} references and {len(predictions):,} predictions; expected one "
            "prediction for each reference."
        )
    _check_ways(ways)
    pairs = list(zip(references, predictions, strict=True))
    # Many RNAs of a family have one annotation and one answer.
    places = {pair: place for place, pair in enumerate(dict.fromkeys(pairs))}
    different = list(places)
    scores = _rouge(different)
    for model in models:
        for way in ways:
            precision, recall = _MATCHES[way](model, different)
            values = (precision, recall, _f1(precision, recall))
            scores |= zip(semantic_names(model, way), values, strict=True)
    of_pairs = np.array([places[pair] for pair in pairs], dtype=int)
    return {name: values[of_pairs] for name, values in scores.items()}


def semantic_names(model: EmbeddingModel, way: str) -> tuple[str, str, str]:
    """Names of precision, recall and F1, such as "semantic precision, minilm, pair".

    Where the model gives no vectors of tokens, `pair` is named "pair of whole texts": it compares
    one vector with one, and precision, recall and F1 are all their cosine.
    """
    if way == PAIR and not model.gives_tokens:
        way = "pair of whole texts"
    precision, recall, f1 = (f"semantic {measure}, {model.name}, {way}" for measure in MEASURES)
    return precision, recall, f1


def _check_ways(ways: Sequence[str]) -> None:
    unknown = [way for way in ways if way not in WAYS]
    if unknown:
        raise ValueError(
            f"There is no way {unknown[0]!r} to compute semantic scores; expected {PAIR!r} (each "
            f"answer and its own reference, token by token) or {PAPER!r} (whole texts, each "
            "against all)."
        )


def _rouge(pairs: Pairs) -> dict[str, np.ndarray]:
    scorer = RougeScorer(list(ROUGE.values()), use_stemmer=ROUGE_STEMMER)
    scores = [scorer.score(reference, prediction) for reference, prediction in pairs]
    return {
        name: np.array([score[kind].fmeasure for score in scores], dtype=float)
        for name, kind in ROUGE.items()
    }


def _match_pairs(model: EmbeddingModel, pairs: Pairs) -> PrecisionAndRecall:
    """Greedy matching of the tokens of each pair."""
    matches = np.zeros((len(pairs), 2))
    vectors_of = _TokenVectors(model)
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        some = pairs[start : start + PAIRS_AT_ONCE]
        vectors = vectors_of(text for pair in some for text in pair)
        for place, (reference, prediction) in enumerate(some, start):
            matches[place] = _match_tokens(vectors[reference], vectors[prediction])
    return matches[:, 0], matches[:, 1]


class _TokenVectors:
    """Vectors of texts' tokens; remembers the TEXTS_KEPT texts that were asked for last."""

    def __init__(self, model: EmbeddingModel) -> None:
        self.model = model
        self._kept: dict[str, np.ndarray] = {}

    def __call__(self, texts: Iterable[str]) -> dict[str, np.ndarray]:
        wanted = dict.fromkeys(texts)
        new = [text for text in wanted if text not in self._kept]
        found = {text: self._kept.pop(text) for text in wanted if text in self._kept}
        found |= zip(new, self.model.embed_tokens(new), strict=True)
        self._kept = dict([*self._kept.items(), *found.items()][-TEXTS_KEPT:])
        return found


def _match_tokens(reference: np.ndarray, prediction: np.ndarray) -> tuple[float, float]:
    """Precision and recall of unit vectors (tokens, hidden); 0 where a side has no token."""
    if not len(reference) or not len(prediction):
        return 0.0, 0.0
    cosines = reference @ prediction.T
    return _within(cosines.max(axis=0).mean()), _within(cosines.max(axis=1).mean())


def _match_all(model: EmbeddingModel, pairs: Pairs) -> PrecisionAndRecall:
    """Each text with the nearest of the other side; only a block of their matrix is in memory."""
    references, of_references = _embed_different(model, [reference for reference, _ in pairs])
    predictions, of_predictions = _embed_different(model, [prediction for _, prediction in pairs])
    recall = np.zeros(len(references))
    precision = np.zeros(len(predictions))
    # A cosine below 0 counts as 0, what an empty text has.
    for row in range(0, len(references), BLOCK):
        for column in range(0, len(predictions), BLOCK):
            rows, columns = slice(row, row + BLOCK), slice(column, column + BLOCK)
            cosines = references[rows] @ predictions[columns].T
            recall[rows] = np.maximum(recall[rows], cosines.max(axis=1))
            precision[columns] = np.maximum(precision[columns], cosines.max(axis=0))
    return np.minimum(precision, 1)[of_predictions], np.minimum(recall, 1)[of_references]


def _embed_different(model: EmbeddingModel, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (different texts, hidden), and which of them each text has (texts,)."""
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    return model.embed_texts(list(places)), np.array([places[text] for text in texts], dtype=int)


def _within(cosine: np.floating) -> float:
    """A mean cosine as a score: rounding may pass 1, and unlike texts may fall below 0."""
    return min(max(float(cosine), 0.0), 1.0)


def _f1(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    total = precision + recall
    scores: np.ndarray = np.zeros_like(total)
    np.divide(2 * precision * recall, total, out=scores, where=total > 0)
    return scores


_MATCHES: dict[str, Callable[[EmbeddingModel, Pairs], PrecisionAndRecall]] = {
    PAIR: _match_pairs,
    PAPER: _match_all,
}
