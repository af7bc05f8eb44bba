"""A server that is killed under load: clients see an error, and are served once it is back."""

from __future__ import annotations

import concurrent.futures
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import openai
import pytest
from helpers.server_process import free_port, running
from helpers.tiny_models import make_rna
from helpers.tiny_server import ask_about, client_of, make_parts

pytestmark = pytest.mark.slow
TRNA = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"
NAME = "killed"
CLIENTS = 8
# Long enough to be killed within: tokens, and nt of an RNA that is searched for a second and more.
TOKENS, LONG = 400, 45_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("killed")
    for part in make_parts():
        part.save_pretrained(folder)
    return folder


def command(folder: Path, port: int, *options: str) -> list[str]:
    words = [sys.executable, "-m", "rnagpt.cli.main", "serve", "--model", str(folder)]
    return [*words, "--served-name", NAME, "--port", str(port), *options]


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)


class Streams:
    """What clients got of streams, as bytes from the server."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.begun = threading.Barrier(CLIENTS + 1, timeout=120)

    def read(self, number: int) -> tuple[str, Exception | None]:
        """All that came of one stream, and what it ended with."""
        body = {
            "model": NAME,
            "messages": ask_about(make_rna(20 + number, number)),
            "max_tokens": TOKENS,
            "stream": True,
        }
        text, url = "", f"{self.address}/v1/chat/completions"
        waits = True
        try:
            with httpx.stream("POST", url, json=body, timeout=60) as reply:
                for piece in reply.iter_text():
                    text += piece
                    if waits and text.count("data: ") > 2:
                        waits = False
                        self.begun.wait()
        except Exception as error:
            return text, error
        return text, None


def test_streams_that_are_cut_are_not_taken_for_whole(folder: Path, tmp_path: Path) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    streams = Streams(address)
    words = command(folder, port, "--no-reference")
    with concurrent.futures.ThreadPoolExecutor(CLIENTS + 1) as pool:
        with running(words, address, tmp_path / "log", OMP_NUM_THREADS="1") as process:
            futures = [pool.submit(streams.read, number) for number in range(CLIENTS)]
            cut = pool.submit(read_by_client, address)
            streams.begun.wait()
            kill(process)
        for text, error in [future.result(timeout=60) for future in futures]:
            assert isinstance(error, httpx.TransportError), error
            assert "[DONE]" not in text
            events = [json.loads(line[6:]) for line in text.splitlines() if line[6:]][:-1]
            assert not any(event["choices"][0]["finish_reason"] for event in events)
        pieces, failure = cut.result(timeout=60)
        assert isinstance(failure, openai.APIConnectionError | httpx.TransportError), failure
        assert not any(piece.choices[0].finish_reason for piece in pieces)


def read_by_client(
    address: str,
) -> tuple[list[openai.types.chat.ChatCompletionChunk], Exception | None]:
    """As a program reads it, with OpenAI's client."""
    pieces: list[openai.types.chat.ChatCompletionChunk] = []
    try:
        stream = client_of(address).chat.completions.create(
            model=NAME,
            messages=ask_about(make_rna(77)),
            max_tokens=TOKENS,
            stream=True,
        )
        pieces += stream
    except Exception as error:
        return pieces, error
    return pieces, None


def test_clients_that_wait_see_an_error_and_are_served_after_a_restart(
    folder: Path, tmp_path: Path
) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    words = command(folder, port)
    log = tmp_path / "log"

    def ask(number: int) -> str:
        rna = make_rna(LONG, number) + TRNA
        reply = client_of(address).chat.completions.create(model=NAME, messages=ask_about(rna))
        return reply.choices[0].message.content or ""

    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        with running(words, address, log, OMP_NUM_THREADS="1") as process:
            futures = [pool.submit(ask, number) for number in range(CLIENTS)]
            await_searches(address)
            kill(process)
            killed = time.monotonic()
        for future in futures:
            with pytest.raises(openai.APIConnectionError):
                future.result(timeout=30)
        assert time.monotonic() - killed < 30
        with pytest.raises(openai.APIConnectionError):
            ask(0)
        # On the same port, though connections of the one before have not all timed out.
        with running(words, address, log, OMP_NUM_THREADS="1"):
            answers = list(pool.map(ask, range(CLIENTS)))
    assert all("tRNA [" in answer for answer in answers), answers


def await_searches(address: str) -> None:
    """Until the first search is under way and the others wait: none of them has been counted."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        lines = httpx.get(f"{address}/metrics").text.splitlines()
        values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        if float(values["rnagpt_rnas_total"]) == CLIENTS:
            assert float(values["rnagpt_searches_total"]) < CLIENTS
            return
        time.sleep(0.02)
    raise AssertionError("the requests did not arrive")


def test_a_port_in_use_is_told(folder: Path) -> None:
    """Two servers on one port would share its clients."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        words = command(folder, taken.getsockname()[1], "--no-reference")
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2
    assert "cannot be listened on" in done.stderr
