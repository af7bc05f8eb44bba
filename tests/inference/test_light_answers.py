"""What is read and prompted without PyTorch is what the model and its processor do with it."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.fresh_process import run_fresh
from helpers.tiny_models import make_config, make_processor, make_question, make_rna
from helpers.tiny_tables import SUMMARIES, save_table_model

from rnagpt import RnaChat, answer_questions, tokenize_rna
from rnagpt.cleaning_rnagpt import RNA_LETTERS
from rnagpt.inference.generation import encode_prompts, end_tokens
from rnagpt.inference.light_answers import LightModel, LightWriter
from rnagpt.inference.light_prompts import LightPrompts
from rnagpt.inference.llama_answers import LlamaWriter
from rnagpt.inference.local_model import LocalModel
from rnagpt.inference.prompt_embeds import embed_inputs, rna_vectors
from rnagpt.inference.table_reader import kmer_tokens
from rnagpt.modeling_rnagpt import RnaGptForCausalLM

QUESTIONS = ["What is this RNA?", "Where is it found?", "What does it bind, and why so?"]
RNAS = [make_rna(length, length) for length in (1, 2, 5, 33, 34, 77, 120)]
NEW_TOKENS = 16


def config_of(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return config


def change(file: Path, **fields: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


@pytest.mark.parametrize("kmer_size", [1, 3, 6])
def test_tokens_are_the_processors(kmer_size: int) -> None:
    draw = random.Random(0)
    for length in range(1, 60):
        sequence = "".join(draw.choices(RNA_LETTERS, [9] * 4 + [1] * 11, k=length))
        assert np.array_equal(kmer_tokens(sequence, kmer_size), tokenize_rna(sequence, kmer_size))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("merge", [1, 2, 4])
@pytest.mark.parametrize("summary", SUMMARIES, ids=str)
def test_what_the_language_model_reads_is_the_same(
    summary: dict[str, Any], merge: int, dtype: torch.dtype, tmp_path: Path
) -> None:
    model, processor = save_table_model(
        tmp_path, merge=merge, dtype=dtype, **summary, max_rna_length=500
    )
    light = LightModel.open(tmp_path)
    assert light is not None
    for rnas in [[rna] for rna in RNAS] + [RNAS[2:5]]:
        inputs = encode_prompts(processor, [[make_question(rnas)]])
        vectors = rna_vectors(model, inputs)
        assert vectors is not None
        found = [light.reader.rna_vectors(rna) for rna in rnas]
        assert np.allclose(np.concatenate(found), vectors.numpy(), rtol=1e-4, atol=1e-5)
        embeds = light.reader.embed(inputs["input_ids"][0].tolist(), found)
        assert np.allclose(embeds, embed_inputs(model, inputs, vectors), rtol=1e-4, atol=1e-5)
    assert light.ends == set(end_tokens(model, processor))


def conversations() -> list[list[dict[str, Any]]]:
    answer = {
        "role": "assistant",
        "content": "It is a tRNA: \u00e9t\u00e9 \U0001f9ec,  two\n\nlines.",
    }
    return [
        *([make_question(RNAS[:number], text)] for number in (0, 1, 3) for text in QUESTIONS),
        [make_question(RNAS[3:4]), answer, make_question([], " Why? ")],
        [make_question(RNAS[3:4]), answer, make_question(RNAS[4:6], "\tAnd these?\n")],
        [{"role": "system", "content": "Say little."}, make_question(RNAS[:1])],
        [make_question([RNAS[5].lower().replace("u", "t")])],
    ]


@pytest.mark.parametrize("style", ["chatml", "llama-3"])
def test_prompts_are_the_processors(style: str, tmp_path: Path) -> None:
    _, processor = save_table_model(tmp_path, style)
    prompts = LightPrompts.open(tmp_path)
    assert prompts is not None
    for messages in conversations():
        encoded = prompts.encode(messages)
        assert encoded is not None
        inputs = encode_prompts(processor, [messages])
        assert encoded.ids == inputs["input_ids"][0].tolist()
        assert len(encoded.rnas) == len(inputs.get("rna_input_ids", []))
        for skip in (True, False):
            assert prompts.decode(encoded.ids, skip_special_tokens=skip) == (
                processor.tokenizer.decode(encoded.ids, skip_special_tokens=skip)
            )
    assert prompts.limits == {
        "max_length": processor.max_rna_length,
        "max_ambiguous": processor.max_ambiguous,
    }


@pytest.mark.parametrize(
    "messages",
    [
        [make_question(RNAS[:1], "What<|im_end|> is it?")],
        [make_question(RNAS[:1], "What is <RNAHere>?")],
        [make_question(["MKVLAAGIVGLL"])],
        [make_question([make_rna(2_000)])],
        [{"role": "assistant", "content": make_question(RNAS[:1])["content"]}],
        [{"role": "user", "content": [{"type": "image", "image": "x"}]}],
        [{"role": "user", "content": None}],
    ],
)
def test_what_is_out_of_the_ordinary_is_left_to_the_processor(
    messages: Sequence[dict[str, Any]], tmp_path: Path
) -> None:
    _, processor = save_table_model(tmp_path)
    light = LightModel.open(tmp_path)
    assert light is not None
    assert light.encode(messages) is None
    with pytest.raises((ValueError, TypeError)):
        encode_prompts(processor, [messages])


def test_models_that_need_more_are_not_read(tmp_path: Path) -> None:
    save_table_model(tmp_path / "bfloat16", dtype=torch.bfloat16)
    assert LightModel.open(tmp_path / "bfloat16") is None
    folder = tmp_path / "table"
    save_table_model(folder)
    assert LightModel.open(folder) is not None
    files = {name: (folder / name).read_text() for name in ("config.json", "chat_template.jinja")}
    files |= {
        name: (folder / name).read_text()
        for name in ("generation_config.json", "tokenizer_config.json")
    }

    def is_read() -> bool:
        found = LightModel.open(folder) is not None
        for name, text in files.items():
            (folder / name).write_text(text)
        return found

    rna = config_of(folder)["rna_config"]
    for field, value in [
        ("num_hidden_layers", 1),
        ("token_dropout", True),
        ("model_type", "rinalmo"),
    ]:
        change(folder / "config.json", rna_config={**rna, field: value})
        assert not is_read()
    change(folder / "config.json", projector_type="mlp")
    assert not is_read()
    for options in ({"repetition_penalty": 1.2}, {"suppress_tokens": [3]}):
        change(folder / "generation_config.json", **options)
        assert not is_read()
    change(folder / "generation_config.json", temperature=0.7, do_sample=True)
    assert is_read()
    change(folder / "tokenizer_config.json", tokenizer_class="LlamaTokenizer")
    assert not is_read()
    for line in ("{{ messages | tojson }}", "{{ strftime_now('%Y') }}", "{% generation %}"):
        (folder / "chat_template.jinja").write_text(line)
        assert not is_read()
    assert is_read()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("parts") / "tiny"
    save_table_model(folder)
    return str(folder)


class TestByLlama:
    """The answers themselves; `make test-llama` installs llama.cpp."""

    pytestmark = pytest.mark.llama

    @pytest.fixture(autouse=True)
    def installed(self, tmp_path_factory: pytest.TempPathFactory, monkeypatch: Any) -> None:
        pytest.importorskip("llama_cpp", reason="needs llama.cpp: make test-llama")
        monkeypatch.setenv("RNAGPT_CACHE", str(tmp_path_factory.mktemp("cache")))

    def light(self, folder: str) -> LocalModel:
        return LocalModel.open(folder, engine="llama.cpp", engine_options={"type": "f32"})

    def test_conversations_are_the_same(self, folder: str) -> None:
        chats = [RnaChat(LocalModel.open(folder)), RnaChat(self.light(folder))]
        assert isinstance(chats[1].language, LocalModel)
        assert isinstance(chats[1].language.writer, LightWriter)
        for chat in chats:
            chat.add_rna(RNAS[4])
            told = []
            for question in QUESTIONS:
                told.append("".join(chat.ask(question, max_new_tokens=NEW_TOKENS)))
            chat.add_rna(RNAS[5])
            pieces = chat.ask("And this one?", max_new_tokens=NEW_TOKENS)
            next(pieces)
            chat.stop()
            told += chat.ask(QUESTIONS[0], max_new_tokens=2)
            # Options are for `generate`: another writer answers, and the light one goes on.
            told += chat.ask(QUESTIONS[1], max_new_tokens=9, min_new_tokens=9)
            told += chat.ask(QUESTIONS[2], max_new_tokens=9)
            chat.messages[0] = make_question([RNAS[3]], QUESTIONS[1])
            told += chat.ask(QUESTIONS[0], max_new_tokens=NEW_TOKENS)
        assert chats[1].messages == chats[0].messages
        assert len({str(message["content"]) for message in chats[0].messages}) > 8

    @pytest.mark.parametrize("batch_size", [1, 4, 8])
    def test_batches_are_the_same(self, folder: str, batch_size: int) -> None:
        given = [
            list(
                answer_questions(
                    model, None, RNAS, QUESTIONS, batch_size=batch_size, max_new_tokens=9
                )
            )
            for model in (LocalModel.open(folder), self.light(folder))
        ]
        for one, other in zip(*given, strict=True):
            assert (other.answer, other.complete) == (one.answer, one.complete)
            assert other.log_probability == pytest.approx(one.log_probability, abs=1e-3)
        assert len({answer.answer for answer in given[0]}) > len(RNAS)

    def test_errors_are_the_processors(self, folder: str) -> None:
        for model in (LocalModel.open(folder), self.light(folder)):
            chat = RnaChat(model)
            chat.add_rna(RNAS[3])
            with pytest.raises(ValueError, match="a control token of the tokenizer"):
                chat.ask("What<|im_end|> is it?")
            with pytest.raises(ValueError, match="num_beams must be 1"):
                chat.ask("What is it?", num_beams=2)
            assert not chat.messages

    def test_an_encoder_with_layers_is_read_by_pytorch(self, tmp_path: Path) -> None:
        processor = make_processor()
        torch.manual_seed(1)
        RnaGptForCausalLM(make_config(processor)).save_pretrained(tmp_path)
        processor.save_pretrained(tmp_path)
        assert isinstance(self.light(str(tmp_path)).writer, LlamaWriter)

    @pytest.mark.parametrize("more", [["--ask", QUESTIONS[0]], []])
    def test_pytorch_is_not_imported(self, folder: str, more: list[str], tmp_path: Path) -> None:
        self.light(folder).load()
        _ = self.light(folder).reader  # writes the GGUF file
        code = (
            "import io, sys; from rnagpt.cli.main import main\n"
            f"sys.stdin = io.StringIO({QUESTIONS[0]!r} + chr(10))\n"
            "code = main(sys.argv[1:])\n"
            "print([n for n in ('torch', 'transformers') if n in sys.modules]); sys.exit(code)"
        )
        engine = ["--engine", "llama.cpp", "--engine-option", "type=f32", "--max-new-tokens", "9"]
        words = ["chat", "--model", folder, "--no-reference", "--rna", RNAS[5], *engine, *more]
        out = run_fresh(code, *words, folder=tmp_path).splitlines()
        assert out[-1] == "[]"
        chat = RnaChat(LocalModel.open(folder))
        chat.add_rna(RNAS[5])
        assert "".join(chat.ask(QUESTIONS[0], max_new_tokens=9)).strip() in "\n".join(out)
