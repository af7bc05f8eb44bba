"""The conversion of the official checkpoint, against the official `rna-fm` package."""

import argparse
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from helpers.official_rnafm import OFFICIAL_SIZES, SMALL_SIZES, official_checkpoint
from transformers import EsmModel

from rnagpt.conversion import WeightsError
from rnagpt.conversion.rnafm import convert_rnafm

SEQUENCES = ["GGGCCGGGCGCGGUGGCGCGCGCC", "ACGURYKMSWBDHVN", "A", "AUGCNNNNUGA-CC"]


def official_vectors(checkpoint: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens (sequences, longest + 2) and last hidden states, from the official package."""
    import fm

    with torch.serialization.safe_globals([argparse.Namespace]):
        data = torch.load(checkpoint, weights_only=True)
    with pytest.warns(UserWarning, match="Regression weights not found"):
        model, alphabet = fm.pretrained.load_model_and_alphabet_core("rna-fm", data, theme="rna")
    _, _, tokens = alphabet.get_batch_converter()([("", sequence) for sequence in SEQUENCES])
    model.eval()
    with torch.no_grad():
        layers = len(model.layers)
        return tokens, model(tokens, repr_layers=[layers])["representations"][layers]


@pytest.mark.parametrize("token_dropout", [True, False])
@pytest.mark.parametrize(
    "sizes", [SMALL_SIZES, pytest.param(OFFICIAL_SIZES, id="official")], ids=["small", "official"]
)
def test_same_vectors_as_the_official_package(tmp_path, sizes, token_dropout):
    checkpoint = official_checkpoint(tmp_path / "rnafm.pth", sizes, token_dropout=token_dropout)
    tokens, expected = official_vectors(checkpoint)
    encoder = EsmModel.from_pretrained(
        convert_rnafm(checkpoint, tmp_path / "out"), add_pooling_layer=False
    )
    assert encoder.config.token_dropout is token_dropout
    assert encoder.dtype == torch.float32
    mask = tokens != 1
    with torch.no_grad():
        vectors = encoder.eval()(tokens, attention_mask=mask).last_hidden_state
    assert (vectors - expected)[mask].abs().max() <= 1e-5


def test_token_dropout_matters(tmp_path):
    """Guards the test above: were the flag without effect, both its cases would be one."""
    vectors = []
    for token_dropout in (True, False):
        checkpoint = official_checkpoint(
            tmp_path / f"{token_dropout}.pth", SMALL_SIZES, token_dropout=token_dropout
        )
        vectors.append(official_vectors(checkpoint)[1])
    assert (vectors[0] - vectors[1]).abs().max() > 1e-3


def test_names_without_fairseq_prefixes_are_read_too(tmp_path):
    checkpoint = official_checkpoint(tmp_path / "a.pth", SMALL_SIZES, token_dropout=True)
    data = _load(checkpoint)
    data["model"] = {name.split("encoder.")[-1]: t for name, t in data["model"].items()}
    torch.save(data, tmp_path / "b.pth")
    first, second = (
        EsmModel.from_pretrained(convert_rnafm(tmp_path / f"{x}.pth", tmp_path / x)).state_dict()
        for x in "ab"
    )
    name = "encoder.layer.1.attention.self.query.weight"
    assert torch.equal(first[name], second[name])


class Malicious:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch {self.file}",)


def test_malicious_pickle_is_rejected_and_not_run(tmp_path):
    witness = tmp_path / "ran"
    torch.save({"args": argparse.Namespace(), "model": Malicious(witness)}, tmp_path / "bad.pth")
    with pytest.raises(WeightsError, match=r"bad\.pth was rejected: it asks for \w+\.system"):
        convert_rnafm(tmp_path / "bad.pth", tmp_path / "out")
    assert not witness.exists()
    assert not (tmp_path / "out").exists()


def _text(path: Path) -> None:
    path.write_text(">rna\nACGU\n")


def _html(path: Path) -> None:
    path.write_text("<!DOCTYPE html><html>404 Not Found</html>")


def _empty(path: Path) -> None:
    path.touch()


def _plain_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "b")


def _plain_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"args": 1}, protocol=4))


def _cut_short(path: Path) -> None:
    torch.save({"model": torch.zeros(10_000)}, path)
    path.write_bytes(path.read_bytes()[:20_000])


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("write", [_text, _html, _empty, _plain_zip, _plain_pickle, _cut_short])
def test_other_files_are_rejected(tmp_path, write):
    write(tmp_path / "file.pth")
    with pytest.raises(
        WeightsError, match=r"file\.pth was rejected: it is not a PyTorch checkpoint"
    ):
        convert_rnafm(tmp_path / "file.pth", tmp_path / "out")


def test_file_that_is_not_there(tmp_path):
    with pytest.raises(WeightsError, match="is not a file; give the path of RNA-FM_pretrained"):
        convert_rnafm(tmp_path / "absent.pth", tmp_path / "out")


def _load(checkpoint: Path) -> dict:
    with torch.serialization.safe_globals([argparse.Namespace]):
        return torch.load(checkpoint, weights_only=True)


def _without_args(data: dict) -> None:
    del data["args"]


def _args_as_dict(data: dict) -> None:
    data["args"] = vars(data["args"])


def _other_architecture(data: dict) -> None:
    data["args"].arch = "protein_bert_base"


def _missing_tensor(data: dict) -> None:
    del data["model"]["encoder.sentence_encoder.layers.1.fc2.bias"]


def _no_embedding(data: dict) -> None:
    del data["model"]["encoder.sentence_encoder.embed_tokens.weight"]


def _wrong_shape(data: dict) -> None:
    data["model"]["encoder.sentence_encoder.layers.1.fc2.weight"] = torch.zeros(16, 31)


def _codon_vocabulary(data: dict) -> None:
    data["model"]["encoder.sentence_encoder.embed_tokens.weight"] = torch.zeros(73, 16)


def _strange_tensor(data: dict) -> None:
    data["model"]["encoder.sentence_encoder.layers.1.adapter.weight"] = torch.zeros(2)


def _not_a_tensor(data: dict) -> None:
    data["model"]["encoder.sentence_encoder.layers.1.fc2.bias"] = 3


def _wrong_heads(data: dict) -> None:
    data["args"].encoder_attention_heads = 3


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_without_args, r"expected the keys 'args' and 'model', found \['model'\]"),
        (_args_as_dict, "expected a Namespace in 'args' .* found dict and dict"),
        (_other_architecture, "expected the architecture 'roberta_large' .* 'protein_bert_base'"),
        (_missing_tensor, r"missing: encoder\.layer\.1\.output\.dense\.bias"),
        (_no_embedding, r"missing: embed_tokens\.weight"),
        (_wrong_shape, r"output\.dense\.weight has the shape \(16, 31\); expected \(16, 32\)"),
        (_codon_vocabulary, r"expected RNA-FM's 25 tokens in embed_tokens\.weight, found 73"),
        (_strange_tensor, r"does not have: layers\.1\.adapter\.weight"),
        (_not_a_tensor, r"layers\.1\.fc2\.bias is not a tensor but int"),
        (_wrong_heads, "attention_heads=3 does not divide the hidden size 16"),
    ],
)
def test_other_checkpoints_are_rejected(tmp_path, damage, reason):
    checkpoint = official_checkpoint(tmp_path / "x.pth", SMALL_SIZES, token_dropout=True)
    data = _load(checkpoint)
    damage(data)
    torch.save(data, checkpoint)
    with pytest.raises(WeightsError, match=reason):
        convert_rnafm(checkpoint, tmp_path / "out")
    assert [file.name for file in tmp_path.iterdir()] == ["x.pth"]
