"""The whole build from RNAcentral's services: over HTTP with their faults, and from PostgreSQL."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from helpers.fake_ebi import FakeEbi, FakePaper, small_ebi
from helpers.finished_dataset import ONE, read_bytes, read_rows
from helpers.loopback import serve
from helpers.rnacentral_postgres import HOTAIR, MIR21

from rnagpt.cli.rna_qa import main
from rnagpt.rna_qa.literature.build.pipeline import build
from rnagpt.rna_qa.literature.build.settings import LiteratureOptions, Services
from rnagpt.rna_qa.literature.sources import http_client

# In place of the database's own, which are too short to say anything.
ABSTRACTS = """
UPDATE rnacen.litscan_article SET retracted = false, abstract = CASE pmcid
    WHEN 'PMC1' THEN 'In glioma cells, miR-21 lowers the protein PDCD4 and slows their death.'
    ELSE 'HOTAIR binds the complex PRC2 and silences genes of the locus HOXD in fibroblasts.'
END WHERE pmcid IN ('PMC1', 'PMC2')
"""
LENS = FakePaper(
    "PMC200",
    "200",
    "miR-21 in the lens",
    "In the lens, miR-21 lowers the protein PDCD4 and slows the death of cells.",
    jobs={"mir-21": "title abstract"},
)
HTTP = LiteratureOptions(source="http", clusters="kmers", test=0.3)


@pytest.fixture
def ebi(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEbi]:
    monkeypatch.setattr(http_client, "REQUESTS_PER_SECOND", 1000.0)
    fake = small_ebi()
    fake.papers.append(LENS)
    with serve(fake.app) as address:
        for name, value in fake.addresses(address).items():
            monkeypatch.setenv(name, value)
        yield fake


def test_http_ends_in_a_data_set(ebi: FakeEbi, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = build(out, HTTP, ONE)
    rows = read_rows(out, "annotations")
    assert rows
    assert {row["id"] for row in rows} <= {rna.id for rna in ebi.rnas}
    kept = {row["id"] for row in read_rows(out, "papers")}
    assert {"PMID:100", "PMID:102"} <= kept
    assert not {"PMID:103", "PMID:104"} & kept  # retracted; no abstract
    record = result["record"]
    assert record["retrieved"] in (out / "README.md").read_text(encoding="utf-8")
    assert record["services"] == ["127.0.0.1"]
    asked = len(ebi.requests)
    assert build(out, HTTP, ONE)["done"] == []
    assert len(ebi.requests) == asked


def test_faults_of_the_services_leave_no_trace(ebi: FakeEbi, tmp_path: Path) -> None:
    build(tmp_path / "calm", HTTP, ONE)
    for service in ("rnacentral", "rnacentral-litscan", "search"):
        ebi.fail(service, "429 with Retry-After")
    ebi.duplicate_pages = True
    build(tmp_path / "stormy", HTTP, ONE)
    calm, stormy = (read_bytes(tmp_path / name) for name in ("calm", "stormy"))
    assert calm == stormy


def test_a_later_retraction_redoes_what_it_touches(ebi: FakeEbi, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(out, HTTP, ONE)
    claims = {row["id"]: row["claims"] for row in read_rows(out, "annotations")}
    assert any("PMID:102" in claim["papers"] for c in claims.values() for claim in c)
    ebi.papers = [replace(paper, retracted=paper.pmcid == "PMC102") for paper in ebi.papers]
    done = build(out, HTTP, ONE, check_retractions=True)["done"]
    assert "select" not in done
    after = {row["id"]: row["claims"] for row in read_rows(out, "annotations")}
    assert not any("PMID:102" in claim["papers"] for c in after.values() for claim in c)
    assert after.keys() == claims.keys() - {"URS000075C808_9606"}
    assert all(claims[rna] == kept for rna, kept in after.items())


def test_the_command_takes_http_where_no_database_answers(
    ebi: FakeEbi,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RNAQA_DATABASE_URL", "postgresql://reader@127.0.0.1:1/none")
    out = tmp_path / "out"
    command = ["literature", str(out), "--clusters", "kmers", "--workers", "1"]
    assert main(command) == 0
    assert "taking EBI Search" in capsys.readouterr().err
    assert json.loads((out / "build.json").read_text())["options"]["source"] == "http"
    assert main(command) == 0
    assert "nothing was left to do" in capsys.readouterr().err


def test_postgres_ends_in_a_data_set(
    request: pytest.FixtureRequest, ebi: FakeEbi, tmp_path: Path
) -> None:
    database: Any = request.getfixturevalue("server")
    with psycopg.connect(database.dsn) as connection:
        connection.execute(ABSTRACTS)
    services = Services(europe_pmc=Services.from_environment().europe_pmc, database=database.dsn)
    options = LiteratureOptions(source="postgres", clusters="kmers", test=0.3)
    out = tmp_path / "out"
    record = build(out, options, ONE, services)["record"]
    rows = read_rows(out, "annotations")
    assert {row["id"] for row in rows} == {MIR21, HOTAIR}
    assert {row["organism"] for row in rows} == {"Homo sapiens"}
    assert "postgresql" not in json.dumps(record)
    assert "pfmegrnargs" not in (out / "README.md").read_text(encoding="utf-8")
    assert build(out, options, ONE, services)["done"] == []
