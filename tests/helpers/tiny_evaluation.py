"""A tiny RNA-QA of Rfam families, as the evaluation reads it."""

from pathlib import Path

from datasets import Dataset
from helpers.tiny_models import make_rna

# Accession, ID, description and type as Rfam has them.
FAMILIES = [
    ("RF00005", "tRNA", "tRNA", "tRNA"),
    ("RF01852", "tRNA-Sec", "Selenocysteine transfer RNA", "tRNA"),
    ("RF00026", "U6", "U6 spliceosomal RNA", "spliceosomal snRNA"),
    ("RF00619", "U6atac", "U6atac minor spliceosomal RNA", "spliceosomal snRNA"),
    ("RF01182", "SNORD11", "Small nucleolar RNA SNORD11", "C/D box snoRNA"),
    ("RF00181", "SNORD113", "Small nucleolar RNA SNORD113/SNORD114 family", "C/D box snoRNA"),
    ("RF01317", "CRISPR-DR8", "CRISPR RNA direct repeat element", "CRISPR RNA"),
    ("RF01318", "CRISPR-DR9", "CRISPR RNA direct repeat element", "CRISPR RNA"),
    ("RF00066", "U7", "U7 small nuclear RNA", "snRNA"),
]


def make_rows(families: list[tuple[str, ...]], each: int, seed: int = 0) -> list[dict[str, str]]:
    """RNAs that keep half of their family's sequence."""
    rows = []
    for number, (accession, family, description, rna_type) in enumerate(families):
        for copy in range(each):
            sequence = make_rna(30, seed=number) + make_rna(30, seed=1000 * (seed + 1) + copy)
            rows.append(
                {
                    "id": f"{family}/{seed}-{copy}",
                    "sequence": sequence,
                    "rna_type": rna_type,
                    "family": family,
                    "family_accession": accession,
                    "family_description": description,
                    "annotation": f"{description}, a {rna_type}. It is RNA number {number}.",
                }
            )
    return rows


def write_data(folder: Path, **splits: Dataset) -> Path:
    """A data set of annotations in Parquet."""
    (folder / "annotations").mkdir(parents=True)
    for split, rows in splits.items():
        rows.to_parquet(folder / "annotations" / f"{split}-00000-of-00001.parquet")
    files = [f'      - {{split: {s}, path: "annotations/{s}-*.parquet"}}' for s in splits]
    card = ["---", "configs:", "  - config_name: annotations", "    data_files:", *files, "---", ""]
    (folder / "README.md").write_text("\n".join(card))
    return folder
