"""What the parts of the mini's recipe give, on validation RNAs: short trainings side by side.

    python benchmarks/ablations.py out/ablations --dataset_name rna-qa --encoder out/table \\
        --language_model SmolLM2-135M-Instruct       # writes ablations.md

`--encoder` is the output of `training/encoder/pretrain.py`, with its projection. Every variant starts from
it, changes one thing, runs both stages on the settings of `recipes/mini`, the instruction stage
for `--steps` steps, and is asked for family and type of RNAs of clusters never seen. The trainings
are short, so the figures tell variants from each other and not how good the mini is. A variant
whose answers are in the folder already is not trained again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import AutoConfig

from rnagpt.configuration_rnagpt import RnaGptConfig
from rnagpt.conversion.compose import compose
from rnagpt.conversion.projector_folder import (
    PROJECTOR_WEIGHTS,
    read_projector_settings,
    save_projector,
)
from rnagpt.evaluation.bootstrap import Figures
from rnagpt.evaluation.matching import Judge
from rnagpt.evaluation.tasks import (
    FAMILY,
    QUESTIONS,
    TYPE,
    DrawnRna,
    draw_rnas,
    load_splits,
)
from rnagpt.inference.abstention import declines
from rnagpt.inference.batch import answer_questions
from rnagpt.inference.loading import load_model, load_processor
from rnagpt.modeling_rnagpt import RnaProjector

ROOT = Path(__file__).parents[1]
REPORT = Path(__file__).with_suffix(".md")
NO_SUMMARY = dict.fromkeys(
    ("rna_summary_size", "rna_summary_memory", "rna_type_size", "rna_type_memory"), 0
)
SPLIT = "validation"
COLUMNS = ("right family", "right type", "declines")


@dataclass(frozen=True)
class Variant:
    """One change to the recipe.

    Attributes:
        name: of its folder.
        change: what is other than in the recipe, for the table.
        projection: settings of the projection that differ.
        stages: those that are trained, with their options that differ.
    """

    name: str
    change: str
    projection: dict[str, Any] = field(default_factory=dict)
    stages: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {"alignment": {}, "instruction": {}}
    )


# Without a summary nothing tells a stranger's family from its type, so none are shown.
PLAIN_STAGES = {"alignment": {}, "instruction": {"stranger_share": 0, "freeze_projector": False}}
VARIANTS = (
    Variant("recipe", "the recipe: 8 nucleotides a vector, encoder frozen, both stages"),
    Variant("merge4", "4 nucleotides a vector", {"rna_merge_size": 4}),
    Variant("merge16", "16 nucleotides a vector", {"rna_merge_size": 16}),
    Variant(
        "unfrozen",
        "encoder trained in stage 1",
        stages={"alignment": {"train_encoder": True}, "instruction": {}},
    ),
    Variant("one_stage", "without stage 1", stages={"instruction": {}}),
    Variant(
        "linear",
        "nucleotides alone, without summary vectors: linear, as in the paper",
        NO_SUMMARY,
        PLAIN_STAGES,
    ),
    Variant(
        "mlp",
        "nucleotides alone: mlp",
        NO_SUMMARY | {"projector_type": "mlp"},
        PLAIN_STAGES,
    ),
    Variant(
        "linear_one_stage",
        "nucleotides alone: linear, without stage 1",
        NO_SUMMARY,
        {"instruction": PLAIN_STAGES["instruction"]},
    ),
)


def train(variant: Variant, arguments: argparse.Namespace) -> Path:
    """Run a variant's stages; returns the folder of the whole model."""
    folder = arguments.out / variant.name
    encoder, projection, adapter = arguments.encoder, folder / "start", None
    start_projection(arguments, variant, projection)
    for stage, options in variant.stages.items():
        base = folder / f"base-{stage}"
        compose(
            encoder,
            arguments.language_model,
            base,
            projector=projection,
            dtype="float32",
            overwrite=True,
        )
        out = folder / stage
        run_stage(arguments, stage, base, out, options)
        projection = out
        encoder = out / "encoder" if (out / "encoder").is_dir() else encoder
        adapter = out if stage == "instruction" else None
    return compose(
        encoder,
        arguments.language_model,
        folder / "model",
        projector=projection,
        adapter=adapter,
        dtype="float32",
        overwrite=True,
    )


def start_projection(arguments: argparse.Namespace, variant: Variant, out: Path) -> None:
    """Write the projection that a variant starts from.

    The part for nucleotides, which pre-training does not touch, is drawn anew in every variant; the
    summary, where there is one, stays as it was pre-trained.
    """
    settings = read_projector_settings(arguments.encoder) | variant.projection
    # These the parts' own configurations say.
    del settings["rna_hidden_size"], settings["text_hidden_size"]
    config = RnaGptConfig(
        rna_config=AutoConfig.from_pretrained(arguments.encoder),
        text_config=AutoConfig.from_pretrained(arguments.language_model),
        **settings,
    )
    torch.manual_seed(arguments.seed)
    tensors = RnaProjector(config).state_dict()
    for name, value in load_file(arguments.encoder / PROJECTOR_WEIGHTS).items():
        if name in tensors and not name.startswith("nucleotides"):
            tensors[name] = value
    save_projector(tensors, config, out)


def run_stage(
    arguments: argparse.Namespace, stage: str, base: Path, out: Path, options: dict[str, Any]
) -> None:
    """Train one stage as `recipes/mini` has it; its output goes to a log beside it."""
    words: dict[str, Any] = {
        "config": ROOT / "recipes" / "mini" / f"{stage}.yaml",
        "model_name_or_path": base,
        "dataset_name": arguments.dataset_name,
        "output_dir": out,
        "eval_strategy": "no",
        "save_strategy": "no",
        "disable_tqdm": True,
        "seed": arguments.seed,
    }
    if torch.accelerator.is_available():
        # The recipes are for two cores, where eager attention is the faster one.
        words |= {"use_cpu": False, "dataloader_num_workers": 1}
        words |= {} if stage == "alignment" else {"attn_implementation": "sdpa"}
    if stage == "instruction":
        words |= {"max_steps": arguments.steps, "eval_strategy": "steps"}
        words["eval_steps"] = arguments.steps
    command = [sys.executable, str(ROOT / "train_sft.py")]
    for name, value in (words | options).items():
        command += [f"--{name}", str(value)]
    with Path(f"{out}.log").open("w") as log:
        subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=True)


def last_loss(folder: Path) -> float:
    """The loss on validation answers, as training's record has it."""
    log = json.loads((folder / "training_record.json").read_text())["log"]
    return next(entry["eval_loss"] for entry in reversed(log) if "eval_loss" in entry)


def ask(model_folder: Path, rnas: Sequence[DrawnRna], judge: Judge) -> Iterator[dict[str, bool]]:
    """How each RNA is answered: `COLUMNS`."""
    model = load_model(str(model_folder), dtype=torch.bfloat16)
    questions = [FAMILY, TYPE]
    answers = answer_questions(
        model,
        load_processor(str(model_folder)),
        [rna.cleaned for rna in rnas],
        [QUESTIONS[question] for question in questions],
        batch_size=32,
        max_new_tokens=48,
    )
    for rna in rnas:
        said = {question: next(answers).answer for question in questions}
        right = [
            rna.label_of(question) in judge.names_in(said[question], question)
            for question in questions
        ]
        yield dict(zip(COLUMNS, [*right, declines(said[FAMILY])], strict=True))


def report(found: dict[str, dict[str, Any]], arguments: argparse.Namespace, drawn: int) -> str:
    """The table, with how it was made."""
    lines = [
        "# What the parts of the mini's recipe give",
        "",
        f"`{shlex.join(['python', 'benchmarks/ablations.py', *map(_portable, sys.argv[1:])])}`",
        "",
        next(iter(found.values()))["machine"],
        "",
        f"Single runs of {arguments.steps} instruction steps: about {drawn} RNAs of the split "
        f"`{SPLIT}`, greedy answers, 95 % intervals over RNAs. Differences within the intervals "
        "are none.",
        "",
        f"| change | {' | '.join(COLUMNS)} | validation loss |",
        "| --- | --- | --- | --- | --- |",
    ]
    for variant in VARIANTS:
        if variant.name not in found:
            continue
        figures = Figures(arguments.seed)
        cells = []
        for column in COLUMNS:
            values = [row[column] for row in found[variant.name]["answers"]]
            figures.add_mean("", variant.name, column, values)
            low, high = figures.all[-1].interval
            cells.append(f"{figures.all[-1].value:.3f} ({low:.3f}–{high:.3f})")
        cells.append(f"{found[variant.name]['loss']:.3f}")
        lines.append(f"| {variant.change} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def machine() -> str:
    """Where the trainings run."""
    where = f"{platform.machine()}, {torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        where = torch.cuda.get_device_name()
    versions = [f"{package} {version(package)}" for package in ("torch", "transformers", "trl")]
    return f"{where}; {', '.join(versions)}."


def _portable(word: str) -> str:
    """A path by its last name alone: where it lay on this machine tells a reader nothing."""
    return Path(word).name if Path(word).is_absolute() else word


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("out", type=Path, help="folder of the trainings")
    add("--dataset_name", required=True, help="RNA-QA's Rfam build")
    add(
        "--encoder",
        type=Path,
        required=True,
        help="output of training/encoder/pretrain.py, or what is shipped of it: encoder and projection",
    )
    add("--language_model", required=True, help="folder of the language model")
    add("--steps", type=int, default=100, help="of the instruction stage (default: %(default)s)")
    add("--limit", type=int, default=200, help="RNAs to ask about (default: %(default)s)")
    add("--seed", type=int, default=0, help="default: %(default)s")
    add(
        "--variants", nargs="*", default=[variant.name for variant in VARIANTS], help="default: all"
    )
    arguments = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    splits = load_splits(arguments.dataset_name, [SPLIT])
    judge = Judge(splits)
    found = {}
    for variant in VARIANTS:
        path = arguments.out / variant.name / "answers.json"
        if variant.name in arguments.variants and not path.is_file():
            model = train(variant, arguments)
            rnas, _ = draw_rnas(
                splits,
                SPLIT,
                load_processor(str(model)),
                limit=arguments.limit,
                min_training_rnas=10,
                seed=arguments.seed,
            )
            answers = [
                {"id": rna.id, **row}
                for rna, row in zip(rnas, ask(model, rnas, judge), strict=True)
            ]
            loss = last_loss(arguments.out / variant.name / "instruction")
            kept = {"loss": loss, "machine": machine(), "answers": answers}
            path.write_text(json.dumps(kept, indent=1))
        if path.is_file():
            found[variant.name] = json.loads(path.read_text())
            REPORT.write_text(report(found, arguments, len(found[variant.name]["answers"])))
    print(REPORT.read_text())


if __name__ == "__main__":
    main()
