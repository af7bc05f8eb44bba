"""An unmodified `vllm serve`, which is given RNAs as prompt embeddings; see `make test-vllm`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import openai
import pytest
from helpers.server_process import free_port, running
from helpers.tiny_models import make_model, make_processor, make_question, make_rna

from rnagpt import EmbeddedPrompt, embed_prompts, load_embedder
from rnagpt.conversion.language_model import export_language_model
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor

pytestmark = pytest.mark.vllm
Parts = tuple[RnaGptForCausalLM, RnaGptProcessor]
# vLLM's attention on CPUs knows heads of 32 and more.
TEXT = {"hidden_size": 128, "intermediate_size": 128}
QUESTIONS = ["What is this RNA?", "Where is it found?"]
RNAS = [make_rna(20), make_rna(47, 1), make_rna(120, 2)]
MAX_TOKENS = 24


@pytest.fixture(scope="module")
def parts() -> Parts:
    processor = make_processor(merge_size=3, summary_size=2, max_rna_length=300)
    return make_model(processor, text=TEXT), processor


@pytest.fixture(scope="module")
def prompts(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> list[EmbeddedPrompt]:
    """By a model without the layers of its language model, as the command has it."""
    folder = tmp_path_factory.mktemp("tiny")
    for part in parts:
        part.save_pretrained(folder)
    return list(embed_prompts(*load_embedder(str(folder)), RNAS, QUESTIONS))


@pytest.fixture(scope="module")
def client(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    pytest.importorskip("vllm")
    place = tmp_path_factory.mktemp("stock")
    folder = export_language_model(*parts, place / "language-model")
    port = free_port()
    # What `vllm serve` runs; that command asks for the version of a package called vllm, and the
    # one for CPUs is called otherwise.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    command += ["--enable-prompt-embeds", "--chat-template-content-format", "string"]
    command += ["--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--dtype", "float32", "--max-model-len", "512", "--enforce-eager"]
    address = f"http://127.0.0.1:{port}"
    with running(command, address, place / "log", VLLM_CPU_KVCACHE_SPACE="1"):
        yield openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=120)


@pytest.fixture(scope="module")
def ours(parts: Parts) -> list[list[int]]:
    """The tokens that the whole model answers in this process, greedily, question by question."""
    model, processor = parts
    answers = []
    for rna in RNAS:
        for question in QUESTIONS:
            inputs: Any = processor.apply_chat_template(
                [make_question([rna], question)], add_generation_prompt=True, tokenize=True
            )
            ids = model.generate(**inputs, max_new_tokens=MAX_TOKENS, do_sample=False)
            answers.append(ids[0, inputs["input_ids"].shape[1] :].tolist())
    return answers


def check(
    choices: Sequence[Any], texts: Sequence[str], parts: Parts, ours: list[list[int]]
) -> None:
    """The same tokens, and their text, of which vLLM keeps half a character at the end back."""
    assert [choice.token_ids for choice in choices] == ours
    assert len({tuple(ids) for ids in ours}) > len(RNAS)
    for text, ids in zip(texts, ours, strict=True):
        whole = parts[1].tokenizer.decode(ids, skip_special_tokens=True)
        assert whole.rstrip("\ufffd") == text.rstrip("\ufffd")


def test_whole_prompts_are_answered_as_here(
    client: openai.OpenAI, prompts: list[EmbeddedPrompt], parts: Parts, ours: list[list[int]]
) -> None:
    choices = [
        client.completions.create(
            model="tiny",
            prompt=None,
            max_tokens=MAX_TOKENS,
            temperature=0,
            extra_body={**prompt.for_completions(), "return_token_ids": True},
        ).choices[0]
        for prompt in prompts
    ]
    check(choices, [choice.text for choice in choices], parts, ours)


def test_rnas_as_parts_of_messages_are_answered_as_here(
    client: openai.OpenAI, prompts: list[EmbeddedPrompt], parts: Parts, ours: list[list[int]]
) -> None:
    replies = [
        client.chat.completions.create(
            model="tiny",
            max_tokens=MAX_TOKENS,
            temperature=0,
            extra_body={"return_token_ids": True},
            **prompt.for_chat(),
        )
        for prompt in prompts
    ]
    choices = [reply.choices[0] for reply in replies]
    check(choices, [choice.message.content or "" for choice in choices], parts, ours)
    assert [reply.usage and reply.usage.prompt_tokens for reply in replies] == [
        len(prompt.embeds) for prompt in prompts
    ]


def test_the_placeholder_in_a_text_is_ordinary_text(client: openai.OpenAI) -> None:
    """Else it would be looked up beyond the table of embeddings."""
    reply = client.chat.completions.create(
        model="tiny", max_tokens=2, messages=[{"role": "user", "content": "What is <RNAHere>?"}]
    )
    assert reply.choices[0].finish_reason == "length"
