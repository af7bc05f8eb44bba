"""The vLLM engine, fed with prompt embeddings.

Encoder, projection and the token embeddings run here; vLLM, unmodified, runs the language model,
with its paged attention, continuous batching and parallelism. https://docs.vllm.ai
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import torch

from rnagpt.configuration_rnagpt import RnaGptConfig
from rnagpt.inference.generation import end_tokens
from rnagpt.inference.loading import load_model, load_processor
from rnagpt.inference.prompt_embeds import embed_inputs, rna_vectors
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.serving.engines.base import (
    AnswerStream,
    EngineClosedError,
    EngineOverloadedError,
    Prompt,
    Sampling,
    TokenProbability,
    Tokens,
)
from rnagpt.serving.engines.vllm_folder import language_model_folder


class VllmEngine:
    """Writes answers with vLLM, which runs in processes of its own; to be used in one event loop.

    Args:
        name_or_path: folder or Hub id of an RNA-GPT.
        max_batch: answers that are written at once.
        max_waiting: answers that may wait.
        dtype: of the language model; None: as vLLM chooses.
        options: more of vLLM's AsyncEngineArgs, such as `tensor_parallel_size`.

    Attributes:
        config: the model's.
        context: tokens that vLLM reads, the answer included (its option `max_model_len`).
        llm: vLLM's AsyncLLM.

    Raises:
        OSError, ValueError: as of `load_model` and `language_model_folder`; vLLM is not installed,
            or does not know an option.
    """

    def __init__(
        self,
        name_or_path: str,
        max_batch: int = 32,
        max_waiting: int = 128,
        dtype: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        vllm = _import_vllm()
        self.max_batch, self.max_waiting = max_batch, max_waiting
        # Not on the accelerator, whose memory vLLM shares out as it needs it.
        model = load_model(name_or_path, dtype=dtype or "auto", device_map="cpu")
        self.config: RnaGptConfig = model.config
        self._ends = end_tokens(model, load_processor(name_or_path))
        settings = {"max_num_seqs": max_batch, "dtype": dtype or "auto", **(options or {})}
        self.llm: Any = _start_vllm(vllm, model, name_or_path, settings)
        self.context: int = self.llm.model_config.max_model_len
        self._model = _without_layers(model)
        self._streams: set[_Stream] = set()
        self._aborts: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def running(self) -> int:
        return min(len(self._streams), self.max_batch)

    @property
    def waiting(self) -> int:
        return len(self._streams) - self.running

    def submit(self, prompt: Prompt, samplings: Sequence[Sampling]) -> Sequence[AnswerStream]:
        if self._closed or self.llm.errored:
            raise EngineClosedError("The engine was closed, or has failed.")
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
        self.llm.shutdown()
        # Else it would be taken down a second time when Python itself has half ended.
        self.llm = None

    def ended(self, stream: _Stream) -> bool:
        """Note that an answer is at its end; whether this is new."""
        known = stream in self._streams
        self._streams.discard(stream)
        return known

    def abort(self, request_id: str) -> None:
        """End an answer."""
        task = asyncio.get_running_loop().create_task(self.llm.abort(request_id))
        # A loop holds tasks weakly.
        self._aborts.add(task)
        task.add_done_callback(self._aborts.discard)

    async def generate(
        self, request_id: str, embeds: torch.Tensor, sampling: Sampling
    ) -> AsyncIterator[Tokens]:
        """The pieces of an answer to an embedded prompt (length, text hidden)."""
        prompt = {"prompt_embeds": embeds}
        async for output in self.llm.generate(prompt, self._parameters(sampling), request_id):
            (answer,) = output.outputs
            ids = tuple(answer.token_ids)
            each = _probabilities(ids, answer.logprobs, sampling)
            chance = None if each is None else sum(one.log_probability for one in each)
            if ids and ids[-1] in self._ends:
                ids = ids[:-1]
            if answer.finish_reason not in (None, "stop", "length", "abort"):
                raise RuntimeError(f"vLLM ended the answer: {answer.finish_reason}.")
            finish = "stop" if answer.finish_reason == "abort" else answer.finish_reason
            yield Tokens(ids, finish, chance, None if each is None else each[: len(ids)])

    def _embed(self, prompt: Prompt) -> torch.Tensor:
        return embed_inputs(self._model, prompt.inputs, rna_vectors(self._model, prompt.inputs))

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
            logprobs=_asked(sampling),
            detokenize=False,
            output_kind=vllm.sampling_params.RequestOutputKind.DELTA,
        )


class _Stream:
    """One answer; a `AnswerStream`."""

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
        if self._engine.ended(self):
            self._cancelled = True
            self._engine.abort(self._id)

    async def _generate(self) -> AsyncIterator[Tokens]:
        try:
            embeds = await self._embeds
            if self._cancelled:
                return
            async for tokens in self._engine.generate(self._id, embeds, self._sampling):
                yield tokens
        finally:
            self._engine.ended(self)


def _start_vllm(vllm: Any, model: RnaGptForCausalLM, source: str, settings: dict[str, Any]) -> Any:
    """Start vLLM on the language model only."""
    with language_model_folder(model, source) as folder:
        try:
            arguments = vllm.AsyncEngineArgs(
                model=str(folder), enable_prompt_embeds=True, skip_tokenizer_init=True, **settings
            )
        except TypeError as error:
            raise ValueError(f"vLLM does not know an --engine-option: {error}") from error
        # Its processes have read the folder when this returns.
        return vllm.AsyncLLMEngine.from_engine_args(arguments)


def _asked(sampling: Sampling) -> int | None:
    """How many of the likeliest tokens vLLM is to name beside the one chosen; None: not even it."""
    return sampling.top if sampling.top is not None else (0 if sampling.log_probabilities else None)


def _probabilities(
    ids: Sequence[int], logprobs: Sequence[Mapping[int, Any]] | None, sampling: Sampling
) -> tuple[TokenProbability, ...] | None:
    """Of each token, from what vLLM says of each place; None where it was not asked."""
    if _asked(sampling) is None or logprobs is None:
        return None
    return tuple(
        TokenProbability(
            token,
            float(place[token].logprob),
            tuple(
                (other, float(one.logprob))
                for other, one in sorted(place.items(), key=lambda pair: pair[1].rank)
                if one.rank <= (sampling.top or 0)
            ),
        )
        for token, place in zip(ids, logprobs, strict=True)
    )


def _without_layers(model: RnaGptForCausalLM) -> RnaGptForCausalLM:
    """What is left to do here, to embed tokens and RNAs, on the accelerator if there is one."""
    model.model.language_model.layers = torch.nn.ModuleList()
    model.lm_head = torch.nn.Linear(1, 1)
    if torch.accelerator.is_available():
        model.to(torch.accelerator.current_accelerator())  # type: ignore[arg-type]
    return model.eval()


def _import_vllm() -> Any:
    try:
        import vllm
    except ImportError as error:
        raise ValueError(
            "--engine vllm needs vLLM, which is installed by itself: see docs.vllm.ai for your "
            "machine, or `make test-vllm` for one without GPU."
        ) from error
    return vllm
