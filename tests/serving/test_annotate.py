"""`POST /annotate`: what the command writes, over HTTP, bounded and without a language model."""

import json
import re
import threading
import time

import httpx
import pytest
from helpers.tiny_models import make_rna
from helpers.tiny_server import serve_tiny

from rnagpt.cli.main import main
from rnagpt.reference.annotate import annotate
from rnagpt.reference.library import Reference, SearchStoppedError
from rnagpt.serving.limits import Limits

TRNA = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"
HAMMERHEAD = "CUGAUGAGUCCGUGAGGACGAAACGAGUAAGCUCGUC"
FASTA = f">mine a first\n{TRNA[:40]}\n{TRNA[40:]}\n>short\nACGU\n>odd\nACGX\n>dna\n{HAMMERHEAD}\n"
LIMITS = Limits(max_records=4, max_searched_nt=2_000, max_body_bytes=100_000)


@pytest.fixture(scope="module")
def server(parts, reference):
    with serve_tiny(parts, LIMITS, reference=reference) as (address, service):
        yield address, service


@pytest.fixture
def post(server):
    def post(body, **headers):
        return httpx.post(f"{server[0]}/annotate", json=body, headers=headers, timeout=60)

    return post


def by_command(tmp_path, name, capsys):
    """What the command writes, which ends with 2: one record is no RNA."""
    fasta, out = tmp_path / "in.fasta", tmp_path / f"out.{name}"
    fasta.write_text(FASTA)
    assert main(["annotate", str(fasta), str(out), "--format", name, "--quiet"]) == 2
    capsys.readouterr()
    return out.read_text()


def test_the_results_are_the_commands(post, tmp_path, capsys):
    lines = [json.loads(line) for line in by_command(tmp_path, "json", capsys).splitlines()]
    reply = post({"rna": FASTA})
    assert reply.json()["results"] == lines
    assert [one["name"] for one in lines] == ["mine", "short", "odd", "dna"]
    assert lines[0]["hits"][0]["id"] == "RF00005"
    assert "too short" in lines[1]["note"]
    assert "error" in lines[2]
    assert reply.json()["reference"].startswith("Rfam")
    table = by_command(tmp_path, "tsv", capsys)
    for asked in (
        post({"rna": FASTA, "format": "tsv"}),
        post({"rna": FASTA}, Accept="text/tab-separated-values"),
        post({"rna": FASTA, "format": "tsv"}, Accept="application/json"),
    ):
        assert asked.text == table
        assert asked.headers["content-type"].startswith("text/tab-separated-values")
    plain = post({"rna": FASTA, "format": "json"}, Accept="text/tab-separated-values")
    assert plain.json() == reply.json()


def test_one_sequence_of_any_case(post):
    (result,) = post({"rna": TRNA.lower().replace("u", "t")}).json()["results"]
    assert result["length"] == 76
    assert result["hits"][0]["name"] == "tRNA"
    assert "T read as U" in result["changes"][0]


def test_the_evalue_bounds_the_hits(post, reference):
    rna = HAMMERHEAD[4:30]
    found = {}
    for evalue in (1e-30, 10.0):
        (result,) = post({"rna": rna, "evalue": evalue}).json()["results"]
        (expected,) = annotate([rna], reference, evalue=evalue)
        found[evalue] = [hit["id"] for hit in result["hits"]]
        assert found[evalue] == [hit.record.id for hit in expected.hits]
    assert found[1e-30] == []
    assert found[10.0]


@pytest.mark.parametrize(
    ("body", "status", "code", "told"),
    [
        ({"rna": ""}, 400, "invalid_fasta", "empty"),
        ({"rna": f"{TRNA}\n>a\n{TRNA}"}, 400, "invalid_fasta", "rna, line 1: text before"),
        ({"rna": "MSKGEELFTGVVPILVELDGDVNGHKFSVSGEG"}, 422, "invalid_rna", "protein"),
        ({"rna": ">a\nACGUACGU\n" * 5}, 413, "too_many_rnas", "more than 4 records"),
        ({"rna": f">long\n{'A' * 2001}"}, 413, "rna_too_long", "'long' has 2,001 nt.*2,000"),
        ({"rna": "A" * 100_001}, 413, "request_too_large", "100,000"),
        ({"rna": TRNA, "evalue": 0}, 400, None, "evalue"),
        ({"rna": TRNA, "evalue": 11}, 400, None, "evalue"),
        ({"rna": TRNA, "format": "xml"}, 400, None, "format"),
        ({"rna": TRNA, "e_value": 1e-5}, 400, None, "e_value is no field here"),
        ({"rna": "\ud800"}, 400, None, "surrogate"),
        ({"rna": [TRNA]}, 400, None, "rna"),
        ({}, 400, None, "rna"),
    ],
)
def test_bad_requests_are_rejected_with_the_reason(server, body, status, code, told):
    content = json.dumps(body)
    headers = {"Content-Type": "application/json"}
    reply = httpx.post(f"{server[0]}/annotate", content=content, headers=headers)
    assert reply.status_code == status
    error = reply.json()["error"]
    assert error["code"] == code
    assert error["type"] == "invalid_request_error"
    assert re.search(told, error["message"])


@pytest.mark.parametrize(
    "rna",
    [" ", "\0", ">", ">\n>\n", ";x", ">a\n;b\nACGU", "\ufeff", "🧬" * 9, "A\tC\n" * 9, "N" * 99],
)
def test_malformed_requests_are_no_server_error(post, rna):
    for layout in ("json", "tsv"):
        reply = post({"rna": rna, "format": layout})
        assert reply.status_code < 500, reply.text
        assert reply.status_code == 200 or reply.json()["error"]["message"]


def test_without_a_reference_and_without_a_key(parts):
    with serve_tiny(parts, api_key="secret") as (address, _):
        assert httpx.post(f"{address}/annotate", json={"rna": TRNA}).status_code == 401
        key = {"Authorization": "Bearer secret"}
        reply = httpx.post(f"{address}/annotate", json={"rna": TRNA}, headers=key)
        assert reply.status_code == 404
        assert reply.json()["error"]["code"] == "no_reference"


def test_it_is_counted_and_asks_no_model(parts, reference):
    with serve_tiny(parts, reference=reference) as (address, service):

        def fail(*_):
            raise AssertionError("the language model was asked")

        service.engine.submit = fail  # type: ignore[method-assign]
        body = {"rna": f">a\n{TRNA}\n>b\nACGU\n"}
        assert httpx.post(f"{address}/annotate", json=body, timeout=60).status_code == 200
        assert httpx.post(f"{address}/annotate", json={}).status_code == 400
        lines = httpx.get(f"{address}/metrics").text.splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert float(values['rnagpt_requests_total{status="200"}']) == 1
    assert float(values['rnagpt_requests_total{status="400"}']) == 1
    assert float(values["rnagpt_rnas_total"]) == 2
    assert float(values["rnagpt_searches_total"]) == 1


def test_too_many_are_told_to_come_again_and_one_that_leaves_ends_its_search(
    parts, reference, monkeypatch
):
    began, stopped = threading.Event(), threading.Event()

    def windows(*_):
        """Windows without end, between which a search is asked whether it stops."""
        began.set()
        end = time.monotonic() + 20
        try:
            while time.monotonic() < end:
                time.sleep(0.01)
                yield next(own(reference, 76))
        finally:
            stopped.set()

    own = Reference.windows
    monkeypatch.setattr(Reference, "windows", windows)
    limits = Limits(max_waiting=1, retry_after=3)
    with serve_tiny(parts, limits, reference=reference) as (address, service):
        url, body = f"{address}/annotate", {"rna": f">a\n{TRNA}\n" * 3}

        def leave():
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(url, json=body, timeout=3)

        left = [threading.Thread(target=leave) for _ in range(2)]
        for thread in left:
            thread.start()
        assert began.wait(10)
        end = time.monotonic() + 3
        while service.searches.waiting < 2 and time.monotonic() < end:
            time.sleep(0.01)
        reply = httpx.post(url, json=body)
        assert reply.status_code == 429
        assert reply.headers["retry-after"] == "3"
        for thread in left:
            thread.join()
        assert stopped.wait(10)
        end = time.monotonic() + 10
        while service.searches.waiting and time.monotonic() < end:
            time.sleep(0.01)
        assert service.searches.waiting == 0


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_search_ends_where_it_is_told_to(reference, jobs):
    told = iter([False, True])
    results = annotate([make_rna(40)] * 9, reference, jobs=jobs, stop=lambda: next(told, True))
    with pytest.raises(SearchStoppedError):
        list(results)


def test_the_description_has_examples_that_work(server):
    description = httpx.get(f"{server[0]}/openapi.json").json()
    described = description["paths"]["/annotate"]["post"]
    examples = described["requestBody"]["content"]["application/json"]["examples"]
    for example in examples.values():
        reply = httpx.post(f"{server[0]}/annotate", json=example["value"], timeout=60)
        assert reply.status_code == 200
        assert "tRNA" in reply.text
    content = described["responses"]["200"]["content"]
    assert set(content) == {"application/json", "text/tab-separated-values"}
    assert {"404", "413", "422", "429"} <= set(described["responses"])
