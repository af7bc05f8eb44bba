"""Searching single RNAs in references of growing size: build, index, memory, time, recall.

    python benchmarks/search_scale.py --fasta ncrna.fasta.gz

The RNAs are those of a FASTA file, in random order; where more are wanted than it has, copies of
them with 10 % of their letters changed are added. Both engines answer the same queries one by one,
each in a process of its own: pieces of up to 100 nt of RNAs of the reference with 5 % of their
letters changed, whole RNAs of exactly 22 nt (mature microRNAs), pieces of 1,500 to 3,000 nt with
5 % changed, and random sequences.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import measured

from rnagpt.reference.cache import cache_folder
from rnagpt.reference.library import Reference
from rnagpt.reference.manifest import read_manifest
from rnagpt.reference.records import RNA, Record
from rnagpt.reference.writer import write_reference
from rnagpt.sequences.fasta import read_fasta

REPORT = Path(__file__).with_suffix(".md")
SIZES = (1_000, 10_000, 100_000, 400_000)
ENGINES = ("kmers", "blast")
PIECES, MICRO_RNAS, LONG, RANDOM = 50, 25, 10, 25
PIECE, MICRO_RNA, LONG_PIECE = 100, 22, (1_500, 3_000)
KINDS = {
    "piece": "pieces of 100 nt, 5 % changed",
    "micro": "22 nt, exact",
    "long": "1,500 to 3,000 nt, 5 % changed",
    "random": "random, 100 nt",
}


class Query(NamedTuple):
    kind: str
    source: str  # id of the RNA that it was made of; empty for a random sequence
    sequence: str


class Run(NamedTuple):
    """What an engine did with a reference.

    Attributes:
        index_s, index_bytes: what making its files took, and their size.
        index_gb, query_gb: largest memory of the process that made them, and of the one that
            searched (pages of the index that it read included).
        seconds, right, any: of each query: how long, whether its source is among the hits, whether
            there is a hit at all.
    """

    index_s: float
    index_bytes: int
    index_gb: float
    query_gb: float
    seconds: list[float]
    right: list[bool]
    any: list[bool]


def main() -> None:
    parser = measured.make_parser(__doc__)
    parser.add_argument("--fasta", type=Path, required=True, help="single RNAs")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="RNAs of a reference")
    args = measured.parse(parser)
    engines = [engine for engine in ENGINES if engine != "blast" or shutil.which("blastn")]
    rows: list[list[str]] = []
    times: list[list[str]] = []
    figures: list[measured.Figure] = []
    known = read_rnas(args.fasta)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["RNAGPT_CACHE"] = scratch
        for size in args.sizes:
            rnas = sample(known, size)
            queries = make_queries(rnas)
            folder = Path(scratch) / f"{size}"
            written = write(folder, rnas)
            runs = {}
            for engine in engines:
                set_engine(folder, engine)
                runs[engine] = run(folder, queries)
                rows.append(row_of_build(rnas, engine, written, runs[engine]))
                times += rows_of_queries(size, engine, queries, runs[engine])
                print(rows[-1], *times[-len(KINDS) :], sep="\n", file=sys.stderr)
            figures += figures_of(size, queries, runs)
            shutil.rmtree(folder)
    measured.write_down(
        args,
        report(args.fasta, known, rows, times),
        figures,
        report=REPORT,
        is_whole=tuple(args.sizes) == SIZES and len(engines) == len(ENGINES),
    )


def read_rnas(fasta: Path) -> list[str]:
    """The sequences of a file, in random order."""
    rnas = [record.sequence.upper().replace("T", "U") for record in read_fasta(fasta)]
    random.Random(0).shuffle(rnas)
    return rnas


def sample(known: Sequence[str], size: int) -> list[str]:
    """The first RNAs, and changed copies where there are not so many."""
    rnas = list(known[:size])
    draw = random.Random(1)
    while len(rnas) < size:
        rnas.append(change(known[len(rnas) % len(known)], 0.1, draw))
    return rnas


def change(rna: str, share: float, draw: random.Random) -> str:
    """An RNA with a share of its letters replaced by others."""
    letters = list(rna)
    for place in draw.sample(range(len(rna)), round(share * len(rna))):
        letters[place] = draw.choice([letter for letter in "ACGU" if letter != letters[place]])
    return "".join(letters)


def make_queries(rnas: Sequence[str]) -> list[Query]:
    draw = random.Random(2)

    def drawn(lengths: tuple[int, int], count: int) -> Iterator[tuple[str, str]]:
        fit = [n for n, rna in enumerate(rnas) if lengths[0] <= len(rna) <= lengths[1]]
        for number in draw.sample(fit, min(count, len(fit))):
            yield f"rna{number}", rnas[number]

    pieces = []
    for source, rna in drawn((50, 10**6), PIECES):
        start = draw.randint(0, max(0, len(rna) - PIECE))
        pieces.append(Query("piece", source, change(rna[start : start + PIECE], 0.05, draw)))
    return [
        *pieces,
        *(Query("micro", *one) for one in drawn((MICRO_RNA, MICRO_RNA), MICRO_RNAS)),
        *(
            Query("long", source, change(rna, 0.05, draw))
            for source, rna in drawn(LONG_PIECE, LONG)
        ),
        *(Query("random", "", measured.make_rna(PIECE, seed)) for seed in range(RANDOM)),
    ]


def write(folder: Path, rnas: Sequence[str]) -> float:
    """Write a reference; how many seconds that took."""
    begin = time.perf_counter()
    entries = ((Record(f"rna{n}", RNA, f"RNA {n}"), rna) for n, rna in enumerate(rnas))
    write_reference(folder, rnas=entries, name="scale")
    return time.perf_counter() - begin


def set_engine(folder: Path, engine: str) -> None:
    """Have another engine search a reference."""
    replace(read_manifest(folder), engine=engine).write(folder)


def run(folder: Path, queries: Sequence[Query]) -> Run:
    index_s, index_gb = in_process(prepare, folder)
    (index,) = cache_folder().glob(f"reference-{Reference.open(folder).manifest.key}-*")
    size = sum(path.stat().st_size for path in index.iterdir())
    query_gb, seconds, right, found = in_process(search, folder, queries)
    return Run(index_s, size, index_gb, query_gb, seconds, right, found)


def in_process(work: Any, *arguments: Any) -> Any:
    """What a function returns in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def prepare(folder: Path) -> tuple[float, float]:
    begin = time.perf_counter()
    Reference.open(folder).prepare()
    return time.perf_counter() - begin, peak_memory()


def search(
    folder: Path, queries: Sequence[Query]
) -> tuple[float, list[float], list[bool], list[bool]]:
    reference = Reference.open(folder)
    reference.search(measured.make_rna(PIECE, 10**6))  # opens the files
    seconds, right, found = [], [], []
    for query in queries:
        begin = time.perf_counter()
        hits = reference.search(query.sequence)
        seconds.append(time.perf_counter() - begin)
        right.append(query.source in {hit.record.id for hit in hits})
        found.append(bool(hits))
    return peak_memory(), seconds, right, found


def peak_memory() -> float:
    """GB, of this process and of its programs together at most."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(resource.getrusage(kind).ru_maxrss for kind in kinds) / 1e6


def row_of_build(rnas: Sequence[str], engine: str, written: float, of: Run) -> list[str]:
    return [
        f"{len(rnas):,}",
        f"{sum(map(len, rnas)) / 1e6:.1f}",
        engine,
        f"{written:.1f} s",
        f"{of.index_s:.1f} s",
        f"{of.index_bytes / 1e6:,.0f} MB",
        f"{of.index_gb:.2f} GB",
        f"{of.query_gb:.2f} GB",
    ]


def rows_of_queries(
    size: int, engine: str, queries: Sequence[Query], of: Run
) -> Iterator[list[str]]:
    for kind, caption in KINDS.items():
        asked = [number for number, query in enumerate(queries) if query.kind == kind]
        if not asked:
            continue
        taken = [of.seconds[number] * 1000 for number in asked]
        right = sum(of.right[number] for number in asked)
        found = sum(of.any[number] for number in asked)
        yield [
            f"{size:,}",
            engine,
            caption,
            f"{len(asked)}",
            f"{statistics.median(taken):.0f} ms",
            f"{max(taken):.0f} ms",
            "" if kind == "random" else f"{right / len(asked):.2f}",
            f"{found / len(asked):.2f}",
        ]


def figures_of(size: int, queries: Sequence[Query], runs: dict[str, Run]) -> list[measured.Figure]:
    """Seconds of a query of 100 nt, of both engines where there are both."""
    pieces = [number for number, query in enumerate(queries) if query.kind == "piece"]
    if len(runs) < len(ENGINES):
        return []
    ours, other = ([runs[engine].seconds[number] for number in pieces] for engine in ENGINES)
    return [
        measured.compare(
            f"search of a piece of 100 nt in {size:,} RNAs",
            ours,
            other,
            other_name="blastn, a process per query",
            unit="s",
            target="below 1 s",
        )
    ]


def report(fasta: Path, known: Sequence[str], rows: list[list[str]], times: list[list[str]]) -> str:
    about = (
        f"{measured.machine('numpy')} {len(known):,} RNAs of `{fasta.name}`, "
        f"{sum(map(len, known)) / 1e6:.1f} million nt; beyond these, copies of them with 10 % of "
        "their letters changed. E < 1e-3, the ten best RNAs at one place."
    )
    build = measured.table(
        [
            "RNAs",
            "million nt",
            "engine",
            "reference written",
            "index made",
            "index",
            "memory, making it",
            "memory, searching",
        ],
        rows,
    )
    queries = measured.table(
        ["RNAs", "engine", "queries", "n", "median", "worst", "source found", "any hit"], times
    )
    return "\n".join(
        [
            measured.beginning("Searching single RNAs", about),
            build,
            "",
            "Memory is the largest of a process and the programs that it starts, with the pages of "
            "the index that it read. The index is made once, on first use. The engines ran one "
            "after the other; where a machine has other work to do, the worst times say so.",
            "",
            queries,
            "",
            "A source that is not found among hits has ten relatives or copies that score better "
            "at its place, or none that means anything: of 20 nt or fewer no RNA does in 400,000.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
