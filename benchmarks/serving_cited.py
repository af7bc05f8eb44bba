"""Many clients at once, with evidence: answers from records beside the model's own.

    python benchmarks/serving_cited.py          # writes serving_cited.md
    python benchmarks/serving_cited.py --clients 1 8 --each 2 --skip-long

Two servers of the mini run side by side, and take turns: "cited" answers from records, "model" was
started with --no-reference. Clients ask by OpenAI's own client, each about RNAs that no one has
asked about before: examples of six families, drawn anew around them, under names of their own. A
cited answer has to be about that name alone, and to cite records of that family first.

Then a request of the longest prompt is sent, and short ones one after the other until it is
answered: how much longer they take than alone, as a share of what the long one takes alone.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measured import beginning, machine, make_parser, make_rna, parse, table, write_down
from openai import AsyncOpenAI
from serving_clients import KnownRna, client_of, known_rnas, serve_command, serving
from tqdm import tqdm

REPORT = Path(__file__).with_suffix(".md")
CLIENTS = (1, 8, 32)
SERVERS = {"cited": (), "model": ("--no-reference",)}
QUESTION = "Which family does it belong to?"
LONGEST_NT = 50_000
MAX_TOKENS = 24


@dataclass
class Record:
    """What clients got of one server.

    Attributes:
        speeds: answers a second, all clients together, by round.
        seconds: of each answer.
        lost: what failed, and how.
        mixed: cited answers that are of another RNA or family.
    """

    speeds: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    mixed: list[str] = field(default_factory=list)


@dataclass
class Delay:
    """What a long request costs short ones, in seconds.

    Attributes:
        long: the long one alone.
        together: the long one with the short ones.
        alone: short ones alone.
        beside: short ones beside the long one.
    """

    long: float
    together: float
    alone: list[float]
    beside: list[float]

    @property
    def share(self) -> float:
        """By how much the median short one is later, as a share of the long one alone."""
        return (statistics.median(self.beside) - statistics.median(self.alone)) / self.long

    @property
    def worst(self) -> float:
        """The same of the one that was delayed most."""
        return (max(self.beside) - statistics.median(self.alone)) / self.long


def main() -> None:
    parser = make_parser(__doc__, rounds=2)
    parser.add_argument("--clients", type=int, nargs="+", default=CLIENTS, help="at once")
    parser.add_argument("--each", type=int, default=3, help="questions per client and round")
    parser.add_argument("--skip-long", action="store_true", help="measure no long request")
    tokens = "of the model's long prompt, some; its context takes 8,192 in all"
    parser.add_argument("--long-tokens", type=int, default=8_000, help=tokens)
    args = parse(parser)
    with serving(serve_command()) as cited, serving(serve_command("--no-reference")) as model:
        addresses = {"cited": cited.address, "model": model.address}
        records = asyncio.run(measure(addresses, args))
        print(report(records, {}, args), flush=True)  # what follows takes long
        delays = {} if args.skip_long else asyncio.run(measure_delays(addresses, args.long_tokens))
    text = report(records, delays, args)
    print(text)
    is_whole = set(CLIENTS) <= set(args.clients) and not args.skip_long
    write_down(args, text, [], report=REPORT, is_whole=is_whole)
    if any(record.lost or record.mixed for record in records.values()):
        sys.exit("Answers were lost or mixed; the report says which.")


async def measure(
    addresses: dict[str, str], args: argparse.Namespace
) -> dict[tuple[str, int], Record]:
    """The servers under each number of clients, round after round."""
    records = {(name, clients): Record() for clients in args.clients for name in SERVERS}
    rnas = {name: known_rnas(name) for name in SERVERS}
    for name in SERVERS:  # the first answer loads what is loaded when it is needed
        await ask(client_of(addresses[name]), next(rnas[name]))
    turns = list(itertools.product(range(args.rounds), args.clients, SERVERS))
    for _, clients, name in tqdm(turns, desc="rounds", unit="load"):
        await load(addresses[name], rnas[name], clients, args.each, records[name, clients])
    return records


async def load(
    address: str, rnas: Iterator[KnownRna], clients: int, each: int, record: Record
) -> None:
    """Clients that ask at once, each its questions one after another."""

    async def visit() -> None:
        client = client_of(address)
        for _ in range(each):
            rna, begin = next(rnas), time.monotonic()
            try:
                message = await ask(client, rna)
            except Exception as error:
                record.lost.append(f"{type(error).__name__}: {error}")
                continue
            record.seconds.append(time.monotonic() - begin)
            if fault := _fault(message, rna):
                record.mixed.append(fault)

    begin = time.monotonic()
    await asyncio.gather(*(visit() for _ in range(clients)))
    record.speeds.append(clients * each / (time.monotonic() - begin))


async def ask(client: AsyncOpenAI, rna: KnownRna, text: str = QUESTION) -> Any:
    """The message that answers a question about an RNA."""
    parts: Any = [{"type": "rna", "rna": rna.record}, {"type": "text", "text": text}]
    reply = await client.chat.completions.create(
        model="mini",
        messages=[{"role": "user", "content": parts}],
        max_tokens=MAX_TOKENS,
        temperature=0,
    )
    return reply.choices[0].message


def _fault(message: Any, rna: KnownRna) -> str:
    """What shows that a cited answer is not this RNA's; empty for the model's own words."""
    said = message.model_extra or {}
    if "basis" not in said:
        return "" if message.content else f"{rna.name}: an empty answer"
    records = said["evidence"]
    right = (
        said["about"] == [rna.name]
        and records
        and records[0]["id"] == rna.family
        and all(record["rna"] == rna.name for record in records)
        and f"[{records[0]['number']}]" in message.content
        and records[0]["name"] in message.content
    )
    return "" if right else f"{rna.name} of {rna.family}: {message.content!r}, {said['about']}"


async def measure_delays(addresses: dict[str, str], long_tokens: int) -> dict[str, Delay]:
    """For each server, short requests beside the longest that it takes."""
    delays = {}
    for name, address in tqdm(addresses.items(), desc="long requests", unit="server"):
        client, rnas = client_of(address), known_rnas(f"short_{name}")
        if name == "cited":
            long = (KnownRna("long", make_rna(LONGEST_NT, seed), "") for seed in (1, 2))
            longs = [(rna, QUESTION) for rna in long]
        else:
            # Of which each "why " is a token.
            longs = [(next(rnas), "why " * long_tokens + end) for end in ("what?", "which?")]
        alone = [await _seconds(ask(client, next(rnas))) for _ in range(8)]
        of_long = await _seconds(ask(client, *longs[0]))
        task = asyncio.create_task(_seconds(ask(client, *longs[1])))
        await asyncio.sleep(0.05 * of_long)
        beside = []
        while not task.done():
            beside.append(await _seconds(ask(client, next(rnas))))
        delays[name] = Delay(of_long, await task, alone, beside)
    return delays


async def _seconds(work: Any) -> float:
    begin = time.monotonic()
    await work
    return time.monotonic() - begin


def report(
    records: dict[tuple[str, int], Record], delays: dict[str, Delay], args: argparse.Namespace
) -> str:
    """The report, in Markdown."""
    about = (
        f"{machine('torch', 'transformers')} float32. Every client asks {args.each} questions a "
        f"round, {args.rounds} rounds, each about an RNA of its own; both servers ran at once and "
        "took turns. Speeds are medians over rounds. cited: from records, searched anew for each "
        f"RNA; model: --no-reference, at most {MAX_TOKENS} tokens."
    )
    header = ["clients", "server", "answers a second", "over 1 client", "over model"]
    header += ["median", "95 %", "asked", "lost", "mixed"]
    rows = [_row(name, clients, records) for name, clients in records]
    lines = [beginning("Many clients at once, with evidence", about), table(header, rows)]
    for (name, clients), record in records.items():
        lines += [f"\nLost ({name}, {clients} clients): {one}" for one in record.lost]
        lines += [f"\nMixed ({name}, {clients} clients): {one}" for one in record.mixed]
    if delays:
        lines += ["", "## A long request beside short ones", "", _about_delays(args.long_tokens)]
        header = ["server", "the long one", "with short ones", "short ones beside it"]
        header += ["later, median", "later, at most"]
        lines += ["", table(header, [_delay_row(*pair) for pair in delays.items()])]
    return "\n".join(lines) + "\n"


def _row(name: str, clients: int, records: dict[tuple[str, int], Record]) -> list[str]:
    record, model = records[name, clients], records["model", clients]
    speed = statistics.median(record.speeds)
    one = records.get((name, 1))
    over_one = f"{speed / statistics.median(one.speeds):.2f} x" if one else ""
    seconds = sorted(record.seconds) or [float("nan")]
    return [
        str(clients),
        name,
        f"{speed:.2f}",
        over_one,
        f"{speed / statistics.median(model.speeds):.1f} x",
        f"{statistics.median(seconds):.2f} s",
        f"{seconds[min(len(seconds) - 1, int(0.95 * len(seconds)))]:.2f} s",
        str(len(record.seconds) + len(record.lost)),
        str(len(record.lost)),
        str(len(record.mixed)) if name == "cited" else "",
    ]


def _about_delays(long_tokens: int) -> str:
    return (
        f"cited: an RNA of {LONGEST_NT:,} nt; model: a question of some {long_tokens:,} tokens. "
        "The long one in times of a short one alone (median of 8). How much later short ones were "
        "answered than alone, as a share of the time of the long one alone: 1 is as if they "
        "had waited for it."
    )


def _delay_row(name: str, delay: Delay) -> list[str]:
    short = statistics.median(delay.alone)
    return [
        name,
        f"{delay.long / short:.1f} x",
        f"{delay.together / short:.1f} x",
        str(len(delay.beside)),
        f"{delay.share:.2f}",
        f"{delay.worst:.2f}",
    ]


if __name__ == "__main__":
    main()
