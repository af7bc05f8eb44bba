"""Many clients at once: vLLM and transformers behind `rnagpt serve`, against one answer at a time.

    make test-vllm                             # makes .venv-vllm, vLLM's environment
    python benchmarks/serving_load.py          # writes serving_load.md
    python benchmarks/serving_load.py --clients 8 --engines one_by_one transformers

Each server runs in a process of its own on the mini; clients stream greedy answers to every
question of the set in turn, by OpenAI's own client. First each question is asked by itself: an
answer under load has to be the same, letter by letter. The servers take turns, round after round,
so that other work on the machine slows all of them down; the report has medians of the rounds.

one_by_one is the transformers engine with `--max-batch 1`: others wait until an answer is written.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measured import Figure, beginning, machine, make_parser, parse, table, write_down
from openai import AsyncOpenAI
from serving_clients import EXAMPLES, ROOT, client_of, serving
from tqdm import tqdm

from rnagpt.conversion.mini import load_bundled
from rnagpt.sequences.fasta import read_fasta

REPORT = Path(__file__).with_suffix(".md")
VLLM_PYTHON = ROOT / ".venv-vllm" / "bin" / "python"
ENGINES = ("one_by_one", "transformers", "vllm")
CLIENTS = (8, 32)
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


def make_questions(fasta: Path = EXAMPLES) -> list[Question]:
    """Every question about every RNA of a file, RNA after RNA within a question."""
    rnas = [record.sequence for record in read_fasta(fasta)]
    return [Question(rna, text) for text in QUESTIONS for rna in rnas]


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


@dataclass
class Load:
    """What clients got from a server."""

    answers: list[Answer]
    failures: list[str]
    seconds: float


@dataclass
class Record:
    """The rounds of one engine with one number of clients."""

    speeds: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    asked: int = 0
    lost: list[str] = field(default_factory=list)
    changed: list[tuple[Answer, str]] = field(default_factory=list)

    @property
    def speed(self) -> float:
        """Tokens of answers per second, all clients together: the median of the rounds."""
        return statistics.median(self.speeds)

    def add(self, load: Load, expected: dict[Question, str]) -> None:
        self.speeds.append(sum(answer.tokens for answer in load.answers) / load.seconds)
        self.waits += [answer.first_word for answer in load.answers]
        self.asked += len(load.answers) + len(load.failures)
        self.lost += load.failures
        self.changed += [
            (answer, expected[answer.question])
            for answer in load.answers
            if answer.text != expected[answer.question]
        ]


def main() -> None:
    args = parse_arguments()
    questions = make_questions(args.fasta)
    records = {(engine, clients): Record() for clients in args.clients for engine in args.engines}
    rounds = [(number, engine) for number in range(args.rounds) for engine in args.engines]
    for _, engine in tqdm(rounds, desc="rounds", unit="server"):
        with serving(command_of(engine, args)) as server:
            expected, by_clients = asyncio.run(measure(server.address, questions, args))
        for clients, load in by_clients.items():
            records[engine, clients].add(load, expected)
    text = report(records, args)
    print(text)
    is_whole = set(ENGINES) <= set(args.engines) and set(CLIENTS) <= set(args.clients)
    write_down(args, text, figures(records), report=REPORT, is_whole=is_whole)
    if any(record.lost or record.changed for record in records.values()):
        sys.exit("Answers were lost, or differ from those without load; the report says which.")


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__, rounds=3)
    parser.add_argument("--clients", type=int, nargs="+", default=CLIENTS, help="at once")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--each", type=int, default=3, help="questions per client and round")
    parser.add_argument("--max-tokens", type=int, default=128, help="of an answer")
    parser.add_argument("--dtype", default="float32", help="of all servers")
    parser.add_argument("--model", help="folder or Hub id; else rna-gpt-mini")
    parser.add_argument("--fasta", type=Path, default=EXAMPLES, help="the RNAs")
    parser.add_argument("--vllm-python", type=Path, default=VLLM_PYTHON, help="that has vLLM")
    args = parse(parser)
    args.model = args.model or str(load_bundled())
    if "vllm" in args.engines and not args.vllm_python.exists():
        parser.error(f"{args.vllm_python} is not there: make test-vllm makes it.")
    return args


def command_of(engine: str, args: argparse.Namespace) -> list[str]:
    """The server's command line."""
    python = args.vllm_python if engine == "vllm" else sys.executable
    command = [str(python), "-m", "rnagpt.cli.main", "serve", "--port", "0", "--dtype", args.dtype]
    command += ["--no-reference"]  # the language model alone is measured
    command += ["--served-name", "mini", "--max-batch", "1" if engine == "one_by_one" else "32"]
    command += ["--model", args.model]
    if engine == "vllm":
        command += ["--engine", "vllm", "--engine-option", "max_model_len=2048"]
    return command


async def measure(
    address: str, questions: Sequence[Question], args: argparse.Namespace
) -> tuple[dict[Question, str], dict[int, Load]]:
    """Each question's answer when asked by itself, and the loads by number of clients."""
    client = client_of(address)
    expected = {}
    # Of this very server; this warms it up as well.
    for question in tqdm(questions, desc="by itself", leave=False):
        expected[question] = (await ask(client, "mini", question, args.max_tokens)).text
    loads = {number: await load(address, questions, number, args) for number in args.clients}
    return expected, loads


async def load(
    address: str, questions: Sequence[Question], clients: int, args: argparse.Namespace
) -> Load:
    """Clients that ask at once, each its questions one after another."""
    result = Load([], [], 0.0)

    async def visit(number: int) -> None:
        client = client_of(address)
        for turn in range(args.each):
            question = questions[(number + turn * clients) % len(questions)]
            try:
                result.answers.append(await ask(client, "mini", question, args.max_tokens))
            except Exception as error:
                result.failures.append(f"{type(error).__name__}: {error}")

    begin = time.monotonic()
    await asyncio.gather(*map(visit, range(clients)))
    result.seconds = time.monotonic() - begin
    return result


def report(records: dict[tuple[str, int], Record], args: argparse.Namespace) -> str:
    """The report, in Markdown."""
    header = ["clients", "engine", "tokens a second", "over one_by_one", "first word, median"]
    header += ["95 %", "asked", "lost", "changed"]
    vllm = f" vLLM {vllm_version(args)};" if "vllm" in args.engines else ""
    about = (
        f"{machine('torch', 'transformers')}{vllm} {args.dtype}.\n"
        f"{len(make_questions(args.fasta))} questions about the RNAs of `{args.fasta.name}`; every "
        f"client asks {args.each} per round, {args.rounds} rounds. one_by_one is the transformers "
        "engine with `--max-batch 1`. The ratio is that of the medians."
    )
    lines = [
        beginning("Many clients at once", about),
        table(header, [row(clients, engine, records) for engine, clients in records]),
    ]
    for (engine, clients), record in records.items():
        for failure in record.lost:
            lines += ["", f"Lost ({engine}, {clients} clients): {failure}"]
        for answer, expected in record.changed:
            about = f"{answer.question.text} {answer.question.rna[:20]}…"
            lines += ["", f"Changed ({engine}, {clients} clients), {about}:"]
            lines += [f"- by itself: {expected}", f"- here: {answer.text}"]
    return "\n".join(lines) + "\n"


def row(clients: int, engine: str, records: dict[tuple[str, int], Record]) -> list[str]:
    """One line of the report's table."""
    record, base = records[engine, clients], records.get(("one_by_one", clients))
    waits = sorted(record.waits) or [float("nan")]
    late = waits[min(len(waits) - 1, int(0.95 * len(waits)))]
    return [
        str(clients),
        engine,
        f"{record.speed:.1f}",
        f"{record.speed / base.speed:.2f} x" if base else "",
        f"{statistics.median(waits):.2f} s",
        f"{late:.2f} s",
        str(record.asked),
        str(len(record.lost)),
        str(len(record.changed)),
    ]


def figures(records: dict[tuple[str, int], Record]) -> list[Figure]:
    """Each engine's speed against one answer at a time."""
    return [
        Figure(
            f"serving {clients} clients, {engine}",
            ours=record.speed,
            other=base.speed,
            other_name="one_by_one",
            unit="tokens/s",
            target="ratio 2",
        )
        for (engine, clients), record in records.items()
        if engine != "one_by_one" and (base := records.get(("one_by_one", clients)))
    ]


def vllm_version(args: argparse.Namespace) -> str:
    """vLLM's version, by the folder of its package: importing it takes long."""
    packages = (args.vllm_python.parents[1] / "lib").glob("python*/site-packages/vllm*-*.dist-info")
    found = next(packages, None)
    return found.stem.partition("-")[2] if found else "of unknown version"


if __name__ == "__main__":
    main()
