"""Servers that are measured, in processes of their own, and RNAs that their clients ask about."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from measured import make_rna
from openai import AsyncOpenAI

from rnagpt.sequences.fasta import read_fasta

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "space" / "examples.fasta"
# The families of the examples in Rfam, in their order.
FAMILIES = ("RF00005", "RF00001", "RF00162", "RF00003", "RF00016", "RF00167")
FLANK = 12  # nt on each side, by which copies of an example differ
# Time to load a model and, for vLLM, to build its kernels' caches.
_START_SECONDS = 600


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    address: str
    process: subprocess.Popen[str]


@contextmanager
def serving(command: Sequence[str]) -> Iterator[Server]:
    """Run `COMMAND serve …`, and end it as a service manager would.

    Raises:
        RuntimeError: the server ended before it answered, or takes too long.
    """
    # vLLM's key-value cache, in GiB, is fixed beforehand on a CPU.
    environment = {"VLLM_CPU_KVCACHE_SPACE": "2", **os.environ}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        lines = (re.search(r"Serving \S+ at (http://\S+)/v1", line) for line in process.stdout)
        found = next(filter(None, lines), None)
        if not found:
            raise RuntimeError(f"The server did not start; run it to see why: {' '.join(command)}")
        _await_health(found[1])
        yield Server(found[1], process)
    finally:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_health(address: str) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        try:
            if httpx.get(f"{address}/health").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"The server at {address} does not answer.")


def serve_command(*options: str) -> list[str]:
    """The command line of a server on any free port, called mini."""
    command = [sys.executable, "-m", "rnagpt.cli.main", "serve", "--port", "0"]
    return [*command, "--served-name", "mini", "--dtype", "float32", *options]


def client_of(address: str) -> AsyncOpenAI:
    """OpenAI's client; it does not try again, so that what fails is seen."""
    return AsyncOpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=600)


@dataclass(frozen=True)
class KnownRna:
    """An RNA of a known family that no one has asked about before.

    Attributes:
        name: that only it has.
        sequence: an example with other letters around it.
        family: its accession in Rfam.
    """

    name: str
    sequence: str
    family: str

    @property
    def record(self) -> str:
        """As FASTA."""
        return f">{self.name}\n{self.sequence}"


def known_rnas(prefix: str) -> Iterator[KnownRna]:
    """Without end: the examples in turn, each time in other surroundings."""
    examples = [record.sequence for record in read_fasta(EXAMPLES)]
    number = 0
    while True:
        for sequence, family in zip(examples, FAMILIES, strict=True):
            number += 1
            draw = random.Random(f"{prefix} {number}")
            before, after = (make_rna(FLANK, draw.randrange(2**32)) for _ in range(2))
            yield KnownRna(f"{prefix}_{number}", before + sequence + after, family)
