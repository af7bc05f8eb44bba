"""The language model of an RNA-GPT as a GGUF file, which llama.cpp runs.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Quantization
from transformers import PreTrainedConfig

from rnagpt.conversion import DEFAULT_GGUF_TYPE, GGUF_TYPES, WeightsError
from rnagpt.conversion.gguf_tokenizer import add_tokenizer, check_tokenizer
from rnagpt.conversion.language_model import language_model
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor

# What each type is called, in the file and of its matrices.
FILE_TYPES = dict(
    zip(
        GGUF_TYPES,
        (
            (gguf.LlamaFileType.MOSTLY_F16, Quantization.F16),
            (gguf.LlamaFileType.MOSTLY_Q8_0, Quantization.Q8_0),
            (gguf.LlamaFileType.MOSTLY_Q4_1, Quantization.Q4_1),
            (gguf.LlamaFileType.ALL_F32, Quantization.F32),
        ),
        strict=True,
    )
)
DEFAULT_TYPE = DEFAULT_GGUF_TYPE


@dataclass(frozen=True)
class _Family:
    """How llama.cpp calls a family of models; `rotates_pairs`: where it rotates neighbours."""

    architecture: gguf.MODEL_ARCH
    rotates_pairs: bool = False


# By `model_type` of transformers.
_FAMILIES = {
    "llama": _Family(gguf.MODEL_ARCH.LLAMA, rotates_pairs=True),
    "mistral": _Family(gguf.MODEL_ARCH.LLAMA, rotates_pairs=True),
    "qwen2": _Family(gguf.MODEL_ARCH.QWEN2),
    "qwen3": _Family(gguf.MODEL_ARCH.QWEN3),
}


def export_gguf(
    model: RnaGptForCausalLM,
    processor: RnaGptProcessor,
    out: str | Path,
    *,
    file_type: str = DEFAULT_TYPE,
    has_tokenizer: bool = True,
    overwrite: bool = False,
) -> bool:
    """Write the language model, trained weights and all, as one GGUF file.

    It holds nothing of the RNA encoder. Vectors (norms, biases) stay in float32, and so does, in
    float16, a matrix whose rows are no multiple of 32. Token embeddings and head of "q4_1" are in
    8 bits, as llama.cpp's own files have them. The file is whole, or not there.

    Args:
        model: an RNA-GPT.
        processor: the model's.
        out: file to write.
        file_type: one of `FILE_TYPES`.
        has_tokenizer: False leaves tokens and chat template out, for who has a tokenizer already.
        overwrite: replace `out` if it is there.

    Returns:
        Whether llama.cpp was there to compare its own tokenizer with the model's.

    Raises:
        WeightsError: `out` is there and not to be replaced; llama.cpp would not run the model as
            it is, or would read texts as other tokens.
    """
    out = Path(out)
    if file_type not in FILE_TYPES:
        raise WeightsError(f"There is no type {file_type}; choose one of {', '.join(FILE_TYPES)}.")
    _check_out(out, overwrite)
    family = _family_of(model.config.text_config)
    out.parent.mkdir(parents=True, exist_ok=True)
    # Of its own name: two processes may write the same file at once.
    handle, name = tempfile.mkstemp(prefix=f"{out.name}.partial-", dir=out.parent)
    os.close(handle)
    partial = Path(name)
    try:
        _write(partial, model, processor, family, file_type, has_tokenizer)
        was_checked = has_tokenizer and check_tokenizer(partial, processor)
        partial.chmod(0o644)
        os.replace(partial, out)
    finally:
        partial.unlink(missing_ok=True)
    return was_checked


def _check_out(out: Path, overwrite: bool) -> None:
    if out.is_dir():
        raise WeightsError(f"{out} is a folder; give the name of a file to write, such as it.gguf.")
    if out.exists() and not overwrite:
        raise WeightsError(f"{out} is there already; choose another name, or add --overwrite.")


def _family_of(config: PreTrainedConfig) -> _Family:
    """The family of a language model.

    Raises:
        WeightsError: it is none of those that are known here, or has what llama.cpp lacks.
    """
    family = _FAMILIES.get(config.model_type)
    if family is None:
        raise WeightsError(
            f"The language model is of type {config.model_type}; as GGUF can be written: "
            f"{', '.join(_FAMILIES)}. Use transformers or vLLM for it, or convert what "
            "`rnagpt export-language-model` writes with llama.cpp's own convert_hf_to_gguf.py."
        )
    slides = getattr(config, "sliding_window", None)
    if slides and getattr(config, "use_sliding_window", True):
        raise WeightsError(
            f"The language model's attention sees {slides:,} tokens, and llama.cpp's of this type "
            "sees all: it would write other answers. Use transformers or vLLM for it."
        )
    if getattr(config, "hidden_act", "silu") != "silu":
        raise WeightsError(
            f"The language model's activation is {config.hidden_act}, and llama.cpp's of type "
            f"{config.model_type} is silu. Use transformers or vLLM for it."
        )
    return family


def _write(
    file: Path,
    model: RnaGptForCausalLM,
    processor: RnaGptProcessor,
    family: _Family,
    file_type: str,
    has_tokenizer: bool,
) -> None:
    config = model.config.text_config
    writer = gguf.GGUFWriter(file, gguf.MODEL_ARCH_NAMES[family.architecture])
    _add_sizes(writer, config)
    writer.add_file_type(FILE_TYPES[file_type][0])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    if has_tokenizer:
        add_tokenizer(writer, processor, config.vocab_size)
    else:
        writer.add_tokenizer_model("no_vocab")
    tensors = list(_tensors(language_model(model), family, FILE_TYPES[file_type][1]))
    for tensor in tensors:
        writer.add_tensor_info(
            tensor.name, tensor.shape, np.dtype(np.float32), tensor.bytes, tensor.quantization
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in tensors:  # one at a time, since together they may not fit the memory
        writer.write_tensor_data(tensor.quantised())
    writer.close()


def _add_sizes(writer: gguf.GGUFWriter, config: PreTrainedConfig) -> None:
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(float(config.rope_parameters["rope_theta"]))
    if _rope_type(config) == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(float(config.rope_parameters["factor"]))


def _rope_type(config: PreTrainedConfig) -> str:
    kind = str(config.rope_parameters.get("rope_type", "default"))
    if kind not in ("default", "linear", "llama3"):
        raise WeightsError(
            f"The language model's positions are scaled by {kind}; as GGUF can be written: "
            "default, linear, llama3. Use transformers or vLLM for it."
        )
    return kind


@dataclass(frozen=True)
class _Tensor:
    """A tensor of the file, as it is and as it is stored."""

    name: str
    values: torch.Tensor
    quantization: Quantization
    arrange: Callable[[torch.Tensor], torch.Tensor]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.values.shape)

    @property
    def bytes(self) -> int:
        block, size = gguf.GGML_QUANT_SIZES[self.quantization]
        return self.values.numel() // block * size

    def quantised(self) -> np.ndarray[Any, Any]:
        values = self.arrange(self.values.detach()).float().contiguous().numpy()
        return gguf.quants.quantize(values, self.quantization)


def _tensors(bare: Any, family: _Family, quantization: Quantization) -> Iterator[_Tensor]:
    config = bare.config
    tied = set(bare.all_tied_weights_keys) if config.tie_word_embeddings else set()
    names = gguf.get_tensor_name_map(family.architecture, config.num_hidden_layers)
    stored: Mapping[str, torch.Tensor] = bare.state_dict()
    for name, values in stored.items():
        if name in tied:
            continue
        new = names.get_name(name, (".weight", ".bias"))
        if new is None:
            raise WeightsError(f"llama.cpp has no place for the language model's tensor {name}.")
        kind = _stored_as(new, values, quantization)
        yield _Tensor(new, values, kind, _arrangement(name, config, family))
    if _rope_type(config) == "llama3":
        factors = llama3_factors(config)
        yield _Tensor("rope_freqs.weight", factors, Quantization.F32, _as_it_is)


def _stored_as(name: str, values: torch.Tensor, quantization: Quantization) -> Quantization:
    if values.ndim < 2:
        return Quantization.F32
    if quantization == Quantization.Q4_1 and name in ("token_embd.weight", "output.weight"):
        quantization = Quantization.Q8_0
    block, _ = gguf.GGML_QUANT_SIZES[quantization]
    return quantization if values.shape[-1] % block == 0 else Quantization.F16


def _arrangement(
    name: str, config: PreTrainedConfig, family: _Family
) -> Callable[[torch.Tensor], torch.Tensor]:
    """How a tensor's rows are put: llama.cpp rotates neighbours where transformers rotates halves.

    https://github.com/ggml-org/llama.cpp/blob/master/convert_hf_to_gguf.py (`permute`)
    """
    if not family.rotates_pairs:
        return _as_it_is
    if ".q_proj." in name:
        return lambda values: _neighbours(values, config.num_attention_heads)
    if ".k_proj." in name:
        return lambda values: _neighbours(values, config.num_key_value_heads)
    return _as_it_is


def _as_it_is(values: torch.Tensor) -> torch.Tensor:
    return values


def _neighbours(values: torch.Tensor, heads: int) -> torch.Tensor:
    """Of each head, rows 0, 1, 2 … of both halves one after the other: 0, h, 1, h + 1 …"""
    split = values.unflatten(0, (heads, 2, -1))
    return split.transpose(1, 2).reshape(values.shape)


def llama3_factors(config: PreTrainedConfig) -> torch.Tensor:
    """By what each frequency of the positions is divided, (head / 2,): Llama 3.1's scaling.

    https://github.com/meta-llama/llama-models (`apply_scaling`)
    """
    rope = config.rope_parameters
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    factor, low, high = (
        float(rope[name]) for name in ("factor", "low_freq_factor", "high_freq_factor")
    )
    trained = float(rope["original_max_position_embeddings"])
    steps = torch.arange(0, size, 2, dtype=torch.float64) / size
    turns = trained * (float(rope["rope_theta"]) ** -steps) / (2 * math.pi)
    smooth = ((turns - low) / (high - low)).clamp(0, 1)
    return (1 / ((1 - smooth) / factor + smooth)).float()


__all__ = ["DEFAULT_TYPE", "FILE_TYPES", "export_gguf", "llama3_factors"]
