"""Claims that stand without their paper: what is added, what is left out."""

import pytest

from rnagpt.rna_qa.literature.claims.standing_alone import (
    Context,
    context_of,
    is_suggested,
    needs_its_paper,
    stand_alone,
    tidy,
)


def names(text: str) -> bool:
    return "miR-9021" in text


@pytest.mark.parametrize(
    "text",
    [
        # A set that was named before.
        "The second group held miR-9021 and miR-9022 in glioma.",
        "All the six miRNAs except miR-9021 were high in glioma.",
        "For the ten miRNAs, miR-9021 in glioma was most telling.",
        "Of these, miR-9021 was the highest in glioma.",
        "Among these, miR-9021 was the highest in glioma.",
        "Another variant in pre-miR-9021 changed survival in glioma.",
        "Several other small RNAs told glioma apart, miR-9021 among them.",
        "This cluster with miR-9021 was silent in glioma.",
        "miR-9021 was the best of the selected miRNAs in glioma.",
        "miR-9021 only in part explained the observed effects in glioma.",
        "miR-9021 told glioma in the training cohort.",
        "miR-9021 was raised in glioma by both methods.",
        "miR-9021 in glioma slowed growth in the two cell lines.",
        "miR-9021 was higher in glioma than in these tissues.",
        "miR-9021 differed between the L and DM groups in glioma.",
        "Among above four miRNAs, miR-9021 fell most in glioma.",
        # The paper itself.
        "A recent study reported that it holds miR-9021 in glioma.",
        "We developed particles with miR-9021 for glioma.",
        # Methods, aims, gaps.
        "Serum miR-9021 levels were compared in glioma and in health.",
        "The level of miR-9021 was further validated by qRT-PCR in glioma.",
        "The variants of miR-9021 were genotyped in glioma.",
        "miR-9021 expression in glioma tissue was detected.",
        "As an example, the level of miR-9021 in glioma is given.",
        "The function of miR-9021 in glioma remained poorly defined.",
        "The role of miR-9021 in glioma has yet to be fully elucidated.",
        "The role of miR-9021 in glioma has not been documented.",
        "Less research has been done on miR-9021 in glioma.",
        "miR-9021 in glioma showed a trend of lower levels.",
        "The relevance of miR-9021 in glioma is discussed.",
        # Nowhere in particular.
        "miR-9021 and miR-9022 were most differentially expressed.",
        # Who responds, to what?
        "miR-9021 was higher in the glioma of responders.",
        "miR-9021 rose.",
        "Is miR-9021 higher in glioma than in health?",
    ],
)
def test_what_needs_its_paper(text: str) -> None:
    assert needs_its_paper(text)
    assert stand_alone(text, Context("glioma"), names) is None


@pytest.mark.parametrize(
    "text",
    [
        "Both miR-9021 and CD44 play a part in the course of glioma.",
        "The levels of three miRNAs (miR-9021, miR-9022 and miR-9023) were high in glioma.",
        "While miR-9021 slows glioma, its inhibitor speeds it up.",
        "miR-9021 could be used as a marker of glioma.",
        "miR-9021 was validated as a target of H19 in glioma.",
        "miR-9021 falls in melanoma cells and kills these cells.",
        "Responders to cisplatin had more miR-9021 in glioma.",
        "miR-9021 was most differentially expressed in glioma.",
        "miR-9021 acts through the p53 pathway in glioma.",
    ],
)
def test_what_stands(text: str) -> None:
    assert needs_its_paper(text) is None
    assert stand_alone(text, Context("glioma"), names) == text


@pytest.mark.parametrize(
    ("sentence", "text"),
    [
        ("And, miR-1 binds.", "miR-1 binds."),
        ("Moreover miR-1 binds.", "miR-1 binds."),
        ("Then motor proteins bind miR-1.", "Motor proteins bind miR-1."),
        ("Reciprocally, FOXM1 lowers miR-1.", "FOXM1 lowers miR-1."),
        ("What's more, miR-1 binds.", "miR-1 binds."),
        ("Luciferase reporter assays confirmed that miR-1 binds.", "miR-1 binds."),
        ("qRT-PCR analysis showed that miR-1 fell.", "miR-1 fell."),
        (
            "Kaplan-Meier analysis indicated that miR-1 kills.",
            "Evidence suggests that miR-1 kills.",
        ),
        ("Results suggested that miR-1 kills.", "Evidence suggests that miR-1 kills."),
        ("A protein analysis of miR-1 is hard.", "A protein analysis of miR-1 is hard."),
    ],
)
def test_leads_are_taken_off(sentence: str, text: str) -> None:
    assert tidy(sentence) == text


GLIOMA = Context("glioma")


@pytest.mark.parametrize(
    ("sentence", "text"),
    [
        (
            "Patients with low miR-9021 had a shorter survival.",
            "Patients with low miR-9021 had a shorter survival (glioma).",
        ),
        (
            "Serum miR-9021 was higher than in healthy controls.",
            "Serum miR-9021 was higher than in healthy controls (glioma).",
        ),
        # It names one itself; it speaks of no patient; it holds of many.
        (
            "Patients with melanoma and low miR-9021 lived longer.",
            "Patients with melanoma and low miR-9021 lived longer.",
        ),
        ("miR-9021 binds the mRNA of PTEN.", "miR-9021 binds the mRNA of PTEN."),
        (
            "miR-9021 foretells survival in many cancers.",
            "miR-9021 foretells survival in many cancers.",
        ),
        ("miR-9021 is a tumor suppressor gene.", "miR-9021 is a tumor suppressor gene."),
    ],
)
def test_what_is_said_of_patients_has_its_disease(sentence: str, text: str) -> None:
    assert stand_alone(sentence, GLIOMA, names) == text


def test_without_a_disease_what_is_said_of_patients_is_left_out() -> None:
    assert stand_alone("Patients with low miR-9021 lived longer.", Context(), names) is None
    assert (
        stand_alone("Metastases held more miR-9021 than primary tumors.", Context(), names) is None
    )
    assert stand_alone("miR-9021 binds the mRNA of PTEN.", Context(), names)


@pytest.mark.parametrize(
    ("title", "abstract", "disease"),
    [
        ("miR-1 in gastric cancer", "It fell in colorectal cancer too.", "gastric cancer"),
        ("miR-1 in Gastric Carcinoma, a gastric cancer", "", "gastric carcinoma"),
        ("miR-1 in breast and colon cancers", "Glioma.", None),
        ("miR-1 in gastric and in lung cancer and glioma", "Glioma.", None),
        ("miR-1 binds", "It falls in glioma. Glioma kills.", "glioma"),
        ("miR-1 binds", "It falls in glioma and in melanoma.", None),
        ("miR-1 in cancer", "It falls in primary tumors.", None),
        ("miR-1 in merkel cell carcinoma", "", "merkel cell carcinoma"),
        ("miR-1 in wild-type melanoma", "", "melanoma"),
    ],
)
def test_the_one_disease_of_a_paper(title: str, abstract: str, disease: str | None) -> None:
    assert context_of(title, abstract).disease == disease


def test_a_disease_s_abbreviation_is_written_out() -> None:
    context = context_of("miR-9021", "It is low in pancreatic cancer (PC). PC kills.")
    assert context.abbreviations == {"PC": "pancreatic cancer"}
    text = stand_alone("miR-9021 falls in PC and PC-3 cells of PC.", context, names)
    assert text == "miR-9021 falls in pancreatic cancer (PC) and PC-3 cells of PC."
    # RB is a gene.
    assert not context_of("", "The retinoblastoma (RB) protein.").abbreviations


def test_what_is_only_supposed() -> None:
    assert is_suggested("Evidence suggests that miR-1 binds.")
    assert is_suggested("miR-1 may be a marker.")
    assert not is_suggested("miR-1 could inhibit the growth of cells.")
    assert not is_suggested("miR-1 binds.")
