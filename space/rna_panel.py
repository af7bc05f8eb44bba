"""The RNA panel of the page: adding, showing and removing RNAs."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import about_selector
import gradio as gr
import rna_cards
import validation
from browser_scripts import CARDS_JS, FOLDS_JS, UPLOAD_HTML, UPLOAD_JS
from conversation import Conversation, ShownRna, as_json, as_markdown, same_rna
from field_commands import command, field_commands
from findings import FAILED, Findings, as_tsv, search, search_weaker, suggested
from model_loading import MODEL
from plain_text import check_text
from rna_input import (
    FilesRead,
    free_name,
    label_of,
    megabytes,
    records_of_files,
    records_of_text,
    trimmed,
)
from space_limits import Limits
from structure_card import draw
from structure_script import structure_script

from rnagpt import FastaRecord
from rnagpt.reference.library import SearchStoppedError

_log = logging.getLogger("rnagpt.space")

# Of a generator that gives nothing at all, Gradio makes parts that are empty.
AS_IT_IS: dict[Any, Any] = gr.skip()
# A longer text is not sent back to tell that it was taken.
MAX_ECHO = 100_000

Updates = dict[Any, Any]


class RnaPanel:
    """The parts, laid out where it is made, and what happens when a visitor acts on them."""

    def __init__(self, limits: Limits, examples: Sequence[FastaRecord]) -> None:
        self.limits = limits
        # The conversation as the page holds it: `as_json` goes back to the server with every event.
        self.as_json = gr.Textbox(visible="hidden")
        self.as_markdown = gr.Textbox(visible="hidden")
        # What is only downloaded: with the findings, which would be sent back with every event.
        self.as_full_json = gr.Textbox(visible="hidden")
        self.as_tsv = gr.Textbox(visible="hidden")
        gr.HTML("<h2>RNAs</h2>")
        self.sequence = gr.Textbox(
            label="Paste a sequence or FASTA",
            placeholder="GCGGAUUUAGCUCAGUUGGGAGAGC…",
            lines=4,
            max_lines=8,
            elem_id="sequence",
        )
        self.field = field_commands(self.sequence)
        self.add = gr.Button("Add RNA", variant="primary", elem_id="add")
        self.upload = gr.HTML(
            UPLOAD_HTML % megabytes(limits.max_upload_bytes),
            js_on_load=UPLOAD_JS % limits.max_upload_bytes,
            elem_id="upload",
        )
        with gr.Row(elem_id="examples"):
            gr.HTML("<h3>Examples</h3>", elem_id="examples-title")
            # Links, which take less room than buttons; Rfam's accession stands on the card.
            self.example_buttons = [
                gr.Button(record.description, size="sm", min_width=10) for record in examples
            ]
        with gr.Group(visible=False) as self.choosing:
            self.records = gr.Dropdown(
                label="Which records?", multiselect=True, elem_id="records", interactive=True
            )
            self.add_records = gr.Button("Add the chosen", elem_id="add-records")
        self.rna_notice = gr.HTML(elem_id="rna-notice")
        self.cards = gr.HTML(
            rna_cards.cards(Conversation()),
            js_on_load=CARDS_JS + FOLDS_JS + structure_script(),
            elem_id="cards",
        )
        # It needs two RNAs; the chat's side shows it among its own.
        self.compare = gr.Button(
            "Compare the RNAs",
            size="sm",
            min_width=100,
            interactive=False,
            elem_id="compare",
            render=False,
        )
        # The chat panel shows them, below the conversation that they hold too.
        self.downloads = [
            gr.Button(
                f"Download {name}",
                elem_id=name.lower(),
                size="sm",
                min_width=100,
                interactive=False,
                render=False,
            )
            for name in ("Markdown", "JSON", "TSV")
        ]
        # The chat panel shows them; they follow from what is found.
        self.suggestions = [
            gr.Button(question, size="sm", min_width=140, render=False)
            for question in suggested(None)
        ]
        # The chat panel shows it; it names the RNAs.
        self.about = about_selector.selector()
        # The chat panel shows it; an RNA that is given may be what it requests.
        self.question_notice = gr.HTML(elem_id="question-notice", render=False)

    @property
    def parts(self) -> list[Any]:
        """All parts that `shown`, `emptied` and the other methods update."""
        return [
            *(self.cards, self.rna_notice, self.compare, self.question_notice),
            *(self.sequence, self.field, self.records, self.choosing, self.about),
            *self.document_parts,
            *self.suggestions,
        ]

    @property
    def document_parts(self) -> list[Any]:
        """All parts that `documents` updates."""
        texts = (self.as_json, self.as_full_json, self.as_markdown, self.as_tsv)
        return [*texts, *self.downloads]

    @property
    def found_parts(self) -> list[Any]:
        """All parts that `fold` updates."""
        return [self.cards, *self.document_parts, *self.suggestions]

    def emptied(self, fresh: Conversation) -> Updates:
        """The parts at the beginning of a new conversation."""
        return {
            self.sequence: "",
            self.choosing: gr.update(visible=False),
            self.records: gr.update(choices=[], value=[]),
            **self.shown(fresh),
            self.about: about_selector.update(fresh, reset=True),
        }

    def add_text(self, conversation: Conversation, text: str) -> Updates:
        """Add what was pasted; what was rejected stays in its field."""
        try:
            records = records_of_text(check_text(text, "The pasted text"), self.limits)
            if len(records) > 1:
                # What has to be chosen from stays in the field, as what is rejected does.
                return self._offer(conversation, records)
            updates = self._add(conversation, records)
        except ValueError as error:
            return self.shown(conversation, str(error))
        short = len(text) <= MAX_ECHO
        return updates | ({self.field: command(taken=text)} if short else {})

    def add_files(self, conversation: Conversation, event: gr.EventData) -> Updates:
        """Add what was chosen or dropped: the record of each file, or a choice where one has more.

        What is wrong with some of several files is told beside what the others hold.
        """
        try:
            read = records_of_files(getattr(event, "files", None), self.limits)
            free = self.limits.max_rnas - len(conversation.rnas)
            records = [record for _, records in read.records for record in records]
            if len(records) == 1 or (read.is_one_each and len(records) <= free):
                updates = self._add(conversation, self._accepted(read))
            else:
                updates = self._offer(conversation, records)
        except ValueError as error:
            return self.shown(conversation, str(error))
        if read.rejected:
            told = rna_cards.notice("\n".join(read.rejected))
            updates[self.rna_notice] = told + updates[self.rna_notice]
        return updates

    def _accepted(self, read: FilesRead) -> list[FastaRecord]:
        """The records of files that have one each; those that are no RNA are rejected.

        Raises:
            ValueError: none of them is one.
        """
        accepted = []
        for name, records in read.records:
            try:
                validation.cleaned(records, self.limits)
                accepted += records
            except ValueError as error:
                read.rejected.append(f"{name}: {error}")
        if not accepted:
            raise ValueError("\n".join(read.rejected))
        return accepted

    def add_chosen(self, conversation: Conversation, chosen: list[int]) -> Updates:
        """Add the chosen of several records."""
        if not chosen:
            return self.shown(conversation, "Choose at least one record.")
        known = range(len(conversation.records))
        if not all(isinstance(index, int) and index in known for index in chosen):
            gone = "These records are no longer held. Give the file or the text again."
            return self.shown(conversation, gone) | {self.choosing: gr.update(visible=False)}
        try:
            updates = self._add(conversation, [conversation.records[index] for index in chosen])
        except ValueError as error:
            return self.shown(conversation, str(error))
        return updates | {self.choosing: gr.update(visible=False)}

    def add_example(self, example: FastaRecord, conversation: Conversation) -> Updates:
        """Add one of the examples."""
        try:
            return self._add(conversation, [example])
        except ValueError as error:
            return self.shown(conversation, str(error))

    def act_on_card(self, conversation: Conversation, event: gr.EventData) -> Updates:
        """Do what a button of a card says: trim to a hit, or remove the RNA."""
        number = getattr(event, "trim", None)
        if number is None:
            return self.remove(conversation, event)
        try:
            return self.trim(conversation, event.value, number)
        except ValueError as error:
            return self.shown(conversation, str(error))

    def trim(self, conversation: Conversation, key: str, number: int) -> Updates:
        """Add the stretch of a hit as an RNA of its own.

        Args:
            key: of the RNA.
            number: of the hit, from 1.

        Raises:
            ValueError: there is no such hit, or the RNA cannot be added.
        """
        shown = next((one for one in conversation.rnas if one.key == key), None)
        if shown is None:
            raise ValueError("This RNA is no longer here. Give it again.")
        find(shown, conversation)  # a conversation that was taken up again
        hits = shown.findings.hits if shown.findings else []
        if not isinstance(number, int) or not 1 <= number <= len(hits):
            raise ValueError(f"{shown.rna.name} has no such hit.")
        return self._add(conversation, [trimmed(shown.rna, hits[number - 1])])

    def remove(self, conversation: Conversation, event: gr.EventData) -> Updates:
        """Remove an RNA that no question has brought to the model yet."""
        with conversation.lock:
            # By its key: a second click on a button that is about to go means the same RNA.
            for shown in conversation.rnas[: conversation.num_sent]:
                if shown.key == event.value:
                    stays = f"{shown.rna.name} was asked about: it stays in this conversation."
                    return self.shown(conversation, stays)
            left = [shown for shown in conversation.rnas if shown.key != event.value]
            conversation.rnas = left
        chosen_may_be_gone = {self.about: about_selector.update(conversation, reset=True)}
        return self.shown(conversation) | chosen_may_be_gone

    def _offer(self, conversation: Conversation, records: list[FastaRecord]) -> Updates:
        """Let the visitor choose among several records."""
        conversation.records = records
        choices = [(label_of(record, index + 1), index) for index, record in enumerate(records)]
        return self.shown(conversation) | {
            self.records: gr.update(choices=choices, value=[]),
            self.choosing: gr.update(visible=True),
        }

    def _add(self, conversation: Conversation, records: list[FastaRecord]) -> Updates:
        """Add the records that are not among the RNAs yet; all of them, or none.

        Raises:
            ValueError: for what is no RNA, and when there would be too many.
        """
        with conversation.lock:
            rnas, twice = list(conversation.rnas), []
            cleaned = validation.cleaned(records, self.limits)
            for rna, record in zip(cleaned, records, strict=True):
                named = (
                    rna
                    if rna.name
                    else dataclasses.replace(
                        rna, name=free_name([shown.rna.name for shown in rnas])
                    )
                )
                new = ShownRna(named, description=record.description)
                if same := same_rna(new, rnas, named=bool(rna.name)):
                    twice.append(same.rna.name)
                else:
                    rnas.append(new)
            if len(rnas) > self.limits.max_rnas:
                raise ValueError(
                    f"A conversation takes {self.limits.max_rnas} RNAs, and these would make "
                    f"{len(rnas)}. Remove some, or begin a new conversation."
                )
            conversation.rnas = rnas
        updates = self.shown(conversation)
        if twice:
            message = f"Among the RNAs already: {', '.join(twice)}."
            updates[self.rna_notice] = rna_cards.notice(message, "hint")
        # Its message may have been that there is no RNA.
        return updates if conversation.answering else updates | {self.question_notice: ""}

    def shown(self, conversation: Conversation, error: str = "") -> Updates:
        """How the RNAs stand, with what was rejected."""
        return {
            self.cards: rna_cards.cards(conversation),
            self.rna_notice: rna_cards.notice(error),
            self.compare: gr.update(
                interactive=len(conversation.rnas) > 1 and not conversation.answering
            ),
            self.about: about_selector.update(conversation),
            **self.documents(conversation),
            **self.suggest(conversation),
        }

    def suggest(self, conversation: Conversation) -> Updates:
        """Questions about the last RNA."""
        findings = conversation.rnas[-1].findings if conversation.rnas else None
        return dict(zip(self.suggestions, suggested(findings), strict=True))

    def documents(self, conversation: Conversation) -> Updates:
        """The conversation as the page holds it."""
        return {
            self.as_json: as_json(conversation, MODEL.name),
            self.as_full_json: as_json(conversation, MODEL.name, found=True),
            self.as_markdown: as_markdown(conversation, MODEL.name),
            self.as_tsv: as_tsv([(shown.rna, shown.findings) for shown in conversation.rnas]),
            **dict.fromkeys(self.downloads, gr.update(interactive=bool(conversation.rnas))),
        }

    def search(self, conversation: Conversation) -> Iterator[Any]:
        """Search what is not searched yet, one by one."""
        for shown in list(conversation.rnas):
            if shown.findings is None:
                find(shown, conversation)
                if conversation.closed:
                    break
                yield self.found(conversation)
        yield AS_IT_IS

    def fold(self, conversation: Conversation) -> Iterator[Any]:
        """Search, also for what is weaker; then draw structures, the first of each RNA first."""
        yield from self.search(conversation)
        for shown in list(conversation.rnas):
            find_weaker(shown, conversation)
        if not conversation.closed:
            yield self.found(conversation)
        for shown in [*conversation.rnas, *conversation.rnas]:
            if not shown.drawn:
                draw(shown, conversation)
                if conversation.closed:
                    break
                yield {self.cards: rna_cards.cards(conversation)}
        if conversation.closed:
            yield AS_IT_IS
            return
        # The last word, should the answers to quick clicks have come in another order.
        yield self.found(conversation)

    def found(self, conversation: Conversation) -> Updates:
        """What a search or a drawing changes, as it stands."""
        return {
            self.cards: rna_cards.cards(conversation),
            **self.documents(conversation),
            **self.suggest(conversation),
        }


def find(shown: ShownRna, conversation: Conversation) -> None:
    """Search an RNA, unless it was, or its conversation is closed."""
    if shown.findings is not None:
        return
    try:
        shown.findings = search(shown.rna, lambda: conversation.closed)
    except SearchStoppedError:
        pass
    except Exception:
        _log.exception("An RNA could not be searched.")
        shown.findings = Findings(note=FAILED)


def find_weaker(shown: ShownRna, conversation: Conversation) -> None:
    """Look for what is not significant in an RNA that was searched, unless that was done."""
    if shown.findings is None or shown.findings.weaker is not None:
        return
    try:
        shown.findings = search_weaker(shown.rna, shown.findings, lambda: conversation.closed)
    except SearchStoppedError:
        pass
    except Exception:
        _log.exception("Weaker candidates of an RNA could not be searched.")
        shown.findings = dataclasses.replace(shown.findings, weaker=())
