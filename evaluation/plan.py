"""What an evaluation will ask: checked, and the RNAs drawn, before any weights are loaded."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rnagpt.configuration_rnagpt import RnaGptConfig
from rnagpt.evaluation.answers import (
    CALIBRATION,
    COMPARED,
    EVALUATED,
    NEVER_SEEN,
    UNDER_CONTROL,
)
from rnagpt.evaluation.controls import partners_of
from rnagpt.evaluation.systems import (
    FUSION,
    RNA_GPT,
    SEQUENCE,
    check_room,
    plain_language_model,
    stage_one_projector,
)
from rnagpt.evaluation.tasks import (
    QUESTIONS,
    DrawnRna,
    Splits,
    draw_rnas,
    load_splits,
)
from rnagpt.processing_rnagpt import RnaGptProcessor

# Used where the data set has them, unless the command line names others.
USUAL_SPLITS = {CALIBRATION: "validation", NEVER_SEEN: "test_families"}


@dataclass(frozen=True)
class Plan:
    """What will be asked.

    Attributes:
        splits: the data.
        groups: RNAs to ask about, by `EVALUATED`, `UNDER_CONTROL`, `COMPARED`, `NEVER_SEEN` and
            `CALIBRATION`.
        split_of: the split that they are of, by the group; the first three are of the same.
        counts: how they were drawn, likewise.
        language_model, projector: the plain language model and stage 1's projection, where a system
            needs them.
    """

    splits: Splits
    groups: Mapping[str, list[DrawnRna]]
    split_of: Mapping[str, str]
    counts: Mapping[str, dict[str, int]]
    language_model: Path | None
    projector: Path | None


def make_plan(
    arguments: argparse.Namespace, config: RnaGptConfig, processor: RnaGptProcessor
) -> Plan:
    """Checks the arguments of `evaluation/evaluate.py`, and draws RNAs.

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
            "weights. Name the language model that it was trained from with --language_model "
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


__all__ = ["USUAL_SPLITS", "Plan", "make_plan"]
