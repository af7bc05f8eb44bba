"""A language model behind a service that speaks OpenAI's chat completions."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import httpx2
import openai

from rnagpt.rna_qa.literature.answer_text import (
    begins_json,
    parse_json,
    refusal_of,
    text_of_content,
)
from rnagpt.rna_qa.literature.failures import STOP_AFTER, Failures
from rnagpt.rna_qa.literature.llm.language_model import (
    AuthenticationError,
    BudgetExceeded,
    ContextLengthExceeded,
    FieldRefused,
    NoRoom,
    Refused,
    RegionBlocked,
    Request,
    RequestFailed,
    RequestRejected,
    RunStopped,
    ServiceUnavailable,
    UnknownModel,
    Unparsable,
)
from rnagpt.rna_qa.literature.llm.request_cache import Answer, RequestCache, request_key
from rnagpt.rna_qa.literature.llm.request_form import BOUNDS, RequestForm, bound_of
from rnagpt.rna_qa.literature.llm.spending import Spending
from rnagpt.rna_qa.literature.retry import (
    MAX_RETRY_AFTER,
    TransientError,
    read_retry_after,
    retrying,
)

TIMEOUT = 600.0  # seconds; a long answer of a small machine
ATTEMPTS = 8
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
# OpenAI's code; Google and gateways say it in words, and 451 is HTTP's own status for it.
_BLOCKED = re.compile(
    r"unsupported_country|(?:country|region|territory|location)\b.{0,40}\bnot (?:be )?supported"
    r"|not (?:available|supported) in your (?:country|region|location)",
    re.IGNORECASE | re.DOTALL,
)
_TEMPERATURE = re.compile(r"\btemperature\b", re.IGNORECASE)
_BOUND_TOO_LARGE = re.compile(r"\bmax_(?:completion_)?tokens\b", re.IGNORECASE)
# More tokens than any answer has: a service that says so has not counted.
MAX_TOKENS = 10**9
_FILTERED = frozenset({"content_filter", "content_policy_violation", "invalid_prompt"})
# Models that are forced into a grammar and have nothing to say continue with spaces or line breaks.
_WHITESPACE_LOOP = re.compile(r"\s{40,}\Z")

Result = TypeVar("Result")


class OpenAiModel:
    """Asks OpenAI's service, or one that speaks like it (vLLM, llama.cpp, Ollama).

    Every answer is cached before it is used, and no request is sent that was answered before. Busy
    services (429, with or without Retry-After), failures of theirs (5xx), answers in another form,
    cut connections and timeouts are tried again, `attempts` times in all.

    Args:
        name: The model's, as the service knows it.
        base_url: The service's address, up to ``/v1``.
        api_key: None where the service asks for none.
        count_tokens: The tokens of a text; a quarter of its characters where it is not given.
        parameters: Sent along, over PARAMETERS; null leaves one out. What a service takes no
            requests with (`temperature`, `seed`, `response_format`, the name of the answer's bound)
            is learned from its errors as well, see `request_form.RequestForm`.
        stop_after: Answers of no use in a row, for one reason, that stop the run; 0 for never.
        timeout: Seconds that an answer may take.
        sleep: Waits for N seconds; tests give another.
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
        stop_after: int = STOP_AFTER,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self.base_url = base_url.rstrip("/")
        self.cache = cache
        self.spending = spending
        self._api_key = api_key
        self._count_tokens = count_tokens
        sent_along = {**PARAMETERS, **(parameters or {})}
        self._parameters = {
            name: value
            for name, value in sent_along.items()
            if value is not None and name not in (*BOUNDS, "response_format")
        }
        self._bound = BOUNDS[self.base_url == OPENAI]
        self.form = RequestForm(cache, self.base_url, name, self._bound, parameters or {})
        self.failures = Failures(cache, stop_after, self._explain_stop)
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
            RequestFailed: no answer to this request; the run continues with others.
            RunStopped: no answer to any request; the run stops, and a later one resumes.
        """
        body = self.body(request)
        key = self.key(request, body)
        sent: list[str] = []

        def send() -> Answer:
            sent.append(key)
            return self._send(key, body)

        with self.failures.turn():
            answer = self.cache.once(key, send, lambda cached: self.is_wanted(cached, request))
            return self.read(key, answer, request, is_new=bool(sent))

    def cached(self, request: Request) -> Answer | None:
        """The cached answer, None where there is none that stands."""
        answer = self.cache.get(self.key(request, self.body(request)))
        return answer if answer and self.is_wanted(answer, request) else None

    def is_wanted(self, answer: Answer, request: Request) -> bool:
        """Whether a cached answer stands.

        Not where the service broke off with an error of its own, nor where the answer was cut at a
        smaller bound than is given now.
        """
        if answer.finish_reason == "error":
            return False
        before = answer.most_tokens or request.max_tokens
        if answer.finish_reason != "length" or (self.form.most_tokens or 0) <= before:
            return True
        try:
            read_answer(answer, request.schema)
        except RequestFailed:
            return False
        return True

    def body(self, request: Request) -> dict[str, Any]:
        """The request as it is named in the cache; `form` writes it as the service takes it."""
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

    def read(self, key: str, answer: Answer, request: Request, *, is_new: bool = False) -> Any:
        """An answer's JSON; what cannot be parsed goes to quarantine.

        Args:
            is_new: It came in this run; too many of no use in a row stop it.

        Raises:
            RequestFailed: if it cannot be used.
            NothingUsable: if those before it could not either.
        """
        try:
            value = read_answer(answer, request.schema)
        except ContextLengthExceeded:
            raise
        except RequestFailed as failure:
            if isinstance(failure, Unparsable):
                self.cache.quarantine(key, str(failure))
            if is_new and answer.tokens_in:
                self.failures.fail(key, failure)
            raise
        if is_new:
            self.failures.succeed()
        self.cache.release(key)
        return value

    def _explain_stop(self, reason: str, failure: RequestFailed) -> str:
        advice = (
            """give thoughts more room, --request-options '{"max_completion_tokens": 8000}', """
            """or let them be fewer, '{"reasoning_effort": "low"}'"""
            if isinstance(failure, NoRoom)
            else "see .work/quarantine.jsonl for what came, and fix the service or choose another "
            "model; --stop-after-failures lets more of them pass, or with 0 all"
        )
        return (
            f"{self.base_url}: {reason}: {advice}. All else stands: the same command goes on from "
            "here, and asks for these again"
        )

    def call(self, ask_service: Callable[[], Result]) -> Result:
        """Ask the service for anything, again where a fault passes.

        Raises:
            RunStopped: if it rejects, or if faults do not pass.
            ContextLengthExceeded, Refused: if it turns this input away.
        """
        return self._retry(lambda: self.call_once(ask_service))

    def _retry(self, ask_service: Callable[[], Result]) -> Result:
        try:
            return retrying(self._attempts, self._sleep)(ask_service)
        except TransientError as fault:
            raise ServiceUnavailable(
                f"{self.base_url}: {fault} (tried {self._attempts} times); run again later to "
                "resume"
            ) from fault

    def call_once(self, ask_service: Callable[[], Result]) -> Result:
        """`call` without another try: raises TransientError."""
        try:
            return ask_service()
        except openai.APIStatusError as error:
            retry_after = read_retry_after(error.response.headers.get("Retry-After"))
            message = _message_of(error)
            code, param = str(error.code or ""), str(error.param or "")
            raise self.explain(error.status_code, code, message, retry_after, param) from error
        except (json.JSONDecodeError, openai.APIResponseValidationError) as error:
            raise TransientError(f"not the JSON of an answer ({error})", billed=True) from error
        except openai.APITimeoutError as error:
            raise TransientError("no answer in time", billed=True) from error
        except (openai.APIConnectionError, httpx2.HTTPError) as error:
            cause = error if isinstance(error, httpx2.HTTPError) else error.__cause__
            unsent = isinstance(cause, (httpx2.ConnectError, httpx2.ConnectTimeout))
            words = f"the connection failed ({cause or error})"
            raise TransientError(words, billed=not unsent) from error

    def bounds(self, body: Mapping[str, Any], sent: str) -> tuple[int, int]:
        """The most tokens that a request can read and write."""
        # A token is one byte at least, of what is sent or of the template around it.
        return len(sent.encode()) + TOKENS_OF_TEMPLATE, bound_of(body)

    def _send(self, key: str, body: dict[str, Any]) -> Answer:
        self.failures.check()
        while True:
            fitting = self.form.fit(body)
            text = json.dumps(fitting, ensure_ascii=False)
            try:
                return self._retry(partial(self._send_once, key, fitting, text))
            except FieldRefused as refusal:
                # Each turn is one field fewer, or the other name of one.
                name = next((b for b in BOUNDS if b in fitting), "")
                if refusal.name not in BOUNDS:
                    name = refusal.name
                if name not in fitting or not self.form.learn(name):
                    raise

    def _send_once(self, key: str, body: dict[str, Any], sent: str) -> Answer:
        self.spending.rate.acquire(self.count_tokens(sent) + bound_of(body))
        attempt = self.spending.begin(key, *self.bounds(body, sent))
        try:
            answer = self.call_once(lambda: self._complete(key, body, sent))
        except (ContextLengthExceeded, Refused) as error:
            answer = rejection_answer(error)
        except TransientError as fault:
            self.spending.fail(attempt, str(fault), billed=fault.billed)
            if fault.retry_after is not None:
                self.spending.rate.pause(fault.retry_after)
            raise
        except BaseException as error:
            self.spending.fail(attempt, repr(error), billed=not isinstance(error, RunStopped))
            raise
        answer = replace(answer, most_tokens=bound_of(body))
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
            completion = json.loads(response.text)
            self._raise_error_in_place_of_answer(completion)
            return self.count_usage(answer_of(completion), sent)
        except RecursionError:
            # It is the same however often it is asked for.
            return self.count_usage(too_deep(response.text), sent)
        except (ValueError, LookupError, TypeError) as error:
            said = _first_words(response.text)
            raise TransientError(f"{said!r} in place of a completion", billed=True) from error

    def _raise_error_in_place_of_answer(self, completion: Any) -> None:
        """Gateways answer with status 200 and the error of the service behind them."""
        if not isinstance(completion, Mapping) or completion.get("choices"):
            return
        error = completion.get("error")
        if isinstance(error, Mapping) and isinstance(status := error.get("code"), int):
            message = _first_words(str(error.get("message") or ""))
            raise self.explain(status, "", message)

    def count_usage(self, answer: Answer, sent: str) -> Answer:
        """The answer, with its tokens counted here where the service does not say them."""
        if answer.tokens_in or answer.tokens_out:
            return answer
        tokens_in, tokens_out = self.count_tokens(sent), self.count_tokens(answer.text)
        return replace(answer, tokens_in=tokens_in, tokens_out=tokens_out)

    def explain(
        self,
        status: int,
        code: str,
        message: str,
        retry_after: float | None = None,
        param: str = "",
    ) -> Exception:
        """What a status other than 200 means, with the code and the words of its body."""
        said = f"status {status}, {self._hide_key(message)!r}"
        if code == "insufficient_quota" or status == 402:
            return BudgetExceeded(
                f"{self.base_url}: the account has no credit left ({said}); top it up there, or "
                "raise the limit of this key, and run again to resume"
            )
        if status == 451 or (400 <= status < 500 and _BLOCKED.search(f"{code} {message}")):
            return RegionBlocked(
                f"{self.base_url} is not offered where this machine is ({said}): no key and no "
                "option changes that; run from a place that it serves, or name another service "
                "with --base-url. What is answered stands"
            )
        if status in (401, 403):
            return AuthenticationError(
                f"{self.base_url} does not accept the API key ({said}); set OPENAI_API_KEY to one "
                f"that may use {self.name}"
            )
        if status in STATUSES_THAT_PASS or status >= 500:
            return self._explain_passing(said, retry_after)
        # Azure calls a model that is served a deployment.
        if status == 404 and re.search(r"model|deployment", f"{code} {message}", re.IGNORECASE):
            return UnknownModel(
                f"{self.base_url} has no model {self.name!r} ({said}); see its /models for names"
            )
        if status in (400, 413, 422) and (
            code == "context_length_exceeded" or _TOO_LONG.search(message)
        ):
            return ContextLengthExceeded(said)
        if status == 400 and code in _FILTERED:
            return Refused(said)
        return self._explain_rejection(status, code, message, param, said)

    def _explain_rejection(
        self, status: int, code: str, message: str, param: str, said: str
    ) -> RequestRejected:
        words = f"{self.base_url} does not take the request ({said}); "
        name = self.form.refused_field(code, param, message) if status in (400, 422) else None
        if name in BOUNDS or param in BOUNDS or _BOUND_TOO_LARGE.search(message):
            words = (
                f"{words}give the most tokens of an answer that it takes, by the name that it has "
                """there: --request-options '{"max_tokens": 4000}' or '{"max_completion_tokens": """
                "4000}'"
            )
            return FieldRefused(words, str(name)) if name in BOUNDS else RequestRejected(words)
        if name is not None and self.form.can_do_without(name):
            return FieldRefused(f"{words}it takes no {name}", name)
        if name or param == "temperature" or _TEMPERATURE.search(message):
            field = name or "temperature"
            return RequestRejected(
                f"{words}leave {field} out: --request-options '{{\"{field}\": null}}', or give a "
                "value that the model takes"
            )
        return RequestRejected(
            f"{words}check --base-url, and that the service knows structured outputs "
            """(--request-options '{"response_format": null}' asks without them)"""
        )

    def _explain_passing(self, said: str, retry_after: float | None) -> Exception:
        if retry_after is not None and retry_after > MAX_RETRY_AFTER:
            return ServiceUnavailable(
                f"{self.base_url}: {said}; it asks to wait for {retry_after:,.0f} seconds: run "
                "again then to resume"
            )
        return TransientError(said, retry_after)

    def _hide_key(self, text: str) -> str:
        return text.replace(self._api_key, "(key)") if self._api_key else text


def answer_of(completion: Mapping[str, Any]) -> Answer:
    """What a chat completion says; text that comes in parts is joined.

    Raises:
        LookupError, TypeError: if it has not the form of one.
        TransientError: if the service broke off with an error of its own.
    """
    choice = _mapping(completion["choices"][0])
    if choice.get("finish_reason") == "error" or choice.get("error"):
        said = _first_words(json.dumps(choice.get("error")))
        raise TransientError(f"the service broke off with an error ({said})", billed=True)
    message = _mapping(choice["message"])
    usage = completion.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    text = text_of_content(content := message.get("content"))
    malformed = text is None and f"content is {_first_words(json.dumps(content))}, not text"
    return Answer(
        text=malformed or text or "",
        finish_reason="malformed" if malformed else str(choice.get("finish_reason") or "stop"),
        refusal=refusal_of(message),
        tokens_in=_tokens(usage.get("prompt_tokens")),
        tokens_out=_tokens(usage.get("completion_tokens")),
    )


def too_deep(text: str) -> Answer:
    """What is cached of a completion that nobody can read."""
    return Answer(f"nested too deeply: {_first_words(text)}", "malformed")


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{type(value).__name__} in place of an object")
    return value


def _tokens(count: Any) -> int:
    """A number of tokens; 0, for not counted, where it is none."""
    is_number = isinstance(count, (int, float)) and 0 <= count <= MAX_TOKENS
    return int(count) if is_number else 0


def rejection_answer(error: ContextLengthExceeded | Refused) -> Answer:
    """What is cached of a request that the service rejected unread: free, and final."""
    return Answer(
        str(error),
        "input_too_long" if isinstance(error, ContextLengthExceeded) else "content_filter",
    )


def read_answer(answer: Answer, schema: Mapping[str, Any]) -> Any:
    """The JSON of an answer.

    Raises:
        Refused: if the model, or a filter, declined.
        ContextLengthExceeded: if the input did not fit, or the answer ends within its JSON.
        NoRoom: if it ends before its JSON begins: less input would not help.
        Unparsable: if it is a loop of white space, not JSON, or not of the schema.
    """
    if answer.refusal or answer.finish_reason == "content_filter":
        raise Refused(answer.refusal or answer.text or "the service's filter stopped the answer")
    if answer.finish_reason == "input_too_long":
        raise ContextLengthExceeded(answer.text)
    if answer.finish_reason == "malformed":
        raise Unparsable(f"no text: {answer.text}")
    try:
        value = parse_json(answer.text)
        problem = find_problem(value, schema)
    except RecursionError as error:
        raise Unparsable("not JSON: nested too deeply") from error
    except ValueError as error:
        raise _why_not_json(answer, error) from error
    if problem:
        raise Unparsable(f"not of the schema: {problem}")
    return value


def _why_not_json(answer: Answer, error: ValueError) -> RequestFailed:
    if _WHITESPACE_LOOP.search(answer.text):
        return Unparsable("a loop of white space")
    if answer.finish_reason == "length":
        if begins_json(answer.text):
            return ContextLengthExceeded(f"the answer was cut after {answer.tokens_out} tokens")
        what = "with thoughts alone" if answer.text.strip() else "empty"
        return NoRoom(f"cut before its JSON began: {what}, after {answer.tokens_out} tokens")
    return Unparsable(f"not JSON: {error}" if answer.text.strip() else "empty")


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


__all__ = [
    "OpenAiModel",
    "answer_of",
    "find_problem",
    "read_answer",
    "rejection_answer",
    "too_deep",
]
