"""A deadline for sending a request, so that half-open connections do not pile up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import h11
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol


class ReadBodyInTime:
    """ASGI middleware that reads a body whole, and answers 408 to one that does not come in time.

    Args:
        app: is called once the body is there.
        seconds: from the head of the request to the end of its body.
        reject: makes the reply of a message and a status.
    """

    def __init__(
        self,
        app: ASGIApp,
        seconds: float,
        reject: Callable[[str, int], Response] = PlainTextResponse,
    ) -> None:
        self.app, self.seconds, self.reject = app, seconds, reject

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            body = await asyncio.wait_for(_whole_body(receive), self.seconds)
        except TimeoutError:
            message = f"The request's body did not come within {self.seconds:g} seconds."
            reply = self.reject(message, 408)
            reply.headers["Connection"] = "close"
            await reply(scope, receive, send)
            return
        if body is not None:
            await self.app(scope, _replayed(body, receive), send)


async def _whole_body(receive: Receive) -> bytes | None:
    """The body; None where the client went away."""
    pieces = []
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        pieces.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(pieces)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Gives the body that was read already, and then what follows it."""
    unread: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return unread.pop() if unread else await receive()

    return replay


def protocol_with_deadline(seconds: float) -> type[asyncio.Protocol]:
    """Uvicorn's HTTP protocol with a limit that it lacks; for `uvicorn.Config(http=...)`.

    A connection is closed where the head of a request is not there so long after it was opened, or
    after the answer before; and where the rest of a rejected body takes longer.

    Args:
        seconds: this limit.
    """

    class HeadInTime(_HeadInTime):
        read_seconds = seconds

    return HeadInTime


class _HeadInTime(H11Protocol):
    read_seconds: float
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Let the time run while something is awaited here, and nowhere else."""
        body = self.conn.their_state is h11.SEND_BODY
        rejected = body and self.cycle is not None and self.cycle.response_complete
        if self.transport.is_closing() or not (self.conn.their_state is h11.IDLE or rejected):
            self._unwatch()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.read_seconds, self.transport.close)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
