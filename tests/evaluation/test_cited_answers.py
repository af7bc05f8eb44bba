"""The measures of cited answers: against cases whose right value is known."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from helpers.made_seed import make_dataset

from rnagpt.cleaning_rnagpt import CleanedRna
from rnagpt.cli.main import main
from rnagpt.evaluation.cited_answers import (
    answers_from_wrong_evidence,
    calibrate,
    search_only,
    with_model,
    without_families,
)
from rnagpt.evaluation.cited_scores import (
    Backing,
    Candidate,
    Said,
    count_contradictions,
    fit_confidence,
    is_backed,
    score_confidence,
)
from rnagpt.evaluation.search_quality import AskedRna
from rnagpt.evidence.answers import RECORDS, CitedAnswer
from rnagpt.evidence.facts import SequenceFacts
from rnagpt.evidence.gathering import Evidence, Item
from rnagpt.evidence.questions import Kind
from rnagpt.evidence.record_sentences import Sentence
from rnagpt.inference.local_model import LocalModel
from rnagpt.reference.hits import Hit
from rnagpt.reference.library import Reference
from rnagpt.reference.records import FAMILY, Record

TRNA = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"
RECORD = Record("RF00005", FAMILY, "tRNA", "tRNA", "tRNA", ("Transfer RNA carries an amino acid.",))


def said(*sentences: Sentence, question: str = "What is it?") -> Said:
    hit = Hit(RECORD, "profile", 1, 70, "+", 1, 70, 1e-9, 30.0, 1.0, "", "")
    evidence = Evidence("RNA", SequenceFacts(TRNA), (Item(1, hit),), "Rfam")
    answer = CitedAnswer(question, Kind.IDENTITY, ("RNA",), sentences, RECORDS, 0.9)
    return Said(answer, evidence)


@pytest.mark.parametrize(
    ("sentence", "backed"),
    [
        ("It is a tRNA.", True),
        ("Transfer RNA carries an amino acid.", True),
        ("It carries amino acid to ribosomes.", False),
        ("It belongs to the tRNA family (tRNA).", True),
        ("It belongs to the mir-21 family.", False),
        ("Its Rfam accession is RF00006 (tRNA).", False),
    ],
)
def test_a_sentence_is_backed_by_all_of_its_words(sentence: str, backed: bool) -> None:
    assert is_backed(sentence, [RECORD.to_json()]) is backed


def test_backing_counts_what_the_cited_record_does_not_say() -> None:
    backing = Backing()
    backing.add(said(Sentence("It is tRNA (RF00005).", (1,)), Sentence("It is RF00006.", (1,))))
    backing.add(said(Sentence("It glows.", (), supported=False)))
    assert backing.shares() == {
        "sentences": 2,
        "backed": 0.5,
        "marked as unsupported": 1,
        "identifiers": 2,
        "of the cited record": 0.5,
    }
    assert backing.not_backed == ["It is RF00006."]


def test_contradictions_are_found() -> None:
    answers = {"What type of RNA is this?": "It is a tRNA."}

    def ask(rnas: object, questions: list[str]) -> list[list[Said]]:
        del rnas
        given = [answers.get(question, "Yes, it is.") for question in questions]
        return [[said(Sentence(text, (1,)), question="") for text in given]]

    figures = count_contradictions(ask, [CleanedRna("", TRNA)], np.random.default_rng(0))  # type: ignore[arg-type]
    # It agrees to all, and so to a question and to its opposite, without naming the type.
    assert figures["pairs"] == 2
    assert figures["contradictions"] == 1.0

    def agree(rnas: object, questions: list[str]) -> list[list[Said]]:
        del rnas
        texts = ["No, it is a tRNA." if "Is this RNA" in q else "It is a tRNA." for q in questions]
        return [[said(Sentence(text, (1,)), question="") for text in texts]]

    figures = count_contradictions(agree, [CleanedRna("", TRNA)], np.random.default_rng(0))  # type: ignore[arg-type]
    # "No, it is a tRNA" to "Is this RNA a tRNA?".
    assert figures["contradictions"] == 0.5


def test_search_only_does_not_contradict_itself() -> None:
    ask = search_only(Reference.open())
    figures = count_contradictions(ask, [CleanedRna("", TRNA)], np.random.default_rng(0))
    assert (figures["pairs"], figures["contradictions"]) == (2, 0.0)


def test_with_a_model_that_is_not_needed_the_records_answer() -> None:
    reference = Reference.open()
    questions = ["What type of RNA is this?", "How long is this RNA?"]
    rnas = [CleanedRna("", TRNA)]
    language = LocalModel.open()  # loaded when its words are needed
    (asked,) = with_model(language, reference)(rnas, questions)
    (expected,) = search_only(reference)(rnas, questions)
    assert [one.answer.plain for one in asked] == [one.answer.plain for one in expected]


def test_wrong_evidence_is_cited_with_a_low_confidence() -> None:
    asked = [AskedRna("x", TRNA, "RF00005", 0, "tRNA")]
    figures = answers_from_wrong_evidence(asked, Reference.open(), None)
    # A tRNA's best other family in Rfam is of tRNA's own clan, which is no wrong record.
    assert figures["median confidence of right records"] > 0.9
    assert figures["rnas"] == 1
    assert figures["cites the wrong record"] == 1.0
    assert figures["highest confidence"] < 0.1


def test_the_confidence_is_fitted_and_scored() -> None:
    random = np.random.default_rng(0)
    exponents = random.uniform(-1, 12, 4000)
    right = random.random(4000) < 0.97 / (1 + np.exp(-(1.5 * exponents - 6)))
    candidates = [
        Candidate(10.0**-x, bool(r), bool(r)) for x, r in zip(exponents, right, strict=True)
    ]
    bias, scale, ceiling = fit_confidence(candidates)
    assert bias == pytest.approx(-6, abs=1.5)
    assert scale == pytest.approx(1.5, abs=0.4)
    assert ceiling == pytest.approx(0.97, abs=0.02)

    def fitted(evalue: float) -> float:
        return 0.97 / (1 + math.exp(6 + 1.5 * math.log10(evalue)))

    scores = score_confidence(candidates, fitted)["family"]
    assert scores["AUROC"] > 0.95
    assert scores["calibration error"] < 0.03
    assert scores["better by"] > 0.5
    # Saying the base rate to all is calibrated, and tells nothing.
    base = float(np.mean(right))
    flat = score_confidence(candidates, lambda _: base)["family"]
    assert flat["AUROC"] == 0.5
    assert flat["better by"] == pytest.approx(0, abs=1e-9)


def test_the_command_measures_a_small_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RNAGPT_CACHE", str(tmp_path / "cache"))
    data = make_dataset(tmp_path)
    out = tmp_path / "answers"
    command = ["evaluate-answers", str(data), str(out), "--limit", "12"]
    assert main([*command, "--known-limit", "5"]) == 0
    figures = json.loads((out / "answers.json").read_text())
    named = figures["systems"]["search only"]["named"]
    assert named["test clusters"]["rnas"] == 12
    assert named["random"]["claimed_family"] == 0
    assert figures["systems"]["search only"]["facts"] == {"length": 1.0, "GC content": 1.0}
    assert "wrong evidence" in figures["systems"]["search only"]
    texts = figures["systems"]["search only"]["texts"]
    assert list(texts) == ["answers", "nearest by 8-mers", "commonest", "at random"]
    for scores in texts.values():
        assert scores.pop("rnas") == 5
        assert all(0 <= one["low"] <= one["value"] <= one["high"] <= 1 for one in scores.values())
    known = figures["systems"]["search only"]["known"]["ROUGE-L"]
    assert texts["answers"]["ROUGE-L"]["value"] == pytest.approx(known)
    assert "| text | RNAs | ROUGE-L | entity precision |" in (out / "answers.md").read_text()
    assert figures["confidence"]["family"]["rnas"] == 12 + 12 + 3 * 3 + 12 + 36
    assert "rnagpt evaluate-answers data answers --limit 12" in capsys.readouterr().out


def test_families_are_hidden_for_the_calibration(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("RNAGPT_CACHE", str(tmp_path / "cache"))
    data = make_dataset(tmp_path)
    full = Reference.open(data)
    hidden = set(list(full.families)[:3])
    shown = without_families(full, hidden, tmp_path / "shown", 1)
    assert set(shown.families) == set(full.families) - hidden
    # The rows of these made families are not alike: nothing is found of which one could learn.
    with pytest.raises(ValueError, match="no confidence can be fitted"):
        calibrate(str(data), data, tmp_path / "work", limit=40)
