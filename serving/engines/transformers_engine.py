"""The engine that runs the model by transformers, in this process."""

from __future__ import annotations

from rnagpt.inference.generation import end_tokens
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor
from rnagpt.serving.engines.batched_engine import BatchedEngine
from rnagpt.serving.engines.token_batch import TokenBatch


class TransformersEngine(BatchedEngine):
    """A `BatchedEngine` whose tokens the model computes in PyTorch.

    Args:
        model: an RNA-GPT.
        processor: the model's.
        max_batch: answers that are written at once; the others wait.
        max_waiting: answers that may wait.
    """

    def __init__(
        self,
        model: RnaGptForCausalLM,
        processor: RnaGptProcessor,
        max_batch: int = 32,
        max_waiting: int = 128,
    ) -> None:
        context: int = model.config.text_config.max_position_embeddings
        ends = end_tokens(model, processor)
        super().__init__(TokenBatch(model), context, ends, max_batch, max_waiting)


__all__ = ["TransformersEngine"]
