"""A limit on the size of request bodies, applied before they are read."""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send


class BodySizeLimit:
    """ASGI middleware that answers 413 to a body that is too large, 411 to one of unknown size.

    Args:
        app: what it protects.
        max_bytes: of a body.
        reject: makes the reply of a message and a status.
    """

    def __init__(
        self,
        app: ASGIApp,
        max_bytes: int,
        reject: Callable[[str, int], Response] = PlainTextResponse,
    ) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.reject = reject

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rejection = self._rejection(scope)
        if rejection is None:
            await self.app(scope, receive, send)
        else:
            await rejection(scope, receive, send)

    def _rejection(self, scope: Scope) -> Response | None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return None
        length = Headers(scope=scope).get("content-length", "")
        if not length.isdecimal():
            return self.reject("Give the request's Content-Length.", 411)
        if int(length) > self.max_bytes:
            message = f"The request has {int(length):,} bytes; at most {self.max_bytes:,} are read."
            return self.reject(message, 413)
        return None
