"""The command `rnagpt chat`: questions about RNAs, interactive or one-shot."""

from __future__ import annotations

import argparse
import functools
import hashlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnagpt.cli.chat_answers import print_answers
from rnagpt.cli.chat_drawings import Explainer, check_drawing
from rnagpt.cli.chat_session import Session
from rnagpt.cli.model_engine import add_engine, engine_of
from rnagpt.cli.values import positive

if TYPE_CHECKING:
    from rnagpt.cleaning_rnagpt import CleanedRna
    from rnagpt.cli.resumed_answers import ResumedAnswers
    from rnagpt.inference.cited import LanguageModel
    from rnagpt.reference.library import Reference
    from rnagpt.sequences.fasta import FastaRecord

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
  # many RNAs: stopped, the same command goes on after the last line of the file
  rnagpt chat 10k.fa --ask "What is this RNA?" --json --resume answers.jsonl
  # a model's words written faster on a CPU, by llama.cpp (pip install 'rna-gpt[cpu]')
  rnagpt chat rnas.fa --no-reference --engine llama.cpp
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
        "--resume",
        metavar="FILE",
        type=Path,
        help="with --ask and --json: write to FILE, and go on after its last line if it is there",
    )
    add(
        "--explain",
        metavar="FOLDER",
        help="with --ask: draw which nucleotides answers rest on, as FOLDER/RECORD-QUESTION.svg",
    )
    number: dict[str, Any] = {"type": positive, "metavar": "N"}
    add("--max-new-tokens", default=256, help="longest answer, in tokens (default: 256)", **number)
    add("--batch-size", default=8, help="with --ask: prompts per batch (default: 8)", **number)
    add_engine(parser)
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
        language.load()  # it is needed, so what is wrong with it is told now
    if not args.ask:
        chat = RnaChat(language, reference=reference)
        return Session(chat, rnas, args.max_new_tokens).run
    resumed = _resumed(args, rnas, reference)
    done = 0 if resumed is None else resumed.done
    answers = answer_questions(
        language,
        None,
        rnas,
        args.ask,
        reference=reference,
        batch_size=args.batch_size,
        max_new_tokens=args.max_new_tokens,
        skip=done,
    )
    explain = None
    if args.explain:
        assert isinstance(language, LocalModel)  # `_check_models` saw to it
        explain = Explainer(language, reference, rnas, len(args.ask), Path(args.explain), done)
    total = len(rnas) * len(args.ask)
    print_all = functools.partial(print_answers, answers, args.json, explain, total, done)
    return print_all if resumed is None else functools.partial(_print_into, resumed, print_all)


def _resumed(
    args: argparse.Namespace, rnas: Sequence[CleanedRna], reference: Reference | None
) -> ResumedAnswers | None:
    """The file that the answers go to; None: standard output."""
    if args.resume is None:
        return None
    from rnagpt import __version__
    from rnagpt.cli.resumed_answers import ResumedAnswers
    from rnagpt.inference.default_model import MODEL_VARIABLE

    settings = {
        "version": __version__,
        "model": args.model or os.environ.get(MODEL_VARIABLE) or "rna-gpt-mini",
        "engine": args.engine,
        "engine_options": engine_of(args)["engine_options"],
        "language_model": args.language_model,
        "language_model_url": args.language_model_url,
        "reference": None if reference is None else _identity(reference),
        "max_new_tokens": args.max_new_tokens,
        "explain": bool(args.explain),
    }
    return ResumedAnswers(args.resume, settings, rnas, args.ask)


def _identity(reference: Reference) -> str:
    """What tells a reference from any other: its name and the hashes of its files."""
    files = repr(sorted(reference.manifest.files.items()))
    return f"{reference.manifest.name} {hashlib.sha256(files.encode()).hexdigest()[:16]}"


def _print_into(resumed: ResumedAnswers, print_all: Callable[..., None]) -> None:
    with resumed:
        if resumed.done:
            print(f"{resumed.file}: going on after {resumed.done:,} answers.", file=sys.stderr)
        print_all(out=resumed.stream)


def _language_model(args: argparse.Namespace) -> LanguageModel:
    """What writes; a model of this machine is loaded when it is first needed."""
    if args.language_model_url:
        from rnagpt.inference.remote_model import RemoteModel

        key = next(filter(None, map(os.environ.get, KEY_VARIABLES)), None)
        return RemoteModel(args.language_model_url, args.language_model, key)
    from rnagpt.inference.local_model import LocalModel

    return LocalModel.open(
        args.model, int8=args.int8, compiled=args.compiled, quiet=True, **engine_of(args)
    )


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
    return language.limits


def _check_arguments(args: argparse.Namespace) -> None:
    _check_models(args)
    if not args.ask:
        for option in ("json", "explain", "resume"):
            if getattr(args, option):
                raise ValueError(f"--{option} needs at least one --ask.")
        if args.fasta == "-":
            raise ValueError(
                '"-" reads the RNAs from standard input, so questions must come with --ask.'
            )
        return
    if args.resume is not None and not args.json:
        raise ValueError("--resume writes one JSON object per line: give --json too.")
    if not args.fasta and not args.rna:
        raise ValueError("--ask needs an RNA: give a FASTA file or --rna.")
    for option in ("int8", "compiled"):
        if getattr(args, option):
            raise ValueError(
                f"--{option} is for conversations: --ask has answers written in batches, which it "
                "makes no faster."
            )
    if args.explain:
        check_drawing()
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
    for option in ("model", "engine", "int8", "compiled", "explain"):
        if getattr(args, option):
            raise ValueError(
                f"--{option} is for a model of this machine, and --language-model-url names one "
                "of a service; give one of them."
            )


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
