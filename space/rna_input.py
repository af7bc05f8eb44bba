"""FASTA records of a pasted text or an uploaded file, within the Space's limits."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import IO, Any

from space_limits import Limits

from rnagpt import FastaRecord, read_fasta
from rnagpt.sequences.fasta import unpacked


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
    if any(line.lstrip().startswith(">") for line in text.splitlines()):
        return records
    # With its line breaks, so that an error can name the line.
    return [FastaRecord("", "", text, 1)]


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
            raise ValueError(
                f"{name} holds more than {limits.max_records} records. Give those that you want "
                "to ask about."
            )
    return records


def _too_large(name: str, num_bytes: int) -> str:
    return (
        f"{name} is larger than {num_bytes / 1e6:g} MB. Give the records that you want to ask "
        "about."
    )
