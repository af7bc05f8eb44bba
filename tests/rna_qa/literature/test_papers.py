"""The papers stage and its client, against Europe PMC's shapes on this machine."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.fake_ebi import FakeEbi, FakePaper, serve, small_ebi

from rnagpt.rna_qa.literature.records import Paper, paper_id
from rnagpt.rna_qa.literature.sources import europe_pmc as europe_pmc_module
from rnagpt.rna_qa.literature.sources import papers as papers_module
from rnagpt.rna_qa.literature.sources.corpus import Corpus
from rnagpt.rna_qa.literature.sources.europe_pmc import EuropePmc, complete_from, read_row
from rnagpt.rna_qa.literature.sources.http_client import HttpClient, ServiceError
from rnagpt.rna_qa.literature.sources.papers import complete, judge, mark_retractions
from rnagpt.rna_qa.literature.text.plain_text import plain_text


@pytest.fixture
def ebi() -> FakeEbi:
    return small_ebi()


@pytest.fixture
def service(ebi: FakeEbi) -> Iterator[EuropePmc]:
    with (
        serve(ebi.app) as address,
        HttpClient(1000, timeout=1.0, attempts=3, sleep=lambda _: None) as client,
    ):
        yield EuropePmc(client, ebi.addresses(address)["RNAQA_EUROPEPMC_URL"])


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    with Corpus(tmp_path / "corpus.sqlite") as corpus:
        yield corpus


def known(paper: FakePaper, **fields: object) -> Paper:
    """What a source such as LitScan says of a paper: no licence, no types."""
    id = paper_id(paper.pmid, paper.pmcid, paper.doi)
    values = {"pmid": paper.pmid, "pmcid": paper.pmcid, "title": paper.title, **fields}
    return Paper(id=id, **{"abstract": "", **values})


def by_id(corpus: Corpus) -> dict[str, Paper]:
    return {paper.id: paper for paper in corpus.iter_papers()}


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("plain", "plain"),
        ("<h4>Background</h4>We did. <h4>Methods:</h4> So.", "Background: We did. Methods: So."),
        ("H<sub>2</sub>O and 10<sup>-3</sup> of <i>E. coli</i>", "H2O and 10^-3 of E. coli"),
        ("p<0.05, n>3 and a<5", "p<0.05, n>3 and a<5"),
        ("p &lt; 0.05 &amp; q &gt; 1", "p < 0.05 & q > 1"),
        ("&lt;i&gt;let-7&lt;/i&gt;", "let-7"),
        ("<jats:p>One.</jats:p><jats:p>Two.</jats:p>", "One. Two."),
        ("<p class='x'>One.<br/>Two.</p>", "One. Two."),
        ("<!-- never --><title/>One\n  two", "One two"),
        ("<mml:math><mml:mi>x</mml:mi></mml:math>", "x"),
        ("5&prime;-UTR of &alpha;", "5′-UTR of α"),
        ("RNA <RNAHere> and <unknown>", "RNA <RNAHere> and <unknown>"),
        ("", ""),
    ],
)
def test_tags_are_stripped(text: str, plain: str) -> None:
    assert plain_text(text) == plain


def test_a_row_becomes_a_paper() -> None:
    row = {
        "id": "7",
        "source": "MED",
        "pmid": "7",
        "doi": "10.1/A",
        "title": "On <i>let-7</i>.",
        "abstractText": "<p>Words.</p>",
        "pubYear": "2019",
        "license": "cc by",
        "pubTypeList": {"pubType": ["Review", "Journal Article"]},
        "journalInfo": {"journal": {"title": "J"}},
    }
    assert read_row(row) == Paper(
        id="PMID:7",
        title="On let-7.",
        abstract="Words.",
        pmid="7",
        doi="10.1/A",
        year=2019,
        journal="J",
        licence="cc by",
        types=("Review", "Journal Article"),
    )
    assert read_row({"pmcid": "PMC8"}) == Paper("PMCID:PMC8", "", "", pmcid="PMC8")
    assert read_row({"id": "NBK1", "source": "NBK", "title": "A book"}) is None


def test_what_a_paper_has_stands() -> None:
    mine = Paper("PMID:1", "Mine", "My words.", pmid="1", year=2000, retracted=True)
    theirs = Paper(
        "PMID:1", "Theirs", "Their words.", pmcid="PMC1", year=2001, licence="cc0", types=("a",)
    )
    assert complete_from(mine, theirs) == dataclasses.replace(
        mine, pmcid="PMC1", licence="cc0", types=("a",)
    )
    assert complete_from(dataclasses.replace(mine, abstract=""), theirs).abstract == "Their words."
    assert complete_from(mine, None) == mine


def test_papers_are_found_by_any_of_their_names(ebi: FakeEbi, service: EuropePmc) -> None:
    asked = [
        Paper("PMID:100", "", "", pmid="100"),
        Paper("PMCID:PMC105", "", "", pmcid="PMC105"),
        Paper("DOI:10.1000/one", "", "", doi="10.1000/one"),
        Paper("PMID:999", "", "", pmid="999"),
    ]
    found = service.fetch(asked[1:])
    assert {id: paper.pmcid for id, paper in found.items()} == {
        "PMCID:PMC105": "PMC105",
        "DOI:10.1000/one": "PMC100",
    }
    assert service.fetch(asked[:1])["PMID:100"].abstract == (
        "Background: We made up that miR-21 rises. Results: It rose 2-fold."
    )
    assert len(ebi.asked("search")) == 2


@pytest.mark.parametrize("fault", ["none", "repeat", "duplicates", "extra hits", "all"])
def test_pages_of_a_search_end(
    fault: str, ebi: FakeEbi, service: EuropePmc, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(europe_pmc_module, "ROWS_PER_PAGE", 2)
    ebi.repeat_cursor = fault in ("repeat", "all")
    ebi.duplicate_pages = fault in ("duplicates", "all")
    ebi.extra_hits = 3 if fault in ("extra hits", "all") else 0
    rows = list(
        service.search("EXT_ID:100 OR EXT_ID:101 OR EXT_ID:102 OR EXT_ID:103 OR EXT_ID:104")
    )
    expected = ["100", "101"] if ebi.repeat_cursor else ["100", "101", "102", "103", "104"]
    assert [row["pmid"] for row in rows] == expected
    assert len(ebi.asked("search")) <= 5


@pytest.mark.parametrize("fault", ["429", "429 with Retry-After", "500", "html", "cut", "slow"])
def test_faults_pass(fault: str, ebi: FakeEbi, service: EuropePmc) -> None:
    ebi.slow_seconds = 1.5
    ebi.fail("search", fault)
    ebi.fail("status-update-search", fault)
    asked = known(ebi.papers[3])
    assert service.fetch([asked])[asked.id].title == ebi.papers[3].title
    assert service.find_retracted([asked]) == {asked.id}
    assert len(ebi.asked("search")) == 2


def test_faults_that_last_are_errors(ebi: FakeEbi, service: EuropePmc, corpus: Corpus) -> None:
    ebi.fail("search", *["500"] * 3)
    corpus.add_papers([known(ebi.papers[0])])
    with pytest.raises(ServiceError, match="search: status 500"):
        complete(corpus, service)
    assert next(corpus.iter_papers(incomplete=True)).abstract == ""


def test_the_stage_completes_and_judges(ebi: FakeEbi, service: EuropePmc, corpus: Corpus) -> None:
    corpus.add_papers(map(known, ebi.papers))
    corpus.add_papers([Paper("PMID:999", "Unknown there", "", pmid="999")])
    complete(corpus, service)
    papers = by_id(corpus)
    assert papers["PMID:100"].abstract.startswith("Background: We made up")
    assert papers["PMID:101"].licence == "cc by-nc"
    assert papers["PMID:101"].abstract == "In mice, miR-21a-5p < miR-21 by 3%."
    assert papers["PMID:106"].types == ("research-article", "Journal Article")
    assert [paper.id for paper in papers.values() if paper.retracted] == ["PMID:103"]
    counts = corpus.counts()
    assert counts["skipped"]["paper"] == {"no abstract": 2, "retracted": 1}
    assert counts["tallies"]["paper not at Europe PMC"] == 1
    assert counts["papers_kept"] == 5


def test_nothing_is_asked_twice(ebi: FakeEbi, service: EuropePmc, corpus: Corpus) -> None:
    corpus.add_papers(map(known, ebi.papers))
    complete(corpus, service)
    asked = len(ebi.requests)
    complete(corpus, service)
    assert len(ebi.requests) == asked


def test_what_is_whole_is_not_asked_for(ebi: FakeEbi, service: EuropePmc, corpus: Corpus) -> None:
    whole = known(
        ebi.papers[2], abstract="All of these words are mine.", licence="cc by", types=("Review",)
    )
    corpus.add_papers([whole])
    complete(corpus, service)
    assert ebi.asked("search") == []
    assert list(corpus.iter_papers()) == [whole]


def test_an_interrupted_run_goes_on(
    ebi: FakeEbi, service: EuropePmc, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(papers_module, "PAPERS_PER_PAGE", 2)
    corpus.add_papers(map(known, ebi.papers))
    whole = service.fetch([known(paper) for paper in ebi.papers])
    ebi.requests.clear()
    pages = iter(range(100))
    fetch = service.fetch

    def fetch_until_cut(papers: list[Paper]) -> dict[str, Paper]:
        if next(pages) == 2:
            raise KeyboardInterrupt
        return fetch(papers)

    monkeypatch.setattr(service, "fetch", fetch_until_cut)
    with pytest.raises(KeyboardInterrupt):
        complete(corpus, service)
    assert len(list(corpus.iter_papers(incomplete=True))) == 3
    complete(corpus, service)
    assert len(ebi.asked("search")) == 4
    assert {id: paper.licence for id, paper in by_id(corpus).items()} == {
        id: paper.licence for id, paper in whole.items()
    }


def test_without_the_service_papers_are_cleaned_and_judged(corpus: Corpus) -> None:
    corpus.add_papers(
        [
            Paper("PMID:1", "<b>One</b>", "<p>The words of a whole abstract.</p>", licence="cc by"),
            Paper("PMID:2", "Two", "The words of another abstract.", licence="cc by-nd"),
            Paper("PMID:3", "Three", ""),
        ]
    )
    complete(corpus, None, licences=("cc-by",))
    assert by_id(corpus)["PMID:1"].abstract == "The words of a whole abstract."
    assert by_id(corpus)["PMID:1"].title == "One"
    assert corpus.counts()["skipped"]["paper"] == {
        "licence not among those asked for": 1,
        "no abstract": 1,
    }
    judge(corpus)
    assert corpus.counts()["skipped"]["paper"] == {"no abstract": 1}


def test_later_retractions(ebi: FakeEbi, service: EuropePmc, corpus: Corpus) -> None:
    corpus.add_papers(map(known, ebi.papers))
    complete(corpus, service)
    ebi.papers[2] = dataclasses.replace(ebi.papers[2], retracted=True)
    assert mark_retractions(corpus, service) == 1
    judge(corpus)
    assert corpus.counts()["skipped"]["paper"]["retracted"] == 2
    assert mark_retractions(corpus, service) == 0
