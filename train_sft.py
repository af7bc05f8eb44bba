"""
Trains RNA-GPT: alignment stage (projection only), then instruction stage (projection and LoRA).

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
OUT/checkpoint-N` resumes a run. OUT, which `rnagpt compose` reads, receives
`projector.safetensors`, PEFT's adapter where one is trained, and `training_record.json`. The
adapter holds projection and trained encoder too, so that `PeftModel.from_pretrained` reloads all.
"""

import json
import logging
import time
from pathlib import Path
from typing import Any

from peft.helpers import disable_input_dtype_casting
from transformers import AutoConfig, set_seed
from trl import ModelConfig, SFTConfig, TrlParser, get_quantization_config

from rnagpt.configuration_rnagpt import RnaGptConfig
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor
from rnagpt.training.arguments import StageArguments
from rnagpt.training.record import portable, training_record
from rnagpt.training.rows import hash_rows
from rnagpt.training.stages import (
    choose_trained,
    load_data,
    load_earlier_stage,
    make_collator,
    warn_of_slow_bfloat16,
)
from rnagpt.training.trainer import RnaGptTrainer, SampleAnswers

# Otherwise the tokenizer's loader asks whether the folder's own code may be run.
AutoConfig.register(RnaGptConfig.model_type, RnaGptConfig, exist_ok=True)


def main(stage: StageArguments, training_args: SFTConfig, model_args: ModelConfig) -> None:
    level = logging.INFO if training_args.process_index == 0 else logging.WARNING
    logging.basicConfig(level=level, format="%(message)s")
    # SFTTrainer does not know RNAs: columns, collator and labels are our own.
    training_args.remove_unused_columns = False
    training_args.dataset_kwargs = {"skip_prepare_dataset": True}
    training_args.max_length = None
    training_args.ddp_find_unused_parameters = False

    warn_of_slow_bfloat16(training_args, model_args)
    name = model_args.model_name_or_path
    if not name:
        raise ValueError(
            "--model_name_or_path is missing: name what `rnagpt compose` or `rnagpt mini` wrote."
        )
    processor = RnaGptProcessor.from_pretrained(name)
    seed = training_args.data_seed or training_args.seed
    train_rows, counts = load_data(
        stage, processor, stage.dataset_train_split, stage.max_rnas, seed
    )
    data = {"name": portable(stage.dataset_name), "sha256": hash_rows(train_rows), "train": counts}
    eval_rows = None
    if training_args.eval_strategy != "no":
        eval_rows, data["evaluation"] = load_data(
            stage, processor, stage.dataset_test_split, stage.max_eval_rnas, seed
        )
        eval_rows = eval_rows.sort("length")

    model = RnaGptForCausalLM.from_pretrained(
        name,
        revision=model_args.model_revision,
        attn_implementation=model_args.attn_implementation,
        dtype=model_args.dtype,
        quantization_config=get_quantization_config(model_args),
    )
    load_earlier_stage(model, stage)
    set_seed(training_args.seed)  # of the adapter's first values, and the same in every process
    trained = choose_trained(model, stage, model_args)

    callbacks = None
    if eval_rows:
        shown = eval_rows.select(range(min(stage.num_samples, len(eval_rows))))
        callbacks = [SampleAnswers(processor, shown)]
    trainer = RnaGptTrainer(
        model=trained,
        args=training_args,
        data_collator=make_collator(stage, processor, seed),
        train_dataset=train_rows,
        eval_dataset=eval_rows,
        processing_class=processor,
        cache_encoder=stage.cache_encoder,
        cache_folder=stage.cache_folder,
        callbacks=callbacks,
    )
    start = time.monotonic()
    # Autocast handles the types. PEFT would cast each input to float32, and autocast back.
    with disable_input_dtype_casting(trained, active=training_args.bf16 or training_args.fp16):
        trainer.train(resume_from_checkpoint=training_args.resume_from_checkpoint)
    trainer.save_model(training_args.output_dir)
    if trainer.is_world_process_zero():
        record = training_record(trainer, stage, model_args, data, time.monotonic() - start)
        path = Path(str(training_args.output_dir)) / "training_record.json"
        path.write_text(json.dumps(record, indent=2) + "\n")
    trainer.accelerator.print(f"Saved in {training_args.output_dir}.")
    trainer.accelerator.end_training()


def make_parser() -> TrlParser:
    classes: Any = (StageArguments, SFTConfig, ModelConfig)  # no class is of the type TRL states
    return TrlParser(classes)


if __name__ == "__main__":
    main(*make_parser().parse_args_and_config())
