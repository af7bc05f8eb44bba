"""Uvicorn's server with what it lacks: a graceful stop, and a deadline for a request's head."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from types import FrameType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from rnagpt.serving.service import Service


class GracefulServer(uvicorn.Server):
    """Uvicorn's server; requests that come on open connections while it stops are rejected too.

    Args:
        config: of uvicorn, with the time that running answers may take.
        service: marked as stopping.
    """

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self.service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """On SIGTERM and SIGINT."""
        print(
            f"{signal.Signals(sig).name}: finishing what runs, for at most "
            f"{self.service.limits.shutdown_seconds} s.",
            file=sys.stderr,
            flush=True,
        )
        self.service.stopping = True
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what runs, then end the engine, whose processes would live on without it."""
        await super().shutdown(sockets)
        await self.service.engine.close()


def protocol_with_deadline(seconds: float) -> type[asyncio.Protocol]:
    """Uvicorn's HTTP protocol with a limit that it lacks; for `uvicorn.Config(http=...)`.

    A connection is closed where the head of a request is not there so long after it was opened, or,
    of a further request, after its first byte; and where the rest of a rejected body takes longer.
    How long it stays open between two requests is uvicorn's `timeout_keep_alive`.

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
        if self.transport.is_closing() or not (self._awaits_head() or rejected):
            self._unwatch()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.read_seconds, self.transport.close)

    def _awaits_head(self) -> bool:
        """Whether the head of the first request is not there, or a part of a further one's is."""
        between = self.conn.their_state is h11.IDLE
        return between and (self.cycle is None or bool(self.conn.trailing_data[0]))

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
