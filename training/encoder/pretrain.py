"""
Trains a small RNA encoder, on sequences only, or on what is written about them.

```bash
# masked nucleotides, as RNA-FM was made
rnagpt pretrain-encoder --config recipes/mini/encoder-masked.yaml \
    --fasta rnas.fasta.gz out/masked
# the first words of annotations: the table of k-mers first, then the layers above it
rnagpt pretrain-encoder --config recipes/mini/encoder-table.yaml --dataset-name rna-qa \
    --language-model HuggingFaceTB/SmolLM2-135M-Instruct out/table
rnagpt pretrain-encoder --config recipes/mini/encoder-words.yaml --dataset-name rna-qa \
    --language-model HuggingFaceTB/SmolLM2-135M-Instruct --encoder out/table out/words
```

OUT receives the encoder as a folder for `rnagpt compose`, `training_record.json` (with
a linear probe where a data set is named) and, from words, `projector.safetensors` with the summary
part of the projection. `--resume-from-checkpoint OUT/checkpoint-N` resumes a run; with
`--minutes N` the same command does, piece by piece.
What the objectives ask is in `training/encoder/objectives.py`.
"""

import json
import logging
import time
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from rnagpt.training.encoder.architecture import make_encoder
from rnagpt.training.encoder.arguments import EncoderArguments
from rnagpt.training.encoder.objectives import AnnotationWords
from rnagpt.training.encoder.probe import linear_probe
from rnagpt.training.encoder.rna_types import fit_types
from rnagpt.training.encoder.tasks import TrainingTask, masked_task, words_task
from rnagpt.training.encoder.trainer import EncoderTrainer

RECORD = "training_record.json"

logger = logging.getLogger(__name__)


def training_record(
    arguments: EncoderArguments, trainer: EncoderTrainer, encoder: Any, seconds: float
) -> dict[str, Any]:
    """What a run did: settings, data, its curve, and the run that it started from."""
    record = {
        "objective": arguments.objective,
        # A folder by its last name only: where it lay on this machine tells a reader nothing.
        "settings": {
            name: Path(value).name if isinstance(value, str) and Path(value).exists() else value
            for name, value in vars(arguments).items()
        },
        "learning_rate": trainer.args.learning_rate,
        "rnas": len(trainer.train_dataset),
        "parameters": encoder.num_parameters(),
        "steps": trainer.state.global_step,
        "max_steps": trainer.state.max_steps,
        "seconds": round(seconds, 1),  # of the last piece
        "log": trainer.state.log_history,
    }
    earlier = Path(arguments.encoder) / RECORD if arguments.encoder else None
    if earlier and earlier.is_file():
        record["started_from"] = json.loads(earlier.read_text())
    return record


def main(arguments: EncoderArguments, training_args: TrainingArguments) -> None:
    train(arguments, training_args, *prepare(arguments, training_args))


def prepare(
    arguments: EncoderArguments, training_args: TrainingArguments
) -> tuple[Any, TrainingTask]:
    """The encoder and what it will learn, before anything is trained.

    Raises:
        OSError, ValueError: the data or the earlier encoder cannot be used; says why.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.manual_seed(training_args.seed)
    encoder = make_encoder(arguments)
    if arguments.objective == "masked":
        return encoder, masked_task(arguments, encoder, Path(str(training_args.output_dir)))
    return encoder, words_task(arguments, encoder)


def train(
    arguments: EncoderArguments,
    training_args: TrainingArguments,
    encoder: Any,
    task: TrainingTask,
) -> None:
    """Train what was prepared; writes the encoder and its record to `training_args.output_dir`.

    Where a number of minutes is given, it goes on from the last checkpoint that is there; the
    encoder is written after each piece, and probed after the last one.
    """
    training_args.remove_unused_columns = False  # the collators read the rows as they are
    trainer = EncoderTrainer(task, arguments, training_args)
    out = Path(str(training_args.output_dir))
    start = time.monotonic()
    trainer.train(resume_from_checkpoint=_checkpoint(arguments, training_args, out))
    seconds = time.monotonic() - start
    record = training_record(arguments, trainer, encoder, seconds) | task.about
    done = trainer.state.global_step >= trainer.state.max_steps
    if done and isinstance(task.objective, AnnotationWords) and task.objective.types:
        record["types"] = fit_types(task.objective, task.rows)
        logger.info("Types: %s", record["types"])
    task.objective.save(out)
    if done and arguments.dataset_name:
        record["linear_probe"] = linear_probe(encoder, arguments.dataset_name)
        logger.info("Linear probe: %s", record["linear_probe"])
    (out / RECORD).write_text(json.dumps(record, indent=2) + "\n")
    logger.info("Saved in %s.", out)
    if not done:
        logger.info(
            "%d of %d steps are done. The same command goes on from here.",
            *(trainer.state.global_step, trainer.state.max_steps),
        )


def _checkpoint(
    arguments: EncoderArguments, training_args: TrainingArguments, out: Path
) -> str | None:
    """Where a run goes on: where it was told to, or in pieces where the last one stopped."""
    given: str | None = training_args.resume_from_checkpoint
    if given is None and arguments.minutes is not None and out.is_dir():
        given = get_last_checkpoint(str(out))
    if given:
        logger.info("Going on from %s.", given)
    return given
