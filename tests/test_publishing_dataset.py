"""Publishing RNA-QA to a Hub on loopback, loading it by its id, and training on it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import tiny_parts
from huggingface_hub import DatasetCard, HfApi
from small_hub import SmallHub, serve_hub
from test_rna_qa_rfam import OPTIONS, make_seed

import rnagpt
from rnagpt.publishing import PublishError
from rnagpt.publishing.dataset import compare_configurations, dataset_manifest, publish_dataset
from rnagpt.rna_qa.rfam import build
from rnagpt.rna_qa.sources import Source
from rnagpt.weights.compose import compose

ROOT = Path(rnagpt.__file__).parent
REPO = "laboratory/rna-qa"
SPLITS = ("train", "validation", "test", "test_families")


@pytest.fixture(autouse=True)
def without_xet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `rna-qa rfam OUT` writes, from made-up families."""
    folder = tmp_path_factory.mktemp("build")
    seed = make_seed(folder / "Rfam.seed.gz")
    build(Source(str(seed)), None, folder / "out", OPTIONS)
    return folder / "out"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[SmallHub]:
    with serve_hub(tmp_path / "hub") as hub:
        yield hub


@pytest.fixture
def publish(hub: SmallHub, built: Path) -> Callable[..., str | None]:
    def run(folder: Path = built, **options: Any) -> str | None:
        api = HfApi(endpoint=hub.url, token=hub.token)
        return publish_dataset(
            folder, REPO, **{"tag": "v1", "api": api, "say": lambda _: None} | options
        )

    return run


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def run_python(*words: str, hub: SmallHub, home: Path) -> "subprocess.CompletedProcess[str]":
    """A process with the Hub and an empty cache."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
        "HF_HOME": str(home),
        "HF_ENDPOINT": hub.url,
        "HF_HUB_DISABLE_XET": "1",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [sys.executable, *words],
        env=environment,
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=500,
    )


def test_the_manifest_is_the_builds_and_the_card_names_the_id(built: Path) -> None:
    manifest = dataset_manifest(built, REPO)
    expected = {
        f"{config}/{split}-00000-of-00001.parquet"
        for config in ("qa", "annotations")
        for split in SPLITS
    }
    assert set(manifest.paths) == expected | {"README.md", "build.json"}
    card = DatasetCard(manifest.get("README.md").text())
    assert f'load_dataset("{REPO}", "qa", split="train")' in card.text
    assert "OUT" not in card.text.split("```")[1]


def test_unfinished_builds_are_refused(built: Path, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_bytes((built / "README.md").read_bytes())
    with pytest.raises(PublishError, match=r"lacks build\.json"):
        dataset_manifest(tmp_path, REPO)
    (tmp_path / "build.json").write_text("{}")
    with pytest.raises(PublishError, match=r"names qa/train-\*\.parquet"):
        dataset_manifest(tmp_path, REPO)


def test_what_differs_is_named() -> None:
    one = {"rows": 2, "features": "f", "sample": "a", "streamed": "b"}
    compare_configurations({"qa/train": one}, {"qa/train": one})
    with pytest.raises(PublishError, match="rows loaded by the id are 2, in the folder 3"):
        compare_configurations({"qa/train": one}, {"qa/train": one | {"rows": 3}})
    with pytest.raises(PublishError, match="qa/test is not there on the Hub"):
        compare_configurations({"qa/train": one}, {"qa/train": one, "qa/test": one})


LOAD = """
import json, sys
sys.modules["rnagpt"] = None
from datasets import load_dataset
rows = load_dataset(sys.argv[1], "qa", split="test", revision="v1")
stream = load_dataset(sys.argv[1], "annotations", streaming=True)
print(json.dumps({
    "rows": rows.to_list(), "default": load_dataset(sys.argv[1], split="test")[0],
    "features": {name: str(kind) for name, kind in rows.features.items()},
    "streamed": [row["id"] for row in stream["test_families"]],
}))
"""


@pytest.mark.slow
def test_published_loaded_streamed_and_trained_on(
    hub: SmallHub, publish: Callable[..., str], built: Path, home: Path, tmp_path: Path
) -> None:
    commit = publish()
    assert hub.repository(REPO, "dataset").tags == {"v1": commit}

    done = run_python("-P", "-c", LOAD, REPO, hub=hub, home=home)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    expected = pq.read_table(built / "qa" / "test-00000-of-00001.parquet").to_pylist()
    assert found["rows"] == expected
    assert found["default"] == expected[0]
    assert found["features"]["question"] == "Value('string')"
    assert found["features"]["evidence"] == "List(Value('string'))"
    families = pq.read_table(built / "annotations" / "test_families-00000-of-00001.parquet")
    assert found["streamed"] == families["id"].to_pylist()

    parts = (
        tiny_parts.encoder_folder(tmp_path / "encoder"),
        tiny_parts.language_model_folder(tmp_path / "language_model"),
    )
    model = compose(*parts, tmp_path / "model", rna_merge_size=3, rna_summary_size=2)
    out = {stage: tmp_path / stage for stage in ("alignment", "instruction")}
    for stage, more in {
        "alignment": [],
        "instruction": ["--projector", str(out["alignment"])],
    }.items():
        settings = [
            *("--stage", stage, "--model_name_or_path", str(model), "--output_dir"),
            *(str(out[stage]), "--dataset_name", REPO, "--max_steps", "2", "--use_cpu", "true"),
            *("--bf16", "false", "--report_to", "none", "--max_sequence_tokens", "400"),
            *("--eval_strategy", "steps", "--eval_steps", "2", "--max_eval_rnas", "4"),
            *("--gradient_checkpointing", "false", "--per_device_train_batch_size", "2"),
        ]
        done = run_python(str(ROOT / "train_sft.py"), *settings, *more, hub=hub, home=home)
        assert done.returncode == 0, done.stderr
        record = json.loads((out[stage] / "training_record.json").read_text())
        assert record["data"]["name"] == REPO
        assert record["steps"] == 2
    assert (out["instruction"] / "adapter_model.safetensors").is_file()


@pytest.mark.slow
def test_ids_that_are_not_there_and_cut_downloads_are_explained(
    hub: SmallHub, publish: Callable[..., str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rnagpt.publishing.dataset.ask_stranger", _as_expected)
    monkeypatch.setattr("rnagpt.publishing.dataset.check_files", lambda *_: None)
    publish(private=True)
    code = "import sys; from datasets import load_dataset; load_dataset(*sys.argv[1:])"
    missing = run_python("-P", "-c", code, "laboratory/nothing", hub=hub, home=home)
    assert "laboratory/nothing" in missing.stderr.splitlines()[-1]
    private = run_python("-P", "-c", code, REPO, "qa", hub=hub, home=home)
    assert REPO in private.stderr.splitlines()[-1]


def _as_expected(*_: Any, **__: Any) -> dict[str, Any]:
    return {"snapshot": "", "configurations": {}}
