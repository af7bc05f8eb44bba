"""Kept encoder outputs: once an RNA, exact, found again, and never another encoder's."""

import pytest
import torch
from helpers.tiny_models import make_model, make_processor, make_rna
from safetensors import safe_open

from rnagpt.training.encoder_cache import EncoderCache, VectorFiles, encoder_key

RNAS = ["ACGUACG", "ACG", "GG", make_rna(70)]


@pytest.fixture(params=["memory", "files"])
def folder(request, tmp_path):
    return None if request.param == "memory" else tmp_path / "vectors"


def inputs_of(processor, rnas=RNAS):
    batch = processor([processor.rna_token] * len(rnas), rnas)
    return batch["rna_input_ids"], batch["rna_attention_mask"]


def count_encoded(model, monkeypatch):
    """RNAs that the encoder is asked for, call by call."""
    asked = []
    encode = model.encode_rna
    monkeypatch.setattr(
        model, "encode_rna", lambda ids, *rest: asked.append(len(ids)) or encode(ids, *rest)
    )
    return asked


@torch.no_grad()
def test_the_encoder_is_asked_once(processor, model, folder, monkeypatch):
    expected = model.encode_rna(*inputs_of(processor))
    asked = count_encoded(model, monkeypatch)
    cache = EncoderCache(model, folder)
    for _ in range(2):
        torch.testing.assert_close(cache(*inputs_of(processor)), expected)
    assert asked == [4]


@torch.no_grad()
def test_what_was_filled_is_not_encoded_again(processor, model, folder, monkeypatch):
    expected = model.encode_rna(*inputs_of(processor))
    cache = EncoderCache(model, folder)
    cache.fill([*RNAS, *RNAS])
    monkeypatch.setattr(model, "encode_rna", lambda *_: pytest.fail("encoded"))
    torch.testing.assert_close(cache(*inputs_of(processor)), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_later_run_finds_the_files_of_a_stopped_one(processor, model, tmp_path, monkeypatch):
    cache = EncoderCache(model, tmp_path)
    cache.vectors.file_bytes = 1  # so every RNA makes a file
    cache.fill(RNAS[:3])
    (tmp_path / encoder_key(model) / "cut.partial").write_bytes(b"what a crash leaves")
    asked = count_encoded(model, monkeypatch)
    later = EncoderCache(model, tmp_path)
    later.fill(RNAS)
    assert asked == [1]
    assert len(list(tmp_path.rglob("*.safetensors"))) == 4
    torch.testing.assert_close(later(*inputs_of(processor)), cache(*inputs_of(processor)))


def test_other_weights_types_and_windows_have_other_keys(processor, model):
    keys = {encoder_key(model), encoder_key(make_model(processor, rna_window_overlap=4))}
    keys.add(encoder_key(make_model(processor).bfloat16()))
    with torch.no_grad():
        next(model.model.rna_encoder.parameters())[0, 0] += 1e-6
    assert len(keys | {encoder_key(model)}) == 4
    assert encoder_key(make_model(processor)) in keys


def test_files_hold_the_very_numbers_in_their_own_type(tmp_path):
    files = VectorFiles(tmp_path)
    vectors = torch.randn(5, 3).bfloat16()
    files["one"] = vectors
    assert list(tmp_path.iterdir()) == []
    files.flush()
    (path,) = tmp_path.iterdir()
    with safe_open(path, framework="pt") as opened:
        assert opened.keys() == ["one"]
    assert torch.equal(VectorFiles(tmp_path)["one"], vectors)
    assert "two" not in files


def test_an_rna_longer_than_a_window_is_kept_whole():
    model = make_model(make_processor())
    cache = EncoderCache(model)
    cache.fill([make_rna(100)])
    (vectors,) = cache.vectors.values()
    assert vectors.shape == (100, 16)
