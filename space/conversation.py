"""One visitor's conversation: its RNAs and turns, and how it is written down."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rnagpt.fasta import FastaRecord
from rnagpt.generation_rnagpt import user_message
from rnagpt.processing_rnagpt import CleanedRna

# What Markdown or HTML could read as markup in a name or an answer.
_MARKUP = re.compile(r"([\\`*_\[\]<>#|~!&])")
# What could begin a list or a rule.
_BEGINNING = re.compile(r"^(\d*)([-+=.)])")


@dataclass
class ShownRna:
    """An RNA of a conversation with its drawing: None while that is not made yet."""

    rna: CleanedRna
    drawing: str | None = None


@dataclass(frozen=True)
class Turn:
    """A question with its answer.

    Attributes:
        question: as asked.
        answer: as far as it was written.
        num_rnas: RNAs of the conversation that the model had read by then.
        confidence: from 0 to 1; None where the model gives none.
        note: how the answer came to be, where that is worth saying: "stopped".
    """

    question: str
    answer: str
    num_rnas: int
    confidence: float | None = None
    note: str = ""

    @property
    def remarks(self) -> str:
        """Confidence and note, for people to read; empty where there is neither."""
        sure = "" if self.confidence is None else f"confidence {self.confidence:.2f}"
        return " · ".join(filter(None, [sure, self.note]))


@dataclass
class Conversation:
    """What the server keeps of one visitor, in memory alone.

    Attributes:
        records: FASTA records to choose from.
        answering: whether an answer is being written.
        stopping: whether the visitor wants it to end.
        closed: whether a new conversation has taken this one's place.
    """

    rnas: list[ShownRna] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    records: list[FastaRecord] = field(default_factory=list)
    answering: bool = False
    stopping: bool = False
    closed: bool = False

    @property
    def num_read(self) -> int:
        """RNAs that the model has read; they stay as long as the conversation."""
        return self.turns[-1].num_rnas if self.turns else 0

    def messages(self, num_turns: int | None = None) -> list[dict[str, Any]]:
        """The first turns, default all, as the processor's chat template takes them."""
        messages: list[dict[str, Any]] = []
        num_read = 0
        for turn in self.turns[:num_turns]:
            brought = self.rnas[num_read : turn.num_rnas]
            num_read = turn.num_rnas
            question = user_message(turn.question, [shown.rna.sequence for shown in brought])
            messages += [question, {"role": "assistant", "content": turn.answer}]
        return messages

    def new_rnas(self, num_turns: int) -> list[CleanedRna]:
        """RNAs that the question after the first turns brings."""
        num_read = self.turns[num_turns - 1].num_rnas if num_turns else 0
        return [shown.rna for shown in self.rnas[num_read:]]


def as_markdown(conversation: Conversation, model: str) -> str:
    """The conversation as a Markdown document; no markup in names or answers survives in it."""
    lines = [f"# A conversation with {_plain(model)}", ""]
    for shown in conversation.rnas:
        rna = shown.rna
        facts = ", ".join([f"{len(rna.sequence):,} nt", *rna.changes])
        lines += [f"## RNA {_plain(rna.name)} ({facts})", "", f"`{rna.sequence}`", ""]
    for turn in conversation.turns:
        remarks = f" *({turn.remarks})*" if turn.remarks else ""
        lines += [f"**{_plain(turn.question)}**", "", _plain(turn.answer.strip()) + remarks, ""]
    return "\n".join(lines)


def as_json(conversation: Conversation, model: str) -> str:
    """The conversation as a JSON document: `model`, `rnas` and `turns`."""
    rnas = [
        {"name": shown.rna.name, "sequence": shown.rna.sequence, "changes": shown.rna.changes}
        for shown in conversation.rnas
    ]
    turns = [vars(turn) for turn in conversation.turns]
    document = {"model": model, "rnas": rnas, "turns": turns}
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def as_chat(turns: Sequence[Turn]) -> list[dict[str, str]]:
    """Turns as messages for people to read, as `gr.Chatbot` takes them.

    Without Markdown it still takes what it is given for HTML, and leaves out what it holds unsafe.
    """
    messages = []
    for turn in turns:
        remarks = f"\n\n({turn.remarks})" if turn.remarks else ""
        for role, text in (("user", turn.question), ("assistant", turn.answer.strip() + remarks)):
            messages.append({"role": role, "content": html.escape(text, quote=False)})
    return messages


def as_typed(shown: str) -> str:
    """A text of `as_chat` as its writer typed it."""
    return html.unescape(shown)


def _plain(text: str) -> str:
    """A text in one paragraph whose markup is escaped."""
    escaped = _MARKUP.sub(r"\\\1", " ".join(text.split()))
    return _BEGINNING.sub(r"\1\\\2", escaped)


__all__ = ["Conversation", "ShownRna", "Turn", "as_chat", "as_json", "as_markdown", "as_typed"]
