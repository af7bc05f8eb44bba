"""Kinds of claims, and the questions that are asked of them."""

from collections.abc import Sequence

import pytest

from rnagpt.rna_qa.literature.claims.categories import CATEGORIES, KINDS, kind_of
from rnagpt.rna_qa.literature.claims.slots import drugs, genes, outcomes, processes, specimens
from rnagpt.rna_qa.literature.claims.validation import mask
from rnagpt.rna_qa.literature.claims.wordings import choose_question, content_of


@pytest.mark.parametrize(
    ("claim", "category"),
    [
        # What an experiment changes tells what the RNA does, not how it is expressed.
        ("Ectopic expression of @ slowed the growth of cells.", "function"),
        ("Increasing @ expression in melanoma cells reduced their proliferation.", "function"),
        ("Cells transfected with @ mimics had fewer colonies and reduced growth.", "function"),
        ("CCND1 fell following @ inhibition, which reduced growth.", "function"),
        ("Enhancing the expression of @ inhibited growth in mice.", "function"),
        ("High expression of @ had no effect on cell proliferation.", "function"),
        ("@ did not affect the proliferation of these cells.", "function"),
        ("@ and miR-1 can inhibit the growth of lung cancer cells.", "function"),
        ("@ is a critical regulator of metabolism.", "function"),
        ("The tumors of mice with overexpressed @ were frequent.", "expression"),
        # What is measured.
        ("The frequency of @ downregulation was 64% in adenomas.", "expression"),
        ("@ shows upregulation in tissues and plasma.", "expression"),
        ("Tissues showed upregulated @ expression and reduced MTSS1 expression.", "expression"),
        ("miR-1, @ and miR-2 were significantly elevated in plasma.", "expression"),
        ("Exosomal @ levels in serum were higher in glioma.", "expression"),
        ("IRS1 was inversely correlated with @ in glioma tissues.", "expression"),
        ("The genes of @ are frequently silenced in glioma.", "expression"),
        # Who acts on it.
        ("Curcumin inhibits growth through up-regulation of @ in cells.", "regulation"),
        ("The long non-coding RNA MFI2 promotes growth by sponging @.", "regulation"),
        ("The growth of circ_123 depends on its suppression on @.", "regulation"),
        ("PGE2 significantly suppressed the expression of @ in cells.", "regulation"),
        ("Loss of SMAD4 leads to reduced levels of @ in cells.", "regulation"),
        ("@ expression rose after treatment with aspirin.", "regulation"),
        ("SNAI1 repressed the expression of miR-1 and increased miR-2, @ levels.", "regulation"),
        ("Aspirin treatment lowers B and increases its miRNAs, such as the @ pair.", "regulation"),
        ("B overexpression caused the reduced expression of @, which did not hit B.", "regulation"),
        ("EVI1 raised KRAS through suppression of a KRAS repressor, @, in cells.", "regulation"),
        # "Increased" and "decreased" are no verbs here.
        ("Increased ANGPTL2 and decreased @ expression were found in glioma.", "expression"),
        ("Tissues showed increased CUL4B expression but decreased @ expression.", "expression"),
        ("@ was up regulated in glioma and cell lines.", "expression"),
        ("@ in tissues of patients was conversely correlated with TP53 expression.", "expression"),
        ("Cell migration was inhibited by @ in glioma cells.", "function"),
        ("@ may serve as a sensitive diagnostic biomarker for glioma.", "biomarker"),
        ("High @ expression was associated with lymphovascular invasion.", "biomarker"),
        ("The survival was poor among patients with decreased levels of @.", "biomarker"),
        # What it acts on.
        ("@ inhibits growth by targeting PTEN in glioma.", "target"),
        ("Luciferase assays confirmed NF1 as a direct target of @.", "target"),
        ("STIM1, a direct target of @, promotes metastasis.", "target"),
        ("Knockdown of ITGB8 neutralized the effects of @ on growth.", "target"),
        ("A variant of the 3'UTR of CD44 disrupts the binding of @.", "target"),
        ("The rs123 allele disrupts the binding site of @ in PTEN.", "target"),
        ("The rs123 polymorphism in pre-@ goes with the risk of glioma.", "variation"),
        ("@ rs2910164 was not associated with the risk of glioma.", "variation"),
        # What it tells.
        ("High @ foretold poor outcome in glioma.", "biomarker"),
        ("The metastasis of glioma may be predictable by @.", "biomarker"),
        ("Low expression of @ was associated with stage and metastasis.", "biomarker"),
        ("@ had a sensitivity of 87% and a specificity of 63%; the sensitivity fell.", "biomarker"),
        ("Patients with much @ were more likely to have recurrence.", "biomarker"),
        # And the rest.
        ("@ enhances the chemosensitivity of glioma cells to cisplatin.", "treatment"),
        ("@ may be a novel therapeutic target in glioma.", "treatment"),
        ("Exosomes of glioma cells carry @ to their neighbours.", "localisation"),
        ("Maturation of @ needs Drosha in the nucleus.", "biogenesis"),
        ("@ undergoes editing in melanoma cells.", "summary"),
    ],
)
def test_what_a_claim_tells(claim: str, category: str) -> None:
    assert kind_of(claim).category == category


def test_every_kind_has_a_category_and_the_last_takes_all() -> None:
    assert {kind.category for kind in KINDS} <= set(CATEGORIES)
    assert KINDS[-1].is_told("")


def test_an_rna_is_masked_in_lists_too() -> None:
    assert mask("miR-34a/b and MIR34B-5p, not miR-34bc", ["miR-34b"]) == (
        "miR-34a/@ and @, not miR-34bc"
    )
    assert mask("miR-221, -222 and -484 fell", ["miR-484"]) == "miR-221, -222 and -@ fell"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("@ targets PTEN and Zeb2 in CRC by its 3'-UTR", ["PTEN", "Zeb2"]),
        ("@ falls in SW480 and HCT116 cells and in AsPC-1", []),
        ("ERalpha1-mediated loss of @ and miR-21", ["ERalpha1"]),
        ("HOTAIR-induced @", ["HOTAIR"]),
        ("SSAs had AUCs of G2/M with DNA and LncRNA", []),
        ("beta-catenin, E-cadherin and p53 rise", ["beta-catenin", "E-cadherin", "p53"]),
    ],
)
def test_genes(text: str, found: list[str]) -> None:
    assert genes(text) == found


def test_what_else_a_claim_names() -> None:
    text = "In serum and exosomes, it told survival after cisplatin and apoptosis at TNM stage II."
    assert drugs(text) == ["cisplatin"]
    assert specimens(text) == ["exosomes", "serum"]
    assert outcomes(text) == ["survival", "stage"]
    assert processes("Apoptosis and invasion, apoptosis") == ["apoptosis", "invasion"]


def ask_all(claims: Sequence[str]) -> list[str | None]:
    asked: set[tuple[str, ...]] = set()
    return [choose_question(kind_of(one), one, one, lambda _: 0.0, asked) for one in claims]


def test_questions_of_one_rna_ask_for_different_things() -> None:
    asked = ask_all(
        [
            "@ targets PTEN in glioma.",
            "@ targets RECK in glioma.",
            "@ targets RECK and ZEB1 in glioma.",
            "@ targets RECK in gastric cancer.",
            "@ targets RECK in glioma again.",
        ]
    )
    assert asked == [
        "What does this RNA target in glioma?",
        "How does this RNA act on RECK in glioma?",
        "How does this RNA act on ZEB1 in glioma?",
        "What does this RNA target in gastric cancer?",
        None,  # Nothing is left to be asked: what it does to RECK was.
    ]


def test_a_question_of_another_kind_does_not_ask_the_same_again() -> None:
    first, second = ask_all(["@ lowers PTEN mRNA, as a target of @.", "PTEN may know @, as PTEN."])
    assert first == "What does this RNA target?"
    assert second == "What is known about this RNA?"


def test_questions_that_differ_in_their_frame_alone_are_one() -> None:
    """As "Tell me about this RNA in glioma." and "What does this RNA do in glioma?" are."""
    asked: set[tuple[str, ...]] = set()
    found = [
        choose_question(kind, "miR-1 is in glioma.", "@ is in glioma.", lambda text: 0.4, asked)
        for kind in KINDS
        if kind.category in ("function", "summary")
    ]
    told = [content_of(question) for question in found if question]
    assert told
    assert len(set(told)) == len(told)
    assert content_of("What does this RNA do in glioma?") == {"glioma"}
    assert content_of("How does PTEN affect this RNA?") == {"pten", "affect"}
