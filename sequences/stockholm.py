"""Streaming reader of Rfam's seed alignments: Stockholm 1.0, many families in one file.

The format is described at https://docs.rfam.org (Stockholm format): ``#=GF`` lines describe the
family, ``#=GS`` lines a sequence, ``#=GC`` and ``#=GR`` lines columns; ``//`` ends a family. An
alignment may be wrapped into blocks with an empty line between them, each with a part of every row.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rnagpt.sequences import compressed

GAPS = str.maketrans("", "", "-._~")
IUPAC = re.compile("[ACGURYKMSWBDHVN]+")


@dataclass(frozen=True)
class Problem:
    """A record, or a part of one, that was left out, and why."""

    record: str
    reason: str
    line: int

    def __str__(self) -> str:
        return f"line {self.line:,}, {self.record}: {self.reason}"


@dataclass
class SeedFamily:
    """One family of a seed file.

    Attributes:
        accession: ``#=GF AC``, e.g. "RF00001".
        line: Number of the line where the family begins.
        features: The values of each ``#=GF`` tag, in order.
        references: PubMed id of each numbered paper (``#=GF RN`` and ``RM``).
        organisms: Species of the sequences whose ``#=GS … OS`` line states one.
        sequences: Names with sequences, gaps removed, upper case, U for T.
        rows: The same sequences as they stand in the alignment, with its gaps.
        structure: Consensus structure (``#=GC SS_cons``), one letter per column; empty without one.
    """

    accession: str
    line: int
    features: dict[str, list[str]] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)
    organisms: dict[str, str] = field(default_factory=dict)
    sequences: list[tuple[str, str]] = field(default_factory=list)
    rows: list[tuple[str, str]] = field(default_factory=list)
    structure: str = ""

    def feature(self, tag: str) -> str:
        """The values of a ``#=GF`` tag joined by blanks; empty when there are none."""
        return " ".join(self.features.get(tag, [])).strip()


@dataclass
class _Block:
    """The lines of one family as they come, before they are judged."""

    family: SeedFamily
    rows: dict[str, str] = field(default_factory=dict)
    row_lines: dict[str, int] = field(default_factory=dict)
    consensus: str = ""
    # Of the block of a wrapped alignment that is being read, its rows; and the second line of each
    # name that stands twice in one block, with rows that differ.
    part: dict[str, str] = field(default_factory=dict)
    doubled: dict[str, int] = field(default_factory=dict)

    @property
    def label(self) -> str:
        named = self.family.features.get("AC") or self.family.features.get("ID")
        return named[0] if named else "family without a name"


def read_seed(path: Path, problems: list[Problem]) -> Iterator[SeedFamily]:
    """Yield the sound families of a seed file, plain or gzipped, one in memory at a time.

    What is left out is appended to `problems`: whole families (no accession, no end, no sound
    sequence, an accession seen before or two of them) and single sequences (letters that are not
    IUPAC nucleotides, a row of another length than its alignment, nothing but gaps, a name with two
    rows in one block).

    Raises:
        ValueError: if there is no sound family in the file, or its compressed stream is damaged.
    """
    seen: set[str] = set()
    for block, complete in _read_blocks(path, problems):
        family = _judge(block, problems) if complete else None
        if not complete:
            problems.append(Problem(block.label, "has no end ('//' is missing)", block.family.line))
        elif family and family.accession in seen:
            problems.append(Problem(family.accession, "accession seen before", family.line))
        elif family:
            seen.add(family.accession)
            yield family
    if not seen:
        found = f"; the first problem is: {problems[0]}" if problems else ""
        raise ValueError(
            f"{path}: no sound family found; expected Rfam's seed alignments (Rfam.seed.gz), "
            f"families that begin with '# STOCKHOLM 1.0' and end with '//'{found}"
        )


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number and text of each line of a plain or gzipped file, as `compressed.read_lines` says.

    Line ends and trailing blanks are removed.
    """
    for number, line in compressed.read_lines(path):
        yield number, _decode(line).rstrip()


def _decode(line: bytes) -> str:
    """Decode UTF-8, or Latin-1 where a line is not UTF-8: Rfam's dumps hold both."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")
    return text if text.isascii() else re.sub(r"[^\x00-\x7f]+", _fix_encoding, text)


def _fix_encoding(run: re.Match[str]) -> str:
    """Undo UTF-8 that was once read as code page 850 ("5ÔÇÖ" for "5’"), as in some seeds."""
    try:
        return run[0].encode("cp850").decode("utf-8")
    except UnicodeError:
        return run[0]


def _read_blocks(path: Path, problems: list[Problem]) -> Iterator[tuple[_Block, bool]]:
    """Yield each family's lines, and whether they have an end."""
    block: _Block | None = None
    stray = False
    for number, line in read_lines(path):
        if line.lstrip("\ufeff").startswith("# STOCKHOLM"):
            if block:
                yield block, False
            block, stray = _Block(SeedFamily("", number)), False
        elif line == "//":
            if block:
                yield block, True
            block = None
        elif not line and block:
            block.part = {}
        elif line and block:
            _add_line(block, line, number, problems)
        elif line and not stray:
            # One complaint for all the lines of a family whose header is missing.
            stray = True
            problems.append(Problem(line[:40], "no '# STOCKHOLM' line before it", number))
    if block:
        yield block, False


def _add_line(block: _Block, line: str, number: int, problems: list[Problem]) -> None:
    words = line.split(maxsplit=3)
    if line.startswith("#=GF") and len(words) > 1:
        tag, value = words[1], line.split(maxsplit=2)[2] if len(words) > 2 else ""
        block.family.features.setdefault(tag, []).append(value)
        if tag == "RM" and value.isdigit():
            reference = block.family.features.get("RN", ["[1]"])[-1].strip("[]")
            block.family.references[reference] = value
    elif line.startswith("#=GS"):
        if len(words) == 4 and words[2] == "OS":
            block.family.organisms[words[1]] = words[3]
    elif line.startswith("#=GC"):
        # Not SS_cons_pk and its like, which stand next to it.
        if len(words) == 3 and words[1] == "SS_cons":
            if "#=GC SS_cons" in block.part:
                problems.append(Problem(block.label, "a second SS_cons in one block", number))
            else:
                block.part["#=GC SS_cons"] = words[2]
                block.consensus += words[2]
    elif not line.startswith("#"):
        if len(words) == 2:
            _add_row(block, words[0], words[1], number, problems)
        else:
            reason = f"expected a name and a row of the alignment, found {line[:40]!r}"
            problems.append(Problem(block.label, reason, number))


def _add_row(block: _Block, name: str, row: str, number: int, problems: list[Problem]) -> None:
    """Join a row to those of its name in earlier blocks; a second one in a block is no part."""
    if name not in block.part:
        block.part[name] = row
        block.rows[name] = block.rows.get(name, "") + row
        block.row_lines.setdefault(name, number)
    elif row == block.part[name]:
        problems.append(Problem(f"{block.label} {name}", "the same row again", number))
    else:
        block.doubled.setdefault(name, number)


def _judge(block: _Block, problems: list[Problem]) -> SeedFamily | None:
    """The family of a block with its sound sequences; None, and a problem, if there is none."""
    family = block.family
    accession = family.accession = family.features.get("AC", [""])[0]
    if not accession:
        problems.append(Problem(block.label, "no accession (#=GF AC)", family.line))
        return None
    if len(accessions := set(family.features["AC"])) > 1:
        reason = f"several accessions ({', '.join(sorted(accessions))}): '//' is missing in between"
        problems.append(Problem(accession, reason, family.line))
        return None
    widths = _widths(block)
    for name, row in block.rows.items():
        sequence = row.translate(GAPS).upper().replace("T", "U")
        if reason := _find_doubled(block, name) or _check_row(row, sequence, widths):
            problems.append(Problem(f"{accession} {name}", reason, block.row_lines[name]))
        else:
            family.sequences.append((name, sequence))
            family.rows.append((name, row))
    if not family.sequences:
        problems.append(Problem(accession, "no sound sequence", family.line))
        return None
    family.structure = block.consensus
    return family


def _widths(block: _Block) -> list[int]:
    """Columns of the alignment: the consensus', else most rows'; several where that ties."""
    if block.consensus:
        return [len(block.consensus)]
    lengths = Counter(len(row) for name, row in block.rows.items() if name not in block.doubled)
    most = max(lengths.values(), default=0)
    return sorted(length for length, count in lengths.items() if count == most)


def _find_doubled(block: _Block, name: str) -> str:
    if name not in block.doubled:
        return ""
    return (
        f"line {block.doubled[name]:,} has another row of this name in the same block; give one of "
        "them another name, or part the blocks of a wrapped alignment by an empty line"
    )


def _check_row(row: str, sequence: str, widths: list[int]) -> str:
    if len(widths) > 1:
        columns = " and of ".join(f"{width:,}" for width in widths)
        return f"as many rows of {columns} columns, and no SS_cons that tells which are whole"
    if len(row) not in widths:
        return f"a row of {len(row):,} columns in an alignment of {widths[0]:,}"
    if not sequence:
        return "nothing but gaps"
    if not IUPAC.fullmatch(sequence):
        letters = "".join(sorted(set(IUPAC.sub("", sequence))))
        return f"letters that are not nucleotides: {letters!r}"
    return ""
