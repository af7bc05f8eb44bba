"""Collators: rows of RNA-QA through the processor to batches with labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from rnagpt.inference.generation import user_message
from rnagpt.processing_rnagpt import RnaGptProcessor
from rnagpt.sequences.strands import changed_copy
from rnagpt.training.rows import choose_questions, generator_of

IGNORE = -100  # the label of a token that carries no loss
PREFIX, PADDING = 0, -1  # branches; questions are 1, 2, …


@dataclass
class AlignmentCollator:
    """Batches of the alignment stage: only the RNA, no prompt text, then its annotation.

    A sequence is the RNA's placeholders, the annotation and the end-of-text token (preceded
    by the tokens that the tokenizer puts before any text). The loss lies on annotation and end.

    Args:
        processor: the model's processor.

    Returns, called with rows of `prepare_rnas`:
        `input_ids`, `attention_mask`, `labels` of shape `(batch, sequence)`, padded on the right,
        and `rna_input_ids`, `rna_attention_mask` of shape `(batch, nucleotides)`.
    """

    processor: RnaGptProcessor

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        tokenizer = self.processor.tokenizer
        prompts = self.processor(
            text=[self.processor.rna_token] * len(rows),
            rna=[row["sequence"] for row in rows],
            padding=True,
            padding_side="right",
            return_tensors="pt",
        )
        targets = tokenizer([row["answers"][0] for row in rows], add_special_tokens=False)[
            "input_ids"
        ]
        input_ids, labels = [], []
        for ids, mask, target in zip(
            prompts["input_ids"], prompts["attention_mask"], targets, strict=True
        ):
            prompt = ids[mask.bool()]
            target = torch.tensor([*target, tokenizer.eos_token_id])
            input_ids.append(torch.cat([prompt, target]))
            labels.append(torch.cat([torch.full_like(prompt, IGNORE), target]))
        return {
            "input_ids": pad_sequence(
                input_ids, batch_first=True, padding_value=pad_token_id(self.processor)
            ),
            "attention_mask": pad_sequence(
                [torch.ones_like(ids) for ids in input_ids], batch_first=True
            ),
            "labels": pad_sequence(labels, batch_first=True, padding_value=IGNORE),
            "rna_input_ids": prompts["rna_input_ids"],
            "rna_attention_mask": prompts["rna_attention_mask"],
        }


@dataclass
class InstructionCollator:
    """Batches of the instruction stage: several questions of one RNA share one sequence.

    What the rendered conversations of an RNA have in common at their start (system prompt, RNA)
    is written once; then each question with its answer is a branch of its own. A branch sees the
    shared prefix and itself, and its positions continue from the prefix. So the loss is the same as
    with each question in a sequence of its own, while the RNA is read once. Only answers carry
    loss, end of turn included.

    Args:
        processor: the model's processor.
        questions_per_sequence: how many questions of an RNA share a sequence; None: all. With 1 the
            batch has an ordinary attention mask, which flash attention takes too.
        max_sequence_tokens: a sequence takes no further question that would make it longer.
        seed: of the choice of questions.

    Returns, called with rows of `prepare_rnas`:
        `input_ids`, `position_ids`, `labels` of shape `(batch, sequence)`, padded on the right;
        `attention_mask`, boolean, of shape `(batch, 1, sequence, sequence)`, or `(batch, sequence)`
        with one question a sequence; `rna_input_ids`, `rna_attention_mask` of shape
        `(batch, nucleotides)`; `rna_novel_family`, boolean, of shape `(batch,)`, where the rows
        have a column `novel_family`. Rows with a column `rna_changes` are shown as changed copies,
        differently in each epoch.
    """

    processor: RnaGptProcessor
    questions_per_sequence: int | None = None
    max_sequence_tokens: int | None = None
    seed: int = 0
    epoch: int = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the questions of this epoch."""
        self.epoch = epoch

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        chosen = [
            choose_questions(
                len(row["questions"]), self.questions_per_sequence, self.epoch, self.seed, row["id"]
            )
            for row in rows
        ]
        encoded = encode_conversations(
            self.processor,
            [
                conversation(shown, row["questions"][index], row["answers"][index])
                for row, shown, indices in zip(rows, self._shown(rows), chosen, strict=True)
                for index in indices
            ],
        )
        sequences, first_of_row, start = [], [], 0
        for indices in chosen:
            turns = encoded.turns[start : start + len(indices)]
            sequences.append(
                share_prefix(turns, self.processor.rna_token_id, self.max_sequence_tokens)
            )
            first_of_row.append(start)
            start += len(indices)
        branches = pad_sequence(
            [s.branches for s in sequences], batch_first=True, padding_value=PADDING
        )
        marks = {}
        if "novel_family" in rows[0]:
            marks["rna_novel_family"] = torch.tensor([row["novel_family"] for row in rows])
        return {
            **marks,
            "input_ids": pad_sequence(
                [s.input_ids for s in sequences],
                batch_first=True,
                padding_value=pad_token_id(self.processor),
            ),
            "attention_mask": (branches != PADDING).long()
            if self.questions_per_sequence == 1
            else branch_mask(branches),
            "position_ids": pad_sequence([s.position_ids for s in sequences], batch_first=True),
            "labels": pad_sequence(
                [s.labels for s in sequences], batch_first=True, padding_value=IGNORE
            ),
            "rna_input_ids": encoded.rna_input_ids[first_of_row],
            "rna_attention_mask": encoded.rna_attention_mask[first_of_row],
        }

    def _shown(self, rows: Sequence[dict[str, Any]]) -> list[str]:
        """The sequence of each row, or the copy of it that this epoch shows."""
        merged = self.processor.merge_size
        return [
            changed_copy(
                row["sequence"],
                random.uniform(0, row["rna_changes"]),
                random,
                max_start=merged - 1,
            )
            if "rna_changes" in row
            else row["sequence"]
            for row in rows
            for random in [generator_of(row["id"], self.seed, self.epoch)]
        ]


def conversation(sequence: str, question: str, answer: str | None = None) -> list[dict[str, Any]]:
    """The chat messages of one question about one RNA, with its answer where it is given."""
    messages = [user_message(question, [sequence])]
    return messages if answer is None else [*messages, {"role": "assistant", "content": answer}]


@dataclass
class EncodedTurn:
    """One question with its answer as tokens: `input_ids` and `labels` of shape `(sequence,)`."""

    input_ids: torch.Tensor
    labels: torch.Tensor


@dataclass
class EncodedConversations:
    """Encoded turns, and the RNAs of all of them, of shape `(conversations, nucleotides)`."""

    turns: list[EncodedTurn]
    rna_input_ids: torch.Tensor
    rna_attention_mask: torch.Tensor


def encode_conversations(
    processor: RnaGptProcessor, conversations: list[list[dict[str, Any]]]
) -> EncodedConversations:
    """Renders and tokenises conversations; labels are the answers, end of turn included."""
    batch: Any = processor.apply_chat_template(
        conversations,
        tokenize=True,
        return_dict=True,
        return_assistant_tokens_mask=True,
        processor_kwargs={"padding": True, "padding_side": "right", "return_tensors": "pt"},
    )
    turns = []
    for ids, answered in zip(batch["input_ids"], batch["assistant_masks"].bool(), strict=True):
        # What a template writes after the last answer's end, and the padding, predicts nothing.
        end = int(answered.nonzero().max()) + 1
        turns.append(EncodedTurn(ids[:end], ids.masked_fill(~answered, IGNORE)[:end]))
    return EncodedConversations(turns, batch["rna_input_ids"], batch["rna_attention_mask"])


@dataclass
class BranchedSequence:
    """A shared prefix and its branches, each field of shape `(sequence,)`.

    `branches` numbers the tokens: 0 the prefix, 1, 2, … the questions.
    """

    input_ids: torch.Tensor
    labels: torch.Tensor
    position_ids: torch.Tensor
    branches: torch.Tensor


def share_prefix(
    turns: list[EncodedTurn], rna_token_id: int, max_tokens: int | None = None
) -> BranchedSequence:
    """Joins turns about one RNA in one sequence that holds their common start once.

    Args:
        turns: one or more, all about the same RNA.
        rna_token_id: the placeholder's id.
        max_tokens: a further turn that would make the sequence longer is left out.

    Raises:
        ValueError: the chat template puts the question before the RNA, so the RNA is not shared.
    """
    prefix = common_prefix_length(turns)
    if (turns[0].input_ids[prefix:] == rna_token_id).any():
        raise ValueError(
            "The chat template writes the question before the RNA, so questions cannot share it. "
            "Train with questions_per_sequence: 1."
        )
    first = turns[0]
    input_ids, labels = [first.input_ids[:prefix]], [first.labels[:prefix]]
    positions, branches = [torch.arange(prefix)], [torch.full((prefix,), PREFIX)]
    total = prefix
    for branch, turn in enumerate(turns, start=1):
        length = len(turn.input_ids) - prefix
        if branch > 1 and max_tokens is not None and total + length > max_tokens:
            continue
        total += length
        input_ids.append(turn.input_ids[prefix:])
        labels.append(turn.labels[prefix:])
        positions.append(torch.arange(prefix, prefix + length))
        branches.append(torch.full((length,), branch))
    return BranchedSequence(
        *(torch.cat(parts) for parts in (input_ids, labels, positions, branches))
    )


def common_prefix_length(turns: list[EncodedTurn]) -> int:
    """Tokens that all turns share at their start.

    At least one token of the prompt is left to every branch: the token that predicts an answer's
    first has to lie in the same branch.
    """
    longest = min(int((turn.labels != IGNORE).int().argmax()) for turn in turns) - 1
    heads = torch.stack([turn.input_ids[:longest] for turn in turns])
    same = (heads == heads[0]).all(dim=0)
    return int(same.int().cumprod(dim=0).sum())


def branch_mask(branches: torch.Tensor) -> torch.Tensor:
    """Which token may look at which: backwards, at the prefix and at its own branch.

    Nothing looks at padding. Padding itself looks at the prefix, so that no softmax is empty.

    Args:
        branches: of shape `(batch, sequence)`, see `BranchedSequence`; padding is -1.

    Returns:
        Boolean mask of shape `(batch, 1, query, key)`, True where the query sees the key.
    """
    query, key = branches[:, None, :, None], branches[:, None, None, :]
    causal = torch.ones(branches.shape[1], branches.shape[1], dtype=torch.bool).tril()
    return causal & ((key == PREFIX) | (key == query) & (key != PADDING))


def pad_token_id(processor: RnaGptProcessor) -> int:
    """What fills a batch. It may be the end-of-turn token: masks go by position, not by this id."""
    pad = processor.tokenizer.pad_token_id
    return processor.tokenizer.eos_token_id if pad is None else pad


def count_template_tokens(processor: RnaGptProcessor) -> int:
    """Tokens of a one-question conversation that belong to the chat template, at most."""
    turn = encode_conversations(processor, [conversation("A", "?", "!")]).turns[0]
    return len(turn.input_ids) - processor.num_rna_tokens(1)
