"""Requests and replies in the shapes of OpenAI's responses, made of and into those of the chat.

https://platform.openai.com/docs/api-reference/responses, of which this is the basic form: text and
files in, one message out, whole or as events. Nothing is stored.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rnagpt.evidence.gathering import address_of
from rnagpt.serving.openai_api import (
    ApiError,
    ChatRequest,
    CitedMessage,
    FileData,
    FilePart,
    Message,
    Part,
    RnaPart,
    TextPart,
    check_options,
    without_nulls,
)

_CITATION = re.compile(r"\[([0-9]+)\]")


class InputText(BaseModel):
    type: Literal["input_text", "output_text"]
    text: str


class InputFile(FileData):
    """A FASTA file."""

    type: Literal["input_file"]


InputPart = Annotated[InputText | InputFile | RnaPart, Field(discriminator="type")]


class InputMessage(BaseModel):
    """A message of the conversation, also an answer as it came in `output`."""

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[InputPart]

    def for_chat(self) -> Message:
        if isinstance(self.content, str):
            return Message(role=self.role, content=self.content)
        return Message(role=self.role, content=[_chat_part(part) for part in self.content])


class ResponseRequest(BaseModel):
    """A request; what would change the answer and is not supported is rejected."""

    model_config = ConfigDict(extra="allow")

    model: str
    input: str | Annotated[list[InputMessage], Field(min_length=1)]
    instructions: str | None = None
    max_output_tokens: int | None = Field(default=None, ge=1)
    temperature: float = Field(default=0.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    stream: bool = False
    stream_options: dict[str, Any] = Field({}, description="Changes nothing here.")
    metadata: dict[str, str] = Field({}, description="Comes back with the reply.")

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: Any) -> Any:
        return without_nulls(data)

    @model_validator(mode="after")
    def _check_extras(self) -> ResponseRequest:
        check_options(self.model_extra or {})
        return self

    def for_chat(self) -> ChatRequest:
        """The same as a request of chat completions."""
        messages = [] if self.instructions is None else [_message("system", self.instructions)]
        if isinstance(self.input, str):
            messages.append(_message("user", self.input))
        else:
            messages += [message.for_chat() for message in self.input]
        return ChatRequest(
            model=self.model,
            messages=messages,
            max_completion_tokens=self.max_output_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            stop=[],
        )


def _message(role: Literal["system", "user"], text: str) -> Message:
    return Message(role=role, content=text)


def _chat_part(part: InputText | InputFile | RnaPart) -> Part:
    if isinstance(part, InputText):
        return TextPart(type="text", text=part.text)
    if isinstance(part, InputFile):
        return FilePart(type="file", file=part)
    return part


class OutputText(BaseModel):
    type: Literal["output_text"]
    text: str = Field(description='The answer; "[1]" cites the record of that number.')
    annotations: list[dict[str, Any]] = Field(
        description="A url_citation for each citation whose record has a page."
    )
    logprobs: list[Any]


class OutputMessage(CitedMessage):
    """An answer with what `CitedMessage` carries beside its text, where there is a reference."""

    id: str
    type: Literal["message"]
    status: Literal["in_progress", "completed", "incomplete"]
    content: list[OutputText]  # type: ignore[assignment]


class ResponseReply(BaseModel):
    """A reply that is not streamed; other fields are the defaults of OpenAI's."""

    model_config = ConfigDict(extra="allow")

    id: str
    object: Literal["response"]
    created_at: int
    model: str
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    output: list[OutputMessage]


class ResponseMaker:
    """The replies to one request: whole, or as events.

    Args:
        request: that is answered.
    """

    def __init__(self, request: ResponseRequest) -> None:
        self._request, self._number = request, 0
        self._item_id = f"msg_{uuid.uuid4().hex}"
        self._id, self._created = f"resp_{uuid.uuid4().hex}", int(time.time())

    def whole(
        self, text: str, finish: str, usage: dict[str, int], extras: dict[str, Any]
    ) -> dict[str, Any]:
        """A reply in one piece.

        Args:
            text: of the answer.
            finish: "stop" or "length".
            usage: as `openai_api.usage_of` gives it.
            extras: what the message carries beside its text.
        """
        status = "incomplete" if finish == "length" else "completed"
        reply = self._reply(status, [self._item(status, [_part(text, extras)], extras)])
        if finish == "length":
            reply["incomplete_details"] = {"reason": "max_output_tokens"}
        reply["usage"] = {
            "input_tokens": usage["prompt_tokens"],
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": usage["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage["total_tokens"],
        }
        return reply

    def begin(self) -> Iterator[str]:
        """The events before the first text."""
        begun = self._reply("in_progress", [])
        yield self._event("response.created", response=begun)
        yield self._event("response.in_progress", response=begun)
        item = self._item("in_progress", [], {})
        yield self._event("response.output_item.added", output_index=0, item=item)
        yield self._of_text("response.content_part.added", part=_part("", {}))

    def delta(self, text: str) -> str:
        """The event of more text."""
        return self._of_text("response.output_text.delta", delta=text, logprobs=[])

    def end(
        self, text: str, finish: str, usage: dict[str, int], extras: dict[str, Any]
    ) -> Iterator[str]:
        """The events after the last text; as of `whole`."""
        reply = self.whole(text, finish, usage, extras)
        (item,) = reply["output"]
        yield self._of_text("response.output_text.done", text=text, logprobs=[])
        yield self._of_text("response.content_part.done", part=item["content"][0])
        yield self._event("response.output_item.done", output_index=0, item=item)
        yield self._event(f"response.{reply['status']}", response=reply)

    def failed(self, error: ApiError) -> str:
        """The event of an answer that failed, in place of what is missing."""
        reply = self._reply("failed", [])
        reply["error"] = {"code": "server_error", "message": error.message}
        return self._event("response.failed", response=reply)

    def _reply(self, status: str, output: Sequence[dict[str, Any]]) -> dict[str, Any]:
        request = self._request
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "model": request.model,
            "status": status,
            "output": list(output),
            "error": None,
            "incomplete_details": None,
            "instructions": request.instructions,
            "max_output_tokens": request.max_output_tokens,
            "metadata": request.metadata,
            "parallel_tool_calls": False,
            "previous_response_id": None,
            "store": False,
            "temperature": request.temperature,
            "text": {"format": {"type": "text"}},
            "tool_choice": "none",
            "tools": [],
            "top_p": request.top_p,
            "truncation": "disabled",
            "usage": None,
        }

    def _item(
        self, status: str, content: list[dict[str, Any]], extras: dict[str, Any]
    ) -> dict[str, Any]:
        own = {"id": self._item_id, "type": "message", "role": "assistant", "status": status}
        return {**own, "content": content, **extras}

    def _of_text(self, kind: str, **fields: Any) -> str:
        return self._event(kind, item_id=self._item_id, output_index=0, content_index=0, **fields)

    def _event(self, kind: str, **fields: Any) -> str:
        body = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return f"event: {kind}\ndata: {json.dumps(body, ensure_ascii=False)}\n\n"


def _part(text: str, extras: dict[str, Any]) -> dict[str, Any]:
    citations = _citations(text, extras.get("evidence", []))
    return {"type": "output_text", "text": text, "annotations": citations, "logprobs": []}


def _citations(text: str, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Where a text cites records that have a page, in OpenAI's shape."""
    known = {record["number"]: record for record in records}
    cited = [(match, known.get(int(match[1]))) for match in _CITATION.finditer(text)]
    return [
        {
            "type": "url_citation",
            "start_index": match.start(),
            "end_index": match.end() - 1,  # of the last character
            "title": f"{record['id']} {record['name']}",
            "url": address_of(record["id"]),
        }
        for match, record in cited
        if record and address_of(record["id"])
    ]


__all__ = ["ResponseMaker", "ResponseReply", "ResponseRequest"]
