"""SFTTrainer for RNA-GPT: batches by length, the frozen encoder once per RNA, small checkpoints."""

import functools
import logging
import math
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate.utils import is_peft_model
from datasets import Dataset
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from torch.utils.data import Sampler
from transformers import (
    BatchFeature,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from trl import SFTTrainer
from trl.trainer.utils import FusedCausalLMOutput

from rnagpt.conversion.adapter import (
    ADAPTER_WEIGHTS,
    ENCODER_PART,
    PROJECTOR_PART,
    adapter_tensors,
    add_parts,
    same_weights,
)
from rnagpt.conversion.projector_folder import (
    PROJECTOR_WEIGHTS,
    check_projector,
    projector_settings,
    save_projector,
)
from rnagpt.inference.generation import decode_answers, encode_prompts, generation_options
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor
from rnagpt.training.collators import IGNORE, conversation
from rnagpt.training.encoder_cache import EncoderCache
from rnagpt.training.freed_memory import FreedMemory

ENCODER_FOLDER, ENCODER_WEIGHTS = "encoder", "model.safetensors"

logger = logging.getLogger(__name__)


class RnaGptTrainer(SFTTrainer):
    """`SFTTrainer` for both stages.

    Args:
        cache_encoder: keep the frozen encoder's outputs in memory, so that it reads an RNA once
            in a run (see `EncoderCache`).
        cache_folder: keep them in files of this folder instead; all rows are encoded before the
            first step, or found there.
        **kwargs: as for `SFTTrainer`; the rows have a column `length` (tokens).
    """

    _total_train_tokens: int
    # What the base class takes more of, or none.
    model: nn.Module
    train_dataset: Dataset

    def __init__(
        self, *, cache_encoder: bool = False, cache_folder: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        # TRL's fused head skips the positions without a label only on GPUs.
        if self.accelerator.device.type == "cpu":
            add_answer_head(rna_gpt(self.model))
            self.add_callback(FreedMemory())
        self._encoder_cache: EncoderCache | None = None
        if cache_encoder or cache_folder:
            self._encoder_cache = self._make_encoder_cache(cache_folder)
        has_novel_families = "novel_family" in (self.train_dataset.column_names or [])
        self._family_masking = FamilyMasking(rna_gpt(self.model)) if has_novel_families else None

    def _make_encoder_cache(self, folder: str | None) -> EncoderCache:
        if self.is_fsdp_enabled:
            raise ValueError(
                "cache_encoder and cache_folder run the encoder by itself, and the parts of a "
                "model that FSDP shards run together. Leave them out, or train with "
                "recipes/accelerate/ddp.yaml."
            )
        cache = EncoderCache(rna_gpt(self.model), folder)
        if folder:
            with self.accelerator.main_process_first():
                rows: Any  # of `datasets`
                for rows in filter(None, (self.train_dataset, self.eval_dataset)):
                    cache.fill(rows["sequence"])
        return cache

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        dataset = self.train_dataset if train_dataset is None else train_dataset
        batch_size = (
            self.args.train_batch_size
            * self.args.world_size
            * self.args.gradient_accumulation_steps
        )
        sampler = SimilarLengthSampler(dataset["length"], batch_size, seed=self.args.seed)
        followers: list[Any] = [f for f in (sampler, self.data_collator) if hasattr(f, "set_epoch")]
        self.callback_handler.pop_callback(EpochCallback)
        self.add_callback(EpochCallback(followers))
        return sampler

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        if self._encoder_cache is not None:
            inputs["rna_hidden_states"] = self._encoder_cache(
                inputs["rna_input_ids"], inputs["rna_attention_mask"]
            )
        rna_gpt(self.model).reject_labelled_placeholders(inputs["labels"])
        novel_families = inputs.pop("rna_novel_family", None)
        if self._family_masking is not None:
            self._family_masking.novel_families = novel_families
        tokens_before = self._total_train_tokens
        loss = super().compute_loss(model, inputs, *args, **kwargs)
        if inputs["attention_mask"].ndim == 4 and self.model.training:
            # SFTTrainer takes the sum of the mask for the number of tokens.
            seen = inputs["attention_mask"].any(dim=-2).sum()
            self._total_train_tokens = tokens_before + int(self.accelerator.gather(seen).sum())
            self._metrics["train"]["num_tokens"] = [self._total_train_tokens]
        return loss

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Writes none: a stage's folder holds a training record instead."""

    def _save(
        self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None
    ) -> None:
        """Saves what was trained, not the frozen language model and encoder."""
        if self.args.should_save:
            save_stage(
                self.accelerator.unwrap_model(self.model),
                str(output_dir or self.args.output_dir),
                state_dict,
            )

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        model = self.model if model is None else model
        if not self.is_fsdp_enabled:
            load_stage(model, resume_from_checkpoint)
            return
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        # Of a PEFT model, PEFT reads only the adapter.
        load_projector(model, resume_from_checkpoint)
        load_encoder(model, resume_from_checkpoint)

    def _load_best_model(self) -> None:
        """Reads the whole stage: Trainer itself reads the adapter only, without one nothing."""
        if self.is_deepspeed_enabled:  # whose own checkpoint holds all weights
            super()._load_best_model()
        else:
            best: Any = self.state.best_model_checkpoint
            self._load_from_checkpoint(best, self.model)


class SetsEpoch(Protocol):
    def set_epoch(self, epoch: int) -> None: ...


class EpochCallback(TrainerCallback):
    """Tells sampler and collator the epoch as it begins, also when a run is resumed within one."""

    def __init__(self, followers: list[SetsEpoch]) -> None:
        self.followers = followers

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        for follower in self.followers:
            # A resumed run begins at a fraction; a whole epoch may lack a rounding error.
            follower.set_epoch(math.floor((state.epoch or 0) + 1e-6))


class SimilarLengthSampler(Sampler[int]):
    """Draws rows in batches of similar length, so that little is padding.

    The rows are shuffled, sorted by length within chunks of 50 batches, and the batches shuffled.
    The order depends only on seed and epoch, so a resumed run meets the same batches; and with
    `batch_size` the global batch, it does not depend on the number of processes.

    Args:
        lengths: tokens of each row.
        batch_size: rows of a batch over all processes and accumulation steps.
        seed: of the order.
    """

    CHUNK = 50

    def __init__(self, lengths: list[int], batch_size: int, seed: int) -> None:
        self.lengths = torch.as_tensor(list(lengths))
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator)
        chunks = [
            chunk[self.lengths[chunk].argsort()]
            for chunk in order.split(self.CHUNK * self.batch_size)
        ]
        batches = [batch for chunk in chunks for batch in chunk.split(self.batch_size)]
        # The one batch that may be short has to stay last.
        short = [
            batches.pop(i)
            for i in range(len(batches) - 1, -1, -1)
            if len(batches[i]) < self.batch_size
        ]
        shuffled = [batches[i] for i in torch.randperm(len(batches), generator=generator)]
        return (int(index) for batch in [*shuffled, *short] for index in batch)


class FamilyMasking:
    """Masks the families of RNAs: hides the prototype that each RNA is nearest to.

    The summary is then that of a new family, mostly of the last prototype, that of the unknown.

    Attributes:
        novel_families: (rnas,), bool: RNAs whose families the next forward pass masks; None: none.

    Raises:
        ValueError: the projection has no family prototypes.
    """

    def __init__(self, model: RnaGptForCausalLM) -> None:
        if not model.config.rna_family_prototypes:
            raise ValueError(
                "novel_family_share hides entries of the summary's memory, and this projection has "
                "none (rna_family_prototypes is 0). Leave the option out."
            )
        self.novel_families: torch.Tensor | None = None
        model.model.projector.summary_keys.register_forward_hook(self._hide)

    def _hide(self, module: nn.Module, inputs: Any, logits: torch.Tensor) -> torch.Tensor:
        if self.novel_families is None:
            return logits
        own = logits[:, :-1].argmax(dim=-1, keepdim=True)
        hidden = logits.scatter(1, own, -torch.inf)
        return torch.where(self.novel_families.unsqueeze(1).to(logits.device), hidden, logits)


def add_answer_head(model: RnaGptForCausalLM) -> None:
    """Gives `model.forward` the mode `fused_lm_head=True`: logits only for labelled positions.

    Takes the place of `trl.trainer.utils.add_fused_lm_head`, which without Triton computes the
    logits of all positions: expensive with 50,000 tokens in the vocabulary and a loss on few.
    """
    original = type(model).forward

    @functools.wraps(original)
    def forward(
        self: RnaGptForCausalLM,
        *args: Any,
        fused_lm_head: bool = False,
        labels: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        if not fused_lm_head or labels is None:
            return original(self, *args, labels=labels, **kwargs)
        kwargs |= {"use_cache": False, "return_dict": True}
        hidden_states = self.base_model(*args, **kwargs).last_hidden_state[:, :-1]
        targets = labels[:, 1:]
        mask = targets != IGNORE
        log_probs = self.lm_head(hidden_states[mask]).float().log_softmax(dim=-1)
        chosen = log_probs.gather(-1, targets[mask].unsqueeze(-1)).squeeze(-1)
        with torch.no_grad():
            entropy = -(log_probs.exp() * log_probs).sum(dim=-1)
            is_top1 = log_probs.argmax(dim=-1) == targets[mask]

        def place(values: torch.Tensor) -> torch.Tensor:
            return values.new_zeros(mask.shape).masked_scatter(mask, values)

        return FusedCausalLMOutput(
            log_probs=place(chosen), entropy=place(entropy), is_top1=place(is_top1), label_mask=mask
        )

    model.forward = types.MethodType(forward, model)


def rna_gpt(model: Any) -> RnaGptForCausalLM:
    """The RNA-GPT model within a PEFT wrapper, or the model itself."""
    return model.get_base_model() if is_peft_model(model) else model


def lora_targets(model: RnaGptForCausalLM, last_layers: int | None = None) -> str:
    """Regular expression of the language model's linear layers, for `LoraConfig.target_modules`.

    Args:
        model: RNA-GPT; encoder, projection and head are never matched.
        last_layers: match only the last N layers; None or 0: all.

    Raises:
        ValueError: the language model has fewer layers, or no linear ones.
    """
    found = [
        re.fullmatch(r"(\w+)\.(\d+)\.(.+)", name)
        for name, module in model.model.language_model.named_modules()
        if isinstance(module, nn.Linear)
    ]
    matches = [match for match in found if match]
    if not matches:
        raise ValueError(
            f"{type(model.model.language_model).__name__} has no linear layers that LoRA could "
            "adapt. Name the modules to adapt with --lora_target_modules."
        )
    numbers = sorted({int(match[2]) for match in matches})
    if last_layers and last_layers > len(numbers):
        raise ValueError(
            f"lora_layers is {last_layers}, but the language model has {len(numbers)} layers."
        )
    stack = "|".join(sorted({match[1] for match in matches}))
    layers = "|".join(map(str, numbers[-last_layers:])) if last_layers else r"\d+"
    leaves = "|".join(sorted({match[3].rsplit(".", 1)[-1] for match in matches}))
    return rf"model\.language_model\.(?:{stack})\.(?:{layers})\.(?:.+\.)?(?:{leaves})"


def save_stage(
    model: nn.Module, folder: str | Path, state_dict: dict[str, Any] | None = None
) -> None:
    """Writes the projection, the encoder where it is trained and, under PEFT, the adapter.

    The adapter's files hold projection and trained encoder too, as PEFT's `modules_to_save` does,
    so that `PeftModel.from_pretrained(base, folder)` is the model that was trained.

    Args:
        model: RNA-GPT, or a PEFT model around it.
        folder: is made; `projector.safetensors`, `projector_config.json`, PEFT's two files, and
            the encoder's in `encoder/`.
        state_dict: full weights gathered from several devices, where the model's own are sharded.
    """
    folder = Path(folder)
    base = rna_gpt(model)
    parts = {PROJECTOR_PART: _part(base.model.projector, PROJECTOR_PART, state_dict)}
    save_projector(parts[PROJECTOR_PART], base.config, folder)
    encoder = base.model.rna_encoder
    if any(parameter.requires_grad for parameter in encoder.parameters()):
        parts[ENCODER_PART] = _part(encoder, ENCODER_PART, state_dict)
        # Under the names that its modules have: transformers knows ESM's tensors by older ones too.
        # It empties the dictionary that it is given.
        encoder.save_pretrained(
            folder / ENCODER_FOLDER,
            state_dict=dict(parts[ENCODER_PART]),
            save_original_format=False,
        )
    if isinstance(model, PeftModel):
        model.save_pretrained(str(folder), state_dict=state_dict)
        add_parts(folder, parts)
        # PEFT's card is a form to fill in; the training record says what there is to say.
        (folder / "README.md").unlink(missing_ok=True)


def _part(part: nn.Module, name: str, state_dict: dict[str, Any] | None) -> dict[str, Any]:
    """The tensors of a part of the model: its own, or those gathered from several devices."""
    if state_dict is None:
        return part.state_dict()
    marker = f"model.{name}."
    return {key.split(marker)[1]: value for key, value in state_dict.items() if marker in key}


def load_projector(model: nn.Module, folder: str | Path) -> None:
    """Reads the projection of a stage's output into `model`.

    Raises:
        WeightsError: `folder` is no output of a stage, or its projection has other dimensions
            than the model's.
    """
    base = rna_gpt(model)
    check_projector(
        folder,
        projector_settings(base.config),
        "Compose the model with the projection's settings, or train a new projection.",
    )
    _load_part(base.model.projector, Path(folder) / PROJECTOR_WEIGHTS)


def check_encoder(model: nn.Module, folder: str | Path) -> None:
    """Rejects a stage's output that was trained with another encoder than `model` has.

    Raises:
        ValueError: `folder` holds an encoder that the stage has trained, and `model` another.
    """
    weights = Path(folder) / ENCODER_FOLDER / ENCODER_WEIGHTS
    if not weights.is_file():
        return
    if not same_weights(load_file(weights), rna_gpt(model).model.rna_encoder.state_dict()):
        raise ValueError(
            f"{folder} was trained together with the encoder in {weights.parent}, and this model "
            f"has another. Compose the model again: `rnagpt compose --rna-encoder {weights.parent} "
            "--language-model MODEL OUT`."
        )


def load_encoder(model: nn.Module, folder: str | Path) -> None:
    """Reads the encoder of a stage's output, where that has trained it, into `model`."""
    if (weights := Path(folder) / ENCODER_FOLDER / ENCODER_WEIGHTS).is_file():
        _load_part(rna_gpt(model).model.rna_encoder, weights)


def _load_part(part: nn.Module, weights: Path) -> None:
    # Not load_state_dict: the model's weights may be sharded over several devices.
    whole = StateDictOptions(full_state_dict=True)
    tensors: dict[str, Any] = load_file(weights)
    set_model_state_dict(part, tensors, options=whole)


def load_stage(model: nn.Module, folder: str | Path) -> None:
    """Reads what `save_stage` wrote into `model`: projection, encoder and, under PEFT, adapter."""
    load_projector(model, folder)
    load_encoder(model, folder)
    if isinstance(model, PeftModel):
        set_peft_model_state_dict(model, adapter_tensors(folder))


def check_adapter(folder: str | Path) -> None:
    """Rejects a folder that holds no adapter (FileNotFoundError)."""
    if not (Path(folder) / ADAPTER_WEIGHTS).is_file():
        raise FileNotFoundError(
            f"{folder} holds no {ADAPTER_WEIGHTS}. Name the output folder of an instruction stage."
        )


def load_adapter(model: nn.Module, folder: str | Path) -> None:
    """Reads the adapter of an earlier instruction stage into a PEFT model.

    Raises:
        FileNotFoundError: `folder` holds no adapter.
        ValueError: it adapts other layers, or with another rank, than this run.
    """
    check_adapter(folder)
    tensors = adapter_tensors(folder)
    expected = {name: value.shape for name, value in get_peft_model_state_dict(model).items()}
    given = {name: value.shape for name, value in tensors.items()}
    wrong = sorted(
        name for name in expected.keys() | given if expected.get(name) != given.get(name)
    )
    if wrong:
        raise ValueError(
            f"The adapter in {folder} does not fit: of {len(wrong)} tensors, {wrong[0]} is "
            f"{_shape(given.get(wrong[0]))}, here {_shape(expected.get(wrong[0]))}. Train with the "
            "same lora_r, lora_layers and lora_target_modules."
        )
    set_peft_model_state_dict(model, tensors)


def _shape(shape: torch.Size | None) -> str:
    return "missing" if shape is None else " x ".join(map(str, shape))


class SampleAnswers(TrainerCallback):
    """Logs greedy answers to a few fixed rows at each evaluation.

    Args:
        processor: the model's processor.
        rows: rows of `prepare_rnas`; of each the first question is asked, or, in the alignment
            stage, only the RNA is given.
        max_new_tokens: most tokens of an answer.
    """

    def __init__(self, processor: RnaGptProcessor, rows: Dataset, max_new_tokens: int = 48) -> None:
        self.processor = processor
        self.rows = list(rows)
        self.max_new_tokens = max_new_tokens

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,
        **kwargs: Any,
    ) -> None:
        if not self.rows:
            return
        # Every process generates, since a sharded model answers only where all take part.
        answers = self.answers(model, args.device, args.bf16)
        if not state.is_world_process_zero:
            return
        for row, answer in zip(self.rows, answers, strict=True):
            question = row["questions"][0] if row["questions"] else "(RNA alone)"
            logger.info(
                "step %d  %s\n  asked:    %s\n  answer:   %s\n  expected: %s",
                *(state.global_step, row["id"], question, answer, row["answers"][0]),
            )

    @torch.no_grad()
    def answers(self, model: Any, device: torch.device, bf16: bool) -> list[str]:
        """Greedy answers to the rows, in order."""
        inputs = self._inputs().to(device)
        options = {"max_new_tokens": self.max_new_tokens}
        training = model.training
        model.eval()
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            tokens = model.generate(
                **inputs,
                **generation_options(rna_gpt(model), self.processor, options),
            )
        model.train(training)
        return [text.strip() for text in decode_answers(self.processor, inputs, tokens)[0]]

    def _inputs(self) -> BatchFeature:
        if not self.rows[0]["questions"]:
            return self.processor(
                [self.processor.rna_token] * len(self.rows),
                [row["sequence"] for row in self.rows],
                padding_side="left",
            )
        asked = [conversation(row["sequence"], row["questions"][0]) for row in self.rows]
        return encode_prompts(self.processor, asked)
