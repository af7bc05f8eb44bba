"""An RNA encoder, a projection and a causal language model as one RNA-GPT folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors.torch import load_file, save_file
from tqdm import tqdm
from transformers import AutoModelForCausalLM, PreTrainedConfig

import rnagpt
from rnagpt.configuration_rnagpt import RnaGptConfig, encoder_alphabet, max_window_length
from rnagpt.conversion import REMOTE_CODE, WeightsError, listed
from rnagpt.conversion.adapter import ENCODER_PART, PROJECTOR_PART, LoraAdapter, same_weights
from rnagpt.conversion.atomic_folder import atomic_folder
from rnagpt.conversion.fresh_projector import fresh_projector
from rnagpt.conversion.model_sources import (
    LanguageModel,
    model_folder,
    open_encoder,
    open_language_model,
    terms_in,
)
from rnagpt.conversion.projector_folder import (
    PLAIN_SHAPE,
    PROJECTOR_CONFIG,
    PROJECTOR_WEIGHTS,
    check_projector,
)
from rnagpt.conversion.stage_record import learned_from_evidence
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor

ENCODER = "model.rna_encoder."
PROJECTOR = "model.projector."
LANGUAGE_MODEL = "model.language_model."
HEAD = "lm_head.weight"

# A tensor is fetched when its shard is written, and freed with it.
Fetch = Callable[[], torch.Tensor]


def compose(
    rna_encoder: str | Path,
    language_model: str | Path,
    out: str | Path,
    *,
    projector: str | Path | None = None,
    adapter: str | Path | None = None,
    projector_type: str | None = None,
    rna_merge_size: int | None = None,
    rna_summary_size: int | None = None,
    confidence: Mapping[str, float] | None = None,
    dtype: str | None = None,
    max_shard_size: str | int = "5GB",
    seed: int = 0,
    overwrite: bool = False,
) -> Path:
    """Write a folder that every Auto class of transformers loads with `trust_remote_code=True`.

    The licence files of both go with their weights.

    Weights go from the sources' safetensors to the shards one shard at a time. Where transformers
    has to load the language model itself (GGUF; models whose tensors it renames), it is in memory
    once.

    Args:
        rna_encoder: encoder folder or Hub id; `kmer_size` and `rna_alphabet` in its configuration
            say what it reads (see `RnaGptConfig`).
        language_model: folder, Hub id, GGUF file, or folder with one GGUF file.
        out: folder to write.
        projector: folder with projector.safetensors and projector_config.json; None: the
            adapter's, if its folder has one, else a new projection with random weights.
        adapter: folder with a LoRA adapter of PEFT, merged into the weights.
        projector_type, rna_merge_size, rna_summary_size: shape of the projection (see
            `RnaGptConfig`); None: as the projector folder says, else "linear", 1 and 0.
        confidence: `confidence_scale` and `confidence_bias`, as an evaluation fitted them to these
            parts; None: answers come without a confidence.
        dtype: of all weights, such as "bfloat16"; None: the language model's.
        max_shard_size: largest weights file, in bytes or such as "500MB".
        seed: for the random weights of a new projection.
        overwrite: replace `out` if it is a model folder already.

    Returns:
        `out`.

    Raises:
        WeightsError: if the parts cannot be read or do not fit each other; says which.
    """
    out = Path(out)
    lora = None if adapter is None else LoraAdapter(Path(adapter))
    projector = projector or _projector_of(lora)
    with atomic_folder(out, overwrite=overwrite) as folder:
        encoder_config, encoder_tensors = open_encoder(rna_encoder)
        for stage in (projector, adapter):
            if stage is not None:
                _check_encoder(Path(stage), encoder_tensors)
        if lora is not None:
            _check_parts(lora, encoder_tensors, projector)
        language = open_language_model(language_model)
        shape = _projector_shape(
            None if projector is None else Path(projector),
            given={
                "projector_type": projector_type,
                "rna_merge_size": rna_merge_size,
                "rna_summary_size": rna_summary_size,
            },
            sizes={
                "rna_hidden_size": encoder_config.hidden_size,
                "text_hidden_size": language.config.hidden_size,
            },
        )
        processor = RnaGptProcessor(
            language.tokenizer,
            kmer_size=getattr(encoder_config, "kmer_size", 1),
            alphabet=getattr(encoder_config, "rna_alphabet", None),
            merge_size=shape["rna_merge_size"],
            summary_size=shape["rna_summary_size"],
            max_context=language.config.max_position_embeddings,
        )
        fields = {
            **shape,
            **(confidence or {}),
            "rna_token_id": processor.rna_token_id,
            "reads_evidence": lora is not None and learned_from_evidence(lora.folder),
        }
        config = _config(encoder_config, language.config, fields, _dtype(language, dtype))
        with torch.device("meta"):
            model = RnaGptForCausalLM(config)
        language_sources = _language_sources(model, language)
        sources = {
            **{ENCODER + name: _fetch(encoder_tensors, name) for name in encoder_tensors},
            **(
                _fresh_projector_sources(model, encoder_tensors, language_sources, seed)
                if projector is None
                else _projector_sources(model, projector)
            ),
            **language_sources,
        }
        if lora is not None:
            sources = _merged_sources(sources, lora)
        _write_weights(folder, model, sources, max_shard_size)
        _write_settings(folder, model, processor, language)
        _copy_terms(folder, terms_in(model_folder(rna_encoder)), language.terms)
    return out


def _projector_of(adapter: LoraAdapter | None) -> Path | None:
    """The folder of the projection that an adapter was trained with, where it is there."""
    if adapter is None:
        return None
    if (adapter.folder / PROJECTOR_CONFIG).is_file():
        return adapter.folder
    if PROJECTOR_PART in adapter.parts:
        raise WeightsError(
            f"{adapter.folder} holds a projection, but no {PROJECTOR_CONFIG}, which says its "
            "shape. Copy that file and projector.safetensors from the stage's own folder, or name "
            "it with --projector."
        )
    return None


def _check_encoder(stage: Path, encoder: Mapping[str, torch.Tensor]) -> None:
    """A stage that has trained its encoder needs that encoder."""
    own = stage / "encoder"
    if (own / "config.json").is_file() and not same_weights(open_encoder(own)[1], encoder):
        raise WeightsError(
            f"{stage} was trained together with the encoder in {own}, and another is given: use "
            f"--rna-encoder {own}."
        )


def _check_parts(
    adapter: LoraAdapter, encoder: Mapping[str, torch.Tensor], projector: str | Path | None
) -> None:
    """The parts that an adapter holds whole have to be those that it is composed with."""
    whole = adapter.parts
    if ENCODER_PART in whole and not same_weights(whole[ENCODER_PART], encoder):
        raise WeightsError(
            f"{adapter.folder} was trained with another encoder than the one given: use "
            f"--rna-encoder {adapter.folder / 'encoder'}, which the stage wrote."
        )
    file = Path(projector or adapter.folder) / PROJECTOR_WEIGHTS
    if PROJECTOR_PART in whole and not (
        file.is_file() and same_weights(whole[PROJECTOR_PART], load_file(file))
    ):
        raise WeightsError(
            f"{adapter.folder} was trained with another projection than that in {projector}: use "
            f"--projector {adapter.folder}, or leave it out."
        )


def _dtype(language: LanguageModel, dtype: str | None) -> torch.dtype:
    if dtype is None:
        return language.config.dtype or torch.float32  # type: ignore[return-value]  # no name
    chosen = getattr(torch, dtype, None)
    if not isinstance(chosen, torch.dtype) or not chosen.is_floating_point:
        raise WeightsError(f"dtype must be such as 'float32' or 'bfloat16', got {dtype!r}.")
    return chosen


def _projector_shape(
    folder: Path | None, given: dict[str, Any], sizes: dict[str, int]
) -> dict[str, Any]:
    """The projection's shape: the folder's if there is one, which must fit all that is given."""
    if folder is None:
        chosen = {name: value for name, value in given.items() if value is not None}
        return PLAIN_SHAPE | chosen  # prototypes come only with a trained projection
    stored = check_projector(
        folder,
        {**given, **sizes},
        "Choose the encoder, language model and options that it was trained with.",
    )
    return {name: stored[name] for name in PLAIN_SHAPE}


def _config(
    encoder: PreTrainedConfig,
    language: PreTrainedConfig,
    fields: dict[str, Any],
    dtype: torch.dtype,
) -> RnaGptConfig:
    for part in (encoder, language):
        part.name_or_path = ""  # a path of this machine
        part.dtype = dtype
    # Where its own folder has its code; here the model's names it.
    vars(encoder).pop("auto_map", None)
    try:
        window_length = _window_length(encoder)
        return RnaGptConfig(
            rna_config=encoder,
            text_config=language,
            rna_window_length=window_length,
            rna_window_overlap=min(128, window_length // 4),
            architectures=[RnaGptForCausalLM.__name__],
            dtype=dtype,
            **fields,
        )
    except (ValueError, TypeError) as error:
        raise WeightsError(f"The parts do not make an RNA-GPT: {error}") from error


def _window_length(encoder: PreTrainedConfig) -> int:
    """RNA-FM's 1,022 nt, or what the encoder's table of positions allows if that is less."""
    alphabet = encoder_alphabet(encoder)
    ends = [token for token in (alphabet.cls_token, alphabet.eos_token) if token is not None]
    return min(1022, max_window_length(encoder, len(ends)) or 1022)


def _projector_sources(model: RnaGptForCausalLM, folder: str | Path) -> dict[str, Fetch]:
    expected = model.model.projector.state_dict()
    tensors = load_file(Path(folder) / PROJECTOR_WEIGHTS)
    _reject_missing(f"The projection in {folder}", sorted(expected.keys() - tensors.keys()))
    return {PROJECTOR + name: _fetch(tensors, name) for name in expected}


def _fresh_projector_sources(
    model: RnaGptForCausalLM,
    encoder: Mapping[str, torch.Tensor],
    language_sources: Mapping[str, Fetch],
    seed: int,
) -> dict[str, Fetch]:
    embeddings = language_sources[LANGUAGE_MODEL + _embedding_name(model)]()
    tensors = fresh_projector(model, encoder, embeddings, seed)
    return {PROJECTOR + name: _fetch(tensors, name) for name in tensors}


def _embedding_name(model: RnaGptForCausalLM) -> str:
    language_model = model.model.language_model
    embeddings = language_model.get_input_embeddings()
    return next(
        f"{name}.weight" for name, part in language_model.named_modules() if part is embeddings
    )


def _language_sources(model: RnaGptForCausalLM, language: LanguageModel) -> dict[str, Fetch]:
    """The language model's tensors under the names that they have within RNA-GPT."""
    with torch.device("meta"):
        causal = AutoModelForCausalLM.from_config(language.config)
    head = causal.get_output_embeddings()
    head_name = next(name for name, module in causal.named_modules() if module is head)
    prefix = f"{causal.base_model_prefix}."
    inner = model.model.language_model.state_dict()
    names = {prefix + name: LANGUAGE_MODEL + name for name in inner}
    if not model.config.tie_word_embeddings:
        names[f"{head_name}.weight"] = HEAD
    missing = sorted(names.keys() - language.tensors.keys())
    _reject_missing("The language model", missing)
    unknown = set(causal.state_dict()) - names.keys() - {f"{head_name}.weight"}
    if unknown:
        raise WeightsError(
            f"{type(causal).__name__} has parts that RNA-GPT's head has no place for "
            f"({listed(sorted(unknown))}); choose another language model."
        )
    return {name: _fetch(language.tensors, stored) for stored, name in names.items()}


def _merged_sources(sources: dict[str, Fetch], adapter: LoraAdapter) -> dict[str, Fetch]:
    unknown = sorted(adapter.targets - sources.keys())
    if unknown:
        raise WeightsError(
            f"{adapter.folder} adapts weights that this model does not have, or has tied: "
            f"{listed(unknown)}. Was it trained on another model?"
        )

    def merged(name: str, fetch: Fetch) -> Fetch:
        return lambda: adapter.merged(name, fetch())

    return {name: merged(name, fetch) for name, fetch in sources.items()}


def _fetch(tensors: Mapping[str, torch.Tensor], name: str) -> Fetch:
    return lambda: tensors[name]


def _reject_missing(part: str, names: list[str]) -> None:
    if names:
        raise WeightsError(f"{part} lacks tensors: {listed(names)}.")


def _write_weights(
    folder: Path, model: RnaGptForCausalLM, sources: dict[str, Fetch], max_shard_size: str | int
) -> None:
    dtype = model.config.dtype
    expected = {name: model.get_parameter_or_buffer(name).to(dtype) for name in sources}
    try:
        split = split_torch_state_dict_into_shards(expected, max_shard_size=max_shard_size)
    except ValueError as error:
        raise WeightsError(f"max_shard_size must be such as 5GB or 500MB: {error}") from error
    with tqdm(total=len(expected), desc="Weights", unit=" tensors", disable=None) as progress:
        for file, names in split.filename_to_tensors.items():
            shard = {}
            for name in names:
                tensor = sources[name]()
                if tensor.shape != expected[name].shape:
                    raise WeightsError(
                        f"{name} has the shape {tuple(tensor.shape)}; expected "
                        f"{tuple(expected[name].shape)} from the configuration."
                    )
                shard[name] = tensor.to(dtype).contiguous()
                progress.update()
            save_file(shard, folder / file, metadata={"format": "pt"})
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def _write_settings(
    folder: Path, model: RnaGptForCausalLM, processor: RnaGptProcessor, language: LanguageModel
) -> None:
    model.config.save_pretrained(folder)
    processor.save_pretrained(folder)
    generation_config = language.generation_config
    generation_config.pad_token_id = processor.tokenizer.pad_token_id
    generation_config._from_model_config = False  # else the file would be ignored
    generation_config.save_pretrained(folder)
    # The code that trust_remote_code runs: the folder works without this package.
    for name in REMOTE_CODE:
        shutil.copy(Path(rnagpt.__file__).with_name(name), folder)


def _copy_terms(folder: Path, encoder: Sequence[Path], language: Sequence[Path]) -> None:
    """Licence files, the encoder's under names that say so: both may have one called LICENSE."""
    for terms in language:
        shutil.copy(terms, folder)
    for terms in encoder:
        is_named = ".rna-encoder" in terms.name
        name = terms.name if is_named else f"{terms.stem}.rna-encoder{terms.suffix}"
        shutil.copy(terms, folder / name)


__all__ = ["compose"]
