"""The services that other tests ask must themselves answer as they should."""

import httpx2
import pytest
from helpers.fake_ebi import FakeEbi, matches, serve, small_ebi


@pytest.fixture
def ebi() -> FakeEbi:
    return small_ebi()


def get(address: str, **params: str) -> httpx2.Response:
    return httpx2.get(address, params=params, timeout=5)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('job_id:"a"', True),
        ("job_id:B", True),
        ('job_id:"c"', False),
        ('(job_id:"c" OR job_id:"a") AND entry_type:Publication', True),
        ("job_id:c OR (job_id:a AND entry_type:metadata)", False),
        ("NOT job_id:c", True),
        ("job_id:(c OR a)", True),
        ("*:nothing", False),
        ('"some words"', True),
    ],
)
def test_queries(query: str, expected: bool) -> None:
    document = {"job_id": ["a", "b"], "entry_type": ["Publication"], "title": ["In some words"]}
    assert matches(query, document) is expected


def test_pages_end(ebi: FakeEbi) -> None:
    with serve(ebi.app) as address:
        url = ebi.addresses(address)["RNAQA_EBI_SEARCH_URL"] + "/rnacentral"
        query = 'entry_type:"Sequence" AND has_lit_scan:"True"'
        first = get(url, query=query, size="2", searchposition="0", fields="description").json()
        second = get(url, query=query, size="2", searchposition=first["searchPosition"]).json()
        third = get(url, query=query, size="2", searchposition=second["searchPosition"]).json()
    assert first["hitCount"] == 3
    assert [entry["id"] for entry in first["entries"] + second["entries"]] == [
        rna.id for rna in ebi.rnas
    ]
    assert first["entries"][0]["fields"] == {"description": [ebi.rnas[0].description]}
    assert third["entries"] == []
    assert "searchPosition" not in third


def test_faults_come_once_each(ebi: FakeEbi) -> None:
    ebi.fail("search", "429", "429 with Retry-After", "500", "html", "cut")
    with serve(ebi.app) as address:
        url = ebi.addresses(address)["RNAQA_EUROPEPMC_URL"] + "/search"
        assert get(url, query="EXT_ID:100").status_code == 429
        assert get(url, query="EXT_ID:100").headers["Retry-After"] == "1"
        assert get(url, query="EXT_ID:100").status_code == 500
        assert get(url, query="EXT_ID:100").text.startswith("<html>")
        with pytest.raises(httpx2.RemoteProtocolError):
            get(url, query="EXT_ID:100")
        assert get(url, query="EXT_ID:100").json()["resultList"]["result"][0]["pmcid"] == "PMC100"
    assert len(ebi.asked("search")) == 6


def test_rows_of_a_paper(ebi: FakeEbi) -> None:
    with serve(ebi.app) as address:
        addresses = ebi.addresses(address)
        rna = get(addresses["RNAQA_RNACENTRAL_URL"] + "/rna/URS000075C808/9606").json()
        litscan = get(
            addresses["RNAQA_EBI_SEARCH_URL"] + "/rnacentral-litscan",
            query='entry_type:Publication AND (job_id:"hotair")',
            fields="pmcid,abstract",
        ).json()
        updates = httpx2.post(
            addresses["RNAQA_EUROPEPMC_URL"] + "/status-update-search",
            json={"ids": [{"src": "PMC", "extId": "PMC103"}, {"src": "PMC", "extId": "PMC102"}]},
        ).json()
    assert rna["genes"] == ["HOTAIR"]
    assert [entry["fields"]["pmcid"] for entry in litscan["entries"]] == [
        ["PMC102"],
        ["PMC103"],
        ["PMC104"],
    ]
    assert updates["articlesWithStatusUpdate"] == [
        {"src": "PMC", "extId": "PMC103", "statusUpdates": ["RETRACTED"]}
    ]
