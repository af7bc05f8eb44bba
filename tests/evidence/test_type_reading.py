"""What a sequence looks like where no record tells: read where it is sure, and only there."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from rnagpt.evaluation.search_queries import made_negatives
from rnagpt.evidence.answers import MODEL, NONE, look_up
from rnagpt.evidence.facts import SequenceFacts
from rnagpt.evidence.gathering import Evidence
from rnagpt.evidence.type_reading import MIN_CONFIDENCE, TypeReader, bundled_reader
from rnagpt.sequences.type_features import MAX_READ, NAMES, type_features
from rnagpt.training.type_reader import NONE as NO_TYPE
from rnagpt.training.type_reader import Examples, Fitted, calibrate, save

# Human hsa-mir-21, of miRBase.
MIR21 = "UGUCGGGUAGCUUAUCAGACUGAUGUUGACUGUUGAAUCUCAUGGCAACACCAGUCGAUGGGCUGUCUGACA"
ALPHABET = np.array(list("ACGU"))


def silent(sequence: str) -> Evidence:
    """The evidence where a search found nothing."""
    return Evidence("RNA", SequenceFacts(sequence), reference="Rfam 14.2")


def made(strong: bool, random: np.random.Generator) -> str:
    """A made RNA of 60 nt: a hairpin of G and C, or of A and U."""
    stem = "".join(random.choice(list("GC" if strong else "AU"), 25))
    pairs = str.maketrans("ACGU", "UGCA")
    return f"{stem}GAAACAAAAG{stem[::-1].translate(pairs)}"


def test_features_are_those_of_the_sequence() -> None:
    features = dict(zip(NAMES, type_features(MIR21).tolist(), strict=True))
    assert features["length"] == 72
    assert features["A"] == pytest.approx(MIR21.count("A") / 72)
    assert features["GUU"] == pytest.approx(MIR21.count("GUU") / 72)
    RNA = pytest.importorskip("RNA")
    pairs, energy = RNA.fold(MIR21)
    assert features["energy per nt"] == pytest.approx(energy / 72, abs=1e-4)
    assert features["share paired"] == pytest.approx(2 * pairs.count("(") / 72)
    ends = {name for name, value in features.items() if name[:2] in ("5 ", "3 ") and value}
    assert {"5 0 U", "5 1 G", "3 0 A", "3 1 C", "3 5 C"} <= ends


def test_lengths_that_are_not_read_are_told_and_give_no_reading() -> None:
    for length in (29, MAX_READ + 1):
        with pytest.raises(ValueError, match=f"30 to {MAX_READ} nt; this one has {length}"):
            type_features("ACGU" * (length // 4) + "A" * (length % 4))
        assert bundled_reader().read(MIR21[:29] if length == 29 else MIR21 * 9) is None


def test_a_hairpin_of_a_microrna_looks_like_one_and_what_is_of_no_type_like_none() -> None:
    reading = bundled_reader().read(MIR21)
    assert reading is not None
    assert reading.type == "miRNA"
    assert MIN_CONFIDENCE <= reading.confidence < 1
    random = np.random.default_rng(5)
    asked = ["".join(random.choice(ALPHABET, 72)) for _ in range(40)]
    for kind, sequences in made_negatives(asked, 40, random).items():
        told = [bundled_reader().read(sequence) for sequence in sequences]
        # Of sequences that it did not see while it was fitted or calibrated.
        assert sum(reading is not None for reading in told) <= 2, kind


def test_the_file_tells_what_the_fitted_network_tells(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    strong = random.random(200) < 0.5
    rnas = [made(bool(one), random) for one in strong]
    rnas += ["".join(random.choice(ALPHABET, 60)) for _ in range(60)]
    features = np.stack([type_features(rna) for rna in rnas])
    types = np.array([*np.where(strong, "riboswitch", "miRNA"), *[NO_TYPE] * 60])
    examples = Examples(features, types, np.arange(260).astype(str))
    fitted = Fitted.of(features, types, seed=0)
    told, shares = fitted.predict(features)
    assert (told == types).mean() > 0.95
    wrong = np.where(random.random(260) < 0.3, "x", told)
    scale, bias, measured = calibrate(examples, wrong, shares)
    save(fitted, scale, bias, measured, tmp_path / "types.safetensors")
    reader = TypeReader(tmp_path / "types.safetensors")
    expected = fitted.network.predict_proba(fitted.scaler.transform(features))
    assert np.allclose(reader.probabilities(features), expected, atol=1e-4)
    # Of what is told to be of a type, the share that is right.
    claims = wrong != NO_TYPE
    sure = [reader.confidence(share) for share in shares[claims]]
    assert np.mean(sure) == pytest.approx((wrong == types)[claims].mean(), abs=0.01)
    assert measured["right type"] == pytest.approx(0.7, abs=0.1)


def test_a_file_of_other_features_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rnagpt.evidence.type_reading.NAMES", NAMES[:-1])
    with pytest.raises(ValueError, match="fitted on other features"):
        TypeReader()


def test_nothing_is_read_without_viennarna(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "RNA", None)
    assert bundled_reader().read(MIR21) is None


@pytest.mark.parametrize("question", ["What is this RNA?", "What type of RNA is this?"])
def test_the_reading_is_told_as_a_guess_with_its_confidence(question: str) -> None:
    answer = look_up(question, [silent(MIR21)]).answer
    assert answer.text == (
        "No record of Rfam 14.2 matches this RNA. By composition and folding alone, it looks like "
        "a miRNA."
    )
    assert answer.basis == MODEL
    assert answer.confidence == bundled_reader().read(MIR21).confidence  # type: ignore[union-attr]
    assert [sentence.supported for sentence in answer.sentences] == [True, False]


def test_no_other_question_is_answered_by_a_reading() -> None:
    for question in ("Which family is this?", "What does it bind?", "Which papers describe it?"):
        answer = look_up(question, [silent(MIR21)]).answer
        assert (answer.basis, answer.confidence) == (NONE, None)
