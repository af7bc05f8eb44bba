"""The RNAs' side of the page: given, shown, removed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gradio as gr
import refusals
import rna_cards
from browser_scripts import REMOVE_JS, UPLOAD_HTML, UPLOAD_JS
from conversation import Conversation, ShownRna
from rna_input import records_of_file, records_of_text
from space_limits import Limits
from structure_drawing import draw_structure

from rnagpt.fasta import FastaRecord
from rnagpt.processing_rnagpt import RnaSequenceError
from rnagpt.rna_drawing import LONGEST_FOLDED

_log = logging.getLogger("rnagpt.space")

_NOT_DRAWN = "<p>The structure could not be drawn. You can ask about the RNA all the same.</p>"
# Of a generator that gives nothing at all, Gradio makes parts that are empty.
AS_IT_IS: dict[Any, Any] = gr.skip()

Updates = dict[Any, Any]


class RnaPanel:
    """The parts, laid out where it is made, and what happens when a visitor acts on them."""

    def __init__(self, limits: Limits, examples: Sequence[FastaRecord]) -> None:
        self.limits = limits
        gr.HTML("<h2>RNAs</h2>")
        self.sequence = gr.Textbox(
            label="Paste a sequence or FASTA",
            placeholder="GCGGAUUUAGCUCAGUUGGGAGAGC…",
            lines=4,
            max_lines=8,
            elem_id="sequence",
        )
        self.add = gr.Button("Add RNA", variant="primary", elem_id="add")
        self.upload = gr.HTML(
            UPLOAD_HTML, js_on_load=UPLOAD_JS % self.limits.max_upload_bytes, elem_id="upload"
        )
        with gr.Group(visible=False) as self.choosing:
            self.records = gr.Dropdown(
                label="Which records?", multiselect=True, elem_id="records", interactive=True
            )
            self.add_records = gr.Button("Add the chosen", elem_id="add-records")
        self.rna_notice = gr.HTML(elem_id="rna-notice")
        self.cards = gr.HTML(rna_cards.cards(Conversation()), js_on_load=REMOVE_JS, elem_id="cards")
        gr.HTML("<h3>Six real RNAs (Rfam seed alignments, CC0)</h3>")
        with gr.Row(elem_id="examples"):
            self.example_buttons = [
                gr.Button(f"{record.description}\n{record.name}", size="sm", min_width=140)
                for record in examples
            ]
        # It needs two RNAs; the chat's side shows it among its own.
        self.compare = gr.Button(
            "Compare the RNAs",
            size="sm",
            min_width=100,
            interactive=False,
            elem_id="compare",
            render=False,
        )

    @property
    def parts(self) -> list[Any]:
        """All parts that `shown`, `emptied` and the other methods update."""
        return [
            *(self.cards, self.rna_notice, self.compare),
            *(self.sequence, self.records, self.choosing),
        ]

    def emptied(self, fresh: Conversation) -> Updates:
        """The parts at the beginning of a new conversation."""
        choosing = gr.update(visible=False)
        return {self.sequence: "", self.choosing: choosing, **self.shown(fresh)}

    def add_text(self, conversation: Conversation, text: str) -> Updates:
        """Add what was pasted; what was refused stays in its field."""
        try:
            records = records_of_text(text, self.limits)
        except ValueError as error:
            return self.shown(conversation, str(error))
        num_rnas = len(conversation.rnas)
        updates = self._take(conversation, records)
        # What was refused, or has to be chosen from, stays in the field.
        taken = len(conversation.rnas) > num_rnas
        return updates | ({self.sequence: ""} if taken else {})

    def add_file(self, conversation: Conversation, event: gr.EventData) -> Updates:
        """Add what was uploaded."""
        try:
            records = records_of_file(event.content, event.name, event.size, self.limits)
        except ValueError as error:
            return self.shown(conversation, str(error))
        return self._take(conversation, records)

    def add_chosen(self, conversation: Conversation, chosen: list[int]) -> Updates:
        """Add the chosen of several records."""
        if not chosen:
            return self.shown(conversation, "Choose at least one record.")
        num_rnas = len(conversation.rnas)
        updates = self._add(conversation, [conversation.records[index] for index in chosen])
        taken = len(conversation.rnas) > num_rnas
        return updates | ({self.choosing: gr.update(visible=False)} if taken else {})

    def adding(self, records: list[FastaRecord]) -> Callable[[Conversation], Updates]:
        """What adds these records."""
        return lambda conversation: self._add(conversation, records)

    def remove(self, conversation: Conversation, event: gr.EventData) -> Updates:
        """Remove an RNA that no question has brought to the model yet."""
        index = event.index
        if isinstance(index, int) and conversation.num_read <= index < len(conversation.rnas):
            del conversation.rnas[index]
        return self.shown(conversation)

    def _take(self, conversation: Conversation, records: list[FastaRecord]) -> Updates:
        """Add a single record; let the visitor choose among several."""
        if len(records) == 1:
            return self._add(conversation, records)
        conversation.records = records
        choices = [(_label(record, index + 1), index) for index, record in enumerate(records)]
        return self.shown(conversation) | {
            self.records: gr.update(choices=choices, value=[]),
            self.choosing: gr.update(visible=True),
        }

    def _add(self, conversation: Conversation, records: list[FastaRecord]) -> Updates:
        """Add all of the records, or none and say why."""
        num_rnas = len(conversation.rnas) + len(records)
        if num_rnas > self.limits.max_rnas:
            error = (
                f"A conversation takes {self.limits.max_rnas} RNAs, and these would make "
                f"{num_rnas}. Remove some, or begin a new conversation."
            )
            return self.shown(conversation, error)
        try:
            first = len(conversation.rnas) + 1
            rnas = [ShownRna(rna) for rna in refusals.cleaned(records, first, self.limits)]
        except RnaSequenceError as error:
            return self.shown(conversation, str(error))
        conversation.rnas += rnas
        return self.shown(conversation)

    def shown(self, conversation: Conversation, error: str = "") -> Updates:
        """How the RNAs stand, with what was refused."""
        return {
            self.cards: rna_cards.cards(conversation),
            self.rna_notice: rna_cards.notice(error),
            self.compare: gr.update(interactive=len(conversation.rnas) > 1),
        }

    def fold(self, conversation: Conversation) -> Iterator[Any]:
        """Draw the structures that are not drawn yet, one by one."""
        yield AS_IT_IS
        for shown in list(conversation.rnas):
            sequence = shown.rna.sequence
            if shown.drawing is None and len(sequence) <= LONGEST_FOLDED:
                shown.drawing = _drawn(sequence)
                if conversation.closed:
                    return
                yield rna_cards.cards(conversation)


def _label(record: FastaRecord, number: int) -> str:
    """What stands for a record among others, whose names may be the same."""
    about = f" {record.description[:60]}" if record.description else ""
    return f"{number}. {record.name[:60]} ({len(record.sequence):,} nt){about}"


def _drawn(sequence: str) -> str:
    try:
        return draw_structure(sequence)
    except Exception:
        _log.exception("A structure could not be drawn.")
        return _NOT_DRAWN


__all__ = ["AS_IT_IS", "RnaPanel", "Updates"]
