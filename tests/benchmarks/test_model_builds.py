"""What is told of builds with a language model, and the sheets that are read blind."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.paths import ROOT

from rnagpt.rna_qa.literature.records import Annotation, Claim, Rna, Topics

sys.path.insert(0, str(ROOT / "benchmarks"))

import literature_model_builds as builds
import literature_readings as readings

NONE: Mapping[str, int] = {}
RNA = Rna("R1", "ACGU", ("miR-21",), "pre_miRNA")
TOPICS = Topics("R1", (("PMID:1", "PMID:2"), ("PMID:3",), ("PMID:4",)))
CLAIMS = (
    Claim("MiR-21 represses PTEN strongly.", ("PMID:1",), "We saw miR-21 represses PTEN strongly."),
    Claim("MiR-21 raises glioma growth.", ("PMID:3",), "Glioma cells grew with miR-21."),
)


class Letters:
    """Vectors of a text's length: two texts of one length are alike, others are not."""

    name, gives_tokens = "letters", False

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        vectors = np.zeros((len(texts), 100))
        vectors[np.arange(len(texts)), [len(text) for text in texts]] = 1
        return vectors

    def embed_tokens(self, texts: Sequence[str]) -> list[np.ndarray]:
        raise NotImplementedError


def made(
    mode: str, claims: tuple[Claim, ...] = CLAIMS, rejected: Mapping[str, int] = NONE
) -> builds.Made:
    text = " ".join(claim.text for claim in claims)
    annotation = Annotation("R1", mode, text, claims, "m", rejected)
    return builds.Made({"R1": RNA}, {"R1": annotation}, {"R1": TOPICS}, (4, 1, 800, 100))


def rows(one: builds.Made) -> dict[str, str]:
    return dict(builds.figures(one, ["R1"], {"R1": TOPICS}, Letters()))


def test_claims_papers_topics_and_what_was_copied() -> None:
    one = made("dnc", rejected={"RNA not named": 2, "no answer: too long": 5})
    told = rows(one)
    assert told["claims a paper"] == "0.50"
    assert told["claims that stand"] == "0.500 of 4"  # an answer that did not come is no claim
    assert told["papers cited"] == "0.500"
    assert told["topics cited"] == "0.667"
    assert told["claims copied"] == "0.500"
    assert told["answers cut"] == "1 of 4"
    assert told["tokens read an RNA"] == "800"


def test_a_claim_said_twice_is_redundant() -> None:
    once, twice = rows(made("dnc")), rows(made("dnc", (CLAIMS[0], replace(CLAIMS[0], topic=1))))
    assert (once["redundancy, cosine"], twice["redundancy, cosine"]) == ("0.000", "1.000")


def test_an_rna_without_claims_covers_nothing() -> None:
    told = rows(made("ais", ()))
    assert (told["RNAs with claims"], told["papers cited"], told["topics cited"]) == (
        "0 of 1",
        "0.000",
        "0.000",
    )


def test_pairs_hide_whose_they_are_and_tell_it_when_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readings, "CLAIM_LABELS", tmp_path / "claims.jsonl")
    monkeypatch.setattr(readings, "PAIR_LABELS", tmp_path / "pairs.jsonl")
    folder = tmp_path / "sheets"
    other = (Claim("MiR-21 falls in sepsis.", ("PMID:4",), "MiR-21 falls in sepsis."),)
    readings.sheets(made("dnc"), made("ais", other), folder)
    (row,) = read(folder / "pairs.jsonl")
    assert set(row) == {"rna", "name", "first", "second", "better"}
    fill(folder)
    with pytest.raises(ValueError, match="first, second or neither"):
        readings.keep(folder)
    assert not (tmp_path / "claims.jsonl").exists()
    place = "first" if row["first"] == other[0].text else "second"
    write(folder / "pairs.jsonl", [{**row, "better": place}])
    readings.keep(folder)
    (kept,) = read(tmp_path / "pairs.jsonl")
    assert kept["better"] == "ais"
    texts = (tmp_path / "pairs.jsonl").read_text() + (tmp_path / "claims.jsonl").read_text()
    assert "sepsis" not in texts
    assert "PTEN" not in texts


def fill(folder: Path) -> None:
    """Say who read the claims."""
    head, *claims = read(folder / "claims.jsonl")
    write(folder / "claims.jsonl", [{**head, "judge": "a test"}, *claims])


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def write(file: Path, rows: Sequence[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
