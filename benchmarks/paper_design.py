"""The paper's design in small: which families a linear projection teaches a language model to name.

    python benchmarks/paper_design.py OUT --dataset rna-qa --families 20 --steps 200
    python benchmarks/paper_design.py OUT --dataset rna-qa --families 80 --steps 800 --merge 4

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
import time
from collections import Counter
from dataclasses import asdict, dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file, save_file

import rnagpt
from rnagpt import answer_questions, clean_rna, load_model, load_processor
from rnagpt.conversion.compose import compose
from rnagpt.conversion.mini import find_language_model
from rnagpt.evaluation.matching import Names
from rnagpt.sequences.dataset_loading import load_splits
from rnagpt.sequences.even_families import even_families

ROOT = Path(rnagpt.__file__).parent
RECIPES = ROOT / "recipes" / "paper-mini"
SHIPPED_ENCODER = ROOT / "checkpoints" / "rna-gpt-mini" / "encoder"
SPLITS = ("train", "validation", "test")
CATEGORIES = ("family", "identity", "type")
MIN_TRAINING_RNAS = 10
QUESTION = "Which RNA family does this sequence belong to?"


@dataclass(frozen=True)
class Settings:
    """What one run changes."""

    families: int
    steps: int
    alignment_steps: int = 0
    merge: int = 8
    learning_rate: float = 1e-3
    rnas_per_step: int = 8
    small_start: bool = True
    adapter: bool = True
    encoder: str = "shipped"
    seed: int = 0

    @property
    def name(self) -> str:
        """Of its folder."""
        changed = {k: v for k, v in asdict(self).items() if v != _DEFAULTS.get(k, "")}
        return "-".join(f"{key}_{Path(str(value)).name}" for key, value in changed.items())


_DEFAULTS = {name: field.default for name, field in Settings.__dataclass_fields__.items()}


def chosen_families(dataset: str, count: int) -> list[str]:
    """The largest families by training RNAs: of at least 10, with RNAs in validation and test."""
    rows = load_splits(dataset, usual="annotations")
    sizes = Counter(rows["train"]["family"])
    others = [set(rows[split]["family"]) for split in SPLITS[1:]]
    able = [
        family
        for family, size in sizes.most_common()
        if size >= MIN_TRAINING_RNAS and any(family in split for split in others)
    ]
    if count > len(able):
        raise ValueError(f"{dataset} has {len(able)} such families, {count} were asked for.")
    return able[:count]


def write_part(dataset: str, families: list[str], out: Path) -> None:
    """A data set of these families and `CATEGORIES` alone, in RNA-QA's form."""
    configs = {"annotations": ["family"], "qa": ["family", "category"]}
    for config, columns in configs.items():
        rows = load_splits(dataset, usual=config)
        for split in SPLITS:
            part = rows[split].filter(_Wanted(set(families)), input_columns=columns)
            (out / config).mkdir(parents=True, exist_ok=True)
            part.to_parquet(out / config / f"{split}.parquet")
    card = "---\nconfigs:\n" + "".join(
        f"  - config_name: {config}\n    data_files:\n"
        + "".join(
            f"      - {{split: {split}, path: {config}/{split}.parquet}}\n" for split in SPLITS
        )
        for config in configs
    )
    (out / "README.md").write_text(f"{card}---\n")


@dataclass(frozen=True)
class _Wanted:
    families: set[str]

    def __call__(self, family: str, category: str = CATEGORIES[0]) -> bool:
        return family in self.families and category in CATEGORIES


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
                *("--per_device_train_batch_size", settings.rnas_per_step, *options),
            ]
            if not settings.adapter and stage == "instruction":
                words += ["--train_adapter", "false"]
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


def losses(record: Path) -> dict[str, float]:
    """The last losses of a stage."""
    log = json.loads(record.read_text())["log"]
    told = {key: row[key] for row in log for key in ("loss", "eval_loss") if key in row}
    return {key: round(float(value), 4) for key, value in told.items()}


def scale_projection(model: Path, factor: float) -> None:
    """Multiply the weights of a model's projection, to see what its scale is worth."""
    file = model / "model.safetensors"
    tensors = load_file(file)
    for name in tensors:
        if name.startswith("model.projector."):
            tensors[name] = tensors[name] * factor
    save_file(tensors, file, metadata={"format": "pt"})


def measure(model_folder: Path, data: Path, limit: int, seed: int) -> dict[str, Any]:
    """Share of RNAs of clusters never seen whose family is named, and the controls.

    Args:
        model_folder: what is asked.
        data: its part of RNA-QA.
        limit: RNAs of the test split, then of validation where that has too few; of as many
            families as possible.
        seed: of the draw.

    Returns:
        `right`, with their own vectors; `swapped`: the right answer of an RNA, given the vectors
        of an RNA of another family; `commonest`: by always naming the commonest training family;
        `right_interval` (95 %, by resampling RNAs); `rnas`.
    """
    model, processor = load_model(str(model_folder)), load_processor(str(model_folder))
    rows = load_splits(str(data), usual="annotations")
    known = Names(
        {row["family"]: [row["family"], row["family_description"]] for row in rows["train"]}
    )
    drawn = even_families([*rows["test"], *rows["validation"]], limit, seed, itemgetter("family"))
    rnas = [clean_rna(row["sequence"], name=row["id"]) for row in drawn]
    others = [drawn[other_family(drawn, place, seed)] for place in range(len(drawn))]
    swapped = [clean_rna(row["sequence"], name=row["id"]) for row in others]
    told = {
        kind: [
            known.named_in(answer.answer)
            for answer in answer_questions(
                model, processor, given, [QUESTION], batch_size=16, max_new_tokens=48
            )
        ]
        for kind, given in (("right", rnas), ("swapped", swapped))
    }
    right = {
        kind: np.array([names == {row["family"]} for names, row in zip(found, drawn, strict=True)])
        for kind, found in told.items()
    }
    commonest = Counter(rows["train"]["family"]).most_common(1)[0][0]
    resampled = np.random.default_rng(seed).choice(right["right"], (2000, len(drawn))).mean(1)
    return {
        **{kind: round(float(hits.mean()), 4) for kind, hits in right.items()},
        "right_interval": [round(float(np.quantile(resampled, q)), 4) for q in (0.025, 0.975)],
        "commonest": round(float(np.mean([row["family"] == commonest for row in drawn])), 4),
        "rnas": len(drawn),
        "families": len({row["family"] for row in drawn}),
    }


def other_family(rows: list[dict[str, Any]], place: int, seed: int) -> int:
    """The place of a random row of another family."""
    able = [i for i, row in enumerate(rows) if row["family"] != rows[place]["family"]]
    return int(np.random.default_rng([seed, place]).choice(able))


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
    parser.add_argument("--max-rnas-per-family", type=int, default=80)
    parser.add_argument("--limit", type=int, default=400, help="RNAs that are asked")
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    settings = Settings(**{name: getattr(options, name) for name in Settings.__dataclass_fields__})
    out = options.out / settings.name
    if (out / "result.json").is_file():
        print((out / "result.json").read_text())
        return
    data = options.out / f"data-{settings.families}"
    if not (data / "README.md").is_file():
        write_part(options.dataset, chosen_families(options.dataset, settings.families), data)
    out.mkdir(parents=True, exist_ok=True)
    language_model = options.language_model
    if language_model == "mini":
        language_model = str(find_language_model().source)
    precision = [] if options.bf16 else ["--bf16", "false", "--dtype", "float32"]
    start = time.monotonic()
    more = ["--max_rnas_per_family", options.max_rnas_per_family, *precision]
    model = train(settings, data, language_model, more, out)
    seconds = time.monotonic() - start
    result = {
        **asdict(settings),
        "max_rnas_per_family": options.max_rnas_per_family,
        "seconds": round(seconds),
        **losses(out / "instruction" / "training_record.json"),
        **measure(model, data, options.limit, settings.seed),
    }
    (out / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
