"""Read FASTA files as people have them: compressed, from Windows, wrapped, with one bare sequence.

Whole entries of GenBank are read as well.

Records come out as they are written; `rnagpt.clean_rna` is what turns a sequence into an RNA, and
`clean_rnas` does so with many, and lists all that are rejected.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from rnagpt.cleaning_rnagpt import (
    MAX_AMBIGUOUS,
    MAX_RNA_LENGTH,
    CleanedRna,
    RnaSequenceError,
    Structure,
    clean_rna,
    join_lines,
    other_format,
    split_structure,
    structure_notes,
)
from rnagpt.sequences.genbank import EntryError, begins_entry, read_entries

# How a compressed file begins, its name, and what reads it.
_COMPRESSED: dict[bytes, tuple[str, Any]] = {
    b"\x1f\x8b": ("gzip", gzip.GzipFile),
    b"BZh": ("bzip2", bz2.BZ2File),
    b"\xfd7zXZ\x00": ("xz", lzma.LZMAFile),
}
# How files begin that hold others or need a program of their own, and what to do.
_PACKED = {
    b"PK\x03\x04": (
        "a zip archive, or a file of Excel or Word",
        "Unpack it, or save the sheet as text",
    ),
    b"\x28\xb5\x2f\xfd": ("compressed by zstd", "Unpack it with `zstd -d`"),
    b"Rar!": ("a RAR archive", "Unpack it"),
    b"7z\xbc\xaf\x27\x1c": ("a 7-Zip archive", "Unpack it"),
    b"BAM\x01": ("BAM", "Convert it with `samtools fasta`"),
    b"CRAM": ("CRAM", "Convert it with `samtools fasta`"),
    b"%PDF": ("a PDF", "Copy the sequences out of it"),
}
_DAMAGE = (EOFError, OSError, zlib.error, lzma.LZMAError)
_ENCODINGS = {
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
# As many rejected records are listed; the others are counted.
_MAX_LISTED = 50


class FastaError(ValueError):
    """A file is not FASTA. The message names the file, the line and the remedy."""


@dataclass(frozen=True)
class FastaRecord:
    """One record of a FASTA file.

    Attributes:
        name: first word of the header; `record_N` where the header is empty, N counted from 1.
        description: rest of the header.
        sequence: the sequence as written; empty where no sequence follows. Line breaks are left
            out where the lines are plainly one sequence, and stay where `clean_rna` has to judge
            them: where there is anything else but letters and gaps, or what may be a name.
        line: number of the header's line, counted from 1.
        structures: what was written below the sequence in dot-bracket, as RNAfold does.
    """

    name: str
    description: str
    sequence: str
    line: int
    structures: tuple[Structure, ...] = ()


class RnaSequencesError(RnaSequenceError):
    """Several RNAs are rejected.

    Attributes:
        errors: one for each of them.
    """

    errors: tuple[RnaSequenceError, ...] = ()


def clean_rnas(
    rnas: Iterable[Any],
    *,
    max_length: int = MAX_RNA_LENGTH,
    max_ambiguous: float = MAX_AMBIGUOUS,
) -> list[CleanedRna]:
    """Clean RNAs, and tell of all that are rejected at once.

    Args:
        rnas: records of `read_fasta`, what `clean_rna` takes, and what it made already.
        max_length: as in `clean_rna`.
        max_ambiguous: as in `clean_rna`.

    Raises:
        RnaSequenceError: when one is rejected; when several are, `RnaSequencesError`.
        TypeError: for one sequence in place of several, and as `clean_rna`.
    """
    if isinstance(rnas, (str, bytes, CleanedRna, FastaRecord)) or hasattr(rnas, "translate"):
        kind = type(rnas).__name__
        raise TypeError(f"Expected several RNAs, got one {kind}. Put it into a list: [rna].")
    cleaned: list[CleanedRna] = []
    errors: list[RnaSequenceError] = []
    for number, rna in enumerate(rnas, start=1):
        try:
            cleaned.append(_clean(rna, f"#{number}", max_length, max_ambiguous))
        except RnaSequenceError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise _together(errors, len(cleaned) + len(errors))
    return cleaned


def _clean(rna: Any, name: str, max_length: int, max_ambiguous: float) -> CleanedRna:
    if isinstance(rna, CleanedRna):
        return rna
    if not isinstance(rna, FastaRecord):
        cleaned = clean_rna(rna, name=name, max_length=max_length, max_ambiguous=max_ambiguous)
        # The number is only for errors.
        return replace(cleaned, name="") if cleaned.name == name else cleaned
    cleaned = clean_rna(
        rna.sequence, name=rna.name, max_length=max_length, max_ambiguous=max_ambiguous
    )
    notes = structure_notes(rna.structures)
    return replace(cleaned, changes=(*cleaned.changes, *notes)) if notes else cleaned


def _together(errors: list[RnaSequenceError], number: int) -> RnaSequencesError:
    listed = [f"- {error}" for error in errors[:_MAX_LISTED]]
    if len(errors) > _MAX_LISTED:
        listed.append(f"- and {len(errors) - _MAX_LISTED:,} more")
    head = f"{len(errors):,} of {number:,} RNAs are rejected:"
    together = RnaSequencesError("\n".join([head, *listed]), errors[0].name)
    together.errors = tuple(errors)
    return together


def read_fasta(source: str | Path | IO[Any]) -> Iterator[FastaRecord]:
    """Read the records of a FASTA file one by one.

    Understood are gzip, bzip2 and xz (recognised by their content, not by the name), UTF-8 and
    UTF-16, with or without a byte order mark, all line ends, blank lines, white space before ">",
    comments (lines that begin with ";"), and dot-bracket structures below a sequence. A file
    without any header is one sequence, named after the file. Names may repeat. Entries of GenBank's
    flat files are read too, named by their accession.

    Args:
        source: a path; "-" for standard input; or an open file, binary or text, which stays open.

    Raises:
        FastaError: for text before the first header, no record at all, a binary file, a damaged
            compressed file or a file of another format.
        OSError: when the file cannot be opened or read.

    Examples:
        >>> [record.name for record in read_fasta(io.StringIO(">a first RNA\\nGGCC\\n>b\\nAAUU"))]
        ['a', 'b']
    """
    if isinstance(source, (str, Path)) and str(source) != "-":
        with open(source, "rb") as stream:
            yield from _records_of_stream(stream, str(source), _stem(source))
    elif isinstance(source, (str, Path)):
        yield from _records_of_stream(sys.stdin.buffer, "standard input", "stdin")
    else:
        name = getattr(source, "name", None)
        named = isinstance(name, str)
        yield from _records_of_stream(
            source, str(name) if named else "the file", _stem(str(name)) if named else "sequence"
        )


def _stem(path: str | Path) -> str:
    """The file's name without `.gz`, `.bz2` or `.xz` and without its suffix."""
    name = Path(path).name
    for ending in (".gz", ".bz2", ".xz"):
        name = name.removesuffix(ending)
    return Path(name).stem


def _records_of_stream(stream: IO[Any], file: str, stem: str) -> Iterator[FastaRecord]:
    if isinstance(stream, io.TextIOBase):
        yield from _records(_lines(stream), file, stem)
        return
    with unpacked(cast(BinaryIO, stream), file) as plain, _decoded(plain) as text:
        yield from _records(_lines(text), file, stem)


@contextmanager
def unpacked(stream: BinaryIO, file: str) -> Iterator[io.BufferedIOBase]:
    """The bytes of a stream that may be compressed; the stream itself stays open.

    Raises:
        FastaError: for an archive, and, here or in the `with` block, for damage; `file` is what it
            calls the stream.
    """
    buffered = io.BufferedReader(cast(io.RawIOBase, stream))
    try:
        # An error of the disk itself is no damage of what is compressed.
        start = buffered.peek(8)
        found = [kind for magic, kind in _COMPRESSED.items() if start.startswith(magic)]
        if not found:
            _reject_packed(start, file)
            yield buffered
            return
        method, opened = found[0]
        try:
            with opened(buffered) if method != "gzip" else opened(fileobj=buffered) as plain:
                _reject_packed(plain.peek(8), file)
                yield plain
        except _DAMAGE as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise FastaError(
                f"{file} is a damaged {method} file ({error}). Copy or download it again."
            ) from error
    finally:
        if not buffered.closed:
            buffered.detach()


def _reject_packed(start: bytes, file: str) -> None:
    for magic, (kind, remedy) in _PACKED.items():
        if start.startswith(magic):
            raise FastaError(f"{file} is {kind}, not FASTA. {remedy}, and give the FASTA file.")


@contextmanager
def _decoded(plain: io.BufferedIOBase) -> Iterator[io.TextIOWrapper]:
    """Text of a binary stream, which stays open."""
    encoding = _encoding(cast(Any, plain).peek(4))
    text = io.TextIOWrapper(cast(Any, plain), encoding=encoding, errors="replace")
    try:
        yield text
    finally:
        text.detach()


def _encoding(start: bytes) -> str:
    """By the byte order mark, else by where the zeros of the first, plain letters are."""
    for mark, encoding in _ENCODINGS.items():
        if start.startswith(mark):
            return encoding
    zeros = [byte == 0 for byte in start[:4]]
    if len(zeros) >= 2 and zeros == [False, True, False, True][: len(zeros)]:
        return "utf-16-le"
    if len(zeros) >= 2 and zeros == [True, False, True, False][: len(zeros)]:
        return "utf-16-be"
    return "utf-8"


def _lines(text: Iterable[str]) -> Iterator[str]:
    """Lines without their ends and without byte order marks (files may have been joined)."""
    for chunk in text:
        # A text stream may leave lone carriage returns in; those of binary files are gone by now.
        for line in chunk.removesuffix("\n").removesuffix("\r").split("\r"):
            yield line.removeprefix("\ufeff")


def _records(lines: Iterable[str], file: str, stem: str) -> Iterator[FastaRecord]:
    header = ""
    header_line = 0
    num_records = 0
    pieces: list[str] = []
    first_piece = 0
    numbered = enumerate(lines, start=1)
    for number, line in numbered:
        if "\0" in line or ("\ufffd" in line and not line.lstrip().startswith((">", ";"))):
            raise FastaError(f"{file}, line {number}: this is no text. Give a FASTA file.")
        if line.startswith(">") or line.lstrip().startswith(">"):
            if header_line:
                yield _record(header, pieces, header_line, num_records)
            elif pieces:
                raise FastaError(
                    f"{file}, line {first_piece}: text before the first header (line {number}). "
                    'Each sequence needs a header, a line ">name", before it.'
                )
            header, header_line, pieces = line.lstrip()[1:], number, []
            num_records += 1
        elif (piece := line.strip()) and not line.startswith(";"):
            if not header_line and not pieces:
                if begins_entry(line):
                    yield from _entries(chain([(number, line)], numbered), file)
                    return
                if other := other_format(line):
                    raise FastaError(f"{file} {other}")
                first_piece = number
            pieces.append(piece)
    if header_line:
        yield _record(header, pieces, header_line, num_records)
    elif pieces:
        yield FastaRecord(stem, "", *_sequence(pieces, first_piece, headed=False))
    else:
        raise FastaError(
            f'{file} is empty. Give at least one record: a line ">name" and a sequence.'
        )


def _entries(numbered: Iterable[tuple[int, str]], file: str) -> Iterator[FastaRecord]:
    try:
        for entry in read_entries(numbered):
            yield FastaRecord(*entry)
    except EntryError as error:
        raise FastaError(f"{file}, {error}") from error


def _record(header: str, pieces: list[str], line: int, number: int) -> FastaRecord:
    name, _, description = header.strip().replace("\t", " ").partition(" ")
    return FastaRecord(
        name or f"record_{number}", description.strip(), *_sequence(pieces, line, headed=True)
    )


def _sequence(
    pieces: list[str], line: int, *, headed: bool
) -> tuple[str, int, tuple[Structure, ...]]:
    """The last fields of a record."""
    lines, structures = split_structure(pieces)
    return join_lines([piece for piece in lines if piece], headed), line, tuple(structures)


__all__ = [
    "FastaError",
    "FastaRecord",
    "RnaSequencesError",
    "clean_rnas",
    "read_fasta",
    "unpacked",
]
