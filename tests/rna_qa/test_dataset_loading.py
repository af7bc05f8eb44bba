"""Data sets are read as they are now, by users of `datasets` and by training, in one cache.

What is right is read from the Parquet files themselves, by pyarrow.
"""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from datasets import get_dataset_config_names, load_dataset
from helpers.made_seed import make_seed
from helpers.tiny_literature import write_literature
from helpers.tiny_rna_qa import make_rna_qa

from rnagpt.cli.rna_qa import main
from rnagpt.evaluation import tasks as questions_asked
from rnagpt.rna_qa.literature.build import pipeline
from rnagpt.rna_qa.literature.build.settings import LiteratureOptions, RunOptions
from rnagpt.sequences.dataset_loading import choose_split, load_splits
from rnagpt.training.encoder.batches import annotated_rows
from rnagpt.training.encoder.corpus import read_corpus
from rnagpt.training.rows import load_rnas

SPLITS = ("train", "validation", "test", "test_families")


def rfam(seed: Path, out: Path, *options: str) -> Path:
    shares = ["--test", "0.2", "--validation", "0.1", "--test-families", "0.1"]
    words = [
        "rfam",
        "--seed-alignments",
        str(seed),
        "--clusters",
        "kmers",
        *shares,
        *options,
        str(out),
    ]
    assert main(words) == 0
    return out


def on_disk(folder: Path, configuration: str, split: str) -> list[dict[str, Any]]:
    files = sorted((folder / configuration).glob(f"{split}-*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def check_all_readers(folder: Path) -> None:
    """Every way in which the data set is read gives what is in its files."""
    for configuration in ("qa", "annotations"):
        loaded = load_dataset(str(folder), configuration)
        for split in SPLITS:
            assert loaded[split].to_list() == on_disk(folder, configuration, split)
    assert load_dataset(str(folder), split="test").to_list() == on_disk(folder, "qa", "test")
    annotations = {split: on_disk(folder, "annotations", split) for split in SPLITS}
    sequences = {split: [row["sequence"] for row in rows] for split, rows in annotations.items()}
    for stage in ("alignment", "instruction"):
        rnas = load_rnas(str(folder), None, "train", stage)
        assert rnas["sequence"][:] == sequences["train"]
    assert [row.sequence for row in annotated_rows(str(folder), "test")] == sequences["test"]
    asked = questions_asked.load_splits(str(folder), ["test"], ["validation", "test_families"])
    assert asked.train["sequence"][:] == sequences["train"]
    for split in SPLITS[1:]:
        assert asked.others[split]["annotation"][:] == [r["annotation"] for r in annotations[split]]


def test_a_rebuilt_folder_is_read_anew(tmp_path: Path) -> None:
    seeds = [make_seed(tmp_path / str(copies), copies=copies) for copies in (1, 2)]
    out = rfam(seeds[0], tmp_path / "rq")
    check_all_readers(out)
    before = on_disk(out, "annotations", "test")
    rfam(seeds[1], out, "--overwrite")
    assert on_disk(out, "annotations", "test") != before
    check_all_readers(out)
    fasta = tmp_path / "rnas.fasta"
    held_out = on_disk(out, "annotations", "test")[0]["sequence"]
    others = ["ACGUACGUACGU", "GGGGGGCCCCCC"]
    fasta.write_text(f">held out\n{held_out}\n>1\n{others[0]}\n>2\n{others[1]}\n")
    corpus = read_corpus(str(fasta), tmp_path, dataset_name=str(out))
    assert sorted(row.sequence for row in (*corpus.train, *corpus.evaluation)) == others


def test_folders_of_one_name_are_two_data_sets(tmp_path: Path) -> None:
    for copies in (1, 2):
        (tmp_path / str(copies)).mkdir()
        seed = make_seed(tmp_path / str(copies) / "seed", copies=copies)
        check_all_readers(rfam(seed, tmp_path / str(copies) / "data"))


def test_a_rebuilt_literature_is_read_anew(tmp_path: Path) -> None:
    out = tmp_path / "literature"
    for per_rna in (3, 4):
        (tmp_path / str(per_rna)).mkdir()
        rnas, papers = write_literature(tmp_path / str(per_rna), rnas=16, per_rna=per_rna)
        options = LiteratureOptions(
            rnas=str(rnas), papers=str(papers), clusters="kmers", test=0.2, validation=0.1
        )
        pipeline.build(out, options, RunOptions(workers=1))
        for configuration in ("qa", "annotations", "papers"):
            loaded = load_dataset(str(out), configuration)
            for split, rows in loaded.items():
                assert rows.to_list() == on_disk(out, configuration, split)
        # And where the splits are drawn again, of the same papers.
        pipeline.build(out, replace(options, test=0.5), RunOptions(workers=1))
        found = load_dataset(str(out), "annotations", split="test").to_list()
        assert found == on_disk(out, "annotations", "test")


def test_training_reads_what_is_there_whatever_the_card_says(tmp_path: Path) -> None:
    """Files written again under the same card, of the same size, with their old time."""
    folder = make_rna_qa(tmp_path / "rq")
    path = folder / "qa" / "train-00000-of-00001.parquet"
    rows = pq.read_table(path).to_pylist()
    plain = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    pq.write_table(pa.Table.from_pylist(rows), path, **plain)
    first = load_rnas(str(folder), None, "train", "instruction")
    before = path.stat()
    changed = [row | {"id": row["id"].replace("RNA", "RNX")} for row in rows]
    pq.write_table(pa.Table.from_pylist(changed), path, **plain)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    second = load_rnas(str(folder), None, "train", "instruction")
    assert first["id"][:] == [f"RNA{number}" for number in range(12)]
    assert second["id"][:] == [f"RNX{number}" for number in range(12)]


# Splits without rows


def few_families(tmp_path: Path) -> Path:
    return rfam(make_seed(tmp_path / "few", families=2, clusters=1), tmp_path / "few-families")


def test_a_build_of_a_few_families_loads_without_its_empty_splits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = few_families(tmp_path)
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said if "there is no such split" in line] == [
        "validation",
        "test",
        "test_families",
    ]
    assert sorted(path.name for path in out.rglob("*.parquet")) == [
        "train-00000-of-00001.parquet",
        "train-00000-of-00001.parquet",
    ]
    for configuration in ("qa", "annotations"):
        loaded = load_dataset(str(out), configuration)
        assert {split: rows.to_list() for split, rows in loaded.items()} == {
            "train": on_disk(out, configuration, "train")
        }
        streamed = load_dataset(str(out), configuration, streaming=True)
        assert list(streamed["train"]) == on_disk(out, configuration, "train")
    card = (out / "README.md").read_text()
    assert "No RNA fell into `validation`, `test`, `test_families`" in card
    code = card.split("```")[1].removeprefix("python\n").replace('"OUT"', repr(str(out)))
    exec(code)


def test_what_needs_an_empty_split_says_so(tmp_path: Path) -> None:
    out = str(few_families(tmp_path))
    assert len(load_rnas(out, None, "train", "instruction")) == 4
    with pytest.raises(ValueError, match=r"has no split 'validation'.* --eval_strategy no"):
        load_rnas(out, None, "validation", "instruction")
    with pytest.raises(ValueError, match="no split 'validation'; its splits are train"):
        annotated_rows(out, "validation")
    with pytest.raises(ValueError, match="no split 'test'; its splits are train"):
        questions_asked.load_splits(out, ["test"], ["validation"])
    # All of it is for training.
    fasta = tmp_path / "rnas.fasta"
    fasta.write_text(">1\nACGUACGUACGU\n>2\nGGGGGGCCCCCC\n")
    corpus = read_corpus(str(fasta), tmp_path, dataset_name=out)
    assert (len(corpus.train), len(corpus.evaluation), corpus.left_out) == (1, 1, 0)


def test_a_rebuild_with_fewer_splits_leaves_nothing_of_the_old_ones(tmp_path: Path) -> None:
    out = rfam(make_seed(tmp_path / "many"), tmp_path / "rq")
    assert set(load_dataset(str(out), "qa")) == set(SPLITS)
    rfam(make_seed(tmp_path / "few", families=2, clusters=1), out, "--overwrite")
    assert set(load_dataset(str(out), "qa")) == {"train"}


def test_a_literature_without_a_split_or_a_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rnas, papers = write_literature(tmp_path, rnas=4, per_rna=4)
    options = LiteratureOptions(rnas=str(rnas), papers=str(papers), clusters="kmers", test=0)
    out = tmp_path / "no-test"
    pipeline.build(out, options, RunOptions(workers=1))
    for configuration in ("qa", "annotations"):
        assert set(load_dataset(str(out), configuration)) == {"train", "validation"}

    monkeypatch.setattr("rnagpt.rna_qa.literature.build.export._fit_questions", lambda *_: [])
    out = tmp_path / "no-questions"
    pipeline.build(out, options, RunOptions(workers=1))
    card = (out / "README.md").read_text()
    assert get_dataset_config_names(str(out)) == ["annotations", "papers"]
    assert '"qa"' not in card.split("```")[1]
    default = load_dataset(str(out), split="train")
    assert default.to_list() == on_disk(out, "annotations", "train")


def test_an_empty_split_of_others_has_its_columns_and_no_rows(tmp_path: Path) -> None:
    """As earlier builds of RNA-QA wrote them, and as other people do."""
    folder = make_rna_qa(tmp_path / "others")
    path = folder / "qa" / "validation-00000-of-00001.parquet"
    schema = pq.read_schema(path)
    pq.ParquetWriter(path, schema).close()
    with pytest.raises(ValueError, match="corresponds to no data"):
        load_dataset(str(folder), "qa")
    splits = load_splits(str(folder), "qa")
    assert (len(splits["train"]), len(splits["validation"])) == (36, 0)
    assert splits["validation"].column_names == schema.names
    with pytest.raises(ValueError, match=r"empty split: validation; its splits are train\. Do it"):
        choose_split(splits, "validation", "others", "Do it.")


# Configurations


def write_rows(folder: Path, **columns: list[Any]) -> str:
    folder.mkdir()
    pq.write_table(pa.table(columns), folder / "train.parquet")
    return str(folder)


def test_the_only_configuration_is_taken(tmp_path: Path) -> None:
    columns = {"sequence": ["ACGU"], "question": ["What?"], "answer": ["A tRNA."]}
    folder = write_rows(tmp_path / "plain", **columns)
    (row,) = load_rnas(folder, None, "train", "instruction")
    assert (row["id"], row["questions"], row["answers"]) == ("ACGU", ["What?"], ["A tRNA."])


def test_of_several_configurations_one_has_to_be_named(tmp_path: Path) -> None:
    folder = make_rna_qa(tmp_path / "several")
    card = (folder / "README.md").read_text().replace("config_name: qa", "config_name: mine")
    (folder / "README.md").write_text(card)
    with pytest.raises(ValueError, match="no configuration 'qa'; its configurations are mine, an"):
        load_rnas(str(folder), None, "train", "instruction")
    assert len(load_rnas(str(folder), "mine", "train", "instruction")) == 12
    with pytest.raises(ValueError, match="no configuration 'other'"):
        load_rnas(str(folder), "other", "train", "instruction")


def test_what_save_to_disk_wrote_is_rejected_with_what_to_do(tmp_path: Path) -> None:
    rows = load_splits(str(make_rna_qa(tmp_path / "data")), "qa")
    rows.save_to_disk(tmp_path / "saved")
    with pytest.raises(ValueError, match=r"written by save_to_disk. .*to_parquet"):
        load_splits(str(tmp_path / "saved"))


def test_the_hash_on_the_card_is_of_the_files(tmp_path: Path) -> None:
    """Of their paths and SHA-256, a line each, as anybody can compute it."""
    out = few_families(tmp_path)
    front_matter = yaml.safe_load((out / "README.md").read_text().split("---\n")[1])
    for config in front_matter["configs"]:
        path = f"{config['config_name']}/train-00000-of-00001.parquet"
        digest = hashlib.sha256((out / path).read_bytes()).hexdigest()
        total = hashlib.sha256(f"{path} {digest}\n".encode()).hexdigest()
        assert config["description"] == f"SHA-256 of its files: {total}"
        assert json.loads((out / "build.json").read_text())["files"][path] == digest
