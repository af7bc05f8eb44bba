"""Servers in processes of their own, and clients that ask them: shared by `serving_*.py`."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from openai import AsyncOpenAI

from rnagpt.sequences.fasta import read_fasta

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "space" / "examples.fasta"
QUESTIONS = (
    "What is this RNA?",
    "Which family does it belong to?",
    "What type of RNA is this?",
    "What is known about this RNA?",
    "What does this RNA do?",
    "Describe this RNA.",
    "Name the family of this RNA.",
    "Is this a coding or a non-coding RNA?",
)
# A model is loaded, and vLLM builds its kernels' caches.
_START_SECONDS = 600


@dataclass(frozen=True)
class Question:
    """One question about one RNA."""

    rna: str
    text: str

    @property
    def messages(self) -> Any:
        """As OpenAI's client takes them, whose types do not know RNAs."""
        parts = [{"type": "rna", "rna": self.rna}, {"type": "text", "text": self.text}]
        return [{"role": "user", "content": parts}]


@dataclass(frozen=True)
class Answer:
    """An answer as a client saw it; seconds from the request on."""

    question: Question
    text: str
    tokens: int
    first_word: float
    whole: float


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    address: str
    process: subprocess.Popen[str]


def make_questions(fasta: Path = EXAMPLES) -> list[Question]:
    """Every question about every RNA of a file, RNA after RNA within a question."""
    rnas = [record.sequence for record in read_fasta(fasta)]
    return [Question(rna, text) for text in QUESTIONS for rna in rnas]


@contextmanager
def serving(command: Sequence[str], environment: dict[str, str]) -> Iterator[Server]:
    """Run `COMMAND serve …`; yields once it answers, and ends it as a service manager would.

    Raises:
        RuntimeError: the server ended before it answered, or takes too long.
    """
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        found = None
        for line in process.stdout:
            found = re.search(r"Serving \S+ at (http://\S+)/v1", line)
            if found:
                break
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
        except httpx.ConnectError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"The server at {address} does not answer.")


def client_of(address: str) -> AsyncOpenAI:
    """OpenAI's client; it does not try again, so that what fails is seen."""
    return AsyncOpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=600)


async def ask(client: AsyncOpenAI, model: str, question: Question, max_tokens: int) -> Answer:
    """Ask and read the stream; greedy."""
    begin = time.monotonic()
    first = None
    pieces: list[str] = []
    tokens = 0
    stream = await client.chat.completions.create(
        model=model,
        messages=question.messages,
        max_tokens=max_tokens,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    async for chunk in stream:
        if chunk.usage:
            tokens = chunk.usage.completion_tokens
        for choice in chunk.choices:
            if choice.delta.content:
                first = first or time.monotonic() - begin
                pieces.append(choice.delta.content)
    whole = time.monotonic() - begin
    return Answer(question, "".join(pieces), tokens, first or whole, whole)


__all__ = [
    "EXAMPLES",
    "ROOT",
    "Answer",
    "Question",
    "Server",
    "ask",
    "client_of",
    "make_questions",
    "serving",
]
