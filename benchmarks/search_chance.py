"""Whether E-values mean what they say: hits in sequences of no family, against what is expected.

    python benchmarks/search_chance.py                       # writes search_chance.md
    python benchmarks/search_chance.py --sequences 500       # quick, only printed

Half of the sequences are random; the others are RNAs of the reference with their letters shuffled,
dinucleotides kept. E < 0.1 is to have no more than 0.1 hits a sequence. "By the score alone" counts
the same matches by HMMER's score, without what base pairs and extent say.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
from measured import beginning, machine, make_parser, make_rna, parse, table, write_down

from rnagpt.reference.annotate import annotate
from rnagpt.reference.edit import ungapped
from rnagpt.reference.library import Reference
from rnagpt.sequences.shuffle import shuffle_dinucleotides

REPORT = Path(__file__).with_suffix(".md")
SEQUENCES = 20_000
SHORTEST, LONGEST = 30, 350  # nt
LIMITS = (0.001, 0.01, 0.1)
# Support is at least 1/6: up to here no match of the largest limit is missing by either count.
LOOSE = 6 * max(LIMITS)


def known_rnas(reference: Reference) -> list[str]:
    """Up to three RNAs of each family."""
    rnas = (ungapped(row) for seed in reference.seeds() for _, row in seed.rows[:3])
    return [rna for rna in rnas if SHORTEST <= len(rna) <= LONGEST]


def chance_hits(
    sequences: Iterable[str], reference: Reference, jobs: int
) -> tuple[list[float], list[float]]:
    """The E-values of all hits, as they are and by the score alone."""
    evalues, alone = [], []
    for result in annotate(sequences, reference, evalue=LOOSE, jobs=jobs):
        for hit in result.hits:
            evalues.append(hit.evalue)
            alone.append(hit.evalue * 2**hit.support_bits)
    return evalues, alone


def row(kind: str, count: int, evalues: list[float]) -> tuple[str, ...]:
    """Hits below each of `LIMITS`, each with its ratio to what is expected."""
    cells = []
    for limit in LIMITS:
        found = sum(evalue < limit for evalue in evalues)
        cells.append(f"{found:,} ({found / (count * limit):.2f})")
    return (kind, f"{count:,}", *cells)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--reference", type=Path, help="a reference (default: rna-gpt-mini's)")
    parser.add_argument("--sequences", type=int, default=SEQUENCES, help="that are searched")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    args = parse(parser)
    reference = Reference.open(args.reference)
    draw = random.Random(0)
    chosen = draw.choices(known_rnas(reference), k=args.sequences // 2)
    shuffle = partial(shuffle_dinucleotides, random=np.random.default_rng(0))
    kinds = {
        "random": [make_rna(len(rna), seed) for seed, rna in enumerate(chosen)],
        "shuffled": [shuffle(rna) for rna in chosen],
    }
    rows = []
    for kind, sequences in kinds.items():
        evalues, alone = chance_hits(sequences, reference, args.jobs)
        rows.append(row(kind, len(sequences), evalues))
        rows.append(row(f"{kind}, by the score alone", len(sequences), alone))
    about = (
        f"{len(reference.profiles):,} profiles; sequences of {SHORTEST} to {LONGEST} nt. In "
        f"brackets: hits for each that is expected. {machine('pyhmmer')}"
    )
    header = ("sequences", "searched", *(f"E < {limit:g}" for limit in LIMITS))
    text = f"{beginning('Hits by chance', about)}\n{table(header, rows)}\n"
    print(text)
    write_down(args, text, [], report=REPORT, is_whole=args.sequences >= SEQUENCES)


if __name__ == "__main__":
    main()
