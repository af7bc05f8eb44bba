"""The API key, checked before anything else of a request is read."""

from __future__ import annotations

import hmac
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

# For load balancers, Prometheus and people; they tell nothing of a conversation.
_OPEN = frozenset({"/health", "/metrics", "/docs", "/redoc", "/openapi.json"})


class ApiKey:
    """ASGI middleware that lets nobody in without the key; for everything but health and the like.

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
    OpenAI's refuses to send it.

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
