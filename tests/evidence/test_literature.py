"""What papers say to questions about one RNA, and that they differ."""

from __future__ import annotations

import pytest

from rnagpt.evidence.literature import diseases_of, find_claims, genes_of, samples_of
from rnagpt.evidence.opposites import level_side, role_side, variant_side
from rnagpt.reference.records import Claim, Record

NAMES = ("miR-9001", "hsa-mir-9001")


def record(*texts: str) -> Record:
    claims = tuple(Claim(text, text, (str(number),)) for number, text in enumerate(texts, 1))
    return Record(
        id="X1_9606",
        kind="rna",
        name="miR-9001",
        description="also called hsa-mir-9001",
        type="pre_miRNA",
        claims=claims,
    )


def told(question: str, *texts: str) -> list[str] | None:
    found = find_claims(question, record(*texts), NAMES)
    return None if found is None else [claim.text for claim in found.claims]


RAISED = "The expression of miR-9001 is up-regulated in colon cancer tissue."
LOWERED = "miR-9001 expression was decreased in colorectal cancer tissue."
IN_SERUM = "Serum miR-9001 levels were lower in patients with colorectal cancer."
SURVIVAL = "High miR-9001 is linked to shorter overall survival in glioma."
TARGETS = "miR-9001 promotes growth by repressing tumor suppressor PTEN in gastric cancer."


def test_papers_that_differ_are_told_first_with_their_ids() -> None:
    found = find_claims(
        "Is it higher or lower in colorectal cancer?", record(RAISED, LOWERED), NAMES
    )
    assert found is not None
    assert found.differ == (
        "Papers differ in colorectal samples: its level is raised (PMID 1) or its level is lowered "
        "(PMID 2)."
    )
    assert [claim.text for claim in found.claims] == [RAISED, LOWERED]


def test_tissue_and_serum_are_not_set_against_each_other() -> None:
    found = find_claims(
        "Is it higher or lower in colorectal cancer?", record(RAISED, IN_SERUM), NAMES
    )
    assert found is not None
    assert not found.differ


def test_a_disease_that_no_claim_names_is_not_answered_by_another() -> None:
    assert told("Is it upregulated in pancreatic cancer?", RAISED, LOWERED) == []
    assert told("Is it upregulated in colon cancer?", RAISED, SURVIVAL) == [RAISED]


def test_a_gene_that_no_claim_names_is_not_answered_by_another() -> None:
    assert told("Does it target PTEN?", TARGETS, RAISED) == [TARGETS]
    assert told("Does it target KRAS?", TARGETS, RAISED) == []
    assert told("Is p53 its regulator?", TARGETS) == []


def test_what_is_no_matter_of_papers_is_left_to_others() -> None:
    assert told("How long is it?", RAISED) is None
    assert told("What is this RNA?", RAISED) is None


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Is its level linked to survival?", SURVIVAL),
        ("Can serum tell, as a diagnostic test?", None),
        ("In which body fluids was it measured?", IN_SERUM),
    ],
)
def test_each_matter_has_its_claims(question: str, answer: str | None) -> None:
    found = told(question, SURVIVAL, TARGETS, IN_SERUM)
    assert found is not None
    assert found[:1] == ([answer] if answer else [])


@pytest.mark.parametrize(
    ("text", "side"),
    [
        (RAISED, 1),
        (LOWERED, -1),
        ("miR-1 is raised in colon cancer, while miR-9001 was significantly lower.", -1),
        ("Transfection with miR-9001 mimics increased miR-9001 levels.", 0),
        ("Up-regulation of miR-9001 could improve invasion of cells.", 0),
        ("Elevated miR-9001 is associated with poor outcome.", 0),
        ("Invasion increased or decreased along with miR-9001 expression.", 0),
        ("miR-9001 did not differ between tumours and tissue.", 0),
    ],
)
def test_the_side_of_a_level(text: str, side: int) -> None:
    assert level_side(text, NAMES) == side


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("miR-9001 inhibits proliferation and invasion of melanoma cells.", -1),
        ("Inhibition of miR-9001 suppressed growth of tumour cells.", 1),
        ("miR-9001 promotes metastasis in glioma.", 1),
        ("XIST sponges miR-9001 to promote progression of colon cancer.", 0),
        ("miR-9001 acts as a tumor suppressor in melanoma.", -1),
        ("miR-9001 promotes growth by targeting tumor suppressor CHD5.", 1),
    ],
)
def test_the_side_of_a_role(text: str, side: int) -> None:
    assert role_side(text, NAMES) == side


def test_variants_matter_or_do_not() -> None:
    assert variant_side("rs1 in miR-9001 is associated with risk of cancer.", NAMES) == 1
    assert variant_side("rs1 in miR-9001 was not associated with cancer.", NAMES) == -1


def test_names_in_questions() -> None:
    assert genes_of("What is the relation of miR-9001 to MITF and TRPM1?", NAMES) == {
        "mitf",
        "trpm1",
    }
    assert genes_of("Is this RNA in the CRC of hsa-miR-21?", NAMES) == set()
    assert diseases_of("lost in colon cancer, CRC and rectal carcinoma") == {"colorectal"}
    assert diseases_of("in patients with this disease") == set()
    assert samples_of("in sera and fecal samples") == {"serum", "stool", "circulating"}
