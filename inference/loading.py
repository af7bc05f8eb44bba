"""A model and its processor, from a folder or from the Hub."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig

from rnagpt.configuration_rnagpt import RnaGptConfig
from rnagpt.inference.cpu_decoding import compile_steps, use_int8_weights
from rnagpt.inference.default_model import resolve_model
from rnagpt.inference.model_config import hub_options, read_model_config
from rnagpt.modeling_rnagpt import RnaGptForCausalLM
from rnagpt.processing_rnagpt import RnaGptProcessor

# The tokenizer is found by way of the configuration. Unless that is known, transformers asks, on
# standard input, whether to run the code that lies next to the weights; it is this very code.
AutoConfig.register(RnaGptConfig.model_type, RnaGptConfig, exist_ok=True)


def load_processor(name_or_path: str | None = None, **kwargs: Any) -> RnaGptProcessor:
    """Load a model's processor; arguments as of `load_model`, of which others are left aside."""
    name_or_path = resolve_model(name_or_path)
    options = hub_options(kwargs)
    read_model_config(str(name_or_path), options)
    return RnaGptProcessor.from_pretrained(name_or_path, **options)


def load_model(
    name_or_path: str | None = None,
    *,
    int8: bool = False,
    compiled: bool = False,
    **kwargs: Any,
) -> RnaGptForCausalLM:
    """Load a model from a folder or from the Hub, ready to answer.

    Args:
        name_or_path: a folder that `rnagpt compose`, `rnagpt mini` or `save_pretrained` wrote,
            or a Hub id; None: what the variable RNAGPT_MODEL names, else rna-gpt-mini, which is
            put together on first use (half a minute).
        int8: write answers with int8 weights, as `use_int8_weights` says: for a CPU, where that is
            faster. It changes answers: short ones seldom, long ones often.
        compiled: compile what writes a token in a conversation, as `compile_steps` says: for long
            ones.
        **kwargs: for `RnaGptForCausalLM.from_pretrained`. Without `device_map` the model goes to
            the accelerator if there is one; without `dtype` it is float32 on a CPU, and on an
            accelerator what the weights are stored in.

    Raises:
        OSError: when there is no such model.
        ValueError: when it is another kind of model, or int8 or compiled where that cannot
            be had.
        WeightsError: when rna-gpt-mini is needed and cannot be put together.
    """
    name_or_path = resolve_model(name_or_path)
    read_model_config(str(name_or_path), kwargs)
    has_accelerator = torch.accelerator.is_available()
    device = torch.accelerator.current_accelerator() if has_accelerator else None
    # Few CPUs have bfloat16 units; without them it is slower than float32.
    kwargs.setdefault("dtype", torch.float32 if device is None else "auto")
    model = RnaGptForCausalLM.from_pretrained(name_or_path, **kwargs)
    if device is not None and "device_map" not in kwargs:
        model.to(device)  # type: ignore[arg-type]
    if int8:
        use_int8_weights(model)
    if compiled:
        compile_steps(model)
    return model


__all__ = ["load_model", "load_processor"]
