"""What a prompt shares with a cache: all before the first RNA that differs."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.tiny_models import make_model, make_processor, make_question, make_rna

from rnagpt.inference.kept_tokens import count_kept
from rnagpt.inference.local_model import LocalModel
from rnagpt.inference.token_writer import TokenWriter
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor

X = 99  # the placeholder


@pytest.mark.parametrize(
    ("cached", "given", "expected"),
    [
        # The same RNA, another question; the last token is always read.
        (([1, X, X, 2, 3], "a"), ([1, X, X, 2, 4, 5], "a"), 4),
        (([1, X, X, 2, 3], "a"), ([1, X, X, 2, 3], "a"), 4),
        # Another RNA of as many placeholders, and of more.
        (([1, X, X, 2, 3], "a"), ([1, X, X, 2, 3], "b"), 1),
        (([1, X, X, 2], "a"), ([1, X, X, X, 2], "c"), 1),
        # The second RNA differs, and follows the first directly.
        (([1, X, X, X, X, 2], "ab"), ([1, X, X, X, X, 2], "ad"), 3),
        # One RNA more, one less, none before.
        (([1, X, X, 2], "a"), ([1, X, X, 2, X, X, 3], "ab"), 4),
        (([1, X, X, 2, X, X, 3], "ab"), ([1, X, X, 2, 4], "a"), 4),
        (([], ""), ([1, X, X, 2], "a"), 0),
        (([1, 2], ""), ([1, X, X, 2], "a"), 1),
        (([2, X, X], "a"), ([1, X, X], "a"), 0),
    ],
)
def test_tokens_are_kept_up_to_what_differs(
    cached: tuple[list[int], str], given: tuple[list[int], str], expected: int
) -> None:
    sizes = [3 if rna == "c" else 2 for rna in given[1]]
    found = count_kept(*cached, *given, rna_token=X, sizes=sizes)
    assert found == expected


@pytest.fixture(scope="module")
def parts() -> tuple[RnaGptForCausalLM, RnaGptProcessor]:
    processor = make_processor()
    return make_model(processor), processor


def write(writer: TokenWriter, rna: str, question: str) -> str:
    answer = writer.prepare([make_question([rna], question)], 12, {})
    while writer.next_token(answer) is not None:
        pass
    words = writer.finish(answer)
    assert words is not None
    return words.text


def test_another_rna_reads_anew_from_its_own_place(
    parts: tuple[RnaGptForCausalLM, RnaGptProcessor], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = LocalModel.loaded(*parts).writer
    read: list[int] = []
    forward = parts[0].model.language_model.forward

    def counted(*given: Any, **options: Any) -> Any:
        output = forward(*given, **options)
        read.append(output.last_hidden_state.shape[1])
        return output

    monkeypatch.setattr(parts[0].model.language_model, "forward", counted)
    # Of one length: their prompts have the same tokens.
    asked = [(make_rna(20, seed), text) for seed in range(4) for text in ("What?", "Where?")]
    texts = []
    for rna, question in asked:
        texts.append(write(writer, rna, question))
    inputs: Any = parts[1].apply_chat_template(
        [make_question([asked[0][0]], "What?")], add_generation_prompt=True, tokenize=True
    )
    ids = inputs["input_ids"][0].tolist()
    before = ids.index(parts[1].rna_token_id)
    prompts = [number for number in read if number > 1]
    assert before > 0
    assert prompts[0] == len(ids)
    assert prompts[2] == len(ids) - before
    monkeypatch.undo()
    fresh = [write(LocalModel.loaded(*parts).writer, *one) for one in asked]
    assert texts == fresh
    assert len(set(texts)) > 4
