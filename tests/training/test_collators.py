"""Collators: what carries loss is the answer, and questions that share a sequence do not meet."""

from typing import Any

import pytest
import torch
from helpers.tiny_models import make_model, make_processor, make_rna

from rnagpt.training.collators import (
    IGNORE,
    AlignmentCollator,
    EncodedTurn,
    InstructionCollator,
    share_prefix,
)

STYLES = ("chatml", "llama-3", "mistral")


def make_rows() -> list[dict[str, Any]]:
    """Two RNAs of different length; the second is asked the same thing twice."""
    return [
        {
            "id": "long",
            "sequence": make_rna(31, seed=1),
            "questions": ["What is this RNA?", "Where is it found?", "What is bound?"],
            "answers": ["A transfer RNA.", "In bacteria, and so on.", "A ligand"],
        },
        {
            "id": "short",
            "sequence": make_rna(4, seed=2),
            "questions": ["What is this RNA?", "What is this RNA?"],
            "answers": ["A riboswitch.", "A ligand binds it."],
        },
    ]


def answer_log_probs(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Log-probabilities of all labelled tokens, in order."""
    labels = batch.pop("labels")
    log_probs = model(**batch).logits[:, :-1].log_softmax(-1)
    kept = labels[:, 1:] != IGNORE
    return log_probs[kept].gather(-1, labels[:, 1:][kept].unsqueeze(-1)).squeeze(-1)


def unshared(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each question of each RNA as a row of its own."""
    return [
        row | {"questions": [question], "answers": [answer]}
        for row in rows
        for question, answer in zip(row["questions"], row["answers"], strict=True)
    ]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_sharing_a_sequence_changes_no_loss(style, attention):
    processor = make_processor(style, merge_size=3, summary_size=2)
    model = make_model(processor)
    model.set_attn_implementation(attention)
    together = answer_log_probs(model, InstructionCollator(processor)(make_rows()))
    # The collator may ask in another order: the sorted log-probabilities are the same all the same.
    alone = [
        answer_log_probs(model, InstructionCollator(processor, questions_per_sequence=1)([row]))
        for row in unshared(make_rows())
    ]
    torch.testing.assert_close(
        together.sort().values, torch.cat(alone).sort().values, atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("style", STYLES)
def test_loss_lies_on_answers_and_their_ends_alone(style):
    processor = make_processor(style)
    tokenizer = processor.tokenizer
    labels = InstructionCollator(processor)(make_rows())["labels"]
    answers = [
        text.strip()
        for row in labels
        for text in tokenizer.decode(row[row != IGNORE]).split(tokenizer.eos_token)[:-1]
    ]
    assert sorted(answers) == sorted(answer for row in make_rows() for answer in row["answers"])


@pytest.mark.parametrize("style", STYLES)
def test_rna_is_written_once(style):
    processor = make_processor(style, merge_size=3, summary_size=2)
    batch = InstructionCollator(processor)(make_rows())
    placeholders = (batch["input_ids"] == processor.rna_token_id).sum(1)
    assert placeholders.tolist() == [processor.num_rna_tokens(n) for n in (31, 4)]
    assert batch["rna_attention_mask"].sum(1).tolist() == [31, 4]
    shared = batch["attention_mask"].any(-2).sum()
    alone = InstructionCollator(processor, 1)(unshared(make_rows()))["attention_mask"].sum()
    assert shared < 0.8 * alone


def test_alignment_is_rna_then_annotation_then_end():
    for style in STYLES:
        processor = make_processor(style, merge_size=2)
        tokenizer = processor.tokenizer
        rows = [
            {"sequence": "ACGUA", "answers": ["A transfer RNA."]},
            {"sequence": "AC", "answers": ["A riboswitch binds a ligand."]},
        ]
        batch = AlignmentCollator(processor)(rows)
        for row, (ids, mask, labels) in enumerate(
            zip(batch["input_ids"], batch["attention_mask"], batch["labels"], strict=True)
        ):
            target = labels[labels != IGNORE]
            assert target[-1] == tokenizer.eos_token_id
            assert tokenizer.decode(target[:-1]).strip() == rows[row]["answers"][0]
            prompt = ids[mask.bool()][: -len(target)].tolist()
            start = tokenizer("").input_ids  # a token of the beginning, where there is one
            num_vectors = processor.num_rna_tokens(len(rows[row]["sequence"]))
            assert prompt == start + [processor.rna_token_id] * num_vectors


def test_padding_carries_no_loss_and_is_not_looked_at():
    processor = make_processor()  # its padding is its end-of-turn token, as SmolLM2's is
    assert processor.tokenizer.pad_token_id == processor.tokenizer.eos_token_id
    batch = InstructionCollator(processor)(make_rows())
    seen = batch["attention_mask"][:, 0].any(-2)
    assert seen[0].all()
    length = int(seen[1].sum())
    assert length < seen.shape[1]
    assert not seen[1, length:].any()
    assert (batch["labels"][1, length:] == IGNORE).all()
    assert batch["labels"][1, length - 1] == processor.tokenizer.eos_token_id
    assert batch["attention_mask"][:, 0].any(-1).all()  # no query without a key


def test_a_full_sequence_takes_no_more_questions(processor):
    row = make_rows()[0]
    everything = InstructionCollator(processor)([row])["input_ids"].shape[1]
    collator = InstructionCollator(processor, max_sequence_tokens=everything - 1)
    ids = collator([row])["input_ids"][0]
    assert len(ids) < everything
    assert (ids == processor.tokenizer.convert_tokens_to_ids("<|im_end|>")).sum() > 2
    least = InstructionCollator(processor, max_sequence_tokens=1)([row])
    assert (least["labels"] != IGNORE).any()


def test_epochs_choose_other_questions(processor):
    collator = InstructionCollator(processor, questions_per_sequence=1)
    row = make_rows()[0]
    asked = []
    for epoch in (0, 1, 2, 0):
        collator.set_epoch(epoch)
        asked.append(collator([row])["labels"].tolist())
    assert asked[0] == asked[3]
    assert len({str(labels) for labels in asked[:3]}) == 3


def test_a_question_before_the_rna_cannot_share_it():
    turns = [
        EncodedTurn(torch.tensor([1, first, 99, 99, 5]), torch.tensor([IGNORE] * 4 + [5]))
        for first in (2, 3)
    ]
    with pytest.raises(ValueError, match="questions_per_sequence: 1"):
        share_prefix(turns, rna_token_id=99)


def test_copies_change_with_the_epoch_and_with_nothing_else():
    processor = make_processor(merge_size=4)
    row = make_rows()[0] | {"sequence": make_rna(200, seed=3)}
    changed = row | {"rna_changes": 0.5}

    def shown(row: dict[str, Any], epoch: int, seed: int = 0) -> list[int]:
        collator = InstructionCollator(processor, 1, seed=seed)
        collator.set_epoch(epoch)
        batch = collator([row])
        return batch["rna_input_ids"][batch["rna_attention_mask"].bool()].tolist()

    assert shown(row, 0) == shown(row, 1)
    assert shown(changed, 1) == shown(changed, 1)
    copies = [shown(changed, 0), shown(changed, 1), shown(changed, 0, seed=1)]
    assert len({tuple(copy) for copy in [*copies, shown(row, 0)]}) == 4
