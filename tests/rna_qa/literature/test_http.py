"""Selection over HTTP, from a server on this machine that answers as EBI's services do."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.fake_ebi import FakeEbi, FakePaper, serve, small_ebi

from rnagpt.rna_qa.literature.build.settings import Services
from rnagpt.rna_qa.literature.records import Mention
from rnagpt.rna_qa.literature.sources import http as select_http
from rnagpt.rna_qa.literature.sources.corpus import Corpus
from rnagpt.rna_qa.literature.sources.http_client import ATTEMPTS, HttpClient, ServiceError
from rnagpt.rna_qa.literature.sources.rows import spell, without_ids

MIR21, MOUSE_MIR21, HOTAIR = "URS000039ED8D_9606", "URS000039ED8D_10090", "URS000075C808_9606"
Select = Callable[..., Corpus]


@pytest.fixture
def ebi() -> FakeEbi:
    ebi = small_ebi()
    ebi.slow_seconds = 0.4
    return ebi


@pytest.fixture(scope="module")
def client_and_waits() -> Iterator[tuple[HttpClient, list[float]]]:
    """A client that does not wait, but notes how long it would; its rate is never the limit."""
    waits: list[float] = []
    with HttpClient(1e9, timeout=0.2, sleep=waits.append) as client:
        yield client, waits


@pytest.fixture
def waits(client_and_waits: tuple[HttpClient, list[float]]) -> list[float]:
    client_and_waits[1].clear()
    return client_and_waits[1]


@pytest.fixture
def select(
    ebi: FakeEbi, tmp_path: Path, client_and_waits: tuple[HttpClient, list[float]]
) -> Iterator[Select]:
    """Selects into a corpus of the given name."""
    client, _ = client_and_waits
    opened = []
    with serve(ebi.app) as address:
        urls = ebi.addresses(address)
        services = Services(
            ebi_search=urls["RNAQA_EBI_SEARCH_URL"], rnacentral=urls["RNAQA_RNACENTRAL_URL"]
        )

        def run(name: str = "corpus", **options: object) -> Corpus:
            corpus = Corpus(tmp_path / f"{name}.sqlite")
            opened.append(corpus)
            select_http.select(corpus, client, services, **options)
            return corpus

        yield run
    for corpus in opened:
        corpus.close()


def dump(corpus: Corpus) -> list[object]:
    return [list(corpus.iter_papers()), list(corpus.read_shard(0, 100)), corpus.counts()]


def test_rnas_come_with_their_names_and_papers(select: Select) -> None:
    found = {rna.id: (rna, papers) for rna, papers in select().read_shard(0, 100)}
    assert set(found) == {MIR21, MOUSE_MIR21, HOTAIR}

    rna, papers = found[MIR21]
    assert rna.sequence == "UAGCUUAUCAGACUGAUGUUGA"
    assert rna.names == ("hsa-miR-21-5p", "miR-21")  # spelled as the description does
    assert (rna.rna_type, rna.organism, rna.taxid) == ("miRNA", "Homo sapiens", 9606)
    # One job found the first paper by title and abstract, another by its body.
    assert [mention for _, mention in papers] == [
        Mention(MIR21, "PMCID:PMC105", True, False, True),
        Mention(MIR21, "PMID:100", True, True, True),
        Mention(MIR21, "PMID:101", True, True, False),
    ]
    paper = papers[1][0]
    assert (paper.title, paper.pmid, paper.pmcid) == ("miR-21 in made-up tissue", "100", "PMC100")
    assert (paper.year, paper.doi) == (2020, "10.1000/One")
    assert "rises" in paper.abstract

    rna, papers = found[HOTAIR]
    assert (rna.names, rna.family, rna.rna_type) == (("HOTAIR",), "RF01904", "lncRNA")
    assert [paper.id for paper, _ in papers] == ["PMID:102", "PMID:103", "PMID:104"]
    assert [mention.paper_id for _, mention in found[MOUSE_MIR21][1]] == ["PMID:101"]


def test_only_sequences_with_papers_are_asked_for(ebi: FakeEbi, select: Select) -> None:
    ebi.rnas.append(replace(ebi.rnas[0], urs="URS0000000009", jobs=("mir-9999",)))
    assert select().num_rnas() == 3
    (query,) = {asked["query"] for asked in ebi.asked("rnacentral")}
    assert 'entry_type:"Sequence"' in query


def test_queries_and_limits(select: Select) -> None:
    assert {rna.id for rna in select("lnc", query='rna_type:"lncRNA"').iter_rnas()} == {HOTAIR}
    either = select("or", query='rna_type:"lncRNA" OR tax_string:"Mus musculus"')
    assert {rna.id for rna in either.iter_rnas()} == {HOTAIR, MOUSE_MIR21}
    assert select("two", limit=2).num_rnas() == 2


def test_quotes_stay_within_a_value() -> None:
    assert select_http._any("job_id", ['5"', "a\\"]) == r'(job_id:"5\"" OR job_id:"a\\")'


def test_small_pages_give_the_same(select: Select, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = dump(select())
    for name in ("RNAS_PER_PAGE", "ENTRIES_PER_PAGE", "IDS_PER_QUERY"):
        monkeypatch.setattr(select_http, name, 1)
    assert dump(select("pages")) == expected


def test_duplicate_pages_change_nothing(
    ebi: FakeEbi, select: Select, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = dump(select())
    monkeypatch.setattr(select_http, "RNAS_PER_PAGE", 1)
    monkeypatch.setattr(select_http, "ENTRIES_PER_PAGE", 2)
    ebi.duplicate_pages = True
    assert dump(select("duplicates")) == expected


def test_a_repeated_cursor_ends_the_search_and_is_told(
    ebi: FakeEbi, select: Select, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(select_http, "RNAS_PER_PAGE", 2)
    ebi.repeat_cursor = True
    corpus = select()
    assert corpus.num_rnas() == 2
    assert corpus.counts()["tallies"] == {"RNA announced by EBI Search that did not come": 1}
    assert len(ebi.asked("rnacentral")) == 1


def test_more_hits_than_rows_are_told(ebi: FakeEbi, select: Select) -> None:
    ebi.extra_hits = 7
    corpus = select()
    assert corpus.num_rnas() == 3
    assert corpus.counts()["tallies"] == {"RNA announced by EBI Search that did not come": 7}


@pytest.mark.parametrize("service", ["rnacentral", "rnacentral-litscan", "rna"])
def test_faults_that_pass_change_nothing(
    ebi: FakeEbi, select: Select, waits: list[float], service: str
) -> None:
    expected = dump(select())
    ebi.fail(service, "429", "429 with Retry-After", "500", "html", "cut", "slow")
    assert dump(select("faults")) == expected
    assert len(waits) == 6


def test_a_fault_that_stays_loses_nothing(
    ebi: FakeEbi, select: Select, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = dump(select())
    monkeypatch.setattr(select_http, "RNAS_PER_PAGE", 1)
    for service in ("rna", "rnacentral-litscan", "rnacentral"):
        ebi.fail(service, *["500"] * ATTEMPTS)
        with pytest.raises(ServiceError, match="run again later"):
            select("broken")
    assert dump(select("broken")) == expected


def test_nothing_is_asked_once_all_was_read(ebi: FakeEbi, select: Select) -> None:
    select()
    ebi.requests.clear()
    select()
    assert not ebi.requests


def test_each_sequence_is_fetched_once(
    ebi: FakeEbi, select: Select, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(select_http, "RNAS_PER_PAGE", 1)
    ebi.duplicate_pages = True
    select()
    assert len(ebi.asked("rna")) == 3


def test_an_rna_that_is_gone_is_skipped(
    ebi: FakeEbi, select: Select, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = FakeEbi._rna

    def forget_hotair(self: FakeEbi, service: str, parameters: dict[str, object]) -> object:
        if parameters["urs"] == "URS000075C808":
            parameters = {"urs": "none", "taxid": 0}
        return answer(self, service, parameters)

    monkeypatch.setattr(FakeEbi, "_rna", forget_hotair)
    corpus = select()
    assert corpus.num_rnas() == 2
    assert corpus.counts()["skipped"] == {"rna": {"no sequence": 1}}


def test_ambiguous_names_and_papers_without_an_abstract(ebi: FakeEbi, select: Select) -> None:
    ebi.rnas[2] = replace(ebi.rnas[2], jobs=("hotair", "human"))
    ebi.papers.append(FakePaper("PMC200", "200", "Human", "Human.", jobs={"human": "title"}))
    corpus = select()
    assert not corpus.has_paper("PMID:200")
    assert corpus.counts()["skipped"] == {"name": {"ambiguous": 1}}
    assert [paper.id for paper in corpus.iter_papers() if not paper.abstract] == ["PMID:104"]


@pytest.mark.parametrize(
    ("job", "texts", "spelled"),
    [
        ("hotair", ["HOX transcript antisense RNA (HOTAIR)"], "HOTAIR"),
        ("mir-21", ["hsa-miR-21-5p"], "miR-21"),
        ("mir-21", ["hsa-miR-210-5p"], "mir-21"),
        ("h19", ["h19", "H19 imprinted transcript"], "H19"),
        ("a.b", ["aXb"], "a.b"),
    ],
)
def test_spelling(job: str, texts: list[str], spelled: str) -> None:
    assert spell(job, texts) == spelled


def test_ids_are_names_only_where_there_is_no_other() -> None:
    assert without_ids(["urs1_9606", "miR-21", "miR-21"], "URS1_9606") == ("miR-21",)
    assert without_ids(["urs1_9606"], "URS1_9606") == ("urs1_9606",)
