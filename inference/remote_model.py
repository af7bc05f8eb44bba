"""A language model behind an address that speaks OpenAI's chat completions.

It is given the evidence as text and never the RNA itself, so any model will do: Ollama,
llama-server, vLLM, a hosted one. Needs no PyTorch.
"""

from __future__ import annotations

import json
import logging
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import httpx2
import tenacity

from rnagpt.inference.cited import Request, Words

SYSTEM = (
    "You answer questions about one RNA from the facts of its sequence and the numbered records "
    "that it matches. Say only what they say, in one to three short sentences, and copy names, "
    "accessions and numbers exactly. Cite the record after each sentence, as in [1]. If they do "
    "not tell what is asked, say so."
)
TIMEOUT = 300.0  # seconds; a long answer of a small machine
ATTEMPTS = 5
INITIAL_DELAY, MAX_DELAY = 1.0, 60.0  # seconds; twice as long each time, half of it by chance
# Of OpenAI, vLLM and llama-cpp-python; of llama.cpp's own server.
_TOO_LONG = re.compile(
    r"context_length_exceeded|maximum context length|exceed_context_size|exceeds the available "
    r"context size",
    re.IGNORECASE,
)
_log = logging.getLogger("rnagpt.remote_model")
_POLL = 0.05  # seconds between two looks at whether an answer was stopped
# Request Timeout, Conflict, Too Early, Too Many Requests; and what servers do wrong.
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_OPENAI = "https://api.openai.com/v1"
_THOUGHTS = re.compile(
    r"\A\s*(?:<(?P<name>think|thinking|thought|reasoning)>.*?(?:</(?P=name)>|\Z)"
    r"|.*?</(?:think|thinking|thought|reasoning)>)",
    re.DOTALL | re.IGNORECASE,
)


class RemoteModelError(OSError):
    """A language model behind an address does not answer; the message says why."""


class _PassingError(Exception):
    """Worth another try, after `delay` seconds where the service names them."""

    def __init__(self, problem: str, delay: float | None = None) -> None:
        super().__init__(problem)
        self.delay = delay


class RemoteModel:
    """A `LanguageModel` behind an address. Its words are checked as any model's.

    Busy and failing services (429, with or without Retry-After, 5xx), cut connections, timeouts and
    what is no answer are tried again, `ATTEMPTS` times in all.

    Args:
        url: up to `/v1`, such as http://localhost:11434/v1.
        name: of the model; None: the only one that the service has.
        api_key: None where the service asks for none.
        timeout: seconds that an answer may take.
        sleep: waits for N seconds; tests give another.

    Raises:
        ValueError: the address is none, or the service has several models and none is named.
        RemoteModelError: the service, asked for its models, does not answer.
    """

    reads_evidence = True
    reads_rnas = False

    def __init__(
        self,
        url: str,
        name: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = TIMEOUT,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not re.match(r"https?://[^/\s]", url):
            raise ValueError(
                f"{url!r} is no address of a service. Give it up to /v1, as in "
                "http://localhost:11434/v1."
            )
        self.url = url.rstrip("/")
        self._sleep = sleep
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx2.Client(headers=headers, timeout=timeout)
        self._fields: dict[str, Any] = {"temperature": 0.0}
        self._bound = "max_completion_tokens" if self.url == _OPENAI else "max_tokens"
        self.name = name or self._only_model()

    def for_conversation(self) -> RemoteModel:
        """See `LanguageModel`."""
        return self

    def begin(
        self, request: Request, max_new_tokens: int, generation: dict[str, Any]
    ) -> RemoteWriting:
        """See `LanguageModel`; `generation` must be empty."""
        _check_options(generation)
        return RemoteWriting(lambda: self.ask(request, max_new_tokens))

    def write_all(
        self,
        requests: Sequence[Request],
        batch_size: int,
        max_new_tokens: int,
        generation: dict[str, Any],
    ) -> Iterator[Words | None]:
        """See `LanguageModel`; one request after the other."""
        del batch_size
        _check_options(generation)
        for request in requests:
            yield self.ask(request, max_new_tokens)

    def ask(self, request: Request, max_new_tokens: int) -> Words:
        """The answer to one request; without words where the prompt does not fit, which is logged.

        Raises:
            RemoteModelError: the service rejects it, or does not answer.
        """
        messages = [{"role": "system", "content": SYSTEM}]
        for question, answer in request.earlier:
            messages.append({"role": "user", "content": question})
            messages.append({"role": "assistant", "content": answer})
        messages.append({"role": "user", "content": request.text})
        while True:
            body = {"model": self.name, "messages": messages, **self._fields}
            body[self._bound] = max_new_tokens
            try:
                words: Words = self._retrying(partial(self._complete, body))
                return words
            except _FieldRejectedError as error:
                if _TOO_LONG.search(str(error)):
                    _log.warning("%s. The records' own words stand in for its answer.", error)
                    return Words("", complete=False)
                self._leave_out(error)

    def _complete(self, body: dict[str, Any]) -> Words:
        return _read(self._send("POST", body))

    def _leave_out(self, error: _FieldRejectedError) -> None:
        """Do without a field that the service does not take.

        Raises:
            RemoteModelError: it is none that can be left out.
        """
        if error.names("temperature") and "temperature" in self._fields:
            del self._fields["temperature"]
        elif error.names("max_tokens") and self._bound == "max_tokens":
            self._bound = "max_completion_tokens"
        else:
            raise error

    def _only_model(self) -> str:
        listed = self._retrying(lambda: self._send("GET"))
        names = [
            str(one["id"])
            for one in listed.get("data") or []
            if isinstance(one, Mapping) and "id" in one
        ]
        if len(names) != 1:
            has = f"has {len(names)} models ({', '.join(names[:8])})" if names else "names no model"
            raise ValueError(f"{self.url} {has}: name the one to ask.")
        return names[0]

    def _retrying(self, work: Callable[[], Any]) -> Any:
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_PassingError),
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=_delay,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return attempts(work)
        except _PassingError as error:
            raise RemoteModelError(f"{self.url}: {error} (tried {ATTEMPTS} times)") from error

    def _send(self, method: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        path = "/chat/completions" if body else "/models"
        try:
            response = self._client.request(method, f"{self.url}{path}", json=body)
        except httpx2.TimeoutException as error:
            raise _PassingError("no answer in time") from error
        except httpx2.HTTPError as error:
            raise _PassingError(f"the connection failed ({error})") from error
        said = " ".join(response.text[:600].split())[:300]
        if response.status_code in _PASSING and "insufficient_quota" not in said:
            after = response.headers.get("Retry-After", "")
            delay = float(after) if after.isdigit() else None
            raise _PassingError(f"status {response.status_code} ({said})", delay)
        if response.status_code in (400, 422):
            raise _FieldRejectedError(f"{self.url} rejects the request: {said}")
        if response.status_code in (401, 403):
            raise RemoteModelError(
                f"{self.url} does not accept the API key ({said}); set RNAGPT_API_KEY or "
                "OPENAI_API_KEY to one that it does."
            )
        if response.status_code != 200:
            raise RemoteModelError(f"{self.url}: status {response.status_code} ({said})")
        try:
            value = json.loads(response.text)
        except (ValueError, RecursionError) as error:
            raise _PassingError(f"{said!r} in place of an answer") from error
        if not isinstance(value, dict):
            raise _PassingError(f"{said!r} in place of an answer")
        return value


class _FieldRejectedError(RemoteModelError):
    """A request that the service rejects, perhaps for a field that it does not know."""

    def names(self, field: str) -> bool:
        return re.search(rf"\b{field}\b", str(self)) is not None


class RemoteWriting:
    """An answer that is awaited in a thread, so that it can be stopped."""

    def __init__(self, ask: Callable[[], Words]) -> None:
        self._ask = ask
        self._words: Words | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True, name="language model")
        self._thread.start()

    def step(self) -> bool:
        """See `Writing`."""
        self._thread.join(_POLL)
        if self._error is not None:
            raise self._error
        return self._thread.is_alive()

    def words(self) -> Words:
        """See `Writing`; nothing while the answer has not come."""
        return self._words or Words("", complete=False)

    def _run(self) -> None:
        try:
            self._words = self._ask()
        except BaseException as error:
            self._error = error


def _delay(state: tenacity.RetryCallState) -> float:
    """Seconds until the next try: as the service asks, else doubling, a half by chance."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, _PassingError) and error.delay is not None:
        return min(error.delay, MAX_DELAY) + random.uniform(0, INITIAL_DELAY)
    longest: float = min(INITIAL_DELAY * 2**state.attempt_number, MAX_DELAY)
    return random.uniform(longest / 2, longest)


def _read(completion: dict[str, Any]) -> Words:
    """The words of a completion, without the thoughts before them.

    Raises:
        _PassingError: it is none.
    """
    try:
        choice = completion["choices"][0]
        content = choice["message"].get("content")
    except (LookupError, TypeError, AttributeError) as error:
        said = json.dumps(completion.get("error") or completion)[:300]
        raise _PassingError(f"{said} in place of an answer") from error
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, Mapping))
        content = "".join(part for part in parts if isinstance(part, str))
    text = content if isinstance(content, str) else ""
    return Words(_THOUGHTS.sub("", text).strip(), complete=choice.get("finish_reason") != "length")


def _check_options(generation: dict[str, Any]) -> None:
    if generation:
        raise ValueError(
            "A model behind an address takes no options of generate; got "
            f"{', '.join(sorted(generation))}."
        )


__all__ = ["SYSTEM", "RemoteModel", "RemoteModelError"]
