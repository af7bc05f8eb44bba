"""The command `rnagpt chat`: questions about RNAs, interactive or one-shot."""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import itertools
import json
import os
import signal
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rnagpt.cli.values import positive

if TYPE_CHECKING:
    from rnagpt.cleaning_rnagpt import CleanedRna
    from rnagpt.cli.terminal_answers import AnswerView
    from rnagpt.inference.attribution import NucleotideScores
    from rnagpt.inference.batch import Answer
    from rnagpt.inference.chat import RnaChat
    from rnagpt.inference.cited import LanguageModel
    from rnagpt.inference.local_model import LocalModel
    from rnagpt.reference.library import Reference
    from rnagpt.sequences.fasta import FastaRecord
    from rnagpt.sequences.folding import SecondaryStructure

_Source = TypeVar("_Source")
# The first that is set counts.
KEY_VARIABLES = ("RNAGPT_API_KEY", "OPENAI_API_KEY")
DESCRIPTION = """\
Ask about RNAs.

Every RNA is searched in a reference, and answers cite the records that it matches: in the records'
own words, or in a language model's, checked against them. Where nothing matches, the model may read
the RNA's type from its sequence, and the answer says so; else it says that nothing is known.

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
  # log_probability, confidence (null where it was not calibrated), abstains, basis (records,
  # sequence, model or none), about, evidence (the records), sentences (each with its records)
  zcat rnas.fa.gz | rnagpt chat - --ask "Which RNA family does this sequence belong to?" --json
  # draw which nucleotides each answer rests on: drawings/1-1.svg is of record 1, question 1;
  # with --json also as "explanation": summary, mattered, structure, structure_source
  rnagpt chat rnas.fa --ask "Which RNA family does this sequence belong to?" --explain drawings
  # a conversation whose answers are written faster, with int8 weights
  rnagpt chat rnas.fa --int8
  # another model; what was found by `rnagpt reference` or `rna-qa`; the model alone
  rnagpt chat rnas.fa --model ./my-rna-gpt
  rnagpt chat rnas.fa --reference ./my-reference
  rnagpt chat rnas.fa --no-reference
  # any language model, from the same records, checked in the same way: Ollama, for one
  rnagpt chat rnas.fa --language-model-url http://localhost:11434/v1 --language-model llama3.2

environment:
  RNAGPT_MODEL                      the model, where --model names none
  RNAGPT_API_KEY, OPENAI_API_KEY    the key for --language-model-url

exit codes: 0 answered, 2 rejected (an RNA, a file, a question or a model; the reason is on standard
error), 130 stopped by Ctrl-C"""

HELP = """\
/rna SEQUENCE|FILE   add an RNA to this conversation
/evidence            list the records that the RNAs match, by their numbers
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
    add(
        "--reference",
        metavar="DIR",
        help="what RNAs are searched in (default: the families of Rfam that rna-gpt-mini has)",
    )
    add("--no-reference", action="store_true", help="search nothing: the model alone answers")
    add(
        "--language-model-url",
        metavar="URL",
        help="let an OpenAI-compatible service write the answers, from the records it is sent",
    )
    add(
        "--language-model",
        metavar="NAME",
        help="its model (default: the only one it has)",
    )
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
        OSError, WeightsError: when there is no such model, or a service does not answer.
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
    """Check everything and load what is needed; returns what is left to do, the talking."""
    _check_arguments(args)
    records = _read_records(args)

    from rnagpt.inference.batch import answer_questions
    from rnagpt.inference.chat import RnaChat
    from rnagpt.inference.local_model import LocalModel
    from rnagpt.reference.library import Reference
    from rnagpt.sequences.fasta import clean_rnas

    reference = None if args.no_reference else Reference.open(args.reference)
    language = _language_model(args)
    rnas = clean_rnas(records, **_limits(args, reference, language))
    if args.no_reference and isinstance(language, LocalModel):
        _ = language.model  # it is needed, so what is wrong with it is told now
    if not args.ask:
        chat = RnaChat(language, reference=reference)
        return _Session(chat, rnas, args.max_new_tokens).run
    answers = answer_questions(
        language,
        None,
        rnas,
        args.ask,
        reference=reference,
        batch_size=args.batch_size,
        max_new_tokens=args.max_new_tokens,
    )
    explain = None
    if args.explain:
        assert isinstance(language, LocalModel)  # `_check_models` saw to it
        explain = _Explainer(language, reference, rnas, len(args.ask), Path(args.explain))
    total = len(rnas) * len(args.ask)
    return functools.partial(_print_answers, answers, args.json, explain, total)


def _language_model(args: argparse.Namespace) -> LanguageModel:
    """What writes; a model of this machine is loaded when it is first needed."""
    if args.language_model_url:
        from rnagpt.inference.remote_model import RemoteModel

        key = next(filter(None, map(os.environ.get, KEY_VARIABLES)), None)
        return RemoteModel(args.language_model_url, args.language_model, key)
    from rnagpt.inference.local_model import LocalModel

    return LocalModel.open(args.model, int8=args.int8, compiled=args.compiled, quiet=True)


def _limits(
    args: argparse.Namespace, reference: Reference | None, language: LanguageModel
) -> dict[str, Any]:
    """What is accepted of RNAs: what the search takes, or the model where it has to read all."""
    from rnagpt.cleaning_rnagpt import MAX_AMBIGUOUS
    from rnagpt.inference.local_model import LocalModel
    from rnagpt.reference.library import MAX_LENGTH

    is_read = reference is None or args.explain
    if not is_read or not isinstance(language, LocalModel):
        return {"max_length": MAX_LENGTH, "max_ambiguous": MAX_AMBIGUOUS}
    processor = language.processor
    return {"max_length": processor.max_rna_length, "max_ambiguous": processor.max_ambiguous}


def _check_arguments(args: argparse.Namespace) -> None:
    _check_models(args)
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


def _check_models(args: argparse.Namespace) -> None:
    """Options that contradict each other."""
    if args.reference is not None and args.no_reference:
        raise ValueError("--reference and --no-reference contradict each other; give one of them.")
    if args.language_model is not None and not args.language_model_url:
        raise ValueError(
            "--language-model names a model of a service: give --language-model-url too. A model "
            "of this machine is given with --model."
        )
    if not args.language_model_url:
        return
    if args.no_reference:
        raise ValueError(
            "--language-model-url answers from records, and --no-reference searches for none."
        )
    for option in ("model", "int8", "compiled", "explain"):
        if getattr(args, option):
            raise ValueError(
                f"--{option} is for a model of this machine, and --language-model-url names one "
                "of a service; give one of them."
            )


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
        language: the model that wrote them, or would have.
        reference: of the families' structures; None: minimum free energy alone.
        rnas: that are asked about.
        questions: how many are asked of each RNA.
        folder: for the drawings.
    """

    def __init__(
        self,
        language: LocalModel,
        reference: Reference | None,
        rnas: list[CleanedRna],
        questions: int,
        folder: Path,
    ) -> None:
        self.language, self.reference = language, reference
        self.rnas, self.folder = rnas, folder
        self.numbers = itertools.cycle(range(1, questions + 1))

    def __call__(self, answer: Answer) -> dict[str, Any]:
        """Draw the next answer; what `--json` says of it."""
        from rnagpt.inference.attribution import explain_answer
        from rnagpt.inference.messages import user_message

        asked = user_message(answer.question, [self.rnas[answer.record - 1].sequence])
        answered = {"role": "assistant", "content": answer.written}
        scored = explain_answer(self.language.model, self.language.processor, [asked, answered])
        caption = f"{answer.question}\n{answer.answer}{_confidence_note(answer.confidence)}"
        file = self.folder / f"{answer.record}-{next(self.numbers)}.svg"
        (structure,) = _draw(file, scored, [answer.name], caption, self.reference)
        return {
            "drawing": str(file),
            **scored[0].to_dict(),
            "structure": structure.pairs,
            "structure_source": structure.source,
        }


def _draw(
    file: Path,
    scored: list[NucleotideScores],
    names: Sequence[str],
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
    answers: Iterator[Answer],
    as_json: bool,
    explain: _Explainer | None = None,
    total: int | None = None,
) -> None:
    from rnagpt.cli.progress import Progress

    view = None if as_json else _drawn_view(indent=4)
    record = 0
    told: set[int] = set()
    with Progress("answering", " answers", total=total) as progress:
        for answer in answers:
            explanation = explain(answer) if explain else None
            is_new = answer.record != record
            if is_new:
                told = set()
            with progress.aside():
                if as_json:
                    row = answer.as_row() | ({"explanation": explanation} if explanation else {})
                    print(json.dumps(row, ensure_ascii=False), flush=True)
                else:
                    if record and is_new:
                        print()
                    summary = explanation["summary"] if explanation else ""
                    if view is None:
                        _print_answer(answer, is_new, summary, told)
                    else:
                        _draw_answer(view, answer, is_new, summary, told)
            record = answer.record
            progress.advance()


def _print_answer(answer: Answer, is_new: bool, summary: str, told: set[int]) -> None:
    """An answer as plain text, below the title of its RNA where that `is_new`."""
    if is_new:
        print(_title(answer.name, answer.length, answer.changes))
    text = f"{answer.answer}{_confidence_note(answer.confidence)}{_cut_note(answer)}"
    text += f"\n[{summary}]" if summary else ""
    lines = _new_records(answer.cites, answer.sources, told)
    text = "\n".join([text, *lines])
    print(f"  {answer.question}\n{textwrap.indent(text, '    ')}", flush=True)


def _draw_answer(
    view: AnswerView, answer: Answer, is_new: bool, summary: str, told: set[int]
) -> None:
    """The same on a terminal."""
    if is_new:
        view.title(answer.name, answer.length, answer.changes)
    view.question(answer.question)
    view.answer(answer.answer, answer.items)
    view.confidence(answer.confidence, answer.basis, _cut_note(answer).strip(" []"))
    if summary:
        view.remark(summary)
    items = {item.number: item for item in answer.items}
    view.records(_new_records(answer.cites, items, told))
    view.console.file.flush()


def _drawn_view(indent: int = 0) -> AnswerView | None:
    """What draws on the terminal; None where standard output is none."""
    from rnagpt.cli.terminal import console_of

    if (console := console_of(sys.stdout)) is None:
        return None
    from rnagpt.cli.terminal_answers import AnswerView

    return AnswerView(console, indent)


def _cut_note(answer: Answer) -> str:
    return "" if answer.complete else " [cut at --max-new-tokens]"


def _new_records(
    cites: Iterable[int], sources: Mapping[int, _Source], told: set[int]
) -> list[_Source]:
    """Of the records, those that are cited for the first time; they are told from now on."""
    new = [number for number in cites if number not in told]
    told.update(new)
    return [sources[number] for number in new]


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
        # Called when it is pressed in the midst of an answer; may do no more than set a flag.
        self.stop: Callable[[], None] = lambda: None

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
        self.stop()


class _Session:
    """A conversation in the terminal."""

    def __init__(self, chat: RnaChat, rnas: list[CleanedRna], max_new_tokens: int) -> None:
        self.chat = chat
        self.waiting = list(rnas)
        self.told: set[int] = set()  # numbers of the records whose lines were shown
        self.max_new_tokens = max_new_tokens
        self.view = _drawn_view()
        self.ctrl_c = _CtrlC()
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
        if self.view is not None:
            self.ask_drawn(question, self.view)
            return
        for text in self.chat.ask(question, max_new_tokens=self.max_new_tokens):
            print(text, end="", flush=True)
            if self.ctrl_c.pressed:
                self.chat.stop()
        print(_confidence_note(self.chat.confidence))
        if self.chat.answer is not None:
            sources = {item.number: item.line for e in self.chat.evidence for item in e.items}
            for line in _new_records(self.chat.answer.cites, sources, self.told):
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
            view.records(_new_records(answer.cites, items, self.told))
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
        _check_drawing()
        caption = str(self.chat.messages[-1]["content"]) if self.chat.messages else ""
        answer, scored = self.chat.answer, self.chat.explain()
        names = self.chat.names if answer is None else answer.about
        _draw(Path(text), scored, names, caption, self.chat.reference)
        for number, rna in enumerate(scored, start=1):
            name = names[number - 1] if number <= len(names) else ""
            print(f"{name or f'RNA {number}'}: {rna.summary()}.")
        print(f"{text} is drawn.")

    def show(self, rna: CleanedRna) -> None:
        if self.view is not None:
            self.view.title(rna.name or "RNA", len(rna.sequence), rna.changes)
            self.view.console.file.flush()
            return
        print(_title(rna.name or "RNA", len(rna.sequence), rna.changes), flush=True)
