"""The model: RNA vectors in their places, windows, masks, frozen parts, weights."""

import json
from itertools import pairwise
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers.tiny_models import make_config, make_model, make_processor, make_question, make_rna
from helpers.tiny_prompts import PROMPTS, embeds_of_prompt, generate, prompt
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import (
    BitsAndBytesConfig,
    EsmModel,
    GPT2Config,
)
from transformers.quantizers.base import HfQuantizer
from transformers.quantizers.quantizers_utils import should_convert_module
from transformers.utils import is_bitsandbytes_available

from rnagpt.configuration_rnagpt import RnaGptConfig
from rnagpt.modeling_rnagpt import RnaGptForCausalLM, RnaProjector, _similar_lengths
from rnagpt.processing_rnagpt import RnaGptProcessor


def one_by_one(model: RnaGptForCausalLM, processor: RnaGptProcessor) -> list[torch.Tensor]:
    """Next-token logits (vocabulary) of each prompt run alone."""
    with torch.no_grad():
        return [model(**prompt(processor, messages)).logits[0, -1] for messages in PROMPTS]


# --- prompts and masks


@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_batch_equals_each_alone(
    model: RnaGptForCausalLM, processor: RnaGptProcessor, side: str
) -> None:
    inputs = prompt(processor, PROMPTS, side)
    with torch.no_grad():
        logits = model(**inputs).logits
    last = inputs["attention_mask"].sum(1) - 1 if side == "right" else [-1] * len(PROMPTS)
    for row, (end, alone) in enumerate(zip(last, one_by_one(model, processor), strict=True)):
        torch.testing.assert_close(logits[row, end], alone, atol=1e-4, rtol=1e-4)


def test_vectors_take_the_places_of_placeholders(
    model: RnaGptForCausalLM, processor: RnaGptProcessor
) -> None:
    with torch.no_grad():
        for messages in PROMPTS:
            embeds = embeds_of_prompt(model, processor, messages)
            expected = model(inputs_embeds=embeds).logits
            logits = model(**prompt(processor, messages)).logits
            torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)


def test_answer_depends_on_every_rna_and_its_order(
    model: RnaGptForCausalLM, processor: RnaGptProcessor
) -> None:
    def logits(*rnas: str) -> torch.Tensor:
        return model(**prompt(processor, [make_question(rnas)])).logits[0, -1]

    first, second, third = make_rna(20, 1), make_rna(20, 2), make_rna(20, 3)
    reference = logits(first, second)
    for other in (logits(second, first), logits(first, third), logits(third, second)):
        assert (reference - other).abs().max() > 0.01


@pytest.mark.parametrize("change", ["more", "fewer", "none"])
def test_wrong_number_of_vectors_is_rejected(
    model: RnaGptForCausalLM, processor: RnaGptProcessor, change: str
) -> None:
    inputs = prompt(processor, PROMPTS[0])
    if change == "none":
        del inputs["rna_input_ids"], inputs["rna_attention_mask"]
    elif change == "fewer":
        inputs["rna_attention_mask"][1, 60:] = 0
    else:
        inputs["input_ids"] = inputs["input_ids"][:, inputs["input_ids"].shape[1] // 2 :]
    placeholders = int((inputs["input_ids"] == processor.rna_token_id).sum())
    reason = "no RNA was given. Pass on all" if change == "none" else r"RNAs make \d+ vectors"
    with pytest.raises(ValueError, match=rf"hold {placeholders} placeholders, but .*{reason}") as e:
        model(**inputs)
    assert "prefill" not in str(e.value)


def test_reading_a_prompt_in_chunks_is_rejected_with_rnas_alone(
    model: RnaGptForCausalLM, processor: RnaGptProcessor
) -> None:
    with pytest.raises(
        ValueError, match="prefill_chunk_size=7 cannot be had where a prompt holds an RNA"
    ):
        generate(model, prompt(processor, PROMPTS[0]), prefill_chunk_size=7)
    text = prompt(processor, PROMPTS[2])
    assert torch.equal(generate(model, text, prefill_chunk_size=7), generate(model, text))


def test_mask_with_a_hole_is_rejected(model: RnaGptForCausalLM, processor: RnaGptProcessor) -> None:
    inputs = prompt(processor, PROMPTS[1])
    inputs["rna_attention_mask"][0, 3] = 0
    with pytest.raises(ValueError, match="nucleotides in a row"):
        model(**inputs)
    inputs["rna_attention_mask"][0] = 0
    with pytest.raises(ValueError, match="nucleotides in a row"):
        model(**inputs)


def padded_before(values: torch.Tensor, mask: torch.Tensor, padding: int) -> torch.Tensor:
    """Rows (rnas, longest) with their padding before the nucleotides, as pipelines pad."""
    width = values.shape[1] + 3
    rows = [row[kept.bool()] for row, kept in zip(values, mask, strict=True)]
    return torch.stack(
        [nn.functional.pad(row, (width - len(row), 0), value=padding) for row in rows]
    )


def test_rnas_padded_on_the_left_are_the_same_rnas(
    model: RnaGptForCausalLM, processor: RnaGptProcessor
) -> None:
    inputs = prompt(processor, PROMPTS)
    ids, mask = inputs["rna_input_ids"], inputs["rna_attention_mask"]
    left = {
        **inputs,
        "rna_input_ids": padded_before(ids, mask, 0),  # pipelines fill with zeros
        "rna_attention_mask": padded_before(mask, mask, 0),
    }
    logits = model(**inputs).logits
    assert torch.allclose(model(**left).logits, logits, atol=1e-5)
    assert torch.equal(generate(model, left), generate(model, inputs))
    # Each vector lies where its nucleotide does, so that it may be handed in with the same mask.
    vectors = model.encode_rna(left["rna_input_ids"], left["rna_attention_mask"])
    expected = model.encode_rna(ids, mask)
    assert torch.equal(vectors[left["rna_attention_mask"].bool()], expected[mask.bool()])
    assert not vectors[~left["rna_attention_mask"].bool()].any()
    del left["rna_input_ids"]
    assert torch.allclose(model(**left, rna_hidden_states=vectors).logits, logits, atol=1e-5)


def test_embeddings_and_rnas_together_are_rejected(
    model: RnaGptForCausalLM, processor: RnaGptProcessor
) -> None:
    inputs = prompt(processor, PROMPTS[1])
    embeds = embeds_of_prompt(model, processor, PROMPTS[1])
    inputs.pop("input_ids")
    with pytest.raises(ValueError, match="inputs_embeds alone"):
        model(inputs_embeds=embeds, **inputs)


def test_mask_may_be_left_out(model: RnaGptForCausalLM, processor: RnaGptProcessor) -> None:
    inputs = prompt(processor, PROMPTS)
    expected = model(**inputs).logits
    del inputs["rna_attention_mask"]
    assert torch.equal(model(**inputs).logits, expected)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_questions_packed_after_one_rna_equal_separate_runs(
    processor: RnaGptProcessor, attention: str
) -> None:
    model = make_model(processor)
    model.set_attn_implementation(attention)
    inputs = prompt(processor, [make_question([make_rna(40)], "")])
    prefix = inputs.pop("input_ids")
    del inputs["attention_mask"]
    questions = [torch.randint(0, 250, (1, length)) for length in (5, 9, 3)]
    length, total = prefix.shape[1], prefix.shape[1] + 17
    mask = torch.zeros(total, total, dtype=torch.bool)
    mask[:, :length] = True
    position_ids = [torch.arange(length)]
    start = length
    for question in questions:
        end = start + question.shape[1]
        mask[start:end, start:end] = True
        position_ids.append(torch.arange(length, length + question.shape[1]))
        start = end
    packed = model(
        input_ids=torch.cat([prefix, *questions], dim=1),
        attention_mask=mask.tril()[None, None],
        position_ids=torch.cat(position_ids)[None],
        **inputs,
    ).logits[0, length:]
    alone = [
        model(input_ids=torch.cat([prefix, question], dim=1), **inputs).logits[0, length:]
        for question in questions
    ]
    torch.testing.assert_close(packed, torch.cat(alone), atol=1e-5, rtol=1e-5)


def test_eager_equals_sdpa(processor: RnaGptProcessor) -> None:
    model = make_model(processor)
    inputs = prompt(processor, PROMPTS)
    logits = {}
    for attention in ("sdpa", "eager"):
        model.set_attn_implementation(attention)
        assert model.model.rna_encoder.config._attn_implementation == attention
        assert model.model.language_model.config._attn_implementation == attention
        logits[attention] = model(**inputs).logits[inputs["attention_mask"].bool()]
    torch.testing.assert_close(logits["eager"], logits["sdpa"], atol=1e-4, rtol=1e-4)


def test_flash_attention_is_declared(model: RnaGptForCausalLM) -> None:
    parts = (model, model.model, model.model.rna_encoder, model.model.language_model)
    assert all(part._supports_flash_attn and part._supports_sdpa for part in parts)


# --- loss


def test_loss_is_the_cross_entropy_of_the_labelled_tokens(
    model: RnaGptForCausalLM, processor: RnaGptProcessor
) -> None:
    inputs = prompt(processor, PROMPTS, "right")
    labels = inputs["input_ids"].clone()
    labels[:, ::3] = -100
    outputs = model(**inputs, labels=labels)
    counted = [
        (row, i)
        for row in range(labels.shape[0])
        for i in range(1, labels.shape[1])
        if labels[row, i] not in (-100, processor.rna_token_id)
    ]
    logits = torch.stack([outputs.logits[row, i - 1] for row, i in counted])
    targets = torch.stack([labels[row, i] for row, i in counted])
    torch.testing.assert_close(outputs.loss, cross_entropy(logits, targets))


def test_trl_finds_hidden_states_and_head(
    model: RnaGptForCausalLM, processor: RnaGptProcessor
) -> None:
    inputs = prompt(processor, PROMPTS)
    hidden_states = model.base_model(**inputs).last_hidden_state
    logits = hidden_states @ model.lm_head.weight.T
    torch.testing.assert_close(logits, model(**inputs).logits)
    assert model.get_decoder() is model.model.language_model


@pytest.mark.parametrize("kept", [1, 4, torch.tensor([0, 2, 5])])
def test_logits_to_keep(model: RnaGptForCausalLM, processor: RnaGptProcessor, kept: Any) -> None:
    inputs = prompt(processor, PROMPTS)
    expected = model(**inputs).logits
    expected = expected[:, -kept:] if isinstance(kept, int) else expected[:, kept]
    torch.testing.assert_close(model(**inputs, logits_to_keep=kept).logits, expected)


# --- projection


@pytest.mark.parametrize("kind", ["linear", "mlp"])
@pytest.mark.parametrize("merge_size", [1, 2, 5])
@pytest.mark.parametrize("summary_size", [0, 3])
def test_projection_of_lengths_that_do_not_divide(
    kind: str, merge_size: int, summary_size: int
) -> None:
    processor = make_processor(merge_size=merge_size, summary_size=summary_size)
    config = make_config(processor, projector_type=kind)
    projector = RnaProjector(config)
    lengths = [1, 7, 10, 4]
    hidden_states = torch.randn(len(lengths), 10, 16)
    mask = torch.arange(10) < torch.tensor(lengths)[:, None]
    vectors = projector(hidden_states, mask)
    expected = []
    for row, length in enumerate(lengths):
        if summary_size:
            mean = projector.summary_norm(hidden_states[row, :length].mean(0))
            expected += projector.summary(mean).split(32)
        for start in range(0, length, merge_size):
            group = torch.zeros(merge_size, 16)
            part = hidden_states[row, start : min(start + merge_size, length)]
            group[: len(part)] = part
            expected.append(projector.nucleotides(group.flatten()))
    torch.testing.assert_close(vectors, torch.stack(expected), atol=1e-5, rtol=1e-5)
    assert len(vectors) == sum(config.num_rna_tokens(length) for length in lengths)


def test_projection_ignores_what_stands_in_the_padding() -> None:
    projector = RnaProjector(make_config(make_processor(merge_size=4, summary_size=1)))
    hidden_states = torch.randn(2, 9, 16)
    mask = torch.tensor([[True] * 9, [True] * 6 + [False] * 3])
    expected = projector(hidden_states, mask)
    hidden_states[1, 6:] = float("nan")
    assert torch.equal(projector(hidden_states, mask), expected)


def test_projection_parameter_names(model: RnaGptForCausalLM) -> None:
    assert {name.split(".")[0] for name in model.model.projector.state_dict()} == {
        "nucleotides",
        "summary",
        "summary_norm",
    }


# --- encoder and windows


class TellingEncoder(nn.Module):
    """Says of every token: its id, its place in the window, the window's first and last id."""

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, return_dict: bool
    ) -> SimpleNamespace:
        assert (input_ids[:, 0] == 0).all()  # cls
        lengths = attention_mask.sum(1)
        rows = torch.arange(len(input_ids))
        assert (input_ids[rows, lengths - 1] == 2).all()  # eos
        place = torch.arange(input_ids.shape[1]).expand_as(input_ids) - 1
        first = input_ids[:, 1:2].expand_as(input_ids)
        last = input_ids[rows, lengths - 2][:, None].expand_as(input_ids)
        return SimpleNamespace(last_hidden_state=torch.stack([input_ids, place, first, last], -1))


@pytest.mark.parametrize("overlap", [0, 1, 8, 20, 31])
def test_each_nucleotide_is_from_the_window_where_it_lies_deepest(overlap: int) -> None:
    model = make_model(
        make_processor(),
        rna={"vocab_size": 25 + 4**6, "kmer_size": 6},
        rna_window_overlap=overlap,
    )
    model.model.rna_encoder = TellingEncoder()
    lengths = [31, 32, 33, 64, 100, 257]
    rnas = torch.ones(len(lengths), 257, dtype=torch.long)
    for row, length in enumerate(lengths):
        rnas[row, :length] = torch.arange(1000, 1000 + length)  # an id tells the nucleotide
    encoded = model.encode_rna(rnas).tolist()
    for row, length in enumerate(lengths):
        tokens, places, firsts, lasts = zip(*encoded[row][:length], strict=True)
        assert list(tokens) == list(range(1000, 1000 + length))
        windows = sorted(set(zip(firsts, lasts, strict=True)))
        assert (windows[0][0], windows[-1][1]) == (1000, 1000 + length - 1)
        assert all(last - first < 32 for first, last in windows)
        assert all(left[1] - right[0] + 1 >= overlap for left, right in pairwise(windows))
        for token, place, first, last in zip(tokens, places, firsts, lasts, strict=True):
            assert place == token - first
            depths = {
                window: min(
                    [token - window[0]] * (window != windows[0])
                    + [window[1] - token] * (window != windows[-1]),
                    default=0,
                )
                for window in windows
                if window[0] <= token <= window[1]
            }
            assert depths[first, last] == max(depths.values())
        assert not any(map(any, encoded[row][length:]))


def test_rna_that_fills_the_window_is_encoded_whole() -> None:
    model = make_model(
        make_processor(),
        rna={"max_position_embeddings": 1026},
        rna_window_length=1022,
        rna_window_overlap=128,
    )
    ids = torch.randint(4, 8, (1, 1023))
    whole = torch.cat([torch.tensor([[0]]), ids[:, :1022], torch.tensor([[2]])], dim=1)
    with torch.no_grad():
        expected = model.model.rna_encoder(whole).last_hidden_state[:, 1:-1]
        torch.testing.assert_close(model.encode_rna(ids[:, :1022]), expected)
        longer = model.encode_rna(ids)  # one nucleotide more makes two windows
    assert longer.shape == (1, 1023, 16)
    torch.testing.assert_close(longer[:, :511], expected[:, :511])


def test_encoder_in_a_padded_batch_equals_each_alone(model: RnaGptForCausalLM) -> None:
    lengths = [1, 32, 90, 33]
    rnas = torch.ones(4, 90, dtype=torch.long)
    for row, length in enumerate(lengths):
        rnas[row, :length] = torch.randint(4, 19, (length,))
    with torch.no_grad():
        encoded = model.encode_rna(rnas)
        for row, length in enumerate(lengths):
            alone = model.encode_rna(rnas[row : row + 1, :length])
            torch.testing.assert_close(encoded[row, :length], alone[0], atol=1e-5, rtol=1e-5)
            assert not encoded[row, length:].any()


def test_encoder_batches_hold_similar_lengths_and_hardly_pad() -> None:
    random = Random(0)
    lengths = [random.choice([30, 31, 75, 76, 120, random.randint(1, 1024)]) for _ in range(300)]
    batches = _similar_lengths(lengths, 1024, 0.05)
    assert sorted(row for batch in batches for row in batch) == list(range(300))
    for batch in batches:
        padded = len(batch) * max(lengths[row] for row in batch)
        assert padded <= 1024
        assert padded - sum(lengths[row] for row in batch) <= 0.05 * padded
    assert len(batches) < 150
    assert len(_similar_lengths([2000, 2000], 1024, 0.05)) == 2


def test_encoder_reads_rnas_of_other_lengths_apart(model: RnaGptForCausalLM) -> None:
    shapes = []
    model.model.rna_encoder.register_forward_pre_hook(
        lambda module, args, kwargs: shapes.append(tuple(kwargs["input_ids"].shape)),
        with_kwargs=True,
    )
    rnas = torch.ones(5, 30, dtype=torch.long)
    for row, length in enumerate([9, 30, 9, 30, 9]):
        rnas[row, :length] = torch.randint(4, 8, (length,))
    model.encode_rna(rnas)
    assert sorted(shapes) == [(2, 32), (3, 11)]  # with cls and eos


def test_encoder_equals_the_one_of_transformers(model: RnaGptForCausalLM) -> None:
    own = model.model.rna_encoder
    theirs = EsmModel(model.config.rna_config, add_pooling_layer=False).eval()
    theirs.load_state_dict(own.state_dict())
    ids = torch.tensor([[0, 4, 5, 6, 7, 6, 4, 2]])
    got, expected = own(ids).last_hidden_state, theirs(ids).last_hidden_state
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(own(ids).last_hidden_state, expected, atol=1e-6, rtol=1e-5)
    # It would be equal, too, if the layers were theirs.
    kinds = {type(layer.intermediate) for layer in theirs.encoder.layer}
    assert kinds.isdisjoint(type(layer.intermediate) for layer in own.encoder.layer)


def test_encoder_without_cls_and_eos() -> None:
    model = make_model(make_processor(), rna_cls_token_id=None, rna_eos_token_id=None)
    ids = torch.randint(4, 8, (1, 30))
    expected = model.model.rna_encoder(ids).last_hidden_state
    torch.testing.assert_close(model.encode_rna(ids), expected)


def test_cached_encoder_outputs_stand_for_the_encoder(
    model: RnaGptForCausalLM, processor: RnaGptProcessor
) -> None:
    inputs = prompt(processor, PROMPTS)
    expected = model(**inputs).logits
    rna_input_ids = inputs.pop("rna_input_ids")
    hidden_states = model.encode_rna(rna_input_ids, inputs["rna_attention_mask"])
    model.model.rna_encoder = None
    assert torch.equal(model(**inputs, rna_hidden_states=hidden_states).logits, expected)


# --- frozen parts and gradients


def freeze(model: RnaGptForCausalLM) -> RnaGptForCausalLM:
    """All but the projection, as in the alignment stage."""
    model.requires_grad_(False)
    model.model.projector.requires_grad_(True)
    return model


def modes(model: RnaGptForCausalLM) -> list[bool]:
    parts = model.model
    return [part.training for part in (parts.rna_encoder, parts.projector, parts.language_model)]


def test_frozen_parts_stay_in_eval(model: RnaGptForCausalLM) -> None:
    assert modes(model.train()) == [True, True, True]
    assert modes(freeze(model).train()) == [False, True, False]
    dropouts = [module for module in model.modules() if isinstance(module, nn.Dropout)]
    assert len(dropouts) > 2
    assert not any(module.training for module in dropouts)
    assert modes(model.requires_grad_(True).train()) == [True, True, True]
    assert not any(module.training for module in model.eval().modules())


def test_frozen_encoder_has_no_dropout_in_training(processor: RnaGptProcessor) -> None:
    model = make_model(processor, rna={"hidden_dropout_prob": 0.5})
    ids = torch.randint(4, 8, (1, 20))
    model.train()
    assert not torch.equal(model.encode_rna(ids), model.encode_rna(ids))
    freeze(model).train()
    assert torch.equal(model.encode_rna(ids), model.encode_rna(ids))


def gradients(
    model: RnaGptForCausalLM, processor: RnaGptProcessor
) -> dict[str, torch.Tensor | None]:
    inputs = prompt(processor, PROMPTS, "right")
    model.zero_grad()
    model(**inputs, labels=inputs["input_ids"]).loss.backward()
    named = model.named_parameters()
    return {name: parameter.grad for name, parameter in named if parameter.requires_grad}


def count_checkpoints(model: Any, counts: dict[str, int]) -> None:
    """Count which parts' layers run under gradient checkpointing."""
    for part in ("rna_encoder", "language_model"):
        counts[part] = 0
        for layer in getattr(model, part).modules():
            if checkpoint := getattr(layer, "_gradient_checkpointing_func", None):

                def counted(*args: Any, part: str = part, run: Any = checkpoint) -> Any:
                    counts[part] += 1
                    return run(*args)

                layer._gradient_checkpointing_func = counted


@pytest.mark.parametrize("trained", ["all", "projection"])
def test_gradient_checkpointing(processor: RnaGptProcessor, trained: str) -> None:
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = make_model(processor, rna=no_dropout)
    if trained == "projection":
        freeze(model)
    model.train()
    expected = gradients(model, processor)
    assert all(gradient is not None for gradient in expected.values()) or trained == "all"
    model.gradient_checkpointing_enable()
    model.train()
    counts: dict[str, int] = {}
    count_checkpoints(model.model, counts)
    for name, gradient in gradients(model, processor).items():
        torch.testing.assert_close(gradient, expected[name], msg=name)
    assert counts["language_model"] == 2
    # Each of two layers, once for each batch of similar lengths.
    calls, rest = divmod(counts["rna_encoder"], 2)
    assert (calls > 0, rest) == (trained == "all", 0)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_lora_with_gradient_checkpointing(
    processor: RnaGptProcessor, tmp_path: Path, checkpointing: bool
) -> None:
    peft = pytest.importorskip("peft")
    base = make_model(processor)
    base.save_pretrained(tmp_path / "base")
    lora = peft.LoraConfig(
        r=2,
        target_modules=r"model\.language_model\..*\.(q|k|v|o|gate|up|down)_proj",
        modules_to_save=["projector"],
        task_type="CAUSAL_LM",
        init_lora_weights=False,
    )
    model = peft.get_peft_model(base, lora)
    if checkpointing:
        model.gradient_checkpointing_enable()
    model.train()
    assert modes(base) == [False, True, True]
    found = gradients(model, processor)
    assert all(gradient is not None and gradient.any() for gradient in found.values())
    parts = {
        part for name in found for part in ("projector", "lora_A", "rna_encoder") if part in name
    }
    assert parts == {"projector", "lora_A"}
    with torch.no_grad():
        for parameter in base.model.projector.parameters():
            parameter.add_(0.1)
    inputs = prompt(processor, PROMPTS)
    expected = model.eval()(**inputs).logits
    model.save_pretrained(tmp_path / "adapter")
    again = RnaGptForCausalLM.from_pretrained(tmp_path / "base")
    again = peft.PeftModel.from_pretrained(again, tmp_path / "adapter").eval()
    torch.testing.assert_close(again(**inputs).logits, expected)
    merged = again.merge_and_unload()
    merged.save_pretrained(tmp_path / "merged")
    merged = RnaGptForCausalLM.from_pretrained(tmp_path / "merged")
    torch.testing.assert_close(merged(**inputs).logits, expected, atol=1e-4, rtol=1e-4)


def test_frozen_encoder_builds_no_graph(model: RnaGptForCausalLM) -> None:
    freeze(model).enable_input_require_grads()  # which reaches the encoder's embeddings too
    ids = torch.randint(4, 8, (1, 20))
    assert not model.encode_rna(ids).requires_grad
    model.requires_grad_(True)
    assert model.encode_rna(ids).requires_grad


# --- weights, types and devices


def test_saved_and_loaded_model_is_the_same(
    model: RnaGptForCausalLM, processor: RnaGptProcessor, tmp_path: Path
) -> None:
    inputs = prompt(processor, PROMPTS)
    expected = model(**inputs).logits
    model.save_pretrained(tmp_path)
    again, info = RnaGptForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    assert not any("pooler" in name for name in again.state_dict())  # nothing would train it
    assert torch.equal(again(**inputs).logits, expected)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_tied_head(processor: RnaGptProcessor, tmp_path: Path, family: str) -> None:
    config = make_config(processor, text={"tie_word_embeddings": True})
    if family == "gpt2":  # its embedding has another name
        size = config.text_config.vocab_size
        gpt2 = GPT2Config(vocab_size=size, n_embd=32, n_layer=1, n_head=2)
        config = RnaGptConfig(**{**config.to_dict(), "text_config": gpt2})
    model = RnaGptForCausalLM(config).eval()
    assert model.lm_head.weight is model.get_input_embeddings().weight
    model.save_pretrained(tmp_path)
    again = RnaGptForCausalLM.from_pretrained(tmp_path)
    assert again.lm_head.weight is again.get_input_embeddings().weight
    inputs = prompt(processor, PROMPTS, "right")
    torch.testing.assert_close(again(**inputs).logits, model(**inputs).logits)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_number_types(
    model: RnaGptForCausalLM, processor: RnaGptProcessor, tmp_path: Path, dtype: torch.dtype
) -> None:
    model.save_pretrained(tmp_path)
    again = RnaGptForCausalLM.from_pretrained(tmp_path, dtype=dtype)
    inputs = prompt(processor, PROMPTS, "right")
    with torch.no_grad():
        expected, logits = model(**inputs).logits, again(**inputs).logits
    assert logits.dtype == dtype
    kept = inputs["attention_mask"].bool()
    error = (logits[kept].float() - expected[kept]).abs().mean() / expected[kept].abs().mean()
    assert error < {torch.float32: 1e-6, torch.bfloat16: 0.15, torch.float16: 0.02}[dtype]
    assert generate(again, prompt(processor, PROMPTS)).shape == (4, 8)
    again.to(dtype)  # the projection too
    assert again(**inputs).logits.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_number_type_is_kept_when_saved(
    model: RnaGptForCausalLM, processor: RnaGptProcessor, tmp_path: Path, dtype: torch.dtype
) -> None:
    """In the file, in what the configuration says of it, and after loading by what it says."""
    model.save_pretrained(tmp_path / "float32")
    loaded = RnaGptForCausalLM.from_pretrained(tmp_path / "float32", dtype=dtype)
    loaded.save_pretrained(tmp_path / "saved")
    named = json.loads((tmp_path / "saved" / "config.json").read_text())["dtype"]
    assert f"torch.{named}" == str(dtype)
    again = RnaGptForCausalLM.from_pretrained(tmp_path / "saved")
    assert (loaded.dtype, again.dtype, again.model.dtype) == (dtype, dtype, dtype)
    saved = load_file(tmp_path / "saved" / "model.safetensors")
    # In float16 encoder and projection stay in float32: what they lose, a whole answer does.
    wide = torch.float32 if dtype == torch.float16 else dtype
    for name, tensor in [*again.state_dict().items(), *saved.items()]:
        expected = wide if "rna_encoder" in name or "projector" in name else dtype
        assert tensor.dtype == expected, name
    assert generate(again, prompt(processor, PROMPTS)).tolist() == (
        generate(loaded, prompt(processor, PROMPTS)).tolist()
    )


def test_tuples_in_place_of_outputs(model: RnaGptForCausalLM, processor: RnaGptProcessor) -> None:
    """`return_dict=False`, in the configurations or in the call: what has a value, in order."""
    inputs = prompt(processor, PROMPTS, "right")
    tokens = generate(model, prompt(processor, PROMPTS))
    with torch.no_grad():
        expected = model(**inputs, labels=inputs["input_ids"])
        called = model(**inputs, labels=inputs["input_ids"], return_dict=False)
        for config in (model.config, model.config.text_config, model.config.rna_config):
            config.return_dict = False
        found = model(**inputs, labels=inputs["input_ids"])
        headless = model.model(**inputs)
        named = model(**inputs, labels=inputs["input_ids"], return_dict=True)
    for outputs in (called, found):
        assert isinstance(outputs, tuple)
        assert torch.equal(outputs[0], expected.loss)
        assert torch.equal(outputs[1], expected.logits)
        assert torch.equal(outputs[-1], expected.rna_vectors)
    assert torch.equal(headless[-1], expected.rna_vectors)
    assert torch.equal(named.logits, expected.logits)
    assert torch.equal(generate(model, prompt(processor, PROMPTS)), tokens)


@pytest.mark.parametrize(
    "device_map", ["cpu", "auto", {"model": "cpu", "lm_head": "cpu", "model.projector": "cpu"}]
)
def test_device_map(
    model: RnaGptForCausalLM, processor: RnaGptProcessor, tmp_path: Path, device_map: Any
) -> None:
    model.save_pretrained(tmp_path)
    again = RnaGptForCausalLM.from_pretrained(tmp_path, device_map=device_map)
    inputs = prompt(processor, PROMPTS).to(again.device)
    expected = model(**prompt(processor, PROMPTS)).logits
    torch.testing.assert_close(again(**inputs).logits.cpu(), expected, atol=1e-3, rtol=1e-3)


def test_layers_are_not_split_between_devices(model: RnaGptForCausalLM) -> None:
    assert {"EsmLayer", "LlamaDecoderLayer"} <= set(model._no_split_modules)


@pytest.mark.parametrize("headless", [False, True])
def test_quantisation_spares_encoder_and_projection(
    model: RnaGptForCausalLM, headless: bool
) -> None:
    quantised = model.model if headless else model
    kept = HfQuantizer.get_modules_to_not_convert(quantised, None, quantised._keep_in_fp32_modules)
    linear = {name for name, part in quantised.named_modules() if isinstance(part, nn.Linear)}
    converted = {name for name in linear if should_convert_module(name, kept)}
    assert converted == {name for name in linear if "language_model.layers." in name}
    assert len(converted) == 7 * model.config.text_config.num_hidden_layers


def test_quantisation_reaches_the_library(model: RnaGptForCausalLM, tmp_path: Path) -> None:
    if is_bitsandbytes_available():
        pytest.skip("bitsandbytes is installed, so that its own error cannot be seen")
    model.save_pretrained(tmp_path)
    with pytest.raises(ImportError, match="bitsandbytes"):
        RnaGptForCausalLM.from_pretrained(
            tmp_path, quantization_config=BitsAndBytesConfig(load_in_4bit=True)
        )


def test_an_encoder_without_layers_is_built_and_loaded_without_a_warning(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    config = make_config(make_processor(), rna={"num_hidden_layers": 0})
    RnaGptForCausalLM(config).save_pretrained(tmp_path)
    RnaGptForCausalLM.from_pretrained(tmp_path)
    assert not [w for w in recwarn if "zero-element" in str(w.message)]
