"""The whole build with a language model behind a real server on this machine."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from datasets import load_dataset
from helpers.fake_openai import KEY, MODEL, FakeOpenAi
from helpers.finished_dataset import read_bytes, read_rows
from helpers.tiny_literature import make_papers, make_rnas, write_lines
from helpers.tiny_scribe import INVENTED

from rnagpt.cli.rna_qa import main
from rnagpt.rna_qa.literature.build import pipeline
from rnagpt.rna_qa.literature.build.pipeline import build
from rnagpt.rna_qa.literature.build.settings import (
    STAGE_VERSIONS,
    LiteratureOptions,
    RunOptions,
    Services,
)
from rnagpt.rna_qa.literature.build.status import read_totals
from rnagpt.rna_qa.literature.llm.estimate import estimate
from rnagpt.rna_qa.literature.llm.language_model import (
    AuthenticationError,
    BudgetExceeded,
    UnknownModel,
)


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> LiteratureOptions:
    """Eight RNAs; the last one shares names and papers with the first."""
    folder = tmp_path_factory.mktemp("literature")
    rnas = make_rnas(8)
    rnas[7] = {**rnas[7], "names": rnas[0]["names"]}
    return LiteratureOptions(
        rnas=str(write_lines(folder / "rnas.jsonl", rnas)),
        papers=str(write_lines(folder / "papers.jsonl", make_papers(make_rnas(7), 6))),
        shard_size=4,
        clusters="kmers",
        test=0.2,
        mode="both",
        language_model=MODEL,
        token_budget=600,
    )


def test_both_modes_end_in_claims_that_stand(
    options: LiteratureOptions, run: RunOptions, service: FakeOpenAi, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    record = build(out, options, run)["record"]
    papers = map(json.loads, Path(str(options.papers)).read_text().splitlines())
    abstracts = {f"PMID:{paper['pmid']}": paper["abstract"] for paper in papers}
    for suffix in ("", "_ais"):
        annotations = read_rows(out, f"annotations{suffix}")
        assert {row["model"] for row in annotations} == {MODEL}
        claims = [claim for row in annotations for claim in row["claims"]]
        assert len(claims) > 15
        for claim in claims:
            assert any(claim["quote"] in abstracts[paper] for paper in claim["papers"])
            assert INVENTED not in claim["text"]
        quotes = {claim["quote"] for claim in claims}
        asked = read_rows(out, f"qa{suffix}")
        assert asked
        assert {row["quote"] for row in asked} <= quotes
        counts = record["counts"][f"annotate-{'ais' if suffix else 'dnc'}"]
        assert sum(n for name, n in counts.items() if name.startswith("rejected: ")) > 0
    assert max(service.received.values()) == 1  # RNAs that share names and papers share requests
    loaded = load_dataset(str(out), "qa_ais", split="train")
    assert loaded.num_rows == len(read_rows(out, "qa_ais", "train"))
    card = (out / "README.md").read_text(encoding="utf-8")
    assert f"`{MODEL}`; prompts (SHA-256): " in card


def test_nothing_is_asked_again(
    options: LiteratureOptions, run: RunOptions, service: FakeOpenAi, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    build(out, options, run)
    before, finished = service.received.total(), read_bytes(out)
    assert build(out, options, run)["done"] == []
    build(out, replace(options, test=0.3), run)
    build(out, replace(options, mode="dnc"), run)
    for path in (out / ".work").glob("*-dnc/*"):
        path.unlink()
    build(out, options, run)
    assert service.received.total() == before
    assert read_bytes(out) == finished


def test_annotations_of_an_older_release_are_made_again_from_cached_answers(
    options: LiteratureOptions,
    run: RunOptions,
    service: FakeOpenAi,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as older:
        older.setitem(STAGE_VERSIONS, "annotate", 1)  # counted "refused" claims
        build(tmp_path, options, run)
    asked, rows = service.received.total(), read_rows(tmp_path, "annotations")
    assert "annotate" in build(tmp_path, options, run)["done"]
    assert service.received.total() == asked
    assert read_rows(tmp_path, "annotations") == rows


def test_a_spent_budget_stops_and_more_goes_on(
    options: LiteratureOptions, run: RunOptions, service: FakeOpenAi, tmp_path: Path
) -> None:
    build(tmp_path / "whole", options, run)
    asked = service.received.total()
    out = tmp_path / "out"
    with pytest.raises(BudgetExceeded, match="raise --budget"):
        build(out, options, replace(run, budget=0.004, prices=(0.15, 0.60)))
    totals = read_totals(out / ".work")
    assert totals is not None
    assert 0 < totals.spent_usd <= 0.004
    build(out, options, replace(run, budget=5.0))
    assert read_bytes(out) == read_bytes(tmp_path / "whole")
    assert service.received.total() == 2 * asked


def test_batches_end_in_the_same_data_set(
    options: LiteratureOptions,
    run: RunOptions,
    service: FakeOpenAi,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build(tmp_path / "direct", options, run)
    service.received.clear()
    monkeypatch.setattr(pipeline, "POLL_SECONDS", 0.01)
    service.batch_ends.extend(["completed", "half failed", "expired"])
    service.lose_batches = 1
    out = tmp_path / "batches"
    build(out, options, replace(run, batch_api=True))
    assert read_bytes(out) == read_bytes(tmp_path / "direct")
    assert max(service.completed.values()) == 2  # once directly, once in a batch
    direct, batches = (read_totals(tmp_path / name / ".work") for name in ("direct", "batches"))
    assert direct is not None
    assert batches is not None
    assert batches.answers_usd == pytest.approx(direct.answers_usd / 2, rel=0.01)


def test_a_wrong_key_and_an_unknown_model_stop_at_once(
    options: LiteratureOptions,
    run: RunOptions,
    service: FakeOpenAi,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(UnknownModel, match="has no model 'gpt-5o'"):
        build(tmp_path / "out", replace(options, language_model="gpt-5o"), run)
    assert service.received.total() <= run.concurrency
    monkeypatch.setenv("RNAQA_API_KEY", "sk-wrong")
    with pytest.raises(AuthenticationError, match="does not accept the API key"):
        build(tmp_path / "out", options, run)


def test_faults_leave_no_trace_in_the_data_set(
    options: LiteratureOptions, run: RunOptions, service: FakeOpenAi, tmp_path: Path
) -> None:
    dnc = replace(options, mode="dnc")
    build(tmp_path / "calm", dnc, run)
    service.faults.extend(["429 after 0.1", "500", "html", "cut", "html 200"])
    build(tmp_path / "stormy", dnc, run)
    assert read_bytes(tmp_path / "stormy") == read_bytes(tmp_path / "calm")


def test_answers_that_cannot_be_used_are_quarantined_and_counted(
    options: LiteratureOptions, run: RunOptions, service: FakeOpenAi, tmp_path: Path
) -> None:
    service.faults.extend(["invalid", "refusal", "whitespace"])
    out = tmp_path / "out"
    record = build(out, replace(options, mode="dnc"), replace(run, concurrency=1))["record"]
    rejected = record["counts"]["annotate-dnc"]
    assert sum(n for name, n in rejected.items() if name.startswith("rejected: no answer")) >= 2
    quarantined = (out / ".work" / "quarantine.jsonl").read_text().splitlines()
    assert any("not JSON" in line for line in quarantined)


@pytest.mark.parametrize("mode", ["dnc", "ais"])
def test_the_assumed_estimate_is_roughly_what_comes(
    options: LiteratureOptions, run: RunOptions, service: FakeOpenAi, tmp_path: Path, mode: str
) -> None:
    one = replace(options, mode=mode)
    expected = estimate(tmp_path, one, run, Services())
    assert service.received.total() == 0
    assert (expected.rnas, expected.shared) == (8, 1)
    build(tmp_path, one, run)
    totals = read_totals(tmp_path / ".work")
    assert totals is not None
    # For closer bounds, see test_estimate.py.
    assert expected.by_mode[mode].input_tokens == pytest.approx(totals.tokens_in, rel=0.3)
    assert "gpt-4o-mini" not in expected.describe()
    assert "per 1,000 RNAs" in expected.describe()


def test_the_command_with_a_model(
    options: LiteratureOptions,
    service: FakeOpenAi,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["literature", str(tmp_path), "--rnas", str(options.rnas), "--papers"]
    command += [str(options.papers), "--language-model", MODEL, "--base-url", service.base_url]
    command += ["--workers", "1", "--clusters", "kmers"]
    assert main([*command, "--estimate"]) == 0
    assert "per 1,000 RNAs" in capsys.readouterr().out
    assert main([*command, "--budget", "0.0001"]) == 2
    assert "raise --budget and run again" in capsys.readouterr().err
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "rejected (dnc)" in said
    assert "cost        $0.0" in said
    assert main(["status", str(tmp_path)]) == 0
    assert "requests    " in capsys.readouterr().out
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(KEY.encode() in path.read_bytes() for path in kept)
