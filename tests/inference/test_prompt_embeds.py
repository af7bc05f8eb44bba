"""Prompt embeddings: what an unmodified vLLM is sent is what the model itself reads."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.tiny_models import make_model, make_processor, make_question, make_rna
from transformers import AutoModelForCausalLM, AutoTokenizer

from rnagpt import Reference, clean_rna, embed_prompts, load_embedder
from rnagpt.cleaning_rnagpt import RnaSequenceError
from rnagpt.cli import main as cli
from rnagpt.conversion import WeightsError
from rnagpt.conversion.language_model import export_language_model
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor

Parts = tuple[RnaGptForCausalLM, RnaGptProcessor]
QUESTION = "What is this RNA?"
RNAS = [make_rna(20), make_rna(100, 1)]
TRNA = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"


@pytest.fixture(scope="module", params=["chatml", "llama-3", "mistral"])
def parts(request: pytest.FixtureRequest) -> Parts:
    processor = make_processor(request.param, merge_size=3, summary_size=2, max_rna_length=300)
    return make_model(processor), processor


@pytest.fixture(scope="module")
def chatml() -> Parts:
    processor = make_processor(merge_size=3, summary_size=2, max_rna_length=300)
    return make_model(processor), processor


def saved(parts: Parts, folder: Path) -> str:
    for part in parts:
        part.save_pretrained(folder)
    return str(folder)


def decoded(text: str) -> torch.Tensor:
    """As vLLM reads it."""
    loaded = torch.load(io.BytesIO(base64.b64decode(text, validate=True)), weights_only=True)
    assert isinstance(loaded, torch.Tensor)
    return loaded


def read_by(model: RnaGptForCausalLM, inputs: Any) -> torch.Tensor:
    """The embeddings that the language model is given in a forward pass, (tokens, hidden)."""
    seen: list[torch.Tensor] = []
    handle = model.model.language_model.register_forward_pre_hook(
        lambda _, __, kwargs: seen.append(kwargs["inputs_embeds"]), with_kwargs=True
    )
    with torch.no_grad():
        model(**inputs)
    handle.remove()
    return seen[0][0]


def inputs_of(parts: Parts, rna: str, question: str = QUESTION) -> Any:
    return parts[1].apply_chat_template(
        [make_question([rna], question)], add_generation_prompt=True, tokenize=True
    )


def test_a_whole_prompt_is_what_the_language_model_is_given(parts: Parts, tmp_path: Path) -> None:
    model, _ = parts
    embedder = load_embedder(saved(parts, tmp_path))
    prompts = list(embed_prompts(*embedder, RNAS, [QUESTION, "Where is it found?"]))
    assert [prompt.rna.sequence for prompt in prompts] == [RNAS[0]] * 2 + [RNAS[1]] * 2
    for prompt in prompts:
        inputs = inputs_of(parts, prompt.rna.sequence, prompt.question)
        sent = decoded(prompt.for_completions()["prompt_embeds"])
        assert sent.shape == (inputs["input_ids"].shape[1], model.config.text_config.hidden_size)
        assert torch.equal(sent, read_by(model, inputs))
        assert prompt.text == prompt.question


def test_the_part_of_a_message_is_the_vectors_of_its_rna(parts: Parts) -> None:
    """Which vLLM puts in the place of one token of the rendered template."""
    model, processor = parts
    (prompt,) = embed_prompts(model, processor, RNAS[1:], [QUESTION])
    (message,) = prompt.for_chat()["messages"]
    rna, text = message["content"]
    assert (message["role"], rna["type"], text) == (
        "user",
        "prompt_embeds",
        {"type": "text", "text": QUESTION},
    )
    inputs = inputs_of(parts, RNAS[1])
    placeholders = inputs["input_ids"][0] == processor.rna_token_id
    vectors = decoded(rna["data"])
    assert torch.equal(vectors, read_by(model, inputs)[placeholders])
    # vLLM joins the parts by a line break, renders, and looks the other tokens up.
    rendered = processor.tokenizer.apply_chat_template(
        [{"role": "user", "content": f"{processor.rna_token}\n{QUESTION}"}],
        add_generation_prompt=True,
        tokenize=False,
    )
    ids = processor.tokenizer(rendered, add_special_tokens=False)["input_ids"]
    kept = [token for token in inputs["input_ids"][0].tolist() if token != processor.rna_token_id]
    assert [token for token in ids if token != processor.rna_token_id] == kept


def test_only_what_is_needed_is_loaded(chatml: Parts, tmp_path: Path) -> None:
    whole = saved(chatml, tmp_path)
    model, _ = load_embedder(whole, dtype=torch.bfloat16)
    assert len(model.model.language_model.layers) == 0
    (prompt,) = embed_prompts(*load_embedder(whole, dtype=torch.bfloat16), RNAS[:1], [QUESTION])
    assert prompt.embeds.dtype == prompt.rna_vectors.dtype == torch.bfloat16
    assert decoded(prompt.for_completions()["prompt_embeds"]).dtype == torch.bfloat16


def test_a_token_that_stands_for_rnas_is_never_an_answer() -> None:
    processor = make_processor()
    model = make_model(processor, text={"vocab_size": len(processor.tokenizer)})
    (prompt,) = embed_prompts(model, processor, RNAS[:1], [QUESTION])
    for body in (prompt.for_chat(), prompt.for_completions()):
        assert body["logit_bias"] == {str(processor.rna_token_id): -100.0}
    beyond = make_model(processor)
    (prompt,) = embed_prompts(beyond, processor, RNAS[:1], [QUESTION])
    assert "logit_bias" not in prompt.for_chat()


def test_records_stand_above_the_question_where_the_model_reads_them() -> None:
    processor = make_processor(max_context=8192)
    model = make_model(processor, reads_evidence=True, text={"max_position_embeddings": 8192})
    reference = Reference.open()
    rnas = [clean_rna(f">mine\n{TRNA}"), clean_rna(make_rna(60))]
    known, unknown = embed_prompts(model, processor, rnas, [QUESTION], reference)
    assert known.evidence is not None
    assert known.evidence.to_dict()[0]["id"] == "RF00005"
    assert known.text == f"{known.evidence.to_prompt()}\n\n{QUESTION}"
    assert known.for_chat()["messages"][0]["content"][1]["text"] == known.text
    assert (unknown.text, unknown.evidence) == (QUESTION, None)
    with pytest.raises(ValueError, match="not trained to read records"):
        embed_prompts(make_model(processor), processor, rnas, [QUESTION], reference)


@pytest.mark.parametrize(
    ("rna", "question", "told"),
    [
        ("ACGX", QUESTION, "position 4"),
        ("A" * 301, QUESTION, "301 nt"),
        ("ACGU", "Say <|im_end|> now", "control token"),
        ("ACGU", "why " * 600, "512"),
    ],
)
def test_what_cannot_be_embedded_is_rejected(
    chatml: Parts, rna: str, question: str, told: str
) -> None:
    with pytest.raises((ValueError, RnaSequenceError), match=told):
        list(embed_prompts(*chatml, [rna], [question]))


def test_the_exported_language_model_says_what_the_model_says(parts: Parts, tmp_path: Path) -> None:
    model, processor = parts
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "LICENSE.txt").write_text("terms")
    folder = export_language_model(model, processor, tmp_path / "out", source=tmp_path / "source")
    assert (folder / "LICENSE.txt").read_text() == "terms"
    alone = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    (prompt,) = embed_prompts(model, processor, RNAS[:1], [QUESTION])
    with torch.no_grad():
        theirs = alone(inputs_embeds=prompt.embeds.unsqueeze(0)).logits
        ours = model(**inputs_of(parts, RNAS[0])).logits
    assert torch.equal(theirs, ours)
    assert alone.generation_config.eos_token_id == model.generation_config.eos_token_id


def test_the_exported_tokenizer_lacks_the_placeholder_alone(parts: Parts, tmp_path: Path) -> None:
    model, processor = parts
    folder = export_language_model(model, processor, tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    vocabulary = processor.tokenizer.get_vocab()
    del vocabulary[processor.rna_token]
    assert tokenizer.get_vocab() == vocabulary
    assert max(vocabulary.values()) < model.config.text_config.vocab_size
    text = "What is this RNA? In bacteria."
    assert tokenizer(text)["input_ids"] == processor.tokenizer(text)["input_ids"]
    message = [{"role": "user", "content": text}]
    for one in (tokenizer, processor.tokenizer):
        assert one.apply_chat_template(message, tokenize=False) == processor.apply_chat_template(
            message
        )
    assert not list(folder.glob("*.py"))
    assert "rnagpt" not in (folder / "tokenizer_config.json").read_text().lower()


def test_a_placeholder_of_the_language_models_own_stays(tmp_path: Path) -> None:
    processor = make_processor()
    model = make_model(processor, text={"vocab_size": len(processor.tokenizer)})
    folder = export_language_model(model, processor, tmp_path / "out")
    assert AutoTokenizer.from_pretrained(folder).get_vocab() == processor.tokenizer.get_vocab()
    with pytest.raises(WeightsError, match="not empty"):
        export_language_model(model, processor, folder)
    export_language_model(model, processor, folder, overwrite=True)


def lines_of(capsys: pytest.CaptureFixture[str], *words: object) -> list[dict[str, Any]]:
    assert cli.main([*map(str, words)]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_command(chatml: Parts, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = saved(chatml, tmp_path / "model")
    fasta = tmp_path / "rnas.fa"
    fasta.write_text(f">one\n{RNAS[0].replace('U', 'T')}\n>two\n{RNAS[1]}\n")
    words = ["prompt-embeds", fasta, "--model", model, "--ask", QUESTION, "--ask", "Why?"]
    lines = lines_of(capsys, *words, "--quiet")
    assert [(line["record"], line["name"], line["question"]) for line in lines] == [
        (1, "one", QUESTION),
        (1, "one", "Why?"),
        (2, "two", QUESTION),
        (2, "two", "Why?"),
    ]
    prompts = list(embed_prompts(*chatml, RNAS, [QUESTION, "Why?"]))
    for line, prompt in zip(lines, prompts, strict=True):
        assert line["body"] == prompt.for_chat()
        assert line["tokens"] == len(prompt.embeds)
    assert lines[0]["changes"]
    assert not lines[2]["changes"]
    out = tmp_path / "prompts.jsonl"
    whole = [*words[:2], out, *words[2:], "--endpoint", "completions"]
    assert lines_of(capsys, *whole) == []
    written = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["body"] for line in written] == [prompt.for_completions() for prompt in prompts]
    assert cli.main([*map(str, whole)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert lines_of(capsys, *whole, "--overwrite") == []


def test_the_command_writes_nothing_of_a_file_with_a_fault(
    chatml: Parts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = saved(chatml, tmp_path / "model")
    fasta = tmp_path / "rnas.fa"
    out = tmp_path / "prompts.jsonl"
    for text, options, told in (
        (f">one\n{RNAS[0]}\n>two\nMSKGEELFTG\n", ["--ask", QUESTION], "two"),
        (f">one\n{RNAS[0]}\n", ["--ask", "why " * 600], "512"),
        (f">one\n{RNAS[0]}\n", ["--ask", "Why?", "--reference", str(tmp_path)], "reference"),
        (f">one\n{RNAS[0]}\n", ["--ask", "Why?", "--no-reference", "--reference", "r"], "contrad"),
    ):
        fasta.write_text(text)
        words = ["prompt-embeds", str(fasta), str(out), "--model", model, *options]
        assert cli.main(words) == 2
        assert told in capsys.readouterr().err
        assert not list(tmp_path.glob("prompts*"))


def test_the_command_that_exports(
    chatml: Parts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = saved(chatml, tmp_path / "model")
    words = ["export-language-model", "--model", model, str(tmp_path / "out"), "--quiet"]
    assert cli.main(words) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'out'}\n"
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "out").dtype == torch.float32
    assert cli.main([*words, "--overwrite", "--dtype", "bfloat16"]) == 0
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "out").dtype == torch.bfloat16
    assert cli.main(words) == 2
    assert "not empty" in capsys.readouterr().err
