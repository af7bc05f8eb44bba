"""A tiny RNA-QA in Parquet, with the columns and the layout that `rna-qa` writes."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from helpers.tiny_models import make_rna

QUESTIONS = ("What is this RNA?", "Where is it found?", "What does it bind?")
CARD = """---
configs:
  - config_name: qa
    default: true
    data_files:
      - {split: train, path: "qa/train-*.parquet"}
      - {split: validation, path: "qa/validation-*.parquet"}
  - config_name: annotations
    data_files:
      - {split: train, path: "annotations/train-*.parquet"}
      - {split: validation, path: "annotations/validation-*.parquet"}
---
"""


def answers_of(number: int) -> list[str]:
    """Answers of different lengths, to the questions in order."""
    kind = ("a transfer RNA", "a riboswitch", "an RNA that binds a ligand in bacteria")[number % 3]
    return [f"It is {kind}.", "In bacteria, and so on." * (1 + number % 2), "An amino acid."]


def make_rna_qa(folder: Path, num_rnas: int = 12) -> Path:
    """RNAs of 5 to 40 nt in 3 families, three questions each; a third of them is validation."""
    for split, numbers in {
        "train": range(num_rnas),
        "validation": range(num_rnas, num_rnas + num_rnas // 3),
    }.items():
        shared = [
            {
                "id": f"RNA{number}",
                "sequence": make_rna(5 + 7 * number % 36, seed=number),
                "family": f"family{number % 3}",
                "rna_type": "tRNA",
                "split": split,
            }
            for number in numbers
        ]
        annotations = [
            row | {"annotation": " ".join(answers_of(number))}
            for number, row in zip(numbers, shared, strict=True)
        ]
        qa = [
            row | {"question": question, "answer": answer, "category": question.split()[0]}
            for number, row in zip(numbers, shared, strict=True)
            for question, answer in zip(QUESTIONS, answers_of(number), strict=True)
        ]
        for config, rows in (("annotations", annotations), ("qa", qa)):
            (folder / config).mkdir(parents=True, exist_ok=True)
            path = folder / config / f"{split}-00000-of-00001.parquet"
            pq.write_table(pa.Table.from_pylist(rows), path)
    (folder / "README.md").write_text(CARD)
    return folder
