"""The commands `rnagpt publish model|space` and `rna-qa publish`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rnagpt import __version__
from rnagpt.hub import PublishError

MODEL_HELP = """\
Publish a model on the Hub, and load it back in a clean environment.

FOLDER is what `rnagpt compose` or `rnagpt mini` wrote; with --adapter-only what `train_sft.py`
wrote, with its encoder in encoder/. The files are shown with their sizes; secrets, pickles, paths
of this machine and an unfinished card are rejected. The same command resumes an interrupted upload.
The card comes last. Then a fresh process with an empty cache loads the model by its id, and the tag
is set only if it predicts the same.

A README.md with front matter in FOLDER is the card; without one it is written from
training_record.json and results.json. The verification needs room for the model in $TMPDIR."""
MODEL_EXAMPLES = """\
examples:
  rnagpt mini rna-gpt-mini
  rnagpt publish model rna-gpt-mini ORG/rna-gpt-mini --dry-run \\
      --base-model HuggingFaceTB/SmolLM2-135M-Instruct --dataset ORG/rna-qa \\
      --training-record checkpoints/rna-gpt-mini/training_record.json
  rnagpt publish model checkpoints/rna-gpt-mini ORG/rna-gpt-mini-parts --adapter-only \\
      --base-model HuggingFaceTB/SmolLM2-135M-Instruct"""
SPACE_HELP = """\
Publish the Gradio Space of this package on the Hub, for a model that is there.

The Space's files are shown, uploaded and loaded back; a fresh process then opens the page, and the
tag is set only if that works."""
DATASET_HELP = """\
Publish a data set that `rna-qa` built on the Hub, and verify it in a clean environment.

OUT is the folder of the build. A fresh process with an empty cache loads every configuration and
split by the id, and streams them; the tag is set only if features and rows are the build's."""


def add_model_and_space(parser: argparse.ArgumentParser) -> None:
    """Add `model` and `space` to the command `rnagpt publish`."""
    kinds = parser.add_subparsers(dest="kind", metavar="model|space", required=True)
    model = _add(kinds, "model", "a model folder, or its adapter", MODEL_HELP, MODEL_EXAMPLES)
    add = model.add_argument
    add("folder", type=Path, metavar="FOLDER", help="the model")
    _add_common(model)
    parts = "encoder, projection and adapter, without the language model"
    add("--adapter-only", action="store_true", help=parts)
    add("--base-model", metavar="ID", help="Hub id of the language model")
    add("--dataset", metavar="ID", help="Hub id of the data it was trained on")
    add("--licence", metavar="ID", help="in the Hub's form (default: the base model's, if known)")
    record = "default: FOLDER/training_record.json"
    add("--training-record", type=Path, metavar="FILE", help=record)
    results = "what `rnagpt evaluate` wrote (default: FOLDER/results.json)"
    add("--results", type=Path, metavar="FILE", help=results)
    add(
        "--language-model",
        metavar="PATH",
        help="with --adapter-only: verify with this folder or GGUF file in place of --base-model",
    )
    model.set_defaults(run=_publish_model)
    space = _add(kinds, "space", "the Gradio Space", SPACE_HELP)
    _add_common(space)
    space.add_argument("--model", required=True, metavar="ID", help="Hub id that it answers with")
    space.set_defaults(run=_publish_space)


def add_dataset(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `rna-qa publish`."""
    parser.description = DATASET_HELP
    parser.add_argument("folder", type=Path, metavar="OUT", help="folder of the build")
    _add_common(parser)
    parser.set_defaults(run=_publish_dataset)


def _add(
    kinds: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    description: str,
    epilog: str | None = None,
) -> argparse.ArgumentParser:
    return kinds.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_common(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("repo_id", metavar="ORG/NAME", help="where to, on the Hub")
    add("--private", action="store_true", help="visible to its owners only")
    add("--revision", default="main", metavar="BRANCH", help="default: main")
    tag = "tag of what was verified (default: %(default)s)"
    add("--tag", default=f"v{__version__}", help=tag)
    add("--overwrite", action="store_true", help="replace other files that are there")
    add("--dry-run", action="store_true", help="check and show, upload nothing")


def _common(arguments: argparse.Namespace) -> dict[str, Any]:
    names = ("tag", "revision", "private", "overwrite", "dry_run")
    return {name: getattr(arguments, name) for name in names}


def _publish_model(arguments: argparse.Namespace) -> int:
    from rnagpt.hub.model import publish_model
    from rnagpt.hub.model_card import CardFacts

    if not arguments.base_model and (arguments.dataset or arguments.licence):
        raise PublishError(
            "--dataset and --licence are for a card that is written now; add --base-model."
        )
    facts = CardFacts(
        arguments.repo_id,
        arguments.base_model,
        arguments.dataset,
        arguments.licence,
        arguments.adapter_only,
    )
    publish_model(
        arguments.folder,
        facts if arguments.base_model else None,
        arguments.repo_id,
        adapter_only=arguments.adapter_only,
        record=arguments.training_record,
        results=arguments.results,
        language_model=arguments.language_model,
        **_common(arguments),
    )
    return 0


def _publish_space(arguments: argparse.Namespace) -> int:
    from rnagpt.hub.space import publish_space

    publish_space(arguments.repo_id, arguments.model, **_common(arguments))
    return 0


def _publish_dataset(arguments: argparse.Namespace) -> int:
    from rnagpt.hub.dataset import publish_dataset

    publish_dataset(arguments.folder, arguments.repo_id, **_common(arguments))
    return 0
