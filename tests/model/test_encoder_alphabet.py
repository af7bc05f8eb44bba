"""An encoder with another alphabet is plugged in by its configuration, from compose to answers."""

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import tiny_parts
from helpers.alignment_steps import alignment_steps
from helpers.fresh_process import found_offline
from helpers.paths import ROOT
from helpers.tiny_models import make_model, make_processor, make_rna
from safetensors.torch import load_file
from transformers import BertConfig, BertModel, EsmModel

from rnagpt.configuration_rnagpt import RnaGptConfig, rna_alphabet
from rnagpt.conversion import WeightsError
from rnagpt.conversion.compose import compose
from rnagpt.inference.embeddings import encode
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor, tokenize_rna

RNA = "ACGUNRACG"
# DNA letters in an order of their own; one letter for all that is ambiguous; the padding last.
TOKENS = ["N", "T", "G", "C", "A", "[CLS]", "[SEP]", "[MASK]", "[PAD]"]
ALPHABET: dict[str, Any] = {
    "tokens": TOKENS,
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "eos_token": "[SEP]",
    "unk_token": "N",
    "letters": {"U": "T"},
}
BARE = {"tokens": [*"TGCA", "-", "?"], "pad_token": "-", "unk_token": "?", "letters": {"U": "T"}}

# In a process of its own, which does not find the package.
LOAD = """
import json, sys
sys.modules["rnagpt"] = None
import torch
from transformers import AutoModel, AutoProcessor

folder, rna = sys.argv[1:]
model = AutoModel.from_pretrained(folder, trust_remote_code=True)
processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
inputs = processor("<RNAHere> is", rna)
tokens = model.generate(**inputs, do_sample=False, min_new_tokens=4, max_new_tokens=4)
with torch.no_grad():
    vectors = model.encode_rna(inputs["rna_input_ids"], inputs["rna_attention_mask"])
found = {"ids": inputs["rna_input_ids"].tolist(), "vectors": vectors.tolist()}
print(json.dumps({**found, "tokens": tokens[0, -4:].tolist(), "kind": type(model).__module__}))
"""


def bert_folder(folder: Path, alphabet: dict[str, Any] = ALPHABET, **sizes: Any) -> Path:
    config = BertConfig(  # type: ignore[call-arg]
        vocab_size=len(alphabet["tokens"]),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=34,
        pad_token_id=alphabet["tokens"].index(alphabet["pad_token"]),
        rna_alphabet=alphabet,
        **sizes,
    )
    model = BertModel(config)
    tiny_parts.randomise(model, seed=5)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_parts.language_model_folder(tmp_path_factory.mktemp("language") / "model")


@pytest.fixture(scope="module")
def composed(language_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bert")
    return compose(bert_folder(folder / "encoder"), language_model, folder / "model")


def expected_vectors(encoder: Path, ids: list[int], num_before: int) -> torch.Tensor:
    """What transformers' own model gives for tokens that were written down by hand."""
    with torch.no_grad():
        hidden = BertModel.from_pretrained(encoder)(torch.tensor([ids])).last_hidden_state[0]
    return hidden[num_before : num_before + len(RNA)]


def test_a_fresh_process_reads_its_letters(composed: Path) -> None:
    found = found_offline(LOAD, composed, RNA, folder=composed.parent)
    assert found["kind"].startswith("transformers_modules.")
    ids = [4, 3, 2, 1, 0, 0, 4, 3, 2]
    assert found["ids"] == [ids]
    expected = expected_vectors(composed.parent / "encoder", [5, *ids, 6], 1)
    torch.testing.assert_close(torch.tensor(found["vectors"][0]), expected)
    assert len(found["tokens"]) == 4


def test_batches_are_padded_with_its_own_token(composed: Path) -> None:
    model = RnaGptForCausalLM.from_pretrained(composed)
    processor = RnaGptProcessor.from_pretrained(composed)
    rnas = [RNA, RNA[:3], RNA * 9]  # the last in windows of 32 nt
    inputs = processor(["<RNAHere>"] * 3, rnas)
    assert inputs["rna_input_ids"][1].tolist() == [4, 3, 2, *[8] * 78]
    assert model.config.rna_window_length == 32
    with torch.no_grad():
        whole = model.encode_rna(inputs["rna_input_ids"])
    for vectors, alone in zip(whole, encode(rnas, model), strict=True):
        torch.testing.assert_close(vectors[: len(alone)], alone)


def test_one_step_of_training(
    composed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    alignment_steps(1, composed, tmp_path)
    before = load_file(composed / "model.safetensors")
    after = load_file(tmp_path / "out" / "projector.safetensors")
    assert any(not value.equal(before[f"model.projector.{name}"]) for name, value in after.items())


def test_an_encoder_without_tokens_at_the_ends(language_model: Path, tmp_path: Path) -> None:
    encoder = bert_folder(tmp_path / "encoder", BARE)
    model = RnaGptForCausalLM.from_pretrained(compose(encoder, language_model, tmp_path / "model"))
    assert (model.config.rna_cls_token_id, model.config.rna_eos_token_id) == (None, None)
    assert model.config.rna_window_length == 34
    expected = expected_vectors(encoder, [3, 2, 1, 0, 5, 5, 3, 2, 1], 0)
    torch.testing.assert_close(encode([RNA], model)[0], expected)


def test_kmers_in_an_order_of_their_own(language_model: Path, tmp_path: Path) -> None:
    tokens = ["_", "*", *(first + second for second in "TGCA" for first in "ACGT")]
    alphabet = {"tokens": tokens, "pad_token": "_", "unk_token": "*", "letters": {"U": "T"}}
    encoder = bert_folder(tmp_path / "encoder", alphabet, kmer_size=2)
    folder = compose(encoder, language_model, tmp_path / "model")
    ids = RnaGptProcessor.from_pretrained(folder)("<RNAHere>", "ACUNA")["rna_input_ids"][0]
    assert [tokens[number] for number in ids] == ["AC", "CT", "*", "*", "*"]


def test_without_an_alphabet_it_is_rna_fms(tmp_path: Path) -> None:
    for kmer_size in (1, 3):
        for rna in (RNA, "AC"):
            ids = rna_alphabet(kmer_size).tokenize(rna)
            assert ids.tobytes() == tokenize_rna(rna, kmer_size).tobytes()
    assert (rna_alphabet().pad_token_id, rna_alphabet().id_of("<cls>")) == (1, 0)
    # Nothing new is written into what earlier releases read.
    RnaGptProcessor(tiny_parts.tokenizer()).save_pretrained(tmp_path)
    RnaGptConfig().save_pretrained(tmp_path)
    for name in ("processor_config.json", "config.json"):
        assert "alphabet" not in (tmp_path / name).read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": [*TOKENS, "A"]}, "a token twice"),
        ({"pad_token": "<pad>"}, "pad_token='<pad>' is not among its tokens"),
        ({"cls_token": "<s>"}, "cls_token='<s>'"),
        ({"pad_token": "N"}, "is read for a letter too"),
        ({"unk_token": None}, "no token for R, Y, K, M, S, W, B, D, H, V. Name one"),
        ({"letters": {"T": "T"}}, "it has U and no T"),
        ({"letters": {"U": "C"}}, "two of A, C, G, U as the same token"),
        ({"bos_token": "A"}, "is a dictionary with tokens, pad_token"),
        ({"tokens": None}, "is a dictionary with tokens, pad_token"),
    ],
)
def test_wrong_alphabets_say_what_is_wrong(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rna_alphabet(1, {**ALPHABET, **change})


def test_sizes_and_ends_have_to_fit(language_model: Path, tmp_path: Path) -> None:
    folder = bert_folder(tmp_path / "encoder")
    config = json.loads((folder / "config.json").read_text())
    config["rna_alphabet"]["tokens"].append("[X]")
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="vocab_size must be 10 for the tokens of its rna_alpha"):
        compose(folder, language_model, tmp_path / "out")
    with pytest.raises(ValueError, match=r"lacks 14 of the 16 k-mers .*, 'AC' among them"):
        rna_alphabet(2, {**ALPHABET, "tokens": [*TOKENS, "AA", "TT"]})
    encoder = {"model_type": "bert", "vocab_size": 9, "rna_alphabet": ALPHABET}
    ends = {"rna_window_length": 100, "rna_window_overlap": 9}
    with pytest.raises(ValueError, match=r"rna_cls_token_id \(1\) is not what"):
        RnaGptConfig(rna_config=encoder, rna_cls_token_id=1, **ends)


@torch.no_grad()
def test_the_minis_encoder_reads_what_it_was_trained_on() -> None:
    """Bit by bit what transformers' own model gives for tokens that are counted out here."""
    encoder = EsmModel.from_pretrained(
        ROOT / "checkpoints/rna-gpt-mini/encoder", add_pooling_layer=False
    )
    model = make_model(make_processor(), rna=encoder.config.to_dict(), rna_window_length=512)
    model.model.rna_encoder.load_state_dict(encoder.state_dict())
    kmers = {"".join(kmer): 25 + i for i, kmer in enumerate(product("ACGU", repeat=6))}
    rna = make_rna(50, 1) + "NR" + make_rna(30, 2)
    letters = "ACGURYKMSWBDHVN"
    ids = [kmers.get(rna[i : i + 6], 4 + letters.index(rna[i])) for i in range(len(rna))]
    assert model.config.rna_alphabet.tokenize(rna).tolist() == ids
    expected = encoder(torch.tensor([[0, *ids, 2]])).last_hidden_state[0, 1:-1]
    assert encode([rna], model)[0].equal(expected)
