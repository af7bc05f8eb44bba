"""Read FASTA files as people have them: gzipped, from Windows, wrapped, with one bare sequence.

Records come out as they are written; `rnagpt.clean_rna` is what turns a sequence into an RNA.
"""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

_GZIP_MAGIC = b"\x1f\x8b"
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
# How a file of another format begins, and what makes FASTA of it.
_OTHER_FORMATS = {
    "@": ("FASTQ", "seqtk seq -a"),
    "LOCUS ": ("GenBank", "seqret -osformat2 fasta"),
    "ID   ": ("EMBL", "seqret -osformat2 fasta"),
    "# STOCKHOLM": ("Stockholm", "esl-reformat fasta"),
    "CLUSTAL": ("Clustal", "esl-reformat fasta"),
}


class FastaError(ValueError):
    """A file is not FASTA. The message names the file, the line and the remedy."""


@dataclass(frozen=True)
class FastaRecord:
    """One record of a FASTA file.

    Attributes:
        name: first word of the header; `record_N` where the header is empty, N counted from 1.
        description: rest of the header.
        sequence: the sequence as written, line breaks left out; empty where no sequence follows.
        line: number of the header's line, counted from 1.
    """

    name: str
    description: str
    sequence: str
    line: int


def read_fasta(source: str | Path | IO[Any]) -> Iterator[FastaRecord]:
    """Read the records of a FASTA file one by one.

    Understood are gzip (told by its content, not by the name), UTF-8 and UTF-16 with or without a
    byte order mark, all line ends, blank lines, and comments (lines that begin with ";"). A file
    without any header is one sequence, named after the file. Names may repeat.

    Args:
        source: a path; "-" for standard input; or an open file, binary or text, which stays open.

    Raises:
        FastaError: for text before the first header, no record at all, a binary file, a damaged
            gzip file or a file of another format.
        OSError: when the file cannot be opened or read.

    Example:
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
    """The file's name without `.gz` and without its suffix."""
    return Path(Path(path).name.removesuffix(".gz")).stem


def _records_of_stream(stream: IO[Any], file: str, stem: str) -> Iterator[FastaRecord]:
    try:
        if isinstance(stream, io.TextIOBase):
            yield from _records(_lines(stream), file, stem)
            return
        with _decoded(cast(BinaryIO, stream)) as text:
            yield from _records(_lines(text), file, stem)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FastaError(
            f"{file} is a damaged gzip file ({error}). Copy or download it again."
        ) from error


@contextmanager
def _decoded(stream: BinaryIO) -> Iterator[io.TextIOWrapper]:
    """Text of a binary stream that may be gzipped; the stream itself stays open."""
    buffered = io.BufferedReader(cast(io.RawIOBase, stream))
    plain: Any = buffered
    if buffered.peek(2).startswith(_GZIP_MAGIC):
        plain = gzip.GzipFile(fileobj=buffered)
    try:
        encoding = "utf-16" if plain.peek(2).startswith(_UTF_16_MARKS) else "utf-8"
        text = io.TextIOWrapper(plain, encoding=encoding, errors="replace")
        try:
            yield text
        finally:
            text.detach()
    finally:
        if not buffered.closed:
            buffered.detach()


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
    for number, line in enumerate(lines, start=1):
        if "\0" in line or ("\ufffd" in line and not line.startswith((">", ";"))):
            raise FastaError(f"{file}, line {number}: this is no text. Give a FASTA file.")
        if line.startswith(">"):
            if header_line:
                yield _record(header, pieces, header_line, num_records)
            elif pieces:
                raise FastaError(
                    f"{file}, line {first_piece}: text before the first header (line {number}). "
                    'Each sequence needs a header, a line ">name", before it.'
                )
            header, header_line, pieces = line[1:], number, []
            num_records += 1
        elif (piece := line.strip()) and not line.startswith(";"):
            if not header_line and not pieces:
                _refuse_other_formats(line, file)
                first_piece = number
            pieces.append(piece)
    if header_line:
        yield _record(header, pieces, header_line, num_records)
    elif pieces:
        yield FastaRecord(stem, "", "".join(pieces), first_piece)
    else:
        raise FastaError(
            f'{file} is empty. Give at least one record: a line ">name" and a sequence.'
        )


def _record(header: str, pieces: list[str], line: int, number: int) -> FastaRecord:
    name, _, description = header.strip().replace("\t", " ").partition(" ")
    return FastaRecord(name or f"record_{number}", description.strip(), "".join(pieces), line)


def _refuse_other_formats(line: str, file: str) -> None:
    for beginning, (name, remedy) in _OTHER_FORMATS.items():
        if line.startswith(beginning):
            raise FastaError(
                f"{file} looks like {name}, not FASTA. Convert it first, for example with "
                f"`{remedy}`."
            )


__all__ = ["FastaError", "FastaRecord", "read_fasta"]
