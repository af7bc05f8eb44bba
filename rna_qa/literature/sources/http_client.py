"""HTTP client for JSON services, with a rate limit and retries."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from xml.etree import ElementTree

import httpx2

from rnagpt.rna_qa.literature.answer_text import first_words
from rnagpt.rna_qa.literature.retry import (
    MAX_RETRY_AFTER,
    STATUSES_THAT_PASS,
    RateLimit,
    TransientError,
    read_retry_after,
    retrying,
)

# Europe PMC takes 10, and 500 a minute; EBI Search and RNAcentral take more.
REQUESTS_PER_SECOND = 8.0
TIMEOUT = 60.0  # seconds to connect, and without a byte of the answer
ATTEMPTS = 7

# Reads an answer of status 200, which its second argument describes in an error.
_Reader = Callable[[httpx2.Response, str], Any]


class ServiceError(OSError):
    """A service did not answer as it should: address, status and first words of its answer.

    `status` is None where no answer came.
    """

    def __init__(self, address: str, problem: str, advice: str, status: int | None = None) -> None:
        super().__init__(f"{address}: {problem}; {advice}")
        self.address = address
        self.status = status


class HttpClient:
    """A client that threads may share: one rate for all of them.

    Busy services (429, with or without Retry-After), failures of theirs (5xx), answers that are not
    JSON, cut connections and timeouts are tried again, `attempts` times in all, after waits that
    double and are drawn by chance. Other rejections (4xx) fail at once.

    Args:
        requests_per_second: Requests are begun this often at most; None: `REQUESTS_PER_SECOND`.
        timeout: Seconds to connect, and without a byte of the answer.
        attempts: How often a request is sent at most.
        sleep: Waits for N seconds; tests give another.
    """

    def __init__(
        self,
        requests_per_second: float | None = None,
        *,
        timeout: float = TIMEOUT,
        attempts: int = ATTEMPTS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if requests_per_second is None:
            requests_per_second = REQUESTS_PER_SECOND
        if requests_per_second <= 0:
            raise ValueError(f"requests_per_second is {requests_per_second}; give more than 0")
        self._rate = RateLimit(1 / requests_per_second, sleep=sleep)
        self._attempts = attempts
        self._sleep = sleep
        headers = {"Accept": "application/json", "User-Agent": "rna-qa"}
        self._client = httpx2.Client(timeout=timeout, headers=headers, follow_redirects=True)

    def get_json(self, url: str, params: Mapping[str, str | int] | None = None) -> Any:
        """The JSON that an address answers with.

        Raises:
            ServiceError: if it rejects, or if faults do not pass.
        """
        return self._ask("GET", url, _read_json, params=dict(params or {}))

    def post_json(self, url: str, body: Any) -> Any:
        """The JSON that an address answers with when it is sent `body` as JSON.

        Raises:
            ServiceError: if it rejects, or if faults do not pass.
        """
        return self._ask("POST", url, _read_json, json=body)

    def get_xml(self, url: str) -> bytes | None:
        """The XML that an address answers with; None where it has none (404).

        Raises:
            ServiceError: if it rejects, or if faults do not pass.
        """
        headers = {"Accept": "application/xml, text/xml"}
        try:
            found: bytes = self._ask("GET", url, _read_xml, headers=headers)
        except ServiceError as error:
            if error.status == 404:
                return None
            raise
        return found

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> HttpClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, method: str, url: str, read: _Reader, **content: Any) -> Any:
        try:
            ask = retrying(self._attempts, self._sleep)
            return ask(self._ask_once, method, url, read, **content)
        except TransientError as fault:
            raise ServiceError(
                url,
                f"{fault} (tried {self._attempts} times)",
                "run again later to resume, or name another address of the service",
                fault.status,
            ) from fault

    def _ask_once(self, method: str, url: str, read: _Reader, **content: Any) -> Any:
        self._rate.acquire()
        try:
            response = self._client.request(method, url, **content)
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
            raise ServiceError(url, str(error), "give an http or https address") from error
        except httpx2.TimeoutException as error:
            raise TransientError(f"no answer in time ({type(error).__name__})") from error
        except httpx2.RequestError as error:
            message = str(error) or type(error).__name__
            raise TransientError(f"the connection failed ({message})") from error
        problem = f"status {response.status_code}, {first_words(response.text)!r}"
        _check_status(url, response, problem)
        return read(response, problem)


def _check_status(url: str, response: httpx2.Response, problem: str) -> None:
    status = response.status_code
    if status >= 500 or status in STATUSES_THAT_PASS:
        retry_after = read_retry_after(response.headers.get("Retry-After"))
        if retry_after is not None and retry_after > MAX_RETRY_AFTER:
            advice = f"it asks to wait for {retry_after:,.0f} seconds: run again then to resume"
            raise ServiceError(url, problem, advice, status)
        raise TransientError(problem, retry_after, status=status)
    if status != 200:
        raise ServiceError(url, problem, "check the address and the query", status)


def _read_xml(response: httpx2.Response, problem: str) -> bytes:
    content: bytes = response.content
    fault = TransientError(f"{problem} in place of XML", status=response.status_code)
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise fault from error
    if root.tag.lower().endswith("html"):  # a gateway's page may be well formed
        raise fault
    return content


def _read_json(response: httpx2.Response, problem: str) -> Any:
    try:
        return _whole_characters(json.loads(response.content), response.content)
    except (ValueError, RecursionError) as error:
        # Gateways put up pages of their own with status 200.
        raise TransientError(f"{problem} in place of JSON", status=response.status_code) from error


def _whole_characters(answer: Any, content: bytes) -> Any:
    """The answer with U+FFFD for halves of characters: no file can hold them."""
    if b"\\ud" not in content.lower():
        return answer
    text = json.dumps(answer, ensure_ascii=False).encode("utf-16", "surrogatepass")
    return json.loads(text.decode("utf-16", "replace"))


__all__ = ["HttpClient", "ServiceError"]
