"""Claims that stand, and claims that must not: every fault is one that a model makes."""

import dataclasses

import pytest

from rnagpt.rna_qa.literature.claims.validation import (
    adds_nothing,
    find_quote,
    leaked_phrase,
    names_rna,
    other_rnas,
    validate_claim,
)
from rnagpt.rna_qa.literature.records import Claim, Paper, Rna

RNA = Rna("URS1_9606", "UAGCUUAUCAGACUGAUGUUGA", ("miR-21", "MIR21"), "miRNA", "Homo sapiens", 9606)
PAPER = Paper(
    "PMID:1",
    "A small RNA in a tumour",
    "In 24 patients, miR-21 was up-regulated 2.5-fold in gastric tumours. Overexpression of miR-21 "
    "promoted the growth of AGS cells by repressing PTEN, and miR-155 did not change it. "
    "HOTAIR repressed the growth of eight cell lines derived from the stomach of mice.",
)
OTHER = Paper(
    "PMID:2", "Yeast", "Here 7 strains of S. cerevisiae were grown, without any small RNA."
)
GROUP = {paper.id: paper for paper in (PAPER, OTHER)}
GROWTH = Claim(
    "miR-21 promotes the growth of AGS cells by repressing PTEN.",
    ("PMID:1",),
    "Overexpression of miR-21 promoted the growth of AGS cells by repressing PTEN",
)


def reason(**changes: object) -> str | None:
    violation = validate_claim(dataclasses.replace(GROWTH, **changes), RNA, GROUP)
    return violation.reason if violation else None


def test_what_is_in_the_paper_stands() -> None:
    assert reason() is None
    assert (
        reason(
            text="In patients with gastric tumours, miR-21 is up-regulated 2.50-fold.",
            quote="miR‑21 was  UP‐REGULATED 2.5-fold in gastric tumours.",
        )
        is None
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"papers": ()}, "papers outside the group"),
        ({"papers": ("PMID:1", "PMID:9")}, "papers outside the group"),
        ({"papers": ("PMID:2",)}, "quote not in the papers"),
        ({"quote": "miR-21 promoted growth strongly"}, "quote not in the papers"),
        ({"quote": "growth of AGS"}, "quote too short"),
        ({"text": "miR-21 promotes the growth of AGS cells by " + "PTEN " * 60}, "text too long"),
        ({"text": "It grows"}, "text too short"),
        ({"text": "miR-155 promotes the growth of AGS cells by repressing PTEN."}, "another RNA"),
        (
            {"quote": "HOTAIR repressed the growth of eight cell lines"},
            "another RNA",
        ),
        (
            {
                "text": "Growth of cells was found in the strains.",
                "quote": "the growth of eight cell lines",
            },
            "RNA not named",
        ),
        (
            {
                "text": "miR-21 is seen in strains of yeast that were grown.",
                "quote": "7 strains of S. cerevisiae were grown",
                "papers": ("PMID:2",),
            },
            "RNA not named",
        ),
        ({"text": "miR-21 promotes the growth of HeLa cells."}, "name not in the papers"),
        (
            {"text": "miR-21 and miR-17 promote the growth of AGS cells by repressing PTEN."},
            "name not in the papers",
        ),
        ({"text": "miR-21 promotes the growth of AGS cells in rats."}, "species not in the papers"),
        ({"text": "miR-21 promotes the growth of 25 AGS cells."}, "number not in the papers"),
        ({"text": "miR-21 promotes the growth of three cells."}, "number not in the papers"),
        ({"text": "miR-21 does not promote the growth of AGS cells."}, "negation differs"),
        (
            {
                "text": "In gastric tumours, miR-21 is down-regulated.",
                "quote": "miR-21 was up-regulated 2.5-fold in gastric tumours",
            },
            "direction contradicts the quote",
        ),
        (
            {"text": "miR-21 promotes blindness, deafness, fever and the common cold."},
            "words not in the papers",
        ),
        (
            {"text": "miR-21: the stomach of gastric patients repressed HOTAIR in eight lines."},
            "quote does not bear the text",
        ),
    ],
)
def test_what_is_not_in_the_paper_falls(changes: dict[str, object], expected: str) -> None:
    found = reason(**changes)
    assert found is not None
    assert found.startswith(expected)


def test_a_fault_says_of_what() -> None:
    claim = dataclasses.replace(GROWTH, text="miR-21 promotes the growth of 25 AGS cells.")
    assert str(validate_claim(claim, RNA, GROUP)) == "number not in the papers: 25"


def test_numbers_in_words_and_digits_are_one() -> None:
    quote = "HOTAIR repressed the growth of eight cell lines derived from the stomach of mice"
    rna = dataclasses.replace(RNA, names=("HOTAIR",))
    claim = Claim("HOTAIR repressed growth of 8 cell lines of mice.", ("PMID:1",), quote)
    assert validate_claim(claim, rna, GROUP) is None


def test_the_number_of_a_name_is_no_number_of_the_paper() -> None:
    # 155 is in the abstract, as a part of miR-155 alone.
    assert reason(text="miR-21 promotes the growth of 155 AGS cells.") == "number not in the papers"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("hsa-miR-21-5p", True),
        ("microRNA-21", True),
        ("miRNA21", True),
        ("pre-miR-21", True),
        ("miR-210", False),
        ("miR-21b", False),
        ("let-21", False),
        ("amir-21", False),
    ],
)
def test_names_are_found_whole(text: str, found: bool) -> None:
    assert names_rna(f"We saw {text}.", ("miR-21",)) is found


def test_short_names_that_are_words_need_their_capitals() -> None:
    assert names_rna("GAS5 and gas5", ("GAS5",))
    assert not names_rna("the gas was let out", ("GAS", "LET"))
    assert names_rna("the gene Xist", ("XIST",))


def test_no_names_name_nothing() -> None:
    assert not names_rna("anything", ())


def test_other_rnas_are_told_by_their_form() -> None:
    text = "MiR-21 and miR-155-5p, let-7a, SNORD44, ZEB1-AS1, MALAT1 and PTEN"
    found = other_rnas(text, ("miR-21",))
    assert found == ["MALAT1", "SNORD44", "ZEB1-AS1", "let-7a", "miR-155-5p"]


def test_a_quote_is_given_back_as_it_stands() -> None:
    paper = Paper("PMID:3", "A title of four words", "The 3′-UTR of  X\n— a “target” – is bound.")
    assert find_quote('the 3\'-utr of X - a "target"', paper) == "The 3′-UTR of  X\n— a “target”"
    assert find_quote("title of four words.", paper) == "title of four words"
    assert find_quote("itle of four words", paper) is None
    assert find_quote("  ", paper) is None


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("In cells of the stomach, miR-21 represses PTEN.", True),
        ("miR-21 represses PTEN.", True),
        ("miR-21 represses RECK in cells of the stomach.", False),
        ("miR-21 does not repress PTEN in cells of the stomach.", False),
        ("miR-21 activates PTEN in cells of the stomach.", False),
        ("miR-21 represses PTEN in 3 cells of the stomach.", False),
    ],
)
def test_texts_that_add_nothing(text: str, same: bool) -> None:
    other = "miR-21 represses PTEN in cells of the stomach."
    assert adds_nothing(text, other, RNA.names, 0.6) is same


@pytest.mark.parametrize(
    "text",
    [
        "The study shows that it grows.",
        "According to the abstract, it grows.",
        "In this paper, it grows.",
        "The authors saw growth.",
        "We saw growth.",
        "Previous studies have shown growth.",
        "Growth was seen [3].",
        "It grows (PMID 1).",
    ],
)
def test_words_about_the_paper_are_seen(text: str) -> None:
    assert leaked_phrase(text)


@pytest.mark.parametrize(
    "text",
    ["It promotes growth.", "It supports evidence-based work.", "US patients grow it."],
)
def test_words_about_the_rna_are_left(text: str) -> None:
    assert leaked_phrase(text) is None
