"""Hits in sequences that no one chose to be without families, told true from false by Infernal.

    python benchmarks/infernal_claims.py --fasta lncRNA.fa --reference train-reference

Transcripts hold copies of families (Alu those of the signal recognition particle's RNA) and host
others (snoRNAs in introns that were kept), so a hit in one is no error by itself. Each hit is
scored by its family's covariance model, on its place with as much on each side as a hit may be
long, and counts as confirmed from Rfam's gathering cut-off on. The same sequences shuffled
(dinucleotides kept) and reversed (not complemented; low complexity and repeats stay) hold no
family: their hits are false, and say how many of that composition are to be expected.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from measured import beginning, machine, make_parser, parse, table, write_down
from tqdm import tqdm

from rnagpt.reference.annotate import annotate
from rnagpt.reference.hits import Hit
from rnagpt.reference.infernal import Verifier
from rnagpt.reference.library import EVALUE, MAX_LENGTH, Reference
from rnagpt.sequences.fasta import clean_rnas, read_fasta
from rnagpt.sequences.shuffle import shuffle_dinucleotides

REPORT = Path(__file__).with_suffix(".md")
RECORDS = 500
LISTED = 3  # unconfirmed hits of a family
VERDICTS = {
    "confirmed": "reaches the cut-off",
    "below": "scores above 0 bits, below the cut-off",
    "nothing": "no hit of the model there",
    "no cut-off": "the family has no cut-off",
    "not verified": "Infernal failed",
}


class Claims(NamedTuple):
    """The hits of a kind of sequences.

    Attributes:
        kind: of the sequences, in words.
        hits: of each sequence, verified.
    """

    kind: str
    hits: list[list[Hit]]

    @property
    def claimed(self) -> int:
        """Sequences with a hit."""
        return sum(bool(found) for found in self.hits)

    @property
    def confirmed(self) -> int:
        """Sequences with a hit that Infernal confirms."""
        return sum(any(verdict(hit) == "confirmed" for hit in found) for found in self.hits)

    @property
    def all_hits(self) -> list[Hit]:
        return [hit for found in self.hits for hit in found]


def verdict(hit: Hit) -> str:
    """One of `VERDICTS`."""
    verified = hit.verified
    assert verified is not None
    if "error" in verified:
        return "not verified"
    if verified["bits"] is None:
        return "nothing"
    if verified["agrees"] is None:
        return "no cut-off"
    return "confirmed" if verified["agrees"] else "below"


def claim(
    kind: str, sequences: Sequence[str], reference: Reference, evalue: float, verifier: Verifier
) -> Claims:
    """Search sequences, and verify what is found."""
    results = tqdm(
        annotate(sequences, reference, evalue=evalue),
        desc=kind,
        total=len(sequences),
        file=sys.stderr,
    )
    return Claims(
        kind,
        [
            [verifier.verify(hit, sequence, reference) for hit in result.hits]
            for sequence, result in zip(sequences, results, strict=True)
        ],
    )


def report(found: Sequence[Claims], about: str) -> str:
    """The report in Markdown; the first of `found` are the sequences as they are."""
    given = found[0].all_hits
    verdicts = Counter(map(verdict, given))
    families = Counter(hit.record.id for hit in given)
    rows = []
    for family, count in families.most_common():
        hits = [hit for hit in given if hit.record.id == family]
        told = Counter(map(verdict, hits))
        rows.append(
            (
                family,
                hits[0].record.name,
                f"{count:,}",
                *(f"{told[name]:,}" for name in ("confirmed", "below", "nothing")),
            )
        )
    sections = [
        beginning("Hits in long transcripts, by Infernal", about),
        table(
            ("sequences", "searched", "with a hit", "with a hit that Infernal confirms"),
            [
                (
                    one.kind,
                    f"{len(one.hits):,}",
                    f"{one.claimed:,} ({one.claimed / len(one.hits):.3f})",
                    f"{one.confirmed:,} ({one.confirmed / len(one.hits):.3f})",
                )
                for one in found
            ],
        ),
        f"Of the {len(given):,} hits in the sequences as they are, Infernal says:",
        table(
            ("verdict", "hits", "share"),
            [
                (text, f"{verdicts[name]:,}", f"{verdicts[name] / max(1, len(given)):.3f}")
                for name, text in VERDICTS.items()
            ],
        ),
        "By family:",
        table(("family", "name", "hits", "confirmed", "below the cut-off", "no hit"), rows),
        "## Hits that Infernal does not confirm",
        f"The {LISTED} best of each family. E is the search's E-value; bits are Infernal's, with "
        "the family's cut-off.",
        table(
            ("sequences", "family", "hit", "E", "bits", "cut-off"),
            [
                (
                    one.kind,
                    hit.record.name,
                    f"{hit.end - hit.start + 1} nt, {hit.strand}",
                    f"{hit.evalue:.1g}",
                    _bits(hit),
                    f"{hit.verified['gathering'] or 0:.0f}" if hit.verified else "",
                )
                for one in found
                for hit in unconfirmed(one)
            ],
        ),
    ]
    return "\n\n".join(section.rstrip() for section in sections) + "\n"


def unconfirmed(found: Claims) -> Iterator[Hit]:
    """The best `LISTED` hits of each family that Infernal does not confirm, best first."""
    listed: Counter[str] = Counter()
    for hit in sorted(found.all_hits, key=lambda hit: hit.evalue):
        if verdict(hit) != "confirmed" and listed[hit.record.id] < LISTED:
            listed[hit.record.id] += 1
            yield hit


def _bits(hit: Hit) -> str:
    verified = hit.verified or {}
    bits = verified.get("bits")
    return verified.get("error", "no hit") if bits is None else f"{bits:.1f}"


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--fasta", type=Path, required=True, help="the sequences")
    parser.add_argument("--reference", type=Path, help="default: rna-gpt-mini's")
    parser.add_argument("--records", type=int, default=RECORDS, help="of the file, the first")
    parser.add_argument("--evalue", type=float, default=EVALUE, help="of the hits")
    args = parse(parser)
    verifier = Verifier()
    reference = Reference.open(args.reference)
    records = islice(read_fasta(args.fasta), args.records)
    sequences = [rna.sequence for rna in clean_rnas(records, max_length=MAX_LENGTH)]
    draw = np.random.default_rng(0)
    kinds = {
        args.fasta.stem: sequences,
        "shuffled": [shuffle_dinucleotides(sequence, draw) for sequence in sequences],
        "reversed": [sequence[::-1] for sequence in sequences],
    }
    found = [claim(kind, asked, reference, args.evalue, verifier) for kind, asked in kinds.items()]
    mean = sum(map(len, sequences)) / len(sequences)
    about = (
        f"{machine('pyhmmer')[:-1]}, {verifier.program}. {len(sequences):,} sequences of "
        f"{args.fasta.name}, {mean:,.0f} nt on average, in {reference.manifest.title}, E < "
        f"{args.evalue:g}; covariance models built from its alignments."
    )
    text = report(found, about)
    print(text)
    write_down(args, text, (), report=REPORT, is_whole=len(sequences) >= RECORDS)


if __name__ == "__main__":
    main()
