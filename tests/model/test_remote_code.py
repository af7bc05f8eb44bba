"""A saved folder carries its code: Auto classes load it where the package is not installed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.paths import ROOT
from helpers.tiny_models import make_model, make_processor, make_question, make_rna

from rnagpt.conversion import REMOTE_CODE

REPO = "laboratory/rna-gpt-tiny.v1"
MESSAGES = [make_question([make_rna(40, 1), make_rna(9, 2)])]

# Runs in a process of its own, which neither finds the package nor reaches a network.
LOAD = """
import json, sys
sys.modules["rnagpt"] = None
import torch
import transformers
from transformers import AutoConfig, AutoProcessor

where, messages, copy = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
remote = {"trust_remote_code": True}
config = AutoConfig.from_pretrained(where, **remote)
processor = AutoProcessor.from_pretrained(where, **remote)
inputs = processor.apply_chat_template(messages, tokenize=True, add_generation_prompt=True)
found = {"config": type(config).__name__, "processor": type(processor).__name__}
for name in ("AutoModel", "AutoModelForCausalLM", "AutoModelForMultimodalLM"):
    model = getattr(transformers, name).from_pretrained(where, **remote)
    with torch.no_grad():
        found[name] = [type(model).__name__, model(**inputs).logits[0, -1].tolist()]
found["given a configuration"] = type(
    transformers.AutoModel.from_pretrained(where, config=config, **remote)
).__name__
tokens = model.generate(**inputs, do_sample=False, min_new_tokens=8, max_new_tokens=8)
found["tokens"] = tokens[0, -8:].tolist()
found["module"] = type(model).__module__
model.save_pretrained(copy)
processor.save_pretrained(copy)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float], list[int]]:
    """A folder, its next-token logits and the tokens that it generates."""
    folder = tmp_path_factory.mktemp("saved") / "rna-gpt-tiny.v1"
    processor = make_processor(merge_size=3, summary_size=2)
    model = make_model(processor)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    inputs = processor.apply_chat_template(MESSAGES, tokenize=True, add_generation_prompt=True)
    with torch.no_grad():
        logits = model(**inputs).logits[0, -1].tolist()
    tokens = model.generate(**inputs, do_sample=False, min_new_tokens=8, max_new_tokens=8)
    return folder, logits, tokens[0, -8:].tolist()


def load(where: str, home: Path, copy: Path) -> dict[str, Any]:
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    arguments = [sys.executable, "-c", LOAD, where, json.dumps(MESSAGES), str(copy)]
    done = subprocess.run(arguments, env=environment, cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def hub_cache(home: Path, folder: Path) -> None:
    """Lay a folder out as the Hub's client caches a repository."""
    repository = home / "hub" / f"models--{REPO.replace('/', '--')}"
    commit = "0123456789abcdef0123456789abcdef01234567"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    shutil.copytree(folder, repository / "snapshots" / commit)


@pytest.mark.parametrize("place", ["folder", "cache"])
def test_auto_classes_load_the_saved_code(
    saved: tuple[Path, list[float], list[int]], tmp_path: Path, place: str
) -> None:
    folder, logits, tokens = saved
    where = str(folder)
    if place == "cache":
        hub_cache(tmp_path, folder)
        where = REPO
    copy = tmp_path / "copy"
    found = load(where, tmp_path, copy)
    assert (found["config"], found["processor"]) == ("RnaGptConfig", "RnaGptProcessor")
    assert found["module"].startswith("transformers_modules.")
    for name in ("AutoModel", "AutoModelForCausalLM", "AutoModelForMultimodalLM"):
        kind, values = found[name]
        assert kind == "RnaGptForCausalLM"
        torch.testing.assert_close(torch.tensor(values), torch.tensor(logits))
    assert found["given a configuration"] == "RnaGptForCausalLM"
    assert found["tokens"] == tokens
    # What the remote code saves is again a folder with its code, and points to nothing else.
    for code in REMOTE_CODE:
        assert (copy / code).read_text() == (folder / code).read_text()
    for name in ("config.json", "processor_config.json"):
        auto_map = [json.loads((place / name).read_text())["auto_map"] for place in (copy, folder)]
        assert auto_map[0] == auto_map[1]


def test_saved_code_is_the_packages(saved: tuple[Path, list[float], list[int]]) -> None:

    package = ROOT
    code = {path.name for path in saved[0].glob("*.py")}
    assert code == set(REMOTE_CODE)
    for name in code:
        assert (saved[0] / name).read_text() == (package / name).read_text()


def test_the_packages_processor_asks_for_no_remote_code(
    saved: tuple[Path, list[float], list[int]],
) -> None:
    load = "from rnagpt import RnaGptProcessor; RnaGptProcessor.from_pretrained({!r})"
    done = subprocess.run(
        [sys.executable, "-c", load.format(str(saved[0]))],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
