"""The command `rnagpt prompt-embeds`: questions about RNAs, for an unmodified vLLM."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from rnagpt.cli.exit_codes import exit_code
from rnagpt.cli.quiet import add_quiet, quieted

if TYPE_CHECKING:
    from rnagpt.inference.prompt_embeds import EmbeddedPrompt

HELP = """\
Embed questions about RNAs for an unmodified vLLM, started as

  vllm serve LANGUAGE_MODEL --enable-prompt-embeds --chat-template-content-format string

on the folder that `rnagpt export-language-model` wrote. This machine encodes the RNAs, and loads
neither the layers of the language model nor vLLM; vLLM writes the answers.

One JSON object per line, for each record each question: record, name, length, changes, question,
tokens (of the prompt), evidence (the records above the question; null without), and body: fields of
a request to vLLM. What is missing in it, such as model and max_tokens, is yours to choose.
"""
EXAMPLES = """\
examples:
  rnagpt export-language-model ./language-model
  vllm serve ./language-model --served-name mini --enable-prompt-embeds \\
      --chat-template-content-format string
  rnagpt prompt-embeds rnas.fasta prompts.jsonl --ask "What type of RNA is this?"
  # whole prompts, which /v1/completions takes; another model
  rnagpt prompt-embeds rnas.fasta prompts.jsonl --ask "What is this RNA?" --endpoint completions
  rnagpt prompt-embeds rnas.fasta --ask "What is this RNA?" --model ./my-rna-gpt --dtype bfloat16

The body of --endpoint chat holds a message: the RNA's vectors as a part of type "prompt_embeds",
and the question as text, which may be replaced by another. vLLM 0.32 takes it, older ones may not.
That of --endpoint completions holds all of the prompt, and is larger.

exit codes: 0 done; 2 rejected (an RNA, a file, a question or a model; the reason is on standard
error, and OUT is not written); 130 stopped by Ctrl-C
"""
ENDPOINTS = ("chat", "completions")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add("fasta", metavar="FASTA", help='FASTA file, compressed or not; "-": stdin')
    add("out", nargs="?", type=Path, metavar="OUT", help="file to write (default: standard output)")
    add(
        "--ask",
        metavar="QUESTION",
        action="append",
        required=True,
        help="a question about every RNA; may repeat",
    )
    add("--model", metavar="PATH_OR_ID", help="RNA-GPT: folder or Hub id (default: rna-gpt-mini)")
    add(
        "--endpoint",
        choices=ENDPOINTS,
        default=ENDPOINTS[0],
        help="of vLLM that the requests are for (default: %(default)s)",
    )
    add(
        "--reference",
        metavar="DIR",
        help="whose records stand above the question; for a model that was trained to read them "
        "(default: for such a model the families of Rfam that rna-gpt-mini has)",
    )
    add("--no-reference", action="store_true", help="put no records into the prompts")
    add(
        "--dtype",
        choices=("float32", "bfloat16", "float16"),
        help="of the vectors; vLLM casts them to its own (default: float32 on a CPU)",
    )
    add("--overwrite", action="store_true", help="replace OUT if it is there and not empty")
    add_quiet(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; the exit code."""
    return exit_code("rnagpt prompt-embeds", lambda: _embed(arguments), (ValueError, OSError))


def _embed(arguments: argparse.Namespace) -> None:
    if arguments.reference is not None and arguments.no_reference:
        raise ValueError("--reference and --no-reference contradict each other; give one of them.")
    _check_free(arguments)
    with quieted(arguments):
        lines = _lines(arguments)
        with _opened(arguments.out) as out:
            for line in lines:
                out.write(f"{line}\n")


def _lines(arguments: argparse.Namespace) -> Iterator[str]:
    """The lines to write; all RNAs and prompts are checked before the first."""
    from rnagpt.inference.prompt_embeds import embed_prompts, load_embedder
    from rnagpt.reference.library import Reference
    from rnagpt.sequences.fasta import clean_rnas, read_fasta

    records = list(read_fasta(arguments.fasta))
    dtype: dict[str, Any] = {"dtype": arguments.dtype} if arguments.dtype else {}
    model, processor = load_embedder(arguments.model, **dtype)
    reference = None
    if arguments.reference is not None or (
        model.config.reads_evidence and not arguments.no_reference
    ):
        reference = Reference.open(arguments.reference)
    rnas = clean_rnas(
        records, max_length=processor.max_rna_length, max_ambiguous=processor.max_ambiguous
    )
    prompts = embed_prompts(model, processor, rnas, arguments.ask, reference)
    asked = len(arguments.ask)
    return (
        _line(prompt, 1 + place // asked, arguments.endpoint)
        for place, prompt in enumerate(prompts)
    )


def _line(prompt: EmbeddedPrompt, record: int, endpoint: str) -> str:
    fields = {
        "record": record,
        "name": prompt.rna.name,
        "length": len(prompt.rna.sequence),
        "changes": list(prompt.rna.changes),
        "question": prompt.question,
        "tokens": len(prompt.embeds),
        "evidence": None if prompt.evidence is None else prompt.evidence.to_dict(),
        "body": prompt.for_chat() if endpoint == "chat" else prompt.for_completions(),
    }
    return json.dumps(fields, ensure_ascii=False)


def _check_free(arguments: argparse.Namespace) -> None:
    out: Path | None = arguments.out
    if out is not None and out.exists() and out.stat().st_size and not arguments.overwrite:
        raise FileExistsError(f"{out} is there already; name another file, or add --overwrite")


@contextmanager
def _opened(out: Path | None) -> Iterator[IO[str]]:
    """Standard output, or a file that is there when all of it is written."""
    if out is None:
        yield sys.stdout
        return
    partial = out.with_name(f"{out.name}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            yield file
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)


__all__ = ["EXAMPLES", "HELP", "add_arguments", "run"]
