"""A language model behind a service that speaks OpenAI's chat completions."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import httpx2
import openai
import tenacity

from rnagpt.rna_qa.literature.http_client import read_retry_after
from rnagpt.rna_qa.literature.language_model import (
    BudgetSpent,
    Refused,
    Request,
    RequestRejected,
    RunStopped,
    ServiceDown,
    TooLong,
    UnknownModel,
    Unparsable,
    WrongKey,
)
from rnagpt.rna_qa.literature.request_cache import Answer, RequestCache, request_key
from rnagpt.rna_qa.literature.spending import Spending

TIMEOUT = 600.0  # seconds; a long answer of a small machine
ATTEMPTS = 8
FIRST_WAIT = 1.0  # seconds; twice as long each time, half of it by chance
LONGEST_WAIT = 60.0
LONGEST_RETRY_AFTER = 600.0  # seconds; who asks for more is asked again in another run
WORDS_OF_BODY = 300  # characters of an answer that an error shows
CHARACTERS_A_TOKEN = 4  # of English, about
TOKENS_OF_TEMPLATE = 64  # more than a chat template adds to two messages
OPENAI = "https://api.openai.com/v1"
# The same answer to the same request, as far as the service can.
PARAMETERS = {"temperature": 0.0, "seed": 0}
# Request Timeout, Conflict, Too Early, Too Many Requests.
STATUSES_THAT_PASS = frozenset({408, 409, 425, 429})
# OpenAI, vLLM, llama.cpp.
_TOO_LONG = re.compile(
    r"context.length|maximum context|context.size|longer than the maximum", re.IGNORECASE
)
_FILTERED = frozenset({"content_filter", "content_policy_violation", "invalid_prompt"})
# Models that are forced into a grammar and have nothing to say go on with spaces or line breaks.
_WHITESPACE_LOOP = re.compile(r"\s{40,}\Z")

Result = TypeVar("Result")


class PassingFaultError(Exception):
    """Worth another try.

    `retry_after` is what the service asks to wait, in seconds; `billed` says that the request may
    have been answered, and paid, and its answer lost.
    """

    def __init__(
        self, problem: str, retry_after: float | None = None, *, billed: bool = False
    ) -> None:
        super().__init__(problem)
        self.retry_after = retry_after
        self.billed = billed


class OpenAiModel:
    """Asks OpenAI's service, or one that speaks like it (vLLM, llama.cpp, Ollama).

    Every answer is kept before it is used, and no request is sent that was answered before. Busy
    services (429, with or without Retry-After), failures of theirs (5xx), answers in another form,
    cut connections and timeouts are tried again, `attempts` times in all.

    Args:
        name: The model's, as the service knows it.
        base_url: The service's address, up to ``/v1``.
        api_key: None where the service asks for none.
        count_tokens: The tokens of a text; a quarter of its characters where it is not given.
        parameters: Sent along, over PARAMETERS; null leaves one out, for models that take no
            `temperature` or no `seed`.
        timeout: Seconds that an answer may take.
        sleep: Waits for so many seconds; tests give another.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        api_key: str | None,
        cache: RequestCache,
        spending: Spending,
        *,
        count_tokens: Callable[[str], int] | None = None,
        parameters: Mapping[str, Any] | None = None,
        timeout: float = TIMEOUT,
        attempts: int = ATTEMPTS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self.base_url = base_url.rstrip("/")
        self.cache = cache
        self.spending = spending
        self._api_key = api_key
        self._count_tokens = count_tokens
        sent_along = {**PARAMETERS, **(parameters or {})}
        self._parameters = {name: value for name, value in sent_along.items() if value is not None}
        # OpenAI's newer models know the new name alone, and other services often the old one.
        is_openai = self.base_url == OPENAI
        self._bound = "max_completion_tokens" if is_openai else "max_tokens"
        self._attempts = attempts
        self._sleep = sleep
        self.client = openai.OpenAI(
            base_url=self.base_url,
            api_key=api_key or "none",
            timeout=timeout,
            max_retries=0,  # its own retries would be in no ledger
        )

    def close(self) -> None:
        self.client.close()

    def count_tokens(self, text: str) -> int:
        """The tokens of a text, about: by the tokenizer that was given, else by its length."""
        if self._count_tokens:
            return self._count_tokens(text)
        return -(-len(text) // CHARACTERS_A_TOKEN)

    def ask(self, request: Request) -> Any:
        """The answer, parsed, in the form of the request's schema.

        Raises:
            RequestFailed: no answer to this request; the run goes on with others.
            RunStopped: no answer to any request; the run stops, and a later one goes on.
        """
        body = self.body(request)
        key = self.key(request, body)
        return self.read(key, self.cache.once(key, lambda: self._send(key, body)), request)

    def body(self, request: Request) -> dict[str, Any]:
        """The request as it is sent."""
        return {
            "model": self.name,
            "messages": [
                {"role": "system", "content": request.system},
                {"role": "user", "content": request.user},
            ],
            self._bound: request.max_tokens,
            "response_format": {
                "type": "json_schema",
                "json_schema": {
                    "name": request.schema_name,
                    "schema": dict(request.schema),
                    "strict": True,
                },
            },
            **self._parameters,
        }

    def key(self, request: Request, body: Mapping[str, Any]) -> str:
        """The name of the request in the cache."""
        return request_key(self.base_url, body, request.prompt_version)

    def read(self, key: str, answer: Answer, request: Request) -> Any:
        """An answer's JSON; what cannot be parsed goes to quarantine."""
        try:
            return read_answer(answer, request.schema)
        except Unparsable as error:
            self.cache.quarantine(key, str(error))
            raise

    def call(self, ask_service: Callable[[], Result]) -> Result:
        """Ask the service for anything, again where a fault passes.

        Raises:
            RunStopped: if it refuses, or if faults do not pass.
            TooLong, Refused: if it turns this input away.
        """
        return self._retry(lambda: self.call_once(ask_service))

    def _retry(self, ask_service: Callable[[], Result]) -> Result:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(PassingFaultError),
            stop=tenacity.stop_after_attempt(self._attempts),
            wait=_wait,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(ask_service)
        except PassingFaultError as fault:
            raise ServiceDown(
                f"{self.base_url}: {fault} (tried {self._attempts} times); run again later to go "
                "on from here"
            ) from fault

    def call_once(self, ask_service: Callable[[], Result]) -> Result:
        """`call` without another try: raises PassingFaultError."""
        try:
            return ask_service()
        except openai.APIStatusError as error:
            retry_after = read_retry_after(error.response.headers.get("Retry-After"))
            message = _message_of(error)
            raise self.explain(error.status_code, error.code or "", message, retry_after) from error
        except (json.JSONDecodeError, openai.APIResponseValidationError) as error:
            raise PassingFaultError(f"not the JSON of an answer ({error})", billed=True) from error
        except openai.APITimeoutError as error:
            raise PassingFaultError("no answer in time", billed=True) from error
        except (openai.APIConnectionError, httpx2.HTTPError) as error:
            cause = error if isinstance(error, httpx2.HTTPError) else error.__cause__
            unsent = isinstance(cause, (httpx2.ConnectError, httpx2.ConnectTimeout))
            words = f"the connection failed ({cause or error})"
            raise PassingFaultError(words, billed=not unsent) from error

    def bounds(self, body: Mapping[str, Any], sent: str) -> tuple[int, int]:
        """The most tokens that a request can read and write."""
        # A token is one byte at least, of what is sent or of the template around it.
        return len(sent.encode()) + TOKENS_OF_TEMPLATE, body[self._bound]

    def _send(self, key: str, body: dict[str, Any]) -> Answer:
        sent = json.dumps(body, ensure_ascii=False)
        return self._retry(lambda: self._send_once(key, body, sent))

    def _send_once(self, key: str, body: dict[str, Any], sent: str) -> Answer:
        self.spending.await_turn(self.count_tokens(sent) + body[self._bound])
        attempt = self.spending.begin(key, *self.bounds(body, sent))
        try:
            answer = self.call_once(lambda: self._complete(key, body, sent))
        except (TooLong, Refused) as error:
            answer = turned_away(error)
        except PassingFaultError as fault:
            self.spending.fail(attempt, str(fault), billed=fault.billed)
            if fault.retry_after is not None:
                self.spending.pause(fault.retry_after)
            raise
        except BaseException as error:
            self.spending.fail(attempt, repr(error), billed=not isinstance(error, RunStopped))
            raise
        self.spending.settle(attempt, answer)
        return answer

    def _complete(self, key: str, body: dict[str, Any], sent: str) -> Answer:
        # The package takes no fields that only other services know, but in `extra_body`.
        rest = {name: value for name, value in body.items() if name not in ("model", "messages")}
        response = self.client.chat.completions.with_raw_response.create(
            model=body["model"],
            messages=body["messages"],
            extra_body=rest,
            extra_headers={"X-Client-Request-Id": key},
        )
        try:
            return self.count_usage(answer_of(json.loads(response.text)), sent)
        except (ValueError, LookupError, TypeError) as error:
            said = _first_words(response.text)
            raise PassingFaultError(f"{said!r} in place of a completion", billed=True) from error

    def count_usage(self, answer: Answer, sent: str) -> Answer:
        """The answer, with its tokens counted here where the service does not say them."""
        if answer.tokens_in or answer.tokens_out:
            return answer
        tokens_in, tokens_out = self.count_tokens(sent), self.count_tokens(answer.text)
        return replace(answer, tokens_in=tokens_in, tokens_out=tokens_out)

    def explain(
        self, status: int, code: str, message: str, retry_after: float | None = None
    ) -> Exception:
        """What a status other than 200 means, with the code and the words of its body."""
        said = f"status {status}, {self._hide_key(message)!r}"
        if code == "insufficient_quota":
            return BudgetSpent(f"{self.base_url}: the account has no credit left ({said})")
        if status in (401, 403):
            return WrongKey(
                f"{self.base_url} does not accept the API key ({said}); set OPENAI_API_KEY to one "
                f"that may use {self.name}"
            )
        if status in STATUSES_THAT_PASS or status >= 500:
            return self._explain_passing(said, retry_after)
        if status == 404 and (code == "model_not_found" or "model" in message.lower()):
            return UnknownModel(
                f"{self.base_url} has no model {self.name!r} ({said}); see its /models for names"
            )
        if status in (400, 413, 422) and (
            code == "context_length_exceeded" or _TOO_LONG.search(message)
        ):
            return TooLong(said)
        if status == 400 and code in _FILTERED:
            return Refused(said)
        return RequestRejected(
            f"{self.base_url} does not take the request ({said}); check --base-url, and that the "
            "service knows structured outputs"
        )

    def _explain_passing(self, said: str, retry_after: float | None) -> Exception:
        if retry_after is not None and retry_after > LONGEST_RETRY_AFTER:
            return ServiceDown(
                f"{self.base_url}: {said}; it asks to wait for {retry_after:,.0f} seconds: run "
                "again then to go on from here"
            )
        return PassingFaultError(said, retry_after)

    def _hide_key(self, text: str) -> str:
        return text.replace(self._api_key, "(key)") if self._api_key else text


def answer_of(completion: Mapping[str, Any]) -> Answer:
    """What a chat completion says.

    Raises:
        LookupError, TypeError: if it has not the form of one.
    """
    choice = completion["choices"][0]
    message = choice["message"]
    usage = completion.get("usage") or {}
    return Answer(
        text=message.get("content") or "",
        finish_reason=choice.get("finish_reason") or "stop",
        refusal=message.get("refusal"),
        tokens_in=int(usage.get("prompt_tokens") or 0),
        tokens_out=int(usage.get("completion_tokens") or 0),
    )


def turned_away(error: TooLong | Refused) -> Answer:
    """What is kept of a request that the service did not even read: free, and for good."""
    return Answer(str(error), "input_too_long" if isinstance(error, TooLong) else "content_filter")


def read_answer(answer: Answer, schema: Mapping[str, Any]) -> Any:
    """The JSON of an answer.

    Raises:
        Refused: if the model, or a filter, declined.
        TooLong: if the input did not fit, or the answer ends before its JSON does.
        Unparsable: if it is a loop of white space, not JSON, or not of the schema.
    """
    if answer.refusal or answer.finish_reason == "content_filter":
        raise Refused(answer.refusal or answer.text or "the service's filter stopped the answer")
    if answer.finish_reason == "input_too_long":
        raise TooLong(answer.text)
    if _WHITESPACE_LOOP.search(answer.text):
        raise Unparsable("a loop of white space")
    if answer.finish_reason == "length":
        raise TooLong(f"the answer was cut after {answer.tokens_out} tokens")
    try:
        value = json.loads(answer.text)
    except ValueError as error:
        raise Unparsable(f"not JSON: {error}") from error
    if problem := find_problem(value, schema):
        raise Unparsable(f"not of the schema: {problem}")
    return value


_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def find_problem(value: Any, schema: Mapping[str, Any], place: str = "the answer") -> str | None:
    """Where a value is not of a JSON schema, None where it is.

    Of JSON schema it knows what structured outputs are asked with here: types, `properties` (all of
    them required), `items`, `enum`.
    """
    types = schema.get("type", list(_TYPES))
    if not any(_is_of(value, name) for name in ([types] if isinstance(types, str) else types)):
        return f"{place} is {_first_words(json.dumps(value))}, expected {types}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{place} is {value!r}, expected one of {schema['enum']}"
    if isinstance(value, dict) and "properties" in schema:
        properties = schema["properties"]
        if different := sorted(value.keys() ^ properties.keys()):
            return f"{place} lacks or should not have {', '.join(different)}"
        parts = [(value[name], properties[name], f"{place}.{name}") for name in properties]
    elif isinstance(value, list) and "items" in schema:
        parts = [(item, schema["items"], f"{place}[{i}]") for i, item in enumerate(value)]
    else:
        return None
    return next(filter(None, (find_problem(*part) for part in parts)), None)


def _is_of(value: Any, name: str) -> bool:
    # To Python, True is an integer.
    return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def _message_of(error: openai.APIStatusError) -> str:
    """What the service says of an error: its message, else the first words of its page."""
    body = error.body
    if isinstance(body, Mapping):
        inner = body.get("error", body)
        message = inner.get("message") if isinstance(inner, Mapping) else inner
        if message:
            return _first_words(str(message))
    return _first_words(error.response.text)


def _first_words(text: str) -> str:
    return " ".join(text[: 2 * WORDS_OF_BODY].split())[:WORDS_OF_BODY]


def _wait(state: tenacity.RetryCallState) -> float:
    """Seconds until the next try: as the service asks, else doubling, with a half by chance."""
    fault = state.outcome.exception() if state.outcome else None
    if isinstance(fault, PassingFaultError) and fault.retry_after is not None:
        # All threads were told the same time: not all at once.
        return fault.retry_after + random.uniform(0, FIRST_WAIT)
    longest: float = min(FIRST_WAIT * 2**state.attempt_number, LONGEST_WAIT)
    return random.uniform(longest / 2, longest)


__all__ = [
    "OpenAiModel",
    "PassingFaultError",
    "answer_of",
    "find_problem",
    "read_answer",
    "turned_away",
]
