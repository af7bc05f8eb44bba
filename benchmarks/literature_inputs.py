"""Files for `rna-qa literature` from abstracts that name microRNAs, and the hairpins of these.

    python benchmarks/literature_inputs.py LITERATURE INPUTS
    rna-qa literature OUT --rnas INPUTS/rnas.jsonl --papers INPUTS/papers.jsonl.gz --extractive

LITERATURE is a folder with `abstracts.jsonl.gz` (pmid, year, title, abstract) and `hairpins.fasta`
(`>hsa-mir-21 MI0000077`). Each hairpin is an RNA: miRBase's accession and the taxon are its id, its
names are those that papers use (miR-16, miR-16-1) and miRBase's own (hsa-mir-16-1), the last one.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rnagpt.sequences.fasta import read_fasta

_COPY = re.compile(r"((?:miR|let)-\d+[a-z]*)-\d+")


def rnas(fasta: Path) -> Iterator[dict[str, Any]]:
    """The hairpins as RNAs of a literature build."""
    for record in read_fasta(fasta):
        name, accession = record.name, record.description.split()[0]
        yield {
            "id": f"{accession}_9606",
            "sequence": record.sequence,
            "names": names(name),
            "rna_type": "pre_miRNA",
            "organism": "Homo sapiens",
            "taxid": 9606,
        }


def names(hairpin: str) -> list[str]:
    """What papers call a hairpin: ``hsa-mir-16-1`` is miR-16 and miR-16-1."""
    stem = re.sub(r"^hsa-(?:mir|(let))-", lambda found: f"{found[1] or 'miR'}-", hairpin)
    copy = _COPY.fullmatch(stem)
    return [*([copy[1]] if copy else []), stem, hairpin]


def papers(abstracts: Path) -> Iterator[dict[str, Any]]:
    """The abstracts as papers of a literature build."""
    with gzip.open(abstracts, "rt", encoding="utf-8") as lines:
        for line in lines:
            paper = json.loads(line)
            yield {
                "pmid": str(paper["pmid"]),
                "title": paper["title"],
                "abstract": paper["abstract"],
                "year": paper["year"],
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("literature", type=Path, help="folder with the abstracts and hairpins")
    parser.add_argument("inputs", type=Path, help="folder that is written")
    args = parser.parse_args()
    args.inputs.mkdir(parents=True, exist_ok=True)
    with (args.inputs / "rnas.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(rna)}\n" for rna in rnas(args.literature / "hairpins.fasta"))
    with gzip.open(args.inputs / "papers.jsonl.gz", "wt", encoding="utf-8") as file:
        found = papers(args.literature / "abstracts.jsonl.gz")
        file.writelines(f"{json.dumps(paper, ensure_ascii=False)}\n" for paper in found)


if __name__ == "__main__":
    main()
