"""A model's configuration, read before its weights and without PyTorch where it is a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MODEL_TYPE = "rna-gpt"
_MADE_BY = "a folder that `rnagpt compose` or `rnagpt mini` wrote, or a Hub id (ORG/NAME)"
_HUB_OPTIONS = ("revision", "token", "cache_dir", "force_download", "local_files_only")


def hub_options(options: dict[str, Any]) -> dict[str, Any]:
    """Those options of `load_model` that say where on the Hub a model is found, and for whom."""
    return {name: value for name, value in options.items() if name in _HUB_OPTIONS}


def read_model_config(name_or_path: str, options: dict[str, Any]) -> dict[str, Any]:
    """The fields of an RNA-GPT's `config.json`.

    Args:
        name_or_path: a folder or a Hub id.
        options: of `load_model`; those that are not the Hub's are left aside.

    Raises:
        OSError: there is no such model; says what is missing.
        ValueError: it is another kind of model.
    """
    _check_there(name_or_path)
    folder = Path(name_or_path)
    fields = _read_file(folder) if folder.is_dir() else _read_hub(name_or_path, options)
    if (model_type := fields.get("model_type")) != MODEL_TYPE:
        raise ValueError(
            f"{name_or_path} holds a model of type {model_type!r}, not {MODEL_TYPE!r}. "
            "`rnagpt compose` makes an RNA-GPT of an RNA encoder and a language model."
        )
    return fields


def _read_file(folder: Path) -> dict[str, Any]:
    try:
        fields = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise OSError(f"{folder / 'config.json'} is no JSON file: {error}") from error
    if not isinstance(fields, dict):
        raise OSError(f"{folder / 'config.json'} is no configuration of a model.")
    return fields


def _read_hub(name: str, options: dict[str, Any]) -> dict[str, Any]:
    from rnagpt.configuration_rnagpt import RnaGptConfig

    try:
        fields: dict[str, Any] = RnaGptConfig.get_config_dict(name, **hub_options(options))[0]
    except OSError as error:
        raise OSError(
            f"There is no folder {name} here, and it could not be had from the Hub: {error}"
        ) from error
    return fields


def _check_there(name_or_path: str) -> None:
    """Reject what is neither a model's folder nor an id that the Hub could know.

    Raises:
        OSError: says what is missing.
    """
    if not name_or_path:
        raise OSError(f"The model's name is empty. Give {_MADE_BY}.")
    path = Path(name_or_path)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise OSError(f"The folder {name_or_path} holds no config.json. Give {_MADE_BY}.")
        return
    if path.exists():
        raise OSError(f"{name_or_path} is a file. Give {_MADE_BY}.")
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name_or_path)
    except HFValidationError as error:
        raise OSError(f"The folder {name_or_path} is not there. Give {_MADE_BY}.") from error


__all__ = ["MODEL_TYPE", "hub_options", "read_model_config"]
