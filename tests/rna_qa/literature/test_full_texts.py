"""Full texts beside abstracts: read from JATS, requested once, and claims that rest on them."""

import gzip
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.fake_ebi import FakeEbi, FakePaper, serve
from helpers.finished_dataset import ONE, read_rows
from helpers.tiny_literature import write_literature

from rnagpt.rna_qa.literature.build.pipeline import build
from rnagpt.rna_qa.literature.build.settings import LiteratureOptions
from rnagpt.rna_qa.literature.claims.annotate import divide
from rnagpt.rna_qa.literature.claims.prompts import ask_for_claims
from rnagpt.rna_qa.literature.claims.validation import find_quote, validate_claim
from rnagpt.rna_qa.literature.records import Claim, Mention, Paper, Rna, Topics
from rnagpt.rna_qa.literature.sources import full_texts
from rnagpt.rna_qa.literature.sources.corpus import Corpus
from rnagpt.rna_qa.literature.sources.europe_pmc import EuropePmc
from rnagpt.rna_qa.literature.sources.full_texts import read_full_texts, request_full_texts
from rnagpt.rna_qa.literature.sources.http_client import HttpClient, ServiceError
from rnagpt.rna_qa.literature.sources.jats import Article, read_articles
from rnagpt.rna_qa.literature.text.passages import passages, section_of

DOCTYPE = (
    '<!DOCTYPE article PUBLIC "-//NLM//DTD JATS (Z39.96) Journal Archiving and Interchange DTD '
    'v1.2 20190208//EN" "JATS-archivearticle1.dtd">'
)
CITED = '<xref ref-type="bibr" rid="b1">12</xref>'
FIGURE = '<xref ref-type="fig" rid="f1">Fig. 2A</xref>'
RNA = Rna("URS1_9606", "ACGU", ("miR-9001",), "miRNA")


def section(title: str, *paragraphs: str, kind: str = "") -> str:
    inside = "".join(f"<p>{text}</p>" for text in paragraphs)
    return f'<sec sec-type="{kind}"><title>{title}</title>{inside}</sec>'


def article(*sections: str, pmid: str = "", pmcid: str = "", doi: str = "") -> str:
    ids = {"pmid": pmid, "pmc": pmcid.removeprefix("PMC"), "doi": doi}
    told = "".join(
        f'<article-id pub-id-type="{kind}">{id}</article-id>' for kind, id in ids.items() if id
    )
    return (
        f"<article><front><article-meta>{told}<abstract><p>An abstract.</p></abstract>"
        f"</article-meta></front><body>{''.join(sections)}</body></article>"
    )


def read(*sections: str) -> str:
    (found,) = read_articles(io.BytesIO((DOCTYPE + article(*sections)).encode()))
    return found.body


# JATS


def test_findings_alone_are_read_under_their_labels() -> None:
    body = read(
        section("1. Introduction", "A is a microRNA."),
        section("Materials and methods", "We grew cells.", kind="materials|methods"),
        section("Results", "", section("A in liver", "A rises in liver. It binds B.")),
        section("4. Discussion", "A may be a target of drugs."),
        section("Acknowledgements", "We thank C."),
    )
    assert body == "Results: A rises in liver. It binds B. Discussion: A may be a target of drugs."


def test_sections_of_other_names_hold_results() -> None:
    assert read("<p>A binds B.</p>", section("A in glioma", "A falls.")) == (
        "Results: A binds B. Results: A falls."
    )


@pytest.mark.parametrize(
    ("paragraph", "kept"),
    [
        (f"A binds B. It was so before [{CITED}]. A falls.", "A binds B. A falls."),
        (f"A is old.<sup>{CITED}</sup> A is new.", "A is new."),
        (f"A is old.<sup>{CITED},{CITED}–{CITED}</sup> A is new.", "A is new."),
        ("Smith et al. saw A. We saw it too.", "We saw it too."),
        ("So says one (2010). A binds B.", "A binds B."),
        (f"A binds B ({FIGURE} and Table 3).", "A binds B."),
        (f"{FIGURE} shows A. A binds B.", "A binds B."),
        ("It falls (S3 Fig; Text S1). It rises in S1 Table. It is high.", "It falls. It is high."),
        ("A rises 10<sup>6</sup>-fold, p&lt;0.05.", "A rises 10^6-fold, p<0.05."),
        ("A binds <italic>B</italic>.<fig><caption><p>C.</p></caption></fig>", "A binds B."),
        ("A is <inline-formula><tex-math>x</tex-math></inline-formula>. B is.", "B is."),
        ("A binds B. Thus the model of A", "A binds B."),
    ],
)
def test_what_cites_others_or_points_at_a_figure_is_left_out(paragraph: str, kept: str) -> None:
    assert read(section("Results", paragraph)) == f"Results: {kept}"


def test_what_has_no_title_before_methods_or_results_is_the_introduction() -> None:
    """As the British Journal of Cancer and others print it."""
    opening = "<p>Cancer is common.</p>"
    untitled = "<sec><p>Cancer is common.</p></sec>"
    for begin in (opening, untitled):
        body = read(begin, section("Methods", "We grew cells."), section("Results", "A falls."))
        assert body == "Results: A falls."


def test_sections_behind_the_methods_are_parts_of_them() -> None:
    body = read(
        section("Results", "A falls."),
        section("Materials and methods", "We grew cells."),
        section("Purification of B", "B was eluted with salt."),
        section("Discussion", "A may bind B."),
    )
    assert body == "Results: A falls. Discussion: A may bind B."


@pytest.mark.parametrize("kind", ["correction", "retraction", "editorial", "article-commentary"])
def test_articles_that_report_nothing_of_their_own_have_no_findings(kind: str) -> None:
    text = article("<p>The article is retracted.</p>").replace(
        "<article>", f'<article article-type="{kind}">'
    )
    (found,) = read_articles(io.BytesIO(text.encode()))
    assert found.body == ""


def test_a_sentence_around_a_formula_is_left_out() -> None:
    formula = "<disp-formula><tex-math>x = 1</tex-math></disp-formula>"
    body = read(
        section("Results", f"A falls. It falls by {formula} in which x is large. MiR-1 rises.")
    )
    assert body == "Results: A falls. MiR-1 rises."


def test_many_articles_of_one_file_and_what_is_none() -> None:
    one = article(section("Results", "A."), pmid="1", pmcid="PMC7", doi="10.1/X")
    two = article(pmcid="PMC8")
    found = list(read_articles(io.BytesIO(f"<articles>{one}{two}</articles>".encode())))
    assert found == [
        Article("1", "PMC7", "10.1/X", "Results: A."),
        Article(None, "PMC8", None, ""),
    ]
    with pytest.raises(ValueError, match="no XML"):
        list(read_articles(io.BytesIO(b"{}")))


# Passages


def test_passages_name_the_rna_and_keep_their_label() -> None:
    body = "Results: miR-9001 binds PTEN. Copper rises. Discussion: PTEN is old. miR-9001 may cure."
    left = "Results: miR-9001 binds PTEN. Discussion: miR-9001 may cure."
    assert passages(body, ("miR-9001",)) == left
    assert passages(left, ("miR-9001",)) == left
    assert passages(body, ("HOTAIR",)) == ""


def test_a_quote_stands_in_a_section() -> None:
    body = "Results: miR-9001 binds B. Discussion: miR-9001 may cure D."
    paper = Paper("PMID:1", "miR-9001 lowers E", "miR-9001 rises in liver.", body=body)
    for quote, place in (
        ("miR-9001 lowers E", "title"),
        ("miR-9001 rises in liver.", "abstract"),
        ("miR-9001 binds B.", "results"),
        ("miR-9001 may cure D.", "discussion"),
        ("nowhere", ""),
    ):
        assert section_of(quote, paper) == place
        assert bool(find_quote(quote, paper)) == bool(place)
    claim = Claim("miR-9001 may cure D.", ("PMID:1",), "miR-9001 may cure D.")
    assert validate_claim(claim, RNA, {"PMID:1": paper}) is None
    violation = validate_claim(claim, RNA, {"PMID:1": replace(paper, body=None)})
    assert violation is not None
    assert violation.reason == "quote not in the papers"


def test_requests_hold_passages_only_where_there_are_any() -> None:
    paper = Paper("PMID:1", "A title", "An abstract.")
    plain, empty, more = (replace(paper, body=body) for body in (None, "", "Results: A binds B."))
    names = RNA.names
    assert ask_for_claims(names, [plain], 1) == ask_for_claims(names, [empty], 1)
    asked = json.loads(ask_for_claims(names, [more], 1).user)["papers"]
    assert asked[0]["sentences_of_full_text"] == "Results: A binds B."
    topics = Topics(RNA.id, (("PMID:1", "PMID:2"),))
    long = replace(paper, body="Results: " + "A binds B. " * 400)
    both = [long, replace(long, id="PMID:2")]
    assert len(divide(RNA, topics, both, "dnc", 1000, 4)) == 2  # the passages count


# Requests


def fake(number: int, licence: str | None = "cc by", **fields: str | None) -> FakePaper:
    text = article(section("Results", f"miR-9001 binds gene {number}."), pmcid=f"PMC{number}")
    given = {"pmcid": f"PMC{number}", "full_text": text, **fields}
    return FakePaper(pmid=f"{number}", title="T", abstract="A.", license=licence, **given)


@pytest.fixture
def ebi() -> FakeEbi:
    papers = [fake(number) for number in range(30)]
    papers += [fake(30, licence="cc by-nd"), fake(31, licence=None), fake(32, pmcid=None)]
    return FakeEbi(papers=[*papers, fake(33, full_text=None)])


@pytest.fixture
def service(ebi: FakeEbi) -> Iterator[EuropePmc]:
    with (
        serve(ebi.app) as address,
        HttpClient(1000, timeout=1.0, attempts=2, sleep=lambda _: None) as client,
    ):
        yield EuropePmc(client, ebi.addresses(address)["RNAQA_EUROPEPMC_URL"])


@pytest.fixture
def corpus(tmp_path: Path, ebi: FakeEbi) -> Iterator[Corpus]:
    with Corpus(tmp_path / "corpus.sqlite") as corpus:
        corpus.add_rnas([RNA])
        corpus.add_papers(
            Paper(f"PMID:{one.pmid}", "T", "A.", one.pmid, one.pmcid, licence=one.license)
            for one in ebi.papers
        )
        yield corpus


def test_open_full_texts_are_requested_once(
    ebi: FakeEbi, service: EuropePmc, corpus: Corpus
) -> None:
    request_full_texts(corpus, service)
    asked = [one["pmcid"] for one in ebi.asked("full text")]
    assert Counter(asked) == dict.fromkeys([*(f"PMC{n}" for n in range(30)), "PMC33"], 1)
    bodies = {paper.id: paper.body for paper in corpus.iter_papers()}
    assert bodies["PMID:7"] == "Results: miR-9001 binds gene 7."
    assert [bodies[f"PMID:{number}"] for number in (30, 31, 32, 33)] == [""] * 4
    assert corpus.counts()["tallies"] == {
        "full text read": 30,
        "full text not under an open licence": 2,
        "full text not at PubMed Central": 1,
        "full text without findings, or not open": 1,
    }
    request_full_texts(corpus, service)
    assert len(ebi.asked("full text")) == 31


def test_rnas_that_only_the_full_text_names_are_noted(service: EuropePmc, corpus: Corpus) -> None:
    request_full_texts(corpus, service)
    ((_, papers),) = corpus.read_shard(0, 10)
    assert len(papers) == 30
    assert {mention for _, mention in papers} == {
        Mention(RNA.id, f"PMID:{number}", False, False, True) for number in range(30)
    }


@pytest.mark.parametrize("fault", ["429", "500", "html", "cut"])
def test_a_fault_that_passes_costs_nothing(
    ebi: FakeEbi, service: EuropePmc, corpus: Corpus, fault: str
) -> None:
    ebi.fail("full text", fault)
    request_full_texts(corpus, service)
    assert corpus.counts()["tallies"]["full text read"] == 30


def test_a_run_that_was_ended_requests_only_what_is_lacking(
    ebi: FakeEbi, service: EuropePmc, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        ask = service._client.get_xml

        def ask_25_times(url: str) -> bytes | None:
            if len(ebi.asked("full text")) == 25:
                raise ServiceError(url, "no answer", "run again")
            return ask(url)

        patch.setattr(service._client, "get_xml", ask_25_times)
        with pytest.raises(ServiceError, match="fullTextXML"):
            request_full_texts(corpus, service)
    before = {one["pmcid"] for one in ebi.asked("full text")[:20]}
    ebi.requests.clear()
    request_full_texts(corpus, service)
    assert before.isdisjoint(one["pmcid"] for one in ebi.asked("full text"))
    assert corpus.counts()["tallies"]["full text read"] == 30


# Files


def test_files_give_the_same(ebi: FakeEbi, corpus: Corpus, tmp_path: Path) -> None:
    folder = tmp_path / "articles"
    folder.mkdir()
    texts = [one.full_text or "" for one in ebi.papers]
    (folder / "a.xml").write_text(f"<articles>{''.join(texts[:20])}</articles>")
    (folder / "b.xml.gz").write_bytes(gzip.compress(f"<a>{''.join(texts[20:])}</a>".encode()))
    (folder / "c.nxml").write_text(article(section("Results", "D."), doi="10.1/other"))
    (folder / "notes.txt").write_text("no article")
    for _ in range(2):
        read_full_texts(corpus, folder)
        tallies = corpus.counts()["tallies"]
        assert tallies["full text read"] == 30
        assert tallies["full text not under an open licence"] == 2
        assert tallies["full text of no paper that is kept"] == 2  # PMID:32 names no article


def test_files_of_one_name_are_two_and_fill_what_a_service_lacked(
    ebi: FakeEbi, service: EuropePmc, corpus: Corpus, tmp_path: Path
) -> None:
    request_full_texts(corpus, service)  # none is open there of PMC33
    for folder, number in (("one", 33), ("two", 32)):
        (tmp_path / folder).mkdir()
        text = article(section("Results", f"miR-9001 binds gene {number}."), pmid=f"{number}")
        (tmp_path / folder / "article.nxml").write_text(text)
    read_full_texts(corpus, tmp_path)
    bodies = {paper.id: paper.body for paper in corpus.iter_papers()}
    for number in (32, 33):
        assert bodies[f"PMID:{number}"] == f"Results: miR-9001 binds gene {number}."


def test_a_file_that_was_read_in_part_is_counted_once(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(full_texts, "ARTICLES_PER_PAGE", 4)
    file = tmp_path / "all.xml"
    texts = [article(pmid=f"none-{number}") for number in range(10)]
    file.write_text(f"<articles>{''.join(texts)}</articles>")
    add, added = full_texts._add_article, []

    def stop_at_the_seventh(*given: Any) -> None:
        added.append(given)
        if len(added) == 7:
            raise KeyboardInterrupt
        add(*given)

    with monkeypatch.context() as patch:
        patch.setattr(full_texts, "_add_article", stop_at_the_seventh)
        with pytest.raises(KeyboardInterrupt):
            read_full_texts(corpus, file)
    read_full_texts(corpus, file)
    assert corpus.counts()["tallies"] == {"full text of no paper that is kept": 10}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xml", b"<article>", "a.xml: no XML"),
        ("a.xml.gz", gzip.compress(b"<a>" + b"x" * 9999 + b"</a>", mtime=0)[:-9], "a.xml.gz: "),
        ("a.txt", b"", "no file in JATS"),
    ],
)
def test_what_cannot_be_read_is_named(
    corpus: Corpus, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    folder = tmp_path / "articles"
    folder.mkdir()
    (folder / name).write_bytes(content)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read_full_texts(corpus, folder)


# A build


def test_claims_rest_on_full_texts_where_these_are_asked_for(tmp_path: Path) -> None:
    rnas, papers = write_literature(tmp_path, rnas=4, per_rna=2)
    with gzip.open(papers, "rt") as lines:
        rows = [json.loads(line) for line in lines]
    with gzip.open(papers, "wt") as lines:
        lines.writelines(json.dumps({**row, "licence": "cc by"}) + "\n" for row in rows)
    told = {
        row["pmid"]: f"Loss of miR-900{number} shortens the tail of frogs by {row['pmid']} mm."
        for row in rows
        for number in range(1, 5)
        if f"miR-900{number}" in row["abstract"]
    }
    folder = tmp_path / "articles"
    folder.mkdir()
    for pmid, sentence in told.items():
        (folder / f"{pmid}.xml").write_text(article(section("Results", sentence), pmid=pmid))
    options = LiteratureOptions(
        rnas=str(rnas), papers=str(papers), clusters="kmers", claims_per_topic=9
    )
    out = tmp_path / "out"
    counts = []
    for full_text in (None, str(folder), None):
        build(out, replace(options, full_text=full_text), ONE)
        claims = [claim for row in read_rows(out, "annotations") for claim in row["claims"]]
        found = [claim for claim in claims if claim["section"] == "results"]
        assert all(claim["quote"] == told[claim["papers"][0][5:]] for claim in found)
        assert {claim["section"] for claim in claims} - {"results"} == {"abstract"}
        flags = {row["full_text"] for row in read_rows(out, "papers")}
        counts.append((len(found) > 0, flags))
    assert counts == [(False, {False}), (True, {True}), (False, {False})]
