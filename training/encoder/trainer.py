"""The Trainer of an encoder: its batches, its speed, and pieces of a given number of minutes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainingArguments

from rnagpt.training.encoder.arguments import EncoderArguments
from rnagpt.training.encoder.batches import (
    CLS,
    EOS,
    PAD,
    DrawnRows,
    SeededBatches,
    SeededCollator,
    TokenBudgetSampler,
    WordsCollator,
)
from rnagpt.training.encoder.masking import MaskedCollator
from rnagpt.training.encoder.speed import product_limit, training_operations
from rnagpt.training.encoder.tasks import TrainingTask
from rnagpt.training.freed_memory import FreedMemory


class StopAfter(TrainerCallback):
    """Stops a training with a checkpoint after so many minutes."""

    def __init__(self, minutes: float) -> None:
        self.end = time.monotonic() + 60 * minutes

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if time.monotonic() > self.end and not control.should_training_stop:
            control.should_save = control.should_training_stop = True


class Speed:
    """Nucleotides a second, and which share of the device's bfloat16 products that makes.

    Args:
        device: on which the training runs.
        bfloat16: whether it does so in bfloat16; else no share is given.
    """

    def __init__(self, device: torch.device, bfloat16: bool) -> None:
        self.limit = product_limit(device) if bfloat16 else None
        self.start, self.nucleotides, self.operations = time.monotonic(), 0, 0.0

    def count(self, encoder: Any, batch: dict[str, torch.Tensor]) -> None:
        """Add a batch; what is padding or an RNA's end is no nucleotide."""
        ids = batch["input_ids"]
        rnas, length = ids.shape
        row = float(length)
        if "position_ids" in batch:
            rna = batch["position_ids"][0].eq(0).cumsum(0)
            row = rna.bincount().float().square().sum().item() / length
        ends = torch.tensor([CLS, PAD, EOS], device=ids.device)
        self.nucleotides += int(torch.isin(ids, ends, invert=True).sum())
        self.operations += training_operations(encoder, rnas, length, row)

    def since_last(self) -> dict[str, float]:
        """`nt_per_second`, `share_of_limit`; counting begins anew."""
        seconds = max(1e-9, time.monotonic() - self.start)
        figures = {"nt_per_second": round(self.nucleotides / seconds, 1)}
        if self.limit:
            figures["share_of_limit"] = float(f"{self.operations / seconds / self.limit:.3g}")
        self.start, self.nucleotides, self.operations = time.monotonic(), 0, 0.0
        return figures

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time within does not count."""
        begin = time.monotonic()
        yield
        self.start += time.monotonic() - begin


def compile_layers(encoder: Any) -> None:
    """Compile each layer, alike for all and for all lengths."""
    layers = encoder.encoder.layer if hasattr(encoder, "encoder") else encoder.layers
    for layer in layers:
        layer.compile(dynamic=True)


class EncoderTrainer(Trainer):
    """A Trainer whose batches hold a budget of nucleotides, of RNAs of similar length.

    Args:
        task: model, data and metrics.
        arguments: `tokens_per_batch`, `table_rate`, `packing`, `compile_layers` and `minutes`.
        args: as for `Trainer`.
    """

    model: torch.nn.Module
    train_dataset: Any

    def __init__(
        self, task: TrainingTask, arguments: EncoderArguments, args: TrainingArguments
    ) -> None:
        super().__init__(
            model=task.objective,
            args=args,
            train_dataset=task.rows,  # type: ignore[arg-type]  # read by our own loader
            eval_dataset=task.eval_rows,  # type: ignore[arg-type]
            data_collator=task.collator,
            compute_metrics=task.metrics,
        )
        self.arguments, self.train_task = arguments, task
        self.speed = Speed(self.args.device, self.args.bf16)
        if self.args.device.type == "cpu":
            self.add_callback(FreedMemory())
        if arguments.minutes:
            self.add_callback(StopAfter(arguments.minutes))
        if arguments.compile_layers:
            compile_layers(task.objective.encoder)

    def get_train_dataloader(self) -> DataLoader[Any]:
        return self._loader(self.train_dataset, self.data_collator, shuffle=True)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader[Any]:
        collator = self.data_collator
        if isinstance(collator, WordsCollator):
            collator = replace(collator, most_mutations=0.0, decoy_share=0.0)
        elif isinstance(collator, MaskedCollator):
            collator = replace(collator, other_strand_share=0.0)
        rows = self.eval_dataset if eval_dataset is None else eval_dataset
        return self._loader(rows, collator, shuffle=False)

    def _loader(self, rows: Any, collator: Any, shuffle: bool) -> DataLoader[Any]:
        sampler = TokenBudgetSampler(
            rows,
            self.arguments.tokens_per_batch,
            max_length=collator.max_length,
            shuffle=shuffle,
            seed=self.args.seed,
            packed=self.arguments.packing,
        )
        workers = self.args.dataloader_num_workers
        loader = DataLoader(
            DrawnRows(rows),
            batch_sampler=SeededBatches(sampler),
            collate_fn=SeededCollator(collator),
            num_workers=workers,
            persistent_workers=workers > 0,
        )
        return self.accelerator.prepare(loader)

    def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        self.speed.count(self.train_task.objective.encoder, inputs)
        return super().training_step(model, inputs, *args, **kwargs)

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """With the speed since the last log, evaluations left out."""
        if "loss" in logs:
            logs |= self.speed.since_last()
        super().log(logs, *args, **kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """The layers as they are: to compile them for the few batches here would take longer."""
        with self.speed.paused(), torch.compiler.set_stance("force_eager"):
            return super().evaluate(*args, **kwargs)

    def create_optimizer(self, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        """AdamW with a rate of its own for the table: each row of it is seen rarely."""
        if self.optimizer is None:
            parameters = dict(self.model.named_parameters())
            table = [value for name, value in parameters.items() if "word_embeddings" in name]
            rest = [value for name, value in parameters.items() if "word_embeddings" not in name]
            rate = self.args.learning_rate
            groups = [
                {"params": table, "lr": self.arguments.table_rate * rate},
                {"params": rest, "lr": rate},
            ]
            self.optimizer: Any = torch.optim.AdamW(
                [group for group in groups if group["params"]],
                betas=(self.args.adam_beta1, self.args.adam_beta2),
                eps=self.args.adam_epsilon,
                weight_decay=self.args.weight_decay,
                fused=True,
            )
        return self.optimizer


__all__ = ["EncoderTrainer", "Speed", "StopAfter", "compile_layers"]
