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

OUT receives the encoder as an `EsmModel` folder for `rnagpt compose`, `training_record.json` (with
a linear probe where a data set is named) and, from words, `projector.safetensors` with the summary
part of the projection. `--resume-from-checkpoint OUT/checkpoint-N` resumes a run.
What the objectives ask is in `training/encoder/objectives.py`.
"""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from transformers import EsmConfig, EsmModel, EvalPrediction, Trainer, TrainingArguments

from rnagpt.configuration_rnagpt import RNA_VOCABULARY, rna_vocabulary_size
from rnagpt.conversion.projector_folder import PROJECTOR_WEIGHTS
from rnagpt.sequences.dataset_loading import load_splits
from rnagpt.sequences.fasta import clean_rnas, read_fasta
from rnagpt.training.encoder.batches import (
    MaskedCollator,
    RnaRow,
    TokenBudgetSampler,
    WordsCollator,
    annotated_rows,
    decoy_of,
)
from rnagpt.training.encoder.objectives import (
    UNKNOWN,
    AnnotationWords,
    MaskedNucleotides,
    WordTargets,
    first_words,
)
from rnagpt.training.encoder.probe import linear_probe
from rnagpt.training.encoder.rna_types import fit_types
from rnagpt.training.options import option

RECORD = "training_record.json"

logger = logging.getLogger(__name__)


@dataclass
class EncoderArguments:
    """Which encoder is trained, on what."""

    objective: str = option("words", "masked (nucleotides) or words (of annotations).")
    dataset_name: str | None = option(
        None, "RNA-QA: the words to learn, the probe; its other splits are not trained on."
    )
    fasta: str | None = option(None, "Sequences for the masked objective.")
    language_model: str | None = option(None, "Whose word embeddings are the target.")
    encoder: str | None = option(None, "Earlier output to start from; layers may be added.")
    kmer_size: int = option(6, "Nucleotides a token reads; 1 as RNA-FM.")
    hidden_size: int = option(512, "Width of the encoder.")
    num_hidden_layers: int = option(2, "0 trains only the table of k-mers.")
    num_attention_heads: int = option(8, "Attention heads a layer.")
    intermediate_size: int = option(1024, "Width of the feed-forward layers.")
    summary_size: int = option(16, "Words to learn, one summary vector each.")
    type_size: int = option(6, "Words of the RNA's type, a summary vector each, before them.")
    merge_size: int = option(8, "Recorded for the projection; see RnaGptConfig.")
    max_length: int = option(1022, "Longer RNAs (nt) are cut at random, differently each time.")
    tokens_per_batch: int = option(8192, "Nucleotides of a batch, padding included.")
    table_rate: float = option(3.0, "Learning rate of the table of k-mers, in learning rates.")
    most_mutations: float = option(0.2, "Share of nucleotides replaced at random, at most.")
    decoy_share: float = option(0.3, "Share of RNAs that are shuffled, to be told as unknown.")
    mask_share: float = option(0.15, "Share of tokens masked (masked objective).")
    max_eval_rnas: int = option(1500, "Evaluate on at most N RNAs.")

    def __post_init__(self) -> None:
        needed = {"words": ("dataset_name", "language_model"), "masked": ("fasta",)}
        if self.objective not in needed:
            raise ValueError(f"objective must be masked or words, got {self.objective!r}.")
        missing = [_option(name) for name in needed[self.objective] if not getattr(self, name)]
        if missing:
            raise ValueError(f"The objective {self.objective!r} needs {' and '.join(missing)}.")


def _option(field_name: str) -> str:
    return f"--{field_name.replace('_', '-')}"


@dataclass
class TrainingTask:
    """What an encoder learns, from which RNAs, and what it is asked about others."""

    objective: MaskedNucleotides | AnnotationWords
    collator: MaskedCollator | WordsCollator
    rows: list[RnaRow]
    eval_rows: list[RnaRow]
    metrics: Callable[[EvalPrediction], dict[str, float]] | None = None


def make_encoder(arguments: EncoderArguments) -> EsmModel:
    """A fresh encoder, or that of an earlier run with new layers that begin as the identity.

    Raises:
        ValueError: if the earlier encoder has more layers, or other sizes, than asked for.
    """
    config = EsmConfig(  # type: ignore[call-arg]  # the base class takes more
        vocab_size=rna_vocabulary_size(arguments.kmer_size),
        hidden_size=arguments.hidden_size,
        num_hidden_layers=arguments.num_hidden_layers,
        num_attention_heads=arguments.num_attention_heads,
        intermediate_size=arguments.intermediate_size,
        max_position_embeddings=1026,
        position_embedding_type="rotary",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        token_dropout=False,
        pad_token_id=RNA_VOCABULARY.index("<pad>"),
        mask_token_id=RNA_VOCABULARY.index("<mask>"),
        kmer_size=arguments.kmer_size,
    )
    encoder = EsmModel(config, add_pooling_layer=False)
    if arguments.encoder:
        return _take_over(encoder, arguments.encoder)
    if arguments.objective == "words":
        # Words are read from means over an RNA's k-mers: these must differ from the start.
        torch.nn.init.normal_(encoder.embeddings.word_embeddings.weight, std=0.5)
    return encoder


def _take_over(encoder: EsmModel, name: str) -> EsmModel:
    earlier = EsmModel.from_pretrained(name, add_pooling_layer=False)
    wanted, given = encoder.config, earlier.config
    of_layers = ("num_attention_heads", "intermediate_size") if given.num_hidden_layers else ()
    for size in ("kmer_size", "hidden_size", *of_layers):
        if getattr(wanted, size) != getattr(given, size):
            raise ValueError(
                f"{name} has {size} {getattr(given, size)}, asked for was "
                f"{getattr(wanted, size)}: add {_option(size)} {getattr(given, size)}."
            )
    if given.num_hidden_layers > wanted.num_hidden_layers:
        raise ValueError(
            f"{name} has {given.num_hidden_layers} layers, more than the "
            f"{wanted.num_hidden_layers} asked for: raise --num-hidden-layers."
        )
    # The head for contact maps has a weight for each attention head of each layer, and no use here.
    state = {k: v for k, v in earlier.float().state_dict().items() if "contact_head" not in k}
    encoder.load_state_dict(state, strict=False)
    layers: Any = encoder.encoder.layer
    for layer in layers[given.num_hidden_layers :]:
        for output in (layer.attention.output.dense, layer.output.dense):
            torch.nn.init.zeros_(output.weight)
            torch.nn.init.zeros_(output.bias)
    return encoder


def corpus_rows(fasta: str, dataset_name: str | None) -> list[RnaRow]:
    """Sequences of a FASTA file, without those that RNA-QA keeps for evaluation."""
    held_out: set[str] = set()
    if dataset_name:
        splits = load_splits(dataset_name, usual="annotations")
        held_out = {s for name, rows in splits.items() if name != "train" for s in rows["sequence"]}
    records = clean_rnas(read_fasta(fasta), max_length=10**6)
    rows = [RnaRow(record.sequence) for record in records if record.sequence not in held_out]
    logger.info("%d sequences; RNA-QA keeps %d for evaluation.", len(rows), len(held_out))
    return rows


def masked_task(arguments: EncoderArguments, encoder: EsmModel) -> TrainingTask:
    """Masked nucleotides of a FASTA file; every n-th RNA is held out for evaluation."""
    rows = corpus_rows(str(arguments.fasta), arguments.dataset_name)
    every = max(2, len(rows) // arguments.max_eval_rnas)
    return TrainingTask(
        MaskedNucleotides(encoder),
        MaskedCollator(arguments.kmer_size, arguments.max_length, arguments.mask_share),
        [row for i, row in enumerate(rows) if i % every],
        rows[::every],
    )


def words_task(arguments: EncoderArguments, encoder: EsmModel) -> TrainingTask:
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


class EncoderTrainer(Trainer):
    """A Trainer whose batches hold a budget of nucleotides, of RNAs of similar length.

    Args:
        task: model, data and metrics.
        arguments: `tokens_per_batch` and `table_rate` of them.
        args: as for `Trainer`.
    """

    model: torch.nn.Module
    train_dataset: Any

    def __init__(
        self, task: TrainingTask, arguments: EncoderArguments, args: TrainingArguments
    ) -> None:
        super().__init__(
            model=task.objective,
            args=args,
            train_dataset=task.rows,  # type: ignore[arg-type]  # read by our own loader
            eval_dataset=task.eval_rows,  # type: ignore[arg-type]
            data_collator=task.collator,
            compute_metrics=task.metrics,
        )
        self.tokens_per_batch = arguments.tokens_per_batch
        self.table_rate = arguments.table_rate

    def get_train_dataloader(self) -> DataLoader[Any]:
        return self._loader(self.train_dataset, self.data_collator, shuffle=True)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader[Any]:
        collator = self.data_collator
        if isinstance(collator, WordsCollator):
            collator = replace(collator, most_mutations=0.0, decoy_share=0.0)
        rows = self.eval_dataset if eval_dataset is None else eval_dataset
        return self._loader(rows, collator, shuffle=False)

    def _loader(self, rows: Any, collator: Any, shuffle: bool) -> DataLoader[Any]:
        sampler = TokenBudgetSampler(
            rows,
            self.tokens_per_batch,
            max_length=collator.max_length,
            shuffle=shuffle,
            seed=self.args.seed,
        )
        workers = self.args.dataloader_num_workers
        loader = DataLoader(
            rows,
            batch_sampler=sampler,
            collate_fn=collator,
            num_workers=workers,
            persistent_workers=workers > 0,
        )
        return self.accelerator.prepare(loader)

    def create_optimizer(self, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        """AdamW with a rate of its own for the table: each row of it is seen rarely."""
        if self.optimizer is None:
            parameters = dict(self.model.named_parameters())
            table = [value for name, value in parameters.items() if "word_embeddings" in name]
            rest = [value for name, value in parameters.items() if "word_embeddings" not in name]
            rate = self.args.learning_rate
            self.optimizer: Any = torch.optim.AdamW(
                [{"params": table, "lr": self.table_rate * rate}, {"params": rest, "lr": rate}],
                weight_decay=self.args.weight_decay,
                fused=True,
            )
        return self.optimizer


def training_record(
    arguments: EncoderArguments, trainer: EncoderTrainer, encoder: EsmModel, seconds: float
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
        "seconds": round(seconds, 1),
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
) -> tuple[EsmModel, TrainingTask]:
    """The encoder and what it will learn, before anything is trained.

    Raises:
        OSError, ValueError: the data or the earlier encoder cannot be used; says why.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.manual_seed(training_args.seed)
    encoder = make_encoder(arguments)
    make_task = masked_task if arguments.objective == "masked" else words_task
    return encoder, make_task(arguments, encoder)


def train(
    arguments: EncoderArguments,
    training_args: TrainingArguments,
    encoder: EsmModel,
    task: TrainingTask,
) -> None:
    """Train what was prepared; writes the encoder and its record to `training_args.output_dir`."""
    training_args.remove_unused_columns = False  # the collators read the rows as they are
    trainer = EncoderTrainer(task, arguments, training_args)
    start = time.monotonic()
    trainer.train(resume_from_checkpoint=training_args.resume_from_checkpoint)
    seconds = time.monotonic() - start
    out = Path(str(training_args.output_dir))
    record = training_record(arguments, trainer, encoder, seconds)
    if isinstance(task.objective, AnnotationWords) and task.objective.types:
        record["types"] = fit_types(task.objective, task.rows)
        logger.info("Types: %s", record["types"])
    task.objective.save(out)
    if arguments.dataset_name:
        record["linear_probe"] = linear_probe(encoder, arguments.dataset_name)
        logger.info("Linear probe: %s", record["linear_probe"])
    (out / RECORD).write_text(json.dumps(record, indent=2) + "\n")
    logger.info("Saved in %s.", out)
