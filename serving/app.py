"""The routes of the server: OpenAI's chat and responses, the search alone, health, metrics."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Annotated, Any, TypeVar

from fastapi import Body, FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.middleware.cors import CORSMiddleware

from rnagpt.serving.annotations import (
    EXAMPLES,
    TSV_MEDIA_TYPE,
    AnnotateReply,
    AnnotateRequest,
    wants_tsv,
)
from rnagpt.serving.answers import Answers
from rnagpt.serving.cited_answers import CitedReply
from rnagpt.serving.error_replies import (
    failure,
    reject_unauthorized,
    reject_unread,
    shape_errors,
)
from rnagpt.serving.metrics import CountRequests
from rnagpt.serving.middleware import ApiKey, BodySizeLimit, ReadBodyInTime
from rnagpt.serving.openai_api import (
    ApiError,
    ChatReply,
    ChatRequest,
    Completion,
    model_entry,
    usage_of,
)
from rnagpt.serving.prompts import Prepared
from rnagpt.serving.responses_api import ResponseMaker, ResponseReply, ResponseRequest
from rnagpt.serving.service import Service

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
_ERROR_REPLIES: dict[int | str, dict[str, Any]] = {
    status: {"description": text}
    for status, text in {
        400: "The request is not as expected; the message says why.",
        401: "No key, or a wrong one.",
        404: "No such model.",
        408: "The body did not come in time.",
        411: "No Content-Length.",
        413: "The request, an RNA, or the number of RNAs is too large.",
        422: "An RNA cannot be read.",
        429: "Too many requests wait; Retry-After says when to come again.",
        500: "The answer failed.",
        503: "The server is stopping.",
    }.items()
}


_REPLIES: dict[int | str, dict[str, Any]] = {
    200: {
        "model": ChatReply,
        "description": "The answers; as server-sent events where a stream was asked for.",
    },
    **_ERROR_REPLIES,
}
_RESPONSE_REPLIES: dict[int | str, dict[str, Any]] = {
    200: {
        "model": ResponseReply,
        "description": "The answer; as server-sent events where a stream was asked for.",
    },
    **_ERROR_REPLIES,
}
_ANNOTATE_REPLIES: dict[int | str, dict[str, Any]] = {
    200: {
        "model": AnnotateReply,
        "description": "What each record matches.",
        "content": {TSV_MEDIA_TYPE: {"schema": {"type": "string"}}},
    },
    **_ERROR_REPLIES,
    404: {"description": "The server searches nothing (--no-reference)."},
}
# A proxy would keep the pieces of an answer until it has many of them, or hand out an old answer.
_STREAMED = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


def make_app(service: Service) -> FastAPI:
    """The application for an ASGI server."""
    app = FastAPI(title="RNA-GPT", summary="Search RNAs, and ask about them.")
    _add_middleware(app, service)
    shape_errors(app)
    entry = model_entry(service.model_name, service.context)

    @app.post("/v1/chat/completions", responses=_REPLIES)
    async def chat(request: Request, body: ChatRequest) -> Response:
        """Answer a conversation about RNAs.

        Each RNA is searched in the server's reference. The message cites records, and carries them
        beside its text, with what the answer rests on and how sure it is.
        """
        if service.cited is not None:
            return await _cited(request, body, service.reply(service.cited, body))
        answers, prepared = await service.begin(body)
        if body.stream:
            events = _events(body, answers, prepared)
            return StreamingResponse(events, headers=_STREAMED, media_type="text/event-stream")
        try:
            texts, finishes = await _unless_gone(request, answers.whole())
        finally:
            answers.cancel()
        texts = [prepared.note + text for text in texts]
        usage = usage_of(prepared.prompt.length, answers.completion_tokens)
        reply = Completion(body.model).whole(texts, finishes, usage, logprobs=answers.logprobs)
        return JSONResponse(reply)

    @app.post("/v1/responses", responses=_RESPONSE_REPLIES)
    async def respond(request: Request, body: ResponseRequest) -> Response:
        """Answer a conversation about RNAs, in the shapes of OpenAI's responses.

        As of `/v1/chat/completions`; the message in `output` carries the same fields beside its
        text, whose citations are annotations too.
        """
        try:
            return await _responded(request, service, body)
        except ApiError as error:
            if error.param is not None and error.param.startswith("messages"):
                error.param = "input"
            raise

    @app.post("/annotate", responses=_ANNOTATE_REPLIES)
    async def annotate(
        request: Request, body: Annotated[AnnotateRequest, Body(openapi_examples=EXAMPLES)]
    ) -> Response:
        """Search RNAs in the server's reference; no language model is asked.

        The results are those of `rnagpt annotate`, as JSON or as TSV.
        """
        tsv = wants_tsv(body, request.headers.get("accept", ""))
        return await _unless_gone(request, service.annotate(body, tsv=tsv))

    @app.head("/v1/models", include_in_schema=False)
    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        """The model that answers here."""
        return {"object": "list", "data": [entry]}

    @app.get("/v1/models/{name:path}", responses={404: _ERROR_REPLIES[404]})
    async def model(name: str) -> dict[str, Any]:
        """The model, if it is the one that answers here."""
        service.check_model(name)
        return entry

    @app.head("/health", include_in_schema=False)
    @app.get("/health")
    async def health() -> Response:
        """Whether requests are taken."""
        status = "stopping" if service.stopping else "ok"
        return JSONResponse({"status": status}, 503 if service.stopping else 200)

    @app.head("/metrics", include_in_schema=False)
    @app.get("/metrics")
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    return app


def _add_middleware(app: FastAPI, service: Service) -> None:
    """Before a request is read: counted, authorised, measured, timed; the last added runs first."""
    limits = service.limits
    app.add_middleware(ReadBodyInTime, seconds=limits.read_seconds, reject=reject_unread)
    app.add_middleware(BodySizeLimit, max_bytes=limits.max_body_bytes, reject=reject_unread)
    if service.api_key is not None:
        app.add_middleware(ApiKey, key=service.api_key, reject=reject_unauthorized)
    if service.cors_origins:
        # A browser asks whether it may ask before it shows a key.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=service.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["Retry-After"],
        )
    app.add_middleware(CountRequests, metrics=service.metrics)


async def _events(
    chat_request: ChatRequest, answers: Answers, prepared: Prepared
) -> AsyncIterator[str]:
    """Server-sent events, as OpenAI's; a failure is the last of them."""
    completion = Completion(chat_request.model)
    try:
        for index in range(chat_request.n):
            yield _event(completion.chunk(index, {"role": "assistant", "content": ""}))
            if prepared.note:
                yield _event(completion.chunk(index, {"content": prepared.note}))
        async for piece in answers.pieces():
            if piece.text or piece.logprobs:
                content = {"content": piece.text}
                yield _event(completion.chunk(piece.index, content, logprobs=piece.logprobs))
            if piece.finish is not None:
                yield _event(completion.chunk(piece.index, {}, piece.finish))
        if chat_request.stream_options and chat_request.stream_options.include_usage:
            usage = usage_of(prepared.prompt.length, answers.completion_tokens)
            yield _event(completion.usage_chunk(usage))
        yield "data: [DONE]\n\n"
    except Exception as error:
        logger.exception("An answer failed.")
        yield _event(failure(error).body())
    finally:
        # Also where the client went away.
        answers.cancel()


def _event(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"


async def _cited(
    request: Request, body: ChatRequest, work: Coroutine[Any, Any, CitedReply]
) -> Response:
    """An answer from evidence, which is checked as a whole before a word of it is sent."""
    reply = await _unless_gone(request, work)
    completion = Completion(body.model)
    usage = usage_of(reply.prompt_tokens, reply.completion_tokens)
    if not body.stream:
        return JSONResponse(completion.whole(reply.texts, reply.finishes, usage, reply.extras))
    with_usage = body.stream_options is not None and body.stream_options.include_usage
    events = _cited_events(completion, reply, usage if with_usage else None)
    return StreamingResponse(events, headers=_STREAMED, media_type="text/event-stream")


def _cited_events(
    completion: Completion, reply: CitedReply, usage: dict[str, int] | None
) -> Iterator[str]:
    for index, text in enumerate(reply.texts):
        yield _event(completion.chunk(index, {"role": "assistant", "content": ""}))
        yield _event(completion.chunk(index, {"content": text}))
        yield _event(completion.chunk(index, reply.extras[index]))
        yield _event(completion.chunk(index, {}, reply.finishes[index]))
    if usage is not None:
        yield _event(completion.usage_chunk(usage))
    yield "data: [DONE]\n\n"


async def _responded(request: Request, service: Service, body: ResponseRequest) -> Response:
    chat_request, maker = body.for_chat(), ResponseMaker(body)
    if service.cited is not None:
        reply = await _unless_gone(request, service.reply(service.cited, chat_request))
        usage = usage_of(reply.prompt_tokens, reply.completion_tokens)
        said = reply.texts[0], reply.finishes[0], usage, reply.extras[0]
        if not body.stream:
            return JSONResponse(maker.whole(*said))
        events = [*maker.begin(), maker.delta(said[0]), *maker.end(*said)]
        return StreamingResponse(iter(events), headers=_STREAMED, media_type="text/event-stream")
    answers, prepared = await service.begin(chat_request)
    if body.stream:
        written = _response_events(maker, answers, prepared)
        return StreamingResponse(written, headers=_STREAMED, media_type="text/event-stream")
    try:
        (text,), (finish,) = await _unless_gone(request, answers.whole())
    finally:
        answers.cancel()
    usage = usage_of(prepared.prompt.length, answers.completion_tokens)
    return JSONResponse(maker.whole(prepared.note + text, finish, usage, {}))


async def _response_events(
    maker: ResponseMaker, answers: Answers, prepared: Prepared
) -> AsyncIterator[str]:
    """Server-sent events of the model's own answer; a failure is the last of them."""
    text, finish = prepared.note, "stop"
    try:
        for event in maker.begin():
            yield event
        if prepared.note:
            yield maker.delta(prepared.note)
        async for piece in answers.pieces():
            if piece.text:
                text += piece.text
                yield maker.delta(piece.text)
            finish = piece.finish or finish
        usage = usage_of(prepared.prompt.length, answers.completion_tokens)
        for event in maker.end(text, finish, usage, {}):
            yield event
    except Exception as error:
        logger.exception("An answer failed.")
        yield maker.failed(failure(error))
    finally:
        # Also where the client went away.
        answers.cancel()


async def _unless_gone(request: Request, work: Coroutine[Any, Any, _T]) -> _T:
    """What comes of work for a request; where the client goes away before, it is ended.

    Raises:
        ApiError: an answer failed. Other errors would cost the client its connection.
    """
    task = asyncio.create_task(work)
    try:
        while not (await asyncio.wait({task}, timeout=0.5))[0]:
            if await request.is_disconnected():
                raise ApiError(499, "The client went away.", kind="server_error")
        return task.result()
    except ApiError:
        raise
    except Exception as error:
        raise failure(error) from error
    finally:
        task.cancel()


__all__ = ["make_app"]
