"""Selection from a real PostgreSQL server, which this test starts, with RNAcentral's tables."""

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from helpers.paths import ROOT
from helpers.rnacentral_postgres import HOTAIR, LET7, MIR21, Server

from rnagpt.rna_qa.literature.records import Mention
from rnagpt.rna_qa.literature.sources import postgres as select_postgres
from rnagpt.rna_qa.literature.sources.corpus import Corpus
from rnagpt.rna_qa.literature.sources.http_client import ServiceError


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    with Corpus(tmp_path / "corpus.sqlite") as corpus:
        yield corpus


def dump(corpus: Corpus) -> list[object]:
    return [list(corpus.iter_papers()), list(corpus.read_shard(0, 100)), corpus.counts()]


def test_rnas_come_with_their_names_and_papers(server: Server, corpus: Corpus) -> None:
    select_postgres.select(corpus, server.dsn)
    found = {rna.id: (rna, papers) for rna, papers in corpus.read_shard(0, 100)}
    assert list(found) == sorted([MIR21, HOTAIR, LET7])

    rna, papers = found[MIR21]
    assert rna.sequence == "UAGCUUAUCAGACUGAUGUUGA"
    assert rna.names == ("miR-21", "hsa-miR-21-5p")  # by papers; without the id
    assert (rna.rna_type, rna.organism, rna.taxid) == ("miRNA", "Homo sapiens", 9606)
    # Three jobs found one paper; what they found is joined.
    assert [mention for _, mention in papers] == [
        Mention(MIR21, "PMCID:PMC2", True, False, False),
        Mention(MIR21, "PMID:101", True, True, True),
    ]
    glioma = papers[1][0]
    assert (glioma.title, glioma.abstract) == ("miR-21 in glioma", "miR-21 lowers PDCD4.")
    assert (glioma.pmid, glioma.pmcid, glioma.doi) == ("101", "PMC1", "10.1/a")
    assert (glioma.year, glioma.journal, glioma.types) == (2010, "J", ("Research article",))

    rna, papers = found[HOTAIR]
    assert rna.sequence == "GACUCGCCUGUGCUCUGGAGCUUG"
    assert rna.names == ("HOTAIR",)
    assert [(paper.id, paper.abstract) for paper, _ in papers] == [("PMCID:PMC2", "")]

    rna, papers = found[LET7]
    assert (rna.family, rna.organism) == ("RF00027", "Caenorhabditis elegans")
    assert [paper.retracted for paper, _ in papers] == [True]


def test_what_is_left_out_is_said(server: Server, corpus: Corpus) -> None:
    select_postgres.select(corpus, server.dsn)
    counts = corpus.counts()
    assert (counts["rnas"], counts["papers"]) == (3, 3)
    assert counts["skipped"] == {
        "article": {"not about RNA, by LitScan's classifier": 1},
        "name": {"ambiguous": 1},
        "rna": {"sequence with '*'": 1},
    }
    assert counts["tallies"] == {}


@pytest.mark.parametrize("size", [1, 2])
def test_pages_of_any_size_give_the_same(
    server: Server, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    select_postgres.select(corpus, server.dsn)
    monkeypatch.setattr(select_postgres, "RNAS_PER_PAGE", size)
    monkeypatch.setattr(select_postgres, "ARTICLES_PER_QUERY", size)
    with Corpus(tmp_path / "pages.sqlite") as pages:
        select_postgres.select(pages, server.dsn)
        assert dump(pages) == dump(corpus)


def test_an_interrupted_selection_goes_on(
    server: Server, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    select_postgres.select(corpus, server.dsn)
    monkeypatch.setattr(select_postgres, "RNAS_PER_PAGE", 1)
    add_mentions = Corpus.add_mentions
    calls = 0

    def fail_at_times(self: Corpus, mentions: object) -> None:
        nonlocal calls
        calls += 1
        if calls % 2:
            raise KeyboardInterrupt
        add_mentions(self, mentions)

    monkeypatch.setattr(Corpus, "add_mentions", fail_at_times)
    interrupted = 0
    with Corpus(tmp_path / "interrupted.sqlite") as pages:
        while pages.progress("postgres") != "done":
            try:
                select_postgres.select(pages, server.dsn)
            except KeyboardInterrupt:
                interrupted += 1
        assert dump(pages) == dump(corpus)
    assert interrupted == 3  # once for each RNA that has papers


def test_nothing_is_asked_once_all_was_read(server: Server, corpus: Corpus) -> None:
    select_postgres.select(corpus, server.dsn)
    select_postgres.select(corpus, "postgresql://nobody@127.0.0.1:1/none")


@pytest.mark.parametrize(
    ("query", "ids"),
    [("homo SAPIENS", [MIR21, HOTAIR]), ("let-7", [LET7]), ("100%", []), ("let_7", [])],
)
def test_queries_are_words_of_descriptions(
    server: Server, corpus: Corpus, query: str, ids: list[str]
) -> None:
    select_postgres.select(corpus, server.dsn, query=query)
    assert [rna.id for rna in corpus.iter_rnas()] == sorted(ids)


@pytest.mark.parametrize("size", [1, 100])
def test_limits_hold(
    server: Server, corpus: Corpus, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(select_postgres, "RNAS_PER_PAGE", size)
    # The first by id is damaged and counts as taken.
    select_postgres.select(corpus, server.dsn, limit=3)
    assert [rna.id for rna in corpus.iter_rnas()] == [MIR21, LET7]


def test_a_server_that_is_stopped_in_between(
    server: Server, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    select_postgres.select(corpus, server.dsn)
    monkeypatch.setattr(select_postgres, "RNAS_PER_PAGE", 2)
    waits: list[float] = []
    add_rnas = Corpus.add_rnas
    stops = [False, True]  # in the middle of the second page

    def stop_once(self: Corpus, rnas: object) -> None:
        add_rnas(self, rnas)
        if stops and stops.pop(0):
            server.stop()

    def wait(seconds: float) -> None:
        waits.append(seconds)
        server.start()

    monkeypatch.setattr(Corpus, "add_rnas", stop_once)
    with Corpus(tmp_path / "stopped.sqlite") as pages:
        select_postgres.select(pages, server.dsn, sleep=wait)
        assert dump(pages) == dump(corpus)
    assert len(waits) == 1


def test_a_server_that_is_not_there(corpus: Corpus) -> None:
    waits: list[float] = []
    dsn = "postgresql://reader:secret@127.0.0.1:1/pfmegrnargs"
    assert not select_postgres.is_reachable(dsn)
    with pytest.raises(ServiceError, match="--source http") as error:
        select_postgres.select(corpus, dsn, sleep=waits.append)
    assert "127.0.0.1:1/pfmegrnargs" in str(error.value)
    assert "secret" not in str(error.value)
    assert len(waits) == select_postgres.ATTEMPTS - 1


def test_another_database_fails_at_once(server: Server, corpus: Corpus) -> None:
    waits: list[float] = []
    dsn = server.dsn.replace("/postgres?", "/template1?")
    assert select_postgres.is_reachable(server.dsn)
    assert not select_postgres.is_reachable(dsn)
    with pytest.raises(ServiceError, match="litscan_database"):
        select_postgres.select(corpus, dsn, sleep=waits.append)
    assert not waits


def test_the_guides_query_counts_papers_an_rna(server: Server) -> None:
    """miR-21 has two papers by two names, HOTAIR three, let-7 and a withdrawn RNA one."""
    guide = (ROOT / "docs" / "guides" / "build-literature.md").read_text()
    (query,) = re.findall(r"```sql\n(.+?)```", guide, re.DOTALL)
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        for statement in filter(str.strip, query.split(";")):
            found = connection.execute(statement)
        assert found.fetchall() == [(1, 2), (2, 1), (3, 1)]
