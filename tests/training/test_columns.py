"""Other people's data sets, with other columns: renamed, split into questions, or rejected."""

import json

import pytest
from datasets import Dataset
from helpers.tiny_models import make_processor, make_rna

from rnagpt.training.columns import parse_mapping, questions_and_answers, take_columns
from rnagpt.training.rows import load_rnas

ASKED = {"role": "user", "content": "<RNAHere>\nWhat is this?"}
SAID = {"role": "assistant", "content": "A tRNA. "}
RNA_PART = {"type": "rna", "rna": "GCGGAUUUA"}


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
        ([{"role": "user", "content": [{"type": "text"}]}], "of type text lacks its text"),
        ([{"role": "user", "content": [{"type": "image"}]}], "'text' or 'rna', got 'image'"),
        ([{"role": "user", "content": ["What?"]}], r"'text' or 'rna', got 'What\?'"),
        ([{"role": "user", "content": None}], "as text or parts; given role"),
        ([{"speaker": "me"}], "given speaker"),
        ([ASKED, {"role": "assistant", "content": None}], "as text or parts; given role"),
        ([ASKED, {"role": "assistant", "content": " "}], "a question or an answer is empty"),
        ([{"role": "user", "content": "<RNAHere>"}, SAID], "a question or an answer is empty"),
        ([ASKED, {"role": "assistant", "content": [RNA_PART]}], "not of assistant"),
        ("What is this?", "must be a list of messages, got 'What"),
        (None, "must be a list of messages, got None"),
        (["What?"], r"a message must have role and content, or from and value; got 'What\?'"),
    ],
)
def test_other_conversations_are_rejected(messages, reason):
    with pytest.raises(ValueError, match=rf"Row 7: .*{reason}"):
        questions_and_answers(messages, 7)


def parts_of(*texts, rna=RNA_PART):
    """Messages as the processor takes them, each text of two parts."""
    messages = []
    for number, text in enumerate(texts):
        parts = [{"type": "text", "text": piece} for piece in (text[:4], text[4:])]
        role = ("user", "assistant")[number % 2]
        messages.append({"role": role, "content": [rna, *parts] if number == 0 else parts})
    return messages


TURNS = ("What is this?", "It is a tRNA.", "Where?", "In bacteria.")


def test_messages_of_the_processors_own_form_are_taken(tmp_path):
    """The very messages that the processor renders, RNA and all."""
    messages = parts_of(*TURNS)
    rendered = make_processor().apply_chat_template([messages], tokenize=False)[0]
    assert all(text in rendered for text in TURNS)
    folder = write(tmp_path / "data", [{"chat": messages}, {"chat": parts_of(*TURNS[:2])}])
    rnas = load_rnas(folder, None, "train", "instruction", (), {"messages": "chat"})
    # Both are about the same RNA, one row after the other.
    assert rnas.to_list() == [
        {
            "id": "GCGGAUUUA",
            "sequence": "GCGGAUUUA",
            "questions": ["What is this?", "Where?", "What is this?"],
            "answers": ["It is a tRNA.", "In bacteria.", "It is a tRNA."],
        }
    ]


def test_a_part_may_only_mark_the_place_of_the_rna(tmp_path):
    marked = parts_of(*TURNS, rna={"type": "rna"})
    rows = [{"sequence": "ACGU", "chat": marked}]
    folder = write(tmp_path / "data", rows)
    (row,) = load_rnas(folder, None, "train", "instruction", (), {"messages": "chat"})
    assert (row["sequence"], row["questions"]) == ("ACGU", ["What is this?", "Where?"])
    same = parts_of(*TURNS, rna={"type": "rna", "rna": "acgt"})
    folder = write(tmp_path / "same", [{"sequence": "ACGU", "chat": same}])
    assert len(load_rnas(folder, None, "train", "instruction", (), {"messages": "chat"})) == 1


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"chat": [ASKED, SAID]}, r"no RNA is given, neither in a column \(--columns sequence=NA"),
        ({"chat": parts_of(*TURNS, rna={"type": "rna"})}, "no RNA is given"),
        ({"chat": parts_of(*TURNS), "sequence": "ACGU"}, "the column sequence and the part"),
        (
            {"chat": [*parts_of(*TURNS[:2]), *parts_of(*TURNS, rna=RNA_PART | {"rna": "ACGU"})]},
            "must be about one RNA; its parts hold 2",
        ),
    ],
)
def test_a_conversation_without_its_one_rna_is_rejected(row, reason, tmp_path):
    folder = write(tmp_path / "data", [row])
    with pytest.raises(ValueError, match=f"Row 0: .*{reason}"):
        load_rnas(folder, None, "train", "instruction", (), {"messages": "chat"})


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("id", ["a", None], "1 of 2 rows .* an empty id, or none: 1 "),
        ("sequence", [["ACGU"], ["GGGG"]], "column 'sequence' of .* must hold one text a row"),
    ],
)
def test_rows_of_conversations_are_counted_as_they_came(column, values, reason, tmp_path):
    rows = [{"sequence": "ACGU", "chat": [ASKED, SAID, ASKED, SAID]} for _ in values]
    rows = [row | {column: value} for row, value in zip(rows, values, strict=True)]
    folder = write(tmp_path / "data", rows)
    with pytest.raises(ValueError, match=reason):
        load_rnas(folder, None, "train", "instruction", (), {"messages": "chat"})


def test_a_text_among_parts(tmp_path):
    """The user's content as parts, the answer as a plain text, as people often write them."""
    chat = [*parts_of(TURNS[0]), {"role": "assistant", "content": "A tRNA."}]
    folder = write(tmp_path / "data", [{"chat": chat}])
    (row,) = load_rnas(folder, None, "train", "instruction", (), {"messages": "chat"})
    assert (row["sequence"], row["answers"]) == ("GCGGAUUUA", ["A tRNA."])


def test_messages_of_both_forms_in_one_data_set(tmp_path):
    """Arrow gives every message all keys, null where it had none."""
    ours, theirs = [ASKED, SAID], [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]
    rows = [{"sequence": "ACGU", "chat": ours}, {"sequence": "GGGG", "chat": theirs}]
    folder = write(tmp_path / "data", rows)
    rnas = load_rnas(folder, None, "train", "instruction", (), {"messages": "chat"})
    assert rnas["questions"][:] == [["What is this?"], ["Q"]]


# Rows that lack something


def make_rows(**changes):
    rows = [
        {"id": f"R{n}", "sequence": make_rna(9, n), "question": "What?", "answer": f"A{n}."}
        for n in range(4)
    ]
    for column, values in changes.items():
        for row, value in zip(rows, values, strict=True):
            row[column] = value
    return rows


@pytest.mark.parametrize(
    ("column", "values", "missing"),
    [
        ("answer", ["a", None, "c", "d"], "1 of 4 rows .* an empty answer, or none: 1 "),
        ("answer", ["a", "", "c", " \n"], "2 of 4 rows .* an empty answer, or none: 1, 3 "),
        ("question", [None, "b", "c", "d"], "1 of 4 rows .* an empty question, or none: 0 "),
        ("sequence", ["A", "C", None, "G"], "1 of 4 rows .* an empty sequence, or none: 2 "),
        ("id", ["a", "b", "c", None], "1 of 4 rows .* an empty id, or none: 3 "),
        ("answer", [None] * 4, "4 of 4 rows .* an empty answer, or none: 0, 1, 2, 3 "),
        ("answer", [1, 2, 3, 4], r"'answer' of .* must hold one text a row; it holds Value\('int"),
        ("answer", [["a"], ["b"], ["c", "d"], ["e"]], r"it holds List\(Value\('string'\)\)"),
        ("sequence", [["ACGU"], ["A"], ["C"], ["G"]], "column 'sequence' of .* must hold one text"),
        ("question", [{"text": "What?"}] * 4, "column 'question' of .* must hold one text"),
    ],
)
def test_rows_that_lack_something_are_named(column, values, missing, tmp_path):
    folder = write(tmp_path / "data", make_rows(**{column: values}))
    with pytest.raises(ValueError, match=missing):
        load_rnas(folder, None, "train", "instruction")


def test_annotations_that_are_missing_are_named(tmp_path):
    rows = [{"id": str(n), "sequence": "ACGU", "annotation": "x" * n} for n in range(9, -1, -1)]
    folder = write(tmp_path / "data", rows)
    with pytest.raises(ValueError, match=r"1 of 10 rows .* an empty annotation, or none: 9 "):
        load_rnas(folder, None, "train", "alignment")


def test_numbers_may_be_ids(tmp_path):
    folder = write(tmp_path / "data", make_rows(id=[7, 7, 8, 9], sequence=["A", "A", "C", "G"]))
    rnas = load_rnas(folder, None, "train", "instruction")
    assert rnas["id"][:] == ["7", "8", "9"]
    assert rnas["answers"][:] == [["A0.", "A1."], ["A2."], ["A3."]]


def test_two_rnas_of_one_id_stay_two(tmp_path):
    folder = write(tmp_path / "data", make_rows(id=["same"] * 4, sequence=["A", "A", "C", "C"]))
    rnas = load_rnas(folder, None, "train", "instruction")
    assert rnas["sequence"][:] == ["A", "C"]
    assert rnas["answers"][:] == [["A0.", "A1."], ["A2.", "A3."]]


def test_a_question_without_a_category_is_kept(tmp_path):
    folder = write(tmp_path / "data", make_rows(category=["type", None, "name", None]))
    rnas = load_rnas(folder, None, "train", "instruction", ["type"])
    assert rnas["answers"][:] == [["A1."], ["A2."], ["A3."]]
    with pytest.raises(ValueError, match="category x; the data set has name, type"):
        load_rnas(folder, None, "train", "instruction", ["x"])


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["prompt"], "such as question=prompt, got 'prompt'"),
        (["question="], "got 'question='"),
        (["query=prompt"], "'query' is no column that training takes"),
        (["answer=a", "answer=b"], "names 'answer' twice"),
    ],
)
def test_other_mappings_are_rejected(words, reason):
    with pytest.raises(ValueError, match=reason):
        parse_mapping(words)


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="names prompt; the data set has rna"):
        take_columns(Dataset.from_dict({"rna": ["A"]}), {"question": "prompt"})
