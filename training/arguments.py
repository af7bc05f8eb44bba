"""Arguments of the two training stages, besides those of TRL."""

from dataclasses import dataclass, field

from trl import ScriptArguments

from rnagpt.training.columns import parse_mapping
from rnagpt.training.options import option
from rnagpt.training.rows import ALIGNMENT, INSTRUCTION, TRAINING_STAGES


@dataclass
class StageArguments(ScriptArguments):
    """What a stage trains, and on which part of the data."""

    stage: str = option(INSTRUCTION, "alignment (stage 1) or instruction (stage 2).")
    dataset_test_split: str = option("validation", "Split that is evaluated on.")
    projector: str | None = option(
        None, "Folder of an earlier stage's output: start from its projection."
    )
    adapter: str | None = option(
        None,
        "Folder of an earlier instruction stage's output: continue from its adapter, and from"
        " its projection unless another is named, on other data or settings.",
    )
    train_adapter: bool = option(True, "Instruction stage: train LoRA adapters.")
    freeze_projector: bool = option(False, "Do not train the projection.")
    train_encoder: bool = option(
        False,
        "Train the encoder too; it is saved in OUT/encoder, of which `rnagpt compose` makes "
        "the next stage's model.",
    )
    lora_layers: int | None = option(
        None, "Adapt only the language model's last N layers; 0 or none: all."
    )
    questions_per_sequence: int | None = option(
        4, "Questions of one RNA that share a sequence; none: all of them."
    )
    columns: list[str] = field(
        default_factory=list,
        metadata={
            "help": "What another data set calls the columns: question=prompt answer=response, or "
            "messages=conversations for conversations. Its default configuration is taken unless "
            "--dataset_config names one."
        },
    )
    max_text_tokens: int | None = option(
        None, "Longer annotations and answers (tokens) are shortened at a sentence end."
    )
    max_sequence_tokens: int = option(
        1024, "RNAs that take more (tokens, with their text) are dropped."
    )
    skip_categories: list[str] = field(
        default_factory=list,
        metadata={"help": "Instruction stage: leave out questions of these categories."},
    )
    max_rnas: int | None = option(None, "Train on at most N RNAs.")
    max_rnas_per_family: int | None = option(None, "... and at most N of a family.")
    decoy_share: float = option(
        0.0,
        "Shuffled RNAs for each RNA, of which the model learns to say that it does not know them.",
    )
    novel_family_share: float = option(
        0.0,
        "RNAs shown as if of a new family, for each RNA: their type is asked, and what else "
        "is asked is answered by abstention. Needs a projection with family prototypes.",
    )
    reference: str | None = option(
        None, "Folder of the reference whose records are the evidence; none: the mini's."
    )
    evidence_share: float = option(
        0.0,
        "Share of the RNAs whose questions come with their records as numbered evidence, and are "
        "answered from it with citations.",
    )
    rna_changes: float = option(
        0.0,
        "Instruction stage: each time an RNA is shown it is a changed copy, with up to this share "
        "of its letters replaced, lost or gained, begun anywhere in its first vector. Against "
        "learning RNAs by heart.",
    )
    max_eval_rnas: int | None = option(200, "Evaluate on at most N RNAs.")
    num_samples: int = option(4, "Answers written to the log at each evaluation.")
    cache_encoder: bool = option(
        False, "Keep the frozen encoder's outputs in memory (main memory, exact)."
    )
    cache_folder: str | None = option(
        None,
        "Keep them in files of this folder instead, encoded before the first step; a later "
        "run with the same encoder finds them.",
    )

    def __post_init__(self) -> None:
        if self.stage not in TRAINING_STAGES:
            raise ValueError(
                f"stage must be one of {', '.join(TRAINING_STAGES)}, got {self.stage!r}."
            )
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
        if not 0 <= self.rna_changes < 1:
            raise ValueError(f"rna_changes is a share, 0 to 1, got {self.rna_changes}.")
        if self.rna_changes and (self.cache_encoder or self.cache_folder):
            raise ValueError(
                "cache_encoder and cache_folder keep the vectors of an RNA, and with rna_changes "
                "each copy of it has its own. Leave the cache or the changes out."
            )
        if self.rna_changes and (self.stage == ALIGNMENT or self.evidence_share):
            raise ValueError(
                "rna_changes is for the instruction stage without evidence, which has changed "
                "copies of its own; leave it out here."
            )
        if self.adapter and (self.stage == ALIGNMENT or not self.train_adapter):
            raise ValueError(
                "adapter is for an instruction stage that trains one; leave it out here."
            )
        if self.evidence_share and self.stage == ALIGNMENT:
            raise ValueError("evidence_share is for the instruction stage; leave it out here.")
        if self.novel_family_share and self.stage == ALIGNMENT:
            raise ValueError("novel_family_share is for the instruction stage; leave it out here.")


__all__ = ["StageArguments"]
