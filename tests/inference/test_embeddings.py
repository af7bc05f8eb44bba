"""RNAs to vectors: each alone against many at once, order, duplicates, refusals."""

import pytest
import torch
from helpers.tiny_models import make_model, make_processor, make_rna

import rnagpt
from rnagpt.cleaning_rnagpt import RnaSequenceError
from rnagpt.configuration_rnagpt import RNA_VOCABULARY
from rnagpt.inference.embeddings import encode_each


@pytest.fixture(scope="module")
def model():
    return make_model(make_processor(max_rna_length=400))


@torch.no_grad()
def alone(model, sequence):
    """One RNA by the encoder itself: cls, nucleotides, eos."""
    ids = [0, *map(RNA_VOCABULARY.index, sequence), 2]
    return model.model.rna_encoder(torch.tensor([ids])).last_hidden_state[0, 1:-1]


def test_many_rnas_equal_each_alone_in_the_order_given(model):
    rnas = [make_rna(length, length) for length in (7, 32, 3, 31, 7, 18, 32, 1)]
    encoded = rnagpt.encode(rnas, model)
    for rna, vectors in zip(rnas, encoded, strict=True):
        torch.testing.assert_close(vectors, alone(model, rna), atol=1e-5, rtol=1e-5)


def test_sequences_are_cleaned_and_windows_joined(model):
    long = make_rna(300)
    as_fasta = ">one first\n" + long.replace("U", "t").lower()
    messy, clean = rnagpt.encode([as_fasta, long], model)
    assert messy is clean
    assert messy.shape == (300, 16)
    torch.testing.assert_close(messy[:20], alone(model, long[:32])[:20], atol=1e-5, rtol=1e-5)


def test_equal_rnas_are_encoded_once(model, monkeypatch):
    asked = []
    encode_rna = model.encode_rna
    monkeypatch.setattr(
        model, "encode_rna", lambda ids: asked.append(ids.ne(1).sum().item()) or encode_rna(ids)
    )
    rnagpt.encode(["ACGU" * 5, "ACGU", "ACGT" * 5, "acgu"], model)
    assert sum(asked) == 24


def test_an_encoder_in_training_mode_is_left_so_and_drops_nothing_out(model):
    expected = rnagpt.encode(["ACGU" * 4], model)[0]
    model.train()
    assert torch.equal(rnagpt.encode(["ACGU" * 4], model)[0], expected)
    assert model.training
    model.eval()


def test_a_rejected_sequence_is_told_before_any_is_encoded(model, monkeypatch):
    monkeypatch.setattr(model, "encode_rna", lambda ids: pytest.fail("encoded"))
    with pytest.raises(RnaSequenceError, match="protein"):
        rnagpt.encode(["ACGU", "MKVLAAGIC"], model)


def test_nothing_gives_nothing(model):
    assert rnagpt.encode([], model) == []
    assert list(encode_each(model, [])) == []


def test_a_folder_is_loaded_in_the_type_asked_for(model, tmp_path):
    processor = make_processor(max_rna_length=400)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    (exact,) = rnagpt.encode([make_rna(30)], str(tmp_path))
    (rounded,) = rnagpt.encode([make_rna(30)], str(tmp_path), dtype="bfloat16")
    assert (exact.dtype, rounded.dtype) == (torch.float32, torch.bfloat16)
    assert torch.nn.functional.cosine_similarity(exact, rounded.float()).min() > 0.99
