"""Servers in processes of their own, as people start them."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx


def free_port() -> int:
    """A port that nothing listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running(
    command: Sequence[str], address: str, log: Path, seconds: float = 300, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; yields its process once `/health` is well.

    Args:
        command: that starts it.
        address: where it will be.
        log: file for all that it prints.
        seconds: that it may take until it answers.
        **environment: further variables.

    Raises:
        RuntimeError: it ended, or does not answer in time; with the end of the log.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=output, stderr=output
        )
    try:
        _await_health(process, address, log, seconds)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_health(
    process: subprocess.Popen[bytes], address: str, log: Path, seconds: float
) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f"{address}/health", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"The server does not answer.\n{log.read_text(errors='replace')[-4000:]}")


__all__ = ["free_port", "running"]
