"""Composing: the folder answers as its parts do, whatever their form, and is whole or not there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import tiny_parts
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMultimodalLM,
    AutoProcessor,
    AutoTokenizer,
    EsmForMaskedLM,
    EsmModel,
)

from rnagpt.conversion import WeightsError, model_sources
from rnagpt.conversion.compose import compose
from rnagpt.conversion.fresh_projector import fresh_projector
from rnagpt.conversion.stage_record import learned_from_evidence
from rnagpt.modeling_rnagpt import RnaGptForCausalLM

RNA = "GGGCCGGGCGCGGUGGCGCGCGCC"


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_parts.encoder_folder(tmp_path_factory.mktemp("parts") / "encoder")


@pytest.fixture(scope="module")
def language_model(tmp_path_factory):
    return tiny_parts.language_model_folder(tmp_path_factory.mktemp("parts") / "language")


@pytest.fixture(scope="module")
def untied_language_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts") / "untied"
    return tiny_parts.language_model_folder(folder, tied=False)


@pytest.fixture(scope="module")
def composed(encoder, language_model, tmp_path_factory):
    return compose(encoder, language_model, tmp_path_factory.mktemp("composed") / "model")


def prompt(folder: Path) -> dict[str, torch.Tensor]:
    processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
    parts = [{"type": "rna", "rna": RNA}, {"type": "text", "text": "What is this?"}]
    return processor.apply_chat_template(
        [{"role": "user", "content": parts}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )


def logits(model, inputs) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(**inputs).logits


@pytest.mark.parametrize("auto_class", [AutoModel, AutoModelForCausalLM, AutoModelForMultimodalLM])
def test_every_auto_class_loads_a_model_that_answers(composed, auto_class):
    model = auto_class.from_pretrained(composed, trust_remote_code=True)
    assert type(model).__name__ == "RnaGptForCausalLM"
    inputs = prompt(composed)
    tokens = model.generate(**inputs, max_new_tokens=3, do_sample=False, eos_token_id=None)
    assert tokens.shape[1] == inputs["input_ids"].shape[1] + 3


def test_settings_follow_the_parts(composed):
    config = AutoConfig.from_pretrained(composed, trust_remote_code=True)
    processor = AutoProcessor.from_pretrained(composed, trust_remote_code=True)
    assert config.rna_token_id == processor.rna_token_id
    assert config.tie_word_embeddings
    assert config.rna_window_length == 98  # 102 positions less ESM's offset of 2, cls and eos
    assert processor.max_context == 512
    assert processor.chat_template == tiny_parts.CHAT_TEMPLATE


def test_batches_of_the_tokenizer_are_padded_on_the_left(composed, language_model):
    texts = ["What is an RNA?", "Hi"]
    assert AutoTokenizer.from_pretrained(language_model).padding_side == "right"
    tokenizer = AutoTokenizer.from_pretrained(composed)
    assert tokenizer(texts, padding=True)["attention_mask"][1][0] == 0


def test_no_path_of_this_machine_is_written(composed, encoder):
    for file in composed.glob("*.json"):
        assert str(encoder.parents[1]) not in file.read_text(), file.name


@pytest.mark.parametrize("tied", [True, False])
def test_text_alone_gives_the_language_models_own_logits(
    encoder, language_model, untied_language_model, tmp_path, tied
):
    language = language_model if tied else untied_language_model
    model = RnaGptForCausalLM.from_pretrained(compose(encoder, language, tmp_path / "out"))
    inputs = AutoTokenizer.from_pretrained(language)("What is an RNA?", return_tensors="pt")
    expected = logits(AutoModelForCausalLM.from_pretrained(language), dict(inputs))
    torch.testing.assert_close(logits(model, dict(inputs)), expected)
    assert (model.lm_head.weight is model.get_input_embeddings().weight) is tied


def test_encoder_gives_its_own_vectors(encoder, composed):
    model = RnaGptForCausalLM.from_pretrained(composed)
    inputs = prompt(composed)
    ids = torch.nn.functional.pad(inputs["rna_input_ids"], (1, 0), value=0)
    ids = torch.nn.functional.pad(ids, (0, 1), value=2)
    own = EsmModel.from_pretrained(encoder, add_pooling_layer=False).eval()
    with torch.no_grad():
        expected = own(ids).last_hidden_state[:, 1:-1]
        torch.testing.assert_close(model.eval().encode_rna(inputs["rna_input_ids"]), expected)


def test_encoder_folder_with_a_masked_language_head(encoder, composed, language_model, tmp_path):
    EsmForMaskedLM.from_pretrained(encoder).save_pretrained(tmp_path / "masked")
    out = compose(tmp_path / "masked", language_model, tmp_path / "out")
    inputs = prompt(composed)
    expected = logits(RnaGptForCausalLM.from_pretrained(composed), inputs)
    torch.testing.assert_close(logits(RnaGptForCausalLM.from_pretrained(out), inputs), expected)


def test_projector_folder_is_used_as_it_is(encoder, language_model, tmp_path):
    projector = tiny_parts.projector_folder(tmp_path / "p", merge_size=3, summary_size=2)
    out = compose(encoder, language_model, tmp_path / "out", projector=projector)
    model = RnaGptForCausalLM.from_pretrained(out)
    for name, tensor in load_file(projector / "projector.safetensors").items():
        assert torch.equal(model.model.projector.get_parameter(name), tensor)
    assert int((prompt(out)["input_ids"] == model.config.rna_token_id).sum()) == 2 + 8


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"rna_merge_size": 4},
        {"projector_type": "mlp"},
        {"rna_merge_size": 2, "rna_summary_size": 3},
    ],
)
def test_new_vectors_are_as_long_as_embeddings(encoder, language_model, tmp_path, shape):
    """Longer ones, of the usual random weights, are what training then begins to unlearn."""
    out = compose(encoder, language_model, tmp_path / "model", **shape)
    model = RnaGptForCausalLM.from_pretrained(out, dtype=torch.float32)
    tokens = torch.tensor(model.config.rna_alphabet.tokenize(RNA * 3))
    vectors = model.get_rna_vectors(tokens[None])
    embeddings = model.get_input_embeddings().weight
    expected = embeddings.norm(dim=-1).mean()
    summaries = shape.get("rna_summary_size", 0)
    for part in filter(len, (vectors[:summaries], vectors[summaries:])):
        assert 0.5 * expected < part.norm(dim=-1).mean() < 2 * expected


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_nucleotides_that_share_a_new_vector_may_weigh_alike(
    encoder, language_model, tmp_path, kind
):
    shape = {"rna_merge_size": 4, "projector_type": kind}
    out = compose(encoder, language_model, tmp_path / "model", **shape)
    model = RnaGptForCausalLM.from_pretrained(out, dtype=torch.float32)
    projector = model.model.projector
    parts = (model.model.rna_encoder.state_dict(), model.get_input_embeddings().weight.detach())
    hidden_states, mask = torch.randn(1, 8, 16), torch.ones(1, 8, dtype=torch.bool)
    within = hidden_states[:, [3, 1, 0, 2, 4, 6, 7, 5]]
    assert not torch.allclose(projector(within, mask), projector(hidden_states, mask))
    projector.load_state_dict(fresh_projector(model, *parts, seed=0, alike=True))
    given = projector(hidden_states, mask)
    torch.testing.assert_close(projector(within, mask), given)
    across = hidden_states[:, [4, 1, 2, 3, 0, 5, 6, 7]]
    assert not torch.allclose(projector(across, mask), given)


def test_new_projector_depends_on_the_seed_alone(encoder, language_model, tmp_path):
    weights = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        torch.manual_seed(ord(name))
        out = compose(encoder, language_model, tmp_path / name, seed=seed, projector_type="mlp")
        weights.append(load_file(out / "model.safetensors")["model.projector.nucleotides.2.weight"])
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("use_rslora", [False, True])
def test_adapter_is_merged_as_peft_merges_it(encoder, untied_language_model, tmp_path, use_rslora):
    base = compose(encoder, untied_language_model, tmp_path / "base")
    lora = LoraConfig(
        r=4,
        lora_alpha=6,
        use_rslora=use_rslora,
        alpha_pattern={} if use_rslora else {r"layers\.1\.self_attn\.v_proj": 3},
        target_modules=r"model\.language_model\..*\.(q_proj|v_proj|down_proj)",
        task_type="CAUSAL_LM",
    )
    peft_model = get_peft_model(RnaGptForCausalLM.from_pretrained(base), lora)
    tiny_parts.randomise(peft_model.base_model.model.model.language_model, seed=5)
    for name, parameter in peft_model.named_parameters():
        if "lora_" not in name:  # the adapter alone was to be changed
            with torch.no_grad():
                stored = name.removeprefix("base_model.model.").replace(".base_layer", "")
                parameter.copy_(load_file(base / "model.safetensors")[stored])
    peft_model.save_pretrained(tmp_path / "adapter")
    inputs = prompt(base)
    with_adapter = logits(peft_model, inputs)
    merged_by_peft = peft_model.merge_and_unload().state_dict()

    out = compose(encoder, untied_language_model, tmp_path / "out", adapter=tmp_path / "adapter")
    merged = RnaGptForCausalLM.from_pretrained(out)
    for name, tensor in merged.state_dict().items():
        torch.testing.assert_close(tensor, merged_by_peft[name], msg=name)
    torch.testing.assert_close(logits(merged, inputs), with_adapter, atol=1e-4, rtol=1e-4)
    unmerged = logits(RnaGptForCausalLM.from_pretrained(base), inputs)
    assert (with_adapter - unmerged).abs().max() > 0.1


def test_shards_hold_what_one_file_holds(encoder, composed, language_model, tmp_path):
    out = compose(encoder, language_model, tmp_path / "out", max_shard_size="10KB")
    files = sorted(out.glob("model-*.safetensors"))
    assert len(files) > 3
    index = json.loads((out / "model.safetensors.index.json").read_text())
    whole = load_file(composed / "model.safetensors")
    sharded = {name: tensor for file in files for name, tensor in load_file(file).items()}
    assert index["weight_map"].keys() == whole.keys() == sharded.keys()
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in whole.values())
    assert all(torch.equal(whole[name], sharded[name]) for name in whole)


def test_sharded_language_model(encoder, composed, tmp_path):
    language = tiny_parts.language_model_folder(tmp_path / "language", max_shard_size="8KB")
    assert len(list(language.glob("*.safetensors"))) > 1
    out = compose(encoder, language, tmp_path / "out")
    first, second = (load_file(folder / "model.safetensors") for folder in (composed, out))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_all_weights_have_one_type(encoder, language_model, tmp_path):
    out = compose(encoder, language_model, tmp_path / "out", dtype="bfloat16")
    stored = load_file(out / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.bfloat16}
    model = AutoModel.from_pretrained(out, trust_remote_code=True)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


def test_other_architectures_are_renamed(encoder, tmp_path):
    """GPT-2 calls its inner model `transformer`, and GPT-NeoX its head `embed_out`."""
    from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM

    words = tiny_parts.tokenizer()
    sizes = {"vocab_size": len(words), "bos_token_id": 1, "eos_token_id": 2}
    gpt2 = GPT2Config(n_embd=24, n_layer=1, n_head=2, n_positions=64, **sizes)
    neox = GPTNeoXConfig(hidden_size=24, num_hidden_layers=1, num_attention_heads=2, **sizes)
    models = {"gpt2": GPT2LMHeadModel(gpt2), "neox": GPTNeoXForCausalLM(neox)}
    for name, model in models.items():
        tiny_parts.randomise(model, seed=4)
        model.save_pretrained(tmp_path / name)
        words.save_pretrained(tmp_path / name)
        out = compose(encoder, tmp_path / name, tmp_path / f"{name}-out")
        inputs = dict(words("What is an RNA?", return_tensors="pt"))
        inputs.pop("token_type_ids", None)
        composed_logits = logits(RnaGptForCausalLM.from_pretrained(out), inputs)
        torch.testing.assert_close(composed_logits, logits(model, inputs), atol=1e-4, rtol=1e-4)


# What cannot be composed


def _no_safetensors(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _cut_short(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def _no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def _quantised(folder: Path) -> None:
    _change_json(folder / "config.json", quantization_config={"quant_method": "awq", "bits": 4})


def _wrong_shape(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"] = torch.zeros(7)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _change_json(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_no_safetensors, r"holds no model\.safetensors"),
        (_cut_short, "is not a whole safetensors file"),
        (_no_config, r"holds no config\.json"),
        (_quantised, r"is quantised \(awq\)"),
        (_wrong_shape, r"language_model\.norm\.weight has the shape \(7,\); expected \(24,\)"),
    ],
)
def test_broken_language_models_are_rejected(encoder, tmp_path, damage, reason):
    language = tiny_parts.language_model_folder(tmp_path / "language")
    damage(language)
    with pytest.raises(WeightsError, match=reason):
        compose(encoder, language, tmp_path / "out")
    assert [folder.name for folder in tmp_path.iterdir()] == ["language"]


def test_leftover_of_a_gguf_conversion_is_dropped(encoder, tmp_path):
    language = tiny_parts.language_model_folder(tmp_path / "language")
    _change_json(language / "config.json", quantization_config={"quant_method": "gguf"})
    out = compose(encoder, language, tmp_path / "out")
    assert "quantization_config" not in json.loads((out / "config.json").read_text())["text_config"]


def test_a_gguf_file_says_which_token_ends_a_text(language_model, tmp_path):
    """transformers 5.17 takes another for SmolLM2's; its configuration is right."""
    tokenizer = AutoTokenizer.from_pretrained(language_model)
    right, wrong = tokenizer.eos_token_id, tokenizer.convert_ids_to_tokens(5)
    assert right != 5
    tokenizer.eos_token = wrong
    model_sources._take_end_token(tokenizer, right)
    tokenizer.save_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path).eos_token_id == right


def test_missing_tensors_are_named(encoder, language_model, tmp_path):
    tiny_parts.encoder_folder(tmp_path / "encoder")
    tensors = load_file(tmp_path / "encoder" / "model.safetensors")
    del tensors["encoder.emb_layer_norm_after.weight"]
    save_file(tensors, tmp_path / "encoder" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"lacks tensors: encoder\.emb_layer_norm_after\.weight"):
        compose(tmp_path / "encoder", language_model, tmp_path / "out")


def test_sources_that_are_no_models(encoder, tmp_path):
    with pytest.raises(WeightsError, match="nowhere does not exist; expected a folder, a GGUF"):
        compose(encoder, tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "a.txt").touch()
    with pytest.raises(WeightsError, match=r"a\.txt is a file, but neither"):
        compose(encoder, tmp_path / "a.txt", tmp_path / "out")


def test_projector_of_other_sizes_is_rejected(encoder, language_model, tmp_path):
    projector = tiny_parts.projector_folder(tmp_path / "p")
    with pytest.raises(WeightsError, match="rna_merge_size=1 instead of 2"):
        compose(encoder, language_model, tmp_path / "o", projector=projector, rna_merge_size=2)
    _change_json(projector / "projector_config.json", text_hidden_size=32)
    with pytest.raises(WeightsError, match="text_hidden_size=32 instead of 24"):
        compose(encoder, language_model, tmp_path / "o", projector=projector)
    with pytest.raises(WeightsError, match=r"holds no projector_config\.json"):
        compose(encoder, language_model, tmp_path / "o", projector=encoder)


def test_adapters_that_are_not_plain_lora_are_rejected(encoder, language_model, tmp_path):
    def rejected(reason: str, folder: Path) -> None:
        with pytest.raises(WeightsError, match=reason):
            compose(encoder, language_model, tmp_path / "o", adapter=folder)

    rejected(r"holds no adapter_config\.json", encoder)
    rejected("type IA3; expected LORA", tiny_parts.adapter_folder(tmp_path / "a", peft_type="IA3"))
    adapter = tiny_parts.adapter_folder(tmp_path / "b")
    name = "base_model.model.model.language_model.layers.0.self_attn.q_proj"
    tensors = load_file(adapter / "adapter_model.safetensors")
    dora = {**tensors, f"{name}.lora_magnitude_vector": torch.zeros(3)}
    save_file(dora, adapter / "adapter_model.safetensors")
    rejected("lora_magnitude_vector is not a matrix of plain LoRA", adapter)
    wide = {**tensors, f"{name}.lora_B.weight": torch.zeros(99, 2)}
    save_file(wide, adapter / "adapter_model.safetensors")
    rejected(r"q_proj\.weight has the shape \(99, 24\), the weight \(24, 24\)", adapter)
    elsewhere = {key.replace("layers.0", "layers.7"): value for key, value in tensors.items()}
    save_file(elsewhere, adapter / "adapter_model.safetensors")
    rejected(r"does not have, or has tied: model\.language_model\.layers\.7", adapter)


def test_wrong_options_are_named(encoder, language_model, tmp_path):
    for options, reason in (
        ({"dtype": "int8"}, "dtype must be such as"),
        ({"max_shard_size": "much"}, "max_shard_size must be such as"),
        ({"projector_type": "qformer"}, "projector_type must be"),
        ({"rna_merge_size": 0}, "rna_merge_size must be at least 1"),
    ):
        with pytest.raises(WeightsError, match=reason):
            compose(encoder, language_model, tmp_path / "out", **options)


# Whole or not there


def test_existing_folder_is_kept_unless_it_may_be_replaced(encoder, language_model, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("dear")
    with pytest.raises(WeightsError, match="is not empty; choose another folder, or add --over"):
        compose(encoder, language_model, out)
    with pytest.raises(WeightsError, match=r"holds no config\.json, so it is not a model folder"):
        compose(encoder, language_model, out, overwrite=True)
    assert (out / "thesis.tex").read_text() == "dear"
    (out / "thesis.tex").rename(out / "config.json")
    compose(encoder, language_model, out, overwrite=True)
    assert json.loads((out / "config.json").read_text())["model_type"] == "rna-gpt"
    assert [folder.name for folder in tmp_path.iterdir()] == ["out"]


KILLED_WHILE_WRITING = """
import os, sys
import rnagpt.conversion.compose as module
save_file, written = module.save_file, []
def save_and_die(*arguments, **named):
    save_file(*arguments, **named)
    written.append(1)
    if len(written) == 2:
        os._exit(9)  # as a kill would: nothing is cleaned up
module.save_file = save_and_die
module.compose(*sys.argv[1:], max_shard_size="10KB")
"""


def test_killed_half_way_leaves_no_folder_and_the_next_run_is_clean(
    encoder, language_model, tmp_path
):
    arguments = [str(encoder), str(language_model), str(tmp_path / "out")]
    run = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, *arguments], check=False)
    assert run.returncode == 9
    assert [folder.name for folder in tmp_path.iterdir()] == ["out.partial"]
    assert list((tmp_path / "out.partial").glob("model-0000[12]*"))
    compose(*arguments)
    assert [folder.name for folder in tmp_path.iterdir()] == ["out"]
    assert len(list((tmp_path / "out").glob("*.safetensors"))) == 1
    RnaGptForCausalLM.from_pretrained(tmp_path / "out")


PEAK_MEMORY = """
import re, sys
from pathlib import Path
from rnagpt.conversion.compose import compose
from rnagpt.conversion.stage_record import learned_from_evidence

def memory(field):
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(field + r":\\s+(\\d+) kB", status)[1])

before = memory("VmRSS")
compose(*sys.argv[1:], max_shard_size="20MB")
print(memory("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_memory_stays_below_one_copy_of_the_weights(encoder, tmp_path):
    language = tiny_parts.language_model_folder(
        tmp_path / "language",
        tied=False,
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=10,
        max_shard_size="60MB",
    )
    weights = sum(file.stat().st_size for file in language.glob("*.safetensors"))
    arguments = [str(encoder), str(language), str(tmp_path / "out")]
    run = subprocess.run(
        [sys.executable, "-c", PEAK_MEMORY, *arguments], check=True, capture_output=True, text=True
    )
    used = int(run.stdout)
    assert weights > 250e6
    assert used < 0.5 * weights, f"{used / 1e6:.0f} MB for {weights / 1e6:.0f} MB of weights"


@pytest.mark.parametrize(
    ("record", "learned"),
    [
        ({"settings": {"evidence_share": 0.85}}, True),
        ({"stages": {"settings": {"evidence_share": 0.85}}}, True),
        ({"settings": {"decoy_share": 0.1}}, False),
        (None, False),
    ],
)
def test_a_stage_that_learned_from_evidence_is_known_by_its_record(tmp_path, record, learned):
    if record is not None:
        (tmp_path / "training_record.json").write_text(json.dumps(record))
    assert learned_from_evidence(tmp_path) is learned
