"""Refuses requests that are too large before they are read."""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send


class RequestSize:
    """ASGI middleware that answers 413 to a body that is too large, 411 to one of unknown size.

    Args:
        app: what it protects.
        max_bytes: of a body.
        refuse: makes the reply of a message and a status.
    """

    def __init__(
        self,
        app: ASGIApp,
        max_bytes: int,
        refuse: Callable[[str, int], Response] = PlainTextResponse,
    ) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope)
        if refusal is None:
            await self.app(scope, receive, send)
        else:
            await refusal(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return None
        length = Headers(scope=scope).get("content-length", "")
        if not length.isdecimal():
            return self.refuse("Give the request's Content-Length.", 411)
        if int(length) > self.max_bytes:
            told = f"The request has {int(length):,} bytes; at most {self.max_bytes:,} are read."
            return self.refuse(told, 413)
        return None


__all__ = ["RequestSize"]
