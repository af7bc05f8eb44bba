"""What tests of the Space without a browser share: limits, conversations, what a page shows."""

import base64
import dataclasses
import json
from collections.abc import Iterable
from html.parser import HTMLParser
from typing import Any

from helpers.tiny_space import (
    SPACE,
    comparison,
    conversation,
    rna_panel,
    space_limits,
)

from rnagpt import (
    Answer,
    CleanedRna,
    clean_rna,
    read_fasta,
)

LIMITS = space_limits.Limits(max_new_tokens=12)
HAIRPIN = "GGGGAAAACCCC"
SCRIPT = "<script>alert(1)</script>"
LINK = "[here](https://example.org)"


def packed(content: bytes) -> str:
    return base64.b64encode(content).decode()


def conversation_of(*rnas: CleanedRna) -> conversation.Conversation:
    return conversation.Conversation(rnas=[conversation.ShownRna(rna) for rna in rnas])


class _Tags(HTMLParser):
    """The tags of a document as a parser of HTML sees them, with their attributes."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def read_tags(document: str) -> tuple[set[str], set[str]]:
    """Names of the tags and of the attributes."""
    found = _Tags(document).tags
    return {tag for tag, _ in found}, {name for _, attributes in found for name in attributes}


def compared(question: str, rna: CleanedRna, answer: Answer) -> comparison.Comparison:
    """A comparison of an RNA with itself."""
    both = comparison.compare(question, [(rna, None), (rna, None)])
    for record in (1, 2):
        both.add(dataclasses.replace(answer, record=record))
    return both


def searched(*rnas: CleanedRna) -> conversation.Conversation:
    talk = conversation_of(*rnas)
    for shown in talk.rnas:
        rna_panel.find(shown, talk)
    return talk


def links_in(document: str) -> set[str | None]:
    return {has["href"] for tag, has in _Tags(document).tags if tag == "a" and "href" in has}


def final(updates: Iterable[dict[Any, Any]]) -> dict[Any, Any]:
    """The last update of each part."""
    merged: dict[Any, Any] = {}
    for update in updates:
        merged |= update
    return merged


def commands(field: Any, updates: Iterable[dict[Any, Any]]) -> list[dict[str, str]]:
    """What the browser is told about a field, in order."""
    told = [json.loads(update[field]) for update in updates if field in update]
    return [{key: value for key, value in one.items() if key != "at"} for one in told]


def examples(*numbers: int) -> list[CleanedRna]:
    """A tRNA (0), a 5S ribosomal RNA (1) and others, named by their accessions."""
    records = list(read_fasta(SPACE / "examples.fasta"))
    return [clean_rna(records[n].sequence, name=records[n].name) for n in numbers]
