"""A server under steady load: whether it stays well, and whether its memory stays where it was.

    python benchmarks/serving_soak.py              # 10 minutes at 8 clients; writes serving_soak.md
    python benchmarks/serving_soak.py --minutes 60 --clients 16

The transformers engine on the mini. Clients stream greedy answers without pause; every tenth goes
away in the middle of its answer and every twentieth sends a protein, as happens. Answers that are
read to the end have to be those of the question asked alone. Memory is the server's resident set,
read every two seconds; the first fifth of the time warms up and is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import sys
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import openai
import psutil
from serving_clients import Question, ask, client_of, make_questions, serving
from tqdm import tqdm

REPORT = Path(__file__).with_suffix(".md")
PROTEIN = Question("MKVLAAGICQWERTYPLKM", "What is this?")
MIB = 2**20


@dataclass
class Soak:
    """What happened."""

    answered: int = 0
    left: int = 0
    refused: int = 0
    failures: list[str] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)


def main() -> None:
    args = parse_arguments()
    command = [sys.executable, "-m", "rnagpt.cli.main", "serve", "--port", "0"]
    command += ["--served-name", "mini", "--dtype", "float32"]
    if args.model:
        command += ["--model", args.model]
    with serving(command, dict(os.environ)) as server:
        soak = asyncio.run(measure(server.address, psutil.Process(server.process.pid), args))
    text = report(soak, args)
    print(text)
    args.report.write_text(text)
    if soak.failures:
        sys.exit(f"{len(soak.failures)} requests failed; the report says how.")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--max_tokens", type=int, default=128, help="of an answer")
    parser.add_argument("--model", help="folder or Hub id; else rna-gpt-mini")
    parser.add_argument("--report", type=Path, default=REPORT, help="to write")
    return parser.parse_args()


async def measure(address: str, process: psutil.Process, args: argparse.Namespace) -> Soak:
    soak = Soak()
    client = client_of(address)
    questions = make_questions()
    alone = {
        question: (await ask(client, "mini", question, args.max_tokens)).text
        for question in tqdm(questions, desc="alone")
    }
    begin = time.monotonic()
    end = begin + 60 * args.minutes

    async def visit(number: int) -> None:
        turn = number
        while time.monotonic() < end:
            turn += args.clients
            await one_request(turn)

    async def one_request(turn: int) -> None:
        question = questions[turn % len(questions)]
        try:
            if turn % 20 == 0:
                await ask(client, "mini", PROTEIN, args.max_tokens)
                soak.failures.append("A protein was answered.")
            elif turn % 10 == 0:
                await leave(client, question, args.max_tokens)
                soak.left += 1
            else:
                answer = await ask(client, "mini", question, args.max_tokens)
                soak.answered += 1
                if answer.text != alone[question]:
                    soak.failures.append(f"{answer.text!r} instead of {alone[question]!r}")
        except openai.UnprocessableEntityError:
            soak.refused += 1
        except Exception as error:
            soak.failures.append(f"{type(error).__name__}: {error}")

    async def watch() -> None:
        with tqdm(total=round(60 * args.minutes), unit="s", desc="soak") as bar:
            while time.monotonic() < end:
                now = time.monotonic() - begin
                soak.memory.append((now, process.memory_info().rss))
                bar.update(round(now) - bar.n)
                bar.set_postfix(answered=soak.answered, failed=len(soak.failures))
                await asyncio.sleep(2)

    await asyncio.gather(watch(), *map(visit, range(args.clients)))
    return soak


async def leave(client: openai.AsyncOpenAI, question: Question, max_tokens: int) -> None:
    """Read three pieces of an answer and go away."""
    stream = await client.chat.completions.create(
        model="mini", messages=question.messages, max_tokens=max_tokens, stream=True
    )
    number = 0
    async for _ in stream:
        number += 1
        if number == 3:
            break
    await stream.close()


def report(soak: Soak, args: argparse.Namespace) -> str:
    """The report, in Markdown."""
    warm = 60 * args.minutes / 5
    counted = [rss for seconds, rss in soak.memory if seconds >= warm]
    quarter = max(1, len(counted) // 4)
    first, last = statistics.median(counted[:quarter]), statistics.median(counted[-quarter:])
    lines = [
        "# A server under steady load",
        "",
        "`python benchmarks/serving_soak.py`",
        "",
        f"{platform.machine()}, {os.cpu_count()} cores; Python {platform.python_version()}, "
        f"torch {version('torch')}, transformers {version('transformers')}; float32; "
        f"{args.minutes:g} minutes, {args.clients} clients.",
        "",
        "| what | figure |",
        "| --- | --- |",
        f"| answers read to the end | {soak.answered} |",
        f"| clients that went away | {soak.left} |",
        f"| proteins, refused with 422 | {soak.refused} |",
        f"| failures, wrong answers | {len(soak.failures)} |",
        f"| memory after warming up (median of its first quarter) | {first / MIB:.0f} MiB |",
        f"| memory at the end (median of the last quarter) | {last / MIB:.0f} MiB |",
        f"| growth | {100 * (last / first - 1):+.1f} % |",
        f"| lowest to highest | {min(counted) / MIB:.0f} to {max(counted) / MIB:.0f} MiB |",
    ]
    lines += [f"\nFailed: {failure}" for failure in soak.failures[:20]]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
