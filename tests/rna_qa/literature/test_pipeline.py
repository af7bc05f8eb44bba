"""The whole literature build, by the command and by the function, without a language model."""

import errno
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from helpers.finished_dataset import ONE, read_bytes, read_rows
from helpers.tiny_literature import make_papers, make_rnas, write_lines, write_literature

from rnagpt.cli.rna_qa import main
from rnagpt.reference.library import Reference
from rnagpt.rna_qa.literature.build import pipeline
from rnagpt.rna_qa.literature.build.export import ANNOTATIONS, PAPERS, QA
from rnagpt.rna_qa.literature.build.pipeline import BusyError, build
from rnagpt.rna_qa.literature.build.reference import rna_record
from rnagpt.rna_qa.literature.build.settings import STAGES, LiteratureOptions, RunOptions
from rnagpt.rna_qa.literature.claims import extractive
from rnagpt.rna_qa.literature.claims.categories import CATEGORIES
from rnagpt.rna_qa.literature.records import Annotation, Claim, Rna

SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_literature(tmp_path_factory.mktemp("literature"), rnas=24, per_rna=6)


@pytest.fixture(scope="module")
def options(files: tuple[Path, Path]) -> LiteratureOptions:
    rnas, papers = map(str, files)
    return LiteratureOptions(
        rnas=rnas, papers=papers, shard_size=8, clusters="kmers", test=0.2, validation=0.1
    )


@pytest.fixture(scope="module")
def built(options: LiteratureOptions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("build") / "out"
    build(out, options, ONE)
    return out


@pytest.fixture
def copied(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "out"))


def test_claims_quote_their_papers_and_answers_their_claims(
    built: Path, files: tuple[Path, Path]
) -> None:
    with gzip.open(files[1], "rt") as lines:
        papers = {f"PMID:{p['pmid']}": p["abstract"] for p in map(json.loads, lines)}
    annotations = read_rows(built, "annotations")
    assert len(annotations) == 24
    for row in annotations:
        assert row["claims"]
        for claim in row["claims"]:
            (paper,) = claim["papers"]
            assert claim["quote"] in papers[paper]
            assert row["names"][0] in claim["quote"]
            assert claim["text"] in row["annotation"]
            assert claim["category"] in CATEGORIES
            assert claim["suggested"] is False
            assert row["names"][0] not in claim["other_rnas"]
        assert row["evidence"] == sorted({p for claim in row["claims"] for p in claim["papers"]})
        assert (row["model"], row["organism"], row["taxid"]) == (None, "Homo sapiens", 9606)
    quotes = {claim["quote"] for row in annotations for claim in row["claims"]}
    asked = read_rows(built, "qa")
    assert {row["quote"] for row in asked} <= quotes
    assert all(set(row["evidence"]) <= papers.keys() for row in asked)


def test_no_cluster_family_or_set_of_papers_lies_in_two_splits(built: Path) -> None:
    places: dict[Any, set[str]] = defaultdict(set)
    for split in SPLITS:
        rows = read_rows(built, "annotations", split)
        assert rows
        for row in rows:
            assert row["split"] == split
            for thing in (row["cluster"], row["family"], row["sequence"], str(row["evidence"])):
                places[thing].add(split)
    assert all(len(where) == 1 for where in places.values())
    training = {row["quote"] for row in read_rows(built, "qa", "train")}
    assert not training & {row["quote"] for row in read_rows(built, "qa", "test")}


def test_questions_of_an_rna_are_contiguous(built: Path) -> None:
    for split in SPLITS:
        asked = read_rows(built, "qa", split)
        rnas = {row["id"] for row in asked}
        assert sum(a["id"] != b["id"] for a, b in pairwise(asked)) == len(rnas) - 1
        assert rnas <= {row["id"] for row in read_rows(built, "annotations", split)}


def test_the_record_counts_what_is_there(built: Path) -> None:
    record = json.loads((built / "build.json").read_text(encoding="utf-8"))
    counts = record["counts"]
    for split in SPLITS:
        assert counts["annotations"][split] == len(read_rows(built, "annotations", split))
        asked = read_rows(built, "qa", split)
        assert counts["qa"][split] == {
            "rows": len(asked),
            **Counter(row["category"] for row in asked),
        }
    papers = read_rows(built, "papers")
    assert counts["papers"] == Counter(paper["licence"] or "unknown" for paper in papers)
    assert counts["corpus"]["papers"] == len(papers) == 144
    card = (built / "README.md").read_text(encoding="utf-8")
    assert "<<" not in card
    assert f"| `qa` | `train` | {counts['annotations']['train']} | " in card
    assert "no language model wrote anything" in card
    engine = json.loads((built / "reference" / "manifest.json").read_text())["engine"]
    assert f"`{engine}`, which needs no program" in card


def test_no_title_or_abstract_is_in_the_data_set(built: Path, files: tuple[Path, Path]) -> None:
    with gzip.open(files[1], "rt") as lines:
        papers = [json.loads(line) for line in lines]
    everything = json.dumps(
        [read_rows(built, name) for name in ("qa", "annotations", "papers")], ensure_ascii=False
    )
    assert not any(paper["title"] in everything for paper in papers)
    assert not any(paper["abstract"] in everything for paper in papers)


def test_its_rnas_are_found_with_their_claims_and_papers(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNAGPT_CACHE", str(tmp_path))
    reference = Reference.open(built)
    reference.check()
    assert (reference.manifest.rnas, reference.manifest.families) == (24, 0)
    rows = {row["id"]: row for row in read_rows(built, "annotations")}
    for record, sequence in reference.rnas():
        row = rows.pop(record.id)
        assert (sequence, record.name, record.type) == (
            row["sequence"],
            row["names"][0],
            row["rna_type"],
        )
        assert [(claim.text, claim.quote) for claim in record.claims] == [
            (claim["text"], claim["quote"]) for claim in row["claims"]
        ]
        assert {f"PMID:{paper}" for paper in record.papers} == set(row["evidence"])
        hits = {hit.record.id: hit for hit in reference.search(sequence)}
        assert hits[record.id].record == record
        assert hits[record.id].identity == 1
    assert not rows


def test_rnas_of_one_sequence_stay_apart_in_the_reference(tmp_path: Path) -> None:
    rnas = make_rnas(4)
    rnas[3]["sequence"] = rnas[0]["sequence"]
    options = LiteratureOptions(
        rnas=str(write_lines(tmp_path / "rnas.jsonl", rnas)),
        papers=str(write_lines(tmp_path / "papers.jsonl", list(make_papers(rnas, 4)))),
        clusters="kmers",
    )
    build(tmp_path / "out", options, ONE)
    held = [(record.id, sequence) for record, sequence in Reference.open(tmp_path / "out").rnas()]
    assert held == [(rna["id"], rna["sequence"]) for rna in rnas]


def test_a_build_of_a_release_without_a_reference_gets_one(
    copied: Path, options: LiteratureOptions
) -> None:
    before = read_bytes(copied)
    shutil.rmtree(copied / "reference")
    record = json.loads((copied / "build.json").read_text(encoding="utf-8"))
    (copied / "build.json").write_text(json.dumps(record | {"fingerprint": "of before"}))
    assert build(copied, options, ONE)["done"] == ["export"]
    assert read_bytes(copied) == before


def test_a_record_cites_papers_as_answers_do() -> None:
    rna = Rna("x", "ACGU", (), "miRNA")
    claim = Claim("It binds.", ("PMID:1", "DOI:10.1/a", "PMCID:PMC7"), "binds")
    annotations = [Annotation("x", mode, "", (claim,)) for mode in ("dnc", "ais")]
    record = rna_record(rna, annotations)
    assert (record.name, record.papers) == ("x", ("1", "10.1/a", "PMC7"))
    assert [one.quote for one in record.claims] == ["binds"]


def test_datasets_and_the_training_script_load_it(built: Path) -> None:
    datasets = pytest.importorskip("datasets")
    from rnagpt.training.rows import load_rnas

    for configuration, schema in (("qa", QA), ("annotations", ANNOTATIONS), ("papers", PAPERS)):
        loaded = datasets.load_dataset(str(built), configuration)
        assert set(loaded) == ({"train"} if configuration == "papers" else set(SPLITS))
        assert loaded["train"].column_names == schema.names
        assert loaded["train"].num_rows == len(read_rows(built, configuration, "train"))
    default = datasets.load_dataset(str(built), split="test")
    assert default.column_names == QA.names
    for stage, kind in (("alignment", "annotations"), ("instruction", "qa")):
        rnas = load_rnas(str(built), None, "train", stage)
        assert len(rnas) == len({row["id"] for row in read_rows(built, kind, "train")})
        assert all(rnas["answers"])


def test_the_same_bytes_with_two_processes_and_papers_in_another_order(
    built: Path, options: LiteratureOptions, files: tuple[Path, Path], tmp_path: Path
) -> None:
    build(tmp_path / "two", options, RunOptions(workers=2))
    assert read_bytes(tmp_path / "two") == read_bytes(built)
    with gzip.open(files[1], "rt") as lines:
        backwards = [json.loads(line) for line in lines][::-1]
    papers = write_lines(tmp_path / "papers.jsonl", backwards)
    build(tmp_path / "backwards", replace(options, papers=str(papers)), ONE)
    for kind in ("qa", "annotations", "papers"):
        assert read_rows(tmp_path / "backwards", kind) == read_rows(built, kind)


def test_a_finished_build_is_left_alone(
    options: LiteratureOptions, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.stat().st_mtime_ns for path in copied.rglob("*.parquet")}
    monkeypatch.setattr(pipeline, "make_shard", None)
    assert build(copied, options, ONE)["done"] == []
    assert {path: path.stat().st_mtime_ns for path in copied.rglob("*.parquet")} == before


def test_a_changed_option_is_said_and_only_what_it_touches_is_redone(
    options: LiteratureOptions, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = replace(options, test=0.3)
    assert build(copied, changed, ONE)["done"] == ["splits", "export"]
    said = capsys.readouterr().err
    assert "--test was 0.2, is 0.3" in said
    assert "checked again: splits, export" in said
    assert len(read_rows(copied, "annotations", "test")) > 24 * 0.2
    assert build(copied, replace(changed, claims_per_topic=1), ONE)["done"] == [
        "annotate",
        "questions",
        "splits",
        "export",
    ]
    # And back: the same files as the first time.
    fresh = copied.with_name("fresh")
    build(fresh, options, ONE)
    build(copied, options, ONE)
    assert read_bytes(copied) == read_bytes(fresh)


def test_new_papers_redo_the_shards_that_they_touch_alone(
    options: LiteratureOptions,
    files: tuple[Path, Path],
    copied: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with gzip.open(files[1], "rt") as lines:
        papers = [json.loads(line) for line in lines]
    first = next(paper for paper in papers if "miR-9001 " in paper["abstract"])
    first["retracted"] = True
    changed = write_lines(tmp_path / "papers.jsonl", papers)
    annotated = []
    annotate = extractive.annotate

    def watch(rna: Any, *others: Any, **options: Any) -> Any:
        annotated.append(rna.id)
        return annotate(rna, *others, **options)

    monkeypatch.setattr(extractive, "annotate", watch)
    build(copied, replace(options, papers=str(changed)), ONE)
    touched = {row["id"] for row in make_rnas(24)[:8]}
    assert set(annotated) <= touched
    assert f"PMID:{first['pmid']}" not in {row["id"] for row in read_rows(copied, "papers")}


def test_stages_alone(options: LiteratureOptions, built: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ValueError, match="the stage select is not done"):
        build(out, options, ONE, stages=("topics",))
    for stage in STAGES:
        assert build(out, options, ONE, stages=(stage,))["done"] == [stage]
    assert read_bytes(out) == read_bytes(built)


def test_a_second_run_in_the_same_folder_is_rejected(
    options: LiteratureOptions, tmp_path: Path
) -> None:
    work = tmp_path / ".work"
    work.mkdir()
    (work / "lock.pid").write_text("4321")
    with FileLock(work / "lock"), pytest.raises(BusyError, match="built by process 4321"):
        build(tmp_path, options, ONE)


def test_a_folder_of_something_else_is_rejected(options: LiteratureOptions, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(FileExistsError, match=r"thesis\.tex"):
        build(tmp_path, options, ONE)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_rnas_without_papers_and_bad_ones_are_counted(tmp_path: Path) -> None:
    rnas = make_rnas(4)
    papers = list(make_papers(rnas, 4))
    rnas.append({**rnas[0], "id": "lonely", "names": ["miR-9999"]})
    rnas.append({**rnas[0], "id": "wrong", "sequence": "ACGX"})
    rnas.append(rnas[1])
    papers[0]["abstract"] = ""
    options = LiteratureOptions(
        rnas=str(write_lines(tmp_path / "rnas.jsonl", rnas)),
        papers=str(write_lines(tmp_path / "papers.jsonl", papers)),
        clusters="kmers",
    )
    counts = build(tmp_path / "out", options, ONE)["record"]["counts"]
    assert counts["topics"]["rnas without papers"] == 1
    assert list(counts["corpus"]["skipped"]["rna"]) == ["sequence with 'X'"]
    assert sum(counts["corpus"]["skipped"]["paper"].values()) == 1
    assert sum(counts["annotations"].values()) == 4


def test_nothing_to_say_is_said(tmp_path: Path, files: tuple[Path, Path]) -> None:
    papers = write_lines(tmp_path / "papers.jsonl", [])
    options = LiteratureOptions(rnas=str(files[0]), papers=str(papers))
    with pytest.raises(ValueError, match="no RNA has a claim that stands"):
        build(tmp_path / "out", options, ONE)


def test_a_bad_line_is_shown(tmp_path: Path, files: tuple[Path, Path]) -> None:
    rnas = tmp_path / "rnas.jsonl"
    rnas.write_text(files[0].read_text() + '{"id": "x"}\n')
    options = LiteratureOptions(rnas=str(rnas), papers=str(files[1]))
    with pytest.raises(ValueError, match=r"rnas\.jsonl, line 25: no sequence"):
        build(tmp_path / "out", options, ONE)


def test_licences_keep_papers_under_these_alone(options: LiteratureOptions, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(out, replace(options, licences=("cc-by", "cc0")), ONE)
    assert {paper["licence"] for paper in read_rows(out, "papers")} == {"cc by", "cc0"}
    assert "license: cc-by-4.0" in (out / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rnas": None}, "--source files needs --rnas"),
        ({"source": "http"}, "--rnas goes with --source files"),
        ({"mode": "dnc"}, "--mode dnc needs --language-model"),
        ({"language_model": "m"}, "extractive mode uses no language model"),
        ({"test": 0.7, "validation": 0.4}, "leave nothing to train on"),
        ({"max_topics": 0}, "--max-topics is 0"),
        ({"shard_size": 0}, "--shard-size is 0"),
        ({"require_mention": "title"}, "--require-mention is 'title'"),
    ],
)
def test_options_that_cannot_be(wrong: dict[str, Any], message: str) -> None:
    right = {"rnas": "rnas.jsonl", "papers": "papers.jsonl"}
    with pytest.raises(ValueError, match=message):
        LiteratureOptions(**{**right, **wrong})


# The command


def run_command(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rnagpt.cli.rna_qa", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_the_command_builds_and_tells(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["literature", str(out), "--rnas", str(files[0]), "--papers", str(files[1])]
    command += ["--extractive", "--clusters", "kmers", "--workers", "1"]
    assert main(["status", str(out)]) == 2
    assert "holds no build" in capsys.readouterr().err
    assert main([*command, "--stages", "select,papers,topics"]) == 0
    capsys.readouterr()
    assert main(["status", str(out), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    done = {stage["name"]: (stage["done"], stage["units"]) for stage in status["stages"]}
    assert (done["topics"], done["annotate-extractive"]) == ((1, 1), (0, 1))
    assert not status["finished"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "RNAs        24 read" in said
    assert "claims      " in said
    assert main(["status", str(out)]) == 0
    assert "finished" in capsys.readouterr().out
    assert main([*command, "--mode", "dnc"]) == 2
    assert "--extractive uses no language model" in capsys.readouterr().err


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom rnagpt.cli.rna_qa import build_parser\nbuild_parser()\n"
        "heavy = {'torch', 'numpy', 'pyarrow', 'datatrove', 'tomotopy', 'openai', 'psycopg'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    text = run_command("literature", "--help").stdout
    for option in ("--query", "--mode", "--base-url", "--budget", "--batch-api", "--estimate"):
        assert option in text


def test_a_disk_that_is_full_is_said_and_the_build_goes_on_later(
    files: tuple[Path, Path],
    built: Path,
    options: LiteratureOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    command = ["literature", str(out), "--rnas", str(files[0]), "--papers", str(files[1])]
    command += ["--workers", "1", "--shard-size", "8", "--clusters", "kmers"]
    command += ["--test", "0.2", "--validation", "0.1"]
    fsync, written = os.fsync, []

    def fill_up(handle: int) -> None:
        written.append(handle)
        if len(written) > 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fill_up)
        assert main(command) == 2
    said = capsys.readouterr().err
    assert "no room for" in said
    assert "run the same command again" in said
    assert not list(out.rglob("*.partial-*"))
    assert not (out / "build.json").exists()
    assert list(out.glob(".work/topics/*.gz"))
    build(out, options, ONE)
    assert read_bytes(out) == read_bytes(built)


def test_a_shard_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """The system rejects to let a file grow, as on a full disk."""
    code = (
        "import resource, sys; from pathlib import Path;"
        "from rnagpt.rna_qa.literature.build.shards import DiskFullError, Sidecar, write_shard;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY));"
        "path = Path(sys.argv[1]);"
        "few, many = ([str(n * n * n) for n in range(m)] for m in (9, 9999));"
        "write_shard(path, few, lambda sha256: Sidecar('few', sha256))\n"
        "try: write_shard(path, many, lambda sha256: Sidecar('many', sha256))\n"
        "except DiskFullError as error: print(error)"
    )
    path = tmp_path / "s" / "00000.jsonl.gz"
    command = [sys.executable, "-c", code, str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"no room for {path}" in said
    # The old file, without the sidecar that would call it finished.
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert len(gzip.decompress(path.read_bytes()).split()) == 9


def test_ctrl_c_stops_cleanly(files: tuple[Path, Path], tmp_path: Path) -> None:
    rnas, papers = write_literature(tmp_path / "more", rnas=200, per_rna=8)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "rnagpt.cli.rna_qa", "literature", out, "--rnas", rnas]
    command += ["--papers", papers, "--shard-size", "4", "--workers", "2"]
    process = subprocess.Popen(
        list(map(str, command)),
        stderr=subprocess.PIPE,
        text=True,
        # Tests that run as a background job are given an ignored Ctrl-C, and would pass it on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not list(out.glob(".work/topics/*.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "the same command resumes from here" in said
    assert "Traceback" not in said
    assert not (out / "build.json").exists()
    time.sleep(1)
    assert str(out) not in os.popen("ps -eo args").read()


def test_request_options_that_cannot_be_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["literature", str(tmp_path), "--rnas", "r", "--papers", "p"]
    command += ["--language-model", "any", "--request-options"]
    with pytest.raises(SystemExit):
        main([*command, "temperature=1"])
    assert "expected JSON" in capsys.readouterr().err
    assert main([*command, '{"stream": true}']) == 2
    assert "may not set stream" in capsys.readouterr().err
    for wrong in (
        '{"max_tokens": 0}',
        '{"max_tokens": 9, "max_completion_tokens": 9}',
        '{"max_tokens": null, "max_completion_tokens": null}',
    ):
        assert main([*command, wrong]) == 2
        assert "bound" in capsys.readouterr().err
    assert main([*command, '{"response_format": {"type": "text"}}']) == 2
    assert "the build sets the schema" in capsys.readouterr().err
