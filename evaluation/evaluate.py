"""One evaluation: asks, scores and writes the report; `rnagpt evaluate` is its command."""

import argparse
import importlib.metadata
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

import rnagpt
from rnagpt.configuration_rnagpt import RnaGptConfig
from rnagpt.evaluation.answers import CALIBRATION, Answers
from rnagpt.evaluation.captions import headings
from rnagpt.evaluation.charts import draw_charts
from rnagpt.evaluation.confidence import add_confidence, fit_calibration, write_calibration
from rnagpt.evaluation.embedding_models import EmbeddingModel, open_embedding_model
from rnagpt.evaluation.matching import Judge
from rnagpt.evaluation.metrics import find_all
from rnagpt.evaluation.plan import Plan, make_plan
from rnagpt.evaluation.predictions import PredictionFile
from rnagpt.evaluation.report import write_report
from rnagpt.evaluation.runner import Interview, ask_everything
from rnagpt.evaluation.samples import choose_samples
from rnagpt.evaluation.systems import RNA_GPT, open_systems
from rnagpt.evaluation.tasks import QUESTIONS
from rnagpt.evaluation.text_metrics import score_texts
from rnagpt.inference.loading import load_model, load_processor
from rnagpt.processing_rnagpt import RnaGptProcessor

VERSIONS_OF = ("torch", "transformers", "datasets", "numpy", "scikit-learn", "rouge-score")


def prepare(
    arguments: argparse.Namespace,
) -> tuple[RnaGptProcessor, Plan, list[EmbeddingModel]]:
    """All that can fail, before any weights of RNA-GPT are loaded.

    Raises:
        ValueError, WeightsError, OSError: what was given cannot be used; says why.
    """
    try:
        processor = load_processor(arguments.model)
        config = RnaGptConfig.from_pretrained(arguments.model)
    except OSError as error:
        raise ValueError(
            f"{arguments.model!r} is no folder of an RNA-GPT, and could not be fetched from the "
            f"Hub: {error}"
        ) from error
    plan = make_plan(arguments, config, processor)
    _check_calibration(arguments, plan)
    return processor, plan, [open_embedding_model(name) for name in arguments.embedding_models]


def evaluate(
    arguments: argparse.Namespace,
    processor: RnaGptProcessor,
    plan: Plan,
    models: Sequence[EmbeddingModel],
) -> None:
    """Asks, scores and writes the report."""
    start = time.monotonic()
    arguments.out.mkdir(parents=True, exist_ok=True)
    judge = Judge(plan.splits, plan.splits.has_families)
    with PredictionFile(arguments.out / "predictions.jsonl") as file:
        answers = Answers(file, judge)
        settings, device = ask_systems(arguments, processor, plan, file, answers)
        score = partial(score_texts, models=models, ways=arguments.matching)
        figures = find_all(answers, plan, score, arguments.seed)
        calibration = fit_calibration(answers)
        curves = add_confidence(figures, answers, calibration) if calibration else {}
        record = {
            "command": shlex.join(["rnagpt", *map(_portable, sys.argv[1:])]),
            "arguments": {name: _described(value) for name, value in vars(arguments).items()},
            "settings": settings,
            "questions": {name: QUESTIONS[name] for name in plan.splits.questions},
            "data": plan.counts,
            "calibration": calibration and asdict(calibration),
            "risk_coverage": {
                name: [line.round(4).tolist() for line in curve] for name, curve in curves.items()
            },
            "device": device,
            "seconds": round(time.monotonic() - start, 1),
            "versions": {name: importlib.metadata.version(name) for name in VERSIONS_OF}
            | {"rnagpt": rnagpt.__version__},
        }
        tables = write_report(
            arguments.out,
            figures,
            headings(plan, arguments.min_training_rnas),
            draw_charts(figures, models, arguments.matching, curves),
            choose_samples(answers),
            record,
        )
    if arguments.write_calibration and calibration is not None:
        write_calibration(Path(arguments.model), calibration)
    print(tables)


def ask_systems(
    arguments: argparse.Namespace,
    processor: RnaGptProcessor,
    plan: Plan,
    file: PredictionFile,
    answers: Answers,
) -> tuple[dict[str, str], str]:
    """Asks each system what the file lacks; returns the digests of their settings, and where."""
    model = load_model(arguments.model, dtype=getattr(torch, arguments.dtype))
    settings = {}
    for system in open_systems(
        arguments.systems,
        model,
        processor,
        language_model=plan.language_model,
        projector=plan.projector,
        batch_size=arguments.batch_size,
        max_new_tokens=arguments.max_new_tokens,
    ):
        rated = system.name == RNA_GPT
        interview = Interview(system, file, answers.judge, arguments.seed, rated=rated)
        ask_everything(interview, answers, plan.groups, plan.splits.questions)
        settings[system.name] = interview.settings
    return settings, model.device.type


def _check_calibration(arguments: argparse.Namespace, plan: Plan) -> None:
    if not arguments.write_calibration:
        return
    if not (Path(arguments.model) / "config.json").is_file():
        raise ValueError(
            f"--write-calibration writes into the model's folder, and {arguments.model!r} is none. "
            "Download the model and name its folder with --model."
        )
    if CALIBRATION not in plan.groups:
        raise ValueError(
            "--write-calibration needs RNAs to fit the calibration on: name their split with "
            "--calibration-split, and have 'rnagpt' among --systems."
        )


def _described(value: Any) -> Any:
    """An argument for the record."""
    if isinstance(value, list):
        return [_described(one) for one in value]
    return value if isinstance(value, int | bool | None) else _portable(str(value))


def _portable(argument: str) -> str:
    """A path by its last name alone: where it lay on this machine tells a reader nothing."""
    return Path(argument).name if Path(argument).is_absolute() else argument


__all__ = ["evaluate", "prepare"]
