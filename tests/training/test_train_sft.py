"""Both stages on a tiny model: what is trained, saved, resumed, shared between processes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers
import yaml
from helpers import tiny_parts
from helpers.paths import ROOT
from helpers.tiny_models import make_config, make_model, make_processor
from helpers.tiny_rna_qa import make_rna_qa
from packaging.version import Version
from peft import AutoPeftModelForCausalLM, LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM
from trl import ModelConfig, SFTConfig

import rnagpt
from rnagpt import train_sft
from rnagpt.conversion import WeightsError
from rnagpt.conversion.compose import compose
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor
from rnagpt.train_sft import main, make_parser
from rnagpt.training import stages
from rnagpt.training.collators import InstructionCollator, conversation
from rnagpt.training.record import changed_settings
from rnagpt.training.trainer import (
    FamilyMasking,
    RnaGptTrainer,
    SimilarLengthSampler,
    add_answer_head,
    load_adapter,
    load_projector,
    load_stage,
    lora_targets,
    save_stage,
)

RECIPES = sorted(path for path in ROOT.glob("recipes/*/*.yaml") if path.parent.name != "accelerate")
STAGE_RECIPES = [path for path in RECIPES if "stage" in yaml.safe_load(path.read_text())]
SETTINGS = {
    "use_cpu": "true",
    "bf16": "false",
    "max_sequence_tokens": 400,
    "per_device_train_batch_size": 3,
    "learning_rate": 0.01,
    "gradient_checkpointing": "false",
    "logging_steps": 1,
    "dataloader_pin_memory": "false",
    "report_to": "none",
    "disable_tqdm": "true",
}


@pytest.fixture(autouse=True)
def without_the_hub(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")


@pytest.fixture(scope="module")
def rna_qa(tmp_path_factory):
    return make_rna_qa(tmp_path_factory.mktemp("rna_qa"))


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    return (
        tiny_parts.encoder_folder(folder / "encoder"),
        tiny_parts.language_model_folder(folder / "language_model"),
    )


@pytest.fixture(scope="module")
def composed(parts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("composed") / "model"
    return compose(*parts, folder, rna_merge_size=3, rna_summary_size=2)


@pytest.fixture
def train(composed, rna_qa):
    """Runs `train_sft.py` in this process; returns the output folder."""

    def run(out: Path, stage: str, model: Path = composed, **options) -> Path:
        paths = {"model_name_or_path": model, "dataset_name": rna_qa, "output_dir": out}
        main(*make_parser().parse_args_and_config(arguments(**paths, stage=stage, **options)))
        return out

    return run


def arguments(**options) -> list[str]:
    settings = SETTINGS | options
    return [word for name, value in settings.items() for word in (f"--{name}", str(value))]


def curve(out: Path) -> list[float]:
    """The training losses that a run has logged."""
    log = json.loads((out / "training_record.json").read_text())["log"]
    return [entry["loss"] for entry in log if "loss" in entry]


def weights(out: Path) -> dict[str, torch.Tensor]:
    """All tensors that a stage has written."""
    return {
        name: tensor
        for file in sorted(out.glob("*.safetensors"))
        for name, tensor in load_file(file).items()
    }


def test_alignment_trains_and_saves_the_projection_alone(train, composed, tmp_path):
    before = load_file(composed / "model.safetensors")
    out = train(tmp_path / "out", "alignment", max_steps=4, save_steps=2)
    trained = load_file(out / "projector.safetensors")
    assert {f"model.projector.{name}" for name in trained} == {
        name for name in before if ".projector." in name
    }
    assert any(
        not torch.equal(value, before[f"model.projector.{name}"]) for name, value in trained.items()
    )
    files = {path.name for path in (out / "checkpoint-4").iterdir()}
    assert "projector.safetensors" in files
    assert not files & {"model.safetensors", "adapter_model.safetensors", "training_args.bin"}
    record = json.loads((out / "training_record.json").read_text())
    assert record["trained_parameters"] == {
        "encoder": 0,
        "projection": sum(tensor.numel() for tensor in trained.values()),
        "adapter": 0,
    }
    assert record["steps"] == 4
    assert record["data"]["train"]["rnas_used"] == 12
    assert len(record["data"]["sha256"]) == 64
    assert record["versions"]["rnagpt"] == rnagpt.__version__
    assert str(tmp_path) not in json.dumps(record)


def test_instruction_goes_on_from_the_alignment(train, tmp_path):
    first = train(tmp_path / "first", "alignment", max_steps=1)
    same = train(
        *(tmp_path / "same", "instruction"),
        projector=first,
        freeze_projector="true",
        max_steps=1,
    )
    aligned = load_file(first / "projector.safetensors")
    assert all(
        torch.equal(aligned[name], tensor)
        for name, tensor in load_file(same / "projector.safetensors").items()
    )
    record = json.loads((same / "training_record.json").read_text())
    assert record["trained_parameters"]["projection"] == 0
    assert record["trained_parameters"]["adapter"] > 0
    assert record["started_from"]["stage"] == "alignment"


def test_a_trained_encoder_is_saved_and_gone_on_with(train, composed, tmp_path):
    settings = {"train_encoder": "true", "max_steps": 4, "save_steps": 2}
    out = train(tmp_path / "out", "alignment", **settings)
    before = load_file(composed / "model.safetensors")
    changed = {
        name: not torch.equal(value, before[f"model.rna_encoder.{name}"])
        for name, value in load_file(out / "encoder" / "model.safetensors").items()
    }
    assert {f"model.rna_encoder.{name}" for name in changed} == {
        name for name in before if ".rna_encoder." in name
    }
    assert sum(changed.values()) > len(changed) / 2
    again = train(
        tmp_path / "again", "alignment", resume_from_checkpoint=out / "checkpoint-2", **settings
    )
    for name in ("encoder/model.safetensors", "projector.safetensors"):
        resumed = load_file(again / name)
        for key, value in load_file(out / name).items():
            torch.testing.assert_close(resumed[key], value, msg=f"{name}: {key}")


def test_instruction_without_adapter_trains_the_projection(train, tmp_path):
    out = train(tmp_path, "instruction", train_adapter="false", max_steps=1)
    assert not (out / "adapter_config.json").exists()
    assert weights(out).keys() == load_file(out / "projector.safetensors").keys()


def test_the_loss_falls(train, tmp_path):
    options = {"max_steps": 30, "questions_per_sequence": 2, "lora_r": 4, "lora_dropout": 0}
    losses = curve(train(tmp_path, "instruction", **options))
    assert sum(losses[-4:]) < 0.9 * sum(losses[:4])


@pytest.mark.parametrize("stage", ["alignment", "instruction"])
def test_a_resumed_run_is_the_run(train, tmp_path, stage):
    # 4 steps an epoch: the first run stops within the second, after questions have changed.
    options = {"save_steps": 1, "max_steps": 9, "questions_per_sequence": 2, "lora_r": 4}
    straight = train(tmp_path / "straight", stage, **options)
    resumed = train(
        *(tmp_path / "resumed", stage),
        resume_from_checkpoint=straight / "checkpoint-6",
        **options,
    )
    assert len(set(curve(straight))) == 9
    assert curve(resumed) == pytest.approx(curve(straight), abs=1e-6)
    for name, tensor in weights(straight).items():
        torch.testing.assert_close(weights(resumed)[name], tensor, atol=1e-6, rtol=0)


def test_merged_and_unmerged_agree(train, parts, composed, tmp_path):
    out = train(tmp_path / "out", "instruction", max_steps=6, lora_r=4)
    processor = RnaGptProcessor.from_pretrained(composed)
    inputs = processor.apply_chat_template(
        conversation("ACGUACGUA", "What is this RNA?", "A tRNA."), tokenize=True
    )
    base = RnaGptForCausalLM.from_pretrained(composed)
    plain = base(**inputs).logits
    load_projector(base, out)
    unmerged = PeftModel.from_pretrained(base, out).eval()
    expected = unmerged(**inputs).logits
    assert not torch.allclose(plain, expected, atol=1e-2)
    folder = compose(*parts, tmp_path / "merged", projector=out, adapter=out)
    merged = RnaGptForCausalLM.from_pretrained(folder)
    torch.testing.assert_close(merged(**inputs).logits, expected, atol=1e-4, rtol=1e-4)
    merged_by_peft = unmerged.merge_and_unload()(**inputs).logits
    torch.testing.assert_close(merged_by_peft, expected, atol=1e-4, rtol=1e-4)


@pytest.fixture
def trainers(monkeypatch):
    """The trainers of the runs of a test, with the models that they trained."""
    made = []

    class Kept(RnaGptTrainer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            made.append(self)

    monkeypatch.setattr(train_sft, "RnaGptTrainer", Kept)
    return made


def ask(composed):
    """Inputs of a question about an RNA."""
    messages = conversation("ACGUACGUA", "What is this RNA?", "A tRNA.")
    return RnaGptProcessor.from_pretrained(composed).apply_chat_template(messages, tokenize=True)


@torch.no_grad()
def logits(model, composed):
    return model.eval()(**ask(composed)).logits


def as_earlier_releases(folder: Path, out: Path) -> Path:
    """A stage's folder whose adapter holds LoRA's matrices alone."""
    shutil.copytree(folder, out)
    tensors = load_file(out / "adapter_model.safetensors")
    lora = {name: tensor for name, tensor in tensors.items() if ".lora_" in name}
    assert len(lora) < len(tensors)
    save_file(lora, out / "adapter_model.safetensors", metadata={"format": "pt"})
    config = json.loads((out / "adapter_config.json").read_text())
    (out / "adapter_config.json").write_text(json.dumps(config | {"modules_to_save": None}))
    return out


def loaded_by_transformers(base, out):
    model = RnaGptForCausalLM.from_pretrained(base)
    model.load_adapter(str(out))
    return model


def ways_to_reload(base: Path, out: Path) -> dict:
    """Those of PEFT and transformers, none of them ours."""
    remote = {"trust_remote_code": True}
    ways = {
        "PeftModel": PeftModel.from_pretrained(RnaGptForCausalLM.from_pretrained(base), out),
        "a checkpoint": PeftModel.from_pretrained(
            RnaGptForCausalLM.from_pretrained(base), out / "checkpoint-2"
        ),
        "AutoPeftModel": AutoPeftModelForCausalLM.from_pretrained(str(out), **remote),
    }
    # What transformers 5.16 loads of an adapter by itself is not the whole of it.
    if Version(transformers.__version__) >= Version("5.19"):
        ways["AutoModel"] = AutoModelForCausalLM.from_pretrained(out, **remote)
        ways["load_adapter"] = loaded_by_transformers(base, out)
    return ways


@pytest.mark.parametrize("trained", ["projection", "encoder", "nothing but the adapter"])
def test_a_stage_is_a_whole_adapter_of_peft(train, composed, trainers, tmp_path, trained):
    first = train(tmp_path / "first", "alignment", max_steps=2)
    options = {
        "projection": {},
        "encoder": {"train_encoder": "true"},
        "nothing but the adapter": {"freeze_projector": "true"},
    }[trained]
    out = tmp_path / "out"
    train(out, "instruction", projector=first, max_steps=2, save_steps=2, lora_r=4, **options)
    base = RnaGptForCausalLM.from_pretrained(composed)
    in_memory = trainers[-1].model.get_base_model()
    parts = [(in_memory.model.projector, base.model.projector)]
    if trained == "encoder":
        parts += [(in_memory.model.rna_encoder, base.model.rna_encoder)]
    for part, of_base in parts:
        differences = [
            (one - other).abs().max()
            for one, other in zip(part.parameters(), of_base.parameters(), strict=True)
        ]
        assert max(differences) > 1e-3
    expected = logits(trainers[-1].model, composed)
    assert (logits(base, composed) - expected).abs().max() > 0.01
    for way, reloaded in ways_to_reload(composed, out).items():
        # On some CPUs a product's last bit depends on where in memory its factors lie.
        difference = (logits(reloaded, composed) - expected).abs().max()
        assert difference < 1e-5, way


def test_a_reloaded_stage_is_merged_whole(train, composed, trainers, tmp_path):
    out = train(tmp_path / "out", "instruction", max_steps=2, lora_r=4, train_encoder="true")
    base = RnaGptForCausalLM.from_pretrained(composed)
    merged = PeftModel.from_pretrained(base, out).merge_and_unload()
    merged.save_pretrained(tmp_path / "merged")
    again = RnaGptForCausalLM.from_pretrained(tmp_path / "merged")
    expected = logits(trainers[-1].model, composed)
    torch.testing.assert_close(logits(again, composed), expected, atol=1e-4, rtol=1e-4)


def test_gathered_weights_are_saved_as_the_model_s_own(train, composed, trainers, tmp_path):
    """What FSDP gathers from its devices is given to `save_stage` as one dictionary."""
    out = train(tmp_path / "out", "instruction", max_steps=1, lora_r=4, train_encoder="true")
    model = trainers[-1].model
    save_stage(model, tmp_path / "gathered", {n: t.clone() for n, t in model.state_dict().items()})
    one, other = (load_file(f / "adapter_model.safetensors") for f in (out, tmp_path / "gathered"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_folders_of_earlier_releases_still_load(train, parts, composed, trainers, tmp_path):
    out = train(tmp_path / "out", "instruction", max_steps=2, lora_r=4)
    earlier = as_earlier_releases(out, tmp_path / "earlier")
    model = trainers[-1].model
    expected = logits(model, composed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.zero_()
    load_stage(model, earlier)
    assert torch.equal(logits(model, composed), expected)
    load_adapter(model, earlier)
    folder = compose(*parts, tmp_path / "merged", projector=earlier, adapter=earlier)
    merged = RnaGptForCausalLM.from_pretrained(folder)
    torch.testing.assert_close(logits(merged, composed), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("is_earlier", [False, True])
def test_an_adapter_brings_its_projection(train, parts, composed, tmp_path, is_earlier):
    first = train(tmp_path / "first", "instruction", max_steps=2, lora_r=4)
    if is_earlier:
        first = as_earlier_releases(first, tmp_path / "earlier")
    settings = {"max_steps": 1, "lora_r": 4, "learning_rate": 0}
    same = train(tmp_path / "same", "instruction", adapter=first, **settings)
    expected = load_file(first / "projector.safetensors")
    found = load_file(same / "projector.safetensors")
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    alone, named = (
        compose(*parts, tmp_path / name, adapter=first, **options)
        for name, options in (("alone", {}), ("named", {"projector": first}))
    )
    stored = [load_file(folder / "model.safetensors") for folder in (alone, named)]
    assert all(torch.equal(stored[0][name], stored[1][name]) for name in stored[1])


def test_what_a_stage_was_trained_with_goes_with_it(train, parts, composed, tmp_path):
    encoder, language_model = parts
    options = {"max_steps": 2, "lora_r": 4}
    out = train(tmp_path / "out", "instruction", train_encoder="true", **options)
    other = train(tmp_path / "other", "instruction", **options)
    with pytest.raises(WeightsError, match=f"--rna-encoder {out}/encoder"):
        compose(encoder, language_model, tmp_path / "no", projector=out, adapter=out)
    (out / "encoder" / "config.json").rename(tmp_path / "config.json")
    with pytest.raises(WeightsError, match="trained with another encoder"):
        compose(encoder, language_model, tmp_path / "no", projector=out, adapter=out)
    (tmp_path / "config.json").rename(out / "encoder" / "config.json")
    with pytest.raises(WeightsError, match="trained with another projection"):
        compose(out / "encoder", language_model, tmp_path / "no", projector=other, adapter=out)
    for option in ("projector", "adapter"):
        with pytest.raises(ValueError, match="this model has another"):
            train(tmp_path / "no", "instruction", **{option: out}, **options)
    for dtype in ("float32", "bfloat16"):
        folder = tmp_path / dtype
        compose(out / "encoder", language_model, folder, projector=out, dtype=dtype)
        train(tmp_path / f"on {dtype}", "instruction", adapter=out, model=folder, **options)


@pytest.mark.parametrize("stage", ["alignment", "instruction"])
def test_the_best_checkpoint_is_loaded_whole(train, composed, trainers, tmp_path, stage):
    options = {
        "eval_strategy": "steps",
        "eval_steps": 1,
        "save_steps": 1,
        "load_best_model_at_end": "true",
        # The highest loss is the first step's, so that the best is not the last anyway.
        "metric_for_best_model": "loss",
        "greater_is_better": "true",
    }
    out = train(tmp_path / "out", stage, max_steps=4, lora_r=4, num_samples=0, **options)
    best = Path(trainers[-1].state.best_model_checkpoint)
    assert best.name != "checkpoint-4"
    for file in best.glob("*.safetensors"):
        kept, last = load_file(file), load_file(out / "checkpoint-4" / file.name)
        found = load_file(out / file.name)
        assert all(torch.equal(found[name], kept[name]) for name in kept)
        assert any(not torch.equal(last[name], kept[name]) for name in kept)


def test_an_earlier_adapter_is_gone_on_with(train, tmp_path):
    first = train(tmp_path / "first", "instruction", max_steps=4, lora_r=4)
    same = train(
        tmp_path / "same", "instruction", max_steps=1, lora_r=4, learning_rate=0, adapter=first
    )
    name = "adapter_model.safetensors"
    before, after = load_file(first / name), load_file(same / name)
    assert before.keys() == after.keys()
    assert all(before[key].equal(after[key]) for key in before)
    with pytest.raises(ValueError, match="same lora_r"):
        train(tmp_path / "other", "instruction", max_steps=1, lora_r=2, adapter=first)
    with pytest.raises(FileNotFoundError, match="holds no adapter_model"):
        train(tmp_path / "none", "instruction", max_steps=1, adapter=tmp_path)


def test_novel_families_are_masked():
    """Of a memory of three entries, the last for the unknown."""
    config = make_config(make_processor(summary_size=2))
    config.rna_family_prototypes = 3
    model = RnaGptForCausalLM(config)
    means = torch.randn(4, config.rna_config.hidden_size)
    projector = model.model.projector
    plain = projector.summary_keys(means)
    hider = FamilyMasking(model)
    assert projector.summary_keys(means).equal(plain)
    hider.novel_families = torch.tensor([True, False, True, False])
    hidden = projector.summary_keys(means)
    for row in range(4):
        own = int(plain[row, :2].argmax())
        for entry in range(3):
            gone = entry == own and row in (0, 2)
            assert hidden[row, entry] == (-torch.inf if gone else plain[row, entry])
    config.rna_family_prototypes = 0
    without = RnaGptForCausalLM(config)
    with pytest.raises(ValueError, match="has none"):
        FamilyMasking(without)


def test_novel_families_change_the_training(train, composed, tmp_path):
    with pytest.raises(ValueError, match="rna_family_prototypes is 0"):
        train(tmp_path / "out", "instruction", max_steps=1, novel_family_share=0.5)


def test_bfloat16_autocast_is_near_float32(train, tmp_path):
    options = {"max_steps": 4, "lora_r": 4, "learning_rate": 0.001}
    exact = curve(train(tmp_path / "float32", "instruction", **options))
    near = curve(train(tmp_path / "bf16", "instruction", bf16="true", dtype="bfloat16", **options))
    assert near != exact
    assert near == pytest.approx(exact, rel=0.05)


def test_caching_the_encoder_changes_nothing(train, tmp_path):
    options = {"max_steps": 6}
    plain = curve(train(tmp_path / "plain", "alignment", **options))
    cached = curve(train(tmp_path / "cached", "alignment", cache_encoder="true", **options))
    assert cached == pytest.approx(plain, abs=1e-6)


def test_a_folder_of_encoder_outputs_changes_nothing_and_is_found_again(train, tmp_path):
    options = {"max_steps": 6, "cache_folder": tmp_path / "vectors"}
    plain = curve(train(tmp_path / "plain", "alignment", max_steps=6))
    assert curve(train(tmp_path / "cached", "alignment", **options)) == pytest.approx(
        plain, abs=1e-6
    )
    (written,) = (tmp_path / "vectors").rglob("*.safetensors")
    before = written.stat()
    assert curve(train(tmp_path / "again", "alignment", **options)) == pytest.approx(
        plain, abs=1e-6
    )
    assert [written] == list((tmp_path / "vectors").rglob("*.safetensors"))
    assert written.stat().st_mtime_ns == before.st_mtime_ns


def test_evaluation_logs_answers(train, tmp_path, caplog):
    caplog.set_level("INFO")
    options = {"max_steps": 2, "eval_strategy": "steps", "eval_steps": 1, "num_samples": 2}
    out = train(tmp_path, "instruction", **options)
    log = json.loads((out / "training_record.json").read_text())["log"]
    assert sum("eval_loss" in entry for entry in log) == 2
    assert caplog.text.count("answer:") == 4
    assert "train: rnas_found 12, rnas_used 12" in caplog.text


def test_the_record_holds_no_token():
    _, training, _ = make_parser().parse_args_and_config(
        arguments(output_dir="out", hub_token="hf_secret")
    )
    assert training.hub_token == "hf_secret"
    settings = changed_settings(training)
    assert "hf_secret" not in str(settings)
    assert settings["learning_rate"] == 0.01
    assert "weight_decay" not in settings


@pytest.mark.parametrize("missing", ["model_name_or_path", "dataset_name"])
def test_what_is_not_named_is_asked_for(composed, rna_qa, tmp_path, missing):
    given = {"model_name_or_path": composed, "dataset_name": rna_qa, "output_dir": tmp_path / "out"}
    del given[missing]
    with pytest.raises(ValueError, match=f"--{missing} is missing"):
        main(*make_parser().parse_args_and_config(arguments(**given, stage="instruction")))


def test_wrong_settings_say_what_is_right(train, composed, tmp_path):
    with pytest.raises(ValueError, match="stage must be one of alignment, instruction, got 'both'"):
        train(tmp_path, "both")
    with pytest.raises(ValueError, match="nothing to train"):
        train(tmp_path, "alignment", freeze_projector="true")
    with pytest.raises(ValueError, match="lora_layers is 9, but the language model has 2 layers"):
        train(tmp_path, "instruction", lora_layers=9)
    with pytest.raises(WeightsError, match=r"holds no projector_config\.json"):
        train(tmp_path, "instruction", projector=composed)
    processor = make_processor(merge_size=2)
    save_stage(make_model(processor), tmp_path / "other")
    with pytest.raises(ValueError, match="rna_merge_size=2 instead of 3"):
        train(tmp_path, "instruction", projector=tmp_path / "other")


@pytest.mark.parametrize(
    "recipe", STAGE_RECIPES, ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_recipes_are_understood(recipe):
    stage, training, _ = make_parser().parse_args_and_config(
        ["--config", str(recipe), "--use_cpu", "true", "--output_dir", "out"]
    )
    assert recipe.stem.startswith(stage.stage)
    assert stage.dataset_config == {"alignment": "annotations", "instruction": "qa"}[stage.stage]
    assert training.learning_rate > 0


def test_only_linear_layers_of_the_language_model_are_adapted(processor):
    model = make_model(processor)
    for last, layers in ((None, {"0", "1"}), (0, {"0", "1"}), (1, {"1"})):
        wrapped = get_peft_model(model, LoraConfig(r=2, target_modules=lora_targets(model, last)))
        adapted = {
            name.split(".lora_")[0] for name, _ in wrapped.named_parameters() if "lora" in name
        }
        assert all(".language_model.layers." in name for name in adapted)
        assert {name.split(".layers.")[1].split(".")[0] for name in adapted} == layers
        assert len(adapted) == 7 * len(layers)  # q k v o gate up down
        model = wrapped.unload()


def test_logits_of_answers_alone_give_the_same_loss(processor):
    model = make_model(processor)
    rows = [
        {"id": str(n), "sequence": "ACGU" * n, "questions": ["What?"], "answers": ["A tRNA." * n]}
        for n in (1, 3)
    ]
    batch = InstructionCollator(processor)(rows)
    expected = model(**batch).loss
    add_answer_head(model)
    outputs = model(**batch, fused_lm_head=True)
    mean = -outputs.log_probs.sum() / outputs.label_mask.sum()
    torch.testing.assert_close(mean, expected)
    torch.testing.assert_close(model(**batch).loss, expected)
    grad = torch.autograd.grad(mean, model.model.projector.nucleotides.weight)
    expected_grad = torch.autograd.grad(expected, model.model.projector.nucleotides.weight)
    torch.testing.assert_close(grad, expected_grad)


def test_batches_hold_rows_of_similar_length():
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(10, 500, (1003,), generator=generator).tolist()
    sampler = SimilarLengthSampler(lengths, batch_size=8, seed=0)
    order = list(sampler)
    assert sorted(order) == list(range(1003))
    batches = [order[i : i + 8] for i in range(0, 1003, 8)]
    spread = [max(lengths[i] for i in b) - min(lengths[i] for i in b) for b in batches]
    assert sum(spread) / len(spread) < 30
    assert [len(batch) for batch in batches[:-1]] == [8] * 125
    assert order == list(sampler)
    sampler.set_epoch(1)
    assert order != list(sampler)


LAUNCH = [sys.executable, "-m", "accelerate.commands.launch", "--config_file"]
DATA_PARALLEL = [
    *LAUNCH,
    str(ROOT / "recipes/accelerate/ddp_cpu2.yaml"),
    str(ROOT / "train_sft.py"),
]
SHARDED = [
    *LAUNCH,
    str(ROOT / "recipes/accelerate/fsdp2.yaml"),
    *("--num_processes", "2", "--mixed_precision", "no"),
    str(ROOT / "tests/helpers/train_sharded.py"),
]


@pytest.mark.slow
@pytest.mark.parametrize("launch", [DATA_PARALLEL, SHARDED], ids=["ddp", "fsdp2"])
def test_two_processes_are_one(composed, rna_qa, tmp_path, launch):
    options = {"model_name_or_path": composed, "dataset_name": rna_qa, "stage": "instruction"}
    options |= {"max_steps": 4, "save_steps": 2, "lora_r": 4, "lora_dropout": 0}
    # With a small epsilon Adam would turn the rounding of a gradient near zero into a whole step.
    options |= {"optim": "adamw_torch", "adam_epsilon": 1, "learning_rate": 1}
    two = {"per_device_train_batch_size": 2}
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "HF_DATASETS_CACHE": str(tmp_path / "cache"),
        "HF_HUB_OFFLINE": "1",
    }
    for name, command, settings in (
        ("one", [sys.executable, str(ROOT / "train_sft.py")], {"per_device_train_batch_size": 4}),
        ("two", launch, two),
        ("resumed", launch, two | {"resume_from_checkpoint": tmp_path / "two" / "checkpoint-2"}),
    ):
        words = arguments(**options, **settings, output_dir=tmp_path / name)
        done = subprocess.run(
            [*command, *words], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
    if launch == SHARDED:
        # Else accelerate has left FSDP out, and both processes have held the whole model.
        assert (tmp_path / "two/checkpoint-2/pytorch_model_fsdp.bin").is_file()
    for name in ("two", "resumed"):
        assert json.loads((tmp_path / name / "training_record.json").read_text())["processes"] == 2
        assert curve(tmp_path / name) == pytest.approx(curve(tmp_path / "one"), rel=1e-4)
        trained = weights(tmp_path / name)
        for key, tensor in weights(tmp_path / "one").items():
            torch.testing.assert_close(trained[key], tensor, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(("times", "warned"), [(50.0, True), (0.4, False)])
def test_bfloat16_on_a_cpu_without_units_for_it_is_warned_of(monkeypatch, caplog, times, warned):
    monkeypatch.setattr(stages, "slowdown_of_bfloat16", lambda: times)
    args, model_args = SFTConfig(use_cpu=True, bf16=True, output_dir="out"), ModelConfig()
    stages.warn_of_slow_bfloat16(args, model_args)
    assert ("50 times slower" in caplog.text) == warned
    caplog.clear()
    stages.warn_of_slow_bfloat16(SFTConfig(use_cpu=True, bf16=False, output_dir="out"), model_args)
    assert not caplog.text


def test_the_slowdown_is_a_ratio_of_two_speeds():
    assert 0 < stages.slowdown_of_bfloat16(0.02) < 1e4
