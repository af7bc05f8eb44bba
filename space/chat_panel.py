"""The chat panel of the page: questions, answers, explanations, downloads."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterator
from typing import Any

import about_selector
import answering
import gradio as gr
import rna_cards
import validation
from answer_limit import AnswerLimit
from browser_scripts import CITE_JS, FOLDS_JS
from chat_messages import as_chat, as_typed
from conversation import Conversation, Turn
from field_commands import command, field_commands
from findings import GENERAL
from model_loading import MODEL
from plain_text import check_text, visible
from rna_panel import (
    AS_IT_IS,
    MAX_ECHO,
    RnaPanel,
    Updates,
    find,
)
from side_by_side import side_by_side
from space_limits import Limits
from structure_folding import FOLDING, structure_on

from rnagpt import CleanedRna, draw_scores
from rnagpt.inference.cited import name_rnas
from rnagpt.reference.library import SearchStoppedError

_log = logging.getLogger("rnagpt.space")

FAULT = "Something went wrong on our side, not with what you gave. Please try again."
_BUSY = "An answer is being written. Wait for its end, or stop it."
_MAX_WAITING = 4
_PONDERING = '<div class="scrolled"><p role="status">Scoring the nucleotides…</p></div>'


class ChatPanel:
    """The parts, laid out where it is made, and what happens when a visitor acts on them."""

    def __init__(self, limits: Limits, rna_panel: RnaPanel) -> None:
        self.limits = limits
        self.rna_panel = rna_panel
        with gr.Row(elem_id="chat-head"):
            gr.HTML("<h2>Questions</h2>")
            self.clear = gr.Button("New conversation", size="sm", min_width=100, elem_id="clear")
        self.chat = gr.Chatbot(
            label="Conversation",
            # It would lie upon the first question; there is a heading above.
            show_label=False,
            height=420,
            # Names and answers are shown letter by letter: no Markdown, no HTML.
            render_markdown=False,
            sanitize_html=True,
            editable="user",
            latex_delimiters=[],
            # Those below copy the texts as they were written, and share them with nobody.
            buttons=[],
            placeholder="Answers come here, with the records that they rest on.",
            elem_id="chat",
        )
        # What the chat, which renders no links, cites.
        self.sources = gr.HTML(js_on_load=CITE_JS + FOLDS_JS, elem_id="sources")
        self.question_notice = rna_panel.question_notice
        self.question_notice.render()
        # On a phone it stays at the bottom of the screen once there is an RNA.
        with gr.Row(elem_id="ask"):
            self.about = rna_panel.about
            self.about.render()
            self.question = gr.Textbox(
                label="Your question",
                placeholder="What is this RNA?",
                submit_btn="Ask",
                lines=1,
                max_lines=4,
                scale=3,
                min_width=220,
                elem_id="question",
            )
        self.field = field_commands(self.question)
        with gr.Row(elem_id="suggestions"):
            self.suggestions = rna_panel.suggestions
            for button in self.suggestions:
                button.render()
        with gr.Row(elem_id="actions"):
            small: dict[str, Any] = {"size": "sm", "min_width": 100, "interactive": False}
            self.stop_button = gr.Button("Stop", variant="stop", elem_id="stop", **small)
            self.retry_button = gr.Button("Retry", elem_id="retry", **small)
            self.explain_button = gr.Button(
                "Which nucleotides mattered?", elem_id="explain", **small
            )
            rna_panel.compare.render()
        self.findings = gr.HTML(elem_id="findings")
        with (
            gr.Accordion("Keep this conversation", open=False, elem_id="keep"),
            gr.Row(elem_id="keeping"),
        ):
            self.copy = gr.Button("Copy", elem_id="copy", **small)
            self.markdown, self.json, self.tsv = rna_panel.downloads
            for button in rna_panel.downloads:
                button.render()

    @property
    def parts(self) -> list[Any]:
        """All parts that the methods update."""
        return [
            *(self.chat, self.sources, self.field, self.question_notice, self.findings),
            *(self.stop_button, self.retry_button, self.explain_button),
            self.copy,
            *self.rna_panel.document_parts,
            *self.suggestions,
            *(self.rna_panel.cards, self.rna_panel.compare),
        ]

    def ask(
        self, conversation: Conversation, question: str, chosen: object = about_selector.NAMED
    ) -> Iterator[Updates]:
        """Ask a question after the others; while the model is at work it waits for its turn.

        Args:
            chosen: which RNAs it is about, of `about_selector`.
        """
        try:
            about = about_selector.places_of(conversation, chosen)
        except ValueError as error:
            yield {self.question_notice: rna_cards.notice(str(error))}
            return
        if isinstance(question, str) and question not in conversation.pending:
            conversation.chosen[question] = about
        while not conversation.begin(question):
            if message := self._put_off(conversation, question):
                yield message
                return
        yield from self._at_work(conversation, self._following(conversation, question), question)

    def retry(self, conversation: Conversation) -> Iterator[Updates]:
        """Ask the last question again; in other words where the greedy answer is known already."""
        if not conversation.turns:
            yield AS_IT_IS
            return
        last = conversation.turns[-1]
        num_turns = len(conversation.turns) - 1
        conversation.chosen[last.question] = last.chosen
        again = self._answered(conversation, last.question, num_turns, sampled=not last.note)
        yield from self._alone(conversation, again)

    def edit(self, conversation: Conversation, event: gr.EventData) -> Iterator[Updates]:
        """Ask the edited question in place of the old one and of what followed."""
        index, question = event.index, event.value
        # Messages alternate: question, answer.
        num_turns = (index if isinstance(index, int) else index[0]) // 2
        if num_turns < len(conversation.turns) and isinstance(question, str):
            question = as_typed(question)
            conversation.chosen[question] = conversation.turns[num_turns].chosen
            edited = self._answered(conversation, question, num_turns)
            yield from self._alone(conversation, edited, question)
        else:
            yield AS_IT_IS

    def _following(self, conversation: Conversation, question: str) -> Iterator[Updates]:
        """Write the answer to a question that follows all others."""
        yield from self._answered(conversation, question, len(conversation.turns))

    def _answered(
        self, conversation: Conversation, question: str, num_turns: int, *, sampled: bool = False
    ) -> Iterator[Updates]:
        """Write the answer to a question that follows the first turns, the rest being dropped."""
        validation.check_question(question, self.limits)
        if not conversation.rnas:
            raise ValueError("Give an RNA first: paste one, upload a file or take an example.")
        # Once: what the visitor types meanwhile is the next question.
        yield {self.field: command(taken=question), self.findings: ""}
        for turn in self._written(conversation, question, num_turns, sampled):
            turns = [*conversation.turns[:num_turns], turn]
            yield {self.chat: as_chat(turns, growing=True)}

    def _put_off(self, conversation: Conversation, question: str) -> Updates | None:
        """Let a question wait, and say so; None where the model has come to rest meanwhile."""
        try:
            validation.check_question(question, self.limits)
        except ValueError as error:
            return {self.question_notice: rna_cards.notice(str(error))}
        taken = {self.field: command(taken=question)}
        waiting = conversation.waiting
        if question in conversation.pending:
            message = "This question is being answered, or waits for its turn, already."
            return {self.question_notice: rna_cards.notice(message, "hint"), **taken}
        if len(waiting) >= _MAX_WAITING:
            message = f"{len(waiting)} questions wait already. Ask this one when they are answered."
            return {self.question_notice: rna_cards.notice(message, "hint")}
        if not conversation.wait_with(question):
            return None
        return {self.question_notice: rna_cards.waiting(conversation), **taken}

    def _alone(
        self,
        conversation: Conversation,
        work: Iterator[Updates],
        question: str = "",
        *,
        stoppable: bool = True,
    ) -> Iterator[Updates]:
        """Let the model do what cannot wait; reject while it is at work already."""
        if conversation.begin(question):
            yield from self._at_work(conversation, work, question, stoppable=stoppable)
        else:
            busy = {self.question_notice: rna_cards.notice(_BUSY, "hint")}
            yield busy | self._back([question])

    def _at_work(
        self,
        conversation: Conversation,
        work: Iterator[Updates],
        question: str = "",
        *,
        stoppable: bool = True,
    ) -> Iterator[Updates]:
        """Let the model do one thing at a time for a conversation; then what waits meanwhile.

        Args:
            conversation: one that has begun.
            work: its updates are shown until the conversation is closed.
            question: goes back into its field where nothing came of it.
            stoppable: whether the work heeds `conversation.stopping`.
        """
        try:
            yield from self._done(conversation, work, question, stoppable)
            while following := conversation.next_question():
                work = self._following(conversation, following)
                yield from self._done(conversation, work, following, True)
        finally:
            # Also where the visitor has left in the middle.
            conversation.answering, conversation.question, conversation.reading = False, "", 0

    def _done(
        self, conversation: Conversation, work: Iterator[Updates], question: str, stoppable: bool
    ) -> Iterator[Updates]:
        """Do one thing, then show how the conversation stands."""
        turns, error = list(conversation.turns), ""
        try:
            busy = (self.retry_button, self.explain_button, self.rna_panel.compare)
            yield {
                self.question_notice: rna_cards.waiting(conversation),
                self.stop_button: gr.update(interactive=stoppable),
                **dict.fromkeys(busy, gr.update(interactive=False)),
            }
            for updates in work:
                if not conversation.closed:
                    yield updates
        except ValueError as rejected:
            error = str(rejected)
        except Exception:
            _log.exception("The model's work for a conversation failed.")
            error = FAULT
        lost = [question] if conversation.turns == turns else []
        conversation.question, conversation.reading = "", 0
        if error or conversation.stopping:
            lost += conversation.give_back()
        conversation.forget_choices()
        if not conversation.closed:
            yield self.view(conversation, error) | self._back(lost)

    def _back(self, questions: list[str]) -> Updates:
        """Give questions back to the field."""
        text = "\n".join(filter(None, questions))
        return {self.field: command(back=text)} if 0 < len(text) <= MAX_ECHO else {}

    def _written(
        self, conversation: Conversation, question: str, num_turns: int, sampled: bool
    ) -> Iterator[Turn]:
        """The turn as it grows; it is the conversation's once it ended or was stopped."""
        with conversation.lock:
            rnas = [shown.rna for shown in conversation.rnas]
            num_rnas = conversation.reading = len(rnas)
            num_read = num_rnas - len(conversation.new_rnas(num_turns))
            about = conversation.chosen.pop(question, [])
        turn = Turn(question, "…", num_rnas)
        yield turn
        if not self._made_ready(conversation, rnas, question, about):
            return
        turn = dataclasses.replace(turn, answer="")
        limit = self._limit(conversation)
        pieces = answering.write_answer(
            conversation.messages(num_turns),
            rnas,
            num_read,
            question,
            self.limits.max_new_tokens,
            sampled,
            limit.reached,
            about,
        )
        names = [name_rnas(rnas)[place] for place in about]
        for turn in pieces:
            turn = dataclasses.replace(
                turn, num_rnas=num_rnas, chosen=about, about=turn.about or names
            )
            # What came whole is kept, however long it took.
            if limit.reached() and not turn.sentences:
                turn = dataclasses.replace(turn, note=limit.note)
                break
            yield turn
        pieces.close()
        if turn.answer.strip():
            conversation.turns[num_turns:] = [turn]
        elif not conversation.stopping:
            raise ValueError("There was no answer in time. Ask again, or in other words.")

    def _made_ready(
        self,
        conversation: Conversation,
        rnas: list[CleanedRna],
        question: str,
        about: list[int],
    ) -> bool:
        """Search what was not searched, and await the model where it is needed; False: stopped."""
        limit = self._limit(conversation)
        try:
            plan = answering.look_up(rnas, question, limit.reached, about)
        except SearchStoppedError:
            if conversation.stopping:
                return False
            raise ValueError("The search took too long. Ask again, or give fewer RNAs.") from None
        if answering.needs_model(plan):
            while MODEL.state == "loading" and not conversation.stopping:
                MODEL.wait(0.2)
            validation.check_model()
        return True

    def _limit(self, conversation: Conversation) -> AnswerLimit:
        return AnswerLimit(conversation, time.monotonic() + self.limits.seconds_per_answer)

    def stop(self, conversation: Conversation) -> None:
        """End what the model does at its next word."""
        conversation.stopping = True

    def explain(self, conversation: Conversation) -> Iterator[Updates]:
        """Draw which nucleotides the last answer rests on."""

        def drawn() -> Iterator[Updates]:
            if not conversation.turns:
                raise ValueError("Ask about an RNA first.")
            last = conversation.turns[-1]
            yield {self.findings: _PONDERING}
            validation.await_model(self.limits)  # records may have answered without it
            named, messages = conversation.last_answer()
            scored = answering.explain(messages)
            names = [visible(name) for name in named]
            caption = visible(f"{last.question}\n{last.answer.strip()}")
            structures = [structure_on(rna.sequence) for rna in scored]
            with FOLDING:
                svg = draw_scores(scored, names, caption, structures=structures)
            yield {self.findings: f'<div class="scrolled">{svg}</div>'}

        yield from self._alone(conversation, drawn(), stoppable=False)

    def compare(self, conversation: Conversation, given: str) -> Iterator[Updates]:
        """Ask the same question about each RNA, and set the answers side by side."""

        def compared() -> Iterator[Updates]:
            question = check_text(given, "The question").strip() or GENERAL[0]
            validation.check_question(question, self.limits)
            for tables in side_by_side(conversation, question, self.limits):
                yield {self.findings: tables}

        yield from self._alone(conversation, compared())

    def view(self, conversation: Conversation, error: str = "") -> Updates:
        """The chat as it stands when no answer is being written."""
        for shown in conversation.rnas:
            find(shown, conversation)  # what was taken up again, or came when too many waited
        at_rest = not conversation.waiting
        switch = gr.update(interactive=bool(conversation.turns) and at_rest)
        buttons = (self.retry_button, self.explain_button, self.copy)
        return {
            self.chat: as_chat(conversation.turns),
            self.sources: rna_cards.sources(conversation.turns),
            self.rna_panel.cards: rna_cards.cards(conversation),
            self.question_notice: rna_cards.notice(error) or rna_cards.waiting(conversation),
            self.stop_button: gr.update(interactive=False),
            self.rna_panel.compare: gr.update(interactive=len(conversation.rnas) > 1 and at_rest),
            **self.rna_panel.documents(conversation),
            **self.rna_panel.suggest(conversation),
            **dict.fromkeys(buttons, switch),
        }
