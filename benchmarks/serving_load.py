"""Many clients at once: vLLM and transformers behind `rnagpt serve`, against one answer at a time.

    make test-vllm                             # makes .venv-vllm, vLLM's environment
    python benchmarks/serving_load.py          # writes serving_load.md
    python benchmarks/serving_load.py --clients 8 --engines one_by_one transformers

Each server runs in a process of its own on the mini; clients stream greedy answers to every
question of the set in turn, by OpenAI's own client. First each question is asked alone: an answer
under load has to be the same, letter by letter. The servers take turns, round after round, so that
a machine that other work slows down slows all of them; the report has medians of the rounds.

one_by_one is the transformers engine with `--max-batch 1`: others wait until an answer is written.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from serving_clients import (
    EXAMPLES,
    ROOT,
    Answer,
    Question,
    ask,
    client_of,
    make_questions,
    serving,
)
from tqdm import tqdm

from rnagpt.conversion.mini import assemble_mini

REPORT = Path(__file__).with_suffix(".md")
VLLM_PYTHON = ROOT / ".venv-vllm" / "bin" / "python"
ENGINES = ("one_by_one", "transformers", "vllm")


@dataclass
class Load:
    """What some clients got from a server."""

    answers: list[Answer]
    failures: list[str]
    seconds: float

    @property
    def speed(self) -> float:
        """Tokens of answers a second, all clients together."""
        return sum(answer.tokens for answer in self.answers) / self.seconds


@dataclass
class Record:
    """The rounds of one engine with one number of clients."""

    speeds: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    asked: int = 0
    lost: list[str] = field(default_factory=list)
    changed: list[tuple[Answer, str]] = field(default_factory=list)

    def add(self, load: Load, alone: dict[Question, str]) -> None:
        self.speeds.append(load.speed)
        self.waits += [answer.first_word for answer in load.answers]
        self.asked += len(load.answers) + len(load.failures)
        self.lost += load.failures
        self.changed += [
            (answer, alone[answer.question])
            for answer in load.answers
            if answer.text != alone[answer.question]
        ]


def main() -> None:
    args = parse_arguments()
    questions = make_questions(args.fasta)
    records = {(engine, clients): Record() for clients in args.clients for engine in args.engines}
    rounds = [(number, engine) for number in range(args.rounds) for engine in args.engines]
    for _, engine in tqdm(rounds, desc="rounds", unit="server"):
        with serving(command_of(engine, args), environment_of(engine)) as server:
            loads = asyncio.run(measure(server.address, questions, args))
        alone, by_clients = loads
        for clients, load in by_clients.items():
            records[engine, clients].add(load, alone)
    text = report(records, args)
    print(text)
    if args.report:
        args.report.write_text(text)
    if any(record.lost or record.changed for record in records.values()):
        sys.exit("Answers were lost, or differ from those asked alone; the report says which.")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--clients", type=int, nargs="+", default=[8, 32], help="at once")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--rounds", type=int, default=3, help="starts of each server")
    parser.add_argument("--each", type=int, default=3, help="questions a client asks in a round")
    parser.add_argument("--max_tokens", type=int, default=128, help="of an answer")
    parser.add_argument("--dtype", default="float32", help="of all servers")
    parser.add_argument("--model", help="folder or Hub id; else rna-gpt-mini")
    parser.add_argument("--fasta", type=Path, default=EXAMPLES, help="the RNAs")
    parser.add_argument("--vllm_python", type=Path, default=VLLM_PYTHON, help="that has vLLM")
    parser.add_argument("--report", type=Path, default=REPORT, help="to write")
    args = parser.parse_args()
    args.model = args.model or str(assemble_mini())
    if "vllm" in args.engines and not args.vllm_python.exists():
        parser.error(f"{args.vllm_python} is not there: make test-vllm makes it.")
    return args


def command_of(engine: str, args: argparse.Namespace) -> list[str]:
    """The server's command line."""
    python = args.vllm_python if engine == "vllm" else sys.executable
    command = [str(python), "-m", "rnagpt.cli.main", "serve", "--port", "0", "--dtype", args.dtype]
    command += ["--served-name", "mini", "--max-batch", "1" if engine == "one_by_one" else "32"]
    command += ["--model", args.model]
    if engine == "vllm":
        command += ["--engine", "vllm", "--engine-option", "max_model_len=2048"]
    return command


def environment_of(engine: str) -> dict[str, str]:
    """The server's environment: vLLM's key-value cache in GiB is fixed beforehand on a CPU."""
    return {"VLLM_CPU_KVCACHE_SPACE": "2", **os.environ} if engine == "vllm" else dict(os.environ)


async def measure(
    address: str, questions: Sequence[Question], args: argparse.Namespace
) -> tuple[dict[Question, str], dict[int, Load]]:
    """Each question's answer asked alone, and the loads by number of clients."""
    client = client_of(address)
    alone = {}
    # Those alone of this server, which warms it up as well.
    for question in tqdm(questions, desc="alone", leave=False):
        alone[question] = (await ask(client, "mini", question, args.max_tokens)).text
    loads = {number: await load(address, questions, number, args) for number in args.clients}
    return alone, loads


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
    lines = [
        "# Many clients at once",
        "",
        f"`python benchmarks/serving_load.py {shlex.join(map(portable, sys.argv[1:]))}`",
        "",
        f"{platform.machine()}, {os.cpu_count()} cores; Python {platform.python_version()}, "
        f"torch {version('torch')}, transformers {version('transformers')}"
        f"{', vLLM ' + vllm_version(args) if 'vllm' in args.engines else ''}; {args.dtype}.",
        f"{len(make_questions(args.fasta))} questions about the RNAs of `{args.fasta.name}`; every "
        f"client asks {args.each} a round, {args.rounds} rounds. one_by_one is the transformers "
        "engine with `--max-batch 1`. The ratio is that of the medians.",
        "",
        "| clients | engine | tokens a second | over one_by_one | first word, median | 95 % | "
        "asked | lost | changed |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for clients in args.clients:
        base = records.get(("one_by_one", clients))
        for engine in args.engines:
            lines.append(row(clients, engine, records[engine, clients], base))
    for (engine, clients), record in records.items():
        for failure in record.lost:
            lines += ["", f"Lost ({engine}, {clients} clients): {failure}"]
        for answer, alone in record.changed:
            about = f"{answer.question.text} {answer.question.rna[:20]}…"
            lines += ["", f"Changed ({engine}, {clients} clients), {about}:"]
            lines += [f"- alone: {alone}", f"- here: {answer.text}"]
    return "\n".join(lines) + "\n"


def portable(word: str) -> str:
    """A path by its last name alone: where it lay on this machine tells a reader nothing."""
    return Path(word).name if Path(word).is_absolute() else word


def row(clients: int, engine: str, record: Record, base: Record | None) -> str:
    speed = statistics.median(record.speeds)
    ratio = f"{speed / statistics.median(base.speeds):.2f} x" if base else ""
    waits = sorted(record.waits)
    late = waits[min(len(waits) - 1, int(0.95 * len(waits)))] if waits else float("nan")
    middle = statistics.median(waits) if waits else float("nan")
    return (
        f"| {clients} | {engine} | {speed:.1f} | {ratio} | {middle:.2f} s | {late:.2f} s | "
        f"{record.asked} | {len(record.lost)} | {len(record.changed)} |"
    )


def vllm_version(args: argparse.Namespace) -> str:
    """vLLM's version, by the folder of its package: importing it takes long."""
    for package in (args.vllm_python.parents[1] / "lib").glob(
        "python*/site-packages/vllm*-*.dist-info"
    ):
        return package.name.removesuffix(".dist-info").partition("-")[2]
    return "of unknown version"


if __name__ == "__main__":
    main()
