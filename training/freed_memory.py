"""Memory that the steps of a training on a CPU leave free, given back to the system."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from rnagpt.inference.allocator import give_back_free_memory

# Steps. The pages have to be had again: every third step would cost many times as much.
EVERY = 10


class FreedMemory(TrainerCallback):
    """Gives free memory back every so many steps, and before and after an evaluation."""

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.global_step % EVERY == 0:
            give_back_free_memory()

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        give_back_free_memory()


__all__ = ["EVERY", "FreedMemory"]
