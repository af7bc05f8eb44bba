"""What an encoder is trained on, and what it is asked about RNAs that it has not seen."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from transformers import EvalPrediction

from rnagpt.conversion.projector_folder import PROJECTOR_WEIGHTS
from rnagpt.training.encoder.arguments import EncoderArguments
from rnagpt.training.encoder.batches import RnaRow, WordsCollator, annotated_rows, decoy_of
from rnagpt.training.encoder.corpus import context_losses, read_corpus
from rnagpt.training.encoder.masking import MaskedCollator
from rnagpt.training.encoder.objectives import (
    UNKNOWN,
    AnnotationWords,
    MaskedLetters,
    MaskedNucleotides,
    WordTargets,
    first_words,
    masked_objective,
)

# Of chosen nucleotides those that are shown as a random one, and as what they are: as in BERT.
_BY_CHANCE = 0.1


@dataclass
class TrainingTask:
    """What an encoder learns, from which RNAs, and what it is asked about others."""

    objective: MaskedNucleotides | MaskedLetters | AnnotationWords
    collator: MaskedCollator | WordsCollator
    rows: list[RnaRow]
    eval_rows: list[RnaRow]
    metrics: Callable[[EvalPrediction], dict[str, float]] | None = None
    about: dict[str, Any] = field(default_factory=dict)  # for the record


def masked_task(arguments: EncoderArguments, encoder: Any, folder: Path) -> TrainingTask:
    """Masked nucleotides of a FASTA file, asked of clusters that are held out.

    Args:
        folder: keeps the clusters.
    """
    corpus = read_corpus(
        str(arguments.fasta),
        folder,
        dataset_name=arguments.dataset_name,
        kept_out=arguments.kept_out.split(",") if arguments.kept_out else (),
        max_eval_rnas=arguments.max_eval_rnas,
    )
    shown_otherwise = _BY_CHANCE if arguments.kmer_size == 1 else 0.0
    collator = MaskedCollator(
        arguments.kmer_size,
        arguments.max_length,
        arguments.mask_share,
        random_share=shown_otherwise,
        kept_share=shown_otherwise,
        other_strand_share=arguments.other_strand_share,
        packed_size=arguments.tokens_per_batch if arguments.packing else None,
    )
    about = {
        "evaluation_rnas": len(corpus.evaluation),
        "left_out_rnas": corpus.left_out,
        "clustered_by": corpus.clustered_by,
        "loss_of_neighbours": context_losses(corpus),
    }
    objective = masked_objective(encoder)
    return TrainingTask(objective, collator, corpus.train, corpus.evaluation, about=about)


def words_task(arguments: EncoderArguments, encoder: Any) -> TrainingTask:
    """The first words of RNA-QA's annotations, asked of families that the training knows."""
    dataset_name = str(arguments.dataset_name)
    rows = annotated_rows(dataset_name, "train")
    targets = WordTargets.of(
        rows, str(arguments.language_model), arguments.summary_size, arguments.type_size
    )
    others = annotated_rows(dataset_name, "validation")
    objective = AnnotationWords(encoder, targets, arguments.merge_size)
    if arguments.encoder and (Path(arguments.encoder) / PROJECTOR_WEIGHTS).is_file():
        objective.load_projection(arguments.encoder)
    known = [row for row in others if row.family in targets.families][: arguments.max_eval_rnas]
    random = np.random.default_rng(0)
    return TrainingTask(
        objective,
        WordsCollator(
            targets,
            arguments.kmer_size,
            arguments.max_length,
            arguments.most_mutations,
            arguments.decoy_share,
        ),
        rows,
        [*known, *(decoy_of(row, random) for row in known)],
        partial(first_words, unknown=targets.families[UNKNOWN]),
    )


__all__ = ["TrainingTask", "masked_task", "words_task"]
