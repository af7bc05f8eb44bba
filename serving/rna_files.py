"""RNAs of files that come in a message: FASTA as a data URL or in base64, compressed or not."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from rnagpt.sequences.fasta import FastaError, FastaRecord, read_fasta, unpacked


class FileError(ValueError):
    """A file that cannot be read; the message names it and the remedy."""


class FileTooLargeError(FileError):
    """A file is larger, once unpacked, than is read."""


class _NamedFile(io.BytesIO):
    """Bytes of which errors tell by a name, as of an open file."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self.name = name


def read_file(data: str, filename: str, max_bytes: int) -> Iterator[FastaRecord]:
    """The records of a FASTA file, of which gzip, bzip2 and xz are unpacked.

    Args:
        data: a data URL (RFC 2397), or base64 alone. Its media type is not looked at: browsers have
            many for FASTA.
        filename: for errors; without its endings the name of a sequence without a header.
        max_bytes: of the unpacked file.

    Raises:
        FileTooLargeError: there are more.
        FileError: it is neither, or holds no FASTA.

    Examples:
        >>> [record.name for record in read_file("data:,%3Ea%0AGGCC", "rnas.fa", 100)]
        ['a']
    """
    name = filename or "the file"
    try:
        with unpacked(io.BytesIO(_decoded(data, name)), name) as stream:
            plain = stream.read(max_bytes + 1)
    except FastaError as error:
        raise FileError(str(error)) from error
    if len(plain) > max_bytes:
        raise FileTooLargeError(
            f"{name} has more than {max_bytes:,} bytes once unpacked; give fewer or shorter RNAs."
        )
    try:
        yield from read_fasta(_NamedFile(plain, name))
    except FastaError as error:
        raise FileError(str(error)) from error


def _decoded(data: str, name: str) -> bytes:
    kind, comma, content = data.partition(",") if data.startswith("data:") else ("", ",", data)
    if not comma:
        raise FileError(
            f"file_data of {name} is a data URL without a comma; expected "
            '"data:text/plain;base64,..." with the FASTA file in base64.'
        )
    if kind and not kind.lower().endswith(";base64"):
        return unquote_to_bytes(content)
    try:
        return base64.b64decode("".join(content.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise FileError(
            f"file_data of {name} is not base64 ({error}). Expected "
            '"data:text/plain;base64,..." with the FASTA file in base64; FASTA as it is belongs '
            "into a part of text."
        ) from error


__all__ = ["FileError", "FileTooLargeError", "read_file"]
