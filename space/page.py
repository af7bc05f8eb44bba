"""The Space's page: its two sides, and what leads to what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import refusals
import rna_cards
from browser_scripts import COPY_AGAIN_JS, COPY_JS, DOWNLOAD_JS
from chat_panel import ChatPanel
from conversation import Conversation
from model_loading import MODEL
from rna_panel import RnaPanel, Updates
from space_limits import Limits

from rnagpt.fasta import read_fasta

FOLDER = Path(__file__).parent
_TITLE = (
    "<h1>RNA-GPT</h1><p>Give an RNA sequence, ask about it in plain English. Answers are a "
    "model's guess: check what matters with Infernal or BLAST.</p>"
)
_SECONDS_AFTER_CLOSING = 3600


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
            self.status = gr.HTML(self.model_status(), elem_id="model-status")
            with gr.Row(equal_height=False):
                with gr.Column(scale=2, min_width=320, elem_id="rna-panel"):
                    self.rna_panel = RnaPanel(limits, self.examples)
                with gr.Column(scale=3, min_width=320, elem_id="chat-panel"):
                    self.chat_panel = ChatPanel(limits, self.rna_panel)
            self._watch_model()
            self._connect(folding=self._connect_rnas(), answered=self._connect_chat())
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
            record = refusals.one_record(rna, self.limits)
            (cleaned,) = refusals.cleaned([record], 1, self.limits)
            refusals.check_question(question, self.limits)
            refusals.await_model(self.limits)
            return next(self.chat_panel.answers_of([cleaned], question)).as_row()
        except ValueError as error:
            # Not printed: what visitors give has no place in a log.
            raise gr.Error(str(error), print_exception=False) from error

    def model_status(self) -> str:
        """How the model stands, as HTML."""
        text = rna_cards.escape(refusals.state_of_model())
        return f'<p class="model {MODEL.state}" role="status">{text}</p>'

    def clear(self, conversation: Conversation) -> Updates:
        """Begin a new conversation; the old one ends, whatever it was doing."""
        conversation.stopping = conversation.closed = True
        fresh = Conversation()
        return {
            self.conversation: fresh,
            **self.rna_panel.emptied(fresh),
            **self.chat_panel.view(fresh),
        }

    def _watch_model(self) -> None:
        timer = gr.Timer(1.0)
        quiet: dict[str, Any] = {"queue": False, "show_progress": "hidden"}
        for event in (timer.tick, self.blocks.load):
            event(
                lambda: (self.model_status(), gr.Timer(active=MODEL.state == "loading")),
                outputs=[self.status, timer],
                api_visibility="private",
                **quiet,
            )

    def _connect_rnas(self) -> list[Any]:
        """What a visitor does with RNAs; returns the drawings of structures that follow."""
        panel = self.rna_panel
        parts = panel.parts
        given = [
            self._on(panel.add.click, panel.add_text, [panel.sequence], parts),
            self._on(panel.upload.upload, panel.add_file, [], parts),
            self._on(panel.add_records.click, panel.add_chosen, [panel.records], parts),
            self._on(panel.cards.select, panel.remove, [], parts),
        ]
        for button, record in zip(panel.example_buttons, self.examples, strict=True):
            given.append(self._on(button.click, panel.adding([record]), [], parts))
        return [self._on(event.then, panel.fold, [], [panel.cards]) for event in given]

    def _connect_chat(self) -> list[Any]:
        """What a visitor asks; returns the answers that follow."""
        panel = self.chat_panel
        # A visitor sees how many are before him in the queue.
        waiting = {"show_progress": "minimal", "show_progress_on": [panel.chat]}
        asking: dict[str, Any] = {"outputs": panel.parts, **self._with_model(), **waiting}
        answered = [
            self._on(panel.question.submit, panel.ask, [panel.question], **asking),
            self._on(panel.retry_button.click, panel.retry, [], **asking),
            self._on(panel.chat.edit, panel.edit, [], **asking),
            self._on(panel.explain_button.click, panel.explain, [], **asking),
            self._on(self.rna_panel.compare.click, panel.compare, [panel.question], **asking),
        ]
        for button in panel.suggestions:
            answered.append(self._on(button.click, panel.ask, [button], **asking))
        self._on(panel.stop_button.click, panel.stop, [], [], queue=False)
        copied = panel.copy.click(None, [panel.as_markdown], [panel.copy], js=COPY_JS)
        copied.then(None, None, [panel.copy], js=COPY_AGAIN_JS)
        for button, text, script in (
            (panel.markdown, panel.as_markdown, DOWNLOAD_JS % ("text/markdown", "md")),
            (panel.json, panel.as_json, DOWNLOAD_JS % ("application/json", "json")),
        ):
            button.click(None, [text], None, js=script)
        return answered

    def _connect(self, folding: list[Any], answered: list[Any]) -> None:
        """A new conversation empties both sides; nothing that was on its way comes after."""
        both = dict.fromkeys([*self.rna_panel.parts, *self.chat_panel.parts])
        everything = [self.conversation, *both]
        for event in (self.chat_panel.clear.click, self.chat_panel.chat.clear):
            ended = [*answered, *folding]
            self._on(event, self.clear, [], everything, queue=False, cancels=ended)

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


__all__ = ["FOLDER", "Page"]
