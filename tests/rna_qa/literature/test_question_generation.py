"""Questions of claims: what is asked, what is left out."""

import dataclasses
import json
from typing import Any

import pytest

from rnagpt.rna_qa.literature.claims.question_generation import ask
from rnagpt.rna_qa.literature.llm.language_model import (
    ContextLengthExceeded,
    Refused,
    Request,
    Unparsable,
)
from rnagpt.rna_qa.literature.records import Annotation, Claim, QaPair, Rna

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
        ("miR-21 is a tumour suppressor that governs expression of PTEN.", "function"),
        ("miR-21 told patients apart, as a marker, with a sensitivity of 89%.", "biomarker"),
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
    assert [pair.papers for pair in pairs] == [("PMID:0",), ("PMID:2",), ("PMID:3",)]
    assert len({pair.question for pair in pairs}) == 3


def test_wording_depends_on_seed_and_rna_alone() -> None:
    claims = annotation("miR-21 directly targets PTEN in gastric cancer cells.")
    assert ask(RNA, claims, None, 1) == ask(RNA, claims, None, 1)
    others = [dataclasses.replace(RNA, id=f"URS{n}") for n in range(20)]
    assert len({ask(other, claims)[0].question for other in others}) > 1


def test_no_claims_no_questions() -> None:
    assert ask(RNA, annotation()) == []


class Scripted:
    """A model that asks what the test says."""

    name = "scripted"

    def __init__(self, *questions: dict[str, Any], most: int = 99) -> None:
        self.requests: list[Request] = []
        self._questions = list(questions)
        self._most = most

    def ask(self, request: Request) -> Any:
        self.requests.append(request)
        if len(json.loads(request.user)["claims"]) > self._most:
            raise ContextLengthExceeded("context")
        return {"questions": self._questions}

    def count_tokens(self, text: str) -> int:
        return len(text) // 4


def question(**changes: object) -> dict[str, Any]:
    return {
        "claim": 1,
        "category": "target",
        "question": "Which gene does this RNA target in gastric cancer?",
        "answer": "It targets PTEN.",
        **changes,
    }


TARGET = annotation("miR-21 directly targets PTEN in gastric cancer cells.")


def test_a_question_of_the_model_keeps_the_evidence_of_its_claim() -> None:
    (pair,) = ask(RNA, TARGET, Scripted(question()))
    assert pair == QaPair(
        "Which gene does this RNA target in gastric cancer?",
        "It targets PTEN.",
        "target",
        ("PMID:0",),
        "miR-21 directly targets PTEN in gastric cancer cells.",
    )


@pytest.mark.parametrize(
    "asked",
    [
        "Which gene does miR-21 target in gastric cancer?",
        "Which gene does the microRNA hsa-miR-21 target in gastric cancer?",
    ],
)
def test_names_are_taken_out_of_a_question(asked: str) -> None:
    (pair,) = ask(RNA, TARGET, Scripted(question(question=asked)))
    assert pair.question == "Which gene does this RNA target in gastric cancer?"


@pytest.mark.parametrize(
    "changes",
    [
        {"claim": 2},
        {"claim": 0},
        {"question": "Which gene is targeted in gastric cancer?"},
        {"question": "Name the target of this RNA."},
        {"question": "According to the study, what does this RNA target?"},
        {"question": "Does this RNA target RECK in gastric cancer?"},
        {"question": "What does this RNA target in mice?"},
        {"answer": ""},
        {"answer": "It targets RECK."},
        {"answer": "It does not target PTEN."},
        {"answer": "It targets PTEN in 30 cells."},
        {"answer": "The authors saw that it targets PTEN."},
        {"answer": "It makes rabbits happy and healthy."},
    ],
)
def test_what_the_claim_does_not_say_is_left_out(changes: dict[str, object]) -> None:
    assert ask(RNA, TARGET, Scripted(question(**changes))) == []


def test_the_request_holds_claims_and_no_id() -> None:
    model = Scripted()
    ask(RNA, TARGET, model)
    (request,) = model.requests
    assert json.loads(request.user) == {
        "names": ["miR-21", "MIR21"],
        "claims": [{"claim": 1, "text": TARGET.text}],
    }


def test_too_many_claims_are_asked_about_in_halves() -> None:
    texts = [f"miR-21 targets the gene ABC{n} in gastric cancer cells." for n in range(4)]
    model = Scripted(question(answer="A gene."), most=1)
    pairs = ask(RNA, annotation(*texts), model)
    assert len(model.requests) == 7
    assert [pair.papers for pair in pairs] == [("PMID:0",)]  # The others ask the same.


@pytest.mark.parametrize("error", [Refused, Unparsable, ContextLengthExceeded])
def test_no_answer_no_questions(error: type[Exception]) -> None:
    class Silent(Scripted):
        def ask(self, request: Request) -> Any:
            raise error("no")

    assert ask(RNA, TARGET, Silent()) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ectopic expression of miR-21 hinders, and inhibits, the Invasion of cells.", "invasion"),
        ("High miR-21 levels reduced apoptosis in three cell lines.", "apoptosis"),
    ],
)
def test_what_changing_the_rna_does_is_its_function(text: str, expected: str) -> None:
    first, second = ask(
        RNA, annotation("Ectopic expression of miR-21 lowers collagen in toads.", text)
    )
    assert first.category == second.category == "function"
    assert second.question == f"How does this RNA affect {expected}?"


def test_diseases_are_written_as_in_running_text() -> None:
    texts = (
        "miR-21 Promotes the Growth of Uveal Melanoma in Old People.",
        "miR-21 is involved in the course of Crohn's disease.",
        "miR-21 plays a part in the spread of HCC in the body.",
    )
    asked = [ask(RNA, annotation(text))[0].question for text in texts]
    assert [question.split(" in ")[-1] for question in asked] == [
        "uveal melanoma?",
        "Crohn's disease?",
        "hepatocellular carcinoma?",
    ]
