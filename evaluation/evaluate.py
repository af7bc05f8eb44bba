"""One evaluation: it is planned, asks, scores and writes the report (`rnagpt evaluate`)."""

from __future__ import annotations

import argparse
import importlib.metadata
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

import rnagpt
from rnagpt.configuration_rnagpt import RnaGptConfig
from rnagpt.evaluation.baselines import partners_of
from rnagpt.evaluation.calibration import add_confidence, fit_calibration, write_calibration
from rnagpt.evaluation.embedding_models import EmbeddingModel, open_embedding_model
from rnagpt.evaluation.entities import EntityFinder, records_of
from rnagpt.evaluation.matching import AnswerMatcher
from rnagpt.evaluation.metrics import ScoreTexts, find_all
from rnagpt.evaluation.report import captions, choose_samples, draw_charts, write_report
from rnagpt.evaluation.runner import Answers, EvalRunner, PredictionFile, ask_everything
from rnagpt.evaluation.search_baseline import (
    has_reference,
    reference_of_training,
    search_labels,
)
from rnagpt.evaluation.systems import (
    FUSION,
    RNA_GPT,
    SEQUENCE,
    check_room,
    open_systems,
    plain_language_model,
    stage_one_projector,
)
from rnagpt.evaluation.tasks import (
    CALIBRATION,
    COMPARED,
    EVALUATED,
    NEVER_SEEN,
    QUESTIONS,
    UNDER_CONTROL,
    DrawnRna,
    Plan,
    Splits,
    draw_rnas,
    load_splits,
)
from rnagpt.evaluation.text_metrics import score_texts
from rnagpt.inference.loading import load_model, load_processor
from rnagpt.processing_rnagpt import RnaGptProcessor
from rnagpt.reference.library import Reference

VERSIONS_OF = ("torch", "transformers", "datasets", "numpy", "scikit-learn", "rouge-score")
# Used where the data set has them, unless the command line names others.
USUAL_SPLITS = {CALIBRATION: "validation", NEVER_SEEN: "test_families"}


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
    matcher = AnswerMatcher(plan.splits, plan.splits.has_families)
    with PredictionFile(arguments.out / "predictions.jsonl") as file:
        answers = Answers(file, matcher)
        settings, device = ask_systems(arguments, processor, plan, file, answers)
        reference = _reference(arguments)
        score = _scorer(arguments, plan, models, reference)
        searched = search_labels(reference, plan.groups) if reference else {}
        figures = find_all(answers, plan, score, arguments.seed, searched)
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
            captions(plan, arguments.min_training_rnas),
            draw_charts(figures, models, arguments.matching, curves),
            choose_samples(answers),
            record,
        )
    if arguments.write_calibration and calibration is not None:
        write_calibration(Path(arguments.model), calibration)
    print(tables)


def _reference(arguments: argparse.Namespace) -> Reference | None:
    """The reference of the training split, for the search's row; None where there is none."""
    full = arguments.reference
    if full is None and not has_reference(arguments.dataset):
        return None
    work = arguments.out / "train"
    return reference_of_training(arguments.dataset, full or arguments.dataset, work)


def _scorer(
    arguments: argparse.Namespace,
    plan: Plan,
    models: Sequence[EmbeddingModel],
    reference: Reference | None,
) -> ScoreTexts:
    """ROUGE, semantic scores, and the scores of what texts name."""
    finder = EntityFinder(plan.splits, records_of(reference.families) if reference else ())

    def score(references: Sequence[str], answers: Sequence[str]) -> dict[str, np.ndarray]:
        scores = score_texts(references, answers, models, arguments.matching)
        return scores | finder.score(references, answers)

    return score


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
        runner = EvalRunner(system, file, answers.matcher, arguments.seed, rated=rated)
        ask_everything(runner, answers, plan.groups, plan.splits.questions)
        settings[system.name] = runner.settings
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
    """A path by its last name only: where it lay on this machine tells a reader nothing."""
    return Path(argument).name if Path(argument).is_absolute() else argument


def make_plan(
    arguments: argparse.Namespace, config: RnaGptConfig, processor: RnaGptProcessor
) -> Plan:
    """Checks the arguments of `rnagpt evaluate`, and draws RNAs.

    Raises:
        ValueError: the data, the parts of the systems or the RNAs cannot be used; says why.
        WeightsError: there is no such language model, or it cannot be fetched.
    """
    language_model, projector = _parts(arguments, config)
    splits, split_of = _splits(arguments)
    groups: dict[str, list[DrawnRna]] = {}
    counts = {}
    limits = {
        EVALUATED: arguments.limit,
        CALIBRATION: arguments.calibration_limit,
        NEVER_SEEN: arguments.unseen_limit,
    }
    for group, split in split_of.items():
        groups[group], counts[group] = draw_rnas(
            splits,
            split,
            processor,
            limit=limits[group],
            min_training_rnas=0 if group == NEVER_SEEN else arguments.min_training_rnas,
            seed=arguments.seed,
        )
    groups[UNDER_CONTROL] = groups[EVALUATED][: arguments.control_limit]
    groups[COMPARED] = groups[EVALUATED][: arguments.compare_limit]
    _check(arguments, config, processor, groups)
    return Plan(splits, groups, split_of, counts, language_model, projector)


def _parts(arguments: argparse.Namespace, config: RnaGptConfig) -> tuple[Path | None, Path | None]:
    """The plain language model and stage 1's projection, as far as the systems need them."""
    if {SEQUENCE, FUSION}.isdisjoint(arguments.systems):
        return None, None
    if arguments.language_model is None:
        raise ValueError(
            "The systems 'sequence' and 'fusion' are the language model without the adapter, but "
            f"{arguments.model} has no adapter to switch off: training's is merged into its "
            "weights. Name the language model that it was trained from with --language-model "
            "(a folder, a GGUF file or a Hub id; 'mini' for rna-gpt-mini's)."
        )
    if FUSION in arguments.systems and arguments.alignment is None:
        raise ValueError(
            "The system 'fusion' needs the projection as the alignment stage left it. Give the "
            "folder that this stage wrote with --alignment, or leave 'fusion' out of --systems."
        )
    projector = None
    if FUSION in arguments.systems:
        projector = stage_one_projector(arguments.alignment, config)
    return plain_language_model(arguments.language_model, config), projector


def _splits(arguments: argparse.Namespace) -> tuple[Splits, dict[str, str]]:
    """The data, and the split of each group of RNAs."""
    wanted = {CALIBRATION: arguments.calibration_split, NEVER_SEEN: arguments.unseen_split}
    if RNA_GPT not in arguments.systems:
        wanted, usual = {}, {}
    else:
        usual = {group: USUAL_SPLITS[group] for group, name in wanted.items() if name is None}
        wanted = {group: name for group, name in wanted.items() if name is not None}
    splits = load_splits(
        arguments.dataset, [arguments.split, *wanted.values()], list(usual.values())
    )
    found = {group: name for group, name in usual.items() if name in splits.others}
    split_of = {EVALUATED: arguments.split, **wanted, **found}
    if split_of.get(NEVER_SEEN) == arguments.split:
        del split_of[NEVER_SEEN]  # it is what is evaluated
    return splits, split_of


def _check(
    arguments: argparse.Namespace,
    config: RnaGptConfig,
    processor: RnaGptProcessor,
    groups: Mapping[str, list[DrawnRna]],
) -> None:
    questions = list(QUESTIONS.values())
    for system in arguments.systems:
        asked = groups.values() if system == RNA_GPT else [groups[COMPARED]]
        rnas = [rna.cleaned for drawn in asked for rna in drawn]
        check_room(system, config, processor, rnas, questions, arguments.max_new_tokens)
    if RNA_GPT in arguments.systems:
        for group in (UNDER_CONTROL, COMPARED):
            partners_of(groups[group], arguments.seed)
