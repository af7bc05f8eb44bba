"""A conversation of `rnagpt chat` in the terminal: its lines, its commands, Ctrl-C."""

from __future__ import annotations

import contextlib
import io
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rnagpt.cli.chat_answers import confidence_note, drawn_view, new_records, title
from rnagpt.cli.chat_drawings import check_drawing, draw_scored
from rnagpt.cli.pasted_fasta import PastedFasta, is_bare_sequence

if TYPE_CHECKING:
    from rnagpt.cleaning_rnagpt import CleanedRna
    from rnagpt.cli.terminal_answers import AnswerView
    from rnagpt.inference.chat import RnaChat

PROMPT, MORE = "> ", "... "  # MORE: of FASTA that comes line by line, until an empty line
HELP = """\
/rna SEQUENCE|FILE   add an RNA to this conversation
/evidence            list the records that the RNAs match, by their numbers
/next                start a conversation about the file's next record
/reset               start again, without RNAs
/explain FILE.svg    draw which nucleotides the last answer rests on
/help                show this
/quit                leave (or Ctrl-D)
An RNA can be pasted, as FASTA or as letters alone. Anything else is a question.
Ctrl-C stops an answer."""


class CtrlC:
    """Ctrl-C: a KeyboardInterrupt while the session waits for a line, else a flag.

    Python may raise a KeyboardInterrupt between any two instructions, where it would end the
    session (in the handling of an earlier one) or be lost (in a destructor).
    """

    def __init__(self) -> None:
        self.pressed = False
        self.waiting = False
        # Called when it is pressed in the midst of an answer; may do no more than set a flag.
        self.stop: Callable[[], None] = lambda: None

    def __enter__(self) -> CtrlC:
        self.earlier = signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self.earlier)

    def input(self, prompt: str) -> str:
        """`input`, which a press interrupts, also one that came before.

        Raises:
            KeyboardInterrupt: where Ctrl-C was pressed.
        """
        self.waiting = True
        try:
            if self.pressed:
                raise KeyboardInterrupt
            return input(prompt)
        finally:
            self.pressed = self.waiting = False

    def _press(self, *_: object) -> None:
        self.pressed = True
        if self.waiting:
            self.waiting = False
            raise KeyboardInterrupt
        self.stop()


class Session:
    """A conversation in the terminal."""

    def __init__(self, chat: RnaChat, rnas: list[CleanedRna], max_new_tokens: int) -> None:
        self.chat = chat
        self.waiting = list(rnas)
        self.told: set[int] = set()  # numbers of the records whose lines were shown
        self.max_new_tokens = max_new_tokens
        self.view = drawn_view()
        self.pasted = PastedFasta()
        self.ctrl_c = CtrlC()
        # A search, or words that are checked before they are shown, come in one piece.
        self.ctrl_c.stop = chat.stop
        self.commands: dict[str, Callable[[str], None]] = {
            "/rna": self.add,
            "/evidence": self.evidence,
            "/next": self.next,
            "/reset": self.reset,
            "/explain": self.explain,
            "/help": lambda _: print(HELP),
        }

    def run(self) -> None:
        """Read lines until /quit or the end of input."""
        with contextlib.suppress(ImportError):  # Windows has none
            import readline  # noqa: F401  (gives `input` a history and line editing)
        terminal = sys.stdin.isatty()
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(errors="replace")  # a stray byte must not end the session
        if terminal:
            print("Ask about an RNA. /help lists the commands.")
        with self.ctrl_c:
            if self.waiting:
                self.next("")
            while True:
                prompt = (MORE if self.pasted.lines else PROMPT) if terminal else ""
                try:
                    text = self.ctrl_c.input(prompt).strip()
                except EOFError:
                    if terminal:
                        print()
                    self.do("")
                    return
                except KeyboardInterrupt:
                    dropped = "; the pasted RNA is dropped" if self.pasted.lines else ""
                    self.pasted.lines.clear()
                    print(f"\n[stopped; /quit leaves{dropped}]", flush=True)
                    continue
                if text == "/quit":
                    return
                self.do(text)

    def do(self, text: str) -> None:
        """What was typed or pasted: RNAs, a command or a question, RNAs first where both are.

        One that is rejected is reported and changes nothing.
        """
        lines = text.splitlines()
        if not self.pasted.lines and is_bare_sequence(lines):
            self._reported(lambda: self.show(self.chat.add_rna(text)))
            return
        while lines and self.pasted.takes(lines[0]):
            del lines[0]
        # A text of several lines was pasted at once, so that nothing more of it comes.
        if self.pasted.lines and (lines or not text or "\n" in text):
            taken, self.pasted.lines = self.pasted.lines, []
            self._reported(lambda: self.add_records(taken))
        if rest := " ".join(filter(None, map(str.strip, lines))):
            self._reported(lambda: self._command_or_question(rest))

    def _reported(self, act: Callable[[], None]) -> None:
        try:
            act()
        except (ValueError, OSError) as error:
            print(error, flush=True)

    def _command_or_question(self, line: str) -> None:
        command, _, argument = line.partition(" ")
        if command in self.commands:
            self.commands[command](argument.strip())
        elif line.startswith("/"):
            print(f"There is no command {command}. /help lists the commands.")
        else:
            self.ask(line)

    def ask(self, question: str) -> None:
        if self.view is not None:
            self.ask_drawn(question, self.view)
            return
        for text in self.chat.ask(question, max_new_tokens=self.max_new_tokens):
            print(text, end="", flush=True)
            if self.ctrl_c.pressed:
                self.chat.stop()
        print(confidence_note(self.chat.confidence))
        if self.chat.answer is not None:
            sources = {item.number: item.line for e in self.chat.evidence for item in e.items}
            for line in new_records(self.chat.answer.cites, sources, self.told):
                print(line, flush=True)

    def ask_drawn(self, question: str, view: AnswerView) -> None:
        """The same on a terminal: wrapped as it comes, then what it rests on."""
        from rnagpt.cli.terminal_answers import WordWrapper

        addresses: dict[int, str] = {}
        wrapper = WordWrapper(view.console, addresses)
        for text in self.chat.ask(question, max_new_tokens=self.max_new_tokens):
            if not addresses:
                addresses.update((i.number, i.address) for e in self.chat.evidence for i in e.items)
            wrapper.write(text)
            if self.ctrl_c.pressed:
                self.chat.stop()
        wrapper.flush()
        print()
        answer = self.chat.answer
        view.confidence(self.chat.confidence, "model" if answer is None else answer.basis)
        if answer is not None:
            items = {item.number: item for e in self.chat.evidence for item in e.items}
            view.records(new_records(answer.cites, items, self.told))
        view.console.file.flush()

    def evidence(self, _: str) -> None:
        """List the numbered records of the conversation, RNA by RNA."""
        from rnagpt.reference.library import SearchStoppedError

        try:
            found = self.chat.search(lambda: self.ctrl_c.pressed)
        except SearchStoppedError:
            return
        if not found:
            raise ValueError("There is no RNA. Add one with /rna.")
        for evidence in found:
            if self.view is not None and evidence.items:
                self.view.title(evidence.name, evidence.facts.length, ())
                self.view.records(evidence.items)
                continue
            print(f"{evidence.name} ({evidence.facts.length:,} nt)")
            for item in evidence.items:
                print(f"  {item.line}")
            if not evidence.items:
                none = f"no record of {evidence.reference} matches"
                print(f"  {evidence.note or none}", flush=True)

    def add(self, text: str) -> None:
        """Add a sequence, or the one record of a file."""
        from rnagpt.sequences.fasta import clean_rnas, read_fasta

        if not text:
            raise ValueError("/rna needs a sequence or a FASTA file.")
        if Path(text).is_file():
            records = list(read_fasta(text))
            if len(records) > 1:
                raise ValueError(
                    f"{text} holds {len(records)} records, and /rna takes one. Leave, and give the "
                    "file to `rnagpt chat` for a conversation about each."
                )
            (rna,) = clean_rnas(records, **self.chat.limits)
            self.show(self.chat.add_rna(rna))
            return
        self.show(self.chat.add_rna(text))

    def add_records(self, lines: Sequence[str]) -> None:
        """Add the RNAs of FASTA, all of them or, where one is rejected, none."""
        from rnagpt.sequences.fasta import clean_rnas, read_fasta

        records = list(read_fasta(io.StringIO("\n".join(lines))))
        for rna in clean_rnas(records, **self.chat.limits):
            self.show(self.chat.add_rna(rna))

    def next(self, _: str) -> None:
        if not self.waiting:
            raise ValueError("There is no further record.")
        self.chat.reset()
        self.told.clear()
        self.show(self.chat.add_rna(self.waiting.pop(0)))
        if self.waiting:
            print(f"{len(self.waiting)} more to come: /next.")

    def reset(self, _: str) -> None:
        self.chat.reset()
        self.told.clear()
        print("A new conversation, without RNAs.")

    def explain(self, text: str) -> None:
        """Draw which nucleotides the last answer rests on."""
        if Path(text).suffix != ".svg":
            raise ValueError("/explain needs the name of the drawing: a file that ends in .svg.")
        check_drawing()
        caption = str(self.chat.messages[-1]["content"]) if self.chat.messages else ""
        answer, scored = self.chat.answer, self.chat.explain()
        names = self.chat.names if answer is None else answer.about
        draw_scored(Path(text), scored, names, caption, self.chat.reference)
        for number, rna in enumerate(scored, start=1):
            name = names[number - 1] if number <= len(names) else ""
            print(f"{name or f'RNA {number}'}: {rna.summary()}.")
        print(f"{text} is drawn.")

    def show(self, rna: CleanedRna) -> None:
        if self.view is not None:
            self.view.title(rna.name or "RNA", len(rna.sequence), rna.changes)
            self.view.console.file.flush()
            return
        print(title(rna.name or "RNA", len(rna.sequence), rna.changes), flush=True)


__all__ = ["CtrlC", "Session"]
