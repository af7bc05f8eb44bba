"""The engine whose language model llama.cpp runs: on a CPU, several answers at once.

RNAs and tokens are embedded by PyTorch, or by NumPy where that can do it. Each answer is a
sequence of one context; prompts that begin alike, as those about the same RNA do, share what is
kept of that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from rnagpt.conversion.llama_library import require_llama
from rnagpt.inference.light_answers import LightModel
from rnagpt.inference.light_prompts import EncodedPrompt
from rnagpt.inference.llama_context import LlamaContext, Vectors, count_shared
from rnagpt.inference.llama_model import LlamaOptions, LlamaParts, LlamaRunner
from rnagpt.serving.engines import EngineSettings
from rnagpt.serving.engines.array_sampler import ArraySampler, Logits
from rnagpt.serving.engines.base import Prompt, Sampling
from rnagpt.serving.engines.batched_engine import BatchedEngine
from rnagpt.serving.prompt_encoders import LightEncoder, PromptEncoder

if TYPE_CHECKING:
    from rnagpt.processing_rnagpt import RnaGptProcessor

MOST_SEQUENCES = 256  # of llama.cpp (LLAMA_MAX_SEQ)
# Tokens a prompt and its answer are expected to have, which decides how many are kept in all.
_USUAL_LENGTH = 512


def light_encoder(settings: EngineSettings) -> PromptEncoder | None:
    """What makes prompts and needs no PyTorch; None where the model's encoder does.

    Raises:
        LlamaMissingError: llama.cpp is not installed.
    """
    require_llama()
    folder = Path(settings.name_or_path)
    model = LightModel.open(folder) if folder.is_dir() else None
    return None if model is None else LightEncoder(model, settings.name_or_path)


def start_llama_engine(
    settings: EngineSettings, processor: RnaGptProcessor | PromptEncoder
) -> BatchedEngine:
    """Load a model, and start an engine for it.

    Args:
        settings: what it is started with.
        processor: the model's; of what `light_encoder` gave, PyTorch is loaded for prompts out of
            the ordinary only.

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
    options = LlamaOptions.of(given)
    runner = LlamaRunner(settings.name_or_path, options)
    whole = _WholeModel(settings.name_or_path, options, runner)
    model = _Light(processor.model, runner, whole) if isinstance(processor, LightEncoder) else whole
    cells = max(cells or _USUAL_LENGTH * settings.max_batch, model.context)
    context = runner.new_context(cells=cells, sequences=settings.max_batch)
    batch = LlamaTokenBatch(model.embed, context, settings.max_batch, cells, model.never)
    return BatchedEngine(batch, model.context, model.ends, settings.max_batch, settings.max_waiting)


class _WholeModel:
    """Embeds prompts by PyTorch, which is loaded when it is first asked."""

    def __init__(self, name: str, options: LlamaOptions, runner: LlamaRunner) -> None:
        self._given = name, options, runner

    @cached_property
    def _parts(self) -> LlamaParts:
        return LlamaParts(*self._given)

    @property
    def context(self) -> int:
        return self._parts.context

    @property
    def ends(self) -> list[int]:
        from rnagpt.inference.generation import end_tokens

        return end_tokens(self._parts.reader, self._parts.processor)

    @property
    def never(self) -> int | None:
        config = self._parts.reader.config
        token: int = config.rna_token_id  # type: ignore[assignment]  # set by now
        return token if token < config.text_config.vocab_size else None

    def embed(self, prompt: Prompt) -> Vectors:
        """What the language model reads: (tokens, text hidden)."""
        from rnagpt.inference.llama_answers import embed
        from rnagpt.inference.prompt_embeds import rna_vectors

        reader = self._parts.reader
        return embed(reader, prompt.inputs["input_ids"], rna_vectors(reader, prompt.inputs))


class _Light:
    """Embeds prompts by NumPy, as far as it can."""

    def __init__(self, model: LightModel, runner: LlamaRunner, whole: _WholeModel) -> None:
        self._model, self._whole = model, whole
        self.context = runner.fit(model.hidden, model.vocabulary, model.reads)
        self.ends, self.never = model.ends, model.never

    def embed(self, prompt: Prompt) -> Vectors:
        """What the language model reads: (tokens, text hidden)."""
        if not isinstance(prompt.inputs, EncodedPrompt):
            return self._whole.embed(prompt)
        reader, inputs = self._model.reader, prompt.inputs
        return reader.embed(inputs.ids, [reader.rna_vectors(rna) for rna in inputs.rnas])


@dataclass(eq=False)
class _Row:
    """An answer: its sequence, and its tokens so far."""

    sequence: int
    prompt: Vectors
    length: int = 0


class LlamaTokenBatch:
    """The sequences of the answers that are being written, a `Batch`.

    Args:
        embed: what the language model reads of a prompt: (tokens, text hidden).
        context: of llama.cpp.
        sequences: that the context holds.
        cells: tokens that it holds.
        never: a token that no answer may hold; None: none.
    """

    def __init__(
        self,
        embed: Callable[[Prompt], Vectors],
        context: LlamaContext,
        sequences: int,
        cells: int,
        never: int | None,
    ) -> None:
        self._embed, self._context, self._never = embed, context, never
        self.cells: int | None = cells
        self._rows: list[_Row] = []
        self._readings: list[_Row] = []
        self._free = list(range(sequences))

    def __len__(self) -> int:
        return len(self._rows)

    def sampler(self, sampling: Sampling) -> ArraySampler:
        """See `Batch`."""
        return ArraySampler(sampling, self._never)

    def add(self, prompt: Prompt) -> Logits:
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
        vectors = self._embed(prompt)
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

    def read(self, row: _Row, tokens: int) -> Logits | None:
        """Read so many tokens more of a prompt; the logits after its last one."""
        piece = row.prompt[row.length : row.length + tokens]
        logits = self._context.read(row.sequence, row.length, piece)
        row.length += len(piece)
        return logits if row.length == len(row.prompt) else None

    def join(self, reading: LlamaReading) -> None:
        """See `Batch`."""
        self._readings.remove(reading.row)
        self._rows.append(reading.row)

    def close(self, row: _Row) -> None:
        """Give up a prompt that is being read."""
        if row in self._readings:
            self._readings.remove(row)
            self._release(row)

    def step(self, tokens: list[int]) -> Logits:
        """See `Batch`."""
        sequences = [row.sequence for row in self._rows]
        logits = self._context.step(tokens, sequences, [row.length for row in self._rows])
        for row in self._rows:
            row.length += 1
        return logits

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


class LlamaReading:
    """A prompt that is read a piece at a time; a `PromptReading`."""

    def __init__(self, batch: LlamaTokenBatch, row: _Row) -> None:
        self.batch, self.row = batch, row

    def read_on(self, tokens: int) -> Logits | None:
        """See `PromptReading`."""
        return self.batch.read(self.row, tokens)

    def close(self) -> None:
        """See `PromptReading`."""
        self.batch.close(self.row)


__all__ = ["LlamaReading", "LlamaTokenBatch", "light_encoder", "start_llama_engine"]
