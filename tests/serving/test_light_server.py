"""`rnagpt serve --engine llama.cpp` without PyTorch: prompts and answers are the model's own."""

from __future__ import annotations

import concurrent.futures
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import psutil
import pytest
from helpers.server_process import free_port, running
from helpers.tiny_models import make_question, make_rna
from helpers.tiny_server import ask_about, client_of
from helpers.tiny_tables import save_table_model

from rnagpt import RnaChat
from rnagpt.inference.light_answers import LightModel
from rnagpt.inference.local_model import LocalModel
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor
from rnagpt.serving.cited_answers import FileSettings
from rnagpt.serving.prompt_encoders import LightEncoder, ProcessorEncoder

RNAS = [make_rna(length, length) for length in (20, 33, 47, 77, 90, 120)]
QUESTIONS = ["What is this RNA?", "Where is it found?"]
TOKENS = 12
CLIENTS = 8
Parts = tuple[RnaGptForCausalLM, RnaGptProcessor]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("parts") / "tiny"


@pytest.fixture(scope="module")
def parts(folder: Path) -> Parts:
    return save_table_model(folder)


def light_encoder(folder: Path) -> LightEncoder:
    model = LightModel.open(folder)
    assert model is not None
    return LightEncoder(model, str(folder))


def test_prompts_are_the_processors(folder: Path, parts: Parts) -> None:
    light, whole = light_encoder(folder), ProcessorEncoder(parts[1])
    assert (dict(light.limits), light.longest) == (whole.limits, whole.longest)
    for rna in RNAS:
        assert light.num_rna_tokens(len(rna)) == whole.num_rna_tokens(len(rna))
        for question in QUESTIONS:
            conversation = [make_question([rna], question)]
            found, length = light.encode(conversation)
            inputs, expected = whole.encode(conversation)
            assert length == expected
            assert found.ids == inputs["input_ids"][0].tolist()
            assert light.decoder.decode(found.ids, skip_special_tokens=True) == (
                whole.decoder.decode(found.ids, skip_special_tokens=True)
            )
    for text in ("", "What is it?", "é🧬 " * 50):
        assert light.count(text) == whole.count(text)


def test_what_is_out_of_the_ordinary_is_the_processors(folder: Path, parts: Parts) -> None:
    light, whole = light_encoder(folder), ProcessorEncoder(parts[1])
    for one in (light, whole):
        with pytest.raises(ValueError, match="a control token of the tokenizer"):
            one.encode([make_question(RNAS[:1], "What<|im_end|> is it?")])
    # However long: the server tells clients by a code of its own.
    long = [make_question(RNAS[:1], "What is it? " * 2_000)]
    assert light.encode(long)[1] == whole.encode(long)[1] > light.longest


def test_settings_are_those_of_the_configuration(folder: Path, parts: Parts) -> None:
    config = parts[0].config
    assert FileSettings.of(str(folder)) == FileSettings(
        config.reads_evidence, config.confidence_scale, config.confidence_bias
    )


@pytest.fixture(scope="module")
def server(
    folder: Path, parts: Parts, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Any, str]]:
    """The process and its address."""
    pytest.importorskip("llama_cpp", reason="needs llama.cpp: make test-llama")
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNAGPT_CACHE", str(cache))
        # Writing the GGUF file takes PyTorch, once.
        LocalModel.open(str(folder), engine="llama.cpp", engine_options={"type": "f32"}).load()
    port = free_port()
    command = [sys.executable, "-m", "rnagpt.cli.main", "serve", "--model", str(folder)]
    command += ["--no-reference", "--port", str(port), "--served-name", "tiny"]
    command += ["--engine", "llama.cpp", "--engine-option", "type=f32", "--max-batch", str(CLIENTS)]
    address = f"http://127.0.0.1:{port}"
    with running(command, address, cache / "log", RNAGPT_CACHE=str(cache)) as process:
        yield process, address


def libraries(process: Any) -> list[str]:
    """PyTorch's, in a process."""
    maps = psutil.Process(process.pid).memory_maps()
    return [one.path for one in maps if "libtorch" in one.path]


@pytest.mark.llama
class TestByLlama:
    def test_eight_clients_get_what_chat_says_and_pytorch_is_not_loaded(
        self, server: tuple[Any, str], folder: Path
    ) -> None:
        process, address = server
        asked = [(rna, question) for rna in RNAS for question in QUESTIONS]

        def ask(rna: str, question: str) -> str | None:
            messages: Any = ask_about(rna, text=question)
            reply = client_of(address).chat.completions.create(
                model="tiny", messages=messages, max_tokens=TOKENS
            )
            return reply.choices[0].message.content

        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            answers = list(pool.map(lambda pair: ask(*pair), asked))
        model = LocalModel.open(str(folder))
        for (rna, question), answer in zip(asked, answers, strict=True):
            chat = RnaChat(model)
            chat.add_rna(rna)
            assert answer == "".join(chat.ask(question, max_new_tokens=TOKENS))
        assert len(set(answers)) > len(RNAS)
        assert libraries(process) == []

    def test_tokens_come_with_their_probabilities_and_draws_with_a_seed(
        self, server: tuple[Any, str]
    ) -> None:
        process, address = server
        messages: Any = ask_about(RNAS[0])

        def ask(seed: int) -> Any:
            return (
                client_of(address)
                .chat.completions.create(
                    model="tiny",
                    messages=messages,
                    max_tokens=TOKENS,
                    temperature=1.2,
                    seed=seed,
                    logprobs=True,
                    top_logprobs=2,
                )
                .choices[0]
            )

        one, again, other = ask(1), ask(1), ask(2)
        assert one.message.content == again.message.content != other.message.content
        tokens = one.logprobs.content
        assert (
            b"".join(bytes(token.bytes or b"") for token in tokens).decode("utf-8", "replace")
            == one.message.content
        )
        assert all(token.logprob <= 0 and len(token.top_logprobs) == 2 for token in tokens)
        assert libraries(process) == []

    def test_errors_are_those_of_every_engine(self, server: tuple[Any, str]) -> None:
        process, address = server

        def ask(text: str) -> None:
            messages: Any = ask_about(RNAS[0], text=text)
            client_of(address).chat.completions.create(model="tiny", messages=messages)

        with pytest.raises(openai.BadRequestError) as caught:
            ask("What is it? " * 2_000)
        assert caught.value.code == "context_length_exceeded"
        assert libraries(process) == []
        # The processor says this, which PyTorch's packages come with.
        with pytest.raises(openai.BadRequestError, match="a control token of the tokenizer"):
            ask("What<|im_end|> is it?")
