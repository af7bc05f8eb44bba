"""The folder that vLLM reads; without vLLM."""

import json
import subprocess
import sys

import pytest
import torch
from filelock import FileLock
from helpers.tiny_models import make_model, make_processor
from transformers import AutoModelForCausalLM, PreTrainedModel

from rnagpt.inference.loading import load_model
from rnagpt.serving.engines.vllm_folder import language_model_folder

IDS = torch.arange(10, 20).unsqueeze(0)
SOURCE = "lab/rna-gpt"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RNAGPT_CACHE", str(tmp_path))
    return tmp_path / "vllm"


@pytest.fixture
def model():
    return make_model(make_processor())


@pytest.fixture
def writes(monkeypatch):
    """Counts how often a model is written."""
    written, save = [], PreTrainedModel.save_pretrained
    monkeypatch.setattr(
        PreTrainedModel,
        "save_pretrained",
        lambda self, folder, **options: (written.append(folder), save(self, folder, **options)),
    )
    return written


def folder_of(model, source=SOURCE):
    with language_model_folder(model, source) as folder:
        return folder


@torch.no_grad()
def says_the_same(folder, model):
    alone = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    assert alone.generation_config.eos_token_id == model.generation_config.eos_token_id
    return torch.equal(alone(IDS).logits, model(IDS).logits)


def test_it_is_written_once_and_says_what_the_model_says(cache, model, writes):
    folder = folder_of(model)
    assert says_the_same(folder, model)
    assert folder.parent == cache
    again = folder_of(make_model(make_processor()), "another/place")
    assert again == folder
    assert len(writes) == 1


def test_one_model_in_two_places_is_written_once(cache, model, writes, tmp_path):
    places = [tmp_path / "one", tmp_path / "two"]
    for place in places:
        model.save_pretrained(place)
    writes.clear()
    loaded = [load_model(str(place), dtype="auto", device_map="cpu") for place in places]
    first, second = (folder_of(one, str(place)) for one, place in zip(loaded, places, strict=True))
    assert first == second
    assert len(writes) == 1


def test_other_weights_are_written_anew_in_place_of_the_earlier(cache, model, writes):
    before = folder_of(model)
    with torch.no_grad():
        # One bit of one weight; neither size nor name of any file tells.
        weights = model.model.language_model.layers[0].mlp.up_proj.weight
        weights[0, 0] = torch.nextafter(weights[0, 0], torch.tensor(9.0))
        model.lm_head.weight[3, 3] += 1
    after = folder_of(model)
    assert after != before
    assert says_the_same(after, model)
    assert not before.exists()
    model.generation_config.eos_token_id = 7
    assert says_the_same(folder_of(model), model)
    other = make_model(make_processor(), text={"num_hidden_layers": 3})
    assert says_the_same(folder_of(other, "lab/other"), other)
    # That of another source stays.
    assert len(list(cache.glob("*/model.safetensors"))) == 2
    assert len(writes) == 4


def test_a_folder_in_use_is_not_removed(cache, model):
    with language_model_folder(model, SOURCE) as before:
        with torch.no_grad():
            model.lm_head.weight[3, 3] += 1
        with language_model_folder(model, SOURCE) as after:
            assert before.is_dir()
            assert after.is_dir()


def test_what_was_written_by_halves_is_written_again(cache, model, writes, monkeypatch):
    folder = folder_of(model)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    assert says_the_same(folder_of(model), model)
    weights.unlink()
    assert says_the_same(folder_of(model), model)
    (folder / "written.json").write_text("{")
    assert says_the_same(folder_of(model), model)
    assert len(writes) == 4


def test_a_write_that_fails_leaves_nothing_that_counts(cache, model, monkeypatch):
    save = PreTrainedModel.save_pretrained

    def fail(self, folder, **options):
        save(self, folder, **options)
        raise OSError("No space left on device")

    with monkeypatch.context() as failing:
        failing.setattr(PreTrainedModel, "save_pretrained", fail)
        with pytest.raises(OSError, match="No space"):
            folder_of(model)
    assert not list(cache.glob("*/written.json"))
    assert says_the_same(folder_of(model), model)
    assert [path.name for path in cache.iterdir() if path.is_dir()] == [folder_of(model).name]


def test_two_at_once_wait_for_each_other(cache, model):
    folder = folder_of(model)
    code = (
        "import sys; from filelock import FileLock, Timeout\n"
        "try: FileLock(sys.argv[1], timeout=0).acquire()\n"
        "except Timeout: print('held')"
    )
    with language_model_folder(model, SOURCE):
        command = [sys.executable, "-c", code, f"{folder}.lock"]
        assert subprocess.run(command, capture_output=True, text=True).stdout == "held\n"
    FileLock(f"{folder}.lock", timeout=0).acquire()


def test_too_little_room_is_told_before_anything_is_written(cache, model, monkeypatch, writes):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("", (), {"free": 1_000_000})())
    with pytest.raises(ValueError, match=r"0\.0 GB free.*RNAGPT_CACHE"):
        folder_of(model)
    assert not writes


def test_a_cache_that_cannot_be_written_is_told(cache, model):
    cache.parent.joinpath("vllm").write_text("a file")
    with pytest.raises(ValueError, match="RNAGPT_CACHE"):
        folder_of(model)


def test_it_says_where_it_is_from(cache, model, tmp_path):
    here = tmp_path / "model"
    here.mkdir()
    written = json.loads((folder_of(model, str(here)) / "written.json").read_text())
    assert written["source"] == str(here)
