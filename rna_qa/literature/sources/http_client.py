"""Ask public services for JSON: politely, and again where a fault passes."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import tenacity

TIMEOUT = 60.0  # seconds to connect, and without a byte of the answer
ATTEMPTS = 7
FIRST_WAIT = 1.0  # seconds; twice as long each time, with as much again by chance
LONGEST_WAIT = 60.0
LONGEST_RETRY_AFTER = 600.0  # seconds; who asks for more is asked again in another run
WORDS_OF_BODY = 200  # characters of an answer that an error shows
# Request Timeout, Too Early, Too Many Requests.
STATUSES_THAT_PASS = frozenset({408, 425, 429})


class ServiceError(OSError):
    """A service did not answer as it should: its address, its status and the first words it said.

    `status` is None where no answer came.
    """

    def __init__(self, address: str, problem: str, advice: str, status: int | None = None) -> None:
        super().__init__(f"{address}: {problem}; {advice}")
        self.address = address
        self.status = status


class _PassingFaultError(Exception):
    """Worth another try; `retry_after` is what the service asks to wait, in seconds."""

    def __init__(
        self, problem: str, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(problem)
        self.status = status
        self.retry_after = retry_after


class HttpClient:
    """A client that threads may share: one rate for all of them.

    Busy services (429, with or without Retry-After), failures of theirs (5xx), answers that are not
    JSON, cut connections and timeouts are tried again, `attempts` times in all, after waits that
    double and are drawn by chance. Other refusals (4xx) fail at once.

    Args:
        requests_per_second: Requests are begun this often at most.
        timeout: Seconds to connect, and without a byte of the answer.
        attempts: How often a request is sent at most.
        sleep: Waits for so many seconds; tests give another.
    """

    def __init__(
        self,
        requests_per_second: float = 10.0,
        *,
        timeout: float = TIMEOUT,
        attempts: int = ATTEMPTS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if requests_per_second <= 0:
            raise ValueError(f"requests_per_second is {requests_per_second}; give more than 0")
        self._interval = 1 / requests_per_second
        self._attempts = attempts
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next_start = 0.0
        headers = {"Accept": "application/json", "User-Agent": "rna-qa"}
        self._client = httpx2.Client(timeout=timeout, headers=headers, follow_redirects=True)

    def get_json(self, url: str, params: Mapping[str, str | int] | None = None) -> Any:
        """The JSON that an address answers with.

        Raises:
            ServiceError: if it refuses, or if faults do not pass.
        """
        return self._ask("GET", url, params=dict(params or {}))

    def post_json(self, url: str, body: Any) -> Any:
        """The JSON that an address answers with when it is sent `body` as JSON.

        Raises:
            ServiceError: if it refuses, or if faults do not pass.
        """
        return self._ask("POST", url, json=body)

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> HttpClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, method: str, url: str, **content: Any) -> Any:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_PassingFaultError),
            stop=tenacity.stop_after_attempt(self._attempts),
            wait=_wait,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(self._ask_once, method, url, **content)
        except _PassingFaultError as fault:
            raise ServiceError(
                url,
                f"{fault} (tried {self._attempts} times)",
                "run again later to go on from here, or name another address of the service",
                fault.status,
            ) from fault

    def _ask_once(self, method: str, url: str, **content: Any) -> Any:
        self._await_turn()
        try:
            response = self._client.request(method, url, **content)
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
            raise ServiceError(url, str(error), "give an http or https address") from error
        except httpx2.TimeoutException as error:
            raise _PassingFaultError(f"no answer in time ({type(error).__name__})") from error
        except httpx2.RequestError as error:
            message = str(error) or type(error).__name__
            raise _PassingFaultError(f"the connection failed ({message})") from error
        return _read_json(url, response)

    def _await_turn(self) -> None:
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next_start)
            self._next_start = start + self._interval
        if start > now:
            self._sleep(start - now)


def _read_json(url: str, response: httpx2.Response) -> Any:
    status = response.status_code
    words = " ".join(response.text[: 2 * WORDS_OF_BODY].split())[:WORDS_OF_BODY]
    said = f"status {status}, {words!r}"
    if status >= 500 or status in STATUSES_THAT_PASS:
        retry_after = read_retry_after(response.headers.get("Retry-After"))
        if retry_after is not None and retry_after > LONGEST_RETRY_AFTER:
            advice = f"it asks to wait for {retry_after:,.0f} seconds: run again then to go on"
            raise ServiceError(url, said, advice, status)
        raise _PassingFaultError(said, status, retry_after)
    if status != 200:
        raise ServiceError(url, said, "check the address and the query", status)
    try:
        return _whole_characters(json.loads(response.content), response.content)
    except (ValueError, RecursionError) as error:
        # Gateways put up pages of their own with status 200.
        raise _PassingFaultError(f"{said} in place of JSON", status) from error


def _whole_characters(answer: Any, content: bytes) -> Any:
    """The answer with U+FFFD for halves of characters: no file can hold them."""
    if b"\\ud" not in content.lower():
        return answer
    text = json.dumps(answer, ensure_ascii=False).encode("utf-16", "surrogatepass")
    return json.loads(text.decode("utf-16", "replace"))


def _wait(state: tenacity.RetryCallState) -> float:
    """Seconds until the next try: as the service asks, else doubling, with a half by chance."""
    fault = state.outcome.exception() if state.outcome else None
    longest: float = min(FIRST_WAIT * 2**state.attempt_number, LONGEST_WAIT)
    if isinstance(fault, _PassingFaultError) and fault.retry_after is not None:
        # All clients were told the same time: not all at once.
        return fault.retry_after + random.uniform(0, FIRST_WAIT)
    return random.uniform(longest / 2, longest)


def read_retry_after(retry_after: str | None) -> float | None:
    """Retry-After in seconds, given as such or as a date (RFC 9110, 10.2.3)."""
    if retry_after is None:
        return None
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        date = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())


__all__ = ["HttpClient", "ServiceError", "read_retry_after"]
