"""ASGI middleware in front of the routes: the key, a body's size, and the time that it takes."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# For load balancers, Prometheus and people; they tell nothing of a conversation.
_OPEN = frozenset({"/health", "/metrics", "/docs", "/redoc", "/openapi.json"})


class ApiKey:
    """Lets nobody in without the key, before anything else of a request is read.

    Health and the like are open.

    Args:
        app: what it protects.
        key: as `check_api_key` lets it pass.
        reject: makes the reply to those without it.
    """

    def __init__(self, app: ASGIApp, key: str, reject: Callable[[], Response]) -> None:
        self.app, self.reject = app, reject
        self._key = key.encode("ascii")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _OPEN or self._is_given(scope):
            await self.app(scope, receive, send)
        else:
            await self.reject()(scope, receive, send)

    def _is_given(self, scope: Scope) -> bool:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, key = given.partition(b" ")
        return hmac.compare_digest(key.strip(), self._key) and scheme.lower() == b"bearer"


def check_api_key(key: str) -> str:
    """The key, if clients can give it.

    A header carries ASCII for certain; what else it carries each client encodes in its own way, and
    OpenAI's rejects it.

    Raises:
        ValueError: it is empty, or has other characters than printable ASCII without spaces.
    """
    if not key:
        raise ValueError(
            "The API key is empty, so that no client would need one. Give a key, or none at "
            "all: leave out --api-key and unset RNAGPT_API_KEY."
        )
    for position, letter in enumerate(key, start=1):
        if not "!" <= letter <= "~":
            raise ValueError(
                f"The API key has U+{ord(letter):04X} at position {position}, which clients cannot "
                "send. Use letters, digits and signs of ASCII, without spaces or line ends."
            )
    return key


class BodySizeLimit:
    """Answers 413 to a body that is too large, 411 to one of unknown size, without reading it.

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
        self.app, self.max_bytes, self.reject = app, max_bytes, reject

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer: ASGIApp = self._rejection(scope) or self.app
        await answer(scope, receive, send)

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


class ReadBodyInTime:
    """Reads a body whole, and answers 408 to one that does not come in time.

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
