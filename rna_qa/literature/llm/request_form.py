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
_REJECTION_CODES = frozenset(("unsupported_parameter", "unsupported_value", "unknown_parameter"))
_REJECTION = re.compile(
    r"unsupported|not (?:be )?support|unrecogni[sz]ed|unknown|unexpected|"
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
            if own := self._options.get("response_format"):
                sent["response_format"] = own
            if sent.get("response_format") != body["response_format"]:
                schema = body["response_format"]["json_schema"]["schema"]
                described = _SCHEMA_IN_WORDS + json.dumps(schema, ensure_ascii=False)
                system, *others = body["messages"]
                content = f"{system['content']}\n{described}"
                sent["messages"] = [{**system, "content": content}, *others]
        return sent

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
        if param:
            return next((name for name in fields if re.split(r"[.\[]", param)[0] == name), None)
        places = {name: re.search(rf"(?<!\w){re.escape(name)}(?!\w)", message) for name in fields}
        named = {place.start(): name for name, place in places.items() if place}
        return named[min(named)] if named else None

    def can_do_without(self, name: str) -> bool:
        """Whether requests may be sent without a field, or with its other name."""
        if name in BOUNDS:
            return self._left_out.isdisjoint(BOUNDS)
        return name in OPTIONAL and self._options.get(name) is None

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
            "response_format": "the form of an answer is described in the prompt",
        }.get(name, "requests go without it, and answers may differ from run to run")
        print(f"{self._service}: {self._model} takes no {name}; {instead}", file=sys.stderr)
        return True


def bound_of(body: Mapping[str, Any]) -> int:
    """The most tokens that a request's answer may have."""
    return next(int(body[name]) for name in BOUNDS if name in body)


def _other(bound: str) -> str:
    return BOUNDS[1 - BOUNDS.index(bound)]


__all__ = ["BOUNDS", "OPTIONAL", "RequestForm", "bound_of"]
