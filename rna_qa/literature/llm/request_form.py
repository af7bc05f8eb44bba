"""The form in which a service takes requests, learned once from what it rejects."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Mapping
from typing import Any

from rnagpt.rna_qa.literature.llm.request_cache import RequestCache

# The two names of an answer's bound: OpenAI's newer models know only the second one, and other
# services often the first.
BOUNDS = ("max_tokens", "max_completion_tokens")
# A request can do without these.
OPTIONAL = ("temperature", "seed", "response_format")
# What a service may not know of `response_format`: the type that OpenAI has for schemas, and in
# these the longest that a text may be, which OpenAI itself does not take.
JSON_SCHEMA, MAX_LENGTH = "json_schema", "maxLength"
_REJECTION_CODES = frozenset(("unsupported_parameter", "unsupported_value", "unknown_parameter"))
_REJECTION = re.compile(
    r"unsupported|not (?:be )?support|unrecogni[sz]ed|unknown|unexpected|literal_error|"
    r"extra[_ ](?:inputs?|fields?|forbidden)|"
    r"not (?:permitted|allowed|available|accepted|compatible)|unavailable|deprecated|"
    r"cannot find field|does not (?:support|accept|take)|only the default",
    re.IGNORECASE,
)
_SCHEMA_IN_WORDS = (
    "Answer with one JSON object of this JSON schema, with nothing before or after it:\n"
)


class RequestForm:
    """How requests are written for one model of one service.

    The body that names a request in the cache stays the same whatever is learned here, so that no
    answer is asked for twice.

    Args:
        usual_bound: The name of the answer's bound that is tried first.
        options: As the user gave them (``--request-options``): a number for `max_tokens` or
            `max_completion_tokens` is the bound of every answer, null for one of them means the
            other name; `response_format` null leaves it out. What is given is never left out.
    """

    def __init__(
        self,
        cache: RequestCache,
        service: str,
        model: str,
        usual_bound: str,
        options: Mapping[str, Any],
    ) -> None:
        self._cache = cache
        self._service, self._model = service, model
        self._usual_bound = usual_bound
        self._options = options
        self._lock = threading.Lock()
        given = [name for name in BOUNDS if options.get(name) is not None]
        unwanted = [name for name in BOUNDS if name in options and options[name] is None]
        self._named = given[0] if given else _other(unwanted[0]) if unwanted else usual_bound
        self.most_tokens: int | None = options[given[0]] if given else None
        self._left_out = set(cache.learned(f"{service} {model}"))

    @property
    def bound_name(self) -> str:
        return _other(self._named) if self._named in self._left_out else self._named

    def fit(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A body as the service takes it."""
        sent = {name: value for name, value in body.items() if self._is_sent(name)}
        sent[self.bound_name] = self.most_tokens or body[self._usual_bound]
        if "response_format" in body:
            self._fit_schema(body, sent)
        return sent

    def _fit_schema(self, body: Mapping[str, Any], sent: dict[str, Any]) -> None:
        named = body["response_format"][JSON_SCHEMA]
        schema = named["schema"]
        if MAX_LENGTH in self._left_out:
            schema = _without(schema, MAX_LENGTH)
        if own := self._options.get("response_format"):
            sent["response_format"] = own
        elif "response_format" in sent and JSON_SCHEMA in self._left_out:
            # As llama-cpp-python's server and others before OpenAI's type take a schema.
            sent["response_format"] = {"type": "json_object", "schema": schema}
        elif "response_format" in sent:
            sent["response_format"] = {
                **body["response_format"],
                JSON_SCHEMA: {**named, "schema": schema},
            }
            return
        # A service that takes the type may still not read the schema.
        described = _SCHEMA_IN_WORDS + json.dumps(schema, ensure_ascii=False)
        system, *others = body["messages"]
        content = f"{system['content']}\n{described}"
        sent["messages"] = [{**system, "content": content}, *others]

    def _is_sent(self, name: str) -> bool:
        if name == "response_format" and self._options.get(name, self) is None:
            return False
        is_given = self._options.get(name) is not None
        return name not in BOUNDS and (is_given or name not in self._left_out)

    def rejected_field(self, code: str, param: str, message: str) -> str | None:
        """The field of a request that a service's error rejects, if that is what it is about."""
        if code not in _REJECTION_CODES and not _REJECTION.search(message):
            return None
        fields = (*BOUNDS, *OPTIONAL, *self._options)
        if MAX_LENGTH in message:
            return MAX_LENGTH
        if param:
            return next((name for name in fields if re.split(r"[.\[]", param)[0] == name), None)
        places = {name: re.search(rf"(?<!\w){re.escape(name)}(?!\w)", message) for name in fields}
        named = {place.start(): name for name, place in places.items() if place}
        return named[min(named)] if named else None

    def can_do_without(self, name: str) -> bool:
        """Whether requests may be sent without a field, or with its other name."""
        if name in BOUNDS:
            return self._left_out.isdisjoint(BOUNDS)
        if name in (JSON_SCHEMA, MAX_LENGTH):
            name = "response_format"
        return name in OPTIONAL and self._options.get(name) is None

    def to_learn(self, name: str, sent: Mapping[str, Any]) -> str | None:
        """What a service does not know, from the field that it rejects and what was sent.

        None where nothing of it was sent.
        """
        if name in BOUNDS:
            return next((bound for bound in BOUNDS if bound in sent), None)
        form = sent.get("response_format")
        if name == MAX_LENGTH:
            return name if MAX_LENGTH in json.dumps(form) else None
        if name == "response_format" and form and form["type"] == JSON_SCHEMA:
            return JSON_SCHEMA
        return name if name in sent else None

    def learn(self, name: str) -> bool:
        """Do without a field from now on, in later runs too; False where that cannot be.

        Of the answer's bound, the name that was sent; the other one is sent instead.
        """
        with self._lock:
            if name in self._left_out:
                return True
            if not self.can_do_without(name):
                return False
            self._left_out.add(name)
        self._cache.learn(f"{self._service} {self._model}", name)
        instead = {
            **{bound: f"the bound of an answer is called {_other(bound)}" for bound in BOUNDS},
            JSON_SCHEMA: "the form of an answer goes as a json_object with its schema",
            MAX_LENGTH: "answers may be longer",
            "response_format": "the form of an answer is described in the prompt",
        }.get(name, "requests go without it, and answers may differ from run to run")
        print(f"{self._service}: {self._model} takes no {name}; {instead}", file=sys.stderr)
        return True


def bound_of(body: Mapping[str, Any]) -> int:
    """The most tokens that a request's answer may have."""
    return next(int(body[name]) for name in BOUNDS if name in body)


def _without(schema: Any, name: str) -> Any:
    """A schema without a keyword, at any depth."""
    if isinstance(schema, Mapping):
        return {key: _without(part, name) for key, part in schema.items() if key != name}
    return [_without(part, name) for part in schema] if isinstance(schema, list) else schema


def _other(bound: str) -> str:
    return BOUNDS[1 - BOUNDS.index(bound)]


__all__ = ["BOUNDS", "OPTIONAL", "RequestForm", "bound_of"]
