"""Answers by llama.cpp are those of the same model in PyTorch; `make test-llama` installs it."""

from __future__ import annotations

import dataclasses
import gc
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from helpers.language_model_kinds import KINDS, make_parts
from helpers.tiny_models import make_config, make_processor, make_question, make_rna

from rnagpt import RnaChat, answer_questions
from rnagpt.cli.main import main
from rnagpt.conversion import GGUF_TYPES, WeightsError, gguf_tokenizer
from rnagpt.conversion.gguf_file import FILE_TYPES, export_gguf
from rnagpt.conversion.gguf_tokenizer import check_tokenizer
from rnagpt.inference.generation import encode_prompts
from rnagpt.inference.gguf_cache import cached_file, cached_gguf
from rnagpt.inference.llama_answers import embed
from rnagpt.inference.llama_context import Vectors, read_prompts
from rnagpt.inference.llama_model import LlamaOptions, LlamaParts
from rnagpt.inference.local_model import LocalModel
from rnagpt.inference.prompt_embeds import rna_vectors
from rnagpt.modeling_rnagpt import RnaGptForCausalLM

pytest.importorskip("llama_cpp", reason="needs llama.cpp: make test-llama")
pytestmark = pytest.mark.llama

QUESTIONS = ["What is this RNA?", "Where is it found?", "What does it bind, and why so?"]
RNAS = [make_rna(length, length) for length in (5, 12, 33, 34, 77, 120)]
NEW_TOKENS = 24


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNAGPT_CACHE", str(tmp_path_factory.mktemp("cache")))


def save(folder: Path, kind: str = "llama") -> str:
    for part in make_parts(kind):
        part.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save(tmp_path_factory.mktemp("parts") / "tiny")


def both(folder: str, file_type: str = "f32") -> list[LocalModel]:
    return [
        LocalModel.open(folder),
        LocalModel.open(folder, engine="llama.cpp", engine_options={"type": file_type}),
    ]


def told(model: LocalModel, rna: str, questions: list[str], **options: Any) -> list[Any]:
    """The answers of a conversation."""
    chat = RnaChat(model)
    chat.add_rna(rna)
    return ["".join(chat.ask(one, max_new_tokens=NEW_TOKENS, **options)) for one in questions]


@pytest.mark.parametrize("kind", KINDS)
def test_conversations_are_the_same(kind: str, tmp_path: Path) -> None:
    models = both(save(tmp_path / "tiny", kind))
    answers = [[told(model, rna, QUESTIONS) for rna in RNAS] for model in models]
    assert answers[1] == answers[0]
    assert len({text for chat in answers[0] for text in chat}) > len(RNAS)


@pytest.mark.parametrize(("file_type", "most"), [("f32", 1e-4), ("f16", 0.1), ("q8_0", 0.5)])
def test_logits_are_the_models(folder: str, file_type: str, most: float) -> None:
    whole, narrow = both(folder, file_type)
    parts = LlamaParts(folder, LlamaOptions(type=file_type))
    context = parts.new_context()
    errors = []
    for rna in RNAS:
        inputs = encode_prompts(whole.processor, [[make_question([rna])]])
        with torch.inference_mode():
            expected = whole.model(**inputs).logits[0, -1]
        vectors = embed(narrow.reader, inputs["input_ids"], rna_vectors(narrow.reader, inputs))
        context.cut(0)
        found = torch.from_numpy(context.read(0, 0, vectors))
        errors.append(float((found - expected).abs().max() / expected.std()))
    assert max(errors) < most
    assert (max(errors) > 1e-3) == (file_type != "f32")


@pytest.mark.parametrize("batch_size", [1, 4, 8])
def test_batches_are_the_same(folder: str, batch_size: int) -> None:
    given = [
        list(
            answer_questions(model, None, RNAS, QUESTIONS, batch_size=batch_size, max_new_tokens=9)
        )
        for model in both(folder)
    ]
    for one, other in zip(*given, strict=True):
        assert one.log_probability == pytest.approx(other.log_probability, abs=1e-3)
        assert dataclasses.replace(one, log_probability=None) == dataclasses.replace(
            other, log_probability=None
        )


def test_a_second_rna_and_edited_messages_are_read(folder: str) -> None:
    chats = [RnaChat(model) for model in both(folder)]
    for chat in chats:
        chat.add_rna(RNAS[2])
        list(chat.ask("What is this RNA?", max_new_tokens=8))
        chat.add_rna(RNAS[4])
        list(chat.ask("And this one?", max_new_tokens=8))
        chat.messages[0] = make_question([RNAS[5]], "What is this RNA?")
        list(chat.ask("Why?", max_new_tokens=8))
        chat.reset()
        chat.add_rna(RNAS[0])
        list(chat.ask("Why?", max_new_tokens=8))
        chat.add_rna(RNAS[1])
        pieces = chat.ask("And this?", max_new_tokens=20, min_new_tokens=20)
        next(pieces)
        chat.stop()
        list(chat.ask("Why?", max_new_tokens=8))
    assert chats[1].messages == chats[0].messages


def test_a_conversation_that_outgrows_its_cells_goes_on(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rnagpt.inference.llama_context._FEWEST_CELLS", 64)
    one, other = (told(model, RNAS[0], QUESTIONS * 2) for model in both(folder))
    assert other == one


def test_what_an_answer_rests_on_is_the_whole_models(folder: str) -> None:
    scores = []
    for model in both(folder):
        chat = RnaChat(model)
        chat.add_rna(RNAS[1])
        list(chat.ask(QUESTIONS[0], max_new_tokens=4))
        scores.append(chat.explain()[0].scores)
    assert scores[1] == pytest.approx(scores[0], abs=1e-4)


def test_conversations_do_not_mix(folder: str) -> None:
    model = both(folder)[1]
    alone = [told(model, rna, QUESTIONS[:1])[0] for rna in RNAS[:3]]
    chats = [RnaChat(model) for _ in alone]
    for chat, rna in zip(chats, RNAS, strict=False):
        chat.add_rna(rna)
    streams = [chat.ask(QUESTIONS[0], max_new_tokens=NEW_TOKENS) for chat in chats]
    texts = [""] * len(streams)
    going = True
    while going:
        pieces = [next(stream, None) for stream in streams]
        going = any(piece is not None for piece in pieces)
        texts = [text + (piece or "") for text, piece in zip(texts, pieces, strict=True)]
    assert texts == alone


@pytest.mark.parametrize(
    "options",
    [
        {"min_new_tokens": 15},
        {"repetition_penalty": 1.5},
        {"bad_words_ids": [[40], [41]]},
        {"do_sample": True, "temperature": 0.7, "top_k": 5},
    ],
)
def test_options_of_generate_mean_the_same(folder: str, options: dict[str, Any]) -> None:
    answers = []
    for model in both(folder):
        model.load()  # which draws the weights that it then replaces
        torch.manual_seed(3)
        answers.append(told(model, RNAS[3], QUESTIONS, **options))
    assert answers[1] == answers[0]


def test_the_placeholder_is_never_an_answer(tmp_path: Path) -> None:
    processor = make_processor()
    torch.manual_seed(0)
    config = make_config(processor, text={"vocab_size": len(processor.tokenizer) + 3})
    model = RnaGptForCausalLM(config)
    with torch.no_grad():  # else it would be the likeliest
        model.lm_head.weight[processor.rna_token_id] = 50 * model.lm_head.weight.mean(0)
    for part in (model, processor):
        part.save_pretrained(tmp_path / "tiny")
    one, other = (told(each, RNAS[3], QUESTIONS) for each in both(str(tmp_path / "tiny")))
    assert other == one


def test_a_prompt_longer_than_a_pass_is_read(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnagpt.inference.llama_context._READ_AT_ONCE", 16)
    one, other = (told(model, RNAS[5], QUESTIONS) for model in both(folder))
    assert other == one


def test_prompts_about_an_rna_share_it_whatever_stands_between_them(folder: str) -> None:
    _, narrow = both(folder)
    context = LlamaParts(folder, LlamaOptions(type="f32")).new_context(cells=900, sequences=3)
    prompts = []
    for rna, question in [
        (RNAS[5], QUESTIONS[0]),
        (RNAS[4], QUESTIONS[1]),
        (RNAS[5], QUESTIONS[2]),
    ]:
        inputs = encode_prompts(narrow.processor, [[make_question([rna], question)]])
        vectors = rna_vectors(narrow.reader, inputs)
        prompts.append(embed(narrow.reader, inputs["input_ids"], vectors))
    alone = [read_prompts(context, [prompt])[0] for prompt in prompts]
    lengths = []
    read = context.read

    def counted(sequence: int, start: int, vectors: Vectors) -> Vectors:
        lengths.append(len(vectors))
        return read(sequence, start, vectors)

    context.read = counted  # type: ignore[method-assign]
    together = read_prompts(context, prompts)
    assert np.allclose(together, alone, atol=1e-4)
    question = len(narrow.processor.tokenizer(QUESTIONS[2])["input_ids"])
    assert lengths[2] < question + 12 < lengths[0]


def test_the_context_is_what_it_is_told(folder: str) -> None:
    options = {"type": "f32", "context": 100}
    model = LocalModel.open(folder, engine="llama.cpp", engine_options=options)
    with pytest.raises(ValueError, match="the language model reads 100"):
        told(model, RNAS[5], QUESTIONS)
    chat = RnaChat(model)
    chat.add_rna(RNAS[0])
    list(chat.ask(QUESTIONS[0], max_new_tokens=500))
    assert len(chat.messages) == 2


def test_the_types_are_those_that_are_named() -> None:
    assert tuple(FILE_TYPES) == GGUF_TYPES


@pytest.mark.parametrize("options", [{}, {"type": "q8_0"}])
def test_weights_are_in_float16_unless_asked_otherwise(
    folder: str, options: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    LocalModel.open(folder, engine="llama.cpp", engine_options=options).load()
    written = capsys.readouterr().err
    assert ("-f16-" in written, "-q8_0-" in written) == (not options, bool(options))


def test_the_file_is_written_once_and_again_when_the_weights_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(save(tmp_path / "tiny"))
    file = cached_gguf(str(folder), file_type="f16")
    assert "Writing the language model" in capsys.readouterr().err
    before = file.stat().st_mtime_ns
    assert cached_gguf(str(folder), file_type="f16") == file
    assert file.stat().st_mtime_ns == before
    assert "Writing" not in capsys.readouterr().err
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes())
    assert cached_file(folder, "f16") != file
    assert cached_gguf(str(folder), file_type="f16").is_file()
    assert not file.exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"type": "q2_k"}, "one of f16, q8_0, q4_1, f32, got 'q2_k'"),
        ({"threads": 0}, "threads is a whole number from 1 on"),
        ({"thread": 2}, "no option thread"),
        ({"file": 3}, "file is a text"),
    ],
)
def test_options_that_cannot_be_had(folder: str, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        LocalModel.open(folder, engine="llama.cpp", engine_options=options)


def test_files_that_cannot_be_run(folder: str, tmp_path: Path) -> None:
    def load(file: Path) -> None:
        LocalModel.open(folder, engine="llama.cpp", engine_options={"file": str(file)}).load()

    with pytest.raises(OSError, match="rnagpt export-gguf"):
        load(tmp_path / "none.gguf")
    (tmp_path / "no.gguf").write_bytes(b"GGUF, but no more")
    with pytest.raises(WeightsError, match="cannot load"):
        load(tmp_path / "no.gguf")
    processor = make_processor()
    config = make_config(processor, text={"hidden_size": 64})
    export_gguf(RnaGptForCausalLM(config), processor, tmp_path / "other.gguf")
    with pytest.raises(ValueError, match="of another language model"):
        load(tmp_path / "other.gguf")


def test_another_tokenizer_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, processor = make_parts()
    file = tmp_path / "tiny.gguf"
    assert export_gguf(model, processor, file) is True
    assert check_tokenizer(file, processor) is True
    tokens = gguf_tokenizer._tokens

    def swapped(*arguments: Any) -> tuple[list[str], list[int]]:
        texts, types = tokens(*arguments)
        one, other = texts.index("A"), texts.index("G")
        texts[one], texts[other] = texts[other], texts[one]
        return texts, types

    monkeypatch.setattr(gguf_tokenizer, "_tokens", swapped)
    with pytest.raises(WeightsError, match=r"llama\.cpp reads .* as the tokens"):
        export_gguf(model, processor, tmp_path / "wrong.gguf")
    assert not (tmp_path / "wrong.gguf").exists()


def test_the_command_line(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["chat", "--model", folder, "--no-reference", "--rna", RNAS[3], "--ask", QUESTIONS[0]]
    assert main(words) == 0
    expected = capsys.readouterr().out
    engine = ["--engine", "llama.cpp", "--engine-option", "type=f32"]
    assert main([*words, *engine]) == 0
    assert capsys.readouterr().out == expected
    assert main([*words, "--engine-option", "type=f32"]) == 2
    assert "is for --engine llama.cpp" in capsys.readouterr().err
    assert main([*words[:4], "--rna", RNAS[3], *engine, "--int8"]) == 2
    assert "int8 is for the engine transformers" in capsys.readouterr().err


def test_nothing_is_left_of_a_model_that_is_let_go(folder: str) -> None:
    def resident() -> int:
        gc.collect()
        return psutil.Process().memory_info().rss

    def use() -> None:
        told(both(folder)[1], RNAS[3], QUESTIONS[:1])

    for _ in range(3):
        use()
    before = resident()
    for _ in range(20):
        use()
    # Its keys and values alone would be 20 times 512 tokens of 1 kB, the logits' room more.
    assert resident() - before < 30e6


def test_without_llama_cpp_it_says_how_to_install_it(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rnagpt.conversion.llama_library.is_installed", lambda: False)
    with pytest.raises(WeightsError, match=r"pip install 'rna-gpt\[cpu\]'"):
        both(folder)
