"""Tiny RNA-GPTs with language models of several kinds, for what reads or runs them elsewhere."""

from typing import Any

import torch
from helpers.tiny_models import make_config, make_processor
from transformers import Qwen2Config, Qwen3Config

from rnagpt.configuration_rnagpt import RnaGptConfig
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor

LLAMA_3 = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
# Of a language model, what differs from the tiny one's configuration.
KINDS: dict[str, dict[str, Any]] = {
    "llama": {},
    "llama, tied": {"tie_word_embeddings": True},
    "llama, biases": {"attention_bias": True, "mlp_bias": True},
    "llama, wide heads": {"head_dim": 16},
    "llama 3.1": {"rope_parameters": LLAMA_3},
    "qwen2": {"of": Qwen2Config},
    "qwen3": {"of": Qwen3Config, "head_dim": 16},
}


def make_parts(kind: str = "llama") -> tuple[RnaGptForCausalLM, RnaGptProcessor]:
    processor = make_processor()
    config = make_config(processor)
    changes = dict(KINDS[kind])
    of = changes.pop("of", None)
    if of is not None:
        names = ["vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers"]
        names += ["num_attention_heads", "num_key_value_heads", "max_position_embeddings"]
        config.text_config = of(**{name: getattr(config.text_config, name) for name in names})
    for name, value in changes.items():
        setattr(config.text_config, name, value)
    config = RnaGptConfig.from_dict(config.to_dict())
    torch.manual_seed(1)
    model = RnaGptForCausalLM(config).eval()
    with torch.no_grad():  # norms of 1 and biases of 0 could be lost unseen
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return model, processor


__all__ = ["KINDS", "make_parts"]
