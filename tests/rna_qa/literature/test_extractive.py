"""Claims from sentences, without a language model."""

import random
from collections.abc import Sequence
from itertools import chain

import pytest

from rnagpt.rna_qa.literature.claims.extractive import annotate, centrality, claims
from rnagpt.rna_qa.literature.claims.standing_alone import tidy
from rnagpt.rna_qa.literature.records import Annotation, Paper, Rna, Topics
from rnagpt.rna_qa.literature.text.topics import split_words

RNA = Rna("URS1_9606", "ACGU", ("hsa-miR-9021", "miR-9021"), "miRNA")
PAPERS = [
    Paper(
        "PMID:1",
        "Role of a small RNA in made-up hearts",
        "BACKGROUND: Hearts of mice grow stiff with age. AIM: This work aims to learn what "
        "miR-9021 does to stiff hearts. METHODS: miR-9021 was measured by PCR in 40 mouse hearts. "
        "RESULTS: Moreover, we found that miR-9021 lowers collagen in stiff mouse hearts "
        "(P = 0.01). Hearts without it grew stiff. CONCLUSIONS: These data suggest that "
        "miR-9021 protects old mice from failure of their hearts.",
    ),
    Paper(
        "PMID:2",
        "miR-9021 suppresses collagen in the hearts of old mice",
        "The targets of miR-9021 in hearts remain largely unknown. To find its targets, miR-9021 "
        "was given to mice. Is miR-9021 a drug? We tested whether miR-9021 binds. Collagen of "
        "hearts fell when microRNA-9021-5p was given to old mice. Zebras of the zoo near Quito ate "
        "miR-9021 with hay.",
    ),
    Paper("PMID:3", "Another RNA", "miR-902 and miR-90210 raise the collagen of mouse hearts."),
]


def paper_claims(papers: Sequence[Paper], per_topic: int = 3) -> list[tuple[str, str]]:
    return [(claim.papers[0], claim.quote) for claim in claims(RNA, [papers], per_topic)]


def test_findings_that_name_the_rna_become_claims() -> None:
    found = dict.fromkeys(paper_claims(PAPERS, per_topic=9))
    assert set(found) == {
        (
            "PMID:1",
            "Moreover, we found that miR-9021 lowers collagen in stiff mouse hearts (P = 0.01).",
        ),
        (
            "PMID:1",
            "These data suggest that miR-9021 protects old mice from failure of their hearts.",
        ),
        ("PMID:2", "miR-9021 suppresses collagen in the hearts of old mice"),
        ("PMID:2", "Collagen of hearts fell when microRNA-9021-5p was given to old mice."),
        ("PMID:2", "Zebras of the zoo near Quito ate miR-9021 with hay."),
    }
    # Far from what the group is about.
    assert list(found)[-1][1].startswith("Zebras")


def test_quotes_stand_in_their_paper_and_texts_stand_alone() -> None:
    text_of = {paper.id: f"{paper.title}\n{paper.abstract}" for paper in PAPERS}
    found = claims(RNA, [PAPERS], per_topic=9)
    assert all(claim.quote in text_of[claim.papers[0]] for claim in found)
    texts = {claim.text for claim in found}
    assert "miR-9021 lowers collagen in stiff mouse hearts (P = 0.01)." in texts
    assert (
        "Evidence suggests that miR-9021 protects old mice from failure of their hearts." in texts
    )
    assert "miR-9021 suppresses collagen in the hearts of old mice." in texts


def test_each_topic_has_its_share() -> None:
    found = claims(RNA, [PAPERS[:1], PAPERS[2:], PAPERS[1:2]], per_topic=1)
    assert [(claim.topic, claim.papers) for claim in found] == [(0, ("PMID:1",)), (2, ("PMID:2",))]


def test_the_same_is_not_said_twice_in_any_topic() -> None:
    said = "The expression of miR-9021 is high in the liver of newborn mice."
    again = "Expression of miR-9021 is high in the liver of newborn female mice."
    new = "Kidneys of adult rats lose miR-9021 in winter."
    papers = [Paper("PMID:1", "", said), Paper("PMID:2", "", again), Paper("PMID:3", "", new)]
    for groups in ([papers], [[paper] for paper in papers]):
        assert {claim.quote for claim in claims(RNA, groups)} == {said, new}


def test_lists_of_many_rnas_come_last_and_sentences_that_need_their_paper_not_at_all() -> None:
    # The nearer to what the paper speaks of, the later.
    alone = "Kidneys shrink after loss of miR-9021."
    leaning = "Our toads lose liver by miR-9021 and salt."
    many = (
        "Liver iron, copper and zinc follow miR-9021, miR-1, miR-2, miR-3, miR-4, miR-5 and miR-6."
    )
    rest = ["Liver iron rose.", "Copper rose in liver with iron.", "Zinc fell in liver."]
    sentences = [many, leaning, alone, *rest]
    paper = Paper("PMID:1", "", " ".join(sentences))
    near = centrality([split_words(sentence) for sentence in sentences])
    assert near[0] > near[1] > near[2]
    assert [quote for _, quote in paper_claims([paper])] == [alone, many]


def test_the_order_of_the_papers_does_not_count() -> None:
    first = claims(RNA, [PAPERS], per_topic=2)
    for seed in range(4):
        assert claims(RNA, [random.Random(seed).sample(PAPERS, 3)], per_topic=2) == first


def test_an_rna_that_no_sentence_names_has_no_claims() -> None:
    other = Rna("URS2_9606", "ACGU", ("HOTAIR",), "lncRNA")
    assert claims(other, [PAPERS]) == []
    assert claims(RNA, []) == claims(RNA, [[Paper("PMID:1", "", "")]]) == []


@pytest.mark.parametrize(
    ("name", "sentence", "named"),
    [
        ("hsa-miR-101", "Old livers of mice lose much microRNA-101 by summer.", True),
        ("let-7a", "Old livers of mice lose much hsa-let-7a-5p by summer.", True),
        ("miR-34b", "Old livers of mice lose much miR-34a/b by summer.", True),
        ("HOTAIR", "Old livers of mice lose much HOTAIR by summer.", True),
        ("H19", "Old livers of mice lose much of H19 by summer.", True),
        ("MALAT1", "Old livers of mice lose much MALAT-1 by summer.", True),
        ("miR-21", "Old livers of mice lose much miR-210 by summer.", False),
        ("HOTAIR", "Old livers of mice lose much HOTAIRM1 by summer.", False),
    ],
)
def test_names_are_found_in_their_spellings(name: str, sentence: str, named: bool) -> None:
    rna = Rna("R", "ACGU", (name,), "ncRNA")
    assert bool(claims(rna, [[Paper("PMID:1", "", sentence)]])) == named


@pytest.mark.parametrize(
    ("sentence", "claimed"),
    [
        ("The miRNA miR-9021 could be used as a marker of frail old hearts.", True),
        ("The protein HuR was verified as a target of miR-9021 in hearts.", True),
        # It speaks of its authors.
        ("To our knowledge, miR-9021 is the first marker of frail hearts.", False),
        ("Serum miR-9021 was used as a control in frail old hearts.", False),
        ("The levels of miR-9021 in hearts were determined by sequencing.", False),
        ("In order to find targets of miR-9021, frail hearts grew on plates.", False),
        ("Using miR-9021 mimics, frail hearts of old mice grew on plates.", False),
        ("The role of miR-9021 in frail old hearts is still unclear.", False),
        ("Studies have examined miR-9021 in the frail hearts of mice.", False),
        ("Frail hearts of old mice (with miR-9021 die early.", False),
        ("Hearts need miR-9021.", False),
    ],
)
def test_aims_methods_and_open_questions_are_no_claims(sentence: str, claimed: bool) -> None:
    assert bool(claims(RNA, [[Paper("PMID:1", "", sentence)]])) == claimed


@pytest.mark.parametrize(
    ("title", "claimed"),
    [
        ("MiR-9021 inhibits the growth of frail hearts by targeting HuR.", True),
        ("Low miR-9021 Is a Marker of Frail Hearts in Mice", True),
        ("MiR-9021 targets in the frail hearts of old mice.", False),
        ("The role of miR-9021 in the frail hearts of old mice.", False),
        ("MiR-9021 protects frail hearts of mice, or does it not?", False),
        ("[MiR-9021 protects the frail hearts of old mice].", False),
    ],
)
def test_titles_are_claims_where_they_are_sentences(title: str, claimed: bool) -> None:
    assert bool(claims(RNA, [[Paper("PMID:1", title, "")]])) == claimed


def test_centrality_is_that_of_tf_idf_vectors() -> None:
    """Against scikit-learn's own vectors."""
    text = pytest.importorskip("sklearn.feature_extraction.text")
    draw = random.Random(0)
    sentences = [
        draw.sample([f"w{n}" for n in range(30)], draw.randrange(1, 12)) for _ in range(20)
    ]
    rows = text.TfidfVectorizer(analyzer=list).fit_transform(sentences).toarray()
    total = rows.sum(axis=0)
    expected = rows @ total / (total @ total) ** 0.5
    assert centrality(sentences) == pytest.approx(list(expected))


def test_centrality_of_sentences_without_words_is_nought() -> None:
    assert centrality([]) == []
    assert centrality([[], []]) == [0, 0]
    assert centrality([["a"], []]) == [1, 0]


@pytest.mark.parametrize(
    ("sentence", "text"),
    [
        ("In conclusion, our results showed that miR-1 binds.", "miR-1 binds."),
        ("Taken together, these data clearly demonstrate that it binds.", "It binds."),
        ("However, over-expression of H19 kills.", "Over-expression of H19 kills."),
        ("We previously reported for the first time that H19 binds.", "H19 binds."),
        ("It has been shown that p53 rises.", "p53 rises."),
        ("The results of the present study revealed that c-Myc falls.", "c-Myc falls."),
        ("Our findings therefore indicate that H19 binds.", "Evidence suggests that H19 binds."),
        ("Thus, we propose that H19 binds.", "Evidence suggests that H19 binds."),
        ("These results support that H19 binds.", "Evidence suggests that H19 binds."),
        ("H19 shows that RNA matters.", "H19 shows that RNA matters."),
        ("The protein that binds H19 is HuR.", "The protein that binds H19 is HuR."),
        ("We found H19 in cells.", "We found H19 in cells."),
        ("We did not find that H19 binds.", "We did not find that H19 binds."),
        ("We found no evidence that H19 binds.", "We found no evidence that H19 binds."),
        ("H19 binds\n  HuR", "H19 binds HuR."),
        (
            "We found that H19 binds, and that it acts.",
            "Evidence shows that H19 binds, and that it acts.",
        ),
    ],
)
def test_leads_are_taken_off_and_suggestions_stay_suggestions(sentence: str, text: str) -> None:
    assert tidy(sentence) == text


def test_an_annotation_is_made_of_the_claims() -> None:
    topics = Topics(RNA.id, (("PMID:2", "PMID:3"), ("PMID:1",)))
    found = annotate(RNA, topics, PAPERS, per_topic=2)
    assert (found.rna_id, found.mode, found.model, found.rejected) == (RNA.id, "extractive", "", {})
    assert found.text == " ".join(claim.text for claim in found.claims)
    assert [claim.topic for claim in found.claims] == [0, 0, 1, 1]
    papers_of = [set(group) for group in topics.groups]
    assert all(set(claim.papers) <= papers_of[claim.topic] for claim in found.claims)
    assert Annotation.from_json(found.to_json()) == found


def test_a_missing_paper_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"topics of URS1_9606 hold PMID:9, which is not among"):
        annotate(RNA, Topics(RNA.id, (("PMID:1", "PMID:9"),)), PAPERS)


def test_claims_hold_no_more_than_their_group_offers() -> None:
    every = list(chain.from_iterable(paper_claims([paper], per_topic=99) for paper in PAPERS))
    assert len(every) == len(set(every)) == 5
    assert len(paper_claims(PAPERS, per_topic=1)) == 1
