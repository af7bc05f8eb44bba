"""Questions and answers: nothing that the record does not say."""

import re
from collections import Counter

import pytest
from helpers.paths import DATA

from rnagpt.rna_qa.rfam.comments import read_sentences
from rnagpt.rna_qa.rfam.families import Family, Term, describe_family
from rnagpt.rna_qa.rfam.questions import RECORD_KINDS, SEQUENCE_KINDS, Question, annotate, ask
from rnagpt.sequences.stockholm import read_seed

SEED = DATA / "rfam_five_families.seed"
WORDINGS = {kind.name: kind.wordings for kind in RECORD_KINDS}
WORDINGS |= {kind.name: kind.wordings for kind in SEQUENCE_KINDS}
SNORD113 = Family(
    accession="RF00181",
    name="SNORD113",
    description="Small nucleolar RNA SNORD113/SNORD114 family",
    rna_type="C/D box snoRNA",
    clan="CL00069",
    sentences=tuple(
        read_sentences(
            "It is processed from the MEG8 RNA [1]. "
            + "Very " * 50
            + "long sentence found in mice. "
            "It is found in introns. It guides methylation [2]. It binds fibrillarin."
        )
    ),
    references={"1": "12045206", "2": "11111111"},
    go_terms=(
        Term("GO:0006396", "RNA processing"),
        Term("GO:0005730", "nucleolus"),
        Term("GO:0003729", "mRNA binding"),
    ),
    so_terms=(Term("SO:0000593", "C_D_box_snoRNA"),),
    structure="Published; PMID:12045206",
)


def ask_all(family: Family, rna: str = "AB014878.1/886-973") -> dict[str, Question]:
    return {question.category: question for question in ask(rna, "GGCA", family)}


def test_answers_of_a_rich_record() -> None:
    asked = ask_all(SNORD113)
    assert {category: question.answer for category, question in asked.items()} == {
        "identity": "It is Small nucleolar RNA SNORD113/SNORD114 family, a C/D box snoRNA.",
        "family": "It belongs to the Small nucleolar RNA SNORD113/SNORD114 family (SNORD113).",
        "type": "It is a C/D box snoRNA.",
        "accession": "Its Rfam accession is RF00181 "
        "(Small nucleolar RNA SNORD113/SNORD114 family).",
        "name": "Its Rfam family is called SNORD113.",
        "summary": "Small nucleolar RNA SNORD113/SNORD114 family, a C/D box snoRNA. "
        "It is processed from the MEG8 RNA. It is linked to the ontology terms RNA processing "
        "(GO:0006396), nucleolus (GO:0005730), mRNA binding (GO:0003729) and C_D_box_snoRNA "
        "(SO:0000593).",
        "function": "It guides methylation.",
        "process": "It takes part in RNA processing (GO:0006396).",
        "location": "It is found in introns.",
        "interaction": "It binds fibrillarin.",
        "gene": "Rfam lists it as an RNA gene.",
        "structure": "Its consensus structure is published (PMID 12045206).",
        "clan": "It belongs to the Rfam clan CL00069.",
        "evidence": "It is described in PMID 12045206 and PMID 11111111.",
        "check": asked["check"].answer,
        "sequence": "Its GC content is 75%.",
    }
    assert asked["function"].evidence == ("11111111",)
    assert asked["location"].evidence == ("12045206", "11111111")
    assert asked["sequence"].evidence == ()


def test_ontology_terms_answer_where_the_comment_does_not() -> None:
    silent = Family(**{**vars(SNORD113), "sentences": (), "clan": None})
    asked = ask_all(silent)
    assert asked["location"].answer == "It is annotated to the nucleolus (GO:0005730)."
    function = "Its annotated molecular function is mRNA binding (GO:0003729)."
    assert asked["function"].answer == function
    assert asked["summary"].answer == annotate(silent)
    assert asked["summary"].evidence == ("12045206", "11111111")
    assert not {"clan", "interaction"} & asked.keys()


def test_even_an_empty_record_gives_nine_questions() -> None:
    bare = Family("RF99999", "X", "X RNA", "non-coding RNA", None, (), {}, (), (), "")
    questions = list(ask("id", "ACGU", bare))
    assert len(questions) == 9
    assert all(question.evidence == () for question in questions)
    assert annotate(bare) == "X RNA, a non-coding RNA."


def test_annotation_holds_the_whole_record() -> None:
    text = annotate(SNORD113)
    assert text.startswith("Small nucleolar RNA SNORD113/SNORD114 family, a C/D box snoRNA. It is ")
    assert all(sentence.text in text for sentence in SNORD113.sentences)
    assert text.endswith(
        "It belongs to the Rfam clan CL00069. It is linked to the ontology terms RNA processing "
        "(GO:0006396), nucleolus (GO:0005730), mRNA binding (GO:0003729) and C_D_box_snoRNA "
        "(SO:0000593)."
    )


@pytest.mark.parametrize("category", sorted(WORDINGS))
def test_wordings_are_drawn_evenly_and_always_alike(category: str) -> None:
    kind = "sequence" if category in ("length", "composition") else category

    def draw(number: int) -> set[str]:
        questions = ask(f"RNA {number}", "ACGU", SNORD113, seed=3)
        return {q.question for q in questions if q.category == kind} & set(WORDINGS[category])

    drawn = Counter(question for number in range(400) for question in draw(number))
    assert drawn.keys() == set(WORDINGS[category])
    assert min(drawn.values()) > 400 / len(drawn) / 2
    assert draw(1) == draw(1)


def test_names_are_asked_for_in_five_wordings_at_least() -> None:
    assert all(len(set(WORDINGS[kind])) >= 5 for kind in ("identity", "family", "type"))
    assert all(wordings for wordings in WORDINGS.values())


def test_the_check_is_yes_for_half_and_never_denies_a_truth() -> None:
    checks = [ask_all(SNORD113, rna=f"RNA {number}")["check"] for number in range(400)]
    yes = [check for check in checks if check.answer.startswith("Yes")]
    assert 150 < len(yes) < 250
    assert {check.question for check in yes} == {"Is this RNA a C/D box snoRNA?"}
    denied = {check.question for check in checks} - {check.question for check in yes}
    assert "Is this RNA a riboswitch?" in denied
    assert not denied & {
        "Is this RNA a snoRNA?",
        "Is this RNA an snRNA?",
        "Is this RNA a non-coding RNA?",
    }


def test_every_fact_of_real_answers_is_in_the_file() -> None:
    """Names, numbers and sentences of the answers are found in the text of the seeds."""
    text = SEED.read_text(encoding="utf-8")
    flat = re.sub(r"\s+", " ", re.sub(r"\s*\[[\d,]+\]", "", re.sub(r"\n#=GF [A-Z]{2} ", " ", text)))
    problems: list = []
    for seed in read_seed(SEED, problems):
        family = describe_family(seed, None, problems)
        assert family
        for name, sequence in seed.sequences:
            questions = list(ask(name, sequence, family))
            assert len(questions) >= 9
            for question in questions:
                if question.category == "sequence":
                    continue
                for fact in re.findall(r"RF\d+|\d{7,}", question.answer):
                    assert fact in text
                if question.category == "interaction":
                    assert question.answer in flat
                assert set(question.evidence) <= set(re.findall(r"\d{7,8}", text))
            lengths = [q.answer for q in questions if "nucleotides long" in q.answer]
            assert lengths == [f"It is {len(sequence)} nucleotides long."]
    assert problems == []
