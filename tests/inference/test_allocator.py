"""The C library's memory, as glibc and the system count it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

COUNT = """
import ctypes, re, sys, tempfile, threading
from rnagpt.inference.allocator import use_one_arena

done = use_one_arena() if sys.argv[1] == "one" else None
kept, start = [], threading.Barrier(4)

def fill():
    start.wait()
    kept.extend(bytearray(2_000) for _ in range(2_000))
    start.wait()

threads = [threading.Thread(target=fill) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
with tempfile.NamedTemporaryFile("r") as file:
    stream = ctypes.c_void_p(libc.fopen(file.name.encode(), b"w"))
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    print(done, len(re.findall("<heap nr=", file.read())))
"""


def arenas(how: str, **environment: str) -> list[str]:
    inherited = {name: value for name, value in os.environ.items() if "MALLOC" not in name}
    done = subprocess.run(
        [sys.executable, "-c", COUNT, how],
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_all_threads_share_one_arena() -> None:
    done, count = arenas("default")
    assert done == "None"
    assert int(count) > 1
    assert arenas("one") == ["True", "1"]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_the_environments_limit_stays() -> None:
    assert arenas("one", MALLOC_ARENA_MAX="2") == ["False", "2"]


GAPS = """
import re
from pathlib import Path
from rnagpt.inference.allocator import give_back_free_memory

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

parts = [bytearray(b"x") * 100_000 for _ in range(2_000)]  # 200 MB, below what has a map of its own
kept = parts[::20]
del parts
before = resident()
print(give_back_free_memory(), (before - resident()) // 1024)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_gaps_between_what_is_in_use_go_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", GAPS], capture_output=True, text=True, check=True)
    given_back, megabytes = done.stdout.split()
    assert given_back == "True"
    assert int(megabytes) > 100
