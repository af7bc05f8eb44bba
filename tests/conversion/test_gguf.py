"""`rnagpt export-gguf`: a file that transformers reads back as the same language model."""

from pathlib import Path
from typing import Any

import pytest
import torch
from gguf import GGUFReader
from helpers.language_model_kinds import KINDS, make_parts
from helpers.tiny_models import make_config, make_processor
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from rnagpt.cli.main import main
from rnagpt.conversion import WeightsError
from rnagpt.conversion.gguf_file import export_gguf, llama3_factors
from rnagpt.conversion.language_model import language_model
from rnagpt.modeling_rnagpt import RnaGptForCausalLM

# Of Llama's biases transformers reads none from a GGUF file.
READABLE = [kind for kind in KINDS if kind != "llama, biases"]


def read_back(file: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32
    )


@pytest.mark.parametrize("kind", READABLE)
def test_transformers_reads_the_same_tensors(kind: str, tmp_path: Path) -> None:
    model, processor = make_parts(kind)
    file = tmp_path / "tiny.gguf"
    export_gguf(model, processor, file, file_type="f32")
    expected = language_model(model).state_dict()
    found = read_back(file).state_dict()
    assert set(found) == set(expected)
    for name, values in expected.items():
        assert torch.equal(found[name], values), name


@pytest.mark.parametrize(("file_type", "most"), [("f16", 5e-4), ("q8_0", 0.01), ("q4_1", 0.12)])
def test_narrower_types_stay_close(file_type: str, most: float, tmp_path: Path) -> None:
    model, processor = make_parts()
    file = tmp_path / "tiny.gguf"
    export_gguf(model, processor, file, file_type=file_type)
    expected, found = language_model(model).state_dict(), read_back(file).state_dict()
    for name, values in expected.items():
        error = (found[name] - values).abs().max() / values.abs().max()
        assert error <= most, name
    kinds = {one.name: one.tensor_type.name for one in GGUFReader(file).tensors}
    assert kinds["blk.0.attn_norm.weight"] == "F32"
    assert kinds["blk.0.ffn_up.weight"] == file_type.upper()
    assert kinds["output.weight"] == {"q4_1": "Q8_0"}.get(file_type, file_type.upper())


def test_it_has_the_tokens_and_the_chat_template(tmp_path: Path) -> None:
    model, processor = make_parts()
    file = tmp_path / "tiny.gguf"
    export_gguf(model, processor, file)
    fields = {name: field.contents() for name, field in GGUFReader(file).fields.items()}
    assert fields["tokenizer.chat_template"] == processor.chat_template
    tokens = fields["tokenizer.ggml.tokens"]
    assert len(tokens) == model.config.text_config.vocab_size
    assert processor.rna_token not in tokens
    assert tokens[fields["tokenizer.ggml.eos_token_id"]] == processor.tokenizer.eos_token
    read = AutoTokenizer.from_pretrained(tmp_path, gguf_file=file.name)
    for text in ("What is this RNA?", "A transfer RNA, and so on."):
        assert read.encode(text) == processor.tokenizer.encode(text)


def test_the_placeholder_stays_where_the_vocabulary_has_it(tmp_path: Path) -> None:
    processor = make_processor()
    model = RnaGptForCausalLM(
        make_config(processor, text={"vocab_size": len(processor.tokenizer) + 7})
    )
    export_gguf(model, processor, tmp_path / "tiny.gguf")
    fields = GGUFReader(tmp_path / "tiny.gguf").fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    assert tokens[processor.rna_token_id] == processor.rna_token
    assert len(tokens) == len(processor.tokenizer) + 7


def test_llama_3s_scaling_is_transformers_own() -> None:
    model, _ = make_parts("llama 3.1")
    config = model.config.text_config
    plain, _ = (
        ROPE_INIT_FUNCTIONS["default"](config)
        if "default" in ROPE_INIT_FUNCTIONS
        else (
            10_000.0 ** -(torch.arange(0, 8, 2) / 8),
            1.0,
        )
    )
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config)
    factors = llama3_factors(config)
    assert torch.allclose(plain / factors, scaled, rtol=1e-5)
    assert len(factors.unique()) > 2


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model_type": "gemma3"}, "of type gemma3"),
        ({"sliding_window": 128, "use_sliding_window": True}, "sees 128 tokens"),
        ({"hidden_act": "gelu"}, "activation is gelu"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1.0}}, "scaled by yarn"),
    ],
)
def test_what_llama_cpp_would_run_otherwise_is_rejected(
    changes: dict[str, Any], told: str, tmp_path: Path
) -> None:
    model, processor = make_parts()
    for name, value in changes.items():
        setattr(model.config.text_config, name, value)
    with pytest.raises(WeightsError, match=told):
        export_gguf(model, processor, tmp_path / "tiny.gguf")
    assert list(tmp_path.iterdir()) == []


def test_a_tokenizer_that_is_not_known_is_rejected(tmp_path: Path) -> None:
    model, _ = make_parts()
    file = tmp_path / "tiny.gguf"
    with pytest.raises(WeightsError, match="How the tokenizer splits texts is not known"):
        export_gguf(model, make_processor("mistral"), file)
    assert list(tmp_path.iterdir()) == []
    # Who has a tokenizer already needs none in the file.
    export_gguf(model, make_processor("mistral"), file, has_tokenizer=False)
    assert GGUFReader(file).fields["tokenizer.ggml.model"].contents() == "no_vocab"


def test_the_command_writes_a_file_and_replaces_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, processor = make_parts()
    model.save_pretrained(tmp_path / "tiny")
    processor.save_pretrained(tmp_path / "tiny")
    out = tmp_path / "tiny.gguf"
    command = ["export-gguf", "--model", str(tmp_path / "tiny"), str(out)]
    assert main([*command, "--type", "f32"]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    before = out.read_bytes()
    assert main(command) == 2
    assert "is there already" in capsys.readouterr().err
    assert out.read_bytes() == before
    assert main([*command, "--overwrite", "--quiet"]) == 0
    assert out.stat().st_size < len(before)
    kinds = {one.tensor_type.name for one in GGUFReader(out).tensors}
    assert kinds == {"F16", "F32"}  # matrices, and norms
    assert main(["export-gguf", "--model", str(tmp_path / "tiny"), str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err
