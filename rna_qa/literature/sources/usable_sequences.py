"""RNA sequences as sources give them: DNA's letters, lower case, and what is no sequence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from rnagpt.rna_qa.literature.records import Rna
from rnagpt.rna_qa.literature.sources.corpus import Corpus

IUPAC = re.compile("[ACGURYKMSWBDHVN]+")


def clean_sequence(text: str) -> tuple[str, str | None]:
    """The sequence in upper case with U in place of T, and why it cannot be used (None if it can).

    White space is dropped between lines or blocks of one width, of which the last may be narrower:
    IUPAC's letters spell words such as tRNA, so that other white space may part a name from its
    sequence. Letters are those of IUPAC for nucleotides (Cornish-Bowden, Nucleic Acids Res. 1985),
    gaps excluded.
    """
    blocks = text.split()
    sequence = "".join(blocks).upper().replace("T", "U")
    if not sequence:
        return sequence, "no sequence"
    if not IUPAC.fullmatch(sequence):
        letters = "".join(sorted(set(IUPAC.sub("", sequence))))
        return sequence, f"sequence with {letters[:20]!r}"
    widths = [len(block) for block in blocks]
    if set(widths[:-1]) - {widths[0]} or widths[-1] > widths[0]:
        return sequence, "sequence in parts of unequal length"
    return sequence, None


def keep_usable(corpus: Corpus, rnas: Iterable[Rna]) -> Iterator[Rna]:
    """RNAs with their sequences cleaned; those without a usable one or a name are skipped."""
    for rna in rnas:
        sequence, reason = clean_sequence(rna.sequence)
        if reason or not rna.names:
            corpus.skip("rna", rna.id, reason or "no name")
        else:
            yield replace(rna, sequence=sequence)


__all__ = ["clean_sequence", "keep_usable"]
