"""An unmodified `vllm serve`, which is given RNAs as prompt embeddings; see `make test-vllm`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from helpers.server_process import free_port, running
from helpers.tiny_models import make_model, make_processor, make_rna

from rnagpt import EmbeddedPrompt, LocalModel, clean_rna, embed_prompts, load_embedder
from rnagpt.conversion.language_model import export_language_model
from rnagpt.inference.cited import Request
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
    command = [str(Path(sys.executable).with_name("vllm")), "serve", str(folder)]
    command += ["--enable-prompt-embeds", "--chat-template-content-format", "string"]
    command += ["--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--dtype", "float32", "--max-model-len", "512", "--enforce-eager"]
    address = f"http://127.0.0.1:{port}"
    with running(command, address, place / "log", VLLM_CPU_KVCACHE_SPACE="1"):
        yield openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=120)


@pytest.fixture(scope="module")
def ours(parts: Parts) -> list[str]:
    """What the whole model answers in this process, greedily, question by question."""
    requests = [Request(clean_rna(rna), question) for rna in RNAS for question in QUESTIONS]
    words = LocalModel.loaded(*parts).write_all(requests, 1, MAX_TOKENS, {})
    return [one.text for one in words if one is not None]


def test_whole_prompts_are_answered_as_here(
    client: openai.OpenAI, prompts: list[EmbeddedPrompt], ours: list[str]
) -> None:
    texts = [
        client.completions.create(
            model="tiny",
            prompt=None,
            max_tokens=MAX_TOKENS,
            temperature=0,
            extra_body=prompt.for_completions(),
        )
        .choices[0]
        .text
        for prompt in prompts
    ]
    assert texts == ours
    assert len(set(texts)) > len(RNAS)


def test_rnas_as_parts_of_messages_are_answered_as_here(
    client: openai.OpenAI, prompts: list[EmbeddedPrompt], ours: list[str]
) -> None:
    replies = [
        client.chat.completions.create(
            model="tiny", max_tokens=MAX_TOKENS, temperature=0, **prompt.for_chat()
        )
        for prompt in prompts
    ]
    assert [reply.choices[0].message.content for reply in replies] == ours
    assert [reply.usage and reply.usage.prompt_tokens for reply in replies] == [
        len(prompt.embeds) for prompt in prompts
    ]


def test_the_placeholder_in_a_text_is_ordinary_text(client: openai.OpenAI) -> None:
    """Else it would be looked up beyond the table of embeddings."""
    reply = client.chat.completions.create(
        model="tiny", max_tokens=2, messages=[{"role": "user", "content": "What is <RNAHere>?"}]
    )
    assert reply.choices[0].finish_reason == "length"
