"""Streaming reader of Rfam's seed alignments (Stockholm 1.0, several families in one file).

The format is that of https://rfam.org/help ("Stockholm format"): ``#=GF`` lines describe the family,
``#=GS`` lines a sequence, ``#=GC`` and ``#=GR`` lines columns; ``//`` ends a family.
"""

import gzip
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO


GAPS = str.maketrans("", "", "-._~")
IUPAC = re.compile("[ACGURYKMSWBDHVN]+")


@dataclass(frozen=True)
class Problem:
    """A record, or a part of one, that was left out, and why."""

    record: str
    reason: str
    line: int

    def __str__(self) -> str:
        return f"line {self.line}: {self.record}: {self.reason}"


@dataclass
class SeedFamily:
    """One family of a seed file.

    `features` holds the values of each ``#=GF`` tag in order; `references` maps the number of a cited
    paper to its PubMed id; `sequences` are (name, ungapped sequence) with U for T; `organisms` maps the
    names of those sequences whose ``#=GS`` lines state a species.
    """

    accession: str
    features: dict[str, list[str]]
    references: dict[str, str] = field(default_factory=dict)
    sequences: list[tuple[str, str]] = field(default_factory=list)
    organisms: dict[str, str] = field(default_factory=dict)

    def feature(self, tag: str) -> str:
        """The values of a ``#=GF`` tag joined by blanks; empty when there are none."""
        return " ".join(self.features.get(tag, [])).strip()


@dataclass
class _Block:
    """The lines of one family as they come, before they are judged."""

    line: int
    features: dict[str, list[str]] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)
    organisms: dict[str, str] = field(default_factory=dict)
    rows: dict[str, str] = field(default_factory=dict)
    row_lines: dict[str, int] = field(default_factory=dict)
    columns: str = ""

    @property
    def label(self) -> str:
        for tag in ("AC", "ID"):
            if self.features.get(tag):
                return self.features[tag][0]
        return "family without a name"


def decode_line(line: bytes) -> str:
    """Decode UTF-8, or Latin-1 where a line is not UTF-8 (Rfam's dumps mix both)."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")
    return text if text.isascii() else re.sub(r"[^\x00-\x7f]+", _mend_encoding, text)


def _mend_encoding(run: re.Match[str]) -> str:
    """Undo a UTF-8 character that was read as code page 850 ("5ÔÇÖ" for "5’"): some seeds hold them."""
    try:
        return run[0].encode("cp850").decode("utf-8")
    except UnicodeError:
        return run[0]


def open_bytes(path: Path) -> BinaryIO:
    """Open a plain or gzipped file for reading; the first two bytes decide, not the name."""
    with path.open("rb") as file:
        magic = file.read(2)
    return gzip.open(path, "rb") if magic == b"\x1f\x8b" else path.open("rb")  # type: ignore[return-value]


def read_seed(path: Path, problems: list[Problem]) -> Iterator[SeedFamily]:
    """Yield the sound families of a seed file, one in memory at a time.

    What is left out is appended to `problems`: whole families (no accession, no end, no sound sequence,
    an accession seen before) and single sequences (letters that are not IUPAC nucleotides, a row of
    another length than its alignment, nothing but gaps).

    Raises:
        ValueError: if the file holds no family in Stockholm format, or its compressed stream is cut off.
    """
    seen: set[str] = set()
    for block, complaint in _read_blocks(path, problems):
        if complaint:
            problems.append(Problem(block.label, complaint, block.line))
            continue
        family = _judge(block, problems)
        if family is None:
            continue
        if family.accession in seen:
            problems.append(Problem(family.accession, "accession seen before", block.line))
            continue
        seen.add(family.accession)
        yield family
    if not seen:
        raise ValueError(
            f"{path}: no family found; expected Rfam's seed alignments (Rfam.seed.gz), families in "
            "Stockholm format that begin with '# STOCKHOLM 1.0' and end with '//'"
        )


def _read_blocks(path: Path, problems: list[Problem]) -> Iterator[tuple[_Block, str]]:
    """Yield each block of lines with a complaint, empty when it began and ended as it must."""
    block: _Block | None = None
    stray = False
    number = 0
    with open_bytes(path) as file:
        try:
            for number, raw in enumerate(file, start=1):
                line = decode_line(raw).rstrip()
                if line.lstrip("\ufeff").startswith("# STOCKHOLM"):
                    if block:
                        yield block, "has no end ('//' is missing)"
                    block, stray = _Block(number), False
                elif block is None:
                    if line and line != "//" and not stray:
                        stray = True
                        problems.append(
                            Problem("lines between families", "no '# STOCKHOLM' line before them", number)
                        )
                elif line == "//":
                    yield block, ""
                    block = None
                elif line:
                    _add_line(block, line, number, problems)
        except EOFError as error:
            raise ValueError(
                f"{path}: the compressed file is cut off after line {number}; download it again"
            ) from error
    if block:
        yield block, "has no end ('//' is missing)"


def _add_line(block: _Block, line: str, number: int, problems: list[Problem]) -> None:
    if line.startswith("#=GF"):
        tag, value = line[4:].split(maxsplit=1)[0], line[10:].strip()
        block.features.setdefault(tag, []).append(value)
        if tag == "RM" and value.isdigit():
            reference = block.features.get("RN", ["[1]"])[-1].strip("[]")
            block.references[reference] = value
    elif line.startswith("#=GS"):
        words = line.split(maxsplit=3)
        if len(words) == 4 and words[2] == "OS":
            block.organisms[words[1]] = words[3]
    elif line.startswith("#=GC"):
        words = line.split()
        if len(words) == 3 and words[1] == "SS_cons":
            block.columns += words[2]
    elif not line.startswith("#"):
        words = line.split()
        if len(words) != 2:
            problems.append(
                Problem(block.label, f"not a name and a row of an alignment: {line[:40]!r}", number)
            )
            return
        # Rows of one name are one sequence: the format allows an alignment to be wrapped.
        block.rows[words[0]] = block.rows.get(words[0], "") + words[1]
        block.row_lines.setdefault(words[0], number)


def _judge(block: _Block, problems: list[Problem]) -> SeedFamily | None:
    accession = block.features.get("AC", [""])[0]
    if not accession:
        problems.append(Problem(block.label, "no accession (#=GF AC)", block.line))
        return None
    family = SeedFamily(accession, block.features, block.references, organisms=block.organisms)
    lengths = Counter(map(len, block.rows.values()))
    width = len(block.columns) or (lengths.most_common(1)[0][0] if lengths else 0)
    for name, row in block.rows.items():
        sequence = row.translate(GAPS).upper().replace("T", "U")
        reason = ""
        if len(row) != width:
            reason = f"row of {len(row)} columns in an alignment of {width}"
        elif not sequence:
            reason = "nothing but gaps"
        elif not IUPAC.fullmatch(sequence):
            letters = "".join(sorted(set(IUPAC.sub("", sequence))))
            reason = f"letters that are not nucleotides: {letters!r}"
        if reason:
            problems.append(Problem(f"{accession} {name}", reason, block.row_lines[name]))
        else:
            family.sequences.append((name, sequence))
    if not family.sequences:
        problems.append(Problem(accession, "no sound sequence", block.line))
        return None
    return family
