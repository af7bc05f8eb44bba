"""Scores of texts: against cases computed by hand, and against slow literal implementations."""

import math
import tracemalloc
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModel, AutoTokenizer

from rnagpt.evaluation import text_metrics as text_scores
from rnagpt.evaluation.embedding_models import MINILM, MINILM_PACKAGE, open_embedding_model
from rnagpt.evaluation.text_metrics import PAIR, PAPER, ROUGE, WAYS, score_texts, semantic_names

ROUGE_PAIRS = [
    # Reference, prediction, ROUGE-1, -2 and -L by hand.
    # 4 of 6 words, 1 of 5 pairs of words, "the cat on mat" in order.
    ("The cat sat on the mat.", "the cat lay on a mat", 2 / 3, 1 / 5, 2 / 3),
    # P 3/3, R 3/4; P 1/2, R 1/3; "a b": P 2/3, R 2/4.
    ("a b c d", "d a b", 6 / 7, 2 / 5, 4 / 7),
    # One word twice counts as often as the other side has it: P 1/3, R 1/1.
    ("RNA", "RNA RNA RNA", 1 / 2, 0, 1 / 2),
    # Not stemmed; capitals and signs do not count.
    ("snoRNA guides", "SNORNA, guided!", 1 / 2, 0, 1 / 2),
    ("", "RNA", 0, 0, 0),
    ("RNA", "", 0, 0, 0),
    ("RNA", " .-! ", 0, 0, 0),
]


class LetterVectors:
    """One vector a letter, in the plane; a text is the sum of its letters."""

    name = "letters"
    gives_tokens = True
    PLANE: ClassVar = {"x": (1.0, 0.0), "y": (0.0, 1.0), "d": (0.6, 0.8), "m": (-1.0, 0.0)}

    def embed_tokens(self, texts):
        return [np.array([self.PLANE[letter] for letter in text]).reshape(-1, 2) for text in texts]

    def embed_texts(self, texts):
        sums = np.array([tokens.sum(axis=0) for tokens in self.embed_tokens(texts)])
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        return sums / np.where(lengths > 0, lengths, 1)


def semantic(references, predictions, way, model=None):
    """Precision, recall and F1, each (pairs,)."""
    model = model or LetterVectors()
    scores = score_texts(references, predictions, [model], [way])
    return [scores[name] for name in semantic_names(model, way)]


@pytest.fixture(scope="module")
def minilm():
    return open_embedding_model(MINILM)


@pytest.mark.parametrize(("reference", "prediction", "one", "two", "longest"), ROUGE_PAIRS)
def test_rouge_by_hand(reference, prediction, one, two, longest):
    scores = score_texts([reference], [prediction])
    assert list(scores) == list(ROUGE)
    assert [scores[name][0] for name in ROUGE] == pytest.approx([one, two, longest])


def test_each_pair_has_its_own_score():
    """Also where pairs repeat, which are scored once."""
    order = [0, 3, 0, 5, 1, 3]
    pairs = [ROUGE_PAIRS[place] for place in order]
    scores = score_texts([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    assert scores["ROUGE-1"] == pytest.approx([pair[2] for pair in pairs])


def test_pair_by_hand():
    """x·d = 0.6 and y·d = 0.8, so "xy" is recalled at 0.7 by "d", whose precision is 0.8."""
    precision, recall, f1 = semantic(["xy", "x", "x"], ["d", "dxy", "m"], PAIR)
    assert precision == pytest.approx([0.8, 1.6 / 3, 0])
    assert recall == pytest.approx([0.7, 1, 0])
    assert f1 == pytest.approx([2 * 0.8 * 0.7 / 1.5, 2 * 1.6 / 3 / (1 + 1.6 / 3), 0])


def test_paper_by_hand():
    """References x, y against predictions d, x: cosines 0.6, 1 and 0.8, 0."""
    precision, recall, f1 = semantic(["x", "y"], ["d", "x"], PAPER)
    assert recall == pytest.approx([1, 0.8])
    assert precision == pytest.approx([0.8, 1])
    assert f1 == pytest.approx([2 * 0.8 / 1.8, 2 * 0.8 / 1.8])


def test_paper_of_one_pair_is_its_cosine():
    assert np.concatenate(semantic(["xy"], ["d"], PAPER)) == pytest.approx(1.4 / math.sqrt(2))


def test_paper_credits_answers_to_other_rnas():
    """Why it is not the default: right answers, dealt to the wrong RNAs, score 1."""
    assert np.concatenate(semantic(["x", "y", "d"], ["y", "d", "x"], PAPER)) == pytest.approx(1)
    assert semantic(["x", "y", "d"], ["y", "d", "x"], PAIR)[2] == pytest.approx([0, 0.8, 0.6])


@pytest.mark.parametrize("way", WAYS)
def test_a_text_is_embedded_once(way):
    asked = []

    class Counted(LetterVectors):
        def embed_tokens(self, texts):
            asked.extend(texts)
            return super().embed_tokens(texts)

    references, predictions = ["x", "x", "y", "x", "y"], ["d", "m", "d", "d", "m"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_scores, "PAIRS_AT_ONCE", 2)
        semantic(references, predictions, way, Counted())
    assert sorted(asked) == ["d", "m", "x", "y"]


def test_every_name_says_the_model_and_the_way():
    names = list(score_texts(["x"], ["y"], [LetterVectors()], WAYS))
    assert names == [
        *ROUGE,
        "semantic precision, letters, pair",
        "semantic recall, letters, pair",
        "semantic F1, letters, pair",
        "semantic precision, letters, paper",
        "semantic recall, letters, paper",
        "semantic F1, letters, paper",
    ]


def test_a_model_of_whole_texts_says_so():
    model = LetterVectors()
    model.gives_tokens = False
    assert semantic_names(model, PAIR)[2] == "semantic F1, letters, pair of whole texts"
    assert semantic_names(model, PAPER)[2] == "semantic F1, letters, paper"


@pytest.mark.parametrize("way", WAYS)
def test_empty_predictions_score_nothing(way):
    precision, recall, f1 = semantic(["x", "xy"], ["", ""], way)
    assert [*precision, *recall, *f1] == [0] * 6
    precision, recall, f1 = semantic(["", "x", ""], ["x", "x", ""], way)
    assert f1.tolist() == [0, 1, 0]


def test_no_pairs_are_no_scores():
    scores = score_texts([], [], [LetterVectors()], [PAIR])
    assert {values.shape for values in scores.values()} == {(0,)}


LETTERS = st.text("xydm", max_size=4)


@given(st.lists(st.tuples(LETTERS, LETTERS), min_size=1, max_size=9), st.integers(1, 5))
def test_scores_literally(pairs, block):
    """Both ways against loops over the formulas, however little is in memory; never NaN."""
    references, predictions = zip(*pairs, strict=True)

    def unit(text):
        total = [sum(LetterVectors.PLANE[letter][axis] for letter in text) for axis in (0, 1)]
        length = math.hypot(*total)
        return [part / length for part in total] if length > 1e-12 else [0.0, 0.0]

    def dot(a, b):
        return a[0] * b[0] + a[1] * b[1]

    def pair_scores(reference, prediction):
        if not reference or not prediction:
            return 0.0, 0.0
        best = [max(dot(unit(r), unit(p)) for r in reference) for p in prediction]
        recalled = [max(dot(unit(r), unit(p)) for p in prediction) for r in reference]
        return max(0, sum(best) / len(best)), max(0, sum(recalled) / len(recalled))

    slow = {
        PAIR: [pair_scores(*pair) for pair in pairs],
        PAPER: [
            (
                max(0, *(dot(unit(r), unit(prediction)) for r in references)),
                max(0, *(dot(unit(reference), unit(p)) for p in predictions)),
            )
            for reference, prediction in pairs
        ],
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in ("BLOCK", "PAIRS_AT_ONCE", "TEXTS_KEPT"):
            patch.setattr(text_scores, name, block)
        for way in WAYS:
            precision, recall, f1 = semantic(references, predictions, way)
            expected = np.array(slow[way])
            assert precision == pytest.approx(expected[:, 0], abs=1e-9)
            assert recall == pytest.approx(expected[:, 1], abs=1e-9)
            assert np.all((f1 >= 0) & (f1 <= 1))
            assert f1 * (precision + recall) == pytest.approx(2 * precision * recall)


def test_memory_of_paper_is_flat():
    """The whole matrix of 4,000 texts and as many would take 128 MB; a block takes 8."""
    references = ["x" * n for n in range(1, 4001)]
    predictions = ["y" * n for n in range(1, 4001)]

    class Counted(LetterVectors):
        def embed_texts(self, texts):
            return np.array([[len(text), 1.0] / np.hypot(len(text), 1) for text in texts])

    pairs = list(zip(references, predictions, strict=True))
    tracemalloc.start()
    try:
        precision, recall = text_scores._match_all(Counted(), pairs)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 32e6
    assert precision == pytest.approx(1)
    assert recall == pytest.approx(1)


REAL = [
    ("tRNA is an adaptor that carries amino acids to the ribosome.", "It carries amino acids."),
    ("microRNA", "A microRNA of plants that lowers the expression of transcription factors."),
    ("It belongs to the 5S rRNA family.", "It belongs to the 5S rRNA family."),
    ("Riboswitch that binds S-adenosylmethionine", "riboswitch (SAM)"),
]


def test_pair_is_bertscore(minilm):
    """Formula by formula of Zhang et al. (2020), section 3, without idf; one text at a time."""
    from importlib.util import find_spec
    from pathlib import Path

    folder = Path(find_spec(MINILM_PACKAGE).origin).parent / "model"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)

    def vectors(text):
        with torch.inference_mode():
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        return [state / state.norm() for state in states[1:-1]]  # without [CLS] and [SEP]

    precision, recall, f1 = semantic(*zip(*REAL, strict=True), PAIR, minilm)
    for place, (reference, prediction) in enumerate(REAL):
        x, x_hat = vectors(reference), vectors(prediction)
        r = sum(max(float(a @ b) for b in x_hat) for a in x) / len(x)
        p = sum(max(float(a @ b) for a in x) for b in x_hat) / len(x_hat)
        assert precision[place] == pytest.approx(p, abs=1e-5)
        assert recall[place] == pytest.approx(r, abs=1e-5)
        assert f1[place] == pytest.approx(2 * p * r / (p + r), abs=1e-5)
    assert f1[2] == pytest.approx(1)


@pytest.mark.parametrize("way", WAYS)
def test_an_answer_on_the_subject_scores_higher(minilm, way):
    """On its own matter an answer is nearer to the reference than on another's."""
    references, predictions = [REAL[0][0]], [REAL[0][1]]
    near = semantic(references, predictions, way, minilm)[2]
    far = semantic(references, ["Bananas are sold in the market."], way, minilm)[2]
    assert near > far + 0.1


def test_odd_texts_have_scores(minilm):
    odd = ["", " ", "\n\t", "?!", "\u00a0", "🧬", "[SEP]", "[CLS] tRNA", "א", "x" * 3000, "\x00"]
    scores = score_texts(odd, odd[::-1], [minilm], WAYS)
    for values in scores.values():
        assert np.all((values >= 0) & (values <= 1))


def test_numbers_of_texts_must_agree():
    with pytest.raises(ValueError, match="2 references and 1 predictions"):
        score_texts(["a", "b"], ["a"])


def test_an_unknown_way_is_an_error():
    with pytest.raises(ValueError, match=r"no way 'pears'.*'pair'.*'paper'"):
        score_texts(["a"], ["a"], [LetterVectors()], [PAIR, "pears"])
