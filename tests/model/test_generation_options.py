"""Options of `generate`: each works with RNAs, or is rejected before the first token."""

import copy
from typing import Any

import pytest
import torch
from helpers.tiny_models import make_model, make_processor, make_question, make_rna
from helpers.tiny_prompts import PROMPTS, generate, prompt
from transformers import GenerationConfig, LlamaForCausalLM

from rnagpt.inference.batch import answer_questions
from rnagpt.inference.chat import RnaChat
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor

WITH_RNAS, TEXT = PROMPTS[0], PROMPTS[2]


class Passes:
    """Counts the model's passes."""

    def __init__(self, model: RnaGptForCausalLM) -> None:
        self.number = 0
        model.model.register_forward_pre_hook(self._count)

    def _count(self, *_: Any) -> None:
        self.number += 1


REFUSED_WITH_RNAS: dict[str, Any] = {
    "prompt_lookup_num_tokens": 3,
    "encoder_repetition_penalty": 1.5,
    "encoder_no_repeat_ngram_size": 2,
    "no_repeat_ngram_size": 1,
    "token_healing": True,
    "prefill_chunk_size": 8,
}
REFUSED: dict[str, Any] = {"assistant_early_exit": 1, "cache_implementation": "paged"}


@pytest.mark.parametrize("beyond", [True, False], ids=["beyond the vocabulary", "within"])
@pytest.mark.parametrize(("option", "value"), [*REFUSED_WITH_RNAS.items(), *REFUSED.items()])
def test_rejected_before_the_first_token(option: str, value: Any, beyond: bool) -> None:
    processor = make_processor()
    size = processor.rna_token_id + (0 if beyond else 20)
    model = make_model(processor, text={"vocab_size": size})
    passes = Passes(model)
    inputs = prompt(processor, WITH_RNAS)
    config = GenerationConfig(**{option: value}, max_new_tokens=8)
    with pytest.raises(ValueError, match=rf"{option}={value!r} .*Leave it out"):
        generate(model, inputs, **{option: value})
    with pytest.raises(ValueError, match=option):
        model.generate(**inputs, generation_config=config)
    ids = inputs.pop("input_ids")
    with pytest.raises(ValueError, match=option):
        model.generate(ids, config, **inputs)
    if option != "token_healing":  # written into the configuration of every prompt after it
        setattr(model.generation_config, option, value)
        with pytest.raises(ValueError, match=option):
            model.generate(ids, max_new_tokens=8, **inputs)
    assert passes.number == 0


@pytest.mark.parametrize("option", ["prompt_lookup_num_tokens", "prefill_chunk_size"])
def test_works_where_there_are_words_alone(
    model: RnaGptForCausalLM, processor: RnaGptProcessor, option: str
) -> None:
    """Both are other ways to the same answer."""
    inputs = prompt(processor, TEXT)
    found = generate(model, inputs, **{option: REFUSED_WITH_RNAS[option]})
    assert found.tolist() == generate(model, inputs).tolist()


@pytest.mark.parametrize(
    "neutral",
    [
        {"encoder_repetition_penalty": 1.0, "encoder_no_repeat_ngram_size": 0},
        {"no_repeat_ngram_size": 0, "token_healing": False},
        {"prompt_lookup_num_tokens": None, "prefill_chunk_size": None},
    ],
)
def test_neutral_values_are_taken(
    model: RnaGptForCausalLM, processor: RnaGptProcessor, neutral: dict[str, Any]
) -> None:
    inputs = prompt(processor, PROMPTS)
    assert generate(model, inputs, **neutral).tolist() == generate(model, inputs).tolist()


def test_an_assistant_is_for_prompts_without_rnas(
    model: RnaGptForCausalLM, processor: RnaGptProcessor
) -> None:
    llama = LlamaForCausalLM(model.config.text_config).eval()
    passes = Passes(model)
    for assistant in (llama, copy.deepcopy(model)):
        with pytest.raises(ValueError, match=r"assistant_model=\w+ .*Leave it out"):
            generate(model, prompt(processor, WITH_RNAS), assistant_model=assistant)
        assert passes.number == 0
    inputs = prompt(processor, TEXT)
    found = generate(model, inputs, assistant_model=llama)
    assert found.tolist() == generate(model, inputs).tolist()


def test_continuous_batching_is_rejected(
    model: RnaGptForCausalLM, processor: RnaGptProcessor
) -> None:
    passes = Passes(model)
    ids = prompt(processor, WITH_RNAS)["input_ids"].tolist()
    with pytest.raises(ValueError, match=r"reads token ids alone.*rnagpt serve"):
        model.generate_batch(ids, max_new_tokens=4)
    with pytest.raises(ValueError, match="reads token ids alone"):
        model.init_continuous_batching()
    assert passes.number == 0


@pytest.mark.parametrize(
    "options",
    [
        {"cache_implementation": "static"},
        {"low_memory": True},
        {"use_cache": False},
        {"stop_strings": ["no such text"]},
        {"begin_suppress_tokens": [1]},
        {"top_k": 1, "do_sample": True, "min_p": 0.1},
        {"no_repeat_ngram_size": 9},
    ],
)
def test_ways_to_the_same_answer(
    model: RnaGptForCausalLM, processor: RnaGptProcessor, options: dict[str, Any]
) -> None:
    inputs = prompt(processor, PROMPTS)
    words = {"tokenizer": processor.tokenizer} if "stop_strings" in options else {}
    assert generate(model, inputs, **options, **words).tolist() == generate(model, inputs).tolist()


def test_guidance_away_from_the_answer_without_a_prompt(
    model: RnaGptForCausalLM, processor: RnaGptProcessor
) -> None:
    """By hand: without a negative prompt, its last token and what was written stand for one."""
    scale = 1.5
    inputs = prompt(processor, WITH_RNAS)
    found = generate(model, inputs, guidance_scale=scale)[0].tolist()
    start = inputs["input_ids"][:, -1:]
    rnas = {name: inputs[name] for name in ("rna_input_ids", "rna_attention_mask")}
    written: list[int] = []
    for _ in range(8):
        new = torch.tensor([written], dtype=torch.long)
        with torch.no_grad():
            guided = model(torch.cat([inputs["input_ids"], new], 1), **rnas).logits[0, -1]
            free = model(torch.cat([start, new], 1)).logits[0, -1]
        guided, free = guided.log_softmax(-1), free.log_softmax(-1)
        scores = scale * (guided - free) + free
        scores[processor.tokenizer.eos_token_id] = -torch.inf  # min_new_tokens
        written.append(int(scores.argmax()))
    assert found == written


@pytest.mark.parametrize(
    "option",
    [
        {"prompt_lookup_num_tokens": 3},
        {"penalty_alpha": 0.6, "top_k": 4},
        {"dola_layers": "low"},
        {"custom_generate": "laboratory/decoding"},
    ],
)
def test_conversations_refuse_other_ways_of_decoding(
    model: RnaGptForCausalLM, processor: RnaGptProcessor, option: dict[str, Any]
) -> None:
    """They write token by token; what they would leave out without a word is rejected."""
    chat = RnaChat(model, processor)
    with pytest.raises(ValueError, match=next(iter(option))):
        chat.ask("What is a riboswitch?", **option)
    with pytest.raises(ValueError, match=next(iter(option))):
        answer_questions(model, processor, [make_rna(20)], ["What is this?"], **option)
    assert "".join(chat.ask("What is a riboswitch?", max_new_tokens=3)) is not None


def test_the_error_of_unequal_numbers_speaks_of_what_was_given(
    model: RnaGptForCausalLM, processor: RnaGptProcessor
) -> None:
    inputs = prompt(processor, [make_question([make_rna(20)])])
    with pytest.raises(ValueError, match="no RNA was given") as refusal:
        model(input_ids=inputs["input_ids"])
    assert "prefill_chunk_size" not in str(refusal.value)
