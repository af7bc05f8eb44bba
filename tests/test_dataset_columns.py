"""Other people's data sets, with other columns: renamed, split into questions, or refused."""

import json

import pytest
from conftest import make_rna
from datasets import Dataset

from rnagpt.dataset_columns import parse_mapping, questions_and_answers, take_columns
from rnagpt.training_data import load_rnas

ASKED = {"role": "user", "content": "<RNAHere>\nWhat is this?"}
SAID = {"role": "assistant", "content": "A tRNA. "}


@pytest.fixture(autouse=True)
def data_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def write(folder, rows):
    folder.mkdir()
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder)


def test_renamed_columns_train_as_ours(tmp_path):
    rna = make_rna(20)
    rows = [{"rna": rna, "prompt": f"Q{n}", "response": f"A{n}", "answer": "old"} for n in range(2)]
    mapping = parse_mapping(["sequence=rna", "question=prompt", "answer=response"])
    (row,) = load_rnas(write(tmp_path / "data", rows), None, "train", "instruction", (), mapping)
    assert row == {
        "id": rna,
        "sequence": rna,
        "questions": ["Q0", "Q1"],
        "answers": ["A0", "A1"],
    }


def test_columns_may_change_places():
    rows = take_columns(
        Dataset.from_dict({"question": ["said"], "answer": ["asked"]}),
        {"question": "answer", "answer": "question"},
    )
    assert rows[0] == {"question": "asked", "answer": "said"}


@pytest.mark.parametrize(
    "messages",
    [
        [ASKED, SAID, {"role": "user", "content": "Where?"}, {"role": "assistant", "content": "B"}],
        [
            {"from": "system", "value": "You know RNA."},
            {"from": "human", "value": "What is this? <RNAHere>"},
            {"from": "gpt", "value": "A tRNA."},
            {"from": "human", "value": "Where?"},
            {"from": "gpt", "value": "B"},
        ],
    ],
)
def test_conversations_become_questions(messages, tmp_path):
    assert questions_and_answers(messages) == [("What is this?", "A tRNA."), ("Where?", "B")]
    rows = [{"sequence": make_rna(9, seed), "chat": messages, "answer": "old"} for seed in range(2)]
    folder = write(tmp_path / "data", rows)
    rnas = load_rnas(folder, None, "train", "instruction", (), {"messages": "chat"})
    assert [row["questions"] for row in rnas] == [["What is this?", "Where?"]] * 2
    assert [row["answers"] for row in rnas] == [["A tRNA.", "B"]] * 2
    assert rnas["sequence"][:] == [make_rna(9, 0), make_rna(9, 1)]


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([], "it has no message"),
        ([ASKED], "it has user"),
        ([SAID, ASKED], "it has assistant, user"),
        ([ASKED, SAID, SAID], "it has user, assistant, assistant"),
        ([{"role": "tool", "content": "x"}], "is of the role 'tool'"),
        ([{"role": "user", "content": [{"type": "text"}]}], "as text; given role, content"),
        ([{"speaker": "me"}], "given speaker"),
    ],
)
def test_other_conversations_are_refused(messages, reason):
    with pytest.raises(ValueError, match=rf"Row 7: .*{reason}"):
        questions_and_answers(messages, 7)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["prompt"], "such as question=prompt, got 'prompt'"),
        (["question="], "got 'question='"),
        (["query=prompt"], "'query' is no column that training takes"),
        (["answer=a", "answer=b"], "names 'answer' twice"),
    ],
)
def test_other_mappings_are_refused(words, reason):
    with pytest.raises(ValueError, match=reason):
        parse_mapping(words)


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="names prompt; the data set has rna"):
        take_columns(Dataset.from_dict({"rna": ["A"]}), {"question": "prompt"})
