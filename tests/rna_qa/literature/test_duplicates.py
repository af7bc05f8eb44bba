"""A preprint and its paper are one work: counted once, under the reviewed one's name."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from helpers.fake_ebi import FakeEbi, FakePaper, serve
from helpers.tiny_literature import make_rnas, write_lines

from rnagpt.cli.rna_qa import main
from rnagpt.rna_qa.literature.records import Mention, Paper, Rna
from rnagpt.rna_qa.literature.sources.corpus import Corpus
from rnagpt.rna_qa.literature.sources.duplicates import MERGED, RETRACTED_ELSEWHERE, is_preprint
from rnagpt.rna_qa.literature.sources.europe_pmc import EuropePmc
from rnagpt.rna_qa.literature.sources.http_client import HttpClient
from rnagpt.rna_qa.literature.sources.papers import complete, judge

WORDS = (
    "Here miR-9001 is found in the liver of mice, where it lowers PTEN by 40%; it is not found in "
    "the spleen or the kidney, and its loss has no effect on growth."
)
LABELLED = WORDS.replace("Here miR-9001 is", "RESULTS: here miR\u20119001 is")
PREPRINT = Paper("DOI:10.1101/2020.01.01.123456", "On a small RNA", WORDS)
PREPRINT = replace(PREPRINT, doi="10.1101/2020.01.01.123456", licence="cc by")
REVIEWED = Paper("PMID:7", "A small RNA of the liver", LABELLED, pmid="7", licence="cc by-nc")
OTHER = Paper("PMID:8", "Another", WORDS.replace("liver", "heart"), pmid="8")
RNA = Rna("r", "ACGU", ("miR-9001",), "miRNA")


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    with Corpus(tmp_path / "corpus.sqlite") as opened:
        opened.add_rnas([RNA])
        yield opened


def add(corpus: Corpus, *papers: Paper) -> None:
    corpus.add_papers(papers)
    corpus.add_mentions(
        Mention("r", paper.id, "miR-9001" in paper.title, bool(paper.abstract), False)
        for paper in papers
    )


def kept(corpus: Corpus) -> dict[str, tuple[str, ...]]:
    """The papers of the RNA, with the ids that were merged into them."""
    ((_, papers),) = corpus.read_shard(0, 9)
    read = {paper.id: paper.also_known_as for paper, _ in papers}
    assert read == {paper.id: paper.also_known_as for paper in corpus.iter_papers(kept=True)}
    return read


def skipped(corpus: Corpus) -> dict[str, int]:
    return dict(corpus.counts()["skipped"].get("paper", {}))


@pytest.mark.parametrize("papers", [(PREPRINT, REVIEWED, OTHER), (OTHER, REVIEWED, PREPRINT)])
def test_the_reviewed_one_is_kept_and_knows_the_other(
    corpus: Corpus, papers: tuple[Paper, ...]
) -> None:
    add(corpus, *papers)
    for _ in range(2):  # judged again, it is the same
        judge(corpus)
        assert kept(corpus) == {"PMID:7": (PREPRINT.id,), "PMID:8": ()}
        assert skipped(corpus) == {MERGED: 1}


def test_what_is_left_out_for_another_reason_is_not_what_is_kept(corpus: Corpus) -> None:
    add(corpus, PREPRINT, REVIEWED)
    judge(corpus, licences=("cc-by",))
    assert kept(corpus) == {PREPRINT.id: ()}
    judge(corpus)
    assert kept(corpus) == {"PMID:7": (PREPRINT.id,)}


def test_a_preprint_of_a_retracted_paper_is_not_taken_in_its_place(corpus: Corpus) -> None:
    add(corpus, PREPRINT, replace(REVIEWED, retracted=True), OTHER)
    judge(corpus)
    assert kept(corpus) == {"PMID:8": ()}
    assert skipped(corpus) == {RETRACTED_ELSEWHERE: 1, "retracted": 1}


def test_one_paper_by_two_ids_is_one(corpus: Corpus) -> None:
    first = Paper("PMCID:PMC1", "One", "The first words of it.", pmcid="PMC1", doi="10.1/A")
    second = Paper("PMID:1", "Two", "Other words of the same.", pmid="1", doi="10.1/a")
    add(corpus, first, second)
    judge(corpus)
    assert kept(corpus) == {"PMID:1": ("PMCID:PMC1",)}


def test_short_abstracts_need_the_title_as_well(corpus: Corpus) -> None:
    one = Paper("PMID:1", "On mice", "This is a short abstract.", pmid="1")
    add(corpus, one, replace(one, id="PMID:2", pmid="2", title="On rats"))
    add(corpus, replace(one, id="PMID:3", pmid="3", title="On mice."))
    judge(corpus)
    assert kept(corpus) == {"PMID:1": ("PMID:3",), "PMID:2": ()}


def test_mentions_of_both_are_those_of_the_work(corpus: Corpus) -> None:
    """The RNA is named by the preprint alone, in words that the paper has or has not."""
    corpus.add_papers([PREPRINT, REVIEWED])
    corpus.add_mentions([Mention("r", PREPRINT.id, True, True, False)])
    judge(corpus)
    ((_, ((paper, mention),)),) = corpus.read_shard(0, 9)
    assert (paper.id, mention.in_title, mention.in_abstract) == ("PMID:7", False, True)

    changed = replace(REVIEWED, abstract="It says nothing of this RNA.", links=(PREPRINT.id,))
    corpus.replace_papers([changed])
    judge(corpus)
    ((_, ((paper, mention),)),) = corpus.read_shard(0, 9)
    assert paper.id == "PMID:7"
    assert (mention.in_title, mention.in_abstract, mention.in_body) == (False, False, True)


@pytest.mark.parametrize(
    ("paper", "is_one"),
    [
        (PREPRINT, True),
        (replace(REVIEWED, types=("Preprint",)), True),
        (replace(REVIEWED, doi="10.21203/rs.3.rs-1/v1"), True),
        (replace(REVIEWED, journal="medRxiv"), True),
        (REVIEWED, False),
        (replace(REVIEWED, doi="10.1101/gad.1234.56"), False),  # Genes & Development
        (replace(REVIEWED, doi="10.1101/gr.123456.111", journal="Genome research"), False),
    ],
)
def test_preprints_are_known(paper: Paper, is_one: bool) -> None:
    assert is_preprint(paper) is is_one


def test_europe_pmc_says_which_paper_came_of_a_preprint(corpus: Corpus) -> None:
    """Their texts differ; its records (source PPR) are linked in commentCorrectionList."""
    reviewed = FakePaper("PMC7", "7", "A small RNA", WORDS, doi="10.5/x")
    preprint = FakePaper(
        None,
        None,
        "Small RNA",
        "It says that miR-9001 is in the liver.",
        doi="10.9/preprint",
        types=(),
        ppr="PPR123",
        links=({"type": "Preprint of", "source": "MED", "id": "7"},),
    )
    later = replace(preprint, doi="10.9/later", ppr="PPR124", title="Again", links=())
    linking = replace(
        reviewed,
        pmcid="PMC9",
        pmid="9",
        doi="10.5/y",
        abstract=WORDS.replace("liver", "lung"),
        links=({"type": "Preprint in", "source": "PPR", "id": "PPR124"},),
    )
    ebi = FakeEbi(
        (), [reviewed, preprint, replace(later, abstract="Something else about the lung."), linking]
    )
    with serve(ebi.app) as address, HttpClient(1000, sleep=lambda _: None) as client:
        for paper in ebi.papers:
            ids = {"pmid": paper.pmid} if paper.pmid else {"doi": paper.doi}
            name = f"PMID:{paper.pmid}" if paper.pmid else f"DOI:{paper.doi}"
            add(corpus, Paper(name, "", "", **ids))
        complete(corpus, EuropePmc(client, ebi.addresses(address)["RNAQA_EUROPEPMC_URL"]))
    assert {paper.id: paper.also_known_as for paper in corpus.iter_papers(kept=True)} == {
        "PMID:7": ("DOI:10.9/preprint",),
        "PMID:9": ("DOI:10.9/later",),
    }


def test_the_build_counts_it_once_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rnas = write_lines(tmp_path / "rnas.jsonl", make_rnas(2))
    records = [
        {"doi": PREPRINT.doi, "title": PREPRINT.title, "abstract": PREPRINT.abstract},
        {"pmid": "7", "title": REVIEWED.title, "abstract": REVIEWED.abstract},
    ]
    papers = write_lines(tmp_path / "papers.jsonl", records)
    out = tmp_path / "out"
    command = ["literature", str(out), "--rnas", str(rnas), "--papers", str(papers)]
    assert main([*command, "--extractive", "--clusters", "kmers"]) == 0
    said = capsys.readouterr().out
    assert "2 read, 1 kept" in said
    assert f"1 papers left out: {MERGED}" in said
    (file,) = (out / "papers").glob("*.parquet")
    ((row),) = pq.read_table(file).to_pylist()
    assert (row["id"], row["also_known_as"]) == ("PMID:7", [PREPRINT.id])
    claims = [
        claim
        for path in (out / "annotations").glob("*.parquet")
        for one in pq.read_table(path).to_pylist()
        for claim in one["claims"]
    ]
    assert claims
    assert all(claim["papers"] == ["PMID:7"] for claim in claims)
    assert json.loads((out / "build.json").read_text())["counts"]["corpus"]["papers_kept"] == 1
