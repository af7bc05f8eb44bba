"""The Space's page: its parts, and what happens when a visitor acts on them."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import answering
import gradio as gr
import rna_cards
from conversation import (
    Conversation,
    ShownRna,
    Turn,
    as_chat,
    as_json,
    as_markdown,
    as_typed,
)
from model_loading import MODEL
from rna_input import records_of_file, records_of_text
from space_limits import Limits
from structure_drawing import FOLDING, draw_structure

from rnagpt.answers_rnagpt import Answer
from rnagpt.fasta import FastaRecord, read_fasta
from rnagpt.processing_rnagpt import CleanedRna, RnaSequenceError, clean_rna
from rnagpt.rna_drawing import LONGEST_FOLDED, draw_scores

_log = logging.getLogger("rnagpt.space")

FOLDER = Path(__file__).parent
QUESTIONS = (
    "What is this RNA?",
    "What type of RNA is this?",
    "Which RNA family does this sequence belong to?",
    "What is the function of this RNA?",
    "What is known about this RNA?",
)
_TITLE = (
    "<h1>RNA-GPT</h1><p>Give an RNA sequence, ask about it in plain English. Answers are a "
    "model's guess: check what matters with Infernal or BLAST.</p>"
)
_STATES = {
    "loading": "{name} is loading. You can give your RNA and ask already.",
    "ready": "{name} is ready.",
    "failed": "{name} could not be loaded, so nothing can be answered. The server's log says why.",
}
_FAULT = "Something went wrong on our side, not with what you gave. Please try again."
_PONDERING = '<div class="scrolled"><p role="status">Scoring the nucleotides…</p></div>'
_NOT_DRAWN = "<p>The structure could not be drawn. You can ask about the RNA all the same.</p>"
_SECONDS_AFTER_CLOSING = 3600
# Of a generator that gives nothing at all, Gradio makes parts that are empty.
_AS_IT_IS: dict[Any, Any] = gr.skip()
# A click on a card's button becomes an event that says which RNA is meant.
_REMOVE_JS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-remove]');
  if (button) trigger('select', {index: Number(button.dataset.remove)});
});
"""
# The browser reads the file and sends its bytes with an event: Gradio's own upload would write them
# to the server's disk. One that is too large is not read at all.
_UPLOAD_HTML = """
<label for="fasta">Or upload FASTA, plain or gzipped</label>
<input id="fasta" type="file" aria-label="Upload FASTA">
"""
_UPLOAD_JS = """
const input = element.querySelector('input');
input.addEventListener('change', () => {
  const file = input.files[0];
  if (!file) return;
  const told = {name: file.name, size: file.size, content: ''};
  const reader = new FileReader();
  reader.onload = () => {
    trigger('upload', {...told, content: reader.result.split(',')[1] || ''});
    input.value = '';
  };
  if (file.size > %d) trigger('upload', told); else reader.readAsDataURL(file);
});
"""
# In the browser, so that the server writes no file.
_DOWNLOAD_JS = """
(text) => {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], {type: '%s'}));
  link.download = 'rna-gpt-conversation.%s';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
"""
# Browsers have a clipboard for pages that come over HTTPS or from this machine alone.
_COPY_JS = """
async (text) => {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
  } else {
    const field = document.body.appendChild(document.createElement('textarea'));
    field.value = text;
    field.select();
    document.execCommand('copy');
    field.remove();
  }
  return 'Copied';
}
"""
_COPY_AGAIN_JS = "() => new Promise((resolve) => setTimeout(() => resolve('Copy'), 2000))"

Updates = dict[Any, Any]


class Page:
    """The page, as `blocks`; each visitor's conversation is in a state of its own."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.examples = list(read_fasta(FOLDER / "examples.fasta"))
        with gr.Blocks(
            title="RNA-GPT", analytics_enabled=False, delete_cache=(60, 60), fill_width=True
        ) as self.blocks:
            self.conversation = gr.State(Conversation(), time_to_live=_SECONDS_AFTER_CLOSING)
            gr.HTML(_TITLE, elem_id="title")
            self.status = gr.HTML(self._status(), elem_id="model-status")
            with gr.Row(equal_height=False):
                with gr.Column(scale=2, min_width=320, elem_id="rna-panel"):
                    self._lay_out_rnas()
                with gr.Column(scale=3, min_width=320, elem_id="chat-panel"):
                    self._lay_out_chat()
            self._watch_model()
            self._connect_rnas()
            self._connect_chat()
            gr.api(self.answer, api_name="answer", **self._with_model())

    def answer(self, rna: str, question: str) -> dict[str, Any]:
        """Answer one question about one RNA.

        Args:
            rna: a sequence, or one FASTA record.
            question: plain text.

        Returns:
            What `rnagpt.answers_rnagpt.Answer` holds: the answer, its confidence, what cleaning
            changed in the sequence, and more.
        """
        try:
            cleaned = self._cleaned(self._one_record(rna), "RNA 1")
            self._check_question(question)
            self._await_model()
            return dataclasses.asdict(next(self._answers_of([cleaned], question)))
        except ValueError as error:
            # Not printed: what visitors give has no place in a log.
            raise gr.Error(str(error), print_exception=False) from error

    # What is where

    def _lay_out_rnas(self) -> None:
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
            _UPLOAD_HTML, js_on_load=_UPLOAD_JS % self.limits.max_upload_bytes, elem_id="upload"
        )
        with gr.Group(visible=False) as self.choosing:
            self.records = gr.Dropdown(
                label="Which records?", multiselect=True, elem_id="records", interactive=True
            )
            self.add_records = gr.Button("Add the chosen", elem_id="add-records")
        self.rna_notice = gr.HTML(elem_id="rna-notice")
        self.cards = gr.HTML(
            rna_cards.cards(Conversation()), js_on_load=_REMOVE_JS, elem_id="cards"
        )
        gr.HTML("<h3>Six real RNAs (Rfam seed alignments, CC0)</h3>")
        with gr.Row(elem_id="examples"):
            self.example_buttons = [
                gr.Button(f"{record.description}\n{record.name}", size="sm", min_width=140)
                for record in self.examples
            ]

    def _lay_out_chat(self) -> None:
        gr.HTML("<h2>Questions</h2>")
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
            placeholder="Add an RNA, then ask about it.",
            elem_id="chat",
        )
        self.question_notice = gr.HTML(elem_id="question-notice")
        self.question = gr.Textbox(
            label="Your question",
            placeholder="What is this RNA?",
            submit_btn="Ask",
            lines=1,
            max_lines=4,
            elem_id="question",
        )
        with gr.Row(elem_id="suggestions"):
            self.suggestions = [
                gr.Button(question, size="sm", min_width=140) for question in QUESTIONS
            ]
        with gr.Row(elem_id="actions"):
            small: dict[str, Any] = {"size": "sm", "min_width": 100, "interactive": False}
            self.stop = gr.Button("Stop", variant="stop", elem_id="stop", **small)
            self.retry = gr.Button("Retry", elem_id="retry", **small)
            self.explain = gr.Button("Which nucleotides mattered?", elem_id="explain", **small)
            self.compare = gr.Button("Compare the RNAs", elem_id="compare", **small)
            self.clear = gr.Button("New conversation", size="sm", min_width=100, elem_id="clear")
        self.findings = gr.HTML(elem_id="findings")
        with gr.Row(elem_id="keeping"):
            self.copy = gr.Button("Copy", elem_id="copy", **small)
            self.markdown = gr.Button("Download Markdown", elem_id="markdown", **small)
            self.json = gr.Button("Download JSON", elem_id="json", **small)
        self.as_markdown = gr.Textbox(visible="hidden")
        self.as_json = gr.Textbox(visible="hidden")

    # What leads to what

    def _watch_model(self) -> None:
        timer = gr.Timer(1.0)
        quiet: dict[str, Any] = {"queue": False, "show_progress": "hidden"}
        for event in (timer.tick, self.blocks.load):
            event(
                lambda: (self._status(), gr.Timer(active=MODEL.state == "loading")),
                outputs=[self.status, timer],
                api_visibility="private",
                **quiet,
            )

    def _connect_rnas(self) -> None:
        outputs = [*self._rna_parts(), self.sequence, self.records, self.choosing, self.compare]
        pasted = self._on(self.add.click, self._add_text, [self.sequence], outputs)
        uploaded = self._on(self.upload.upload, self._add_file, [], outputs)
        chosen = self._on(self.add_records.click, self._add_chosen, [self.records], outputs)
        removed = self._on(self.cards.select, self._remove, [], outputs)
        added = [pasted, uploaded, chosen, removed]
        for button, record in zip(self.example_buttons, self.examples, strict=True):
            example = self._adding([record])
            added.append(self._on(button.click, example, [], outputs))
        self.folding = [self._on(event.then, self._fold, [], [self.cards]) for event in added]

    def _connect_chat(self) -> None:
        outputs = [
            *(self.chat, self.question, self.question_notice, self.cards, self.findings),
            *(self.stop, self.retry, self.explain, self.compare),
            *(self.copy, self.markdown, self.json, self.as_markdown, self.as_json),
        ]
        asking = {"outputs": outputs, **self._with_model(), **self._waiting_seen()}
        answered = [
            self._on(self.question.submit, self._ask, [self.question], **asking),
            *(self._on(button.click, self._ask, [button], **asking) for button in self.suggestions),
            self._on(self.retry.click, self._retry, [], **asking),
            self._on(self.chat.edit, self._edit, [], **asking),
        ]
        answered += [
            self._on(self.explain.click, self._explain, [], **asking),
            self._on(self.compare.click, self._compare, [self.question], **asking),
        ]
        self._on(self.stop.click, self._stop, [], [], queue=False)
        rnas = [*self._rna_parts(), self.sequence, self.choosing, self.compare]
        everything = [self.conversation, *rnas, *(part for part in outputs if part not in rnas)]
        for event in (self.clear.click, self.chat.clear):
            # What is on its way of the old conversation must not come after.
            ended = [*answered, *self.folding]
            self._on(event, self._clear, [], everything, queue=False, cancels=ended)
        copied = self.copy.click(None, [self.as_markdown], [self.copy], js=_COPY_JS)
        copied.then(None, None, [self.copy], js=_COPY_AGAIN_JS)
        for button, text, script in (
            (self.markdown, self.as_markdown, _DOWNLOAD_JS % ("text/markdown", "md")),
            (self.json, self.as_json, _DOWNLOAD_JS % ("application/json", "json")),
        ):
            button.click(None, [text], None, js=script)

    def _on(
        self,
        event: Callable[..., Any],
        function: Callable[..., Any],
        inputs: list[Any],
        outputs: list[Any],
        **options: Any,
    ) -> Any:
        """Call a function with the visitor's conversation and the inputs."""
        return event(
            function,
            inputs=[self.conversation, *inputs],
            outputs=outputs,
            api_visibility="private",
            **{"show_progress": "hidden", **options},
        )

    def _with_model(self) -> dict[str, Any]:
        """All that the model does shares one queue."""
        return {"concurrency_id": "model", "concurrency_limit": self.limits.answers_at_once}

    def _waiting_seen(self) -> dict[str, Any]:
        """A visitor sees how many are before him in the queue."""
        return {"show_progress": "minimal", "show_progress_on": [self.chat]}

    def _rna_parts(self) -> list[Any]:
        return [self.cards, self.rna_notice]

    # RNAs

    def _add_text(self, conversation: Conversation, text: str) -> Updates:
        try:
            records = records_of_text(text, self.limits)
        except ValueError as error:
            return self._rnas(conversation, str(error))
        num_rnas = len(conversation.rnas)
        updates = self._take(conversation, records)
        # What was refused, or has to be chosen from, stays in the field.
        taken = len(conversation.rnas) > num_rnas
        return updates | ({self.sequence: ""} if taken else {})

    def _add_file(self, conversation: Conversation, event: gr.EventData) -> Updates:
        try:
            records = records_of_file(event.content, event.name, event.size, self.limits)
        except ValueError as error:
            return self._rnas(conversation, str(error))
        return self._take(conversation, records)

    def _add_chosen(self, conversation: Conversation, chosen: list[int]) -> Updates:
        if not chosen:
            return self._rnas(conversation, "Choose at least one record.")
        num_rnas = len(conversation.rnas)
        updates = self._add(conversation, [conversation.records[index] for index in chosen])
        taken = len(conversation.rnas) > num_rnas
        return updates | ({self.choosing: gr.update(visible=False)} if taken else {})

    def _adding(self, records: list[FastaRecord]) -> Callable[[Conversation], Updates]:
        return lambda conversation: self._add(conversation, records)

    def _remove(self, conversation: Conversation, event: gr.EventData) -> Updates:
        index = event.index
        if isinstance(index, int) and conversation.num_read <= index < len(conversation.rnas):
            del conversation.rnas[index]
        return self._rnas(conversation)

    def _take(self, conversation: Conversation, records: list[FastaRecord]) -> Updates:
        """Add a single record; let the visitor choose among several."""
        if len(records) == 1:
            return self._add(conversation, records)
        conversation.records = records
        choices = [(_label(record, index + 1), index) for index, record in enumerate(records)]
        return self._rnas(conversation) | {
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
            return self._rnas(conversation, error)
        try:
            numbered = enumerate(records, start=len(conversation.rnas) + 1)
            rnas = [ShownRna(self._cleaned(record, f"RNA {i}")) for i, record in numbered]
        except RnaSequenceError as error:
            return self._rnas(conversation, str(error))
        conversation.rnas += rnas
        return self._rnas(conversation)

    def _rnas(self, conversation: Conversation, error: str = "") -> Updates:
        return {
            self.cards: rna_cards.cards(conversation),
            self.rna_notice: rna_cards.notice(error),
            self.compare: gr.update(interactive=len(conversation.rnas) > 1),
        }

    def _fold(self, conversation: Conversation) -> Iterator[Any]:
        """Draw the structures that are not drawn yet, one by one."""
        yield _AS_IT_IS
        for shown in list(conversation.rnas):
            sequence = shown.rna.sequence
            if shown.drawing is None and len(sequence) <= LONGEST_FOLDED:
                shown.drawing = _drawn(sequence)
                if conversation.closed:
                    return
                yield rna_cards.cards(conversation)

    # Questions

    def _ask(self, conversation: Conversation, question: str) -> Iterator[Updates]:
        yield from self._answered(conversation, question, len(conversation.turns))

    def _retry(self, conversation: Conversation) -> Iterator[Updates]:
        """Ask the last question again; in other words where the greedy answer is known already."""
        if not conversation.turns:
            yield _AS_IT_IS
            return
        last = conversation.turns[-1]
        num_turns = len(conversation.turns) - 1
        yield from self._answered(conversation, last.question, num_turns, sampled=not last.note)

    def _edit(self, conversation: Conversation, event: gr.EditData) -> Iterator[Updates]:
        """Ask the edited question in place of the old one and of what followed."""
        index, question = event.index, event.value
        # Messages alternate: question, answer.
        num_turns = (index if isinstance(index, int) else index[0]) // 2
        if num_turns < len(conversation.turns) and isinstance(question, str):
            yield from self._answered(conversation, as_typed(question), num_turns)
        else:
            yield _AS_IT_IS

    def _answered(
        self, conversation: Conversation, question: str, num_turns: int, *, sampled: bool = False
    ) -> Iterator[Updates]:
        """Write the answer to a question that follows the first turns, the rest being dropped."""

        def written() -> Iterator[Updates]:
            self._check_question(question)
            if not conversation.rnas:
                raise ValueError("Give an RNA first: paste one, upload a file or take an example.")
            # Once: what the visitor types meanwhile is the next question.
            yield {self.question: "", self.findings: ""}
            for turn in self._written(conversation, question, num_turns, sampled):
                yield {self.chat: as_chat([*conversation.turns[:num_turns], turn])}

        yield from self._at_work(conversation, written(), question)

    def _at_work(
        self,
        conversation: Conversation,
        work: Iterator[Updates],
        question: str = "",
        *,
        stoppable: bool = True,
    ) -> Iterator[Updates]:
        """Let the model do one thing at a time for a conversation; then show how that stands.

        Args:
            work: its updates are shown until the conversation is closed.
            question: goes back into its field where nothing came of it.
            stoppable: whether the work heeds `conversation.stopping`.
        """
        if conversation.answering:
            busy = "An answer is being written. Wait for its end, or stop it."
            yield {self.question_notice: rna_cards.notice(busy, "hint")}
            return
        conversation.answering, conversation.stopping = True, False
        turns, error = list(conversation.turns), ""
        try:
            yield {self.question_notice: "", **self._while_at_work(stoppable)}
            for updates in work:
                if not conversation.closed:
                    yield updates
        except ValueError as refused:
            error = str(refused)
        except Exception:
            _log.exception("The model's work for a conversation failed.")
            error = _FAULT
        finally:
            conversation.answering = False
        if not conversation.closed:
            lost = question and conversation.turns == turns
            yield self._view(conversation, error) | ({self.question: question} if lost else {})

    def _written(
        self, conversation: Conversation, question: str, num_turns: int, sampled: bool
    ) -> Iterator[Turn]:
        """The turn as it grows; it is the conversation's once it ended or was stopped."""
        num_rnas = len(conversation.rnas)
        yield Turn(question, "…", num_rnas)
        while MODEL.state == "loading" and not conversation.stopping:
            MODEL.wait(0.2)
        self._check_model()
        turn = Turn(question, "", num_rnas, note="another wording" if sampled else "")
        end = time.monotonic() + self.limits.seconds_per_answer
        pieces = answering.write_answer(
            conversation.messages(num_turns),
            conversation.new_rnas(num_turns),
            question,
            self.limits.max_new_tokens,
            sampled,
        )
        for answer, confidence in pieces:
            turn = dataclasses.replace(turn, answer=answer, confidence=confidence)
            late = time.monotonic() > end
            if conversation.stopping or late:
                turn = dataclasses.replace(turn, note="took too long" if late else "stopped")
                break
            yield turn
        pieces.close()
        if turn.answer.strip():
            conversation.turns[num_turns:] = [turn]
        elif not conversation.stopping:
            raise ValueError("The model said nothing. Ask in other words.")

    def _stop(self, conversation: Conversation) -> None:
        conversation.stopping = True

    def _clear(self, conversation: Conversation) -> Updates:
        conversation.stopping = conversation.closed = True
        fresh = Conversation()
        return {
            self.conversation: fresh,
            self.sequence: "",
            self.choosing: gr.update(visible=False),
            **self._rnas(fresh),
            **self._view(fresh),
        }

    def _explain(self, conversation: Conversation) -> Iterator[Updates]:
        """Draw which nucleotides the last answer rests on."""

        def drawn() -> Iterator[Updates]:
            if not conversation.turns:
                raise ValueError("Ask about an RNA first.")
            last = conversation.turns[-1]
            yield {self.findings: _PONDERING}
            scored = answering.explain(conversation.messages())
            names = [shown.rna.name for shown in conversation.rnas]
            with FOLDING:
                svg = draw_scores(scored, names, f"{last.question}\n{last.answer.strip()}")
            yield {self.findings: f'<div class="scrolled">{svg}</div>'}

        yield from self._at_work(conversation, drawn(), stoppable=False)

    def _compare(self, conversation: Conversation, question: str) -> Iterator[Updates]:
        """Ask the same question about each RNA, and set the answers side by side."""
        question = question.strip() or QUESTIONS[0]

        def compared() -> Iterator[Updates]:
            self._check_question(question)
            rnas = [shown.rna for shown in conversation.rnas]
            answers: list[Answer] = []
            yield {self.findings: rna_cards.comparison(question, rnas, answers)}
            self._await_model()
            for answer in self._answers_of(rnas, question):
                answers.append(answer)
                yield {self.findings: rna_cards.comparison(question, rnas, answers)}
                if conversation.stopping:
                    return

        yield from self._at_work(conversation, compared())

    def _answers_of(self, rnas: list[CleanedRna], question: str) -> Iterator[Answer]:
        limits = self.limits
        return answering.answer_each(
            rnas, question, limits.max_new_tokens, limits.seconds_per_answer
        )

    # What is shown

    def _while_at_work(self, stoppable: bool) -> Updates:
        off = gr.update(interactive=False)
        others = (self.retry, self.explain, self.compare)
        return {self.stop: gr.update(interactive=stoppable), **dict.fromkeys(others, off)}

    def _view(self, conversation: Conversation, error: str = "") -> Updates:
        """The chat as it stands when no answer is being written."""
        switch = gr.update(interactive=bool(conversation.turns))
        buttons = (self.retry, self.explain, self.copy, self.markdown, self.json)
        return {
            self.chat: as_chat(conversation.turns),
            self.cards: rna_cards.cards(conversation),
            self.question_notice: rna_cards.notice(error),
            self.stop: gr.update(interactive=False),
            self.compare: gr.update(interactive=len(conversation.rnas) > 1),
            self.as_markdown: as_markdown(conversation, MODEL.name),
            self.as_json: as_json(conversation, MODEL.name),
            **dict.fromkeys(buttons, switch),
        }

    def _status(self) -> str:
        text = _STATES[MODEL.state].format(name=MODEL.name)
        return f'<p class="model {MODEL.state}" role="status">{rna_cards.escape(text)}</p>'

    # What is refused

    def _one_record(self, text: str) -> FastaRecord:
        records = records_of_text(text, self.limits)
        if len(records) > 1:
            raise ValueError(f"Give one RNA at a time; these are {len(records)} records.")
        return records[0]

    def _cleaned(self, record: FastaRecord, name: str) -> CleanedRna:
        rna = clean_rna(
            record.sequence,
            name=record.name,
            max_length=self._longest(),
        )
        return rna if rna.name else dataclasses.replace(rna, name=name)

    def _longest(self) -> int:
        ready = MODEL.state == "ready"
        known = MODEL.loaded[1].max_rna_length if ready else self.limits.max_rna_length
        return min(known, self.limits.max_rna_length)

    def _check_question(self, question: str) -> None:
        if not question.strip():
            raise ValueError("Write a question, or take one of those below.")
        if len(question) > self.limits.max_question_letters:
            raise ValueError(
                f"The question has {len(question):,} letters; at most "
                f"{self.limits.max_question_letters:,} are read. Shorten it."
            )

    def _await_model(self) -> None:
        MODEL.wait(self.limits.seconds_per_answer)
        self._check_model()

    def _check_model(self) -> None:
        if MODEL.state != "ready":
            raise ValueError(_STATES[MODEL.state].format(name=MODEL.name))


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


__all__ = ["FOLDER", "QUESTIONS", "Page"]
