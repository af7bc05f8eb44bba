"""Yes and no: never at odds with each other, with the type, or with what does not follow."""

from __future__ import annotations

import pytest
from helpers.made_evidence import family, made_evidence, made_hit, whole

from rnagpt.evidence.answers import CitedAnswer, look_up
from rnagpt.evidence.gathering import Evidence
from rnagpt.reference.records import Record
from rnagpt.sequences.rna_types import PATH_OF_TYPE, is_type, other_types, with_article

TYPES = tuple(PATH_OF_TYPE)
SAM = Record("RF00162", "family", "SAM", "SAM riboswitch (S box leader)", "riboswitch")
U6 = Record("RF00026", "family", "U6", "U6 spliceosomal RNA", "spliceosomal snRNA")


def ask(question: str, *evidences: Evidence) -> CitedAnswer:
    return look_up(question, evidences).answer


def answered(question: str, *evidences: Evidence) -> str:
    """ "yes", "no", or "" where the answer says neither."""
    word = ask(question, *evidences).plain.partition(",")[0].lower()
    return word if word in ("yes", "no") else ""


@pytest.mark.parametrize("actual", TYPES)
@pytest.mark.parametrize("strand", ["+", "-"])
def test_every_type_asked_of_every_type(actual: str, strand: str) -> None:
    evidence = whole(family(actual), strand=strand)
    says = ask("What type of RNA is it?", evidence).plain
    for asked in TYPES:
        thing = with_article(asked)
        plain = ask(f"Is this {thing}?", evidence).plain
        expected = {True: "yes", False: "no", None: ""}[is_type(asked, actual)]
        assert answered(f"Is this {thing}?", evidence) == expected
        assert plain.lower().endswith(says[0].lower() + says[1:].lower())
        for other in (f"Is this not {thing}?", f"Isn't it {thing}?", f"This is {thing}, right?"):
            assert ask(other, evidence).plain == plain
        assert answered(f"Is it true that this is not {thing}?", evidence) != "yes"


@pytest.mark.parametrize("actual", TYPES)
def test_of_a_part_it_does_not_follow_what_the_rna_is_not(actual: str) -> None:
    evidence = made_evidence(made_hit(family(actual), 10, 60), length=300)
    for asked in other_types(actual):
        assert answered(f"Is this {with_article(asked)}?", evidence) == ""
    assert answered(f"Is this {with_article(actual)}?", evidence) == "yes"


@pytest.mark.parametrize(
    ("record", "asked"),
    [
        (SAM, "Is this RF00162?"),
        (SAM, "Is it a SAM riboswitch?"),
        (SAM, "Does it belong to the SAM family?"),
        (SAM, "Is this a member of the SAM riboswitch family?"),
        (SAM, "Is this a cis-regulatory element?"),
        (U6, "Is it U6?"),
        (U6, "Is it a U6 snRNA?"),
        (U6, "Is this U6 spliceosomal RNA?"),
        (U6, "is it a u6 small nuclear rna"),
    ],
)
def test_families_by_name_description_and_accession(record: Record, asked: str) -> None:
    assert answered(asked, whole(record)) == "yes"


@pytest.mark.parametrize(
    ("record", "asked", "expected"),
    [
        (SAM, "Is this RF00026?", "no"),
        (SAM, "Is it a hammerhead ribozyme?", "no"),
        (SAM, "Is it a TPP riboswitch?", ""),
        (U6, "Is it U1?", ""),
        (U6, "Is it coding?", "no"),
        (U6, "Is it non-coding?", "yes"),
        (U6, "Is it an mRNA?", "no"),
        (SAM, "Is it coding?", ""),
        (U6, "Is it human?", ""),
        (U6, "Does it contain a riboswitch?", ""),
    ],
)
def test_no_where_it_follows_and_only_there(record: Record, asked: str, expected: str) -> None:
    answer = ask(asked, whole(record))
    assert answered(asked, whole(record)) == expected
    assert record.name in answer.plain or record.type in answer.plain


def test_what_one_of_several_hits_says_is_yes() -> None:
    evidence = made_evidence(made_hit(U6, 1, 90), made_hit(SAM, 150, 250), length=260)
    assert ask("Does it contain a riboswitch?", evidence).text == (
        "Yes, the part at nucleotides 150–250 is a riboswitch [2]."
    )
    assert answered("Is this a tRNA?", evidence) == ""


def test_without_a_hit_there_is_neither_yes_nor_no() -> None:
    answer = ask("Is this a tRNA?", made_evidence())
    assert (answer.plain, answer.abstains) == ("No record of Rfam 14.2 matches this RNA.", True)


def test_a_question_to_several_rnas_is_answered_of_each() -> None:
    evidences = (whole(U6, name="a1"), whole(SAM, name="b1"))
    assert ask("Which of them is a riboswitch?", *evidences).plain == (
        "a1: No, it is a spliceosomal snRNA. b1: Yes, it is a riboswitch."
    )
