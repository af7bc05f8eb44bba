"""How fast a device multiplies matrices, and how much of that a training of layers uses."""

import time
from typing import Any

import torch

_SECONDS = 1.0


def product_limit(device: torch.device, seconds: float = _SECONDS) -> float:
    """Floating-point operations a second of large bfloat16 products: the best of what was measured.

    Args:
        device: on which the products run.
        seconds: to measure for.
    """
    size = 8192 if device.type == "cuda" else 1024
    one = torch.randn(size, size, device=device, dtype=torch.bfloat16)

    def took() -> float:
        start = time.perf_counter()
        one @ one
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    took()  # the first one chooses how
    begin, best = time.perf_counter(), took()
    while time.perf_counter() - begin < seconds:
        best = min(best, took())
    return 2 * size**3 / best


def training_operations(encoder: Any, rnas: int, length: int, row: float) -> float:
    """Floating-point operations of a step, forwards and backwards: those of products of matrices.

    Args:
        encoder: its matrices, but for the embeddings, count 6 for each token.
        rnas: rows of tokens.
        length: tokens of a row, padding included.
        row: tokens that each token attends to.
    """
    embeddings = {id(weight) for weight in encoder.get_input_embeddings().parameters()}
    weights = sum(
        weight.numel()
        for weight in encoder.parameters()
        if weight.dim() == 2 and id(weight) not in embeddings
    )
    config = encoder.config
    attention = 12 * config.num_hidden_layers * config.hidden_size * row
    return float(rnas * length * (6 * weights + attention))


__all__ = ["product_limit", "training_operations"]
