"""What RNAs target, what regulates them, what they mark: in which direction a sentence speaks."""

import pytest

from rnagpt.evidence import relations
from rnagpt.reference.records import RNA, Record

NAMES = ("miR-21", "hsa-mir-21", "hsa-miR-21-5p")
TARGETS = [
    "miR-21 directly targets PTEN in hepatocytes.",
    "MicroRNA-21 slows the growth of glioma cells by targeting Spry2.",
    "hsa-miR-21-5p lowers apoptosis through repressing the expression of PDCD4.",
    "PTEN is a direct target of miR-21-5p.",
    "TPM1, which is repressed by miR21, suppresses tumours.",
    "We found a site of miR-21 in the 3'-UTR of RECK.",
    "miR-21 regulated p53 in both lines.",
]
REGULATORS = [
    "The expression of miR-21 is induced by STAT3.",
    "STAT3 induces miR-21.",
    "Curcumin reduced miR-21 expression in colon cells.",
    "GAS5 acts as a sponge for miR-21.",
    "The lncRNA slows growth by sponging miR-21-5p.",
    "Growth slows through inhibition of miR-21.",
    "AP-1-dependent miR-21 transcription rises on serum.",
    "miR-21 was confirmed as a direct transcriptional target of STAT3.",
]
MARKING = [
    "Serum miR-21 is a biomarker for early lung cancer.",
    "High miR-21 levels go with poor overall survival.",
    "miR-21 predicts recurrence.",
]
NEITHER = [
    "miR-21 is raised in gastric cancer.",
    "Tumours showed reduced miR-21 expression.",
    "Patients with decreased levels of miR-21 were older.",
    "Decreased miR-21 expression was seen in CRC.",
    "miR-21 inhibited CRC cell growth.",
    "miR-21 did not target PTEN.",
    "miR-212 targets PTEN.",
    "PTEN expression was lowered by transfection with anti-miR-21.",
    "miR-21 may be a therapeutic target.",
]
KINDS = {
    "targets": relations.tells_targets,
    "regulators": relations.tells_regulators,
    "marking": relations.tells_marking,
}


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        *(("targets", sentence) for sentence in TARGETS),
        *(("regulators", sentence) for sentence in REGULATORS),
        *(("marking", sentence) for sentence in MARKING),
        *(("", sentence) for sentence in NEITHER),
    ],
)
def test_the_direction_in_which_a_sentence_speaks(kind: str, sentence: str) -> None:
    assert [name for name, tells in KINDS.items() if tells(sentence, NAMES)] == [kind] * bool(kind)


def test_names_of_other_rnas_are_read_as_they_are() -> None:
    hotair = ("HOTAIR",)
    assert relations.tells_regulators("E2F1 induces HOTAIR in breast cells.", hotair)
    assert not relations.tells_regulators("E2F1 induces HOTAIRM1 in breast cells.", hotair)
    let = ("let-7a",)
    assert relations.tells_targets("hsa-let-7a-5p targets HMGA2.", let)
    assert not relations.tells_targets("let-7b targets HMGA2.", let)


def test_a_disease_is_told_with_or_without_a_marker() -> None:
    assert relations.tells_disease("miR-21 is raised in gastric cancer.", NAMES)
    assert not relations.tells_disease("miR-21 targets PTEN.", NAMES)


def test_a_records_names_are_its_own_and_what_it_is_also_called() -> None:
    record = Record("x", RNA, "miR-21", description="also called hsa-mir-21, hsa-miR-21-5p")
    assert relations.names_of(record) == NAMES
    assert relations.names_of(Record("x", RNA, "H19", description="a long one")) == ("H19",)
