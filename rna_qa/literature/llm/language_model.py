"""Protocol of a language model, its requests, and its errors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

CHARACTERS_PER_TOKEN = 4  # of English, about


@dataclass(frozen=True)
class Request:
    """A question to a language model whose answer is JSON.

    `schema` is a JSON schema in the strict subset of OpenAI's structured outputs (every property
    required, ``additionalProperties: false``); `schema_name` names it to the service (letters,
    digits, ``_`` and ``-``); `max_tokens` bounds the answer; `prompt_version` is the version of
    the prompt's text, so that an answer to an older one is not taken for one to this.
    """

    system: str
    user: str
    schema: Mapping[str, Any]
    schema_name: str
    max_tokens: int
    prompt_version: str = ""


class LanguageModel(Protocol):
    """Answers requests; safe to be asked by many threads at once."""

    name: str

    def ask(self, request: Request) -> Any:
        """The answer, parsed, in the form of the request's schema.

        Raises:
            RequestFailed: no answer to this request; the run continues with others.
            RunStopped: no answer to any request; the run stops, and a later one resumes.
            Pending: the answer comes in a batch; ask again when that is back.
        """


def count_tokens(text: str) -> int:
    """The tokens of a text, about: a service counts them only afterwards."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


# The names below say what happened, as an answer to a request would; none ends in "Error".
class LanguageModelError(Exception):
    """A request has no answer."""


class RequestFailed(LanguageModelError):  # noqa: N818
    """This request will not be answered, however often it is sent."""


class Refused(RequestFailed):
    """The model, or the service's filter, declines to answer."""


class ContextLengthExceeded(RequestFailed):
    """The input does not fit the context, or the answer its bound: ask about less at a time."""


class Unparsable(RequestFailed):
    """The answer is not JSON of the schema; it lies in quarantine."""


class NoRoom(Unparsable):
    """The answer's bound was reached before its JSON began: less input would not help."""


class Pending(LanguageModelError):  # noqa: N818
    """The request waits for a batch."""


class RunStopped(LanguageModelError):  # noqa: N818
    """Nothing can be asked; answers are cached, and the next run resumes from there."""


class BudgetExceeded(RunStopped):
    """The next request might cost more than what is left of the budget."""


class ServiceUnavailable(RunStopped):
    """The service does not answer, or not in its documented form, after several tries."""


class AuthenticationError(RunStopped):
    """The service does not accept the API key."""


class RegionBlocked(RunStopped):
    """The service is not offered where the request comes from."""


class NothingUsable(RunStopped):
    """Answer after answer is of no use: what is wrong will not pass."""


class UnknownModel(RunStopped):
    """The service has no model of this name."""


class RequestRejected(RunStopped):
    """The service does not take requests of this form."""


class FieldRejected(RequestRejected):
    """It does not take this field of a request, which can do without it."""

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name


__all__ = [
    "AuthenticationError",
    "BudgetExceeded",
    "ContextLengthExceeded",
    "FieldRejected",
    "LanguageModel",
    "LanguageModelError",
    "NoRoom",
    "NothingUsable",
    "Pending",
    "Refused",
    "RegionBlocked",
    "Request",
    "RequestFailed",
    "RequestRejected",
    "RunStopped",
    "ServiceUnavailable",
    "UnknownModel",
    "Unparsable",
    "count_tokens",
]
