"""A made literature of any size: microRNAs that do not exist, and abstracts of true length on them.

How many papers an RNA has is drawn from the table that `rna-qa estimate` reads, thinned to a mean
that a machine can work through; how many RNAs share one name, and so all papers, is given. The same
arguments give the same files.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from helpers.tiny_literature import DISEASES, ENDINGS, GENES, SETTINGS, THEMES, TISSUES

SENTENCES = 9  # with which an abstract is as long as PubMed's on microRNAs, some 1,000 characters


def write_corpus(folder: Path, rnas: int, copies: int, papers: Sequence[int]) -> tuple[Path, Path]:
    """Write ``rnas.jsonl`` and ``papers.jsonl.gz`` into `folder`, line by line.

    Args:
        rnas: How many RNAs.
        copies: RNAs with one name: as one microRNA has several copies in a genome.
        papers: Papers of each name, taken in turn.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = -(-rnas // copies)
    files = folder / "rnas.jsonl", folder / "papers.jsonl.gz"
    with files[0].open("w", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(rna)}\n" for rna in _rnas(rnas, copies))
    with gzip.open(files[1], "wt", compresslevel=1, encoding="utf-8") as file:
        for number in range(names):
            for paper in _papers(number, papers[number % len(papers)]):
                file.write(f"{json.dumps(paper)}\n")
    return files


def _rnas(rnas: int, copies: int) -> Iterator[dict[str, Any]]:
    draw = random.Random(0)
    for number in range(rnas):
        name = _name(number // copies)
        yield {
            "id": f"URS{number:010X}_9606",
            "sequence": "".join(draw.choices("ACGU", k=draw.randint(60, 90))),
            "names": [name, f"hsa-{name}"],
            "rna_type": "miRNA",
            "organism": "Homo sapiens",
            "taxid": 9606,
        }


def _name(number: int) -> str:
    return f"miR-{9001 + number}"


def _papers(number: int, count: int) -> Iterator[dict[str, Any]]:
    draw = random.Random(number)
    for place in range(count):
        theme = draw.choice(list(THEMES))
        sentences = [
            draw.choice(SETTINGS if line % 3 else THEMES[theme]) for line in range(SENTENCES - 1)
        ]
        filled = [
            sentence.format(
                name=_name(number),
                tissue=draw.choice(TISSUES),
                disease=draw.choice(DISEASES),
                gene=draw.choice(GENES),
                fold=draw.randint(2, 9),
                days=draw.randint(3, 28),
                copies=draw.randint(40, 900),
                share=draw.randint(20, 80),
            )
            for sentence in [*sentences, draw.choice(ENDINGS)]
        ]
        yield {
            "pmid": str(100_000_000 + number * 1000 + place),
            "title": f"{_name(number)} and {theme} in {draw.choice(TISSUES)}",
            "abstract": " ".join(filled),
            "year": 2000 + draw.randrange(25),
            "licence": draw.choice(["cc by", "cc0", "cc by-nc", None]),
        }


__all__ = ["write_corpus"]
