"""How slow bfloat16 is on this machine's CPU: training in it may take days in place of hours."""

from __future__ import annotations

import time

import torch

SLOW = 2  # times as long as float32, from which on training in it is advised against


def slowdown_of_bfloat16(seconds: float = 0.2) -> float:
    """How many times longer a product of matrices takes this CPU in bfloat16 than in float32.

    Below 1 where the CPU has units for bfloat16 (AVX-512 BF16, AMX); some 50 on one without.

    Args:
        seconds: to measure each of the two for.
    """

    def products_per_second(dtype: torch.dtype) -> float:
        one, other = torch.randn(256, 256).to(dtype), torch.randn(256, 256).to(dtype)
        one @ other  # the first one chooses how
        start, count = time.monotonic(), 0
        while (passed := time.monotonic() - start) < seconds:
            one @ other
            count += 1
        return count / passed

    return products_per_second(torch.float32) / products_per_second(torch.bfloat16)


__all__ = ["SLOW", "slowdown_of_bfloat16"]
