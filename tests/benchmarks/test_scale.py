"""The calculator of `benchmarks/scale.py` against PyTorch's own counts."""

import importlib
import json
import sys
from dataclasses import replace

import pytest
import torch
from helpers.paths import ROOT
from peft import LoraConfig, get_peft_model
from torch.utils.flop_counter import FlopCounterMode
from transformers import EsmConfig, EsmModel, LlamaConfig, LlamaForCausalLM

PATH = ROOT / "benchmarks" / "scale.py"
sys.path.insert(0, str(PATH.parent))
scale = importlib.import_module("scale")

TINY = scale.LanguageModel(
    hidden=64, layers=3, feed_forward=160, heads=4, key_heads=2, vocabulary=300
)


def llama(model, **options):
    return LlamaConfig(
        hidden_size=model.hidden,
        num_hidden_layers=model.layers,
        intermediate_size=model.feed_forward,
        num_attention_heads=model.heads,
        num_key_value_heads=model.key_heads,
        vocab_size=model.vocabulary,
        tie_word_embeddings=False,
        **options,
    )


@pytest.mark.parametrize("model", [TINY, scale.LanguageModel()])
def test_parameters_are_those_of_the_language_model(model):
    with torch.device("meta"):
        built = LlamaForCausalLM(llama(model))
    assert model.parameters == built.num_parameters()
    layers = built.model.layers
    matrices = [part.weight.numel() for part in layers.modules() if hasattr(part, "in_features")]
    assert model.linear == sum(matrices)


def test_parameters_are_those_of_the_encoder():
    encoder = scale.Encoder()
    config = EsmConfig(
        vocab_size=encoder.vocabulary,
        hidden_size=encoder.hidden,
        num_hidden_layers=encoder.layers,
        num_attention_heads=20,
        intermediate_size=encoder.feed_forward,
        max_position_embeddings=encoder.window + 4,
        position_embedding_type="absolute",
        emb_layer_norm_before=False,
    )
    with torch.device("meta"):
        built = EsmModel(config, add_pooling_layer=False)
    counted = sum(p.numel() for n, p in built.named_parameters() if "contact_head" not in n)
    assert encoder.parameters == pytest.approx(counted, rel=1e-3)


def test_the_adapter_is_as_large_as_lora():
    built = LlamaForCausalLM(llama(TINY))
    adapted = get_peft_model(built, LoraConfig(r=4, target_modules="all-linear"))
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert TINY.adapter(4) == trained


def test_operations_are_those_that_pytorch_counts():
    built = LlamaForCausalLM(llama(TINY, attn_implementation="eager"))
    ids = torch.randint(0, 300, (1, 50))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        built(input_ids=ids, logits_to_keep=20, use_cache=False)
    counted = counter.get_total_flops()
    # Eager attention computes the whole square, of which a causal kernel leaves out half.
    masked = 2 * TINY.layers * TINY.hidden * 50**2
    assert TINY.forward(50, 20) + masked == pytest.approx(counted, rel=1e-3)


def test_a_backward_pass_through_frozen_weights_costs_one_forward_pass():
    built = LlamaForCausalLM(llama(TINY, attn_implementation="eager")).requires_grad_(False)
    vectors = torch.randn(1, 50, TINY.hidden, requires_grad=True)
    with FlopCounterMode(display=False) as forward:
        loss = built(inputs_embeds=vectors, use_cache=False).logits.sum()
    with FlopCounterMode(display=False) as backward:
        loss.backward()
    linear = 2 * TINY.linear * 50 + 2 * TINY.hidden * TINY.vocabulary * 50
    attention = forward.get_total_flops() - linear
    # Attention has no weights: both of its operands need gradients.
    expected = linear + 2 * attention
    assert backward.get_total_flops() == pytest.approx(expected, rel=1e-3)


def test_kept_activations_are_near_what_autograd_saves():
    built = LlamaForCausalLM(llama(TINY, attn_implementation="sdpa")).requires_grad_(False)
    built.model.layers.to(torch.bfloat16)
    sizes = {}

    def note(tensor):
        sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    tokens = 256
    frozen = {p.untyped_storage().data_ptr() for p in built.parameters()}
    vectors = torch.randn(1, tokens, TINY.hidden, dtype=torch.bfloat16, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        hidden = vectors
        positions = torch.arange(tokens)[None]
        rotary = built.model.rotary_emb(hidden, positions)
        for layer in built.model.layers:
            hidden = layer(hidden, position_embeddings=rotary, position_ids=positions)
    saved = sum(size for place, size in sizes.items() if place not in frozen)
    counted = TINY.activations(tokens, 0, recompute=False)
    # With an adapter the inputs of all matrices are kept too, which this has not.
    assert 0.5 * counted < saved < 1.2 * counted


def test_more_gpus_take_less_time_and_not_less_work():
    data = scale.Data()
    one, eight = (scale.plan(scale.Run("x", gpus=gpus), data) for gpus in (1, 8))
    assert eight.hours == pytest.approx(one.hours / 8)
    assert eight.memory == one.memory
    assert one.communication == 0 < eight.communication


def test_shared_sequences_ask_every_question_as_often():
    """Ten questions, eight at most together: two sequences of five, and the RNA in both."""
    data = scale.Data(nucleotides=100, questions=10, asked=20, answered=30)
    run = scale.Run("x", epochs=1)
    found = scale.plan(run, data)
    tokens = found.tokens_per_second * found.hours * 3600
    assert tokens == pytest.approx(data.rnas * 2 * (100 + 5 * 50))
    single = scale.plan(replace(run, questions_together=1), data)
    tokens = single.tokens_per_second * single.hours * 3600
    assert tokens == pytest.approx(data.rnas * 10 * (100 + 50))


def test_what_is_used_up_first_is_named():
    data = scale.Data()
    whole = scale.Run("x", gpu=replace(scale.H100, memory=20 * scale.GB))
    assert scale.plan(whole, data).limit(whole).startswith("memory: ")
    slow = scale.Run("x", gpus=64, sharded=True, gpu=replace(scale.H100, network=1e9))
    assert scale.plan(slow, data).limit(slow) == "links between GPUs"
    assert scale.plan(scale.Run("x"), data).limit(scale.Run("x")) == "computation"


def test_four_bits_take_a_quarter_of_the_matrices():
    data, model = scale.Data(), scale.LanguageModel()
    full, quantised = (
        scale.plan(scale.Run("x", quantised=quantised), data).memory for quantised in (False, True)
    )
    assert full - quantised == pytest.approx(model.linear * (2 - 4.127 / 8))


def test_an_adapter_reads_and_writes_each_matrix_once_in_each_pass():
    """Counted by hand for one layer of one matrix's worth of inputs and outputs."""
    model = scale.LanguageModel(hidden=1, layers=1, feed_forward=0, heads=1, key_heads=1)
    # q, k, v, o, gate, up: six inputs of one number; q, k, v, o, down: five outputs of one number.
    forward = 2 * (6 + 6 * 5)
    backward = 2 * (5 * 6 + 4 * 5)
    assert model.adapter_traffic(recompute=False, float32_inputs=False) == forward + backward
    assert model.adapter_traffic(recompute=True, float32_inputs=False) == 2 * forward + backward
    # There and back: 2 + 4 and 4 + 2 bytes for each input, in each pass.
    cast = model.adapter_traffic(True, True) - model.adapter_traffic(True, False)
    assert cast == 3 * 12 * 6


def test_what_was_measured_on_a_gpu_is_calculated_within_15_percent():
    measured = importlib.import_module("scale_measured")
    kept = json.loads(PATH.with_name("scale_measured.json").read_text())
    found = [measured.Measured(**one) for one in kept["runs"]]
    assert len(found) == 3
    utilisation = measured.utilisation_of(found[0])
    assert utilisation == pytest.approx(scale.UTILISATION, abs=0.005)
    for one in found:
        expected = measured.calculated(one, utilisation)
        assert expected.tokens_per_second * one.seconds / one.tokens == pytest.approx(1, abs=0.15)
        assert expected.memory / one.memory == pytest.approx(1, abs=0.15)
