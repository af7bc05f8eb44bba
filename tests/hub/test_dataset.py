"""Publishing RNA-QA to a Hub on loopback, loading it by its id, and training on it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from helpers import tiny_parts
from helpers.made_seed import OPTIONS, make_seed
from helpers.paths import ROOT
from helpers.small_hub import SmallHub
from helpers.tiny_literature import write_literature
from huggingface_hub import DatasetCard, HfApi
from safetensors.torch import load_file

from rnagpt.conversion.compose import compose
from rnagpt.hub import PublishError
from rnagpt.hub.dataset import compare_configurations, dataset_manifest, publish_dataset
from rnagpt.hub.verify import run_in_clean_env
from rnagpt.rna_qa.literature.build import pipeline as literature_pipeline
from rnagpt.rna_qa.literature.build.settings import LiteratureOptions, RunOptions
from rnagpt.rna_qa.rfam.build import build
from rnagpt.rna_qa.rfam.downloads import Source

REPO = "laboratory/rna-qa"
SPLITS = ("train", "validation", "test", "test_families")
# What each stage trains by the mini's recipes.
LEARNT = {"alignment": {"projection"}, "instruction": {"adapter"}}
# Lists; all other columns are plain values of their Parquet type.
FEATURES = {"evidence": "List(Value('string'))"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `rna-qa rfam OUT` writes, from made-up families."""
    folder = tmp_path_factory.mktemp("build")
    seed = make_seed(folder / "Rfam.seed.gz")
    build(Source(str(seed)), None, folder / "out", OPTIONS)
    return folder / "out"


@pytest.fixture
def publish(hub: SmallHub, built: Path) -> Callable[..., str | None]:
    def run(folder: Path = built, **options: Any) -> str | None:
        api = HfApi(endpoint=hub.url, token=hub.token)
        return publish_dataset(
            folder, REPO, **{"tag": "v1", "api": api, "say": lambda _: None} | options
        )

    return run


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of what comes after: the verification loads everything twice."""
    monkeypatch.setattr("rnagpt.hub.upload._verify", lambda *_: None)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def run_python(*words: str, hub: SmallHub | None, home: Path) -> "subprocess.CompletedProcess[str]":
    """A process with the Hub, or without a network, and a cache of its own."""
    reach = {"HF_ENDPOINT": hub.url} if hub else {"HF_HUB_OFFLINE": "1"}
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "OMP_NUM_THREADS": "1",
        **reach,
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
    reference = {
        f"reference/{name}"
        for name in ("families.jsonl.xz", "manifest.json", "profiles.h3m.xz", "seeds.sto.xz")
    }
    assert set(manifest.paths) == expected | reference | {"README.md", "build.json"}
    card = DatasetCard(manifest.get("README.md").text())
    assert f'load_dataset("{REPO}", "qa", split="train")' in card.text
    assert "OUT" not in card.text.split("```")[1]


def test_unfinished_builds_are_rejected(built: Path, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_bytes((built / "README.md").read_bytes())
    with pytest.raises(PublishError, match=r"lacks build\.json"):
        dataset_manifest(tmp_path, REPO)
    (tmp_path / "build.json").write_text("{}")
    with pytest.raises(PublishError, match=r"names qa/train-\*\.parquet"):
        dataset_manifest(tmp_path, REPO)


def test_files_that_the_build_did_not_write_are_rejected(built: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(built, tmp_path / "out"))
    dataset_manifest(out, REPO)
    test = out / "qa" / "test-00000-of-00001.parquet"
    rows = pq.read_table(test)
    pq.write_table(rows.slice(1), test)
    with pytest.raises(PublishError, match=r"qa/test-\S+ is not what the build wrote \(in all 1 "):
        dataset_manifest(out, REPO)
    shutil.copy(built / "qa" / test.name, test)
    shutil.copy(test, out / "qa" / "test-00001-of-00002.parquet")
    with pytest.raises(PublishError, match=r"qa/test-00001-of-00002.parquet is not what the build"):
        dataset_manifest(out, REPO)


def test_what_differs_is_named() -> None:
    one = {"rows": 2, "features": "f", "sample": "a", "streamed": "b"}
    compare_configurations({"qa/train": one}, {"qa/train": one})
    with pytest.raises(PublishError, match="rows loaded by the id are 2, in the folder 3"):
        compare_configurations({"qa/train": one}, {"qa/train": one | {"rows": 3}})
    with pytest.raises(PublishError, match="qa/test is not there on the Hub"):
        compare_configurations({"qa/train": one}, {"qa/train": one, "qa/test": one})


# Every configuration and split by the id: as a whole, streamed, and streamed again from the middle.
LOAD = """
import json, sys
sys.modules["rnagpt"] = None
from datasets import get_dataset_config_names, get_dataset_split_names, load_dataset
where = sys.argv[1]
found = {}
for name in get_dataset_config_names(where):
    for split in get_dataset_split_names(where, name):
        rows = load_dataset(where, name, split=split, revision="v1")
        part = found[f"{name}/{split}"] = {"rows": rows.to_list()}
        part["features"] = {column: str(kind) for column, kind in rows.features.items()}
        stream = load_dataset(where, name, split=split, streaming=True)
        part["streamed"], part["skipped"] = list(stream), list(stream.skip(2).take(1))
found["default"] = load_dataset(where, split="test")[0]
print(json.dumps(found))
"""
# Without a network; the library then wants the configuration's name.
FROM_THE_CACHE = """
import json, sys
from datasets import load_dataset
print(json.dumps(load_dataset(sys.argv[1], "qa", split="test", revision="v1").to_list()))
"""


@pytest.mark.slow
def test_every_configuration_and_split_by_the_id(
    hub: SmallHub, publish: Callable[..., str], built: Path, home: Path
) -> None:
    commit = publish()
    assert hub.repository(REPO, "dataset").tags == {"v1": commit}
    done = run_python("-P", "-c", LOAD, REPO, hub=hub, home=home)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    default = found.pop("default")
    assert set(found) == {f"{name}/{split}" for name in ("annotations", "qa") for split in SPLITS}
    for name, part in found.items():
        table = pq.read_table(built / f"{name}-00000-of-00001.parquet")
        assert part["rows"] == table.to_pylist()
        assert part["streamed"] == part["rows"]
        assert part["skipped"] == part["rows"][2:3]
        assert set(part["features"]) == set(table.column_names)
        for column, kind in part["features"].items():
            value_type = table.schema.field(column).type
            expected = FEATURES.get(column, f"Value('{value_type}')")
            assert kind == expected, f"{name}: {column} is {kind}"
    assert default == found["qa/test"]["rows"][0]

    again = run_python("-P", "-c", FROM_THE_CACHE, REPO, hub=None, home=home)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout.splitlines()[-1]) == found["qa/test"]["rows"]


@pytest.mark.slow
def test_a_build_without_some_splits_is_published(
    hub: SmallHub, publish: Callable[..., str], tmp_path: Path
) -> None:
    """Loaded back whole and streamed in a clean environment, with the splits that there are."""
    seed = make_seed(tmp_path / "seed", families=2, clusters=1)
    build(Source(str(seed)), None, tmp_path / "few", OPTIONS)
    commit = publish(tmp_path / "few")
    repository = hub.repository(REPO, "dataset")
    assert repository.tags == {"v1": commit}
    card = DatasetCard(hub.read(repository.files()["README.md"].sha256).decode())
    splits = [file["split"] for config in card.data["configs"] for file in config["data_files"]]
    assert splits == ["train", "train"]


@pytest.mark.slow
@pytest.mark.usefixtures("verified")
def test_trained_on_by_its_id(
    hub: SmallHub, publish: Callable[..., str], home: Path, tmp_path: Path
) -> None:
    publish()
    parts = (
        tiny_parts.encoder_folder(tmp_path / "encoder"),
        tiny_parts.language_model_folder(tmp_path / "language_model"),
    )
    model = compose(*parts, tmp_path / "model", rna_merge_size=3, rna_summary_size=2)
    out = {stage: tmp_path / stage for stage in LEARNT}
    for stage, learnt in LEARNT.items():
        settings = [
            *("--config", str(ROOT / "recipes" / "mini" / f"{stage}.yaml")),
            *("--model_name_or_path", str(model), "--dataset_name", REPO),
            *("--output_dir", str(out[stage]), "--max_steps", "2", "--eval_steps", "2"),
            # Not every CPU has bfloat16; and it would round away what two steps change.
            *("--bf16", "false", "--dtype", "float32"),
            # A token is a byte here.
            *("--max_text_tokens", "300", "--max_sequence_tokens", "500"),
        ]
        if stage == "instruction":
            settings += ["--projector", str(out["alignment"])]
            settings += ["--novel_family_share", "0"]  # it needs a memory, which pre-training gives
        done = run_python(str(ROOT / "train_sft.py"), *settings, hub=hub, home=home)
        assert done.returncode == 0, done.stderr
        record = json.loads((out[stage] / "training_record.json").read_text())
        assert record["data"]["name"] == REPO
        assert (record["stage"], record["steps"]) == (stage, 2)
        assert {part for part, count in record["trained_parameters"].items() if count} == learnt
    assert record["started_from"]["stage"] == "alignment"
    # The first stage moved the projection; the second began with it, and its recipe freezes it.
    begun = load_file(model / "model.safetensors")
    aligned, kept = (load_file(folder / "projector.safetensors") for folder in out.values())
    assert any(not torch.equal(begun[f"model.projector.{name}"], aligned[name]) for name in aligned)
    assert all(torch.equal(aligned[name], kept[name]) for name in aligned)
    adapter = load_file(out["instruction"] / "adapter_model.safetensors")
    moved = {name for name, value in adapter.items() if "lora_B" in name and value.any()}
    assert moved  # it begins with zeros


@pytest.mark.slow
def test_a_build_from_the_literature_is_published_too(
    hub: SmallHub, publish: Callable[..., str], tmp_path: Path
) -> None:
    """Its rows hold lists of claims; what the build works with stays here."""
    rnas, papers = map(str, write_literature(tmp_path, rnas=24, per_rna=6))
    options = LiteratureOptions(rnas=rnas, papers=papers, shard_size=8, clusters="kmers")
    literature_pipeline.build(tmp_path / "out", options, RunOptions(workers=1))
    commit = publish(tmp_path / "out")
    repository = hub.repository(REPO, "dataset")
    assert repository.tags == {"v1": commit}
    assert not [path for path in repository.files() if ".work" in path]
    card = DatasetCard(hub.read(repository.files()["README.md"].sha256).decode())
    assert f'load_dataset("{REPO}", "annotations", split="train")' in card.text
    configurations = {config["config_name"] for config in card.data["configs"]}
    assert {"annotations", "qa"} <= configurations


# Other people's data sets: a conversation a row, in OpenAI's form and in ShareGPT's; plain columns.
RNA = "GCGGAUUUAGCUCAGUUGGGAGAGC"
OTHERS = {
    "messages": {
        "rna": RNA,
        "messages": [
            {"role": "user", "content": "What is this?"},
            {"role": "assistant", "content": "A tRNA."},
        ],
    },
    "conversations": {
        "rna": RNA,
        "conversations": [
            {"from": "human", "value": "<RNAHere> What is this?"},
            {"from": "gpt", "value": "A tRNA."},
        ],
    },
    "plain": {"rna": RNA, "prompt": "What is this?", "response": "A tRNA."},
}
COLUMNS = {
    "messages": {"sequence": "rna", "messages": "messages"},
    "conversations": {"sequence": "rna", "messages": "conversations"},
    "plain": {"sequence": "rna", "question": "prompt", "answer": "response"},
}
TAKE = """
import json, sys
from rnagpt.training.rows import load_rnas
found = {
    name: load_rnas(f"somebody/{name}", None, "train", "instruction", (), columns).to_list()
    for name, columns in json.loads(sys.argv[1]).items()
}
print(json.dumps(found))
"""


@pytest.mark.slow
def test_other_peoples_data_sets_by_their_ids(hub: SmallHub, home: Path) -> None:
    api = HfApi(endpoint=hub.url, token=hub.token)
    for name, row in OTHERS.items():
        hub.create(f"somebody/{name}", "dataset")
        api.upload_file(
            path_or_fileobj=(json.dumps(row) + "\n").encode(),
            path_in_repo="train.jsonl",
            repo_id=f"somebody/{name}",
            repo_type="dataset",
        )
    done = run_python("-c", TAKE, json.dumps(COLUMNS), hub=hub, home=home)
    assert done.returncode == 0, done.stderr
    expected = {
        "id": RNA,
        "sequence": RNA,
        "questions": ["What is this?"],
        "answers": ["A tRNA."],
    }
    assert json.loads(done.stdout.splitlines()[-1]) == {name: [expected] for name in OTHERS}


@pytest.mark.slow
def test_a_tampered_file_leaves_the_tag_unset(
    hub: SmallHub, publish: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def tampering(*words: Any, **options: Any) -> Any:
        if options.get("api"):
            hub.tamper(REPO, "qa/test-00000-of-00001.parquet", "dataset")
        return run_in_clean_env(*words, **options)

    monkeypatch.setattr("rnagpt.hub.verify.run_in_clean_env", tampering)
    with pytest.raises(PublishError, match="verification failed") as raised:
        publish()
    assert "The tag v1 is not set" in str(raised.value)
    assert hub.repository(REPO, "dataset").tags == {}


@pytest.mark.slow
@pytest.mark.usefixtures("verified")
def test_what_is_not_there_is_named(hub: SmallHub, publish: Callable[..., str], home: Path) -> None:
    commit = publish(private=True)
    first = hub.repository(REPO, "dataset").history[0]
    assert first != commit
    code = (
        "import sys; from datasets import load_dataset;"
        "load_dataset(sys.argv[1], 'qa', revision=sys.argv[2])"
    )

    def last_line(*words: str) -> str:
        done = run_python("-P", "-c", code, *words, hub=hub, home=home)
        assert done.returncode != 0
        return done.stderr.splitlines()[-1]

    assert "laboratory/nothing" in last_line("laboratory/nothing", "main")
    assert REPO in last_line(REPO, "main")  # private, and nobody asks
    hub.repository(REPO, "dataset").private = False
    assert "no-such-revision" in last_line(REPO, "no-such-revision")
    assert REPO in last_line(REPO, first)  # a revision without data
