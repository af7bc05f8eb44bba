"""RnaGptConfig: its defaults are the published parts, wrong values name their field."""

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.tiny_models import make_model, make_processor
from huggingface_hub.errors import StrictDataclassFieldValidationError
from transformers import EsmConfig, GPT2Config, LlamaConfig

from rnagpt.configuration_rnagpt import RNA_VOCABULARY, RnaGptConfig, rna_vocabulary_size
from rnagpt.modeling_rnagpt import RnaGptForCausalLM


def _esm(**options: Any) -> EsmConfig:
    return EsmConfig(**{"vocab_size": 25, "pad_token_id": 1, "mask_token_id": 24, **options})


def test_defaults_are_rna_fm_and_llama_3_8b() -> None:
    config = RnaGptConfig()
    rna, text = config.rna_config, config.text_config
    assert (rna.model_type, rna.num_hidden_layers, rna.hidden_size) == ("esm", 12, 640)
    assert (rna.num_attention_heads, rna.intermediate_size) == (20, 5120)
    assert (text.model_type, text.num_hidden_layers, text.hidden_size) == ("llama", 32, 4096)
    assert config.rna_window_length == 1022
    assert config.rna_token_id == text.vocab_size == 128_256
    assert config.rna_kmer_size == 1


def test_vocabulary_is_that_of_the_official_package() -> None:
    fm = pytest.importorskip("fm", reason="the official encoder, package rna-fm, is not installed")
    alphabet = fm.Alphabet.from_architecture("roberta_large", theme="rna")
    assert list(RNA_VOCABULARY) == alphabet.all_toks


@pytest.mark.parametrize(("kmer_size", "size"), [(1, 25), (2, 41), (6, 4121)])
def test_vocabulary_size(kmer_size: int, size: int) -> None:
    assert rna_vocabulary_size(kmer_size) == size
    config = RnaGptConfig(rna_config=_esm(vocab_size=size, kmer_size=kmer_size))
    assert config.rna_kmer_size == kmer_size


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"rna_merge_size": 0}, "rna_merge_size"),
        ({"rna_merge_size": "2"}, "rna_merge_size"),
        ({"rna_summary_size": -1}, "rna_summary_size"),
        ({"rna_summary_memory": -1}, "rna_family_prototypes"),
        ({"rna_type_memory": 3}, "rna_type_prototypes"),
        ({"rna_window_length": 0}, "rna_window_length"),
        ({"rna_window_length": 1023}, "rna_window_length"),
        ({"rna_window_overlap": -1}, "rna_window_overlap"),
        ({"rna_window_overlap": 1022}, "rna_window_overlap"),
        ({"max_rna_length": 0}, "max_rna_length"),
        ({"max_rna_length": 1.5}, "max_rna_length"),
        ({"rna_token_id": -1}, "rna_token_id"),
        ({"rna_cls_token_id": 25}, "rna_cls_token_id"),
        ({"rna_eos_token_id": -1}, "rna_eos_token_id"),
        ({"confidence_scale": 0.2}, "confidence_scale"),
        ({"confidence_bias": 0.2}, "confidence_bias"),
        ({"confidence_scale": "steep", "confidence_bias": 0.2}, "confidence_scale"),
        ({"confidence_scale": 0.2, "confidence_bias": float("nan")}, "confidence_bias"),
        ({"projector_type": "q-former"}, "projector_type"),
        ({"reads_evidence": "often"}, "reads_evidence"),
        ({"rna_config": {"model_type": "nonsense"}}, "rna_config.model_type"),
        ({"rna_config": _esm(vocab_size=33)}, "rna_config.vocab_size"),
        ({"rna_config": _esm(kmer_size=6)}, "rna_config.vocab_size"),
        ({"rna_config": _esm(kmer_size=0)}, "rna_config.kmer_size"),
        ({"rna_config": _esm(pad_token_id=0)}, "rna_config.pad_token_id"),
        ({"rna_config": _esm(max_position_embeddings=512)}, "max_position_embeddings=512"),
        ({"text_config": LlamaConfig(final_logit_softcapping=30.0)}, "final_logit_softcapping"),
        ({"text_config": {"model_type": "vit"}}, "text_config needs a vocab_size"),
    ],
)
def test_wrong_value_names_its_field(options: dict[str, Any], field: str) -> None:
    with pytest.raises((ValueError, StrictDataclassFieldValidationError), match=field):
        RnaGptConfig(**options)


def test_window_may_fill_all_positions_but_the_special_ones() -> None:
    encoder = _esm(max_position_embeddings=36)
    assert RnaGptConfig(rna_config=encoder, rna_window_length=32, rna_window_overlap=8)
    bare = {"rna_cls_token_id": None, "rna_eos_token_id": None}
    assert RnaGptConfig(rna_config=encoder, rna_window_length=34, rna_window_overlap=8, **bare)


def test_rotary_encoder_has_no_longest_window() -> None:
    encoder = _esm(position_embedding_type="rotary", max_position_embeddings=16)
    assert RnaGptConfig(rna_config=encoder).rna_window_length == 1022


def test_round_trip(tmp_path: Any) -> None:
    config = RnaGptConfig(
        rna_config=_esm(vocab_size=4121, kmer_size=6, position_embedding_type="rotary"),
        text_config=GPT2Config(),
        rna_merge_size=8,
        rna_summary_size=2,
        rna_cls_token_id=None,
        reads_evidence=True,
    )
    config.save_pretrained(tmp_path)
    again = RnaGptConfig.from_pretrained(tmp_path)
    assert again.to_dict() | {"transformers_version": 0} == config.to_dict() | {
        "transformers_version": 0
    }
    assert again.text_config.model_type == "gpt2"
    assert again.rna_kmer_size == 6
    assert again.rna_cls_token_id is None
    assert again.reads_evidence is True


def test_a_folder_of_0_1_0_loads(tmp_path: Path) -> None:
    processor = make_processor(summary_size=3)
    model = make_model(processor, rna_family_prototypes=5, rna_type_size=2, rna_type_prototypes=4)
    model.save_pretrained(tmp_path)
    # What 0.1.0 wrote: other names, the same weights.
    stored = json.loads((tmp_path / "config.json").read_text())
    stored["rna_summary_memory"] = stored.pop("rna_family_prototypes")
    stored["rna_type_memory"] = stored.pop("rna_type_prototypes")
    (tmp_path / "config.json").write_text(json.dumps(stored))
    again = RnaGptForCausalLM.from_pretrained(tmp_path)
    assert (again.config.rna_family_prototypes, again.config.rna_type_prototypes) == (5, 4)
    loaded = again.state_dict()
    assert loaded.keys() == model.state_dict().keys()
    assert all(loaded[name].equal(tensor) for name, tensor in model.state_dict().items())
    written = again.config.to_dict()
    assert not {"rna_summary_memory", "rna_type_memory"} & written.keys()
    assert (written["rna_family_prototypes"], written["rna_type_prototypes"]) == (5, 4)


def test_saved_configuration_names_every_auto_class(tmp_path: Any) -> None:
    RnaGptConfig().save_pretrained(tmp_path)
    auto_map = json.loads((tmp_path / "config.json").read_text())["auto_map"]
    causal = "modeling_rnagpt.RnaGptForCausalLM"
    assert auto_map == {
        "AutoConfig": "configuration_rnagpt.RnaGptConfig",
        "AutoModel": causal,
        "AutoModelForCausalLM": causal,
        "AutoModelForMultimodalLM": causal,
        "AutoProcessor": "processing_rnagpt.RnaGptProcessor",
    }


@pytest.mark.parametrize("tied", [True, False])
def test_tying_is_the_language_models(tied: bool) -> None:
    config = RnaGptConfig(text_config=LlamaConfig(tie_word_embeddings=tied))
    assert config.tie_word_embeddings is tied


@pytest.mark.parametrize(
    ("length", "merge_size", "summary_size", "tokens"),
    [(1, 1, 0, 1), (9, 3, 0, 3), (10, 3, 0, 4), (10, 3, 2, 6)],
)
def test_number_of_rna_tokens(length: int, merge_size: int, summary_size: int, tokens: int) -> None:
    config = RnaGptConfig(rna_merge_size=merge_size, rna_summary_size=summary_size)
    assert config.num_rna_tokens(length) == tokens
