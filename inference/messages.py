"""Messages as the processor's chat template takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def user_message(question: str, sequences: Sequence[str]) -> dict[str, Any]:
    """A question with the RNAs that it brings, as the processor's chat template takes it."""
    parts: list[dict[str, str]] = [{"type": "rna", "rna": sequence} for sequence in sequences]
    return {"role": "user", "content": [*parts, {"type": "text", "text": question}]}


def rnas_of(messages: Sequence[Mapping[str, Any]]) -> list[str]:
    """The RNAs of a conversation, in order."""
    contents = [message["content"] for message in messages]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    return [part["rna"] for part in parts if part["type"] == "rna"]


__all__ = ["rnas_of", "user_message"]
