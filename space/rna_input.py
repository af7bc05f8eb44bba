"""FASTA records of a pasted text or of uploaded files, within the Space's limits."""

from __future__ import annotations

import base64
import io
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from plain_text import check_text, visible
from space_limits import Limits

from rnagpt import CleanedRna, FastaRecord, Hit, read_fasta
from rnagpt.sequences.fasta import unpacked
from rnagpt.sequences.genbank import begins_entry
from rnagpt.sequences.strands import reverse_complement


@dataclass(frozen=True)
class UploadedFile:
    """A file as the browser read it.

    Attributes:
        name: what the visitor calls it; nothing is opened by it.
        size: in bytes, as the browser says; -1 where it could not read it.
        content: its bytes in base 64; empty where the browser found too much.
    """

    name: str
    size: int
    content: str


@dataclass
class FilesRead:
    """What several files hold.

    Attributes:
        records: of each file that could be read, by the file's name and its place.
        rejected: what is wrong with the others, for the visitor.
    """

    records: list[tuple[str, list[FastaRecord]]] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)

    @property
    def is_one_each(self) -> bool:
        """Whether no file holds several records: there is nothing to choose."""
        return all(len(records) == 1 for _, records in self.records)


def records_of_text(text: str, limits: Limits) -> list[FastaRecord]:
    """The records of a pasted text; a bare sequence is one record without a name.

    Raises:
        FastaError: as `read_fasta`.
        ValueError: when there is nothing, or more than the limits allow.
    """
    if not text.strip():
        raise ValueError("There is no sequence yet. Paste one, or FASTA records, into the field.")
    if len(text) > limits.max_upload_bytes:
        raise ValueError(_too_large("The pasted text", limits.max_upload_bytes))
    records = _read(io.StringIO(text), "The pasted text", limits)
    if begins_entry(text) or any(line.lstrip().startswith(">") for line in text.splitlines()):
        return records
    # With its line breaks, so that an error can name the line.
    return [FastaRecord("", "", text, 1)]


def records_of_files(given: Any, limits: Limits) -> FilesRead:
    """The records of uploaded files; one that cannot be read costs the others nothing.

    Args:
        given: as `UploadedFile`s.

    Raises:
        ValueError: none of them can be read, or they are too much together.
    """
    if not isinstance(given, list):
        raise ValueError("Your browser sent no files. Choose or drop them again.")
    files = [_file(one, limits) for one in given]
    size = sum(file.size for file in files)
    if len(files) > 1 and size > limits.max_upload_bytes:
        raise ValueError(
            f"These {len(files)} files have {megabytes(size)} together; at most "
            f"{megabytes(limits.max_upload_bytes)} are taken. Give fewer, or only the records that "
            "you want to ask about."
        )
    read = FilesRead()
    for file in files:
        try:
            if file.size < 0:
                raise ValueError(f"{file.name} could not be read by your browser. Choose it again.")
            records = records_of_file(file.content, file.name, file.size, limits)
            read.records.append((file.name, records))
        except ValueError as error:
            read.rejected.append(str(error))
    num_records = sum(len(records) for _, records in read.records)
    if num_records > limits.max_records:
        raise ValueError(_too_many(f"Together these {len(files)} files hold", limits))
    if not read.records:
        raise ValueError("\n".join(read.rejected) or "There is no file. Choose or drop one.")
    return read


def trimmed(rna: CleanedRna, hit: Hit) -> FastaRecord:
    """The stretch of an RNA that a hit covers, on its strand, named by its place.

    The name is that of Infernal's and Rfam's lists, with the strand: "transcript/8001-8100(-)".
    """
    letters = rna.sequence[hit.start - 1 : hit.end]
    if hit.strand == "-":
        letters = reverse_complement(letters)
    name = f"{rna.name}/{hit.start}-{hit.end}({hit.strand})"
    about = f"the stretch that matches {hit.record.name} ({hit.record.id})"
    return FastaRecord(name, about, letters, 1)


def free_name(names: Collection[str]) -> str:
    """A name for an RNA that has none."""
    return next(name for i in range(1, len(names) + 2) if (name := f"RNA {i}") not in names)


def label_of(record: FastaRecord, number: int) -> str:
    """What stands for a record among others, whose names may be the same."""
    about = f" {record.description[:60]}" if record.description else ""
    return visible(f"{number}. {record.name[:60]} ({len(record.sequence):,} nt){about}")


def _file(given: Any, limits: Limits) -> UploadedFile:
    """A file as an event holds it, which a visitor may have changed."""
    told = given if isinstance(given, dict) else {}
    name = check_text(told.get("name"), "The file's name", limits.max_name_letters)
    size = told.get("size")
    if not isinstance(size, int):
        raise ValueError(f"Your browser did not say how large {name} is. Choose it again.")
    return UploadedFile(name, size, check_text(told.get("content"), f"What is in {name}"))


def records_of_file(content: str, name: str, size: int, limits: Limits) -> list[FastaRecord]:
    """The records of an uploaded file, plain or compressed.

    Args:
        content: the file's bytes in base 64; empty where the browser found it too large.
        name: what the visitor calls the file; nothing is opened by it.
        size: of the file, in bytes, as the browser says.

    Raises:
        FastaError: as `read_fasta`.
        ValueError: when it holds more than the limits allow, or is no base 64.
    """
    if size > limits.max_upload_bytes or len(content) > 4 * (limits.max_upload_bytes // 3 + 1):
        raise ValueError(_too_large(name, limits.max_upload_bytes))
    packed = io.BytesIO(base64.b64decode(content, validate=True))
    # A small file may unpack to more than the memory holds.
    with unpacked(packed, Path(name).name) as plain:
        text = plain.read(limits.max_text_bytes + 1)
    if len(text) > limits.max_text_bytes:
        raise ValueError(_too_large(f"{name}, unpacked,", limits.max_text_bytes))
    return _read(io.BytesIO(text), name, limits)


def _read(stream: IO[Any], name: str, limits: Limits) -> list[FastaRecord]:
    stream.name = Path(name).name  # type: ignore[misc]  # what errors call it
    records = []
    for record in read_fasta(stream):
        records.append(record)
        if len(records) > limits.max_records:
            raise ValueError(_too_many(f"{name} holds", limits))
    return records


def _too_many(which: str, limits: Limits) -> str:
    return f"{which} more than {limits.max_records} records. Give those that you want to ask about."


def megabytes(num_bytes: int) -> str:
    """A size in words, such as "5 MB"."""
    return f"{num_bytes / 1e6:.3g} MB"


def _too_large(name: str, num_bytes: int) -> str:
    return (
        f"{name} is larger than {megabytes(num_bytes)}. Give the records that you want to ask "
        "about."
    )
