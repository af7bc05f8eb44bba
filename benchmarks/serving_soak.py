"""A server under steady load, with evidence: whether its memory stays where it was.

    python benchmarks/serving_soak.py              # 10 minutes, 8 clients; writes serving_soak.md
    python benchmarks/serving_soak.py --minutes 60 --clients 16

`rnagpt serve` on the mini. Clients ask without pause, each time about RNAs that no one has asked
about before: whole answers, streams, responses, searches alone; a twentieth sends a protein and a
twentieth goes away before its answer is there. An answer has to be about its own RNA, and to cite
records of that RNA's family. Memory is the server's resident set, read every two seconds; the first
fifth of the time warms up and is not counted. The slope is Theil's and Sen's, with its 95 %
interval, of the medians of half minutes: neighbouring values are too alike to be counted singly.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from measured import beginning, machine, make_parser, parse, table, write_down
from scipy.stats import theilslopes
from serving_clients import KnownRna, client_of, known_rnas, serve_command, serving
from tqdm import tqdm

REPORT = Path(__file__).with_suffix(".md")
MINUTES = 10.0
PROTEIN = "MSKGEELFTGVVPILVELDGDVNGHKFSVSGEGEGDATYGKLTLKFICTTGKLPVPWPTL"
QUESTION = "Which family does it belong to?"
KINDS = ("whole", "stream", "response", "search")
MIB = 2**20
BIN_SECONDS = 30


@dataclass
class Soak:
    """What happened.

    Attributes:
        counts: of requests that ended as they should, by kind.
        failures: the others.
        memory: seconds from the beginning, and bytes.
    """

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--clients", type=int, default=8)
    args = parse(parser)
    with serving(serve_command()) as server:
        process = psutil.Process(server.process.pid)
        soak = asyncio.run(measure(server.address, process, args.minutes, args.clients))
    text = report(soak, args.minutes, args.clients)
    print(text)
    write_down(args, text, [], report=REPORT, is_whole=args.minutes >= MINUTES)
    if soak.failures:
        sys.exit(f"{len(soak.failures)} requests failed; the report says how.")


async def measure(address: str, process: psutil.Process, minutes: float, clients: int) -> Soak:
    """Clients for some minutes, and what the server's memory is meanwhile."""
    soak, rnas, turns = Soak(), known_rnas("soak"), itertools.count(1)
    begin = time.monotonic()
    end = begin + 60 * minutes

    async def visit() -> None:
        visitor = Visitor(address, soak)
        while time.monotonic() < end:
            await visitor.come(next(turns), next(rnas))

    async def watch() -> None:
        with tqdm(total=round(60 * minutes), unit="s", desc="soak") as bar:
            while (now := time.monotonic()) < end:
                soak.memory.append((now - begin, process.memory_info().rss))
                bar.update(round(now - begin) - bar.n)
                bar.set_postfix(asked=soak.counts.total(), failed=len(soak.failures))
                await asyncio.sleep(2)

    await asyncio.gather(watch(), *(visit() for _ in range(clients)))
    return soak


class Visitor:
    """One client, which notes how its requests end.

    Args:
        address: of the server.
        soak: to note it in.
    """

    def __init__(self, address: str, soak: Soak) -> None:
        self._client, self._soak = client_of(address), soak
        self._http = httpx.AsyncClient(base_url=address, timeout=600)

    async def come(self, turn: int, rna: KnownRna) -> None:
        """One request; the turn says of which kind."""
        try:
            if turn % 20 == 0:
                await self._bring_protein()
            elif turn % 20 == 10:
                await self._leave(rna)
            else:
                kind = KINDS[turn % len(KINDS)]
                self._note(kind, rna, *await getattr(self, f"_{kind}")(rna))
        except Exception as error:
            self._soak.failures.append(f"{type(error).__name__}: {error}")

    def _note(self, kind: str, rna: KnownRna, names: list[str], ids: list[str]) -> None:
        if set(names) == {rna.name} and ids[:1] == [rna.family]:
            self._soak.counts[kind] += 1
        else:
            self._soak.failures.append(f"{kind}: {rna.name} of {rna.family}, got {names}, {ids}")

    async def _whole(self, rna: KnownRna) -> tuple[list[str], list[str]]:
        reply = await self._client.chat.completions.create(**_asked(rna.record))
        return _cited(reply.choices[0].message.model_extra)

    async def _stream(self, rna: KnownRna) -> tuple[list[str], list[str]]:
        said: dict[str, Any] = {}
        stream = await self._client.chat.completions.create(**_asked(rna.record), stream=True)
        async for chunk in stream:
            said |= chunk.choices[0].delta.model_extra or {}
        return _cited(said)

    async def _response(self, rna: KnownRna) -> tuple[list[str], list[str]]:
        text = f"{QUESTION}\n{rna.record}"
        reply = await self._client.responses.create(model="mini", input=text)
        return _cited(reply.output[0].model_extra)

    async def _search(self, rna: KnownRna) -> tuple[list[str], list[str]]:
        reply = await self._http.post("/annotate", json={"rna": rna.record})
        (result,) = reply.raise_for_status().json()["results"]
        return [result["name"]], [hit["id"] for hit in result["hits"]]

    async def _bring_protein(self) -> None:
        reply = await self._http.post("/v1/chat/completions", json=_asked(PROTEIN))
        if reply.status_code != 422:
            raise RuntimeError(f"A protein was answered with {reply.status_code}.")
        self._soak.counts["protein"] += 1

    async def _leave(self, rna: KnownRna) -> None:
        try:
            await self._http.post("/v1/chat/completions", json=_asked(rna.record), timeout=0.02)
        except httpx.TimeoutException:
            self._soak.counts["left"] += 1
        else:
            self._soak.counts["answered before it left"] += 1


def _asked(rna: str) -> dict[str, Any]:
    content = [{"type": "rna", "rna": rna}, {"type": "text", "text": QUESTION}]
    return {"model": "mini", "messages": [{"role": "user", "content": content}]}


def _cited(said: dict[str, Any] | None) -> tuple[list[str], list[str]]:
    """The RNAs' names in an answer, and the accessions of its records."""
    records = (said or {}).get("evidence", [])
    names = [*(said or {}).get("about", []), *(record["rna"] for record in records)]
    return names, [record["id"] for record in records]


def slope(memory: list[tuple[float, int]], warm: float) -> tuple[float, float, float]:
    """MiB an hour with the ends of its 95 % interval, from the medians of half minutes."""
    bins: dict[int, list[int]] = {}
    for seconds, rss in memory:
        if seconds >= warm:
            bins.setdefault(int(seconds // BIN_SECONDS), []).append(rss)
    hours = [number * BIN_SECONDS / 3600 for number in bins]
    medians = [statistics.median(values) / MIB for values in bins.values()]
    found = theilslopes(medians, hours, alpha=0.95)
    return float(found.slope), float(found.low_slope), float(found.high_slope)


def report(soak: Soak, minutes: float, clients: int) -> str:
    """The report, in Markdown."""
    warm = 60 * minutes / 5
    counted = [rss / MIB for seconds, rss in soak.memory if seconds >= warm]
    quarter = max(1, len(counted) // 4)
    first, last = (statistics.median(part) for part in (counted[:quarter], counted[-quarter:]))
    change, low, high = slope(soak.memory, warm)
    about = (
        f"{machine('torch', 'transformers')} {minutes:g} minutes, {clients} clients; from records, "
        "each RNA searched anew."
    )
    counts = soak.counts
    rows = [
        *(
            [f"{name}, about its own RNA and citing its family", str(counts[kind])]
            for kind, name in zip(
                KINDS,
                ("whole answers", "streams", "responses", "searches alone"),
                strict=True,
            )
        ),
        ["clients that went away", str(counts["left"])],
        ["clients that were answered before they could", str(counts["answered before it left"])],
        ["proteins, rejected with 422", str(counts["protein"])],
        ["failures, answers about another RNA", str(len(soak.failures))],
        ["memory after warming up (median of its first quarter)", f"{first:.0f} MiB"],
        ["memory at the end (median of the last quarter)", f"{last:.0f} MiB"],
        ["lowest to highest", f"{min(counted):.0f} to {max(counted):.0f} MiB"],
        ["slope (95 % interval)", f"{change:+.1f} ({low:+.1f} to {high:+.1f}) MiB an hour"],
    ]
    lines = [beginning("A server under steady load, with evidence", about)]
    lines.append(table(["what", "figure"], rows))
    lines += [f"\nFailed: {failure}" for failure in soak.failures[:20]]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
