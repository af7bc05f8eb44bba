"""The paper's design in small: which families a linear projection teaches a language model to name.

    python benchmarks/paper_design.py OUT --dataset rna-qa --families 20 --steps 200
    python benchmarks/paper_design.py OUT --dataset rna-qa --families 80 --steps 800 --merge 4
    python benchmarks/paper_design.py OUT --dataset rna-qa --table   # writes paper_design.md

One run: RNAs of the N largest families, a frozen encoder, one linear projection, LoRA, questions on
family, identity and type (`recipes/paper-mini`). Then RNAs of clusters never seen are asked for
their family, once with their own vectors and once with those of an RNA of another family. OUT keeps
each run by its settings; one that was interrupted goes on, one that is finished is only read.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from measured import beginning, machine, table
from paper_families import chosen_families, measure, neighbour_and_commonest, write_part
from safetensors.torch import load_file, save_file

import rnagpt
from rnagpt import RnaGptForCausalLM
from rnagpt.conversion.compose import compose
from rnagpt.conversion.fresh_projector import fresh_projector
from rnagpt.conversion.mini import find_language_model

ROOT = Path(rnagpt.__file__).parent
REPORT = Path(__file__).with_suffix(".md")
RECIPES = ROOT / "recipes" / "paper-mini"
SHIPPED_ENCODER = ROOT / "checkpoints" / "rna-gpt-mini" / "encoder"
STAGES = ("alignment", "instruction")


@dataclass(frozen=True)
class Settings:
    """What one run changes."""

    families: int
    steps: int
    alignment_steps: int = 0
    merge: int = 8
    learning_rate: float = 1e-3
    rnas_per_step: int = 8
    questions: int = 3
    small_start: bool = True
    alike_start: bool = False
    rna_changes: float = 0.0
    adapter: bool = True
    max_rnas_per_family: int = 80
    encoder: str = "shipped"
    seed: int = 0

    @property
    def name(self) -> str:
        """Of its folder."""
        changed = {k: v for k, v in asdict(self).items() if v != _DEFAULTS.get(k, "")}
        return "-".join(f"{key}_{Path(str(value)).name}" for key, value in changed.items())


_DEFAULTS = {name: field.default for name, field in Settings.__dataclass_fields__.items()}


def run(*command: object, log: Path) -> None:
    """Run a command of the package; what it writes goes to a log.

    Raises:
        RuntimeError: it failed.
    """
    words = [sys.executable, *map(str, command)]
    with log.open("a") as file:
        if subprocess.run(words, stdout=file, stderr=subprocess.STDOUT, cwd=ROOT).returncode:
            raise RuntimeError(f"{' '.join(words)} failed: see {log}.")


def train(
    settings: Settings, data: Path, language_model: str, options: list[str], out: Path
) -> Path:
    """Train by `recipes/paper-mini`; a stage that is finished is not trained again.

    Returns:
        The model's folder.
    """
    log = out / "log.txt"
    encoder = SHIPPED_ENCODER if settings.encoder == "shipped" else Path(settings.encoder)
    if not (out / "base").is_dir():
        compose(encoder, language_model, out / "base", rna_merge_size=settings.merge)
        if not settings.small_start:
            scale_projection(out / "base", 10.0)
        if settings.alike_start:
            begin_alike(out / "base", settings.seed)
    stages = {"alignment": settings.alignment_steps, "instruction": settings.steps}
    earlier: list[object] = []
    for stage, steps in stages.items():
        folder = out / stage
        if not steps:
            continue
        if not (folder / "training_record.json").is_file():
            words: list[object] = [
                *("--config", RECIPES / f"{stage}.yaml", "--model_name_or_path", out / "base"),
                *("--dataset_name", data, "--output_dir", folder, "--max_steps", steps),
                *("--seed", settings.seed, "--learning_rate", settings.learning_rate, *earlier),
                *("--max_rnas_per_family", settings.max_rnas_per_family),
                *("--per_device_train_batch_size", settings.rnas_per_step, *options),
            ]
            if stage == "instruction":
                words += ["--questions_per_sequence", settings.questions]
                words += ["--rna_changes", settings.rna_changes] if settings.rna_changes else []
                # Changed copies have vectors of their own, so none are kept.
                words += ["--cache_encoder", "false"] if settings.rna_changes else []
                words += [] if settings.adapter else ["--train_adapter", "false"]
            if checkpoints := sorted(folder.glob("checkpoint-*"), key=_step):
                words += ["--resume_from_checkpoint", checkpoints[-1]]
            run(ROOT / "train_sft.py", *words, log=log)
        earlier = ["--projector", folder]
    if not (out / "model").is_dir():
        trained = out / "instruction"
        adapter = trained if settings.adapter else None
        compose(encoder, language_model, out / "model", projector=trained, adapter=adapter)
    return out / "model"


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def read_records(out: Path) -> dict[str, Any]:
    """The last losses of the instruction stage, and the seconds of all stages."""
    records = {
        stage: json.loads((out / stage / "training_record.json").read_text())
        for stage in STAGES
        if (out / stage).is_dir()
    }
    log = records["instruction"]["log"]
    told = {key: row[key] for row in log for key in ("loss", "eval_loss") if key in row}
    seconds = round(sum(record["seconds"] for record in records.values()))
    return {"seconds": seconds, **{key: round(float(value), 4) for key, value in told.items()}}


def scale_projection(model: Path, factor: float) -> None:
    """Multiply the weights of a model's projection, to see what its scale is worth."""
    file = model / "model.safetensors"
    tensors = load_file(file)
    for name in tensors:
        if name.startswith("model.projector."):
            tensors[name] = tensors[name] * factor
    save_file(tensors, file, metadata={"format": "pt"})


def begin_alike(model: Path, seed: int) -> None:
    """Begin with the same weights for each nucleotide of a vector, at the same scale."""
    whole = RnaGptForCausalLM.from_pretrained(model)
    encoder = whole.model.rna_encoder.state_dict()
    embeddings: Any = whole.get_input_embeddings().weight
    fresh = fresh_projector(whole, encoder, embeddings.detach(), seed, alike=True)
    file = model / "model.safetensors"
    tensors = load_file(file) | {f"model.projector.{name}": t for name, t in fresh.items()}
    save_file(tensors, file, metadata={"format": "pt"})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=str(__doc__).split("\n\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("out", type=Path, help="folder of all runs")
    parser.add_argument("--dataset", required=True, help="folder or Hub id of an RNA-QA of Rfam")
    parser.add_argument("--language-model", default="mini", help="folder, GGUF file or Hub id")
    for name, default in {**_DEFAULTS, "families": 20, "steps": 200}.items():
        option = "--" + name.replace("_", "-")
        if isinstance(default, bool):
            parser.add_argument(option, action=argparse.BooleanOptionalAction, default=default)
        else:
            parser.add_argument(option, type=type(default), default=default)
    parser.add_argument("--limit", type=int, default=400, help="RNAs that are asked")
    parser.add_argument("--table", action="store_true", help="only write the report of all runs")
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    settings = Settings(**{name: getattr(options, name) for name in Settings.__dataclass_fields__})
    if options.table:
        REPORT.write_text(report(options.out))
        return
    out = options.out / settings.name
    if (out / "result.json").is_file():
        print((out / "result.json").read_text())
        return
    data = part_of(options.out, settings.families)
    if not (data / "README.md").is_file():
        write_part(options.dataset, chosen_families(options.dataset, settings.families), data)
    out.mkdir(parents=True, exist_ok=True)
    language_model = options.language_model
    if language_model == "mini":
        language_model = str(find_language_model().source)
    precision = [] if options.bf16 else ["--bf16", "false", "--dtype", "float32"]
    model = train(settings, data, language_model, precision, out)
    result = {
        **asdict(settings),
        "limit": options.limit,
        **read_records(out),
        **measure(model, data, options.limit, settings.seed),
    }
    (out / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))


def part_of(out: Path, families: int) -> Path:
    """Where the part of RNA-QA with so many families is."""
    return out / f"data-{families}"


HEADER = (
    *("families", "RNAs seen a family", "questions an RNA", "changed", "validation loss"),
    *("right family", "swapped", "neighbour", "commonest", "RNAs asked"),
)


def report(out: Path) -> str:
    """All finished runs of a folder, as Markdown.

    Raises:
        FileNotFoundError: there is none.
    """
    runs = [json.loads(path.read_text()) for path in out.glob("*/result.json")]
    if not runs:
        raise FileNotFoundError(f"{out} holds no finished run. Make one first, without --table.")
    runs.sort(key=lambda run: (run["families"], _rnas_seen(run), changes(run)))
    keys = {(run["families"], run["limit"], run["seed"]) for run in runs}
    baselines = {key: neighbour_and_commonest(part_of(out, key[0]), *key[1:]) for key in keys}
    about = (
        f"{machine('torch', 'transformers', 'peft')} One linear projection of a frozen encoder's "
        "vectors, without summary vectors, and LoRA; greedy answers of the model by itself about "
        "RNAs of clusters never seen, 95 % intervals over families, single runs. Swapped: the "
        "vectors of an RNA of another family, the answer of one's own. Neighbour: the training "
        "RNA that shares most 8-mers."
    )
    rows = [row_of(run, *baselines[run["families"], run["limit"], run["seed"]]) for run in runs]
    title = beginning("What the paper's design learns", about)
    return f"{title}\n{table(HEADER, rows)}\n"


def _rnas_seen(run: Mapping[str, Any]) -> int:
    return int(run["steps"] * run["rnas_per_step"])


def row_of(run: Mapping[str, Any], neighbour: float, commonest: float) -> Sequence[str]:
    """A run's row under `HEADER`."""
    low, high = run["right_interval"]
    return (
        str(run["families"]),
        f"{_rnas_seen(run) / run['families']:.0f}",
        str(run["questions"]),
        changes(run),
        f"{run['eval_loss']:.3f}",
        f"{run['right']:.3f} ({low:.3f}–{high:.3f})",
        f"{run['swapped']:.3f}",
        f"{neighbour:.3f}",
        f"{commonest:.3f}",
        str(run["asked_rnas"]),
    )


def changes(run: Mapping[str, Any]) -> str:
    """What a run does otherwise than the recipe, in words."""
    told = []
    if steps := run["alignment_steps"]:
        told.append(f"stage 1 of {steps} steps before")
    if (merge := run["merge"]) != _DEFAULTS["merge"]:
        told.append(f"{merge} nt a vector")
    if not run["small_start"]:
        told.append("projection begun ten times as large")
    if run.get("alike_start"):
        told.append("nucleotides of a vector begun alike")
    if changed := run.get("rna_changes", 0.0):
        told.append(f"copies changed by up to {changed:.0%}")
    if (most := run["max_rnas_per_family"]) != _DEFAULTS["max_rnas_per_family"]:
        told.append(f"at most {most} RNAs a family")
    if not run["adapter"]:
        told.append("projection alone, without LoRA")
    if (rate := run["learning_rate"]) != _DEFAULTS["learning_rate"]:
        told.append(f"learning rate {rate:g}")
    if (encoder := run["encoder"]) != _DEFAULTS["encoder"]:
        told.append(f"encoder {Path(encoder).name}")
    if seed := run["seed"]:
        told.append(f"seed {seed}")
    return "; ".join(told) or "–"


if __name__ == "__main__":
    main()
