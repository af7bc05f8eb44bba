"""Questions of claims: what is asked, what is left out."""

import dataclasses

import pytest

from rnagpt.rna_qa.literature.questions_of_claims import ask
from rnagpt.rna_qa.literature.records import Annotation, Claim, Rna

RNA = Rna("URS1_9606", "UAGCUUAUCAGACUGAUGUUGA", ("miR-21", "MIR21"), "miRNA", "Homo sapiens", 9606)


def annotation(*texts: str) -> Annotation:
    claims = tuple(Claim(text, (f"PMID:{n}",), text) for n, text in enumerate(texts))
    return Annotation(RNA.id, "extractive", " ".join(texts), claims)


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("miR-21 directly targets PTEN in gastric cancer cells.", "target"),
        ("The sponge RNA HOTAIR reduces the level of miR-21 in the cell.", "regulation"),
        ("Levels of miR-21 were higher in gastric cancer than in healthy tissue.", "expression"),
        ("High miR-21 foretells short survival in gastric cancer.", "biomarker"),
        ("miR-21 promotes the growth of gastric cancer cells.", "function"),
        ("Resistance to cisplatin rises with miR-21 in gastric cancer.", "treatment"),
        ("Maturation of miR-21 needs the enzyme Drosha in the nucleus.", "biogenesis"),
        ("A polymorphism of the miR-21 gene was seen in many families.", "variation"),
        ("Exosomes of gastric cancer cells carry miR-21 to their neighbours.", "localisation"),
    ],
)
def test_the_category_follows_what_is_said(text: str, category: str) -> None:
    (pair,) = ask(RNA, annotation(text))
    assert pair.category == category
    assert pair.answer == text
    assert pair.question.endswith(("?", "."))
    assert ("in gastric cancer" in pair.question) == ("gastric cancer" in text)


def test_a_question_does_not_name_the_rna_and_keeps_the_evidence() -> None:
    (pair,) = ask(RNA, annotation("miR-21 promotes the growth of gastric cancer cells."))
    assert "miR-21" not in pair.question
    assert "this RNA" in pair.question
    assert pair.papers == ("PMID:0",)
    assert pair.quote == "miR-21 promotes the growth of gastric cancer cells."


def test_statistics_and_leads_are_taken_off() -> None:
    text = "Moreover, we found that miR-21 was higher in gastric cancer (n = 24, P < 0.05)."
    (pair,) = ask(RNA, annotation(text))
    assert pair.answer == "miR-21 was higher in gastric cancer."


@pytest.mark.parametrize(
    "text",
    [
        "This effect was abolished by miR-21 in gastric cancer.",
        "It is not known whether miR-21 promotes the growth of cells.",
        "The study shows the levels of miR-21 in gastric cancer.",
        "Levels of miR-21 were measured in gastric cancer.",
        "Is miR-21 higher in gastric cancer than in other tissue?",
        "Growth is higher in gastric cancer than in other tissue.",
        "miR-21 grows.",
        "miR-21 is found in " + "very " * 50 + "large cells.",
    ],
)
def test_what_cannot_stand_alone_is_left_out(text: str) -> None:
    assert ask(RNA, annotation(text)) == []


def test_nothing_is_asked_or_answered_twice() -> None:
    pairs = ask(
        RNA,
        annotation(
            "miR-21 directly targets PTEN in gastric cancer cells.",
            "In gastric cancer cells, PTEN is directly targeted by miR-21.",
            "miR-21 directly targets the tumour suppressor PDCD4 in gastric cancer.",
            "miR-21 directly targets RECK in lung cancer tissue.",
        ),
    )
    assert [pair.papers for pair in pairs] == [("PMID:0",), ("PMID:3",)]


def test_wording_depends_on_seed_and_rna_alone() -> None:
    claims = annotation("miR-21 directly targets PTEN in gastric cancer cells.")
    assert ask(RNA, claims, None, 1) == ask(RNA, claims, None, 1)
    others = [dataclasses.replace(RNA, id=f"URS{n}") for n in range(20)]
    assert len({ask(other, claims)[0].question for other in others}) > 1


def test_no_claims_no_questions() -> None:
    assert ask(RNA, annotation()) == []
