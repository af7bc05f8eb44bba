"""What a model gains and loses by declining less."""

from typing import Any

import pytest
import torch
from datasets import Dataset, DatasetDict
from helpers.tiny_evaluation import FAMILIES, make_rows, write_data
from helpers.tiny_models import make_model, make_processor

from rnagpt.conversion.prototype_scores import PrototypeScores
from rnagpt.evaluation import abstention_threshold as refusal_choice
from rnagpt.evaluation.abstention_threshold import COLUMNS, AbstentionChoice
from rnagpt.evaluation.matching import AnswerMatcher
from rnagpt.evaluation.tasks import QUESTIONS, TYPE, draw_rnas, load_splits
from rnagpt.inference.batch import Answer
from rnagpt.training.negatives import DECLINED


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rows = {
        split: Dataset.from_list(make_rows(FAMILIES[:4], 3, seed))
        for seed, split in enumerate(("train", "validation"))
    }
    return write_data(folder / "rna-qa", **DatasetDict(rows))


def answer_by_bias(model, processor, rnas, questions, **_) -> list[Answer]:
    """Real RNAs are declined above a bias of 1, shuffled ones above 0; every RNA is called tRNA."""
    bias = float(model.model.projector.summary_keys.bias.detach()[-1])
    answers = []
    for rna in rnas:
        declined = bias > (0 if rna.name.endswith("/shuffled") else 1)
        said = "It is a tRNA." if questions == [QUESTIONS[TYPE]] else "It is tRNA-Sec (tRNA-Sec)."
        text: Any = DECLINED if declined else said
        told = Answer(1, rna.name, 60, (), questions[0], text, text, True, 0.0, None, declined)
        answers.append(told)
    return answers


def test_each_setting_is_measured_from_the_trained_scores(data, monkeypatch):
    monkeypatch.setattr(refusal_choice, "answer_questions", answer_by_bias)
    processor = make_processor(summary_size=2, merge_size=3)
    model = make_model(processor, rna_family_prototypes=5)
    with torch.no_grad():
        model.model.projector.summary_keys.bias.fill_(2.0)
    splits = load_splits(str(data), ["validation"])
    rnas, _ = draw_rnas(splits, "validation", processor, limit=12, min_training_rnas=1, seed=0)
    choice = AbstentionChoice(model, processor, AnswerMatcher(splits), rnas)
    # Of twelve RNAs three are tRNA-Sec, and six are of the type tRNA.
    cautious, middling, bold = (
        choice.measure(PrototypeScores(offset)) for offset in (0.0, 1.5, 2.5)
    )
    names = COLUMNS[2:]
    assert [cautious[name] for name in names] == [0.0, 1.0, 0.0, 0.0, 0.0]
    assert [middling[name] for name in names] == [0.25, 0.0, 0.75, 0.0, 0.5]
    assert [bold[name] for name in names] == [0.25, 0.0, 0.75, 1.0, 0.5]
    # Sharper scores are scaled after the offset: (2 - 1.5) x 4 = 2 is declined again.
    assert choice.measure(PrototypeScores(1.5, 4.0))["declined"] == 1.0


def test_a_model_without_memory_is_rejected(data, tmp_path, capsys):
    processor = make_processor()
    make_model(processor).save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    with pytest.raises(SystemExit):
        refusal_choice.main([str(tmp_path), "--dataset", str(data)])
    assert "no family prototypes" in capsys.readouterr().err
