"""The engine whose language model llama.cpp runs: on a CPU, several answers at once.

Encoder, projection and the look-up of tokens are PyTorch's. Each answer is a sequence of one
context; prompts that begin alike, as those about the same RNA do, share what is kept of that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from rnagpt.inference.llama_answers import count_shared, embed
from rnagpt.inference.llama_context import LlamaContext, Vectors
from rnagpt.inference.llama_model import LlamaOptions, LlamaParts
from rnagpt.inference.prompt_embeds import rna_vectors
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.serving.engines import EngineSettings
from rnagpt.serving.engines.base import Prompt
from rnagpt.serving.engines.transformers_engine import TransformersEngine

MOST_SEQUENCES = 256  # of llama.cpp (LLAMA_MAX_SEQ)
# Tokens a prompt and its answer are expected to have, which decides how many are kept in all.
_USUAL_LENGTH = 512


def start_llama_engine(settings: EngineSettings) -> TransformersEngine:
    """Load a model, and start an engine for it.

    Raises:
        LlamaMissingError: llama.cpp is not installed.
        OSError, ValueError: as of `LlamaParts`, and for an option that cannot be had.
    """
    given = dict(settings.options)
    cells = given.pop("cells", None)
    if cells is not None and (not isinstance(cells, int) or cells < 1):
        raise ValueError(f"llama.cpp's option cells is a whole number from 1 on, got {cells!r}.")
    if settings.dtype is not None:
        raise ValueError(
            "--dtype is for transformers and vLLM; llama.cpp takes --engine-option type=f16, or "
            "q8_0, q4_1, f32."
        )
    if settings.max_batch > MOST_SEQUENCES:
        raise ValueError(
            f"llama.cpp writes at most {MOST_SEQUENCES} answers at once, and --max-batch is "
            f"{settings.max_batch}."
        )
    parts = LlamaParts(settings.name_or_path, LlamaOptions.of(given))
    cells = max(cells or _USUAL_LENGTH * settings.max_batch, parts.context)
    context = parts.new_context(cells=cells, sequences=settings.max_batch)
    batch = LlamaTokenBatch(parts.reader, context, settings.max_batch, cells)
    return TransformersEngine(
        parts.reader, parts.processor, settings.max_batch, settings.max_waiting, batch
    )


@dataclass(eq=False)
class _Row:
    """An answer: its sequence, and its tokens so far."""

    sequence: int
    prompt: Vectors
    length: int = 0


class LlamaTokenBatch:
    """The sequences of the answers that are being written, a `Batch`.

    Args:
        model: encodes RNAs and embeds prompts; no layer of its language model is needed.
        context: of llama.cpp.
        sequences: that the context holds.
        cells: tokens that it holds.
    """

    def __init__(
        self, model: RnaGptForCausalLM, context: LlamaContext, sequences: int, cells: int
    ) -> None:
        self._model, self._context = model, context
        self.cells: int | None = cells
        self._rows: list[_Row] = []
        self._readings: list[_Row] = []
        self._free = list(range(sequences))

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, prompt: Prompt) -> torch.Tensor:
        """See `Batch`."""
        reading = self.begin(prompt)
        try:
            logits = reading.read_on(prompt.length)
            assert logits is not None
            self.join(reading)
        except BaseException:
            reading.close()
            raise
        return logits

    def begin(self, prompt: Prompt) -> LlamaReading:
        """See `Batch`."""
        vectors = embed(
            self._model, prompt.inputs["input_ids"], rna_vectors(self._model, prompt.inputs)
        )
        row = _Row(self._free.pop(), vectors)
        self._readings.append(row)
        self._share(row)
        return LlamaReading(self, row)

    def _share(self, row: _Row) -> None:
        """Take over what an answer that is being written has read of the same beginning.

        See `read_prompts` for what prompts about RNAs of one family have in common, and why.
        """
        shared, source = max(
            ((count_shared(other.prompt, row.prompt), other.sequence) for other in self._rows),
            default=(0, 0),
        )
        if shared:
            self._context.share(source, row.sequence, shared)
            row.length = shared

    def read(self, row: _Row, tokens: int) -> torch.Tensor | None:
        """Read so many tokens more of a prompt; the logits after its last one."""
        piece = row.prompt[row.length : row.length + tokens]
        logits = self._context.read(row.sequence, row.length, piece)
        row.length += len(piece)
        return self._shown(logits) if row.length == len(row.prompt) else None

    def join(self, reading: LlamaReading) -> None:
        """See `Batch`."""
        self._readings.remove(reading.row)
        self._rows.append(reading.row)

    def close(self, row: _Row) -> None:
        """Give up a prompt that is being read."""
        if row in self._readings:
            self._readings.remove(row)
            self._release(row)

    def step(self, tokens: list[int]) -> torch.Tensor:
        """See `Batch`."""
        sequences = [row.sequence for row in self._rows]
        logits = self._context.step(tokens, sequences, [row.length for row in self._rows])
        for row in self._rows:
            row.length += 1
        return self._shown(logits)

    def keep(self, rows: list[int]) -> None:
        """See `Batch`."""
        kept = [self._rows[row] for row in rows]
        for row in self._rows:
            if row not in kept:
                self._release(row)
        self._rows = kept

    def _release(self, row: _Row) -> None:
        self._context.cut(row.sequence)
        self._free.append(row.sequence)

    def _shown(self, logits: Any) -> torch.Tensor:
        shown: torch.Tensor = self._model._without_placeholder(torch.from_numpy(logits))
        return shown


class LlamaReading:
    """A prompt that is read a piece at a time; a `PromptReading`."""

    def __init__(self, batch: LlamaTokenBatch, row: _Row) -> None:
        self.batch, self.row = batch, row

    def read_on(self, tokens: int) -> torch.Tensor | None:
        """See `PromptReading`."""
        return self.batch.read(self.row, tokens)

    def close(self) -> None:
        """See `PromptReading`."""
        self.batch.close(self.row)


__all__ = ["LlamaReading", "LlamaTokenBatch", "start_llama_engine"]
