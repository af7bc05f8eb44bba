"""Errors as replies in OpenAI's shape."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from rnagpt.serving.openai_api import ApiError

_MAX_SHOWN = 500


def failure(error: Exception) -> ApiError:
    """The reply to a client about an error that is not its own."""
    if isinstance(error, ApiError):
        return error
    return ApiError(
        500,
        f"The answer failed: {type(error).__name__}. The server's log says more.",
        kind="server_error",
    )


def shortened(text: str) -> str:
    """Without the middle of what a client sent and need not have back in millions of letters."""
    half = _MAX_SHOWN // 2
    return text if len(text) <= _MAX_SHOWN else f"{text[:half]} ... {text[-half:]}"


def _reply(error: ApiError) -> JSONResponse:
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after else {}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(error.body(), error.status, headers)


def reject_unread(message: str, status: int) -> JSONResponse:
    code = {408: "request_timeout", 413: "request_too_large"}.get(status)
    return _reply(ApiError(status, message, code=code))


def reject_unauthorized() -> JSONResponse:
    return _reply(
        ApiError(
            401,
            "The request has no valid API key. Give it as 'Authorization: Bearer KEY'.",
            kind="authentication_error",
            code="invalid_api_key",
        )
    )


def shape_errors(app: FastAPI) -> None:
    """Every error in OpenAI's shape."""

    @app.exception_handler(ApiError)
    async def rejected(_: Request, error: ApiError) -> JSONResponse:
        return _reply(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        # Of a part that is neither text nor RNA: the error of the part, not of the message.
        deepest = max(error.errors(), key=lambda one: len(one["loc"]))
        # The steps of the request to it, without those of its type.
        steps = [str(key) for key in deepest["loc"][1:] if key != "str"]
        place = ".".join(step for step in steps if step.isdecimal() or step.isidentifier())
        where = f"{shortened(place)}: " if place else ""
        # Pydantic puts "Value error, " before what was raised here.
        raised = deepest["type"] == "value_error"
        message = deepest["ctx"]["error"] if raised else deepest["msg"]
        return _reply(ApiError(400, f"{where}{shortened(str(message))}.", param=place or None))

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> JSONResponse:
        message = f"{request.method} {request.url.path}: {error.detail}."
        reply = _reply(ApiError(error.status_code, message))
        reply.headers.update(error.headers or {})
        return reply

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> JSONResponse:
        return _reply(failure(error))


__all__ = ["failure", "reject_unauthorized", "reject_unread", "shape_errors", "shortened"]
