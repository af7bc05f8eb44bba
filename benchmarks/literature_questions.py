"""Questions of the kind biologists ask, answered from a reference of the literature, to be read.

    python benchmarks/literature_questions.py OUT --fasta FASTA --answers answers.jsonl

OUT is a data set that `rna-qa literature` built, FASTA has its RNAs. Each row of
`literature_questions.tsv` is asked about its RNA's sequence, as `rnagpt chat --reference OUT --ask`
does: the model gets no name. What a reader said of the answers is in `literature_questions.md`.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

from rnagpt.inference.batch import answer_questions
from rnagpt.inference.local_model import LocalModel
from rnagpt.reference.library import Reference
from rnagpt.sequences.fasta import read_fasta

QUESTIONS = Path(__file__).with_suffix(".tsv")


def read_questions(file: Path = QUESTIONS) -> list[tuple[str, str]]:
    """The RNAs and what is asked of each."""
    with file.open(encoding="utf-8", newline="") as lines:
        return [(row["rna"], row["question"]) for row in csv.DictReader(lines, delimiter="\t")]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("dataset", type=Path, help="folder that `rna-qa literature` built")
    parser.add_argument("--fasta", type=Path, required=True, help="the RNAs' sequences, by name")
    parser.add_argument("--answers", type=Path, required=True, help="JSON lines that are written")
    args = parser.parse_args()
    sequences = {record.name: record.sequence for record in read_fasta(args.fasta)}
    reference = Reference.open(args.dataset)
    rows = read_questions()
    with args.answers.open("w", encoding="utf-8") as file:
        for rna, question in rows:
            for answer in _ask(sequences[rna], question, reference):
                row = {"rna": rna, "question": question, **answer}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    print(f"{args.answers}: {len(rows)} answers")


def _ask(sequence: str, question: str, reference: Reference) -> list[dict[str, Any]]:
    answers = answer_questions(LocalModel.open(), None, [sequence], [question], reference=reference)
    return [
        {
            "answer": answer.answer,
            "basis": answer.basis,
            "sources": [line for number, line in answer.sources.items() if number in answer.cites],
        }
        for answer in answers
    ]


if __name__ == "__main__":
    main()
