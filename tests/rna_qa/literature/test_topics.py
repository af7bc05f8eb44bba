"""Groups of papers by topic."""

import random
from collections import Counter
from itertools import chain, combinations
from math import log

import pytest

from rnagpt.rna_qa.literature.records import Paper
from rnagpt.rna_qa.literature.text import topics
from rnagpt.rna_qa.literature.text.topics import fit_topics, group_papers, split_words

TOPICS = {
    "heart": "heart cardiac muscle fibrosis infarction ventricle artery vessel pressure valve",
    "plant": "leaf root seed flower drought chloroplast petal pollen stem soil",
    "virus": "virus infection capsid replication host antiviral interferon vaccine entry envelope",
}


def make_papers(each: int, seed: int = 0, topics: int = 3) -> tuple[list[Paper], dict[str, str]]:
    """Papers that hold 40 words of one topic and 10 of all, and the topic of each paper's id."""
    draw = random.Random(seed)
    everywhere = ["cell", "gene", "expression", "level", "tissue", "protein"]
    papers, truth = [], {}
    for number in range(each * topics):
        topic = list(TOPICS)[number % topics]
        words = draw.choices(TOPICS[topic].split(), k=40) + draw.choices(everywhere, k=10)
        draw.shuffle(words)
        papers.append(Paper(f"PMID:{100 + number}", topic, " ".join(words)))
        truth[papers[-1].id] = topic
    return papers, truth


def test_papers_of_known_topics_are_told_apart() -> None:
    papers, truth = make_papers(7)
    found = group_papers("RNA", papers)
    assert [len({truth[paper] for paper in group}) for group in found.groups] == [1, 1, 1]
    assert found.reason == ""
    assert found.coherence is not None


def test_every_paper_is_in_one_group_and_large_groups_come_first() -> None:
    draw = random.Random(3)
    words = [f"w{n}" for n in range(40)]
    papers = [
        Paper(f"PMID:{n}", "", " ".join(draw.choices(words, k=draw.randrange(1, 60))))
        for n in range(30)
    ]
    found = group_papers("RNA", [*papers, Paper("PMID:30", "", ""), Paper("PMID:31", "", "lonely")])
    assert Counter(chain.from_iterable(found.groups)) == Counter(f"PMID:{n}" for n in range(32))
    sizes = [len(group) for group in found.groups]
    assert sizes == sorted(sizes, reverse=True)
    # What has no words to go by joins the largest.
    assert {"PMID:30", "PMID:31"} <= set(found.groups[0])


def test_the_order_of_papers_and_the_name_of_the_rna_do_not_count() -> None:
    # Little to go by, so that another seed of the sampler would show.
    draw = random.Random(5)
    words = [f"w{n}" for n in range(12)]
    papers = [Paper(f"PMID:{n}", "", " ".join(draw.choices(words, k=15))) for n in range(25)]
    first = group_papers("RNA", papers, seed=1)
    draw.shuffle(papers)
    assert group_papers("RNA", papers, seed=1) == first
    assert group_papers("other", papers, seed=1).groups == first.groups
    others = {group_papers("RNA", papers, seed=seed).groups for seed in range(2, 6)}
    assert others != {first.groups}


@pytest.mark.parametrize(("papers", "most"), [(9, 3), (15, 3), (16, 4), (100, 8)])
def test_numbers_of_topics_stay_below_the_square_root(
    papers: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def fit(documents: list[list[str]], numbers: range, seed: int) -> tuple[list[int], float]:
        tried.extend(numbers)
        return [0] * len(documents), -1.0

    monkeypatch.setattr(topics, "fit_topics", fit)
    group_papers("RNA", [Paper(f"PMID:{n}", "", "leaf root seed") for n in range(papers)])
    assert tried == list(range(2, most + 1))


def test_the_most_coherent_number_is_chosen() -> None:
    papers, _ = make_papers(8)
    documents = topics.prepare_documents(papers, ())
    each = {number: fit_topics(documents, [number], seed=1)[1] for number in (2, 3, 4)}
    labels, coherence = fit_topics(documents, [2, 3, 4], seed=1)
    assert coherence == max(each.values())
    assert labels == fit_topics(documents, [max(each, key=each.__getitem__)], seed=1)[0]


def test_coherence_is_u_mass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the formula, where the first three words of both topics are sure."""
    monkeypatch.setattr(topics, "TOP_WORDS", 3)
    counts = {"leaf": 9, "root": 6, "seed": 3}, {"heart": 9, "valve": 6, "artery": 3}
    documents = []
    for at in range(12):
        words = dict(counts[at % 2])
        if at < 4:
            del words[list(words)[2 - at % 2]]
        documents.append([word for word, count in words.items() for _ in range(count)])
    labels, coherence = fit_topics(documents, [2], seed=0)
    assert set(labels[::2]).isdisjoint(labels[1::2])

    def containing(*words: str) -> int:
        return sum(set(words) <= set(document) for document in documents)

    pairs = [
        log(containing(common, rare) / containing(common))
        for words in counts
        for common, rare in combinations(words, 2)
    ]
    assert coherence == pytest.approx(sum(pairs) / len(pairs), abs=1e-6)


@pytest.mark.parametrize(
    ("papers", "options", "reason"),
    [
        (0, {}, "5 papers or fewer"),
        (5, {}, "5 papers or fewer"),
        (9, {"few": 9}, "9 papers or fewer"),
        (3, {"few": 0}, "3 papers or fewer"),
        (9, {"max_topics": 1}, "one topic was asked for"),
        (9, {"token_budget": 788}, "the papers fit into 788 tokens"),
    ],
)
def test_topics_are_skipped_where_they_would_not_help(
    papers: int, options: dict[str, int], reason: str
) -> None:
    given_papers = [Paper(f"PMID:{n}", "t" * 50, "heart " * 50) for n in range(papers)]
    found = group_papers("RNA", given_papers, **options)
    assert found.groups == ((tuple(paper.id for paper in given_papers),) if papers else ())
    assert (found.coherence, found.reason) == (None, reason)


def test_papers_over_the_token_budget_are_grouped() -> None:
    papers, _ = make_papers(3)
    characters = sum(len(paper.title) + len(paper.abstract) for paper in papers)
    assert group_papers("RNA", papers, token_budget=characters // 4 - 1).reason == ""


def test_papers_that_share_no_words_stay_together() -> None:
    papers = [Paper(f"PMID:{n}", "", f"alone{n} single{n}") for n in range(8)]
    assert group_papers("RNA", papers).reason == "the papers share too few words"


def test_the_rna_s_names_are_no_topic() -> None:
    papers = [
        Paper(f"PMID:{n}", "hsa-miR-21-5p rises", f"microRNA-21, miR21 and miR-21 in liver{n % 2}")
        for n in range(3)
    ]
    (first, *_) = topics.prepare_documents(papers, ["miR-21"])
    assert first == ["rises", "liver0"]


def test_a_paper_given_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="papers of RNA7 hold PMID:1 twice"):
        group_papers("RNA7", [Paper("PMID:1", "", ""), Paper("PMID:1", "", "")])
    with pytest.raises(ValueError, match="max_topics is 0"):
        group_papers("RNA7", [], max_topics=0)


def test_words() -> None:
    assert split_words("The TGF-β pathway of 293 cells: a study (p53, x).") == [
        "tgf-β",
        "pathway",
        "cells",
        "p53",
    ]
