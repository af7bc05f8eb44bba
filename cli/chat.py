"""The command `rnagpt chat`: questions about RNAs, interactive or one-shot."""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import itertools
import json
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnagpt.cli.values import positive

if TYPE_CHECKING:
    from rnagpt.cleaning_rnagpt import CleanedRna
    from rnagpt.inference.attribution import NucleotideScores
    from rnagpt.inference.batch import Answer
    from rnagpt.inference.chat import RnaChat
    from rnagpt.modeling_rnagpt import RnaGptForCausalLM
    from rnagpt.processing_rnagpt import RnaGptProcessor
    from rnagpt.reference.library import Reference
    from rnagpt.sequences.fasta import FastaRecord
    from rnagpt.sequences.folding import SecondaryStructure

DESCRIPTION = """\
Ask a model about RNAs.

With --ask every question is asked about every RNA separately, and the answers are printed.
Without it a conversation starts in the terminal; a FASTA file with several records makes several
conversations, one after the other. Decoding is greedy: the same question has the same answer."""

EXAMPLES = """\
examples:
  # a conversation about one RNA
  rnagpt chat --rna GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA
  # two questions of every record of a file, plain or gzipped
  rnagpt chat rnas.fa.gz --ask "What is this RNA?" --ask "What is the function of this RNA?"
  # one JSON object per line: record, name, length, changes, question, answer, complete,
  # log_probability, confidence (null where the model was not calibrated), abstains
  zcat rnas.fa.gz | rnagpt chat - --ask "Which RNA family does this sequence belong to?" --json
  # draw which nucleotides each answer rests on: drawings/1-1.svg is of record 1, question 1;
  # with --json also as "explanation": summary, mattered, structure, structure_source
  rnagpt chat rnas.fa --ask "Which RNA family does this sequence belong to?" --explain drawings
  # a conversation whose answers are written faster, with int8 weights
  rnagpt chat rnas.fa --int8
  # another model
  rnagpt chat rnas.fa --model ./my-rna-gpt

exit codes: 0 answered, 2 rejected (an RNA, a file, a question or a model; the reason is on standard
error, and nothing was answered), 130 stopped by Ctrl-C"""

HELP = """\
/rna SEQUENCE|FILE   add an RNA to this conversation
/next                start a conversation about the file's next record
/reset               start again, without RNAs
/explain FILE.svg    draw which nucleotides the last answer rests on
/help                show this
/quit                leave (or Ctrl-D)
Ctrl-C stops an answer. Anything else is a question."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe `rnagpt chat` to a parser; imports nothing heavy."""
    parser.description = DESCRIPTION
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    file_help = 'file of RNAs, plain or compressed; "-": standard input'
    add("fasta", nargs="?", metavar="FASTA", help=file_help)
    repeated: dict[str, Any] = {"action": "append", "default": []}
    add("--rna", metavar="SEQ", help="an RNA's sequence; may repeat", **repeated)
    add("--ask", metavar="QUESTION", help="ask and leave; may repeat", **repeated)
    add("--model", metavar="PATH_OR_ID", help="model folder or Hub id (default: rna-gpt-mini)")
    add("--json", action="store_true", help="with --ask: print one JSON object per line")
    add(
        "--explain",
        metavar="FOLDER",
        help="with --ask: draw which nucleotides answers rest on, as FOLDER/RECORD-QUESTION.svg",
    )
    number: dict[str, Any] = {"type": positive, "metavar": "N"}
    add("--max-new-tokens", default=256, help="longest answer, in tokens (default: 256)", **number)
    add("--batch-size", default=8, help="with --ask: prompts per batch (default: 8)", **number)
    add(
        "--int8",
        action="store_true",
        help="in a conversation on a CPU: faster, with int8 weights; long answers often change",
    )
    add(
        "--compiled",
        action="store_true",
        help="in a conversation: compile the decoding step, which is faster after a minute or so",
    )


def run(args: argparse.Namespace) -> int:
    """Run `rnagpt chat`.

    Returns:
        0, or 2 when something was rejected; the reason is on standard error.

    Raises:
        OSError, WeightsError: when there is no such model.
        KeyboardInterrupt: when Ctrl-C stops a one-shot call.
    """
    try:
        start = _prepare(args)
    except ValueError as error:
        print(f"rnagpt chat: {error}", file=sys.stderr)
        return 2
    start()
    return 0


def _prepare(args: argparse.Namespace) -> Callable[[], None]:
    """Check and load everything; returns what is left to do, the talking."""
    _check_arguments(args)
    records = _read_records(args)

    from transformers.utils import logging

    from rnagpt.inference.batch import answer_questions
    from rnagpt.inference.chat import RnaChat
    from rnagpt.inference.default_model import resolve_model
    from rnagpt.inference.loading import load_model, load_processor
    from rnagpt.sequences.fasta import clean_rnas

    logging.disable_progress_bar()
    name_or_path = resolve_model(args.model)
    # The weights come last: a rejected record is reported without waiting for them.
    processor = load_processor(name_or_path)
    rnas = clean_rnas(
        records,
        max_length=processor.max_rna_length,
        max_ambiguous=processor.max_ambiguous,
    )
    model = load_model(name_or_path, int8=args.int8, compiled=args.compiled)
    if not args.ask:
        return _Session(RnaChat(model, processor), rnas, args.max_new_tokens).run
    answers = answer_questions(
        model,
        processor,
        rnas,
        args.ask,
        batch_size=args.batch_size,
        max_new_tokens=args.max_new_tokens,
    )
    explain = None
    if args.explain:
        explain = _Explainer(model, processor, rnas, len(args.ask), Path(args.explain))
    return functools.partial(_print_answers, answers, args.json, explain)


def _check_arguments(args: argparse.Namespace) -> None:
    if not args.ask:
        for option in ("json", "explain"):
            if getattr(args, option):
                raise ValueError(f"--{option} needs at least one --ask.")
        if args.fasta == "-":
            raise ValueError(
                '"-" reads the RNAs from standard input, so questions must come with --ask.'
            )
        return
    if not args.fasta and not args.rna:
        raise ValueError("--ask needs an RNA: give a FASTA file or --rna.")
    for option in ("int8", "compiled"):
        if getattr(args, option):
            raise ValueError(
                f"--{option} is for conversations: --ask has answers written in batches, which it "
                "makes no faster."
            )
    if args.explain:
        _check_drawing()
        Path(args.explain).mkdir(parents=True, exist_ok=True)


def _check_drawing() -> None:
    """Find out before any work whether structures can be drawn."""
    from rnagpt.sequences.folding import fold_rna

    try:
        fold_rna("A")
    except ImportError as error:
        raise ValueError(str(error)) from error


def _read_records(args: argparse.Namespace) -> list[FastaRecord]:
    from rnagpt.cleaning_rnagpt import accession_advice
    from rnagpt.sequences.fasta import FastaRecord, read_fasta

    records = [
        # A FASTA record that was pasted brings its own name.
        FastaRecord("" if text.lstrip().startswith(">") else f"rna_{number}", "", text, 0)
        for number, text in enumerate(args.rna, start=1)
    ]
    if args.fasta is None:
        return records
    try:
        return [*records, *read_fasta(args.fasta)]
    except OSError as error:
        hint = ""
        if not Path(args.fasta).exists():
            if set(args.fasta.upper()) <= set("ACGTUN"):
                hint = " If this is a sequence, give it with --rna."
            elif advice := accession_advice(args.fasta):
                hint = f" {advice}"
        raise ValueError(f"{args.fasta}: {error.strerror or error}.{hint}") from error


class _Explainer:
    """Draws what answers rest on, in the order of `answer_questions`: all of the first RNA first.

    Args:
        questions: how many are asked of each RNA.
        folder: for the drawings.
    """

    def __init__(
        self,
        model: RnaGptForCausalLM,
        processor: RnaGptProcessor,
        rnas: list[CleanedRna],
        questions: int,
        folder: Path,
    ) -> None:
        self.model, self.processor, self.rnas, self.folder = model, processor, rnas, folder
        self.numbers = itertools.cycle(range(1, questions + 1))

    def __call__(self, answer: Answer) -> dict[str, Any]:
        """Draw the next answer; what `--json` says of it."""
        from rnagpt.inference.attribution import explain_answer
        from rnagpt.inference.generation import user_message

        asked = user_message(answer.question, [self.rnas[answer.record - 1].sequence])
        answered = {"role": "assistant", "content": answer.written}
        scored = explain_answer(self.model, self.processor, [asked, answered])
        caption = f"{answer.question}\n{answer.answer}{_confidence_note(answer.confidence)}"
        file = self.folder / f"{answer.record}-{next(self.numbers)}.svg"
        (structure,) = _draw(file, scored, [answer.name], caption, _reference())
        return {
            "drawing": str(file),
            **scored[0].to_dict(),
            "structure": structure.pairs,
            "structure_source": structure.source,
        }


@functools.cache
def _reference() -> Reference:
    """Where the families of drawings come from."""
    from rnagpt.reference.library import Reference

    return Reference.open()


def _draw(
    file: Path,
    scored: list[NucleotideScores],
    names: list[str],
    caption: str,
    reference: Reference | None,
) -> list[SecondaryStructure]:
    """Draw scores on the structures that are known of their RNAs; returns these."""
    from rnagpt.reference.structures import structure_of
    from rnagpt.sequences.drawing import draw_scores

    structures = [structure_of(rna.sequence, reference) for rna in scored]
    drawing = draw_scores(scored, names, caption, structures=structures)
    file.write_text(drawing, encoding="utf-8")
    return structures


def _confidence_note(confidence: float | None) -> str:
    """What is added to an answer: nothing where the model was not calibrated."""
    return "" if confidence is None else f" (confidence {confidence:.2f})"


def _print_answers(
    answers: Iterator[Answer], as_json: bool, explain: _Explainer | None = None
) -> None:
    record = 0
    for answer in answers:
        explanation = explain(answer) if explain else None
        if as_json:
            row = answer.as_row() | ({"explanation": explanation} if explanation else {})
            print(json.dumps(row, ensure_ascii=False), flush=True)
            continue
        if answer.record != record:
            print(("\n" if record else "") + _title(answer.name, answer.length, answer.changes))
            record = answer.record
        cut = "" if answer.complete else " [cut at --max-new-tokens]"
        text = f"{answer.answer}{_confidence_note(answer.confidence)}{cut}"
        text += f"\n[{explanation['summary']}]" if explanation else ""
        print(f"  {answer.question}\n{textwrap.indent(text, '    ')}", flush=True)


def _title(name: str, length: int, changes: tuple[str, ...]) -> str:
    return f"{name} ({', '.join([f'{length:,} nt', *changes])})"


class _CtrlC:
    """Ctrl-C: a KeyboardInterrupt while the session waits for a line, else a flag.

    Python may raise a KeyboardInterrupt between any two instructions, where it would end the
    session (in the handling of an earlier one) or be lost (in a destructor).
    """

    def __init__(self) -> None:
        self.pressed = False
        self.waiting = False

    def __enter__(self) -> _CtrlC:
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


class _Session:
    """A conversation in the terminal."""

    def __init__(self, chat: RnaChat, rnas: list[CleanedRna], max_new_tokens: int) -> None:
        self.chat = chat
        self.waiting = list(rnas)
        self.names: list[str] = []
        self.max_new_tokens = max_new_tokens
        self.ctrl_c = _CtrlC()
        self.commands: dict[str, Callable[[str], None]] = {
            "/rna": self.add,
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
                try:
                    line = self.ctrl_c.input("> " if terminal else "").strip()
                except EOFError:
                    if terminal:
                        print()
                    return
                except KeyboardInterrupt:
                    print("\n[stopped; /quit leaves]", flush=True)
                    continue
                if line == "/quit":
                    return
                self.do(line)

    def do(self, line: str) -> None:
        """Run a command or ask a question; a rejected one is reported and changes nothing."""
        command, _, argument = line.partition(" ")
        try:
            if command in self.commands:
                self.commands[command](argument.strip())
            elif line.startswith("/"):
                print(f"There is no command {command}. /help lists the commands.")
            elif line:
                self.ask(line)
        except (ValueError, OSError) as error:
            print(error)

    def ask(self, question: str) -> None:
        for text in self.chat.ask(question, max_new_tokens=self.max_new_tokens):
            print(text, end="", flush=True)
            if self.ctrl_c.pressed:
                self.chat.stop()
        print(_confidence_note(self.chat.confidence))

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
            (rna,) = clean_rnas(
                records,
                max_length=self.chat.processor.max_rna_length,
                max_ambiguous=self.chat.processor.max_ambiguous,
            )
            self.show(self.chat.add_rna(rna))
            return
        self.show(self.chat.add_rna(text))

    def next(self, _: str) -> None:
        if not self.waiting:
            raise ValueError("There is no further record.")
        self.chat.reset()
        self.names.clear()
        self.show(self.chat.add_rna(self.waiting.pop(0)))
        if self.waiting:
            print(f"{len(self.waiting)} more to come: /next.")

    def reset(self, _: str) -> None:
        self.chat.reset()
        self.names.clear()
        print("A new conversation, without RNAs.")

    def explain(self, text: str) -> None:
        """Draw which nucleotides the last answer rests on."""
        if Path(text).suffix != ".svg":
            raise ValueError("/explain needs the name of the drawing: a file that ends in .svg.")
        _check_drawing()
        caption = str(self.chat.messages[-1]["content"]) if self.chat.messages else ""
        scored = self.chat.explain()
        _draw(Path(text), scored, self.names, caption, _reference())
        for number, rna in enumerate(scored, start=1):
            name = self.names[number - 1] if number <= len(self.names) else ""
            print(f"{name or f'RNA {number}'}: {rna.summary()}.")
        print(f"{text} is drawn.")

    def show(self, rna: CleanedRna) -> None:
        self.names.append(rna.name)
        print(_title(rna.name or "RNA", len(rna.sequence), rna.changes), flush=True)
