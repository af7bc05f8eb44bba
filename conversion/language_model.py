"""The language model of an RNA-GPT as a model, or a folder, of its own."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from rnagpt.conversion import WeightsError
from rnagpt.conversion.atomic_folder import atomic_folder
from rnagpt.conversion.model_sources import terms_in
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor

# Of a tokenizer, what names RNA-GPT's processor, or where it was loaded from.
_OWN_SETTINGS = ("auto_map", "processor_class", "is_local", "local_files_only")


def language_model(model: RnaGptForCausalLM) -> PreTrainedModel:
    """The language model of an RNA-GPT as a model of its own, with the very same tensors."""
    # Copied, since whatever writes a model writes into its configurations too.
    config = copy.deepcopy(model.config.text_config)
    with torch.device("meta"):
        bare = AutoModelForCausalLM.from_config(config, dtype=model.dtype)
    layers = model.model.language_model.state_dict()
    weights = {f"{bare.base_model_prefix}.{name}": layers[name] for name in layers}
    # Not copied: they may fill most of the memory.
    bare.load_state_dict({**weights, "lm_head.weight": model.lm_head.weight}, assign=True)
    bare.generation_config = copy.deepcopy(model.generation_config)
    return bare


def export_language_model(
    model: RnaGptForCausalLM,
    processor: RnaGptProcessor,
    out: str | Path,
    *,
    source: str | Path | None = None,
    max_shard_size: str | int = "5GB",
    overwrite: bool = False,
) -> Path:
    """Write the language model, trained weights and all, with its tokenizer and chat template.

    The folder is an ordinary one of transformers, that `vllm serve` takes; it holds no code and
    nothing of the RNA encoder. The placeholder of RNAs is left out of the tokenizer where the
    language model has no embedding for it: in a text it would be looked up beyond the table.

    Args:
        model: an RNA-GPT.
        processor: the model's.
        out: folder to write.
        source: folder of the RNA-GPT, whose licence files go with the weights.
        max_shard_size: largest weights file, in bytes or such as "500MB".
        overwrite: replace `out` if it is a model folder already.

    Returns:
        `out`.

    Raises:
        WeightsError: if `out` is there and not to be replaced, or the tokenizer is of a kind from
            which the placeholder cannot be taken.
    """
    out = Path(out)
    with atomic_folder(out, overwrite=overwrite) as folder:
        language_model(model).save_pretrained(folder, max_shard_size=max_shard_size)
        tokenizer = copy.deepcopy(processor.tokenizer)
        tokenizer.chat_template = processor.chat_template
        tokenizer.save_pretrained(folder)
        vocabulary = model.config.text_config.vocab_size
        _clean_tokenizer(
            folder, processor.rna_token if processor.rna_token_id >= vocabulary else None
        )
        for terms in () if source is None else terms_in(Path(source)):
            shutil.copy(terms, folder)
    return out


def _clean_tokenizer(folder: Path, placeholder: str | None) -> None:
    """Take what is RNA-GPT's own out of a saved tokenizer.

    Raises:
        WeightsError: the placeholder is to be taken out, and there is no tokenizer.json.
    """
    settings_file = folder / "tokenizer_config.json"
    settings = json.loads(settings_file.read_text(encoding="utf-8"))
    settings = {name: value for name, value in settings.items() if name not in _OWN_SETTINGS}
    if placeholder is not None:
        _remove_token(folder / "tokenizer.json", placeholder)
        named = settings.get("added_tokens_decoder", {})
        if named:
            kept = {key: one for key, one in named.items() if one["content"] != placeholder}
            settings["added_tokens_decoder"] = kept
        for name in ("additional_special_tokens", "extra_special_tokens"):
            if isinstance(settings.get(name), list):
                settings[name] = [one for one in settings[name] if one != placeholder]
    _write_json(settings_file, settings)


def _remove_token(file: Path, token: str) -> None:
    if not file.is_file():
        raise WeightsError(
            f"The tokenizer is not a fast one (it has no {file.name}), so that {token} cannot be "
            "taken out of it. Compose the RNA-GPT with the language model's fast tokenizer."
        )
    stored = json.loads(file.read_text(encoding="utf-8"))
    stored["added_tokens"] = [one for one in stored["added_tokens"] if one["content"] != token]
    _write_json(file, stored)


def _write_json(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


__all__ = ["export_language_model", "language_model"]
