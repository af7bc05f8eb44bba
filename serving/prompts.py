"""Prompts for an engine from requests: checked, cleaned, tokenised."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from jinja2 import TemplateError

from rnagpt.cleaning_rnagpt import (
    MAX_AMBIGUOUS,
    CleanedRna,
    RnaSequenceError,
    RnaTooLongError,
    clean_rna,
)
from rnagpt.inference.cited import PromptRejectedError, Request
from rnagpt.inference.messages import user_message
from rnagpt.serving.engines.base import Prompt, Sampling
from rnagpt.serving.limits import Limits
from rnagpt.serving.openai_api import (
    ApiError,
    ChatRequest,
    FilePart,
    Message,
    Part,
    RnaPart,
    TextPart,
)
from rnagpt.serving.pasted_rnas import MIN_LETTERS, UnclearSequenceError, find_pasted
from rnagpt.serving.prompt_encoders import PromptEncoder
from rnagpt.serving.rna_files import FileError, FileTooLargeError, read_file
from rnagpt.serving.text_bounds import TextBounds

_SEEDS = 2**63
# What a reply begins with where it read RNAs from a text; it comes back with the conversation.
_NOTE = "RNA read from the text: "
_UNASKED = "No question was asked; this answers: "
_NOTES = re.compile(rf"\A(?:{_NOTE}[^\n]*\n)+(?:{_UNASKED}[^\n]*\n)?\n")
_QUESTIONS = {False: "What is this RNA?", True: "What are these RNAs?"}
# Line breaks and gaps take letters too.
_WRITTEN_PER_NUCLEOTIDE, _WRITTEN_BESIDE = 16, 4096
# Letters of a question that is looked up; the patterns take some 50 ms for so many.
MAX_QUESTION = 20_000


def max_written(nucleotides: int) -> int:
    """Letters of the longest text that may hold an RNA of so many nt."""
    return _WRITTEN_PER_NUCLEOTIDE * nucleotides + _WRITTEN_BESIDE


@dataclass(frozen=True)
class Prepared:
    """A request, ready for an engine.

    Attributes:
        prompt: of the conversation.
        samplings: of its answers.
        note: what the answers begin with, to say which RNAs were read from the last message's text.
        num_rnas: in the conversation.
    """

    prompt: Prompt
    samplings: list[Sampling]
    note: str
    num_rnas: int


@dataclass(frozen=True)
class Conversation:
    """A request that is answered from evidence.

    Attributes:
        rnas: of all messages, in order; without a name where the client gave none.
        question: the last message's.
        note: see `Prepared`.
    """

    rnas: list[CleanedRna]
    question: str
    note: str


class Prompts:
    """Makes prompts of requests.

    Args:
        encoder: of the model's prompts.
        context: tokens that the language model reads, the answer included.
        limits: of requests.
        searching: RNAs are searched in a reference, and may be longer than the model reads.
    """

    def __init__(
        self, encoder: PromptEncoder, context: int, limits: Limits, searching: bool = False
    ) -> None:
        self._encoder, self.context, self.limits = encoder, context, limits
        self.searching = searching
        self._longest_read: int = encoder.limits["max_length"]
        self.max_rna_length = limits.max_searched_nt if searching else self._longest_read
        longest_token = max(map(len, encoder.tokenizer.get_vocab()))
        self._bounds = TextBounds(encoder.count, longest_token, context)

    def prepare(self, request: ChatRequest) -> Prepared:
        """The prompt of a request, and how each of its answers is to be chosen; from any thread.

        A conversation without an RNA as a part takes those that stand in its texts.

        Raises:
            ApiError: the request cannot be served; says why.
        """
        messages, pasted = self._read(request)
        prompt, rnas = self._tokenised(messages)
        note = _note_of(rnas, pasted)
        if note and request.logprobs:
            raise ApiError(
                400,
                "logprobs tell of the model's tokens, and an answer about RNAs that were read from "
                "the text begins with lines of this server's. Give the RNA as a part of the "
                'message: {"type": "rna", "rna": "ACGU..."}.',
                param="logprobs",
                code="no_logprobs",
            )
        return Prepared(prompt, self.samplings(request, prompt.room), note, len(rnas))

    def converse(self, request: ChatRequest) -> Conversation:
        """The RNAs of a request and its question, for an answer from evidence; from any thread.

        Earlier questions and answers, and what a system message says, change no such answer.

        Raises:
            ApiError: the request cannot be served; says why.
        """
        messages, pasted = self._read(request)
        self._check_rnas(messages)
        with _as_api_errors():
            rnas = [
                self._searched(rna, number)
                for number, rna in enumerate(_rnas_of(messages), start=1)
            ]
        question = "".join(_with_question(messages[-1]).texts()).strip()
        self._check_question(question)
        return Conversation(rnas, question, _note_of(rnas, pasted))

    def about_one(self, asked: Request) -> Prompt:
        """The prompt of a question about one RNA alone; from any thread.

        Raises:
            PromptRejectedError: the model cannot read it.
        """
        if len(asked.rna.sequence) > self._longest_read:
            raise PromptRejectedError("The RNA is longer than the model reads.")
        conversation = [user_message(asked.text, [asked.rna.sequence])]
        try:
            inputs, length = self._encoder.encode(conversation)
        except (ValueError, TemplateError) as error:
            raise PromptRejectedError(str(error)) from error
        if length >= self.context or length > self._encoder.longest:
            raise PromptRejectedError(f"The prompt takes {length:,} tokens.")
        return Prompt(inputs, length, self.context - length)

    def _read(self, request: ChatRequest) -> tuple[list[Message], list[Message]]:
        """The messages with a question and with RNAs as parts; and where these were read from the
        texts, the same as they were written."""
        self._check_request(request)
        messages, pasted = self._with_files(request.messages), []
        if not any(message.rnas() for message in messages):
            pasted = self._with_pasted(messages)
            messages = [_with_question(message) for message in pasted]
        return messages, pasted

    def _searched(self, text: str, number: int) -> CleanedRna:
        """An RNA, cleaned; errors call it by its number."""
        rna = clean_rna(
            text, name=str(number), max_length=self.max_rna_length, max_ambiguous=MAX_AMBIGUOUS
        )
        return replace(rna, name="") if rna.name == str(number) else rna

    def _check_question(self, question: str) -> None:
        if not question:
            raise ApiError(400, "The last message holds no question.", param="messages")
        if len(question) > MAX_QUESTION:
            raise ApiError(
                400,
                f"The question has {len(question):,} letters; at most {MAX_QUESTION:,} are read. "
                "This exceeds the maximum context length. Ask in fewer words.",
                param="messages",
                code="context_length_exceeded",
            )

    def _tokenised(self, messages: list[Message]) -> tuple[Prompt, list[CleanedRna]]:
        self._check_rnas(messages)
        if self._bounds.too_long(text for message in messages for text in message.texts()):
            raise self._too_long("more")
        with _as_api_errors():
            conversation, rnas = self._cleaned(messages)
            inputs, length = self._encoder.encode(conversation)
        if length >= self.context or length > self._encoder.longest:
            of_rnas = sum(self._encoder.num_rna_tokens(len(rna.sequence)) for rna in rnas)
            raise self._too_long(f"{length:,}, {of_rnas:,} of them for RNA")
        return Prompt(inputs, length, self.context - length), rnas

    def _check_request(self, request: ChatRequest) -> None:
        """Reject what can be rejected before the texts are read."""
        if request.messages[-1].role != "user":
            raise ApiError(
                400,
                f"The last message is the {request.messages[-1].role}'s; expected the user's "
                "question.",
                param="messages",
            )
        if _is_front_end_task("".join(request.messages[-1].texts())):
            raise ApiError(
                400,
                "This is a chat front end's own request for a title, tags or the like, and not a "
                "question about an RNA; this model only answers about RNAs. Switch such requests "
                "off, or let another model answer them (in Open WebUI: admin settings, Interface).",
                param="messages",
                code="front_end_task",
            )
        if request.n > self.limits.max_choices:
            raise ApiError(
                400,
                f"n is {request.n}; at most {self.limits.max_choices} answers are given to a "
                "request.",
                param="n",
            )
        letters = sum(len(text) for message in request.messages for text in message.texts())
        of_rnas = self.limits.max_rnas * self.max_rna_length
        # Each message has at least one token.
        if len(request.messages) > self.context or letters > self._bounds.max_letters + of_rnas:
            raise self._too_long("more")

    def _with_files(self, messages: list[Message]) -> list[Message]:
        """The messages with the RNAs of files as parts, in the places of the files."""
        left = self.limits.max_rnas + 1  # one too many is enough to reject
        whole: list[Message] = []
        for index, message in enumerate(messages):
            if not message.has_files() or isinstance(message.content, str):
                whole.append(message)
                continue
            parts: list[Part] = []
            for part in message.content:
                if isinstance(part, FilePart):
                    found = self._rnas_of_file(part, left, f"messages.{index}.content")
                    left -= len(found)
                    parts += found
                else:
                    parts.append(part)
            whole.append(Message(role=message.role, content=parts))
        return whole

    def _rnas_of_file(self, part: FilePart, most: int, place: str) -> list[RnaPart]:
        name, data = part.file.filename or "", part.file.file_data or ""
        try:
            records = read_file(data, name, self.limits.max_body_bytes)
            return [
                RnaPart(type="rna", rna=f">{record.name}\n{record.sequence}")
                for record in itertools.islice(records, most)
            ]
        except FileTooLargeError as error:
            raise ApiError(413, str(error), param=place, code="file_too_large") from error
        except FileError as error:
            raise ApiError(400, str(error), param=place, code="invalid_file") from error

    def _with_pasted(self, messages: list[Message]) -> list[Message]:
        """The messages with the RNAs of the users' texts as parts, before what is left of the text.

        Raises:
            ApiError: there is none.
        """
        parted: list[Message] = []
        for index, message in enumerate(messages):
            if message.role == "assistant":
                text = _NOTES.sub("", "".join(message.texts()))
                parted.append(Message(role="assistant", content=text))
            elif message.role == "user":
                given = len(_rnas_of(parted)) if self.searching else 0
                parted.append(self._with_parts(message, index, given))
            else:
                parted.append(message)
        if not any(message.rnas() for message in parted):
            raise ApiError(
                400,
                "The conversation holds no RNA, and this model only answers about RNAs. Write the "
                f"sequence into the message ({MIN_LETTERS} or more nucleotides at a stretch, or "
                'a FASTA record), or give it as a part: {"type": "rna", "rna": "ACGU..."}.',
                param="messages",
                code="no_rna",
            )
        return parted

    def _with_parts(self, message: Message, index: int, given: int) -> Message:
        """A user's message with the RNAs of its text as parts, after `given` RNAs."""
        try:
            found = find_pasted("".join(message.texts()), self.limits.max_rnas, given)
        except UnclearSequenceError as error:
            place = f"messages.{index}.content"
            raise ApiError(400, str(error), param=place, code="invalid_rna") from error
        if not found.rnas:
            return message
        parts: list[Part] = [RnaPart(type="rna", rna=rna) for rna in found.rnas]
        if found.text:
            parts.append(TextPart(type="text", text=found.text))
        return Message(role="user", content=parts)

    def _check_rnas(self, messages: list[Message]) -> None:
        number = 0
        for index, message in enumerate(messages):
            rnas = message.rnas()
            if rnas and message.role != "user":
                raise ApiError(
                    400,
                    f"Message {index} is the {message.role}'s and holds an RNA; RNAs belong into "
                    "the user's messages.",
                    param=f"messages.{index}.content",
                )
            for rna in rnas:
                number += 1
                self._check_written_length(rna, number)
        if number > self.limits.max_rnas:
            raise ApiError(
                413,
                f"The conversation holds {number} RNAs; at most {self.limits.max_rnas} are "
                "accepted.",
                param="messages",
                code="too_many_rnas",
            )

    def _check_written_length(self, rna: str, number: int) -> None:
        longest = self.max_rna_length
        if len(rna) > max_written(longest):
            raise ApiError(
                413,
                f"RNA '{number}' is a text of {len(rna):,} letters; an RNA has at most "
                f"{longest:,} nt here. Give the part that the question is about.",
                param="messages",
                code="rna_too_long",
            )

    def _cleaned(self, messages: list[Message]) -> tuple[list[dict[str, Any]], list[CleanedRna]]:
        """The messages with cleaned RNAs, and these, counted from 1 for errors."""
        conversation = [message.for_processor() for message in messages]
        rnas: list[CleanedRna] = []
        for message in conversation:
            for part in message["content"] if isinstance(message["content"], list) else ():
                if part["type"] == "rna":
                    name = str(len(rnas) + 1)
                    rna = clean_rna(part["rna"], name=name, **self._encoder.limits)
                    rnas.append(rna)
                    part["rna"] = rna.sequence
        return conversation, rnas

    def samplings(self, request: ChatRequest, room: int) -> list[Sampling]:
        """How each answer to a request is chosen, where the context has room for so many tokens."""
        wanted = request.requested_tokens or self.limits.max_tokens
        return [
            Sampling(
                # More than there can be is as much as there can be: clients send their own maximum.
                max_tokens=min(wanted, self.limits.max_tokens, room),
                temperature=request.temperature,
                top_p=request.top_p,
                # Answers to one request differ, and are the same in the next with this seed.
                seed=None if request.seed is None else (request.seed + index) % _SEEDS,
                top=(request.top_logprobs or 0) if request.logprobs else None,
            )
            for index in range(request.n)
        ]

    def _too_long(self, taken: str) -> ApiError:
        """The error for a conversation with too many tokens."""
        # LiteLLM and LangChain go by these first words as well as by the code.
        return ApiError(
            400,
            f"This model's maximum context length is {min(self.context, self._encoder.longest)} "
            f"tokens, the answer included; the conversation takes {taken}. Give a shorter text, or "
            "fewer or shorter RNAs.",
            param="messages",
            code="context_length_exceeded",
        )


def _is_front_end_task(text: str) -> bool:
    """Whether a text is a prompt of Open WebUI's background tasks, by how all of them are made."""
    return text.lstrip().startswith("### Task:") and "<chat_history>" in text


def _rnas_of(messages: list[Message]) -> list[str]:
    return [rna for message in messages for rna in message.rnas()]


def _note_of(rnas: list[CleanedRna], pasted: list[Message]) -> str:
    """What an answer begins with; `pasted` is empty where no RNA was read from a text."""
    new = rnas[len(rnas) - len(pasted[-1].rnas()) :] if pasted else []
    return _note(new, _question_for(pasted[-1])) if new else ""


def _question_for(message: Message) -> str | None:
    """The question for RNAs that a person pasted without any text; None where there is text."""
    rnas = message.rnas()
    return _QUESTIONS[len(rnas) > 1] if rnas and not message.texts() else None


def _with_question(message: Message) -> Message:
    if (question := _question_for(message)) is None:
        return message
    rnas = [RnaPart(type="rna", rna=rna) for rna in message.rnas()]
    return Message(role="user", content=[*rnas, TextPart(type="text", text=question)])


def _note(rnas: list[CleanedRna], question: str | None) -> str:
    """Which RNAs were read from a text, and which question is answered where none was given."""
    lines = [f"{_NOTE}{_described(rna)}" for rna in rnas]
    return "\n".join([*lines, *([f"{_UNASKED}{question}"] if question else []), "", ""])


def _described(rna: CleanedRna) -> str:
    sequence, name = rna.sequence, rna.name
    shown = sequence if len(sequence) <= 24 else f"{sequence[:10]}...{sequence[-10:]}"
    changes = f" ({', '.join(rna.changes)})" if rna.changes else ""
    named = "" if not name or name.isdecimal() else f"{name[:40]}: "
    return f"{named}{len(sequence):,} nt, {shown}{changes}"


@contextmanager
def _as_api_errors() -> Iterator[None]:
    try:
        yield
    except RnaTooLongError as error:
        raise ApiError(413, str(error), param="messages", code="rna_too_long") from error
    except RnaSequenceError as error:
        raise ApiError(422, str(error), param="messages", code="invalid_rna") from error
    except (ValueError, TemplateError) as error:
        # Some chat templates take no system message, or want the roles to alternate.
        raise ApiError(400, str(error), param="messages") from error
