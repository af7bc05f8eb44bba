"""An ASGI server that finishes running answers on SIGTERM and rejects new requests."""

from __future__ import annotations

import signal
import socket
import sys
from types import FrameType

import uvicorn

from rnagpt.serving.app import Service


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
