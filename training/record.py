"""Record of a training run: settings, data, versions, what was trained, and its curve."""

import importlib.metadata
import json
import platform
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from trl import ModelConfig

import rnagpt
from rnagpt.training.arguments import StageArguments
from rnagpt.training.trainer import RnaGptTrainer, rna_gpt

SECRETS = ("hub_token",)  # settings that no record may hold
VERSIONS_OF = ("torch", "transformers", "trl", "peft", "datasets", "accelerate")
# The names of each part's parameters contain these.
PARTS = {"encoder": ".rna_encoder.", "projection": ".projector.", "adapter": ".lora_"}


def training_record(
    trainer: RnaGptTrainer,
    stage: StageArguments,
    model_args: ModelConfig,
    data: dict[str, Any],
    seconds: float,
) -> dict[str, Any]:
    """Settings, data, versions, trained parameters and loss curve of a run."""
    config = rna_gpt(trainer.model).config
    trained = {n: p.numel() for n, p in trainer.model.named_parameters() if p.requires_grad}
    earlier = Path(stage.projector) / "training_record.json" if stage.projector else None
    return {
        "stage": stage.stage,
        "settings": {
            name: portable(value)
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
        "resumed_from": portable(trainer.args.resume_from_checkpoint),
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


def portable(value: Any) -> Any:
    """A folder by its last name only: where it lay on this machine tells a reader nothing."""
    if isinstance(value, str) and (Path(value).exists() or Path(value).is_absolute()):
        return Path(value).name
    return value if isinstance(value, str | int | float | bool | list | dict | None) else str(value)


__all__ = ["changed_settings", "portable", "training_record"]
