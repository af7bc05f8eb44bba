"""Requests and replies in the shapes of OpenAI's chat completions, with RNAs as parts of messages.

https://platform.openai.com/docs/api-reference/chat; the part `{"type": "rna", "rna": "ACGU"}` is
this project's own.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

# Says who asks and how it is billed or stored; the answer does not depend on it.
_IGNORED = frozenset(
    {
        "background_tasks",  # this and the next five: Open WebUI's own
        "chat_id",
        "id",
        "model_item",
        "session_id",
        "variables",
        "metadata",
        "parallel_tool_calls",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "user",
    }
)
# What says no more of an option than leaving it out, besides null and what is empty or zero: the
# defaults of OpenAI, vLLM, llama.cpp and transformers, which clients send along.
_OFF: tuple[Any, ...] = (False, 0, 0.0, [], {}, "")
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "add_generation_prompt": (True,),
    "best_of": (1,),
    "function_call": ("none", "auto"),  # without functions neither calls any
    "length_penalty": (1,),
    "min_p": (0,),
    "modalities": (["text"],),
    "reasoning_effort": ("none",),
    "repeat_penalty": (1,),
    "repetition_penalty": (1,),
    "response_format": ({"type": "text"},),
    "skip_special_tokens": (True,),
    "spaces_between_special_tokens": (True,),
    "reasoning": ({"effort": "none"},),
    "text": ({"format": {"type": "text"}}, {"format": {"type": "text"}, "verbosity": "medium"}),
    "tfs_z": (1,),
    "tool_choice": ("none", "auto"),
    "top_k": (-1,),
    "truncation": ("disabled",),
    "typical_p": (1,),
    "verbosity": ("medium",),
}
# What is not supported for a reason that is worth saying.
_BECAUSE = {
    "top_logprobs": "a server that was started with --no-reference gives tokens' probabilities at "
    "/v1/chat/completions",
    "previous_response_id": "answers are not stored; give the conversation's messages as input",
    "conversation": "conversations are not stored; give their messages as input",
    "background": "answers are not stored, and so cannot be asked for later",
}
# Of a message: what the model would have to read, and cannot.
_UNREADABLE = ("tool_calls", "function_call", "audio")
_MAX_STOP_LETTERS = 1000
_HALF = re.compile("[\ud800-\udfff]")


class ApiError(Exception):
    """A request that is rejected.

    Args:
        status: of HTTP.
        message: what was given, what was expected and how to fix it.
        kind: one of OpenAI's error types.
        param: the field at fault.
        code: for programs.
        retry_after: seconds until it makes sense to try again.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.kind = status, message, kind
        self.param, self.code, self.retry_after = param, code, retry_after

    def body(self) -> dict[str, Any]:
        """The reply in OpenAI's shape."""
        error = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}
        return {"error": error}


class TextPart(BaseModel):
    type: Literal["text"]
    text: str


class RnaPart(BaseModel):
    """An RNA: a sequence as text, or one FASTA record."""

    type: Literal["rna"]
    rna: str


class FileData(BaseModel):
    """A FASTA file, which may be compressed."""

    filename: str | None = None
    file_data: str | None = Field(
        None, description="A data URL such as data:text/plain;base64,..., or base64 alone."
    )
    file_id: str | None = None
    file_url: str | None = None

    @model_validator(mode="after")
    def _check_data(self) -> FileData:
        if self.file_data is None:
            raise ValueError(
                "Files are neither stored nor fetched here; give the FASTA file itself as "
                'file_data: "data:text/plain;base64,..."'
            )
        return self


class FilePart(BaseModel):
    type: Literal["file"]
    file: FileData


Part = Annotated[TextPart | RnaPart | FilePart, Field(discriminator="type")]


class Message(BaseModel):
    """A message. What says who speaks or how it is shown, such as `name`, is left aside."""

    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part]

    @model_validator(mode="after")
    def _check_extras(self) -> Message:
        extras = self.model_extra or {}
        if unreadable := next((name for name in _UNREADABLE if extras.get(name)), None):
            raise ValueError(f"{unreadable} cannot be read here; leave the message out")
        return self

    def for_processor(self) -> dict[str, Any]:
        """As the processor's chat template takes it."""
        parts = self.content
        content = parts if isinstance(parts, str) else [part.model_dump() for part in parts]
        # OpenAI's newer name of the same role, which chat templates do not know.
        role = "system" if self.role == "developer" else self.role
        return {"role": role, "content": content}

    def texts(self) -> list[str]:
        if isinstance(self.content, str):
            return [self.content]
        return [part.text for part in self.content if isinstance(part, TextPart)]

    def has_files(self) -> bool:
        return any(isinstance(part, FilePart) for part in self.content)

    def rnas(self) -> list[str]:
        parts = [] if isinstance(self.content, str) else self.content
        return [part.rna for part in parts if isinstance(part, RnaPart)]


class CitedSentence(BaseModel):
    """A sentence of an answer."""

    text: str = Field(description="Without citations.")
    records: list[int] = Field(description="Numbers of the records that support it.")
    supported: bool = Field(description="Whether a record or the sequence itself supports it.")


class CitedRecord(BaseModel):
    """A numbered record of the evidence, with all that `rnagpt annotate` tells of the hit."""

    model_config = ConfigDict(extra="allow")

    number: int = Field(description='What "[1]" in a text stands for.')
    rna: str = Field(description="Name of the RNA that matches it.")
    id: str = Field(description="Accession, such as RF00005.")
    name: str
    type: str
    start: int = Field(description="In the RNA, counted from 1.")
    end: int
    strand: str = Field(description='"+", or "-" where the reverse complement matches.')
    evalue: float


class CitedMessage(BaseModel):
    """An answer. All but `role` and `content` is this project's own, and is there with a reference.

    In a stream the last delta before `finish_reason` carries it.
    """

    role: Literal["assistant"] = "assistant"
    content: str = Field(description='The answer; "[1]" cites the record of that number.')
    evidence: list[CitedRecord] = Field(
        [], description="Records that the RNAs match which the answer is about, the best first."
    )
    basis: Literal["records", "sequence", "model", "none"] | None = Field(
        None,
        description="What the answer rests on: records, facts of the sequence, the model's own "
        "reading of it, or nothing, where it is not known.",
    )
    confidence: float | None = Field(
        None, description="How likely it is right, 0 to 1; null where that was not measured."
    )
    about: list[str] = Field([], description="Names of the RNAs that the answer is about.")
    sentences: list[CitedSentence] = Field(
        [], description="Of the whole answer, also where a stop string cut its text."
    )


class LikelyToken(BaseModel):
    """A token that stood, or could have stood, in a place."""

    token: str = Field(description="As text; in escaped bytes where it is no whole character.")
    logprob: float = Field(description="Natural logarithm of its probability, at temperature 1.")
    bytes: list[int] | None = Field(description="In UTF-8; null for a control token.")


class WrittenToken(LikelyToken):
    """A token of an answer."""

    top_logprobs: list[LikelyToken]


class ChoiceLogprobs(BaseModel):
    """The tokens of an answer, whose bytes are its content."""

    content: list[WrittenToken]
    refusal: None = None


class CitedChoice(BaseModel):
    index: int
    message: CitedMessage
    logprobs: ChoiceLogprobs | None = Field(
        None, description="Where they were asked for; with a reference such a request is rejected."
    )
    finish_reason: Literal["stop", "length"]


class Usage(BaseModel):
    """Tokens that the language model read and wrote: 0 where the records' own words answered."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatReply(BaseModel):
    """A reply that is not streamed."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[CitedChoice]
    usage: Usage


class StreamOptions(BaseModel):
    include_usage: bool = False


def _listed(stop: Any) -> Any:
    return [stop] if isinstance(stop, str) else stop


StopString = Annotated[str, Field(max_length=_MAX_STOP_LETTERS)]
_STOP_SCHEMA = WithJsonSchema(
    {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "maxItems": 4}]}
)


class ChatRequest(BaseModel):
    """A request; what would change the answer and is not supported is rejected."""

    model_config = ConfigDict(extra="allow")

    model: str
    messages: list[Message] = Field(min_length=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    temperature: float = Field(default=0.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    n: int = Field(default=1, ge=1)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    stop: Annotated[list[StopString], BeforeValidator(_listed), _STOP_SCHEMA] = Field(
        [], max_length=4
    )
    stream: bool = False
    stream_options: StreamOptions | None = None
    logprobs: bool = Field(default=False, description="Only without a reference.")
    top_logprobs: int | None = Field(default=None, ge=0, le=20)

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: Any) -> Any:
        """OpenAI lets every option be null, which says as much as leaving it out."""
        return without_nulls(data)

    @model_validator(mode="after")
    def _check_extras(self) -> ChatRequest:
        check_options(self.model_extra or {})
        if self.top_logprobs and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs: true")
        return self

    @property
    def stop_strings(self) -> list[str]:
        return [string for string in self.stop if string]

    @property
    def requested_tokens(self) -> int | None:
        """The newer name counts where both are given."""
        return self.max_completion_tokens or self.max_tokens


def check_options(options: dict[str, Any]) -> None:
    """Reject what would change an answer and is not supported.

    Raises:
        ValueError: there is such an option.
    """
    for name, value in options.items():
        if name not in _IGNORED and not _is_neutral(name, value):
            because = f": {_BECAUSE[name]}" if name in _BECAUSE else ""
            raise ValueError(f"{name} is not supported here; leave it out{because}")


def without_nulls(data: Any) -> Any:
    """The body of a request without the fields that are null.

    Raises:
        ValueError: it holds half a character.
    """
    _check_characters(data)
    if not isinstance(data, dict):
        return data
    return {name: value for name, value in data.items() if value is not None}


def _is_neutral(name: str, value: Any) -> bool:
    """Whether a value asks for nothing; 1 and 1.0 are the same to JSON, 1 and true are not."""
    if name == "features" and isinstance(value, dict):
        return not any(value.values())  # Open WebUI's switches, such as web_search
    neutral = (*_OFF, *_NEUTRAL.get(name, ()))
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in neutral)


def _check_characters(data: Any) -> None:
    """Reject halves of UTF-16 pairs, which no text can hold and no tokenizer takes.

    Raises:
        ValueError: there is one.
    """
    unseen = [data]
    while unseen:
        value = unseen.pop()
        if isinstance(value, dict):
            unseen += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            unseen += value
        elif isinstance(value, str) and not value.isascii() and (half := _HALF.search(value)):
            raise ValueError(
                f"The request holds \\u{ord(half.group()):04x}, which is half a character "
                "(a lone surrogate); send whole characters"
            )


def usage_of(prompt: int, completion: int) -> dict[str, int]:
    """The tokens of a request and of all its answers."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


class Completion:
    """The replies to one request: whole, or in chunks.

    Args:
        model: the requested name.
    """

    def __init__(self, model: str) -> None:
        self._common = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": model,
        }

    def whole(
        self,
        texts: list[str],
        finishes: list[str],
        usage: dict[str, int],
        extras: Sequence[dict[str, Any]] | None = None,
        logprobs: Sequence[Sequence[dict[str, Any]] | None] | None = None,
    ) -> dict[str, Any]:
        """A reply in one piece; each message with its fields of `extras`, and its tokens."""
        more = [{}] * len(texts) if extras is None else extras
        tokens = [None] * len(texts) if logprobs is None else logprobs
        choices = [
            {
                "index": index,
                "message": {"role": "assistant", "content": text, **fields},
                "logprobs": _logprobs(written),
                "finish_reason": finish,
            }
            for index, (text, finish, fields, written) in enumerate(
                zip(texts, finishes, more, tokens, strict=True)
            )
        ]
        return self._common | {"object": "chat.completion", "choices": choices, "usage": usage}

    def chunk(
        self,
        index: int,
        delta: dict[str, Any],
        finish: str | None = None,
        logprobs: Sequence[dict[str, Any]] = (),
    ) -> dict[str, Any]:
        tokens = _logprobs(logprobs or None)
        choice = {"index": index, "delta": delta, "logprobs": tokens, "finish_reason": finish}
        return self._common | {"object": "chat.completion.chunk", "choices": [choice]}

    def usage_chunk(self, usage: dict[str, int]) -> dict[str, Any]:
        return self._common | {"object": "chat.completion.chunk", "choices": [], "usage": usage}


def _logprobs(tokens: Sequence[dict[str, Any]] | None) -> dict[str, Any] | None:
    return None if tokens is None else {"content": list(tokens), "refusal": None}


def model_entry(name: str, context: int) -> dict[str, Any]:
    """A model, as `/v1/models` lists it; its context as vLLM and as OpenRouter call it."""
    lengths = {"max_model_len": context, "context_length": context}
    return {"id": name, "object": "model", "created": 0, "owned_by": "rna-gpt"} | lengths
