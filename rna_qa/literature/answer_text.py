"""The text of a language model's answer, and the JSON in it, whatever a service wraps around it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

# Parts of a content that are no part of the answer.
_THOUGHTS = frozenset(("thinking", "reasoning", "redacted_thinking"))
_THOUGHT = re.compile(r"<(?P<name>think|thinking|thought|thoughts|reasoning|reflection)>", re.I)
# Where the template of the model has opened it already.
_END_OF_THOUGHT = re.compile(r"</(?:think|thinking|thought|thoughts|reasoning|reflection)>", re.I)
_FENCE = re.compile(r"```(?:[a-z]\w*)?\s*(?P<json>[\[{].*[\]}])\s*```", re.DOTALL | re.IGNORECASE)
_OPEN_FENCE = re.compile(r"```(?:[a-z]\w*)?\s*", re.IGNORECASE)
_HALF_CHARACTER = re.compile("\\\\ud[89a-f]|[\ud800-\udfff]", re.IGNORECASE)


def text_of_content(content: object) -> str | None:
    """The text of a message's content, be it a string, parts or nothing; None where it is no text.

    Half a character (a lone surrogate) becomes JSON's escape for it, so that it can be stored.
    """
    if content is None:
        return ""
    if isinstance(content, str):
        return content.encode("utf-8", "backslashreplace").decode()
    if not isinstance(content, list):
        return None
    texts = [text_of_part(part) for part in content]
    return text_of_content("".join(filter(None, texts))) if None not in texts else None


def text_of_part(part: object) -> str | None:
    """The text of one part of a content; "" for thoughts and refusals, None where it is no text."""
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping):
        return None
    if part.get("type") in _THOUGHTS or part.get("type") == "refusal":
        return ""
    text = part.get("text")
    return text if isinstance(text, str) else None


def refusal_of(message: Mapping[str, Any]) -> str | None:
    """What a message says in place of an answer, in a field of its own or as a part."""
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    for part in (message, *parts):
        if isinstance(part, Mapping) and part.get("refusal"):
            return text_of_content(str(part["refusal"]))
    return None


def parse_json(text: str) -> Any:
    """The JSON of an answer, also in a fence (```` ```json ````) or behind ``<think>…</think>``.

    Raises:
        ValueError: if there is none, or a string of it holds half a character.
        RecursionError: if it is nested too deeply.
    """
    try:
        value = json.loads(text)
    except ValueError:
        unwrapped = unwrap(text)
        if unwrapped == text:
            raise
        value = json.loads(unwrapped)
    if _HALF_CHARACTER.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"half a character, {text_around(error)}") from error
    return value


def first_words(text: str, most: int = 300) -> str:
    """The beginning of what a service said, on one line, for an error."""
    return " ".join(text[: 2 * most].split())[:most]


def text_around(error: UnicodeEncodeError) -> str:
    """The words around half a character, with its escape."""
    start, end = max(0, error.start - 20), error.end + 20
    return ascii(error.object[start:end])


def unwrap(text: str) -> str:
    """The text without thoughts before it and a fence around it."""
    text = without_thoughts(text.lstrip("\ufeff").strip())
    fence = _FENCE.search(text)
    return fence["json"] if fence else text


def without_thoughts(text: str) -> str:
    """The text behind its thoughts; nothing where they do not end."""
    if opened := _THOUGHT.match(text):
        _, _, rest = text.partition(f"</{opened['name']}>")
        return rest.strip()
    if text[:1] not in "{[" and (ends := list(_END_OF_THOUGHT.finditer(text))):
        return text[ends[-1].end() :].strip()
    return text


def begins_json(text: str) -> bool:
    """Whether the answer has got to its JSON, however far that goes."""
    text = without_thoughts(text.lstrip("\ufeff").strip())
    return _OPEN_FENCE.sub("", text, count=1)[:1] in ("{", "[")


__all__ = [
    "begins_json",
    "first_words",
    "parse_json",
    "refusal_of",
    "text_around",
    "text_of_content",
    "unwrap",
]
