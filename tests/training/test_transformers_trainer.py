"""transformers' own Trainer with RNA-GPT: predictions, metrics, and how the loss is counted."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.tiny_models import make_rna
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy
from transformers import EvalPrediction, Trainer, TrainingArguments

from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor
from rnagpt.training.collators import conversation

TEXT_ALONE = [
    {"role": "user", "content": "What is a riboswitch?"},
    {"role": "assistant", "content": "A switch."},
]
# Batches of two: text alone comes first.
ROWS = [
    TEXT_ALONE,
    [*TEXT_ALONE, {"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}],
    conversation(make_rna(20, 1), "What is this?", "A tRNA."),
    conversation(make_rna(7, 2), "What is that?", "An rRNA, of course."),
]


class Collator:
    """Conversations as one would make batches of them by hand: `labels` are the answers."""

    def __init__(self, processor: RnaGptProcessor) -> None:
        self.processor = processor

    def __call__(self, rows: list[list[dict[str, Any]]]) -> dict[str, torch.Tensor]:
        batch = self.processor.apply_chat_template(
            rows,
            tokenize=True,
            return_assistant_tokens_mask=True,
            processor_kwargs={"padding_side": "right"},
        )
        answered = batch.pop("assistant_masks").bool()
        return {**batch, "labels": batch["input_ids"].masked_fill(~answered, -100)}


class LabelsOfAll(Collator):
    """As `DataCollatorForLanguageModeling` does it: `input_ids` but for padding."""

    def __call__(self, rows: list[list[dict[str, Any]]]) -> dict[str, torch.Tensor]:
        batch = super().__call__(rows)
        padding = ~batch["attention_mask"].bool()
        return {**batch, "labels": batch["input_ids"].masked_fill(padding, -100)}


class LabelsOfWords(LabelsOfAll):
    """The recipe of the error: the placeholders have no label."""

    def __call__(self, rows: list[list[dict[str, Any]]]) -> dict[str, torch.Tensor]:
        batch = super().__call__(rows)
        labels = batch["labels"]
        labels[labels == self.processor.rna_token_id] = -100
        return batch


def make_trainer(model: Any, collator: Collator, folder: Path, **options: Any) -> Trainer:
    metrics = options.pop("compute_metrics", None)
    settings = {
        "use_cpu": True,
        "per_device_train_batch_size": 2,
        "per_device_eval_batch_size": 2,
        "remove_unused_columns": False,
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "save_strategy": "no",
        **options,
    }
    return Trainer(
        model=model,
        args=TrainingArguments(output_dir=str(folder), **settings),
        train_dataset=ROWS,
        eval_dataset=ROWS,
        data_collator=collator,
        compute_metrics=metrics,
    )


@pytest.mark.parametrize("adapted", [False, True])
def test_predictions_are_the_logits(
    model: RnaGptForCausalLM, processor: RnaGptProcessor, tmp_path: Path, adapted: bool
) -> None:
    wrapped = model
    if adapted:
        wrapped = get_peft_model(
            model, LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM")
        )
    collator = Collator(processor)
    found = make_trainer(wrapped, collator, tmp_path).predict(ROWS)
    assert isinstance(found.predictions, np.ndarray)
    assert found.predictions.shape[0] == len(ROWS)
    for row, messages in enumerate(ROWS):
        alone = collator([messages])
        labels = alone.pop("labels")
        with torch.no_grad():
            logits = model(**alone).logits[0]
        length = len(logits)
        np.testing.assert_allclose(
            found.predictions[row, :length, : logits.shape[1]], logits, rtol=1e-3, atol=1e-3
        )
        assert found.label_ids[row, :length].tolist() == labels[0].tolist()


def test_metrics_are_computed_from_logits_and_labels(
    model: RnaGptForCausalLM, processor: RnaGptProcessor, tmp_path: Path
) -> None:
    def accuracy(prediction: EvalPrediction) -> dict[str, float]:
        chosen = prediction.predictions[:, :-1].argmax(-1)
        labels = prediction.label_ids[:, 1:]
        return {"accuracy": float((chosen == labels)[labels != -100].mean())}

    collator = Collator(processor)
    found = make_trainer(model, collator, tmp_path, compute_metrics=accuracy).evaluate()
    right = []
    for messages in ROWS:
        alone = collator([messages])
        labels = alone.pop("labels")[0, 1:]
        with torch.no_grad():
            chosen = model(**alone).logits[0, :-1].argmax(-1)
        right += (chosen == labels)[labels != -100].tolist()
    assert found["eval_accuracy"] == pytest.approx(np.mean(right))


def test_labels_of_placeholders_are_rejected_before_they_dilute_the_loss(
    model: RnaGptForCausalLM, processor: RnaGptProcessor, tmp_path: Path
) -> None:
    trainer = make_trainer(model, LabelsOfAll(processor), tmp_path, max_steps=1)
    trainer.train_dataset = ROWS[2:]
    before = model.model.projector.nucleotides.weight.clone()
    message = rf"labels == {processor.rna_token_id}\] = -100"
    with pytest.raises(ValueError, match=message):
        trainer.train()
    assert torch.equal(before, model.model.projector.nucleotides.weight)
    with pytest.raises(ValueError, match=message):
        trainer.evaluate(ROWS[2:])


@pytest.mark.parametrize("steps", [1, 2])
def test_the_recipe_gives_the_loss_of_the_words(
    model: RnaGptForCausalLM, processor: RnaGptProcessor, tmp_path: Path, steps: int
) -> None:
    """By hand: the mean cross-entropy of all labelled tokens, also over accumulated batches."""
    collator = LabelsOfWords(processor)
    model.model.rna_encoder.requires_grad_(False)  # and so without dropout
    losses = []
    for messages in ROWS[2:]:
        alone = collator([messages])
        labels = alone.pop("labels")[0]
        with torch.no_grad():
            logits = model(**alone).logits[0, :-1]
        words = labels[1:] != -100
        losses.append(cross_entropy(logits[words], labels[1:][words], reduction="none"))
    trainer = make_trainer(
        model,
        collator,
        tmp_path,
        max_steps=1,
        per_device_train_batch_size=2 // steps,
        gradient_accumulation_steps=steps,
        logging_steps=1,
    )
    trainer.train_dataset = ROWS[2:]
    trainer.train()
    logged = next(entry["loss"] for entry in trainer.state.log_history if "loss" in entry)
    assert logged == pytest.approx(float(torch.cat(losses).mean()), rel=1e-3)
