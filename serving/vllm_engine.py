"""The engine that leaves the writing to vLLM, fed with prompt embeddings.

Encoder, projection and the look-up of words run here; vLLM, unmodified, runs the language model,
with its paged attention, continuous batching and parallelism. https://docs.vllm.ai
"""

from __future__ import annotations

import asyncio
import tempfile
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from rnagpt.chat_rnagpt import end_tokens, load_model, load_processor
from rnagpt.configuration_rnagpt import RnaGptConfig
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.serving.engine import (
    EngineClosedError,
    EngineOverloadedError,
    Prompt,
    Sampling,
    Tokens,
    TokenStream,
)


class VllmEngine:
    """Writes answers with vLLM; to be made and used in one event loop.

    Args:
        name_or_path: folder or Hub id of an RNA-GPT.
        max_batch: answers that are written at once.
        max_waiting: answers that may wait.
        dtype: of the language model; None: as it is stored.
        options: more of vLLM's AsyncEngineArgs, such as `tensor_parallel_size`.

    Raises:
        ValueError: vLLM is not installed, or does not know an option.
    """

    def __init__(
        self,
        name_or_path: str,
        max_batch: int = 32,
        max_waiting: int = 128,
        dtype: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        arguments_class = _import_vllm().AsyncEngineArgs
        self.max_batch, self.max_waiting = max_batch, max_waiting
        self._folder = tempfile.TemporaryDirectory(prefix="rna-gpt-vllm-")
        kwargs = {} if dtype is None else {"dtype": dtype}
        model = load_model(name_or_path, **kwargs)
        processor = load_processor(name_or_path)
        write_language_model(model, Path(self._folder.name))
        self.config: RnaGptConfig = model.config
        self._ends = end_tokens(model, processor)
        # vLLM has the language model's layers; words and RNAs are embedded here.
        model.model.language_model.layers = torch.nn.ModuleList()
        self._model = model.eval()
        settings = {
            "model": self._folder.name,
            "enable_prompt_embeds": True,
            "skip_tokenizer_init": True,
            "max_num_seqs": max_batch,
            **kwargs,
            **(options or {}),
        }
        try:
            self._arguments = arguments_class(**settings)
        except TypeError as error:
            raise ValueError(f"vLLM does not know an --engine-option: {error}") from error
        self._llm: Any = None
        self._streams: set[_Stream] = set()
        self._closed = False

    @property
    def running(self) -> int:
        return min(len(self._streams), self.max_batch)

    @property
    def waiting(self) -> int:
        return len(self._streams) - self.running

    def submit(self, prompt: Prompt, samplings: Sequence[Sampling]) -> Sequence[TokenStream]:
        if self._closed:
            raise EngineClosedError("The engine was closed.")
        if len(self._streams) + len(samplings) > self.max_batch + self.max_waiting:
            raise EngineOverloadedError(f"{self.waiting} answers wait already.")
        embeds = asyncio.create_task(asyncio.to_thread(self._embed, prompt))
        streams = [_Stream(self, embeds, sampling) for sampling in samplings]
        self._streams.update(streams)
        return streams

    async def close(self) -> None:
        self._closed = True
        for stream in tuple(self._streams):
            stream.cancel()
        if self._llm is not None:
            self._llm.shutdown()
        self._folder.cleanup()

    def ended(self, stream: _Stream) -> None:
        """An answer is at its end."""
        self._streams.discard(stream)

    def abort(self, request_id: str) -> None:
        """End an answer."""
        if self._llm is not None:
            asyncio.get_running_loop().create_task(self._llm.abort(request_id))

    async def generate(
        self, request_id: str, embeds: torch.Tensor, sampling: Sampling
    ) -> AsyncIterator[Tokens]:
        """The pieces of an answer to an embedded prompt (length, text hidden)."""
        if self._llm is None:
            # Here and not before: it has to be made in the loop that it is used in.
            self._llm = _import_vllm().AsyncLLMEngine.from_engine_args(self._arguments)
        prompt = {"prompt_embeds": embeds}
        async for output in self._llm.generate(prompt, self._parameters(sampling), request_id):
            (answer,) = output.outputs
            ids = tuple(answer.token_ids)
            if ids and ids[-1] in self._ends:
                ids = ids[:-1]
            finish = answer.finish_reason
            yield Tokens(ids, "stop" if finish == "abort" else finish)

    @torch.no_grad()
    def _embed(self, prompt: Prompt) -> torch.Tensor:
        inputs = dict(prompt.inputs.to(self._model.device))
        rnas = {name: value for name, value in inputs.items() if name.startswith("rna_")}
        vectors = self._model.get_rna_vectors(**rnas) if rnas else None
        return self._model.model.embed(inputs["input_ids"], None, vectors)[0].cpu()

    def _parameters(self, sampling: Sampling) -> Any:
        vllm = _import_vllm()
        placeholder = self.config.rna_token_id
        in_vocabulary = placeholder is not None and placeholder < self.config.text_config.vocab_size
        return vllm.SamplingParams(
            max_tokens=sampling.max_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=sampling.seed,
            stop_token_ids=self._ends,
            logit_bias={placeholder: -100.0} if in_vocabulary else None,
            detokenize=False,
            output_kind=vllm.sampling_params.RequestOutputKind.DELTA,
        )


class _Stream:
    """One answer; a `TokenStream`."""

    def __init__(
        self, engine: VllmEngine, embeds: asyncio.Task[torch.Tensor], sampling: Sampling
    ) -> None:
        self._engine, self._embeds, self._sampling = engine, embeds, sampling
        self._id = uuid.uuid4().hex
        self._pieces = self._generate()
        self._cancelled = False

    def __aiter__(self) -> _Stream:
        return self

    async def __anext__(self) -> Tokens:
        return await self._pieces.__anext__()

    def cancel(self) -> None:
        self._cancelled = True
        self._engine.abort(self._id)
        self._engine.ended(self)

    async def _generate(self) -> AsyncIterator[Tokens]:
        try:
            embeds = await self._embeds
            if self._cancelled:
                return
            async for tokens in self._engine.generate(self._id, embeds, self._sampling):
                yield tokens
        finally:
            self._engine.ended(self)


def write_language_model(model: RnaGptForCausalLM, folder: Path) -> Path:
    """Write the language model of an RNA-GPT as a model of its own."""
    language_model = AutoModelForCausalLM.from_config(model.config.text_config, dtype=model.dtype)
    language_model.base_model.load_state_dict(model.model.language_model.state_dict())
    language_model.lm_head.load_state_dict(model.lm_head.state_dict())
    language_model.generation_config = model.generation_config
    language_model.save_pretrained(folder)
    return folder


def _import_vllm() -> Any:
    try:
        import vllm
    except ImportError as error:
        raise ValueError(
            "--engine vllm needs vLLM, which is installed by itself: see docs.vllm.ai for your "
            "machine, or `make test-vllm` for one without GPU."
        ) from error
    return vllm


__all__ = ["VllmEngine", "write_language_model"]
