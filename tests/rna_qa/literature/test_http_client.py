"""The HTTP client, against a server on this machine that fails on request."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from rnagpt.rna_qa.literature.sources.http_client import ATTEMPTS, HttpClient, ServiceError

ANSWER = {"hitCount": 1}
# What the server does with one request.
Reply = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Plays `replies` in their order, and the last one for ever."""

    replies: ClassVar[list[Reply]] = []
    requests: ClassVar[list[tuple[str, str, bytes]]] = []

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.requests.append((self.command, self.path, body))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        reply(self)

    def do_POST(self) -> None:
        self.do_GET()

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def say(status: int = 200, body: bytes | None = None, **headers: str) -> Reply:
    content = json.dumps(ANSWER).encode() if body is None else body
    return lambda handler: handler.answer(status, content, **headers)


def cut(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"hitCou')
    handler.close_connection = True


def hang(handler: Handler) -> None:
    time.sleep(0.5)
    handler.close_connection = True


@pytest.fixture
def address() -> Iterator[str]:
    Handler.requests.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="module")
def client_and_waits() -> Iterator[tuple[HttpClient, list[float]]]:
    """A client that does not wait, but notes how long it would; its rate is never the limit."""
    waits: list[float] = []
    with HttpClient(1e9, timeout=0.2, sleep=waits.append) as client:
        yield client, waits


@pytest.fixture
def client(client_and_waits: tuple[HttpClient, list[float]]) -> HttpClient:
    return client_and_waits[0]


@pytest.fixture
def waits(client_and_waits: tuple[HttpClient, list[float]]) -> list[float]:
    client_and_waits[1].clear()
    return client_and_waits[1]


def test_parameters_and_bodies_arrive(address: str, client: HttpClient) -> None:
    Handler.replies = [say()]
    assert client.get_json(f"{address}/search", {"query": 'a:"b c"', "size": 2}) == ANSWER
    assert client.post_json(f"{address}/update", {"ids": [1]}) == ANSWER
    (get, path, _), (post, _, body) = Handler.requests
    assert (get, post) == ("GET", "POST")
    assert path in ("/search?query=a%3A%22b+c%22&size=2", "/search?query=a%3A%22b%20c%22&size=2")
    assert json.loads(body) == {"ids": [1]}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(say(429, b"slow down"), id="429"),
        pytest.param(say(500, b"oops"), id="500"),
        pytest.param(say(503, b"<html>maintenance</html>"), id="503"),
        pytest.param(say(200, b"<!DOCTYPE html><title>Busy</title>"), id="html with status 200"),
        pytest.param(say(200, b'{"hitCount": '), id="truncated"),
        pytest.param(say(200, b'\xff\xfe"'), id="not text"),
        pytest.param(cut, id="cut"),
        pytest.param(hang, id="slow"),
    ],
)
def test_faults_that_pass_are_tried_again(
    address: str, client: HttpClient, waits: list[float], fault: Reply
) -> None:
    Handler.replies = [fault, fault, say()]
    assert client.get_json(address) == ANSWER
    assert len(Handler.requests) == 3
    assert 1 <= waits[0] <= 2 <= waits[1] <= 4


def test_a_fault_that_stays_is_told(address: str, client: HttpClient, waits: list[float]) -> None:
    Handler.replies = [say(502, b"<html>\n  <h1>Bad Gateway</h1>")]
    with pytest.raises(ServiceError) as error:
        client.get_json(f"{address}/search", {"query": "x"})
    assert len(Handler.requests) == ATTEMPTS
    assert len(waits) == ATTEMPTS - 1
    assert max(waits) <= 60
    assert error.value.status == 502
    for part in (f"{address}/search", "502", "<h1>Bad Gateway</h1>", "run again later"):
        assert part in str(error.value)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_refusals_fail_at_once(address: str, client: HttpClient, status: int) -> None:
    Handler.replies = [say(status, b"no such domain: rnacentrall")]
    with pytest.raises(ServiceError, match="no such domain") as error:
        client.get_json(address)
    assert error.value.status == status
    assert len(Handler.requests) == 1


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_obeyed(
    address: str, client: HttpClient, waits: list[float], form: str
) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=17), usegmt=True)
    value = "17" if form == "seconds" else date
    Handler.replies = [say(429, b"", Retry_After=value), say()]
    assert client.get_json(address) == ANSWER
    # A date has whole seconds.
    assert 15.5 <= waits[0] <= 18


def test_retry_after_of_hours_ends_the_run(
    address: str, client: HttpClient, waits: list[float]
) -> None:
    Handler.replies = [say(503, b"maintenance", Retry_After="7200"), say()]
    with pytest.raises(ServiceError, match="7,200 seconds"):
        client.get_json(address)
    assert not waits


def test_nobody_listens(client: HttpClient) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(ServiceError, match="the connection failed") as error:
            client.get_json(address)
    assert error.value.status is None


@pytest.mark.parametrize("address", ["ftp://127.0.0.1/x", "www.ebi.ac.uk/search"])
def test_an_address_of_another_kind_fails_at_once(
    client: HttpClient, waits: list[float], address: str
) -> None:
    with pytest.raises(ServiceError, match="give an http or https address"):
        client.get_json(address)
    assert not waits


def test_threads_share_one_rate(address: str) -> None:
    Handler.replies = [say()]
    begun = time.monotonic()
    with HttpClient(50) as client:
        threads = [threading.Thread(target=client.get_json, args=(address,)) for _ in range(11)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert time.monotonic() - begun >= 10 / 50
    assert len(Handler.requests) == 11
