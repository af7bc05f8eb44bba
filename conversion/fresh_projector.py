"""A new projection: random weights, at the scale of the language model's own embeddings.

What takes the place of tokens has to be of their size. With weights of the usual standard deviation
the vectors of an encoder with many or large outputs are ten times as long as any token's: the
language model's first layers are then busy with their length, and training starts further away.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from rnagpt.configuration_rnagpt import RnaGptConfig
from rnagpt.conversion.rna_encoder import RnaEncoder
from rnagpt.modeling_rnagpt import RnaGptForCausalLM, RnaProjector

_PROBES, _PROBE_LENGTH = 8, 128  # random RNAs, nt
_MAX_EMBEDDINGS = 10_000  # whose norm is measured


def fresh_projector(
    model: RnaGptForCausalLM,
    encoder: Mapping[str, torch.Tensor],
    embeddings: torch.Tensor,
    seed: int,
    *,
    alike: bool = False,
) -> dict[str, torch.Tensor]:
    """A projection for this model with random weights.

    Its vectors of random RNAs have on average the norm of the language model's embeddings.

    Args:
        model: with its configuration; its weights are not read.
        encoder: the tensors of the RNA encoder.
        embeddings: of the language model's tokens: (tokens, text hidden).
        seed: of the weights and of the RNAs.
        alike: begin with the same weights for each of the nucleotides that share a vector, so that
            an RNA that begins one nucleotide later has nearly the same vectors (it made no
            difference: `benchmarks/paper_design.md`).

    Returns:
        Tensors by their names in `RnaProjector`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        projector = RnaProjector(model.config)
        for module in projector.modules():
            model._init_weights(module)
    norm = mean_norm(embeddings)
    hidden_states = _encode_probes(model.config, encoder, seed)
    size, text_size = model.config.rna_merge_size, model.config.text_config.hidden_size
    groups = hidden_states[:, : hidden_states.shape[1] // size * size].unflatten(1, (-1, size))
    if alike:
        _repeat_input(projector.nucleotides, size)
    with torch.inference_mode():
        _scale_output(projector.nucleotides, groups.flatten(2), text_size, norm)
        if projector.summary_size:
            means = projector.summary_norm(hidden_states.mean(1))
            _scale_output(projector.summary, means, text_size, norm)
    return projector.state_dict()


def _encode_probes(
    config: RnaGptConfig, encoder: Mapping[str, torch.Tensor], seed: int
) -> torch.Tensor:
    """The encoder's vectors of random RNAs: (RNAs, length, rna hidden), float32."""
    length = max(config.rna_merge_size, min(_PROBE_LENGTH, config.rna_window_length))
    random = np.random.default_rng(seed)
    rnas = ["".join(random.choice(list("ACGU"), length)) for _ in range(_PROBES)]
    return RnaEncoder.of(config.rna_config, encoder).vectors(rnas)


def _repeat_input(projection: nn.Module, times: int) -> None:
    """Give all parts of the joined input, one a nucleotide, the weights of the first."""
    first = next(part for part in projection.modules() if isinstance(part, nn.Linear))
    part = first.weight[:, : first.in_features // times]
    first.weight = nn.Parameter(part.detach().repeat(1, times))


def _scale_output(projection: nn.Module, inputs: torch.Tensor, size: int, norm: float) -> None:
    """Give the vectors of this size that a projection makes this mean norm."""
    *_, last = [part for part in projection.modules() if isinstance(part, nn.Linear)]
    mean = float(projection(inputs).unflatten(-1, (-1, size)).norm(dim=-1).mean())
    last.weight.mul_(norm / mean)  # its bias is zero


def mean_norm(embeddings: torch.Tensor) -> float:
    """Mean norm of a language model's embeddings (tokens, text hidden), of evenly drawn tokens."""
    every = max(1, len(embeddings) // _MAX_EMBEDDINGS)
    return float(embeddings[::every].float().norm(dim=-1).mean())


__all__ = ["fresh_projector", "mean_norm"]
