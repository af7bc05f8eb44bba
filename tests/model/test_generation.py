"""Generation: batches, beams, samples, streamers, and the cache between turns."""

import threading
from typing import Any

import pytest
import torch
from helpers.tiny_models import make_model, make_processor, make_question, make_rna
from helpers.tiny_prompts import PROMPTS, embeds_of_prompt, generate, prompt
from transformers import (
    DynamicCache,
    GenerationMixin,
    TextIteratorStreamer,
)

from rnagpt.modeling_rnagpt import CACHE_NAME, RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor


def generate_from_embeds(
    model: RnaGptForCausalLM, processor: RnaGptProcessor, messages: Any, **options: Any
) -> torch.Tensor:
    """The same for one prompt by another road: without RNA inputs or placeholders."""
    embeds = embeds_of_prompt(model, processor, messages)
    options = {"do_sample": False, "max_new_tokens": 8, "min_new_tokens": 8, **options}
    mask = torch.ones(embeds.shape[:2], dtype=torch.long)
    return model.generate(inputs_embeds=embeds, attention_mask=mask, **options)


@pytest.mark.parametrize("use_cache", [True, False])
def test_generation_in_a_batch_equals_each_alone(
    model: RnaGptForCausalLM, processor: RnaGptProcessor, use_cache: bool
) -> None:
    together = generate(model, prompt(processor, PROMPTS), use_cache=use_cache)
    assert len({tuple(row) for row in together.tolist()}) == len(PROMPTS)
    for row, messages in zip(together, PROMPTS, strict=True):
        expected = generate_from_embeds(model, processor, messages)
        assert row.tolist() == expected[0].tolist()


BEAMS = {"num_beams": 3, "num_return_sequences": 3}


def test_beams_read_their_own_rnas(model: RnaGptForCausalLM, processor: RnaGptProcessor) -> None:
    beams = generate(model, prompt(processor, PROMPTS), **BEAMS)
    for row, messages in enumerate(PROMPTS):
        expected = generate_from_embeds(model, processor, messages, **BEAMS)
        assert beams[3 * row : 3 * row + 3].tolist() == expected.tolist()


def test_the_librarys_own_expansion_mixes_up_rnas(
    model: RnaGptForCausalLM, processor: RnaGptProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above can fail: two RNAs of one length, and the library's row-by-row copies."""
    messages = [make_question([make_rna(30, 1), make_rna(30, 2)])]
    expected = generate_from_embeds(model, processor, messages, **BEAMS).tolist()
    inputs = prompt(processor, messages)
    assert generate(model, inputs, **BEAMS).tolist() == expected
    name = "_expand_inputs_for_generation"
    monkeypatch.setattr(RnaGptForCausalLM, name, vars(GenerationMixin)[name])
    assert generate(model, inputs, **BEAMS).tolist() != expected


def test_several_samples_read_their_own_rnas(
    model: RnaGptForCausalLM, processor: RnaGptProcessor
) -> None:
    options = {"do_sample": True, "top_k": 1, "num_return_sequences": 2}
    samples = generate(model, prompt(processor, PROMPTS), **options)
    greedy = generate(model, prompt(processor, PROMPTS))
    assert samples.tolist() == greedy.repeat_interleave(2, dim=0).tolist()


def test_generation_from_cached_encoder_outputs(
    model: RnaGptForCausalLM, processor: RnaGptProcessor
) -> None:
    inputs = prompt(processor, PROMPTS)
    expected = generate(model, inputs, **BEAMS)
    hidden_states = model.encode_rna(inputs.pop("rna_input_ids"))
    inputs["rna_hidden_states"] = hidden_states
    assert torch.equal(generate(model, inputs, **BEAMS), expected)


def test_streamer(model: RnaGptForCausalLM, processor: RnaGptProcessor) -> None:
    inputs = prompt(processor, PROMPTS[0])
    expected = processor.decode(generate(model, inputs)[0], skip_special_tokens=True)
    streamer = TextIteratorStreamer(
        processor.tokenizer, skip_prompt=True, skip_special_tokens=True, timeout=30
    )
    thread = threading.Thread(target=generate, args=(model, inputs), kwargs={"streamer": streamer})
    thread.start()
    assert "".join(streamer) == expected
    thread.join()


@pytest.mark.parametrize("name", ["past_key_values", "cache"])
@pytest.mark.parametrize("given", ["all", "new"])
@pytest.mark.parametrize("added", [True, False])
def test_cache_of_an_earlier_turn(
    model: RnaGptForCausalLM, processor: RnaGptProcessor, given: str, added: bool, name: str
) -> None:
    """The second turn, with or without an RNA of its own, equals a run of the whole chat."""
    messages = [make_question([make_rna(40, 1), make_rna(9, 2)])]
    first = prompt(processor, messages)
    outputs = model.generate(
        **first,
        do_sample=False,
        max_new_tokens=5,
        return_dict_in_generate=True,
    )
    second = make_question([make_rna(35, 3)] if added else [], "And this?")
    turn = prompt(processor, [second])
    whole = prompt(processor, [*messages, second])
    ids = torch.cat([outputs.sequences, turn["input_ids"]], dim=1)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    rnas = {name: whole[name] for name in ("rna_input_ids", "rna_attention_mask")}
    expected = generate(model, {**inputs, **rnas})
    if given == "new":
        rnas = {name: turn[name] for name in rnas if name in turn}
    cached = generate(model, {**inputs, **rnas, name: outputs[CACHE_NAME]})
    assert cached.tolist() == expected.tolist()


@pytest.mark.parametrize("name", ["past_key_values", "cache"])
def test_a_pass_takes_and_returns_the_cache(
    model: RnaGptForCausalLM, processor: RnaGptProcessor, name: str
) -> None:
    """Under either name, in one pass or two; what the language model read in between is seen."""
    inputs = prompt(processor, PROMPTS[0])
    read = []
    model.model.language_model.register_forward_hook(
        lambda _, __, outputs: read.append(outputs.last_hidden_state.shape[1])
    )
    with torch.no_grad():
        expected = model(**inputs).logits[:, -1]
        ids = inputs.pop("input_ids")
        first = model(input_ids=ids[:, :-3], rna_input_ids=inputs["rna_input_ids"])
        second = model(input_ids=ids[:, -3:], **{name: first[CACHE_NAME]})
    assert read == [ids.shape[1], ids.shape[1] - 3, 3]
    assert second[CACHE_NAME].get_seq_length() == ids.shape[1]
    torch.testing.assert_close(second.logits[:, -1], expected, atol=1e-4, rtol=1e-4)


def test_two_caches_are_rejected(model: RnaGptForCausalLM) -> None:
    caches = {"past_key_values": DynamicCache(), "cache": DynamicCache()}
    with pytest.raises(ValueError, match="Give the cache once"):
        model(input_ids=torch.tensor([[1]]), **caches)
    with pytest.raises(ValueError, match="Give the cache once"):
        model.generate(input_ids=torch.tensor([[1]]), **caches)


def test_cached_turns_of_a_batch(model: RnaGptForCausalLM, processor: RnaGptProcessor) -> None:
    inputs = prompt(processor, PROMPTS)
    outputs = model.generate(**inputs, max_new_tokens=1, return_dict_in_generate=True)
    more = prompt(
        processor,
        [[make_question([make_rna(5 * row + 1, row)] * (row % 3))] for row in range(len(PROMPTS))],
    )
    ids = torch.cat([outputs.sequences, more["input_ids"]], dim=1)
    one = torch.ones(len(PROMPTS), 1, dtype=torch.long)
    mask = torch.cat([inputs["attention_mask"], one, more["attention_mask"]], dim=1)
    per_prompt = iter(range(len(more["rna_input_ids"])))
    old = iter(range(len(inputs["rna_input_ids"])))
    rows: list[list[int]] = []
    longest = inputs["rna_input_ids"].shape[1]
    for row, count in enumerate([2, 1, 0, 3]):
        rows += [inputs["rna_input_ids"][next(old)].tolist() for _ in range(count)]
        for _ in range(row % 3):
            new = more["rna_input_ids"][next(per_prompt)].tolist()
            rows.append(new + [1] * (longest - len(new)))
    chat = {"input_ids": ids, "attention_mask": mask, "rna_input_ids": torch.tensor(rows)}
    expected = generate(model, chat)
    cached = generate(model, chat, **{CACHE_NAME: outputs[CACHE_NAME]})
    assert cached.tolist() == expected.tolist()


def test_rnas_that_do_not_fill_the_placeholders_are_rejected_before_beams(
    model: RnaGptForCausalLM, processor: RnaGptProcessor
) -> None:
    inputs = prompt(processor, PROMPTS)
    inputs["rna_input_ids"] = inputs["rna_input_ids"].flip(0)
    inputs["rna_attention_mask"] = inputs["rna_attention_mask"].flip(0)
    with pytest.raises(ValueError, match="does not fill the prompts' placeholders"):
        generate(model, inputs, **BEAMS)


def test_placeholder_below_the_vocabularys_size_is_never_an_answer() -> None:
    processor = make_processor()
    model = make_model(processor, text={"vocab_size": processor.rna_token_id + 20})
    with torch.no_grad():
        model.lm_head.weight[processor.rna_token_id] = 1000 * model.lm_head.weight[1]
        model.lm_head.weight[processor.rna_token_id + 1] = -model.lm_head.weight[
            processor.rna_token_id
        ]
    tokens = generate(model, prompt(processor, PROMPTS))
    assert processor.rna_token_id not in tokens
    assert processor.rna_token_id + 1 in tokens
