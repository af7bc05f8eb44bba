"""Conversations by visitor; what is evicted here is restored from the visitor's own page.

The page holds its conversation as the JSON document that it offers for download, and sends it
with every event. So no number of other visitors, and no restart, costs anyone a conversation: the
server's copy is a cache.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

import validation
from conversation import Conversation, ShownRna, Turn
from plain_text import check_text
from pydantic import TypeAdapter, ValidationError
from space_limits import Limits

from rnagpt import CleanedRna, FastaRecord

_SECONDS_IDLE = 3600


@dataclass(frozen=True)
class _SavedRna(CleanedRna):
    description: str = ""


@dataclass(frozen=True)
class _Saved:
    model: str
    rnas: list[_SavedRna]
    turns: list[Turn]


_SAVED = TypeAdapter(_Saved)


class Visitors:
    """The conversations in memory, by Gradio's session; safe to use from many threads."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._lock = threading.Lock()
        # The one used least recently first.
        self._held: OrderedDict[str, tuple[Conversation, float]] = OrderedDict()

    def conversation(self, session: str, saved: str) -> Conversation:
        """The visitor's conversation; taken up from what his page holds where it was forgotten.

        Args:
            session: Gradio's name for an open page.
            saved: `as_json` of the conversation as the page shows it; empty for a new one.

        Raises:
            ValueError: when `saved` is needed and is no such document, or beyond the limits.
        """
        with self._lock:
            found = self._held.get(session)
            conversation = found[0] if found else restored(saved, self.limits)
            self._hold(session, conversation)
            return conversation

    def start_over(self, session: str) -> Conversation:
        """A new conversation; the old one ends, whatever it was doing."""
        with self._lock:
            if found := self._held.get(session):
                found[0].stopping = found[0].closed = True
            fresh = Conversation(fresh=True)
            self._hold(session, fresh)
            return fresh

    def _hold(self, session: str, conversation: Conversation) -> None:
        now = time.monotonic()
        self._held[session] = (conversation, now)
        self._held.move_to_end(session)
        for other, (idle, used) in list(self._held.items()):
            crowded = len(self._held) > self.limits.max_conversations
            if not crowded and now - used <= _SECONDS_IDLE:
                break
            if other != session and not idle.answering:
                del self._held[other]


def restored(saved: str, limits: Limits) -> Conversation:
    """A conversation of its JSON document, which a visitor may have changed: all is checked.

    Raises:
        ValueError: when it is none, or beyond the limits.
    """
    if not saved:
        return Conversation()
    try:
        check_text(saved, "The conversation", limits.max_upload_bytes)
        document = _SAVED.validate_json(saved)
        _check(document, limits)
    except (ValidationError, ValueError) as error:
        raise ValueError(
            "What your page holds of this conversation cannot be read. Download it, then begin a "
            "new conversation."
        ) from error
    rnas = [
        ShownRna(CleanedRna(rna.name, rna.sequence, rna.changes), rna.description)
        for rna in document.rnas
    ]
    return Conversation(rnas=rnas, turns=document.turns)


def _check(document: _Saved, limits: Limits) -> None:
    if len(document.rnas) > limits.max_rnas:
        raise ValueError("too many RNAs")
    records = [FastaRecord(rna.name, rna.description, rna.sequence, 1) for rna in document.rnas]
    for rna, cleaned in zip(document.rnas, validation.cleaned(records, limits), strict=True):
        if cleaned.sequence != rna.sequence:
            raise ValueError("an RNA that is not cleaned")
    num_read = 1
    for turn in document.turns:
        validation.check_question(turn.question, limits)
        if not num_read <= turn.num_rnas <= len(document.rnas):
            raise ValueError("a turn about RNAs that are not there")
        if not all(0 <= place < turn.num_rnas for place in turn.chosen):
            raise ValueError("a turn about RNAs that it does not have")
        num_read = turn.num_rnas
