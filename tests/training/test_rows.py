"""Training data: rows by RNA, nothing cut within one, all that is left out counted."""

from collections import Counter
from itertools import pairwise

import pytest
from datasets import Dataset
from helpers.tiny_models import make_processor, make_rna
from helpers.tiny_rna_qa import QUESTIONS, answers_of, make_rna_qa

from rnagpt.training.arguments import StageArguments
from rnagpt.training.negatives import DECLINED
from rnagpt.training.rows import (
    choose_questions,
    hash_rows,
    load_rnas,
    prepare_rnas,
    sample_rnas,
    sentences,
    shorten_at_sentence,
)


@pytest.fixture(scope="module")
def rna_qa(tmp_path_factory):
    return make_rna_qa(tmp_path_factory.mktemp("rna_qa"))


def prepare(rnas, **options):
    options = {"template_tokens": 10, "max_sequence_tokens": 400} | options
    return prepare_rnas(rnas, options.pop("processor", make_processor()), **options)


def make_rnas(*sequences: str, answers: list[str] | None = None) -> Dataset:
    return Dataset.from_list(
        [
            {
                "id": str(number),
                "sequence": sequence,
                "questions": ["What is this RNA?"] * len(answers or ["A tRNA."]),
                "answers": answers or ["A tRNA."],
            }
            for number, sequence in enumerate(sequences)
        ]
    )


def test_rows_are_grouped_by_rna(rna_qa):
    rnas = load_rnas(str(rna_qa), None, "train", "instruction")
    assert len(rnas) == 12
    for number, row in enumerate(rnas):
        assert row["id"] == f"RNA{number}"
        assert row["questions"] == list(QUESTIONS)
        assert row["answers"] == answers_of(number)
    assert rnas[5]["sequence"] == make_rna(5 + 35 % 36, seed=5)


def test_annotations_are_one_answer_without_question(rna_qa):
    rnas = load_rnas(str(rna_qa), None, "validation", "alignment")
    assert [row["answers"] for row in rnas] == [[" ".join(answers_of(n))] for n in range(12, 16)]
    assert all(row["questions"] == [] for row in rnas)


def test_grouping_respects_selections(rna_qa):
    from datasets import load_dataset

    from rnagpt.training.rows import group_by_rna

    rows = load_dataset(str(rna_qa), "qa", split="train").select(range(4, 9))
    assert [len(row["answers"]) for row in group_by_rna(rows, "instruction")] == [2, 3]


def test_categories_can_be_left_out(rna_qa):
    rnas = load_rnas(str(rna_qa), None, "train", "instruction", ["Where"])
    assert len(rnas) == 12
    assert rnas[3]["questions"] == [QUESTIONS[0], QUESTIONS[2]]
    assert rnas[3]["answers"] == answers_of(3)[::2]
    with pytest.raises(ValueError, match="category How; the data set has What, Where"):
        load_rnas(str(rna_qa), None, "train", "instruction", ["How"])
    with pytest.raises(ValueError, match="needs the column category"):
        load_rnas(str(rna_qa), None, "train", "alignment", ["What"])


def test_missing_columns_and_splits_are_named(rna_qa, tmp_path):
    with pytest.raises(ValueError, match="lacks question, answer and has id, sequence"):
        load_rnas(str(rna_qa), "annotations", "train", "instruction")
    with pytest.raises(ValueError, match="its splits are train, validation"):
        load_rnas(str(rna_qa), None, "test", "instruction")
    folder = tmp_path / "data"
    folder.mkdir()
    empty = Dataset.from_dict({"id": [], "sequence": [], "annotation": []})
    empty.to_parquet(folder / "train.parquet")
    with pytest.raises(ValueError, match="has an empty split"):
        load_rnas(str(folder), "default", "train", "alignment")


def test_unusable_rnas_are_dropped_and_counted():
    rnas = make_rnas("acgt", "PROTEIN", "A" * 90, "N" * 9, "G" * 40)
    rows, counts = prepare(rnas, max_sequence_tokens=90)
    assert rows["sequence"][:] == [row for row in rows["sequence"] if row in ("ACGU", "G" * 40)]
    assert set(rows["sequence"]) == {"ACGU", "G" * 40}
    assert counts["rna_too_long"] == 1
    assert counts["sequence_refused"] == 2
    assert (counts["rnas_found"], counts["rnas_used"]) == (5, 2)


def test_merged_rnas_take_less_room():
    rnas = make_rnas("A" * 90)
    merging = make_processor(merge_size=4)
    assert len(prepare(rnas, max_sequence_tokens=90, processor=merging)[0]) == 1
    with pytest.raises(ValueError, match="Raise these limits"):
        prepare(rnas, max_sequence_tokens=90)


def test_long_answers_end_with_a_sentence():
    processor = make_processor()
    answer = "A tRNA. It is found in bacteria! Does it bind a ligand? And so on, and so on."
    tokens = len(processor.tokenizer(answer).input_ids)
    rows, counts = prepare(make_rnas("ACGU", answers=[answer]), max_text_tokens=tokens - 5)
    assert rows[0]["answers"] == ["A tRNA. It is found in bacteria! Does it bind a ligand?"]
    assert counts["answers_shortened"] == 1
    assert len(processor.tokenizer(rows[0]["answers"][0]).input_ids) + 1 <= tokens - 5
    rows, counts = prepare(make_rnas("ACGU", answers=[answer]), max_text_tokens=tokens + 1)
    assert rows[0]["answers"] == [answer]
    assert "answers_shortened" not in counts


def test_what_cannot_be_shortened_is_left_out():
    answers = ["no end of a sentence " * 9, "A tRNA."]
    rows, counts = prepare(make_rnas("ACGU", answers=answers), max_text_tokens=20)
    assert rows[0]["answers"] == ["A tRNA."]
    assert counts["answers_dropped"] == 1


def test_texts_with_control_tokens_are_left_out():
    answers = ["A tRNA.", "A tRNA.<|im_end|>\n<|im_start|>user", "See <RNAHere>."]
    rows, counts = prepare(make_rnas("ACGU", answers=answers))
    assert rows[0]["answers"] == ["A tRNA."]
    assert counts["texts_with_control_tokens"] == 2


def test_shortening_takes_whole_sentences():
    text = "One. Two three. Four?"
    assert sentences(text) == ["One.", "Two three.", "Four?"]
    assert shorten_at_sentence(text, [2, 3, 2], 6) == "One. Two three."
    assert shorten_at_sentence(text, [2, 3, 2], 7) == text
    assert shorten_at_sentence(text, [2, 3, 2], 1) == ""


def test_samples_are_even_and_repeatable(rna_qa):
    rnas = load_rnas(str(rna_qa), None, "train", "alignment")
    sample = sample_rnas(rnas, None, 2, seed=1)
    assert sorted(sample["family"]) == ["family0"] * 2 + ["family1"] * 2 + ["family2"] * 2
    assert list(sample["id"]) == list(sample_rnas(rnas, None, 2, seed=1)["id"])
    assert list(sample["id"]) != list(sample_rnas(rnas, None, 2, seed=2)["id"])
    assert len(sample_rnas(rnas, 5, None, seed=0)) == 5
    with pytest.raises(ValueError, match="needs a column 'family'"):
        sample_rnas(make_rnas("A"), None, 2, seed=0)


def test_every_question_gets_its_turn():
    asked = [choose_questions(7, 3, epoch, seed=0, key="RNA1") for epoch in range(7)]
    assert all(len(set(choice)) == 3 for choice in asked)
    assert sorted(i for choice in asked for i in choice) == sorted(list(range(7)) * 3)
    assert asked == [choose_questions(7, 3, epoch, seed=0, key="RNA1") for epoch in range(7)]
    assert asked != [choose_questions(7, 3, epoch, seed=1, key="RNA1") for epoch in range(7)]
    assert sorted(choose_questions(4, None, 5, 0, "RNA1")) == [0, 1, 2, 3]
    assert sorted(choose_questions(2, 9, 5, 0, "RNA1")) == [0, 1]


def test_the_hash_names_the_data():
    rows, _ = prepare(make_rnas("ACGU", "GGCC"))
    other, _ = prepare(make_rnas("ACGU", "GGCA"))
    assert hash_rows(rows) == hash_rows(list(rows))
    assert hash_rows(rows) != hash_rows(other)


def test_lengths_are_near_what_the_collator_makes(rna_qa, processor):
    from rnagpt.training.collators import InstructionCollator, count_template_tokens

    rnas = load_rnas(str(rna_qa), None, "train", "instruction")
    rows, _ = prepare_rnas(
        rnas,
        processor,
        template_tokens=count_template_tokens(processor),
        max_sequence_tokens=400,
    )
    collator = InstructionCollator(processor)
    made = [collator([row])["input_ids"].shape[1] for row in rows]
    # `length` leaves out the template's tokens, which are the same for all.
    extra = [total - row["length"] for total, row in zip(made, rows, strict=True)]
    assert max(extra) - min(extra) < 5


def test_decoys_have_the_dinucleotides_and_are_declined():
    rnas = make_rnas(*(make_rna(40, seed) for seed in range(8)), answers=["A tRNA.", "In mice."])
    rows, counts = prepare(rnas, decoy_share=0.5, seed=3)
    decoys = [row for row in rows if row["id"].endswith("/shuffled")]
    real = {row["id"]: row for row in rows if row not in decoys}
    assert (len(real), len(decoys), counts["rnas_used"]) == (8, 4, 12)
    for decoy in decoys:
        source = real[decoy["id"].removesuffix("/shuffled")]
        assert decoy["sequence"] != source["sequence"]
        assert Counter(pairwise(decoy["sequence"])) == Counter(pairwise(source["sequence"]))
        assert decoy["questions"] == source["questions"]
        assert set(decoy["answers"]) == {DECLINED}
    again, _ = prepare(rnas, decoy_share=0.5, seed=3)
    assert again[:] == rows[:]


def test_of_novel_families_only_the_type_is_told():
    rnas = make_rnas(*(make_rna(40, seed) for seed in range(4)), answers=["A tRNA.", "In mice."])
    with pytest.raises(ValueError, match="needs the column 'category'"):
        prepare(rnas, novel_family_share=0.5)
    rnas = rnas.add_column("categories", [["type", "location"]] * 4)
    rows, _ = prepare(rnas, novel_family_share=0.5, decoy_share=0.25)
    novel = [row for row in rows if row["novel_family"]]
    assert len(rows) == 4 + 2 + 1
    assert [row["answers"] for row in novel] == [["A tRNA.", DECLINED]] * 2
    known = {row["sequence"] for row in rows if row["id"].isdigit()}
    assert all(row["sequence"] in known for row in novel)


def test_changed_copies_are_of_training_that_asks_for_no_letters(rna_qa):
    rnas = load_rnas(str(rna_qa), None, "train", "instruction")
    rows, _ = prepare(rnas, rna_changes=0.25)
    assert rows["rna_changes"] == [0.25] * len(rnas)
    plain, _ = prepare(rnas)
    assert "rna_changes" not in plain.column_names
    assert rows["sequence"] == plain["sequence"]  # the copies are made when an RNA is shown
    asked = make_rnas("ACGUACGU").add_column("categories", [["sequence"]])
    with pytest.raises(ValueError, match="--skip_categories sequence"):
        prepare(asked, rna_changes=0.25)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rna_changes": 1.5}, "a share, 0 to 1"),
        ({"rna_changes": 0.1, "cache_encoder": True}, "Leave the cache or the changes out"),
        ({"rna_changes": 0.1, "stage": "alignment"}, "without evidence"),
        ({"rna_changes": 0.1, "evidence_share": 0.5}, "without evidence"),
    ],
)
def test_options_that_cannot_go_with_changed_copies(options, message):
    with pytest.raises(ValueError, match=message):
        StageArguments(dataset_name="rna-qa", **options)
