"""The C library's memory: what is free goes back, so that what runs for long does not grow."""

from __future__ import annotations

import ctypes
import os
import platform

_M_ARENA_MAX = -8  # of glibc's malloc.h


def use_one_arena() -> bool:
    """Let glibc serve all threads from one arena; to be called before other threads start.

    By default each thread gets an arena of its own, of up to eight for each core. What one request
    leaves free in one of them is of no use to the next request in another, so that the memory of a
    server grows for as long as each arena has not seen its own largest requests. A limit that the
    environment names (MALLOC_ARENA_MAX) stays.

    Returns:
        Whether that was done: not with another C library, or where the environment names a limit.
    """
    if not _is_glibc() or "MALLOC_ARENA_MAX" in os.environ:
        return False
    return bool(ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1))


def give_back_free_memory() -> bool:
    """Give pages that are free within glibc's memory back to the system.

    Tensors of ever different sizes leave gaps of which few fit the next ones. By itself glibc gives
    back only what is free at the end of its memory.

    Returns:
        Whether there was any: not with another C library.
    """
    return _is_glibc() and bool(ctypes.CDLL(None).malloc_trim(0))


def _is_glibc() -> bool:
    return platform.libc_ver()[0] == "glibc"


__all__ = ["give_back_free_memory", "use_one_arena"]
