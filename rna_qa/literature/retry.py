"""Retries and rate limits of requests to services, for sources and language models alike."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import tenacity

INITIAL_DELAY = 1.0  # seconds; twice as long each time, half of it by chance
MAX_WAIT = 60.0
MAX_RETRY_AFTER = 600.0  # seconds; a service that asks for more is tried again in another run

# Request Timeout, Too Early, Too Many Requests.
STATUSES_THAT_PASS = frozenset({408, 425, 429})


class TransientError(Exception):
    """Worth another try.

    `retry_after` is what the service asks to wait, in seconds; `status` that of HTTP, None where no
    answer came; `billed` says that the request may have been answered, and paid, and its answer
    lost.
    """

    def __init__(
        self,
        problem: str,
        retry_after: float | None = None,
        *,
        status: int | None = None,
        billed: bool = False,
    ) -> None:
        super().__init__(problem)
        self.retry_after = retry_after
        self.status = status
        self.billed = billed


def retrying(
    attempts: int,
    sleep: Callable[[float], None],
    may_pass: Callable[[BaseException], bool] = lambda error: isinstance(error, TransientError),
    before_sleep: Callable[[], None] = lambda: None,
) -> tenacity.Retrying:
    """A caller that tries again while `may_pass` holds of the error, which it raises in the end.

    Args:
        attempts: Tries in all.
        before_sleep: Called between a failed try and the wait.
    """
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(may_pass),
        stop=tenacity.stop_after_attempt(attempts),
        wait=_wait,
        before_sleep=lambda _: before_sleep(),
        sleep=sleep,
        reraise=True,
    )


def _wait(state: tenacity.RetryCallState) -> float:
    """Seconds until the next try: as the service asks, else doubling, with a half by chance."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, TransientError) and error.retry_after is not None:
        # All clients wait for the same time: spread them.
        return error.retry_after + random.uniform(0, INITIAL_DELAY)
    longest: float = min(INITIAL_DELAY * 2**state.attempt_number, MAX_WAIT)
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


class RateLimit:
    """A rate limit that threads share; requests are spaced evenly.

    Args:
        seconds_per_request: Between the beginnings of two requests, at least.
        seconds_per_token: Further seconds per token of a request, for services that count tokens.
    """

    def __init__(
        self,
        seconds_per_request: float = 0.0,
        seconds_per_token: float = 0.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._seconds_per_request = seconds_per_request
        self._seconds_per_token = seconds_per_token
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next_request = self._next_token = self._paused_until = float("-inf")

    def acquire(self, tokens: int = 0) -> None:
        """Wait until a request of N tokens may be sent."""
        with self._lock:
            now = self._clock()
            start = max(now, self._next_request, self._next_token, self._paused_until)
            self._next_request = start + self._seconds_per_request
            self._next_token = start + self._seconds_per_token * tokens
        while (wait := max(start, self._paused_until) - self._clock()) > 0:
            self._sleep(wait)

    def pause(self, seconds: float) -> None:
        """Hold all threads for N seconds: the service asked for it."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock() + seconds)


__all__ = [
    "MAX_RETRY_AFTER",
    "STATUSES_THAT_PASS",
    "RateLimit",
    "TransientError",
    "read_retry_after",
    "retrying",
]
