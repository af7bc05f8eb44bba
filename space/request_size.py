"""Refuses requests that are larger than any that the page makes, before they are read."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class RequestSize:
    """ASGI middleware that answers 413 to a body that is too large, 411 to one of unknown size."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope)
        if refusal is None:
            await self.app(scope, receive, send)
        else:
            await refusal(scope, receive, send)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return None
        length = Headers(scope=scope).get("content-length", "")
        if not length.isdecimal():
            return PlainTextResponse("Give the request's Content-Length.", 411)
        if int(length) > self.max_bytes:
            told = f"The request has {int(length):,} bytes; at most {self.max_bytes:,} are read."
            return PlainTextResponse(told, 413)
        return None


__all__ = ["RequestSize"]
