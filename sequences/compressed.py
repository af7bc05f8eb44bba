"""Lines of plain and of gzipped files."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each line; the first two bytes tell if it is gzipped, not the name.

    Raises:
        ValueError: if the compressed stream is cut off or damaged.
    """
    number = 0
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if compressed else path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                yield number, line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(
            f"{path}: the compressed file is damaged or cut off after line {number:,} ({error}); "
            "delete it and get it again"
        ) from error
