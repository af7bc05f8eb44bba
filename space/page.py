"""The Space's page: its two panels, and the events that connect them."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import mcp_tools
import rna_cards
import validation
from browser_scripts import COPY_AGAIN_JS, COPY_JS, DOWNLOAD_JS, SHOW_CARD_JS, SHOW_CHAT_JS
from chat_panel import FAULT, ChatPanel
from conversation import Conversation
from model_loading import MODEL
from rna_panel import AS_IT_IS, RnaPanel, Updates
from searching import reference
from side_by_side import answers_of
from space_limits import Limits
from visitors import Visitors

from rnagpt import read_fasta

_log = logging.getLogger("rnagpt.space")

FOLDER = Path(__file__).parent
# Events; most of them wait for `structure_folding` in a thread each, of Gradio's forty.
_FOLDING_AT_ONCE = 16
_TITLE = "<h1>RNA-GPT</h1><p>Give an RNA sequence, ask about it in plain English. {}</p>"
_CITED = (
    "Answers are looked up in the records that it matches, and cite them; what the model reads "
    "from the sequence by itself is called that."
)
_GUESSED = "Answers are a model's guess: check what matters with Infernal or BLAST."


class Page:
    """The page, as `blocks`; `visitors` holds each visitor's conversation."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.visitors = Visitors(limits)
        self.examples = list(read_fasta(FOLDER / "examples.fasta"))
        with gr.Blocks(
            title="RNA-GPT", analytics_enabled=False, delete_cache=(60, 60), fill_width=True
        ) as self.blocks:
            gr.HTML(_TITLE.format(_CITED if reference() else _GUESSED), elem_id="title")
            self.status = gr.HTML(self.model_status(), elem_id="model-status")
            with gr.Row(equal_height=False, elem_id="panels"):
                with gr.Column(scale=2, min_width=320, elem_id="rna-panel"):
                    self.rna_panel = RnaPanel(limits, self.examples)
                with gr.Column(scale=3, min_width=320, elem_id="chat-panel"):
                    self.chat_panel = ChatPanel(limits, self.rna_panel)
            self._watch_model()
            found = self._connect_rnas()
            answered, drawn = self._connect_chat()
            self._connect(folding=[*found, *drawn], answered=answered)
            gr.api(self.answer, api_name="answer", **self._with_model())
            mcp_tools.add_tools(limits, **self._with_model())

    @mcp_tools.no_tool
    def answer(self, rna: str, question: str) -> dict[str, Any]:
        """Answer one question about one RNA.

        Args:
            rna: a sequence, or one FASTA record.
            question: plain text.

        Returns:
            What `rnagpt.Answer` holds: the answer with its citations, its confidence
            and basis, the evidence, the records of each sentence, what cleaning
            changed in the sequence, and more.
        """
        try:
            record = validation.one_record(rna, self.limits)
            (cleaned,) = validation.cleaned([record], self.limits)
            validation.check_question(question, self.limits)
            return next(answers_of([cleaned], question, self.limits)).as_row()
        except ValueError as error:
            # Not printed: what visitors give has no place in a log.
            raise gr.Error(str(error), print_exception=False) from error
        except Exception as error:
            _log.exception("The answer to a program failed.")
            raise gr.Error(FAULT, print_exception=False) from error

    def model_status(self) -> str:
        """How the model stands, as HTML."""
        text = rna_cards.escape(MODEL.told)
        return f'<p class="model {MODEL.state}" role="status">{text}</p>'

    def clear(self, request: gr.Request) -> Updates:
        """Begin a new conversation; the old one ends, whatever it was doing."""
        fresh = self.visitors.start_over(_session(request))
        panel = self.chat_panel
        emptied = {panel.findings: "", panel.question: ""}
        return {**self.rna_panel.emptied(fresh), **panel.view(fresh), **emptied}

    def show_fresh(self, conversation: Conversation) -> Updates:
        """Show a new conversation again, once an answer of the old one has ended.

        The old one's updates come by another connection than the answer to `clear`, which may
        overtake the last of them.
        """
        panel = self.chat_panel
        fresh = conversation.fresh
        return {**panel.view(conversation), panel.findings: ""} if fresh else AS_IT_IS

    def show_fresh_rnas(self, conversation: Conversation) -> Updates:
        """The same for a search and a drawing, which change nothing of the chat.

        The chat is no output of theirs: Gradio would take from it what it tells of the queue.
        """
        return self.rna_panel.found(conversation) if conversation.fresh else AS_IT_IS

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
        """What a visitor does with RNAs; returns the searches and the drawings that follow."""
        panel = self.rna_panel
        # Not in the queue, which may be full.
        at_once: dict[str, Any] = {"outputs": panel.parts, "queue": False}
        given = [
            self._on(panel.add.click, panel.add_text, [panel.sequence], **at_once),
            self._on(panel.upload.upload, panel.add_files, [], **at_once),
            # Gradio would check against choices that it may have forgotten.
            self._on(
                panel.add_records.click,
                panel.add_chosen,
                [panel.records],
                preprocess=False,
                **at_once,
            ),
            self._on(panel.cards.select, panel.act_on_card, [], **at_once),
        ]
        for button, record in zip(panel.example_buttons, self.examples, strict=True):
            example = functools.partial(panel.add_example, record)
            given.append(self._on(button.click, example, [], **at_once))
        for event in given:
            event.then(None, None, None, js=SHOW_CARD_JS)
        searches = [self._on(event.then, panel.search, [], panel.found_parts) for event in given]
        return [*searches, *self._fold_after(searches)]

    def _fold_after(self, events: list[Any]) -> list[Any]:
        """The drawings that follow; they wait for each other, and no search waits for them."""
        panel = self.rna_panel
        waiting = {"concurrency_id": "folding", "concurrency_limit": _FOLDING_AT_ONCE}
        return [
            self._on(event.then, panel.fold, [], panel.found_parts, **waiting) for event in events
        ]

    def _connect_chat(self) -> tuple[list[Any], list[Any]]:
        """What a visitor asks; returns the answers that follow, and the drawings after these."""
        panel = self.chat_panel
        # A visitor sees how many are before him in the queue.
        waiting = {"show_progress": "minimal", "show_progress_on": [panel.chat]}
        asking: dict[str, Any] = {"outputs": panel.parts, **self._with_model(), **waiting}
        # Gradio would check against RNAs that it may have forgotten.
        about = {**asking, "preprocess": False}
        answered = [
            self._on(panel.question.submit, panel.ask, [panel.question, panel.about], **about),
            self._on(panel.retry_button.click, panel.retry, [], **asking),
            self._on(panel.chat.edit, panel.edit, [], **asking),
            self._on(panel.explain_button.click, panel.explain, [], **asking),
            self._on(self.rna_panel.compare.click, panel.compare, [panel.question], **asking),
        ]
        for button in panel.suggestions:
            answered.append(self._on(button.click, panel.ask, [button, panel.about], **about))
        for asked in (panel.question.submit, *(button.click for button in panel.suggestions)):
            asked(None, None, None, js=SHOW_CHAT_JS)
        self._on(panel.stop_button.click, panel.stop, [], [], queue=False)
        documents = self.rna_panel
        copied = panel.copy.click(None, [documents.as_markdown], [panel.copy], js=COPY_JS)
        copied.then(None, None, [panel.copy], js=COPY_AGAIN_JS)
        for button, text, script in (
            (panel.markdown, documents.as_markdown, DOWNLOAD_JS % ("text/markdown", "md")),
            (panel.json, documents.as_full_json, DOWNLOAD_JS % ("application/json", "json")),
            (panel.tsv, documents.as_tsv, DOWNLOAD_JS % ("text/tab-separated-values", "tsv")),
        ):
            button.click(None, [text], None, js=script)
        # What was taken up again from the page, or came when too many were waiting.
        return answered, self._fold_after(answered)

    def _connect(self, folding: list[Any], answered: list[Any]) -> None:
        """A new conversation empties both sides; nothing that was on its way comes after."""
        both = dict.fromkeys([*self.rna_panel.parts, *self.chat_panel.parts])
        ended = [*answered, *folding]
        for event in answered:
            self._on(event.then, self.show_fresh, [], self.chat_panel.parts, queue=False)
        for event in folding:
            parts = self.rna_panel.found_parts
            self._on(event.then, self.show_fresh_rnas, [], parts, queue=False)
        for event in (self.chat_panel.clear.click, self.chat_panel.chat.clear):
            event(
                self.clear,
                outputs=[*dict.fromkeys([*both, self.chat_panel.question])],
                api_visibility="private",
                show_progress="hidden",
                queue=False,
                cancels=ended,
            )

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
            self._for_visitor(function),
            inputs=[self.rna_panel.as_json, *inputs],
            outputs=outputs,
            api_visibility="private",
            # No click is lost while another is being served.
            trigger_mode="multiple",
            **{"show_progress": "hidden", **options},
        )

    def _for_visitor(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function of a conversation as Gradio calls it: with a request and what the page holds.

        What Gradio passes it reads from the names and types of the parameters.
        """

        def found(request: gr.Request, saved: str) -> Callable[..., Any]:
            return functools.partial(function, self._conversation(request, saved))

        def with_event(request: gr.Request, event: gr.EventData, saved: str, *given: Any) -> Any:
            return found(request, saved)(*given, event)

        def without_event(request: gr.Request, saved: str, *given: Any) -> Any:
            return found(request, saved)(*given)

        takes_event = "event" in inspect.signature(function).parameters
        called = with_event if takes_event else without_event
        return _streaming(called) if inspect.isgeneratorfunction(function) else called

    def _conversation(self, request: gr.Request, saved: str) -> Conversation:
        try:
            return self.visitors.conversation(_session(request), saved)
        except ValueError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def _with_model(self) -> dict[str, Any]:
        """All that the model does shares one queue."""
        return {"concurrency_id": "model", "concurrency_limit": self.limits.answers_at_once}


def _session(request: gr.Request) -> str:
    return str(request.session_hash)


def _streaming(called: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """The same as a generator's function, which is what Gradio asks whether it is."""

    @functools.wraps(called)
    def stream(*given: Any) -> Iterator[Any]:
        yield from _repeated(called(*given))

    return stream


def _repeated(stream: Iterator[Updates]) -> Iterator[Updates]:
    """The stream with each `gr.update` given again until its end.

    Gradio sends what changed since the last update, and its page makes the change in the last
    update itself. Where several come at once, what the next leaves out is lost before it is shown.
    """
    given: Updates = {}
    for updates in stream:
        if updates is AS_IT_IS:
            yield {**given} or AS_IT_IS
        else:
            given |= {part: what for part, what in updates.items() if isinstance(what, dict)}
            yield {**given, **updates}
