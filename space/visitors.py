"""Whose conversation is whose. What is forgotten here is taken up from the visitor's own page.

The page holds its conversation as the JSON document that it offers for download, and sends it
with every event. So no number of other visitors, and no restart, costs anyone a conversation: what
the server keeps is a cache.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

import refusals
from conversation import Conversation, ShownRna, Turn
from plain_text import check_text
from pydantic import TypeAdapter, ValidationError
from space_limits import Limits

from rnagpt.processing_rnagpt import CleanedRna
from rnagpt.sequences.fasta import FastaRecord

_SECONDS_IDLE = 3600


@dataclass(frozen=True)
class _KeptRna:
    name: str
    sequence: str
    changes: tuple[str, ...]


@dataclass(frozen=True)
class _Kept:
    model: str
    rnas: list[_KeptRna]
    turns: list[Turn]


_KEPT = TypeAdapter(_Kept)


class Visitors:
    """The conversations in memory, by Gradio's session; safe to use from many threads."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._lock = threading.Lock()
        # The one used least recently first.
        self._held: OrderedDict[str, tuple[Conversation, float]] = OrderedDict()

    def conversation(self, session: str, kept: str) -> Conversation:
        """The visitor's conversation; taken up from what his page holds where it was forgotten.

        Args:
            session: Gradio's name for an open page.
            kept: `as_json` of the conversation as the page shows it; empty for a new one.

        Raises:
            ValueError: when `kept` is needed and is no such document, or beyond the limits.
        """
        with self._lock:
            found = self._held.get(session)
            conversation = found[0] if found else restored(kept, self.limits)
            self._hold(session, conversation)
            return conversation

    def begin_anew(self, session: str) -> Conversation:
        """A new conversation; the old one ends, whatever it was doing."""
        with self._lock:
            if found := self._held.get(session):
                found[0].stopping = found[0].closed = True
            fresh = Conversation()
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


def restored(kept: str, limits: Limits) -> Conversation:
    """A conversation of its JSON document, which a visitor may have changed: all is checked.

    Raises:
        ValueError: when it is none, or beyond the limits.
    """
    if not kept:
        return Conversation()
    try:
        check_text(kept, "The conversation", limits.max_upload_bytes)
        document = _KEPT.validate_json(kept)
        _check(document, limits)
    except (ValidationError, ValueError) as error:
        raise ValueError(
            "What your page holds of this conversation cannot be read. Download it, then begin a "
            "new conversation."
        ) from error
    rnas = [CleanedRna(rna.name, rna.sequence, rna.changes) for rna in document.rnas]
    return Conversation(rnas=[ShownRna(rna) for rna in rnas], turns=document.turns)


def _check(document: _Kept, limits: Limits) -> None:
    if len(document.rnas) > limits.max_rnas:
        raise ValueError("too many RNAs")
    records = [FastaRecord(rna.name, "", rna.sequence, 1) for rna in document.rnas]
    for rna, cleaned in zip(document.rnas, refusals.cleaned(records, limits), strict=True):
        if cleaned.sequence != rna.sequence:
            raise ValueError("an RNA that is not cleaned")
    num_read = 1
    for turn in document.turns:
        refusals.check_question(turn.question, limits)
        if not num_read <= turn.num_rnas <= len(document.rnas):
            raise ValueError("a turn about RNAs that are not there")
        num_read = turn.num_rnas


__all__ = ["Visitors", "restored"]
