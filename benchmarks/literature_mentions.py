"""Whether the RNAs that a text names are found, and no others: precision and recall.

    python benchmarks/literature_mentions.py                                      # made sentences
    python benchmarks/literature_mentions.py --rnas rnas.jsonl --papers papers.jsonl.gz

The made sentences stand in `literature_labels/mentions_made.jsonl` with the RNAs whose names are
sought in all of them. Sentences of papers are the publishers': of these the labels hold PubMed's
id, the place in the title or abstract (as plain text) and a hash, and the files that `rna-qa
literature` reads supply the rest (`literature_inputs.py` writes them). Labels that fit no sentence
are counted.

A mention is judged as its words have it: "miR-17-92" names miR-17, "the miR-200 family" none of its
members, "mmu-miR-21" no human RNA; "miR-203", the older name of miR-203a, does name that.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measured import beginning, make_parser, parse, table

from rnagpt.rna_qa.literature.judging.precision import wilson
from rnagpt.rna_qa.literature.text.mentions import NameIndex
from rnagpt.rna_qa.literature.text.plain_text import plain_text

LABELS = Path(__file__).with_name("literature_labels")
REPORT = Path(__file__).with_suffix(".md")
MADE = LABELS / "mentions_made.jsonl"
OF_PAPERS = {
    "papers, looked at while mending": LABELS / "mentions_papers.jsonl",
    "papers, drawn afterwards": LABELS / "mentions_papers_after.jsonl",
}
Names = Mapping[str, Sequence[str]]  # of each RNA


@dataclass(frozen=True)
class Counts:
    """Pairs of a sentence and an RNA: named and found, found alone, named alone."""

    sentences: int
    right: int
    wrong: int
    missed: int

    def row(self, kind: str) -> tuple[str, ...]:
        shares = [
            (self.right, self.right + self.wrong),
            (self.right, self.right + self.missed),
        ]
        cells = [
            f"{part / whole:.3f} ({low:.3f}–{high:.3f})"
            for part, whole in shares
            for low, high in [wilson(part, whole)]
        ]
        return (kind, f"{self.sentences}", f"{self.right + self.missed}", *cells)


def compare(names: Names, labelled: Sequence[tuple[str, Sequence[str]]]) -> Counts:
    """Seek the names in each text, and compare with the RNAs that it was labelled with."""
    index = NameIndex((name, rna) for rna, of_rna in names.items() for name in of_rna)
    right = wrong = missed = 0
    for text, mentioned in labelled:
        found, expected = index.find(text), set(mentioned)
        right += len(found & expected)
        wrong += len(found - expected)
        missed += len(expected - found)
    return Counts(len(labelled), right, wrong, missed)


def read_made() -> tuple[Names, list[tuple[str, Sequence[str]]]]:
    """The RNAs and the made sentences, each with the ids of the RNAs that it names."""
    rnas, *rows = read_lines(MADE)
    return rnas["rnas"], [(row["text"], row["mentioned"]) for row in rows]


def of_papers(file: Path, papers: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[str]]]:
    """The labelled sentences of papers, as far as they are still there."""
    for row in read_lines(file):
        paper = papers.get(row["pmid"])
        if paper is None:
            continue
        text = plain_text(paper[row["field"]])[row["start"] : row["end"]]
        if hashlib.sha256(text.encode()).hexdigest()[:16] == row["sha256"]:
            yield text, row["mentioned"]


def read_lines(file: Path) -> list[Any]:
    text = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    return [json.loads(line) for line in text.decode().splitlines()]


def measure_papers(rnas: Path, papers: Path) -> Iterator[tuple[str, ...]]:
    """A row for each file of labels of papers; labels name an RNA by its last name, miRBase's."""
    names = {rna["names"][-1]: rna["names"] for rna in read_lines(rnas)}
    of_id = {str(paper["pmid"]): paper for paper in read_lines(papers)}
    for kind, file in OF_PAPERS.items():
        labelled = list(of_papers(file, of_id))
        if gone := len(read_lines(file)) - len(labelled):
            print(f"{file.name}: {gone} labels fit no sentence of these papers")
        if labelled:
            yield compare(names, labelled).row(kind)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--rnas", type=Path, help="RNAs as `rna-qa literature` reads them")
    parser.add_argument("--papers", type=Path, help="papers as `rna-qa literature` reads them")
    args = parse(parser)
    rows = [compare(*read_made()).row("made")]
    if args.rnas and args.papers:
        rows += measure_papers(args.rnas, args.papers)
    header = ("sentences", "number", "RNAs named", "precision (95 % interval)", "recall")
    about = "Wilson intervals. Pairs of a sentence and an RNA count."
    text = f"{beginning('RNAs that a text names', about)}\n{table(header, rows)}\n"
    print(text)
    if args.report or (args.rnas and args.papers):
        (args.report or REPORT).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
