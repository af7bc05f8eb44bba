"""Sources of models: a folder, the Hugging Face Hub, a GGUF file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from rnagpt.configuration_encoders_rnagpt import ENCODER_CONFIGS
from rnagpt.conversion import WeightsError, listed
from rnagpt.conversion.mini import language_model_source
from rnagpt.conversion.stored_tensors import StoredTensors
from rnagpt.modeling_encoders_rnagpt import ENCODER_MODELS, encoder_class

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
# Licence files, which have to accompany the weights.
_TERMS = ("LICENSE*", "LICENCE*", "NOTICE*", "USE_POLICY*")

# With the package, AutoModel loads its encoders' folders without running code of theirs.
for _name, _config in ENCODER_CONFIGS.items():
    AutoConfig.register(_name, _config, exist_ok=True)
    AutoModel.register(_config, ENCODER_MODELS[_name], exist_ok=True)


@dataclass
class LanguageModel:
    """A causal language model in parts, its tensors under transformers' names for them.

    `terms` are the files of its licence; a GGUF file has none.
    """

    config: PreTrainedConfig
    generation_config: GenerationConfig
    tokenizer: PreTrainedTokenizerBase
    tensors: Mapping[str, torch.Tensor]
    terms: Sequence[Path] = ()


def open_language_model(source: str | Path) -> LanguageModel:
    """Open a causal language model: folder, Hub id, GGUF file, or folder with one GGUF file.

    "mini" is that of rna-gpt-mini.

    From safetensors nothing is loaded yet. A GGUF file is loaded whole, in float32.

    Raises:
        WeightsError: if there is no such model, or it is quantised otherwise.
    """
    folder = model_folder(language_model_source(source))
    gguf = _gguf_file(folder)
    if gguf:
        return _open_gguf(gguf)
    config = _read_config(folder)
    tensors: Mapping[str, torch.Tensor] = StoredTensors(folder)
    if not causal_tensor_names(config) <= tensors.keys():
        # Some models rename or join their tensors when they load; then transformers has to do it.
        model = AutoModelForCausalLM.from_pretrained(folder, config=config, dtype="auto")
        tensors = _without_tied(model)
    return LanguageModel(
        config,
        _generation_config(folder, config),
        AutoTokenizer.from_pretrained(folder),
        tensors,
        terms_in(folder),
    )


def open_encoder(source: str | Path) -> tuple[PreTrainedConfig, dict[str, torch.Tensor]]:
    """Load an RNA encoder, folder or Hub id: its configuration and its tensors.

    Raises:
        WeightsError: if there is no such encoder, or tensors are missing.
    """
    folder = model_folder(source)
    config = _read_config(folder)
    kind, options = encoder_class(config)
    try:
        model, report = kind.from_pretrained(
            folder, config=config, dtype="auto", output_loading_info=True, **options
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise WeightsError(f"The RNA encoder in {folder} cannot be loaded: {error}") from error
    # ESM's own predictor of contacts may be absent: RNA-GPT never runs it.
    missing = sorted(name for name in report["missing_keys"] if "contact_head" not in name)
    if missing:
        raise WeightsError(f"The RNA encoder in {folder} lacks tensors: {listed(missing)}.")
    return config, model.state_dict()


def model_folder(source: str | Path) -> Path:
    """The local folder (or GGUF file) of a model, fetched from the Hub where it is an id.

    Raises:
        WeightsError: if it is neither.
    """
    path = Path(source)
    if path.is_dir() or (path.suffix == ".gguf" and path.is_file()):
        return path
    if path.exists():
        raise WeightsError(f"{source} is a file, but neither a model folder nor a GGUF file.")
    if not _HUB_ID.fullmatch(str(source)):
        raise WeightsError(f"{source} does not exist; expected a folder, a GGUF file or a Hub id.")
    try:
        return Path(
            snapshot_download(
                str(source),
                allow_patterns=["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt", *_TERMS],
                ignore_patterns=["original/*", "onnx/*", "runs/*"],
            )
        )
    except (OSError, ValueError) as error:  # the Hub's errors are OSErrors
        reason = " ".join(str(error).split()) or type(error).__name__
        raise WeightsError(
            f"{source} is no local folder and could not be fetched from the Hugging Face Hub: "
            f"{reason}\n(For a gated model, accept its terms on its page and run `hf auth login`.)"
        ) from error


def terms_in(folder: Path) -> list[Path]:
    """The licence files of a folder, which have to accompany its weights."""
    found = {path for pattern in _TERMS for path in folder.glob(pattern) if path.is_file()}
    return sorted(found)


def causal_tensor_names(config: PreTrainedConfig) -> set[str]:
    """Names of the tensors that a causal language model needs, a tied head left out."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    tied = set(model.all_tied_weights_keys)
    return set(model.state_dict()) - tied


def _gguf_file(path: Path) -> Path | None:
    if path.is_file():
        return path
    files = sorted(path.glob("*.gguf"))
    if not files or (path / "config.json").is_file():
        return None
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise WeightsError(f"{path} holds several GGUF files ({names}); give one of them.")
    return files[0]


def _open_gguf(file: Path) -> LanguageModel:
    try:
        arguments: dict[str, Any] = {
            "pretrained_model_name_or_path": file.parent,
            "gguf_file": file.name,
        }
        tokenizer = AutoTokenizer.from_pretrained(**arguments)
        model = AutoModelForCausalLM.from_pretrained(**arguments, dtype=torch.float32)
    except (ValueError, KeyError, OSError, EOFError) as error:
        raise WeightsError(f"{file} could not be read as a GGUF model: {error}") from error
    # The tensors are no longer quantised, whatever the configuration remembers.
    del model.config.quantization_config
    _take_end_token(tokenizer, model.config.eos_token_id)
    return LanguageModel(model.config, model.generation_config, tokenizer, _without_tied(model))


def _take_end_token(tokenizer: PreTrainedTokenizerBase, token: int | None) -> None:
    """Let the file say which token ends a text: transformers 5.17 takes another for SmolLM2's."""
    if token is not None and tokenizer.eos_token_id != token:
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(token)


def _read_config(folder: Path) -> PreTrainedConfig:
    if not (folder / "config.json").is_file():
        raise WeightsError(f"{folder} holds no config.json; expected a folder of save_pretrained.")
    settings, _ = PreTrainedConfig.get_config_dict(folder)
    kind: Any = ENCODER_CONFIGS.get(settings.get("model_type", ""), AutoConfig)
    config: PreTrainedConfig = kind.from_pretrained(folder)
    quantization = getattr(config, "quantization_config", None)
    if quantization is not None:
        if not isinstance(quantization, dict):
            quantization = quantization.to_dict()
        method = quantization.get("quant_method")
        if method != "gguf":
            raise WeightsError(
                f"{folder} is quantised ({method}); compose with the original weights, and "
                "quantise when loading the result (from_pretrained(..., quantization_config=...))."
            )
        del config.quantization_config  # left behind by a conversion from GGUF
    return config


def _generation_config(folder: Path, config: PreTrainedConfig) -> GenerationConfig:
    if (folder / "generation_config.json").is_file():
        return GenerationConfig.from_pretrained(folder)
    return GenerationConfig.from_model_config(config)


def _without_tied(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    tensors = model.state_dict()
    return {name: tensors[name] for name in tensors if name not in model.all_tied_weights_keys}


__all__ = ["LanguageModel", "model_folder", "open_encoder", "open_language_model"]
