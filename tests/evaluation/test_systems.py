"""How systems are asked, and how likely they find answers; the file of their answers."""

import json
from pathlib import Path

import pytest
import torch
from helpers.tiny_models import make_config, make_model, make_processor, make_question, make_rna
from transformers import LlamaForCausalLM

from rnagpt.cleaning_rnagpt import CleanedRna
from rnagpt.conversion.projector_folder import save_projector
from rnagpt.evaluation.runner import PredictionFile
from rnagpt.evaluation.systems import (
    FUSION,
    RNA_GPT,
    SEQUENCE,
    System,
    stage_one_projector,
    take_language_model,
    take_projector,
)
from rnagpt.inference.batch import answer_questions

QUESTION = "What is this RNA?"
RNAS = [CleanedRna(f"rna{length}", make_rna(length, seed=length)) for length in (40, 7, 23)]
ANSWERS = ["A transfer RNA.", "It is found in bacteria, and so on.", "No."]


@pytest.fixture(scope="module")
def rnagpt() -> System:
    processor = make_processor(merge_size=3, summary_size=2)
    return System(RNA_GPT, make_model(processor), processor, batch_size=2, max_new_tokens=6)


def as_system(system: System, name: str) -> System:
    return System(name, system.model, system.processor, 2, 6)


def conversation(name: str, rna: CleanedRna | None) -> list[dict]:
    if rna is None:
        return [{"role": "user", "content": QUESTION}]
    if name == SEQUENCE:
        text = f"Here is an RNA sequence:\n{rna.sequence}\n\n{QUESTION}"
        return [{"role": "user", "content": text}]
    return [make_question([rna.sequence], QUESTION)]


@pytest.mark.parametrize("name", [RNA_GPT, SEQUENCE])
@pytest.mark.parametrize("given", [RNAS, [None, None, None]])
@torch.no_grad()
def test_ratings_are_sums_over_tokens_one_by_one(
    rnagpt: System, name: str, given: list[CleanedRna | None]
) -> None:
    system = as_system(rnagpt, name)
    tokenizer = system.processor.tokenizer
    ratings = list(system.rate(QUESTION, given, ANSWERS))
    for rna, answer, rating in zip(given, ANSWERS, ratings, strict=True):
        # Independent: the prompt alone, grown by one token of the answer at a time.
        inputs = dict(
            system.processor.apply_chat_template(
                conversation(name, rna), tokenize=True, add_generation_prompt=True
            )
        )
        del inputs["attention_mask"]
        tokens = tokenizer(answer + "<|im_end|>", add_special_tokens=False)["input_ids"]
        total = 0.0
        for token in tokens:
            logits = system.model(**inputs).logits[0, -1]
            total += logits.log_softmax(-1)[token].item()
            grown = torch.tensor([[token]])
            inputs["input_ids"] = torch.cat([inputs["input_ids"], grown], dim=1)
        assert rating.tokens == len(tokens)
        assert rating.log_probability == pytest.approx(total, rel=1e-4)


def test_an_answer_is_as_likely_as_its_rating(rnagpt: System) -> None:
    replies = list(rnagpt.answer(QUESTION, RNAS))
    chat = answer_questions(rnagpt.model, rnagpt.processor, RNAS, [QUESTION], max_new_tokens=6)
    for reply, answer in zip(replies, chat, strict=True):
        assert reply.answer == answer.answer
        assert reply.log_probability == pytest.approx(answer.log_probability, rel=1e-4)


@pytest.mark.parametrize(("name", "given"), [(SEQUENCE, RNAS), (RNA_GPT, [None])])
@torch.no_grad()
def test_answers_to_text_are_the_likeliest_tokens(
    rnagpt: System, name: str, given: list[CleanedRna | None]
) -> None:
    system = as_system(rnagpt, name)
    for rna, reply in zip(given, system.answer(QUESTION, given), strict=True):
        inputs = system.processor.apply_chat_template(
            conversation(name, rna), tokenize=True, add_generation_prompt=True
        )
        ids, new = inputs["input_ids"], []
        for _ in range(6):
            new.append(int(system.model(input_ids=ids).logits[0, -1].argmax()))
            if new[-1] == system.processor.tokenizer.eos_token_id:
                break
            ids = torch.cat([ids, torch.tensor([new[-1:]])], dim=1)
        text = system.processor.tokenizer.decode(new, skip_special_tokens=True).strip()
        assert reply.answer == text
        assert reply.log_probability is None


def test_a_systems_parts_are_exchanged(rnagpt: System, tmp_path: Path) -> None:
    model = make_model(rnagpt.processor)
    torch.manual_seed(5)
    plain = LlamaForCausalLM(model.config.text_config).eval()
    plain.save_pretrained(tmp_path / "text")
    rnagpt.processor.tokenizer.save_pretrained(tmp_path / "text")
    other = {name: x + 1 for name, x in model.model.projector.state_dict().items()}
    save_projector(other, model.config, tmp_path)
    encoder = {name: x.clone() for name, x in model.model.rna_encoder.state_dict().items()}
    system = System(FUSION, model, rnagpt.processor, 2, 6)
    before = system.settings()
    take_language_model(model, tmp_path / "text")
    take_projector(model, tmp_path / "projector.safetensors")
    ids = torch.randint(5, 200, (2, 9))
    torch.testing.assert_close(model(input_ids=ids).logits, plain(input_ids=ids).logits)
    for name, tensor in model.model.projector.state_dict().items():
        assert torch.equal(tensor, other[name])
    for name, tensor in model.model.rna_encoder.state_dict().items():
        assert torch.equal(tensor, encoder[name])
    assert system.settings() != before


@pytest.mark.parametrize("former", [False, True], ids=["", "written by 0.1.0"])
def test_the_projection_of_stage_one_has_to_fit(tmp_path: Path, former: bool) -> None:
    processor = make_processor(summary_size=3)
    options = {"rna_family_prototypes": 5, "rna_type_size": 2, "rna_type_prototypes": 4}
    config = make_config(processor, **options)
    save_projector({"weight": torch.zeros(1)}, config, tmp_path)
    if former:
        text = (tmp_path / "projector_config.json").read_text()
        text = text.replace("rna_family_prototypes", "rna_summary_memory")
        text = text.replace("rna_type_prototypes", "rna_type_memory")
        (tmp_path / "projector_config.json").write_text(text)
    assert stage_one_projector(tmp_path, config) == tmp_path / "projector.safetensors"
    other = make_config(processor, **options | {"rna_family_prototypes": 6})
    with pytest.raises(ValueError, match="rna_family_prototypes=5 instead of 6"):
        stage_one_projector(tmp_path, other)


def test_settings_tell_systems_and_lengths_apart(rnagpt: System) -> None:
    systems = [rnagpt, as_system(rnagpt, SEQUENCE)]
    systems.append(System(RNA_GPT, rnagpt.model, rnagpt.processor, 2, 7))
    assert len({system.settings() for system in systems}) == 3
    # The size of batches changes no answer.
    same = System(RNA_GPT, rnagpt.model, rnagpt.processor, 1, 6)
    assert same.settings() == rnagpt.settings()


def test_answers_are_found_again_whatever_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    rows = [{"key": str(number), "answer": "ä" * number} for number in range(5)]
    with PredictionFile(path) as file:
        for row in rows:
            file.append(row)
        assert list(file.read(["3", "0"])) == [rows[3], rows[0]]
    whole = path.read_bytes()
    for end in range(len(whole) + 1):
        path.write_bytes(whole[:end])
        with PredictionFile(path) as file:
            complete = whole[:end].count(b"\n")
            assert [str(n) in file for n in range(5)] == [n < complete for n in range(5)]
            file.append({"key": "new"})
        lines = path.read_text().splitlines()
        assert [json.loads(line)["key"] for line in lines] == [*map(str, range(complete)), "new"]
