"""Which families and types an answer names, and whether it abstains."""

import pytest
from datasets import Dataset
from helpers.tiny_evaluation import FAMILIES, make_rows
from hypothesis import given
from hypothesis import strategies as st

from rnagpt.evaluation.matching import AnswerMatcher, Names, fold
from rnagpt.evaluation.tasks import FAMILY, TYPE
from rnagpt.inference.abstention import is_abstention
from rnagpt.training.negatives import DECLINED


@pytest.fixture(scope="module")
def matcher() -> AnswerMatcher:
    return AnswerMatcher([Dataset.from_list(make_rows(FAMILIES, 1))])


@pytest.mark.parametrize(
    ("answer", "accession", "right"),
    [
        ("It belongs to the tRNA family (tRNA, RF00005).", "RF00005", True),
        ("selenocysteine  TRANSFER rna!", "RF01852", True),
        ("tRNA_Sec", "RF01852", True),
        ("It belongs to tRNA-Sec.", "RF00005", False),
        ("The U6 spliceosomal RNA.", "RF00026", True),
        ("U6atac minor spliceosomal RNA", "RF00026", False),
        ("It is a minor spliceosomal RNA.", "RF00619", False),
        ("It is a spliceosomal RNA.", "RF00026", False),
        ("SNORD113", "RF01182", False),
        ("SNORD11", "RF00181", False),
        ("It belongs to SNORD11, RF01182", "RF01182", True),
        ("A small nucleolar RNA", "RF01182", False),
        ("rf00181", "RF00181", True),
        ("RF001811", "RF00181", False),
        ("the tRNA-dependent RNA polymerase enzyme family", "RF00005", False),
        ("a pre-tRNA", "RF00005", False),
        ("an RNA - tRNA - of the cytosol", "RF00005", True),
        ("CRISPR RNA direct repeat element", "RF01317", False),
        ("CRISPR RNA direct repeat element (CRISPR-DR8)", "RF01317", True),
        ("", "RF00005", False),
    ],
)
def test_family_is_named(matcher: AnswerMatcher, answer: str, accession: str, right: bool) -> None:
    assert (accession in matcher.names_in(answer, FAMILY)) is right


@pytest.mark.parametrize(
    ("answer", "rna_type", "right"),
    [
        ("It is a c/d  box snoRNA.", "C/D box snoRNA", True),
        ("It is a snoRNA.", "C/D box snoRNA", False),
        ("It is an H/ACA box snoRNA.", "C/D box snoRNA", False),
        ("a spliceosomal snRNA", "snRNA", False),
        ("an snRNA", "snRNA", True),
        ("an snRNA", "spliceosomal snRNA", False),
    ],
)
def test_type_is_named(matcher: AnswerMatcher, answer: str, rna_type: str, right: bool) -> None:
    assert (rna_type in matcher.names_in(answer, TYPE)) is right


def test_answer_with_a_second_family_is_not_the_only_one(matcher: AnswerMatcher) -> None:
    assert matcher.names_in("U6 or perhaps U7", FAMILY) == ["RF00026", "RF00066"]
    assert matcher.names_in("U6 (RF00026)", FAMILY) == ["RF00026"]


def test_an_answer_that_declines_names_nothing(matcher: AnswerMatcher) -> None:
    assert matcher.names_in("I do not recognise this RNA: it is no tRNA.", FAMILY) == []
    assert matcher.names_in("I cannot tell whether it is a tRNA.", TYPE) == []


@pytest.mark.parametrize(
    ("answer", "declined"),
    [
        (DECLINED, True),
        ("I don't know.", True),
        ("I’m sorry, I am unable to identify this RNA. It may be a tRNA.", True),
        ("It belongs to the tRNA family (tRNA).", False),
        ("It is a tRNA. We do not know what it binds.", False),
        ("It is recognised by proteins that cannot bind DNA.", False),
        ("", False),
    ],
)
def test_declining_is_told_from_answering(answer: str, declined: bool) -> None:
    assert is_abstention(answer) is declined


@given(st.text(alphabet="abAB1 -_/.", max_size=12), st.text(alphabet="ab 1.", max_size=12))
def test_a_name_is_found_exactly_where_its_words_stand(name: str, text: str) -> None:
    # Independent: folded texts are compared as strings with a space around every word.
    padded_name, padded_text = (f" {' '.join(fold(part))} " for part in (name, text))
    expected = {"it"} if padded_name.strip() and padded_name in padded_text else set()
    assert Names({"it": [name]}).named_in(text) == expected
