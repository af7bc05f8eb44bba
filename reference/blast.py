"""The engine "blast": single RNAs found by NCBI's `blastn`, in a database of `makeblastdb`.

The programs are those of BLAST+, which have to be installed. Each window of a query is one run of
`blastn`, so that short queries cost the start of a program each.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rnagpt.reference import InvalidReferenceError
from rnagpt.reference.single_rnas import (
    GAP_EXTEND,
    GAP_OPEN,
    MATCH,
    MISMATCH,
    RnaMatch,
    make_match,
)
from rnagpt.sequences.strands import reverse_complement

WORD_SIZE = 7
MAX_TARGETS = 1_000  # RNAs that blastn reports for a window; of these the best at each place stay
_FIELDS = ("sseqid", "qstart", "qend", "sstart", "send", "score", "qseq", "sseq")


class Engine:
    """The engine "blast"; see `SequenceEngine`."""

    @staticmethod
    def build(sequences: Iterator[str], folder: Path) -> None:
        program = find_program("makeblastdb")
        fasta = folder / "rnas.fasta"
        with fasta.open("w", encoding="ascii") as file:
            for number, sequence in enumerate(sequences):
                file.write(f">{number}\n{sequence.replace('U', 'T')}\n")
        command = [program, "-dbtype", "nucl", "-in", fasta.name, "-out", "rnas"]
        _run([*command, "-title", "single RNAs"], folder)
        fasta.unlink()

    def __init__(self, folder: Path) -> None:
        self._program = find_program("blastn")
        self._folder = folder

    def scan(self, letters: str, space: float, evalue: float) -> Iterable[RnaMatch]:
        options = {
            "task": "blastn",
            "db": "rnas",
            "strand": "both",
            "word_size": WORD_SIZE,
            "reward": MATCH,
            "penalty": MISMATCH,
            "gapopen": GAP_OPEN,
            "gapextend": GAP_EXTEND,
            "dust": "yes",
            "soft_masking": "true",
            # Of the whole sequence, of which this is a window, on both strands.
            "searchsp": max(int(space), 1),
            "evalue": evalue,
            "max_target_seqs": MAX_TARGETS,
            "outfmt": " ".join(["6", *_FIELDS]),
        }
        command = [self._program, *(f"{word}" for pair in options.items() for word in _flag(*pair))]
        out = _run(command, self._folder, f">query\n{letters.replace('U', 'T')}\n")
        for line in out.splitlines():
            yield _match(line, len(letters))


def _flag(name: str, value: object) -> tuple[str, str]:
    return f"-{name}", str(value)


def _match(line: str, length: int) -> RnaMatch:
    """The match of a line of `_FIELDS`; blastn turns the RNA round where strands differ."""
    number, *places, score, query_row, rna_row = line.split("\t")
    query_start, query_end, rna_start, rna_end = map(int, places)
    forward = rna_start <= rna_end
    if not forward:
        query_row, rna_row = _turned(query_row), _turned(rna_row)
        query_start, query_end = length + 1 - query_end, length + 1 - query_start
    return make_match(
        int(number),
        float(score),
        start=query_start - 1,
        end=query_end,
        length=length,
        strand="+" if forward else "-",
        rna_start=min(rna_start, rna_end),
        rna_row=rna_row.replace("T", "U"),
        query_row=query_row.replace("T", "U"),
    )


def _turned(row: str) -> str:
    return reverse_complement(row)


def find_program(name: str) -> str:
    """The path of a program of BLAST+.

    Raises:
        InvalidReferenceError: it is not installed.
    """
    path = shutil.which(name)
    if path is None:
        raise InvalidReferenceError(
            f"This reference is searched by BLAST+, whose program {name} is not installed. Install "
            "BLAST+ (Debian and Ubuntu: ncbi-blast+; conda: bioconda's blast), or write the "
            "reference for the engine that needs none: rnagpt reference merge DIR OUT --engine "
            "kmers."
        )
    return path


def _run(command: Sequence[str], folder: Path, stdin: str = "") -> str:
    done = subprocess.run(command, cwd=folder, input=stdin, capture_output=True, text=True)
    if done.returncode:
        raise InvalidReferenceError(
            f"{Path(command[0]).name} of BLAST+ failed (exit code {done.returncode}): "
            f"{done.stderr.strip()[:500]}"
        )
    return done.stdout


__all__ = ["Engine", "find_program"]
