"""The whole build, by the command and by the function."""

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from helpers.made_seed import OPTIONS, make_seed
from helpers.paths import DATA

from rnagpt import __version__
from rnagpt.cli.rna_qa import main
from rnagpt.rna_qa.export import ANNOTATIONS, CARD, QA, write_split
from rnagpt.rna_qa.rfam import build as rfam
from rnagpt.rna_qa.rfam.build import Options, build
from rnagpt.rna_qa.rfam.downloads import Source
from rnagpt.rna_qa.splits import SPLITS

SEED = DATA / "rfam_five_families.seed"


def read_rows(folder: Path, configuration: str, split: str) -> list[dict[str, Any]]:
    files = sorted((folder / configuration).glob(f"{split}-*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def read_bytes(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        # A reference's manifest holds its date.
        if path.is_file() and path.name != "manifest.json"
    }


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_seed(tmp_path_factory.mktemp("seed") / "Rfam.seed.gz")


@pytest.fixture(scope="module")
def built(seed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("build") / "out"
    build(Source(str(seed)), None, out, OPTIONS)
    return out


def test_rows_and_splits(built: Path) -> None:
    rows = {split: read_rows(built, "annotations", split) for split in SPLITS}
    assert sum(map(len, rows.values())) == 400
    assert all(rows.values())
    clusters: dict[int, set[str]] = defaultdict(set)
    families: dict[str, set[str]] = defaultdict(set)
    for split, members in rows.items():
        for row in members:
            assert row["split"] == split
            clusters[row["cluster"]].add(split)
            families[row["family_accession"]].add(split)
            if row["clan"]:
                families[row["clan"]].add(split)
    assert len(clusters) == 200
    assert all(len(where) == 1 for where in clusters.values())
    assert all(
        where == {"test_families"} or "test_families" not in where for where in families.values()
    )
    row = rows["train"][0]
    number = int(row["family_accession"][2:])
    assert row["family_description"] == f"Made RNA {number}"
    assert row["evidence"] == [str(10_000_000 + number)]
    assert row["annotation"].startswith(f"Made RNA {number}, a ")
    assert f"It binds protein {number}." in row["annotation"]
    assert row["organism"] is None


def test_questions_follow_their_rnas(built: Path) -> None:
    for split in SPLITS:
        rnas = [row["id"] for row in read_rows(built, "annotations", split)]
        questions = read_rows(built, "qa", split)
        assert list(dict.fromkeys(row["id"] for row in questions)) == rnas
        changes = sum(a["id"] != b["id"] for a, b in pairwise(questions))
        assert changes == len(rnas) - 1  # the rows of an RNA are contiguous
        assert min(Counter(row["id"] for row in questions).values()) >= 9
        assert {row["split"] for row in questions} == {split}


def test_the_record_counts_what_is_there(built: Path) -> None:
    record = json.loads((built / "build.json").read_text(encoding="utf-8"))
    assert record["read"] == {"families": 40, "sequences": 400, "duplicates": 0}
    assert record["problems"] == []
    for configuration, counts in record["counts"].items():
        for split, figures in counts.items():
            assert figures["rows"] == len(read_rows(built, configuration, split))
    card = (built / "README.md").read_text(encoding="utf-8")
    assert f"| `train` | {record['counts']['annotations']['train']['rows']} | " in card
    template = CARD.read_text(encoding="utf-8").splitlines()
    added = [line for line in card.splitlines() if line not in template]
    hashes = [line for line in added if line.startswith('    description: "SHA-256 of its files: ')]
    assert len(set(hashes)) == 2
    # Some 4,000 questions, and not what all of Rfam gives.
    assert "size_categories: [1K<n<10K]" in added
    assert set(template) - set(card.splitlines()) == {
        "size_categories: [100K<n<1M]",
        "The build writes its figures here: RNAs, families, clusters and questions of each split.",
    }
    assert record["files"] == {
        path: hashlib.sha256(content).hexdigest()
        for path, content in read_bytes(built).items()
        if path.endswith(".parquet")
    }
    assert not (built / ".partial").exists()


def test_datasets_loads_both_configurations(built: Path) -> None:
    datasets = pytest.importorskip("datasets")
    for configuration, schema in (("qa", QA), ("annotations", ANNOTATIONS)):
        loaded = datasets.load_dataset(str(built), configuration)
        assert set(loaded) == set(SPLITS)
        assert loaded["test"].column_names == schema.names
        assert loaded["test"].num_rows == len(read_rows(built, configuration, "test"))
    default = datasets.load_dataset(str(built), split="test")
    assert default.column_names == QA.names


def test_the_same_bytes_again_and_others_with_another_seed(
    seed: Path, built: Path, tmp_path: Path
) -> None:
    build(Source(str(seed)), None, tmp_path / "again", OPTIONS)
    assert read_bytes(tmp_path / "again") == read_bytes(built)
    build(
        Source(str(seed)), None, tmp_path / "other", Options(**{**vars(OPTIONS), "random_seed": 1})
    )
    other = read_bytes(tmp_path / "other")
    same = {name for name, content in read_bytes(built).items() if other.get(name) == content}
    assert same == {name for name in other if name.startswith("reference/")}


def test_a_finished_build_is_left_alone(
    seed: Path, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(built, out)
    before = read_bytes(out)
    other = replace(OPTIONS, test=0.3)
    with monkeypatch.context() as patch:
        patch.setattr(rfam, "read_seed", None)
        assert build(Source(str(seed)), None, out, OPTIONS) == json.loads(before["build.json"])
        with pytest.raises(FileExistsError, match=r"a build with other options; .* --overwrite"):
            build(Source(str(seed)), None, out, other)
        with pytest.raises(FileExistsError, match="a build with other sources"):
            build(Source(str(SEED)), None, out, OPTIONS)
    assert read_bytes(out) == before
    record = build(Source(str(seed)), None, out, other, overwrite=True)
    assert record["options"]["test"] == 0.3
    assert (
        read_bytes(out)["qa/test-00000-of-00001.parquet"]
        != before["qa/test-00000-of-00001.parquet"]
    )


def test_an_interrupted_build_is_gone_on_with(
    seed: Path, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    for step in ("write_split", "write_card", "move_into_place"):
        with monkeypatch.context() as patch:
            patch.setattr(rfam, step, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                build(Source(str(seed)), None, out, OPTIONS)
        assert not (out / "build.json").exists()
    build(Source(str(seed)), None, out, OPTIONS)
    assert read_bytes(out) == read_bytes(built)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_something_else_is_rejected(
    seed: Path, tmp_path: Path, overwrite: bool
) -> None:
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(FileExistsError, match=r"files of something else \(README.md\)"):
        build(Source(str(seed)), None, tmp_path, OPTIONS, overwrite=overwrite)
    assert read_bytes(tmp_path) == {"README.md": b"mine"}


def test_broken_records_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = SEED.read_text(encoding="utf-8").replace("#=GF AC   RF00970\n", "")
    broken = broken.replace(
        "AACY023226915.1/901-837      AAUU", "AACY023226915.1/901-837      !AUU"
    )
    (tmp_path / "seed").write_text(broken.removesuffix("//\n"), encoding="utf-8")
    arguments = [
        "rfam",
        "--seed-alignments",
        f"{tmp_path}/seed",
        "--clusters",
        "kmers",
        f"{tmp_path}/out",
    ]
    assert main(arguments) == 0
    record = json.loads((tmp_path / "out" / "build.json").read_text(encoding="utf-8"))
    # GadY's five sequences hold two that are the same.
    assert record["read"] == {"families": 3, "sequences": 16, "duplicates": 1}
    assert [problem.split(", ", 1)[1] for problem in record["problems"]] == [
        "mir-648: no accession (#=GF AC)",
        "RF01826 AACY023226915.1/901-837: letters that are not nucleotides: '!'",
        "RF03106: has no end ('//' is missing)",
    ]
    captured = capsys.readouterr()
    assert all(f"left out: {problem}" in captured.err for problem in record["problems"])
    assert "3 records left out" in captured.out


def test_without_files_it_downloads_from_rfam(
    seed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a server that stands in for Rfam's; a finished build asks it for nothing more."""
    served = tmp_path / "served"
    served.mkdir()
    shutil.copy(seed, served / "Rfam.seed.gz")
    (served / "family.txt.gz").write_bytes(gzip.compress((DATA / "rfam_family.txt").read_bytes()))
    handler = partial(SimpleHTTPRequestHandler, directory=str(served))
    out = tmp_path / "out"
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setenv("RNAQA_RFAM_SEED_URL", f"{address}/Rfam.seed.gz")
        monkeypatch.setenv("RNAQA_RFAM_FAMILY_URL", f"{address}/family.txt.gz")
        assert main(["rfam", "--clusters", "kmers", str(out)]) == 0
        server.shutdown()
    record = json.loads((out / "build.json").read_text(encoding="utf-8"))
    assert record["read"]["families"] == 40
    assert record["sources"] == {
        "seed": f"{address}/Rfam.seed.gz",
        "families": f"{address}/family.txt.gz",
    }
    assert record["sha256"]["seed"] == hashlib.sha256(seed.read_bytes()).hexdigest()
    assert main(["rfam", "--clusters", "kmers", str(out)]) == 0


def test_a_leak_stops_the_build(
    seed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        rfam, "split_members", lambda members, *_: [SPLITS[n % 4] for n in range(len(members))]
    )
    with pytest.raises(RuntimeError, match="the splits leak in"):
        build(Source(str(seed)), None, tmp_path / "out", OPTIONS)
    assert not (tmp_path / "out" / "build.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--test", "1.5"], "--test is 1.5; expected a share from 0 to 1"),
        (["--test", "0.6", "--validation", "0.5"], "leave nothing to train on"),
        (["--families", "/none"], "/none: no such file"),
        (["--families", str(SEED)], "expected the `family` table"),
        (["--seed-alignments", str(DATA / "rfam_family.txt")], "no sound family found"),
    ],
)
def test_errors_are_said_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["rfam", "--seed-alignments", str(SEED), *options, str(tmp_path / "out")]) == 2
    captured = capsys.readouterr()
    assert captured.err.strip().splitlines()[-1].startswith("rna-qa rfam: ")
    assert message in captured.err


def test_shards_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnagpt.rna_qa.export.ROWS_PER_SHARD", 10)
    monkeypatch.setattr("rnagpt.rna_qa.export.ROWS_PER_GROUP", 4)
    rows = [dict.fromkeys(QA.names) | {"id": str(number)} for number in range(25)]
    write_split(tmp_path / "qa", "train", rows, 25, QA)
    assert sorted(path.name for path in (tmp_path / "qa").iterdir()) == [
        f"train-0000{shard}-of-00003.parquet" for shard in range(3)
    ]
    assert [row["id"] for row in read_rows(tmp_path, "qa", "train")] == [str(n) for n in range(25)]
    for wrong in (24, 26):
        with pytest.raises(ValueError, match=f"{wrong} rows announced"):
            write_split(tmp_path / "qa", "test", rows, wrong, QA)


def test_help_is_quick_and_teaches() -> None:
    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "rnagpt.cli.rna_qa", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    before = os.times().children_user
    assert "rna-qa rfam --seed-alignments Rfam.seed.gz rna-qa-data" in run("--help")
    assert os.times().children_user - before < 2
    assert run("--version") == f"rna-qa {__version__}\n"
    text = run("rfam", "--help")
    assert 'load_dataset("OUT", "qa", split="train")' in text
    for option in ("--seed-alignments", "--families", "--seed N", "--overwrite", "--test-families"):
        assert option in text


def test_neither_the_model_nor_torch_is_imported() -> None:
    code = (
        "import sys, rnagpt.rna_qa.rfam.build, rnagpt.cli.rna_qa\n"
        "wrong = {'torch', 'transformers', 'rnagpt.modeling_rnagpt', 'rnagpt.processing_rnagpt'}\n"
        "assert not wrong & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
