"""
Trains RNA-GPT: alignment stage (projection alone), then instruction stage (projection and LoRA).

# The mini, on two cores
```bash
rnagpt compose --rna-encoder ENCODER --language-model HuggingFaceTB/SmolLM2-135M-Instruct model
python train_sft.py --config recipes/mini/alignment.yaml \
    --model_name_or_path model --dataset_name rna-qa --output_dir out/alignment
python train_sft.py --config recipes/mini/instruction.yaml --projector out/alignment \
    --model_name_or_path model --dataset_name rna-qa --output_dir out/instruction
rnagpt compose --rna-encoder ENCODER --language-model HuggingFaceTB/SmolLM2-135M-Instruct \
    --projector out/instruction --adapter out/instruction rna-gpt-mini
```

# RNA-FM and Llama-3-8B, on eight GPUs
```bash
accelerate launch --config_file recipes/accelerate/fsdp2.yaml train_sft.py \
    --config recipes/llama3-8b/alignment.yaml \
    --model_name_or_path model --dataset_name rna-qa --output_dir out/alignment
```

Anything in a recipe can be overridden on the command line; `--resume_from_checkpoint
OUT/checkpoint-N` goes on where a run stopped. OUT, which `rnagpt compose` reads, receives
`projector.safetensors`, PEFT's adapter where one is trained, and `training_record.json`. The
adapter holds projection and trained encoder too, so that `PeftModel.from_pretrained` reloads all.
"""

import importlib.metadata
import json
import logging
import platform
import time
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from datasets import Dataset
from peft import LoraConfig, get_peft_model
from peft.helpers import disable_input_dtype_casting
from torch import nn
from transformers import AutoConfig, set_seed
from trl import ModelConfig, ScriptArguments, SFTConfig, TrlParser, get_quantization_config

import rnagpt
from rnagpt.configuration_rnagpt import RnaGptConfig
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor
from rnagpt.training.collators import AlignmentCollator, InstructionCollator, count_template_tokens
from rnagpt.training.columns import parse_mapping
from rnagpt.training.rows import ALIGNMENT, INSTRUCTION, STAGES, hash_rows, load_rnas, prepare_rnas
from rnagpt.training.trainer import (
    RnaGptTrainer,
    SampleAnswers,
    check_adapter,
    check_encoder,
    load_adapter,
    load_projector,
    lora_targets,
    rna_gpt,
)

SECRETS = ("hub_token",)  # settings that no record may hold
VERSIONS_OF = ("torch", "transformers", "trl", "peft", "datasets", "accelerate")

logger = logging.getLogger(__name__)

# What the names of each part's parameters have in them.
PARTS = {"encoder": ".rna_encoder.", "projection": ".projector.", "adapter": ".lora_"}

# Else the tokenizer's loader takes the folder for one whose own code it has to ask about.
AutoConfig.register(RnaGptConfig.model_type, RnaGptConfig, exist_ok=True)


@dataclass
class StageArguments(ScriptArguments):
    """What a stage trains, and on which part of the data."""

    stage: str = field(
        default=INSTRUCTION, metadata={"help": "alignment (stage 1) or instruction (stage 2)."}
    )
    dataset_test_split: str = field(
        default="validation", metadata={"help": "Split that is evaluated on."}
    )
    projector: str | None = field(
        default=None,
        metadata={"help": "Folder of an earlier stage's output: start from its projection."},
    )
    adapter: str | None = field(
        default=None,
        metadata={
            "help": "Folder of an earlier instruction stage's output: go on with its adapter, and "
            "with its projection unless another is named, on other data or settings."
        },
    )
    train_adapter: bool = field(
        default=True, metadata={"help": "Instruction stage: train LoRA adapters."}
    )
    freeze_projector: bool = field(
        default=False, metadata={"help": "Leave the projection as it is."}
    )
    train_encoder: bool = field(
        default=False,
        metadata={
            "help": "Train the encoder too; it is saved in OUT/encoder, of which `rnagpt compose` "
            "makes the next stage's model."
        },
    )
    lora_layers: int | None = field(
        default=None,
        metadata={"help": "Adapt the language model's last N layers alone; 0 or none: all."},
    )
    questions_per_sequence: int | None = field(
        default=4,
        metadata={"help": "Questions of one RNA that share a sequence; none: all of them."},
    )
    columns: list[str] = field(
        default_factory=list,
        metadata={
            "help": "What another data set calls the columns: question=prompt answer=response, or "
            "messages=conversations for conversations. Its default configuration is taken unless "
            "--dataset_config names one."
        },
    )
    max_text_tokens: int | None = field(
        default=None,
        metadata={
            "help": "Longer annotations and answers (tokens) are shortened at a sentence end."
        },
    )
    max_sequence_tokens: int = field(
        default=1024,
        metadata={"help": "RNAs that take more (tokens, with their text) are dropped."},
    )
    skip_categories: list[str] = field(
        default_factory=list,
        metadata={"help": "Instruction stage: leave out questions of these categories."},
    )
    max_rnas: int | None = field(default=None, metadata={"help": "Train on at most so many RNAs."})
    max_rnas_per_family: int | None = field(
        default=None, metadata={"help": "... and so many of a family."}
    )
    decoy_share: float = field(
        default=0.0,
        metadata={
            "help": "Shuffled RNAs for each RNA, of which the model learns to say that it does not "
            "know them."
        },
    )
    stranger_share: float = field(
        default=0.0,
        metadata={
            "help": "RNAs shown as if of a new family, for each RNA: their type is asked, and what "
            "else is asked is declined. Needs a projection with a summary's memory."
        },
    )
    max_eval_rnas: int | None = field(
        default=200, metadata={"help": "Evaluate on at most so many RNAs."}
    )
    num_samples: int = field(
        default=4, metadata={"help": "Answers written to the log at each evaluation."}
    )
    cache_encoder: bool = field(
        default=False,
        metadata={"help": "Keep the frozen encoder's outputs in memory (main memory, exact)."},
    )
    cache_folder: str | None = field(
        default=None,
        metadata={
            "help": "Keep them in files of this folder instead, encoded before the first step; a "
            "later run with the same encoder finds them."
        },
    )

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise ValueError(f"stage must be one of {', '.join(STAGES)}, got {self.stage!r}.")
        parse_mapping(self.columns)
        if self.freeze_projector and (self.stage == ALIGNMENT or not self.train_adapter):
            raise ValueError(
                "freeze_projector leaves nothing to train in the alignment stage, and without an "
                "adapter. Drop it, or train an adapter in the instruction stage."
            )
        if self.train_encoder and (self.cache_encoder or self.cache_folder):
            raise ValueError(
                "cache_encoder and cache_folder keep the outputs of an encoder that does not "
                "change, and train_encoder changes it. Leave them out, or it."
            )
        if self.adapter and (self.stage == ALIGNMENT or not self.train_adapter):
            raise ValueError(
                "adapter is for an instruction stage that trains one; leave it out here."
            )
        if self.stranger_share and self.stage == ALIGNMENT:
            raise ValueError("stranger_share is for the instruction stage; leave it out here.")


def load_data(
    stage: StageArguments, processor: RnaGptProcessor, split: str, max_rnas: int | None, seed: int
) -> tuple[Dataset, dict[str, int]]:
    """Loads and prepares a split, and says in the log what was left out."""
    is_training = split == stage.dataset_train_split
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
        stranger_share=stage.stranger_share if is_training else 0.0,
        seed=seed,
    )
    logger.info("%s: %s", split, ", ".join(f"{name} {count}" for name, count in counts.items()))
    return rows, counts


def load_earlier_stage(model: RnaGptForCausalLM, stage: StageArguments) -> None:
    """Reads the projection that the stage starts from, and sees to what has to go with it.

    An adapter is of no use with another projection or encoder than it was trained with; its
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


def training_record(
    trainer: RnaGptTrainer,
    stage: StageArguments,
    model_args: ModelConfig,
    data: dict[str, Any],
    seconds: float,
) -> dict[str, Any]:
    """What a run did: settings, data, versions, what was trained, its curve."""
    config = rna_gpt(trainer.model).config
    trained = {n: p.numel() for n, p in trainer.model.named_parameters() if p.requires_grad}
    earlier = Path(stage.projector) / "training_record.json" if stage.projector else None
    return {
        "stage": stage.stage,
        "settings": {
            name: _portable(value)
            for arguments in (stage, model_args, trainer.args)
            for name, value in changed_settings(arguments).items()
        },
        "model": {
            "rna_encoder": config.rna_config.to_diff_dict(),
            "language_model": {"hidden_size": config.text_config.hidden_size}
            | {
                "num_hidden_layers": config.text_config.num_hidden_layers,
                "type": config.text_config.model_type,
            },
        },
        "data": data,
        "trained_parameters": {
            part: sum(size for name, size in trained.items() if marker in name)
            for part, marker in PARTS.items()
        },
        "steps": trainer.state.global_step,
        "epochs": trainer.state.epoch,
        "processes": trainer.args.world_size,
        "device": trainer.args.device.type,
        "seconds": round(seconds, 1),
        "resumed_from": _portable(trainer.args.resume_from_checkpoint),
        "versions": {name: importlib.metadata.version(name) for name in VERSIONS_OF}
        | {"rnagpt": rnagpt.__version__, "python": platform.python_version()},
        "log": trainer.state.log_history,
        "started_from": json.loads(earlier.read_text()) if earlier and earlier.is_file() else None,
    }


def changed_settings(arguments: Any) -> dict[str, Any]:
    """The fields of a dataclass of arguments that differ from their defaults, but no secrets."""
    defaults = {f.name: f.default for f in fields(arguments) if f.name not in SECRETS}
    values = asdict(arguments)
    return {name: values[name] for name in defaults if values[name] != defaults[name]}


def _portable(value: Any) -> Any:
    """A folder by its name alone: where it lay on this machine tells a reader nothing."""
    if isinstance(value, str) and (Path(value).exists() or Path(value).is_absolute()):
        return Path(value).name
    return value if isinstance(value, str | int | float | bool | list | dict | None) else str(value)


def main(stage: StageArguments, training_args: SFTConfig, model_args: ModelConfig) -> None:
    level = logging.INFO if training_args.process_index == 0 else logging.WARNING
    logging.basicConfig(level=level, format="%(message)s")
    # What a modality that SFTTrainer does not know needs: its own columns, collator and labels.
    training_args.remove_unused_columns = False
    training_args.dataset_kwargs = {"skip_prepare_dataset": True}
    training_args.max_length = None
    training_args.ddp_find_unused_parameters = False

    processor = RnaGptProcessor.from_pretrained(model_args.model_name_or_path)
    seed = training_args.data_seed or training_args.seed
    train_rows, counts = load_data(
        stage, processor, stage.dataset_train_split, stage.max_rnas, seed
    )
    data = {"name": _portable(stage.dataset_name), "sha256": hash_rows(train_rows), "train": counts}
    eval_rows = None
    if training_args.eval_strategy != "no":
        eval_rows, data["evaluation"] = load_data(
            stage, processor, stage.dataset_test_split, stage.max_eval_rnas, seed
        )
        eval_rows = eval_rows.sort("length")

    model = RnaGptForCausalLM.from_pretrained(
        model_args.model_name_or_path,
        revision=model_args.model_revision,
        attn_implementation=model_args.attn_implementation,
        dtype=model_args.dtype,
        quantization_config=get_quantization_config(model_args),
    )
    load_earlier_stage(model, stage)
    set_seed(training_args.seed)  # of the adapter's first values, and the same in every process
    trained = choose_trained(model, stage, model_args)

    collator: AlignmentCollator | InstructionCollator = AlignmentCollator(processor)
    if stage.stage == INSTRUCTION:
        collator = InstructionCollator(
            processor, stage.questions_per_sequence, stage.max_sequence_tokens, seed
        )
    trainer = RnaGptTrainer(
        model=trained,
        args=training_args,
        data_collator=collator,
        train_dataset=train_rows,
        eval_dataset=eval_rows,
        processing_class=processor,
        cache_encoder=stage.cache_encoder,
        cache_folder=stage.cache_folder,
        callbacks=[
            SampleAnswers(
                processor, eval_rows.select(range(min(stage.num_samples, len(eval_rows))))
            )
        ]
        if eval_rows
        else None,
    )
    start = time.monotonic()
    # Autocast sees to the types. PEFT would turn each input into float32, and autocast would
    # turn it back into the very same values.
    with disable_input_dtype_casting(trained, active=training_args.bf16 or training_args.fp16):
        trainer.train(resume_from_checkpoint=training_args.resume_from_checkpoint)
    trainer.save_model(training_args.output_dir)
    if trainer.is_world_process_zero():
        record = training_record(trainer, stage, model_args, data, time.monotonic() - start)
        path = Path(training_args.output_dir) / "training_record.json"
        path.write_text(json.dumps(record, indent=2) + "\n")
    trainer.accelerator.print(f"Saved in {training_args.output_dir}.")
    trainer.accelerator.end_training()


def make_parser() -> TrlParser:
    return TrlParser((StageArguments, SFTConfig, ModelConfig))


if __name__ == "__main__":
    main(*make_parser().parse_args_and_config())
