"""A language model that llama.cpp runs: vectors and tokens in, logits out, sequences kept.

By the low-level functions of llama-cpp-python: its `Llama` takes tokens alone, and one sequence.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rnagpt.conversion import WeightsError
from rnagpt.conversion.llama_library import llama_library

Vectors = npt.NDArray[np.float32]
# Vectors of a prompt that are read in one pass.
_READ_AT_ONCE = 512
# Of a conversation's first context: a question or two. All that a model may read would take memory,
# and time to be emptied.
_FEWEST_CELLS = 1_024
_NO_ROOM = 1  # what llama_decode returns where the cells are full


class LlamaWeights:
    """The weights of a GGUF file, which several contexts share.

    Args:
        file: that `export_gguf` wrote.

    Raises:
        LlamaMissingError: llama.cpp is not installed.
        WeightsError: it cannot load the file.
    """

    def __init__(self, file: Path) -> None:
        library = llama_library()
        settings = library.llama_model_default_params()
        settings.n_gpu_layers = 0
        # Not its products for AMX, which crash where GCC 12 compiled them:
        # https://github.com/ggml-org/llama.cpp/pull/26954
        settings.use_extra_bufts = False
        self.handle = library.llama_model_load_from_file(str(file).encode(), settings)
        if not self.handle:
            raise WeightsError(
                f"llama.cpp cannot load {file}. Write it with `rnagpt export-gguf`; the log of "
                "rnagpt.conversion.llama_library has llama.cpp's own words."
            )
        weakref.finalize(self, library.llama_model_free, self.handle)
        self.hidden = int(library.llama_model_n_embd(self.handle))
        self.layers = int(library.llama_model_n_layer(self.handle))
        self.vocabulary = int(
            library.llama_vocab_n_tokens(library.llama_model_get_vocab(self.handle))
        )


class LlamaContext:
    """Keys and values of some sequences, in cells that these share; for one thread at a time.

    Args:
        weights: of the language model.
        cells: tokens of all sequences together; those that sequences share count once.
        sequences: that it holds at most.
        threads: that compute.
        exact: keep keys and values in float32, not in float16, and attend to them in it.
    """

    def __init__(
        self,
        weights: LlamaWeights,
        *,
        cells: int,
        sequences: int = 1,
        threads: int = 1,
        exact: bool = False,
    ) -> None:
        library = llama_library()
        settings = library.llama_context_default_params()
        settings.n_ctx = cells
        settings.n_batch = settings.n_ubatch = max(_READ_AT_ONCE, sequences)
        settings.n_seq_max = sequences
        settings.n_threads = settings.n_threads_batch = threads
        settings.kv_unified = True  # or one sequence could not share another's beginning
        settings.no_perf = True
        if exact:
            settings.type_k = settings.type_v = library.GGML_TYPE_F32
            # It rounds to float16 on its way.
            settings.flash_attn_type = library.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self.weights, self.cells = weights, cells
        self.handle = library.llama_init_from_model(weights.handle, settings)
        if not self.handle:
            raise WeightsError(
                f"llama.cpp cannot keep {cells:,} tokens; ask for a smaller context."
            )
        weakref.finalize(self, library.llama_free, self.handle)
        self._library = library
        self._memory = library.llama_get_memory(self.handle)
        self._most = int(settings.n_batch)
        # Filled anew for each pass; the arrays are llama.cpp's own.
        self._vectors = _Batch(library, self._most, weights.hidden)
        self._tokens = _Batch(library, self._most, 0)
        self._lock = threading.Lock()

    def read(self, sequence: int, start: int, vectors: Vectors) -> npt.NDArray[np.float32]:
        """Append vectors (tokens, hidden) to a sequence that has `start` tokens.

        Returns:
            The logits after the last one, (vocabulary,).

        Raises:
            MemoryError: there is no cell left for them.
        """
        with self._lock:
            for first in range(0, len(vectors), self._most):
                piece = vectors[first : first + self._most]
                places = np.arange(start + first, start + first + len(piece))
                wanted = np.zeros(len(piece), np.int8)
                wanted[-1] = first + len(piece) == len(vectors)
                self._vectors.fill(piece, places, [sequence] * len(piece), wanted)
                self._decode(self._vectors)
            # Copied, since the next pass writes there.
            return self._logits(len(piece) - 1).copy()

    def step(
        self, tokens: Sequence[int], sequences: Sequence[int], places: Sequence[int]
    ) -> npt.NDArray[np.float32]:
        """Append a token to each of some sequences, at its place.

        Returns:
            The logits of those that follow, (sequences, vocabulary).

        Raises:
            MemoryError: there is no cell left for them.
        """
        with self._lock:
            wanted = np.ones(len(tokens), np.int8)
            self._tokens.fill(np.asarray(tokens), np.asarray(places), sequences, wanted)
            self._decode(self._tokens)
            logits = np.empty((len(tokens), self.weights.vocabulary), np.float32)
            for row in range(len(tokens)):
                logits[row] = self._logits(row)
            return logits

    def cut(self, sequence: int, length: int = 0) -> None:
        """Forget a sequence's tokens but the first `length`."""
        with self._lock:
            self._library.llama_memory_seq_rm(self._memory, sequence, length, -1)

    def share(self, source: int, target: int, length: int) -> None:
        """Let an empty sequence begin with the first `length` tokens of another."""
        with self._lock:
            self._library.llama_memory_seq_cp(self._memory, source, target, 0, length)

    def _decode(self, batch: _Batch) -> None:
        status = self._library.llama_decode(self.handle, batch.raw)
        if status == _NO_ROOM:
            raise MemoryError("The language model's context is full.")
        if status:
            raise RuntimeError(f"llama.cpp could not read on (llama_decode returned {status}).")

    def _logits(self, row: int) -> npt.NDArray[np.float32]:
        pointer = self._library.llama_get_logits_ith(self.handle, row)
        return np.ctypeslib.as_array(pointer, (self.weights.vocabulary,))


class _Batch:
    """A `llama_batch`: of vectors of some size, or of tokens where that is 0."""

    def __init__(self, library: Any, most: int, size: int) -> None:
        self.raw = library.llama_batch_init(most, size, 1)
        weakref.finalize(self, library.llama_batch_free, self.raw)
        self._content = (
            np.ctypeslib.as_array(self.raw.embd, (most, size))
            if size
            else np.ctypeslib.as_array(self.raw.token, (most,))
        )
        self._places = np.ctypeslib.as_array(self.raw.pos, (most,))
        self._counts = np.ctypeslib.as_array(self.raw.n_seq_id, (most,))
        self._wanted = np.ctypeslib.as_array(
            ctypes.cast(self.raw.logits, ctypes.POINTER(ctypes.c_int8)), (most,)
        )

    def fill(
        self,
        content: npt.NDArray[Any],
        places: npt.NDArray[Any],
        sequences: Sequence[int],
        wanted: npt.NDArray[np.int8],
    ) -> None:
        number = len(content)
        self.raw.n_tokens = number
        self._content[:number] = content
        self._places[:number] = places
        self._counts[:number] = 1
        self._wanted[:number] = wanted
        for row, sequence in enumerate(sequences):
            self.raw.seq_id[row][0] = sequence


def conversation_cells(needed: int) -> int:
    """Cells of a context for a conversation that needs so many now: some more, to go on in."""
    return max(_FEWEST_CELLS, 2 ** (needed - 1).bit_length())


def read_prompts(context: LlamaContext, prompts: Sequence[Vectors]) -> Vectors:
    """Read prompts (tokens, hidden) into sequences 0, 1 … of an emptied context.

    What a prompt has in common with the beginning of an earlier one is not read again: all of it
    but the question, where both are about the same RNA. Prompts about RNAs of the same family have
    only what stands before the RNA in common, though both show its record: keys and values depend
    on all that stands before, which the RNA does, as in training.

    Returns:
        The logits after each, (prompts, vocabulary).
    """
    context.cut(-1)
    logits = []
    for row, prompt in enumerate(prompts):
        earlier = ((count_shared(prompts[other], prompt), other) for other in range(row))
        shared, other = max(earlier, default=(0, 0))
        if shared:
            context.share(other, row, shared)
        logits.append(context.read(row, shared, prompt[shared:]))
    return np.stack(logits)


def count_shared(one: Vectors, other: Vectors) -> int:
    """How many vectors both begin with; the last one of `other` is never among them."""
    most = min(len(one), len(other) - 1)
    differ = (one[:most] != other[:most]).any(1)
    return int(differ.argmax()) if differ.any() else most


__all__ = [
    "LlamaContext",
    "LlamaWeights",
    "Vectors",
    "conversation_cells",
    "count_shared",
    "read_prompts",
]
