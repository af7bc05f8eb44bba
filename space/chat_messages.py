"""Turns as the messages of the chat, and back."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from conversation import Turn
from plain_text import visible

from rnagpt.evidence.confidence import CONFIDENCE_MEANS, confidence_word

_CITATION = re.compile(r"\[(\d{1,4})\]")


def as_chat(turns: Sequence[Turn], *, growing: bool = False) -> list[dict[str, str]]:
    """Turns as messages for people to read, as `gr.Chatbot` takes them.

    Without Markdown it still takes what it is given for HTML, and leaves out what it holds unsafe.

    Args:
        growing: whether the last answer is still being written, and nothing is to be said of it.
    """
    messages = []
    for number, turn in enumerate(turns, start=1):
        ended = not (growing and number == len(turns))
        for role, text in (("user", _shown(turn.question)), ("assistant", _answer(turn, ended))):
            messages.append({"role": role, "content": text})
    return messages


def _answer(turn: Turn, ended: bool) -> str:
    """An answer as HTML, its citations links to the list of records."""
    numbers = {record["number"] for record in turn.evidence}
    text = _CITATION.sub(
        lambda cited: _link(cited) if int(cited[1]) in numbers else cited[0],
        _shown(turn.answer.strip()),
    )
    if not ended or not turn.remarks:
        return text
    remarks = f"({_shown(turn.remarks)})"
    if turn.sureness.startswith("confidence"):
        means = html.escape(CONFIDENCE_MEANS[confidence_word(turn.confidence)])
        remarks = f'<span title="{means}">{remarks}</span>'
    return f"{text}\n\n{remarks}"


def _link(cited: re.Match[str]) -> str:
    return f'<a href="#record-{cited[1]}" title="Show record {cited[1]}">{cited[0]}</a>'


def _shown(text: str) -> str:
    return html.escape(visible(text), quote=False)


def as_typed(shown: str) -> str:
    """A text of `as_chat` as its writer typed it."""
    return html.unescape(shown)
