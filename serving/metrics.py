"""Prometheus metrics of the server."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rnagpt.serving.engines.base import Engine

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """Counts of one server.

    Args:
        engine: says how many answers run and wait.
    """

    def __init__(self, engine: Engine) -> None:
        self._registry = CollectorRegistry()

        self.requests = Counter(
            "rnagpt_requests", "Requests, by status.", ["status"], registry=self._registry
        )
        self.prompt_tokens = Counter(
            "rnagpt_prompt_tokens", "Tokens read, RNAs included.", registry=self._registry
        )
        self.completion_tokens = Counter(
            "rnagpt_completion_tokens", "Tokens written.", registry=self._registry
        )
        self.rnas = Counter("rnagpt_rnas", "RNAs given.", registry=self._registry)
        self.searches = Counter(
            "rnagpt_searches", "RNAs searched in the reference.", registry=self._registry
        )
        self.first_token_seconds = Histogram(
            "rnagpt_first_token_seconds",
            "From the request to the first token of its answer.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.request_seconds = Histogram(
            "rnagpt_request_seconds",
            "From the request to the end of its answers.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        running = Gauge("rnagpt_running_answers", "Being written.", registry=self._registry)
        waiting = Gauge("rnagpt_waiting_answers", "Not begun.", registry=self._registry)
        running.set_function(lambda: engine.running)
        waiting.set_function(lambda: engine.waiting)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self._registry)


def _is_counted(path: str) -> bool:
    return path.startswith("/v1/") or path == "/annotate"


class CountRequests:
    """ASGI middleware that counts the replies of the API, by status."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _is_counted(scope["path"]):
            await self.app(scope, receive, send)
            return

        async def count(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.metrics.requests.labels(status=message["status"]).inc()
            await send(message)

        await self.app(scope, receive, count)
