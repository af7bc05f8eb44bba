"""Rows with evidence: RNAs as people paste them, answers from the record that is shown."""

import re

import pytest
from datasets import Dataset
from helpers.tiny_models import make_processor

from rnagpt.reference.library import Reference
from rnagpt.training import evidence_rows
from rnagpt.training.evidence_rows import add_evidence
from rnagpt.training.rows import prepare_rnas

FAMILIES = {"tRNA": "RF00005", "5S_rRNA": "RF00001", "TPP": "RF00059", "mir-283": "RF00747"}
COMPLEMENT = str.maketrans("ACGU", "UGCA")


@pytest.fixture(scope="module")
def records():
    return {record.name: record for record in Reference.open().families.values()}


def rnas(count: int = 40) -> Dataset:
    names = list(FAMILIES)
    return Dataset.from_list(
        [
            {
                "id": str(number),
                "sequence": "GGAUCUAGGCAUUCGA" * (2 + number % 3),
                "family": names[number % len(names)],
                "questions": ["What is this RNA?", "What type of RNA is this?"],
                "answers": ["It is one.", "It is a type."],
            }
            for number in range(count)
        ]
    )


@pytest.fixture
def as_they_are(monkeypatch):
    """RNAs that are whole, not mutated, and with their own record."""
    for share in ("PART", "MUTATED", "MISLED"):
        monkeypatch.setattr(evidence_rows, share, 0.0)


def shown_record(question: str) -> str:
    return re.search(r"(RF\d+)\)\nMatch: ", question)[1]


def test_each_answer_is_of_the_record_that_its_prompt_shows(records):
    of_accession = {record.id: record for record in records.values()}
    misled = 0
    shown_rows = add_evidence(rnas(400), records, 1.0, seed=0)
    for row, shown in zip(rnas(400), shown_rows, strict=True):
        first = shown_record(shown["questions"][0])
        misled += first != FAMILIES[row["family"]]
        assert {shown_record(question) for question in shown["questions"]} == {first}
        assert shown["answers"][1].count("[1]") == 1
        assert f"a {of_accession[first].type}" in shown["answers"][1].replace("an ", "a ")
    # A twentieth is drawn, of which a fourth draws its own record.
    assert 4 <= misled <= 30


def test_the_record_of_another_rna_is_a_weak_match(records, monkeypatch):
    monkeypatch.setattr(evidence_rows, "MISLED", 1.0)
    for shown in add_evidence(rnas(), records, 1.0, seed=0):
        assert 9e-6 < float(re.search(r", E (\S+)", shown["questions"][0])[1]) <= 1e-3


@pytest.mark.usefixtures("as_they_are")
def test_the_match_lies_where_the_rna_is(records):
    strands = set()
    for row, shown in zip(rnas(), add_evidence(rnas(), records, 1.0, seed=1), strict=True):
        place = re.search(
            r"Match: (\d+)-(\d+) of (\d+)(, the other strand)?", shown["questions"][0]
        )
        start, end, length = map(int, place.group(1, 2, 3))
        assert length == len(shown["sequence"])
        part = shown["sequence"][start - 1 : end]
        strands.add(bool(place[4]))
        assert row["sequence"] == (part.translate(COMPLEMENT)[::-1] if place[4] else part)
    assert strands == {True, False}


@pytest.mark.usefixtures("as_they_are")
def test_the_second_rna_of_two_in_one_is_of_its_own_record(records, monkeypatch):
    monkeypatch.setattr(evidence_rows, "BESIDE", 1.0)
    own = {FAMILIES[row["family"]]: row["sequence"] for row in rnas()}
    for shown in add_evidence(rnas(), records, 1.0, seed=1):
        second = re.search(r"\[2\].*(RF\d+)\)\nMatch: (\d+)-(\d+) of", shown["questions"][0])
        part = shown["sequence"][int(second[2]) - 1 : int(second[3])]
        assert part == own[second[1]]
        assert int(second[3]) == len(shown["sequence"])


def test_yes_and_no_agree_with_the_type(records):
    for shown in add_evidence(rnas(), records, 1.0, seed=2):
        typed = shown["answers"][1].removeprefix("It ").rstrip(".")
        for question, answer in zip(shown["questions"], shown["answers"], strict=True):
            if answer.startswith(("Yes, it is a", "No, it is a")):
                assert typed.removeprefix("is ") in answer, (question, answer)


def test_a_share_of_none_and_families_without_a_record_change_nothing(records):
    assert add_evidence(rnas(8), records, 0.0, seed=0)["questions"] == rnas(8)["questions"]
    assert add_evidence(rnas(8), {}, 1.0, seed=0)["sequence"] == rnas(8)["sequence"]


def test_the_draw_is_by_the_seed_alone(records):
    first, again, other = (
        add_evidence(rnas(8), records, 0.7, seed)["sequence"] for seed in (3, 3, 4)
    )
    assert first == again != other


def test_without_families_the_option_is_rejected(records):
    with pytest.raises(ValueError, match="evidence_share needs the column 'family'"):
        add_evidence(rnas(2).remove_columns("family"), records, 0.5, seed=0)


def test_prepared_rows_keep_negatives_without_evidence(records):
    prepared, counts = prepare_rnas(
        rnas(20),
        make_processor(),
        template_tokens=10,
        max_sequence_tokens=3000,
        records=records,
        evidence_share=1.0,
        decoy_share=0.5,
        seed=0,
    )
    assert counts["rnas_used"] == 30
    shuffled = [row for row in prepared if "shuffled" in row["id"]]
    assert len(shuffled) == 10
    assert not any("Match:" in question for row in shuffled for question in row["questions"])
