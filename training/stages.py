"""Data and trained parameters of a stage, from its arguments."""

import logging

from datasets import Dataset
from peft import LoraConfig, get_peft_model
from torch import nn
from trl import ModelConfig, SFTConfig

from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor
from rnagpt.reference.library import Reference
from rnagpt.reference.records import Record
from rnagpt.training.arguments import StageArguments
from rnagpt.training.bfloat16 import SLOW, slowdown_of_bfloat16
from rnagpt.training.collators import AlignmentCollator, InstructionCollator, count_template_tokens
from rnagpt.training.columns import parse_mapping
from rnagpt.training.rows import INSTRUCTION, load_rnas, prepare_rnas
from rnagpt.training.trainer import (
    check_adapter,
    check_encoder,
    load_adapter,
    load_projector,
    lora_targets,
)

logger = logging.getLogger(__name__)


def warn_of_slow_bfloat16(training_args: SFTConfig, model_args: ModelConfig) -> None:
    """Says so where bfloat16 is asked of a CPU without units for it: days in place of hours."""
    asked = training_args.bf16 or "bfloat16" in str(model_args.dtype)
    if not asked or training_args.device.type != "cpu":
        return
    if (times := slowdown_of_bfloat16()) > SLOW:
        logger.warning(
            "This CPU computes in bfloat16 %.0f times slower than in float32. Train with "
            "--bf16 false --dtype float32.",
            times,
        )


def load_data(
    stage: StageArguments, processor: RnaGptProcessor, split: str, max_rnas: int | None, seed: int
) -> tuple[Dataset, dict[str, int]]:
    """Loads and prepares a split; the log has what was left out."""
    is_training = split == stage.dataset_train_split
    if not stage.dataset_name:
        raise ValueError("--dataset_name is missing: name the folder or Hub id of an RNA-QA.")
    rows = load_rnas(
        stage.dataset_name,
        stage.dataset_config,
        split,
        stage.stage,
        stage.skip_categories,
        parse_mapping(stage.columns) or None,
    )
    rows, counts = prepare_rnas(
        rows,
        processor,
        template_tokens=count_template_tokens(processor) if stage.stage == INSTRUCTION else 2,
        max_sequence_tokens=stage.max_sequence_tokens,
        max_text_tokens=stage.max_text_tokens,
        questions_per_sequence=stage.questions_per_sequence,
        max_rnas=max_rnas,
        max_rnas_per_family=stage.max_rnas_per_family,
        decoy_share=stage.decoy_share if is_training else 0.0,
        novel_family_share=stage.novel_family_share if is_training else 0.0,
        records=_read_records(stage) if stage.evidence_share else None,
        evidence_share=stage.evidence_share,
        rna_changes=stage.rna_changes if is_training else 0.0,
        seed=seed,
    )
    logger.info("%s: %s", split, ", ".join(f"{name} {count}" for name, count in counts.items()))
    return rows, counts


def _read_records(stage: StageArguments) -> dict[str, Record]:
    """The families' records, by their names, as the data set has them."""
    families = Reference.open(stage.reference).families.values()
    return {record.name: record for record in families}


def make_collator(
    stage: StageArguments, processor: RnaGptProcessor, seed: int
) -> AlignmentCollator | InstructionCollator:
    """The collator of the stage; `seed` orders the questions that share a sequence."""
    if stage.stage != INSTRUCTION:
        return AlignmentCollator(processor)
    return InstructionCollator(
        processor, stage.questions_per_sequence, stage.max_sequence_tokens, seed
    )


def load_earlier_stage(model: RnaGptForCausalLM, stage: StageArguments) -> None:
    """Reads the projection that the stage starts from, and checks what it was trained with.

    An adapter is useless with another projection or encoder than it was trained with; its
    matrices are read later, when the model has a place for them.
    """
    if stage.adapter:
        check_adapter(stage.adapter)
    if start := stage.projector or stage.adapter:
        load_projector(model, start)
    for earlier in filter(None, (stage.projector, stage.adapter)):
        check_encoder(model, earlier)


def choose_trained(
    model: RnaGptForCausalLM, stage: StageArguments, model_args: ModelConfig
) -> nn.Module:
    """Freezes all but the stage's own parameters; wraps the model where an adapter is trained."""
    model.requires_grad_(False)
    trained: nn.Module = model
    if stage.stage == INSTRUCTION and stage.train_adapter:
        config = LoraConfig(
            r=model_args.lora_r,
            lora_alpha=model_args.lora_alpha,
            lora_dropout=model_args.lora_dropout,
            use_rslora=model_args.use_rslora,
            target_modules=model_args.lora_target_modules or lora_targets(model, stage.lora_layers),
            task_type="CAUSAL_LM",
        )
        trained = get_peft_model(model, config)
        if stage.adapter:
            load_adapter(trained, stage.adapter)
    # After PEFT, which freezes all but its own. In float32: bfloat16 loses small steps.
    model.model.projector.requires_grad_(not stage.freeze_projector).float()
    if stage.train_encoder:
        model.model.rna_encoder.requires_grad_(True).float()
    return trained


__all__ = ["choose_trained", "load_data", "load_earlier_stage", "make_collator"]
