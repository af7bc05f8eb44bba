"""`benchmarks/paper_design.py` on made-up families and a tiny model, and what it counts."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset
from helpers import tiny_parts
from helpers.made_seed import OPTIONS, make_seed
from helpers.paths import ROOT
from safetensors.torch import load_file

from rnagpt.conversion.compose import compose
from rnagpt.rna_qa.rfam.build import build
from rnagpt.rna_qa.rfam.downloads import Source

sys.path.insert(0, str(ROOT / "benchmarks"))
design = importlib.import_module("paper_design")
families = importlib.import_module("paper_families")

FAMILIES = 6


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An RNA-QA of small families, each in ten clusters of two RNAs."""
    folder = tmp_path_factory.mktemp("rna-qa")
    seed = make_seed(folder / "Rfam.seed.gz", families=8, clusters=12)
    build(Source(str(seed)), None, folder / "data", OPTIONS, release="1.0")
    return folder / "data"


@pytest.fixture(scope="module")
def part(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The part of its largest families."""
    out = tmp_path_factory.mktemp("part")
    families.write_part(str(dataset), families.chosen_families(str(dataset), FAMILIES), out)
    return out


def test_a_part_has_its_families_and_kinds_of_questions_alone(dataset: Path, part: Path) -> None:
    kept = set(families.chosen_families(str(dataset), FAMILIES))
    assert len(kept) == FAMILIES
    whole, rows = load_dataset(str(dataset), "qa"), load_dataset(str(part), "qa")
    for split in ("train", "test"):
        wanted = [
            (row["id"], row["question"])
            for row in whole[split]
            if row["family"] in kept and row["category"] in ("family", "identity", "type")
        ]
        assert wanted
        assert [(row["id"], row["question"]) for row in rows[split]] == wanted
    with pytest.raises(ValueError, match="100 were asked for"):
        families.chosen_families(str(dataset), 100)


def test_no_rna_that_is_asked_was_trained_on(part: Path) -> None:
    train = load_dataset(str(part), "annotations")["train"]
    drawn = families.draw(part, 40, seed=0)
    assert drawn
    assert not {row["sequence"] for row in drawn} & set(train["sequence"])
    few = families.draw(part, FAMILIES, seed=0)
    assert len({row["family"] for row in few}) == FAMILIES


def test_an_interval_counts_families_and_not_their_rnas() -> None:
    groups = np.repeat(np.arange(4), 100)
    hits = groups < 2  # two families wholly right, two wholly wrong
    low, high = families.interval_over(groups, hits, seed=0)
    assert low == 0.0
    assert high == 1.0
    assert families.interval_over(groups, np.ones(400), seed=0) == (1.0, 1.0)


@pytest.fixture(scope="module")
def finished(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run of two steps on tiny parts."""
    out = tmp_path_factory.mktemp("runs")
    encoder = tiny_parts.encoder_folder(out / "encoder")
    language_model = tiny_parts.language_model_folder(out / "language-model")
    with pytest.MonkeyPatch.context() as patch:
        words = ["--dataset", dataset, "--language-model", language_model, "--encoder", encoder]
        words += ["--families", FAMILIES, "--steps", 2, "--rnas-per-step", 2, "--limit", 12]
        words += ["--no-bf16", "--alignment-steps", 1]
        patch.setattr(sys, "argv", ["paper_design.py", str(out), *map(str, words)])
        design.main()
    return out


def test_a_run_trains_both_stages_and_tells_what_it_did(finished: Path) -> None:
    (path,) = finished.glob("*/result.json")
    result = json.loads(path.read_text())
    for stage, steps in (("alignment", 1), ("instruction", 2)):
        record = json.loads((path.parent / stage / "training_record.json").read_text())
        assert record["steps"] == steps
    assert result["families"] == FAMILIES
    assert result["asked_rnas"] == 12
    assert 0 <= result["right_interval"][0] <= result["right"] <= result["right_interval"][1] <= 1
    assert result["eval_loss"] > 0
    assert result["seconds"] > 0


def test_a_finished_run_is_only_read(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (path,) = finished.glob("*/result.json")
    settings = json.loads(path.read_text())
    monkeypatch.setattr(design, "run", pytest.fail)
    words = ["--dataset", "none", "--encoder", settings["encoder"], "--families", FAMILIES]
    words += ["--steps", 2, "--rnas-per-step", 2, "--alignment-steps", 1]
    monkeypatch.setattr(sys, "argv", ["paper_design.py", str(finished), *map(str, words)])
    design.main()
    assert json.loads(capsys.readouterr().out) == settings


def test_the_table_has_a_row_for_each_run_with_what_needs_no_model(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["paper_design.py", "runs", "--table"])
    (path,) = finished.glob("*/result.json")
    result = json.loads(path.read_text())
    row = design.report(finished).splitlines()[-1]
    assert row.startswith(f"| {FAMILIES} | 1 | 3 | stage 1 of 1 steps before; encoder encoder |")
    assert row.endswith("| 12 |")
    part = design.part_of(finished, FAMILIES)
    neighbour, commonest = families.neighbour_and_commonest(part, result["limit"], result["seed"])
    # Clusters of one family share their ends alone; each family has as many RNAs as any other.
    assert commonest == pytest.approx(1 / FAMILIES)
    assert f"| {neighbour:.3f} | {commonest:.3f} |" in row
    with pytest.raises(FileNotFoundError, match="no finished run"):
        design.report(finished / "encoder")


def test_a_projection_is_scaled_and_nothing_else(tmp_path: Path) -> None:
    encoder = tiny_parts.encoder_folder(tmp_path / "encoder")
    base = compose(encoder, tiny_parts.language_model_folder(tmp_path / "llm"), tmp_path / "base")
    before = load_file(base / "model.safetensors")
    design.scale_projection(base, 10.0)
    after = load_file(base / "model.safetensors")
    assert after.keys() == before.keys()
    scaled = {name for name in before if not after[name].equal(before[name])}
    assert scaled == {name for name in before if ".projector." in name and before[name].any()}
    assert scaled
    assert all(after[name].allclose(before[name] * 10) for name in scaled)


def test_what_shares_a_vector_is_begun_alike_or_by_itself_at_one_scale(tmp_path: Path) -> None:
    encoder = tiny_parts.encoder_folder(tmp_path / "encoder")
    language_model = tiny_parts.language_model_folder(tmp_path / "llm")
    base = compose(encoder, language_model, tmp_path / "base", rna_merge_size=4)
    name = "model.projector.nucleotides.weight"
    parts = load_file(base / "model.safetensors")[name].chunk(4, dim=1)
    assert not any(part.equal(parts[0]) for part in parts[1:])
    design.begin_alike(base, seed=0)
    alike = load_file(base / "model.safetensors")[name].chunk(4, dim=1)
    assert all(part.equal(alike[0]) for part in alike)
    # The sum of neighbours' vectors is longer than of vectors that have nothing in common.
    assert 0.4 < float(alike[0].norm() / parts[0].norm()) <= 1.1
