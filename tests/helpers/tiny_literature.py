"""A tiny made-up literature: microRNAs that do not exist, and what papers say about them.

Every sentence is assembled here from words of our own; the same arguments give the same files.
"""

import gzip
import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

TISSUES = ("liver", "kidney", "heart muscle", "retina", "bone marrow", "skin", "colon", "lung")
DISEASES = ("fibrosis", "glioma", "sepsis", "asthma", "type 2 diabetes", "gastric cancer")
GENES = ("SMAD7", "PTEN", "HMGA2", "KLF4", "TGFBR2", "BCL2L11", "FOXO3", "ZEB1")
THEMES = {
    "expression": (
        "{name} is strongly expressed in {tissue} and hardly anywhere else.",
        "Levels of {name} in {tissue} rise {fold}-fold within {days} days after birth.",
        "In {tissue}, {name} is the most abundant of its family, with {copies} copies per cell.",
    ),
    "target": (
        "{name} binds the 3' untranslated region of {gene} and lowers its protein by {share}%.",
        "Loss of {name} restores {gene} in {tissue}, and a mutated site abolishes the effect.",
        "{gene} is a direct target of {name} in {tissue}.",
    ),
    "disease": (
        "Patients with {disease} have {fold}-fold less {name} in plasma than healthy donors.",
        "{name} protects {tissue} from {disease} in mice.",
        "High {name} goes with longer survival in {disease} (n = {copies}).",
    ),
}
SETTINGS = (
    "Small RNAs shape how cells of the {tissue} answer to stress.",
    "The causes of {disease} are many, and treatments are few.",
    "How {gene} is held in check was not known.",
)
ENDINGS = (
    "These data may help to find treatments for {disease}.",
    "Further work in {tissue} is needed.",
)


def make_rnas(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """MicroRNAs ``miR-9001``, ``miR-9002`` …, in pairs of near copies (one family each two)."""
    draw = random.Random(seed)
    rnas = []
    for number in range(count):
        if number % 2 == 0:
            ancestor = "".join(draw.choices("ACGU", k=draw.randint(60, 90)))
        sequence = ancestor if number % 2 == 0 else ancestor[:-3] + "ACG"
        name = f"miR-{9001 + number}"
        rnas.append(
            {
                "id": f"URS{number:010X}_9606",
                "sequence": sequence,
                "names": [name, f"hsa-{name}"],
                "rna_type": "miRNA",
                "organism": "Homo sapiens",
                "taxid": 9606,
                "family": f"RF9{number // 2:04}",
            }
        )
    return rnas


def make_papers(
    rnas: list[dict[str, Any]], per_rna: int = 6, seed: int = 0
) -> Iterator[dict[str, Any]]:
    """`per_rna` papers for each RNA, each on one theme; a tenth of them name the next RNA too."""
    draw = random.Random(seed)
    for place, rna in enumerate(rnas):
        for number in range(per_rna):
            theme = list(THEMES)[number % len(THEMES)]
            sentences = [draw.choice(SETTINGS), *draw.sample(THEMES[theme], 2)]
            if draw.random() < 0.1:
                other = rnas[(place + 1) % len(rnas)]["names"][0]
                sentences.append(f"{other} and {{name}} are transcribed together in {{tissue}}.")
            sentences.append(draw.choice(ENDINGS))
            values = {
                "name": rna["names"][0],
                "tissue": draw.choice(TISSUES),
                "disease": draw.choice(DISEASES),
                "gene": draw.choice(GENES),
                "fold": draw.randint(2, 9),
                "days": draw.randint(3, 28),
                "copies": draw.randint(40, 900),
                "share": draw.randint(20, 80),
            }
            yield {
                "pmid": str(90_000_000 + place * 1000 + number),
                "title": f"{rna['names'][0]} and {theme} in {values['tissue']}",
                "abstract": " ".join(sentences).format(**values),
                "year": 2000 + draw.randrange(25),
                "licence": draw.choice(["cc by", "cc0", "cc by-nc", None]),
                "retracted": False,
            }


def write_lines(path: Path, records: Iterable[dict[str, Any]]) -> Path:
    """JSON lines, gzipped where the name says so."""
    with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    return path


def write_literature(
    folder: Path, rnas: int = 12, per_rna: int = 6, seed: int = 0
) -> tuple[Path, Path]:
    """The files ``rnas.jsonl`` and ``papers.jsonl.gz`` in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    made = make_rnas(rnas, seed)
    papers = make_papers(made, per_rna, seed)
    return (
        write_lines(folder / "rnas.jsonl", made),
        write_lines(folder / "papers.jsonl.gz", papers),
    )
