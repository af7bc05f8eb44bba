"""int8 weights against arithmetic by hand, compiled steps against plain ones, and neither."""

import copy
import functools
import os
import shutil

import numpy as np
import pytest
import torch
from helpers.tiny_models import make_model, make_processor, make_question, make_rna
from torch import nn

from rnagpt.inference import cpu_decoding
from rnagpt.inference.batch import answer_questions
from rnagpt.inference.chat import RnaChat
from rnagpt.inference.cpu_decoding import Int8Linear, compile_steps, use_int8_weights
from rnagpt.inference.loading import load_model
from rnagpt.modeling_rnagpt import CACHE_NAME

needs_int8 = pytest.mark.skipif(
    torch.backends.quantized.engine == "none", reason="no int8 for this CPU"
)
needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "clang++"))), reason="no C++ compiler"
)


@pytest.fixture
def pair(processor):
    """A model, and its copy with int8 weights."""
    plain = make_model(processor)
    fast = copy.deepcopy(plain)
    use_int8_weights(fast)
    return plain, fast


@pytest.fixture(params=["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def _backend(request, monkeypatch):
    """The whole way to C++, which takes a minute; and all of it but the C++."""
    compiler = functools.partial(torch.compile, backend=request.param)
    monkeypatch.setattr(torch, "compile", compiler)


def by_hand(linear, row):
    """A row through int8: a scale a row of weights, a scale and a zero point for what comes in."""
    weight, row = linear.weight.detach().double().numpy(), row.double().numpy()
    scales = np.abs(weight).max(1) / 127
    weight = np.round(weight / scales[:, None]) * scales[:, None]
    low, high = min(row.min(), 0.0), max(row.max(), 0.0)
    levels = 127 if cpu_decoding._overflows() else 255  # without VNNI one bit is left free
    scale = (high - low) / levels
    zero = np.round(-low / scale)
    row = (np.clip(np.round(row / scale) + zero, 0, levels) - zero) * scale
    return weight @ row + linear.bias.detach().double().numpy()


def forget_compiled():
    """Other models of this process do not count."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()


def num_compiled():
    return torch._dynamo.utils.counters["stats"]["unique_graphs"]


@needs_int8
def test_one_row_is_multiplied_in_int8(pair):
    torch.manual_seed(0)
    model, linear = pair[1], nn.Linear(64, 48)
    module = nn.Module()
    module.q_proj = linear
    model.model.language_model = module
    use_int8_weights(model)
    row = torch.randn(1, 1, 64)
    with torch.no_grad():
        found = module.q_proj(row)
        exact = linear(row)
    expected = by_hand(linear, row[0, 0])
    step = float(np.abs(expected - exact[0, 0].numpy()).max())
    assert step > 1e-4, "int8 would not show"
    # A value may round to the other side of a step, but to no more than that.
    assert np.abs(found[0, 0].numpy() - expected).max() < step / 2


@needs_int8
def test_layers_with_the_same_input_give_what_each_gives_alone(pair):
    plain, fast = pair
    for attention in (layer.self_attn for layer in fast.model.language_model.layers):
        row = torch.randn(1, 1, attention.q_proj.in_features)
        with torch.no_grad():
            together = [getattr(attention, f"{name}_proj")(row) for name in "qkv"]
            # Out of order, and with another input between them.
            for place in (2, 0, 1):
                one = getattr(attention, f"{'qkv'[place]}_proj")
                one(torch.randn_like(row))
                torch.testing.assert_close(one(row), together[place], rtol=0, atol=0)
        assert all(isinstance(getattr(attention, f"{name}_proj"), Int8Linear) for name in "qkvo")
    assert {name for name, _ in plain.named_parameters()} == {
        name for name, _ in fast.named_parameters()
    }


@needs_int8
def test_prompts_batches_and_gradients_use_the_weights_as_they_are(pair, processor):
    plain, fast = pair
    inputs = processor.apply_chat_template([make_question([make_rna(40)])], tokenize=True)
    with torch.no_grad():
        assert torch.equal(plain(**inputs).logits, fast(**inputs).logits)
        rows = torch.tensor([[5], [6]])
        assert torch.equal(plain(input_ids=rows).logits, fast(input_ids=rows).logits)
        one = torch.tensor([[5]])
        assert not torch.equal(plain(input_ids=one).logits, fast(input_ids=one).logits)
    assert torch.equal(plain(input_ids=one).logits, fast(input_ids=one).logits)
    questions = ["What is this RNA?", "Which family?"]
    answers = [
        [
            answer.written
            for answer in answer_questions(
                model, processor, [make_rna(30), make_rna(50)], questions, max_new_tokens=8
            )
        ]
        for model in pair
    ]
    assert answers[0] == answers[1]


@needs_int8
def test_a_model_with_int8_weights_is_saved_as_it_was(pair, tmp_path):
    plain, fast = pair
    fast.save_pretrained(tmp_path)
    again = load_model(str(tmp_path), dtype=torch.float32)
    for name, weight in plain.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name]), name


@needs_int8
def test_a_conversation_is_written_with_int8_weights(pair, processor):
    """Token by token, from the model's own passes; the prompt's last token has an int8 head."""
    fast = pair[1]
    chat = RnaChat(fast, processor)
    chat.add_rna(make_rna(30))
    written = "".join(chat.ask("What is this RNA?", max_new_tokens=8, eos_token_id=-1))
    inputs = processor.apply_chat_template(
        [make_question([make_rna(30)])], add_generation_prompt=True, tokenize=True
    )
    with torch.no_grad():
        outputs = fast(**inputs, use_cache=True, logits_to_keep=1)
        ids = [int(outputs.logits[0, -1].argmax())]
        while len(ids) < 8:
            outputs = fast(input_ids=torch.tensor([ids[-1:]]), cache=outputs[CACHE_NAME])
            ids.append(int(outputs.logits[0, -1].argmax()))
    assert written == processor.tokenizer.decode(ids, skip_special_tokens=True)


def test_int8_is_rejected_where_it_cannot_be_had(processor, monkeypatch):
    with pytest.raises(ValueError, match="the model is on cpu, in bfloat16"):
        use_int8_weights(make_model(processor).bfloat16())
    with pytest.raises(ValueError, match="the model is on meta, in float32"):
        use_int8_weights(make_model(processor).to("meta"))
    monkeypatch.delattr(torch, "quantize_per_channel")
    with pytest.raises(ValueError, match=r"PyTorch \S+ has no int8 .* leave int8=True out"):
        use_int8_weights(make_model(processor))


@needs_compiler
@pytest.mark.usefixtures("_backend")
@pytest.mark.parametrize("int8", [False, pytest.param(True, marks=needs_int8)])
def test_compiled_steps_write_what_plain_ones_do(tmp_path, int8):
    processor = make_processor("chatml")
    make_model(processor).save_pretrained(tmp_path)
    plain, compiled = (
        load_model(str(tmp_path), dtype=torch.float32, int8=int8, compiled=switched)
        for switched in (False, True)
    )
    written = {}
    forget_compiled()
    # Compiled once for all lengths of the cache, and of prompts.
    with torch._dynamo.config.patch(error_on_recompile=True):
        for model in (plain, compiled):
            chat = RnaChat(model, processor)
            chat.add_rna(make_rna(30))
            for question in ("What is this RNA?", "Which family does it belong to?"):
                pieces = chat.ask(question, max_new_tokens=12, eos_token_id=-1)
                written.setdefault(question, []).append("".join(pieces))
    assert num_compiled() > 0
    for question, (one, other) in written.items():
        assert one == other, question


@needs_compiler
@pytest.mark.usefixtures("_backend")
def test_a_compiled_pass_is_the_plain_one_to_rounding(processor):
    forget_compiled()
    model = make_model(processor)
    ids = torch.randint(1, 200, (1, 30))
    found = []
    for _ in range(2):
        with torch.inference_mode():
            outputs = model(input_ids=ids, use_cache=True)
            for token in (7, 8, 9):
                mask = torch.ones(1, outputs[CACHE_NAME].get_seq_length() + 1).long()
                outputs = model(
                    input_ids=torch.tensor([[token]]),
                    attention_mask=mask,
                    cache=outputs[CACHE_NAME],
                )
            found.append(outputs.logits)
        assert (num_compiled() > 0) == (len(found) == 2)
        compile_steps(model)
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)


def test_without_a_compiler_it_is_said_at_once(processor, monkeypatch):
    monkeypatch.setitem(os.environ, "CXX", "no-such-compiler")
    with pytest.raises(ValueError, match="none of no-such-compiler was found"):
        compile_steps(make_model(processor))
