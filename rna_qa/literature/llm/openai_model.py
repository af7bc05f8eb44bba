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
from jsonschema import Draft4Validator
from jsonschema.exceptions import best_match

from rnagpt.rna_qa.literature.answer_text import (
    begins_json,
    first_words,
    parse_json,
    refusal_of,
    text_of_content,
)
from rnagpt.rna_qa.literature.failures import STOP_AFTER, Failures
from rnagpt.rna_qa.literature.llm.language_model import (
    AuthenticationError,
    BudgetExceeded,
    ContextLengthExceeded,
    FieldRejected,
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
    count_tokens,
)
from rnagpt.rna_qa.literature.llm.request_cache import Answer, RequestCache, request_key
from rnagpt.rna_qa.literature.llm.request_form import BOUNDS, RequestForm, bound_of
from rnagpt.rna_qa.literature.llm.spending import Spending
from rnagpt.rna_qa.literature.retry import (
    MAX_RETRY_AFTER,
    STATUSES_THAT_PASS,
    TransientError,
    read_retry_after,
    retrying,
)

TIMEOUT = 600.0  # seconds; a long answer of a small machine
ATTEMPTS = 8
TOKENS_OF_TEMPLATE = 64  # more than a chat template adds to two messages
OPENAI = "https://api.openai.com/v1"
# The same answer to the same request, as far as the service can.
PARAMETERS = {"temperature": 0.0, "seed": 0}
CONFLICT = 409  # passes, as OpenAI says: https://platform.openai.com/docs/guides/error-codes
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
# More tokens than any answer has: a service that reports so many has not counted.
MAX_TOKENS = 10**9
_FILTERED = frozenset({"content_filter", "content_policy_violation", "invalid_prompt"})
# Models that are forced into a grammar and have nothing to say continue with spaces or line breaks.
_WHITESPACE_LOOP = re.compile(r"\s{40,}\Z")

# Claims that break the bounds of numbers and lengths fall one by one, see `claims.annotate`.
_LEFT_TO_CLAIMS = frozenset({"minimum", "maximum", "minItems", "maxItems", "maxLength"})

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
        parameters: Sent along, over PARAMETERS; null leaves one out. What a service takes no
            requests with (`temperature`, `seed`, `response_format`, the name of the answer's bound)
            is learned from its errors as well, see `request_form.RequestForm`.
        stop_after: Unusable answers in a row, for one reason, that stop the run; 0 for never.
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

    def ask(self, request: Request) -> Any:
        """The answer, parsed, in the form of the request's schema.

        Raises:
            RequestFailed: no answer to this request; the run continues with others.
            RunStopped: no answer to any request; the run stops, and a later one resumes.
        """
        body = self.body(request)
        key = self.key(request, body)
        with self.failures.turn():
            with self.cache.turn(key):
                cached = self.cached(key, request)
                answer = cached or self._send(key, body)
            if cached:
                self.cache.count_hit(cached)
            return self.read(key, answer, request, is_new=not cached)

    def cached(self, key: str, request: Request) -> Answer | None:
        """The answer that stands; one that does not is set aside."""
        answer = self.cache.get(key)
        if answer and not self.is_wanted(answer, request):
            self.cache.set_aside([key], is_systematic=False)
            return None
        return answer

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
            is_new: It came in this run; too many unusable ones in a row stop it.

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
            f"{self.base_url}: {reason}: {advice}. All else stands: the same command resumes from "
            "here, and requests these again"
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
            body = error.body.get("message") if isinstance(error.body, Mapping) else error.body
            # Where the body is no error in OpenAI's form, the first words of the page.
            message = first_words(str(body or error.response.text))
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
            except FieldRejected as rejection:
                # Each turn is one field fewer, or another form of one.
                name = self.form.to_learn(rejection.name, fitting)
                if name is None or not self.form.learn(name):
                    raise

    def _send_once(self, key: str, body: dict[str, Any], sent: str) -> Answer:
        self.spending.rate.acquire(count_tokens(sent) + bound_of(body))
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
        # Not `client.chat`, which takes no fields that only other services know.
        response = self.client.post(
            "/chat/completions",
            cast_to=httpx2.Response,
            body=body,
            options={"headers": {"X-Client-Request-Id": key}},
        )
        try:
            completion = json.loads(response.text)
            if isinstance(completion, Mapping) and not completion.get("choices"):
                # Gateways answer with status 200 and the error of the service behind them.
                error = completion.get("error")
                if isinstance(error, Mapping) and isinstance(status := error.get("code"), int):
                    raise self.explain(status, "", first_words(str(error.get("message") or "")))
            return count_usage(answer_of(completion), sent)
        except RecursionError:
            # It is the same however often it is asked for.
            return count_usage(too_deep(response.text), sent)
        except (ValueError, LookupError, TypeError) as error:
            said = first_words(response.text)
            raise TransientError(f"{said!r} in place of a completion", billed=True) from error

    def explain(
        self,
        status: int,
        code: str,
        message: str,
        retry_after: float | None = None,
        param: str = "",
    ) -> Exception:
        """What a status other than 200 means, with the code and the words of its body."""
        if status >= 500 and "literal_error" in message:
            # llama-cpp-python's server says so what it does not take.
            status = 422
        shown = message.replace(self._api_key, "(key)") if self._api_key else message
        said = f"status {status}, {shown!r}"
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
        if status in STATUSES_THAT_PASS or status == CONFLICT or status >= 500:
            if retry_after is None or retry_after <= MAX_RETRY_AFTER:
                return TransientError(said, retry_after)
            return ServiceUnavailable(
                f"{self.base_url}: {said}; it asks to wait for {retry_after:,.0f} seconds: run "
                "again then to resume"
            )
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
        name = self.form.rejected_field(code, param, message) if status in (400, 422) else None
        may_learn = name in BOUNDS or (name is not None and self.form.can_do_without(name))
        if name in BOUNDS or param in BOUNDS or _BOUND_TOO_LARGE.search(message):
            advice = (
                "give the most tokens of an answer that it takes, by the name that it has there: "
                """--request-options '{"max_tokens": 4000}' or '{"max_completion_tokens": 4000}'"""
            )
        elif may_learn:
            advice = f"it takes no {name}"
        elif name or param == "temperature" or _TEMPERATURE.search(message):
            field = name or "temperature"
            advice = (
                f"leave {field} out: --request-options '{{\"{field}\": null}}', or give a value "
                "that the model takes"
            )
        else:
            advice = (
                "check --base-url, and that the service knows structured outputs "
                """(--request-options '{"response_format": null}' asks without them)"""
            )
        words = f"{self.base_url} does not take the request ({said}); {advice}"
        return FieldRejected(words, str(name)) if may_learn else RequestRejected(words)


def answer_of(completion: Mapping[str, Any]) -> Answer:
    """What a chat completion says; text that comes in parts is joined.

    Raises:
        LookupError, TypeError: if it has not the form of one.
        TransientError: if the service broke off with an error of its own.
    """
    choice = _mapping(completion["choices"][0])
    if choice.get("finish_reason") == "error" or choice.get("error"):
        said = first_words(json.dumps(choice.get("error")))
        raise TransientError(f"the service broke off with an error ({said})", billed=True)
    message = _mapping(choice["message"])
    usage = completion.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    text = text_of_content(content := message.get("content"))
    malformed = text is None and f"content is {first_words(json.dumps(content))}, not text"
    return Answer(
        text=malformed or text or "",
        finish_reason="malformed" if malformed else str(choice.get("finish_reason") or "stop"),
        refusal=refusal_of(message),
        tokens_in=_tokens(usage.get("prompt_tokens")),
        tokens_out=_tokens(usage.get("completion_tokens")),
    )


def count_usage(answer: Answer, sent: str) -> Answer:
    """The answer, with its tokens counted here where the service does not report them."""
    if answer.tokens_in or answer.tokens_out:
        return answer
    return replace(answer, tokens_in=count_tokens(sent), tokens_out=count_tokens(answer.text))


def too_deep(text: str) -> Answer:
    """What is cached of a completion that nobody can read."""
    return Answer(f"nested too deeply: {first_words(text)}", "malformed")


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
        # To the drafts after the fourth, 1.0 is an integer.
        problems = Draft4Validator(schema).iter_errors(value)
        problem = best_match(one for one in problems if one.validator not in _LEFT_TO_CLAIMS)
        if problem:
            words = f"{problem.json_path}: {first_words(problem.message)}"
            raise Unparsable(f"not of the schema: {words}")
    except RecursionError as error:
        raise Unparsable("not JSON: nested too deeply") from error
    except ValueError as error:
        raise _why_not_json(answer, error) from error
    return value


def _why_not_json(answer: Answer, error: ValueError) -> RequestFailed:
    if _WHITESPACE_LOOP.search(answer.text):
        return Unparsable("a loop of white space")
    if answer.finish_reason == "length":
        if begins_json(answer.text):
            return ContextLengthExceeded(f"the answer was cut after {answer.tokens_out} tokens")
        what = "only thoughts" if answer.text.strip() else "empty"
        return NoRoom(f"cut before its JSON began: {what}, after {answer.tokens_out} tokens")
    return Unparsable(f"not JSON: {error}" if answer.text.strip() else "empty")


__all__ = [
    "OpenAiModel",
    "answer_of",
    "count_usage",
    "read_answer",
    "rejection_answer",
    "too_deep",
]
