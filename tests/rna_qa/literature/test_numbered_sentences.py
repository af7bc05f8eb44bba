"""Claims on numbered sentences: what a model is given, and what becomes of its numbers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rnagpt.rna_qa.literature.build.settings import LiteratureOptions
from rnagpt.rna_qa.literature.claims.annotate import SENTENCES, annotate
from rnagpt.rna_qa.literature.claims.numbered_sentences import Numbered, sentences_about
from rnagpt.rna_qa.literature.llm.language_model import Request
from rnagpt.rna_qa.literature.records import Annotation, Paper, Rna, Topics

RNA = Rna("R1_9606", "ACGU", ("miR-21", "hsa-mir-21"), "pre_miRNA")
PAPERS = [
    Paper("PMID:1", "A microRNA of the heart.", "RESULTS: MiR-21 targets PTEN here. It is short."),
    Paper("PMID:2", "MiR-21 rises in gliomas.", "MiR-155 falls. We saw hsa-miR-21-5p rise twice."),
    Paper("PMID:3", "Nothing about it.", "A sentence about let-7."),
]


class Scripted:
    """A model that answers with these claims, and keeps what it was asked."""

    name = "scripted"

    def __init__(self, *claims: tuple[int, str]) -> None:
        self.claims = [{"sentence": number, "text": text} for number, text in claims]
        self.asked: list[Request] = []

    def ask(self, request: Request) -> Any:
        self.asked.append(request)
        return {"claims": self.claims}


def run(model: Scripted, papers: list[Paper] = PAPERS, most: int = 4) -> Annotation:
    topics = Topics(RNA.id, (tuple(paper.id for paper in papers),))
    return annotate(RNA, topics, papers, model, "ais", claims_per_topic=most, reads=SENTENCES)


def test_only_sentences_that_name_the_rna_are_given_with_their_papers() -> None:
    assert sentences_about(PAPERS, RNA.names) == [
        Numbered(1, "MiR-21 targets PTEN here."),
        Numbered(2, "MiR-21 rises in gliomas."),
        Numbered(2, "We saw hsa-miR-21-5p rise twice."),
    ]


def test_a_number_becomes_a_quote_as_it_stands_and_its_paper() -> None:
    model = Scripted((1, "MiR-21 targets PTEN here."), (3, "MiR-21 rises twice."))
    made = run(model)
    assert [(one.text, one.quote, one.papers) for one in made.claims] == [
        ("MiR-21 targets PTEN here.", "MiR-21 targets PTEN here.", ("PMID:1",)),
        ("MiR-21 rises twice.", "We saw hsa-miR-21-5p rise twice.", ("PMID:2",)),
    ]
    (request,) = model.asked
    assert json.loads(request.user)["sentences"][0] == {
        "sentence": 1,
        "text": "MiR-21 targets PTEN here.",
    }
    claim = request.schema["properties"]["claims"]["items"]["properties"]
    assert claim["sentence"] == {"type": "integer", "minimum": 1, "maximum": 3}
    assert request.schema["properties"]["claims"]["maxItems"] == 3


def test_what_fails_is_rejected_with_its_reason_and_not_asked_again() -> None:
    model = Scripted((9, "MiR-21 targets PTEN here."), (1, "MiR-21 targets KRAS in mice."))
    made = run(model)
    assert made.claims == ()
    assert made.rejected == {"name not in the papers": 1, "papers outside the group": 1}
    assert len(model.asked) == 1


def test_papers_without_a_sentence_about_the_rna_ask_nothing() -> None:
    model = Scripted()
    assert run(model, PAPERS[2:]).claims == ()
    assert model.asked == []


def test_more_claims_than_were_asked_for_are_left() -> None:
    made = run(Scripted((1, "MiR-21 targets PTEN here."), (2, "MiR-21 rises in gliomas.")), most=1)
    assert [one.papers for one in made.claims] == [("PMID:1",)]


def test_without_a_language_model_there_is_nothing_to_read() -> None:
    with pytest.raises(ValueError, match="--reads"):
        LiteratureOptions(rnas="r", papers="p", reads="sentences")
    with pytest.raises(ValueError, match="abstracts, sentences"):
        LiteratureOptions(rnas="r", papers="p", mode="dnc", language_model="m", reads="titles")


def test_a_claim_that_leans_on_its_paper_or_names_no_finding_is_rejected() -> None:
    paper = Paper("PMID:1", "MiR-21.", "Still, little is known about how miR-21 regulates growth.")
    made = run(Scripted((1, "Little is known about how miR-21 regulates growth.")), [paper])
    assert (made.claims, made.rejected) == ((), {"needs its paper": 1})
