"""What the routes of the server share: its parts, and what they do with a request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fastapi.responses import JSONResponse, Response

from rnagpt.reference.library import Reference
from rnagpt.serving.annotations import TSV_MEDIA_TYPE, AnnotateRequest, Annotations, to_tsv
from rnagpt.serving.answers import Answers
from rnagpt.serving.cited_answers import CitedAnswers, CitedReply, ModelSettings
from rnagpt.serving.engines.base import (
    Engine,
    EngineClosedError,
    EngineOverloadedError,
    Prompt,
    Sampling,
)
from rnagpt.serving.error_replies import shortened
from rnagpt.serving.limits import Limits
from rnagpt.serving.metrics import Metrics
from rnagpt.serving.middleware import check_api_key
from rnagpt.serving.openai_api import ApiError, ChatRequest
from rnagpt.serving.prompt_encoders import PromptEncoder, encoder_of
from rnagpt.serving.prompts import Prepared, Prompts
from rnagpt.serving.searches import Searches

if TYPE_CHECKING:
    from rnagpt.processing_rnagpt import RnaGptProcessor

_NO_LOGPROBS = (
    "logprobs cannot be given here: answers are in records' words, which no language model wrote, "
    "or in a model's that were checked and cited afterwards, so that its tokens are not the "
    "answer's. Leave logprobs out; `confidence` says how likely an answer is right. A server that "
    "was started with --no-reference gives the model's own words, with logprobs."
)


@dataclass
class Service:
    """What the routes need.

    Attributes:
        engine: of the model.
        processor: the model's, or what makes prompts in its place.
        model_name: by which clients ask for it.
        context: tokens that the language model reads.
        limits: of requests.
        api_key: that clients have to give; None: none.
        cors_origins: of the web pages that may ask, such as "https://example.org"; "*": all.
        stopping: whether new requests are rejected.
        reference: what RNAs are searched in, so that answers come from records; None: the model
            alone answers.
        config: the model's `RnaGptConfig`, or as much of it, of which answers from records are told
            whether it reads evidence, and how its confidence was calibrated; None: it does not, and
            was not.

    Raises:
        ValueError: as of `check_api_key`.
    """

    engine: Engine
    processor: RnaGptProcessor | PromptEncoder
    model_name: str
    context: int
    limits: Limits = field(default_factory=Limits)
    api_key: str | None = None
    cors_origins: tuple[str, ...] = ()
    stopping: bool = False
    reference: Reference | None = None
    config: ModelSettings | None = None

    def __post_init__(self) -> None:
        if self.api_key is not None:
            check_api_key(self.api_key)
        self.metrics = Metrics(self.engine)
        searching = self.reference is not None
        self._encoder = encoder_of(self.processor)
        self.prompts = Prompts(self._encoder, self.context, self.limits, searching)
        self.cited: CitedAnswers | None = None
        self.annotations: Annotations | None = None
        if self.reference is not None:
            self.searches = Searches(self.reference, self.limits.max_waiting, self.metrics)
            self.cited = CitedAnswers(self.prompts, self.searches, self._answers, self.config)
            self.annotations = Annotations(self.searches, self.limits, self.metrics)

    async def reply(self, cited: CitedAnswers, request: ChatRequest) -> CitedReply:
        """Answer a request from evidence.

        Raises:
            ApiError: what cannot be done; says why.
        """
        began = time.monotonic()
        self._check(request)
        if request.logprobs:
            raise ApiError(400, _NO_LOGPROBS, param="logprobs", code="no_logprobs")
        conversation = await asyncio.to_thread(self.prompts.converse, request)
        self.metrics.rnas.inc(len(conversation.rnas))
        with self._rejections():
            reply = await cited.reply(request, conversation)
        if not reply.prompt_tokens:  # else the engine's answers were counted
            self.metrics.request_seconds.observe(time.monotonic() - began)
        return reply

    async def begin(self, request: ChatRequest) -> tuple[Answers, Prepared]:
        """Begin the model's own answers to a request; returns them with the prompt.

        Raises:
            ApiError: what cannot be done; says why.
        """
        self._check(request)
        # The tokenizer is fast, but an RNA of a million letters would hold up all others.
        prepared = await asyncio.to_thread(self.prompts.prepare, request)
        self.metrics.rnas.inc(prepared.num_rnas)
        with self._rejections():
            answers = self._answers(prepared.prompt, prepared.samplings, request.stop_strings)
        return answers, prepared

    async def annotate(self, request: AnnotateRequest, *, tsv: bool) -> Response:
        """Search RNAs, and answer with what they match, as TSV or JSON.

        Raises:
            ApiError: what cannot be done; says why.
        """
        if self.stopping:
            raise self._unavailable()
        if self.annotations is None:
            raise ApiError(
                404,
                "This server searches nothing: it was started with --no-reference.",
                code="no_reference",
            )
        began = time.monotonic()
        with self._rejections():
            results = await self.annotations.find(request)
        self.metrics.request_seconds.observe(time.monotonic() - began)
        if tsv:
            return Response(to_tsv(results), media_type=TSV_MEDIA_TYPE)
        return JSONResponse(self.annotations.to_json(results))

    def _answers(
        self, prompt: Prompt, samplings: Sequence[Sampling], stop: Sequence[str] = ()
    ) -> Answers:
        return Answers(self.engine, self._encoder, self.metrics, prompt, samplings, stop)

    def _check(self, request: ChatRequest) -> None:
        """Reject what needs no look at the messages."""
        if self.stopping:
            raise self._unavailable()
        self.check_model(request.model)

    @contextmanager
    def _rejections(self) -> Iterator[None]:
        """What the engine and the search do not take, as errors for clients."""
        try:
            yield
        except EngineOverloadedError as error:
            raise ApiError(
                429,
                f"{error} Try again in {self.limits.retry_after} seconds.",
                kind="rate_limit_error",
                code="overloaded",
                retry_after=self.limits.retry_after,
            ) from error
        except EngineClosedError as error:
            raise self._unavailable() from error

    def check_model(self, name: str) -> None:
        """Reject requests for other models."""
        if name != self.model_name:
            raise ApiError(
                404,
                f"There is no model {shortened(name)!r} here; expected {self.model_name!r}.",
                param="model",
                code="model_not_found",
            )

    def _unavailable(self) -> ApiError:
        return ApiError(
            503,
            "The server is stopping. Ask again later.",
            kind="server_error",
            code="stopping",
            retry_after=self.limits.retry_after,
        )


__all__ = ["Service"]
