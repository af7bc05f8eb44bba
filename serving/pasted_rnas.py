"""Detection of RNAs in a text, as people paste them into a chat.

This finds where a sequence begins and ends, and is strict: a word of at least 15 letters of which
four fifths are A C G U T N, lines of such words, or a FASTA record. Whether it is an RNA
`clean_rna` says.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

MIN_LETTERS = 15
_SHARE = 0.8
_PLAIN = frozenset("ACGUTN")
_IUPAC = frozenset("ACGUTNRYKMSWBDHV")
_GAPS = "-."
_WITHOUT_GAPS = str.maketrans("", "", _GAPS)
_WORD = re.compile(rf"[\w{re.escape(_GAPS)}]{{{MIN_LETTERS},}}")
_UNBROKEN = re.compile(rf"[^{re.escape(_GAPS)}]{{{MIN_LETTERS},}}")
# Lines of a sequence are broken at such widths; else several are as likely one RNA each.
_MIN_WIDTH, _WIDTH_STEP = 40, 10
_FIVE_PRIME, _THREE_PRIME = re.compile(r"5['′’][ -]*$"), re.compile(r"^[ -]*3['′’]")
_EMPTY_FENCE = re.compile(r"```\w*\s*```")


class UnclearSequenceError(ValueError):
    """Lines that may be one sequence or several."""


@dataclass(frozen=True)
class Pasted:
    """A text and the RNAs that stood in it.

    Attributes:
        text: without them. Lines of sequence are gone; where a sequence stood among words it says
            "this RNA", or "RNA 1" and so on where there are several.
        rnas: sequences and FASTA records, as they were written.
    """

    text: str
    rnas: tuple[str, ...]


def find_pasted(text: str, max_rnas: int = 1000, given: int = 0) -> Pasted:
    """Take the sequences out of a text, at a cost that grows with its length.

    Args:
        text: of a message.
        max_rnas: where there are more, what follows the first surplus one is not read.
        given: RNAs before these; where there are some, "RNA 3" is the third one of all.

    Raises:
        UnclearSequenceError: lines of sequence without headers may be one RNA or several.

    Examples:
        >>> find_pasted("What is GCGGAUUUAGCUCAGUUGGG?")
        Pasted(text='What is this RNA?', rnas=('GCGGAUUUAGCUCAGUUGGG',))
    """
    rnas: list[str] = []
    # A number stands in the place of an RNA among words.
    left: list[str | int] = []
    lines = text.splitlines()
    at = 0
    while at < len(lines) and len(rnas) <= max_rnas:
        if len(lines[at]) < MIN_LETTERS and ">" not in lines[at]:
            taken = 1
            left += [lines[at], "\n"]
        elif taken := _fasta_lines(lines, at):
            rnas.append("\n".join([lines[at].strip(), *lines[at + 1 : at + taken]]))
        elif taken := _bare_lines(lines, at):
            rnas.append("".join("".join(lines[at : at + taken]).split()))
        else:
            taken = 1
            left += [*_without_sequences(lines[at], rnas, max_rnas), "\n"]
        at += taken
    return Pasted(_named(left, len(rnas), given), tuple(rnas)) if rnas else Pasted(text, ())


def _fasta_lines(lines: list[str], at: int) -> int:
    """Lines of the FASTA record that begins here; 0 where none does."""
    if not lines[at].lstrip().startswith(">"):
        return 0
    end = at + 1
    while end < len(lines) and _follows(lines, end, record=True):
        end += 1
    return end - at if end > at + 1 else 0


def _bare_lines(lines: list[str], at: int) -> int:
    """Lines of the sequence without a header that begins here; 0 where none does."""
    if not _is_sequence_line(lines[at]):
        return 0
    end = at + 1
    while end < len(lines) and _follows(lines, end, record=False):
        end += 1
    widths = [len("".join(line.split())) for line in lines[at:end]]
    first = widths[0]
    wrapped = first >= _MIN_WIDTH and first % _WIDTH_STEP == 0
    if len(widths) > 1 and not (wrapped and set(widths[:-1]) == {first} and widths[-1] <= first):
        raise UnclearSequenceError(
            f"The text holds {end - at} lines of nucleotides, of {', '.join(map(str, widths[:9]))}"
            f"{' ...' if len(widths) > 9 else ''} letters, which may be one RNA or several. Put a "
            'line ">name" before each RNA, or each RNA on one line with an empty line between.'
        )
    return end - at


def _follows(lines: list[str], at: int, *, record: bool) -> bool:
    """Whether a line continues the sequence (or begins that of the record) before it."""
    line, before = lines[at].strip(), lines[at - 1].strip()
    if _is_sequence_line(line):
        return True
    letters = line.translate(_WITHOUT_GAPS)
    begins = record and before.startswith(">")
    if record and len(letters) >= 10 and letters.isalpha() and letters.isupper():
        return True  # a protein, or a slip: clean_rna says which
    if not letters or not _IUPAC.issuperset("".join(letters.upper().split())):
        return False
    plain = _PLAIN.issuperset("".join(letters.upper().split()))
    if begins:
        return plain and (letters.isupper() or letters.islower())
    if plain and " " not in letters and letters.isupper() == before.isupper():
        return True
    if letters.isupper() or (plain and " " not in letters):
        raise UnclearSequenceError(
            f"It is not clear whether the line {line!r} belongs to the sequence before it. Put an "
            "empty line between them, or write the sequence on one line."
        )
    return False


def _is_sequence_line(line: str) -> bool:
    """Whether a line is one sequence and nothing else: a word, or blocks of equal length."""
    if len(line) < MIN_LETTERS:
        return False
    words = line.split()
    if len(words) == 1:
        return [word for _, word in _sequences(line)] == words
    if not words or not all(_is_mostly_plain(word) for word in words):
        return False
    lengths = [len(word) for word in words]
    return (
        5 <= lengths[0] < MIN_LETTERS <= sum(lengths)
        and set(lengths[:-1]) == {lengths[0]}
        and lengths[-1] <= lengths[0]
    )


def _without_sequences(line: str, rnas: list[str], max_rnas: int) -> list[str | int]:
    """A line of text, a number in the place of each sequence, which is added to `rnas`."""
    pieces: list[str | int] = []
    end = 0
    for begin, word in itertools.islice(_sequences(line), max_rnas + 1):
        rnas.append(word)
        pieces += [line[end:begin], len(rnas)]
        end = begin + len(word)
    pieces.append(line[end:])
    for at in range(1, len(pieces), 2):
        before, after = str(pieces[at - 1]), str(pieces[at + 1])
        if (five := _FIVE_PRIME.search(before[-9:])) and _THREE_PRIME.search(after):
            pieces[at - 1] = before[: len(before) - len(five.group())]
            pieces[at + 1] = _THREE_PRIME.sub("", after)
    return pieces


def _sequences(line: str) -> Iterator[tuple[int, str]]:
    """The sequences among the words of a line, and where they begin."""
    for match in _WORD.finditer(line):
        word = match.group().strip(_GAPS)
        begin = match.start() + match.group().index(word)
        if _IUPAC.issuperset(word.upper().translate(_WITHOUT_GAPS)):
            parts = [(0, word)]
        else:
            parts = [(found.start(), found.group()) for found in _UNBROKEN.finditer(word)]
        for at, part in parts:
            if sum(map(str.isalpha, part)) >= MIN_LETTERS and _is_mostly_plain(part):
                yield begin + at, part


def _is_mostly_plain(word: str) -> bool:
    letters = word.upper().translate(_WITHOUT_GAPS)
    plain = sum(map(letters.count, _PLAIN))
    return bool(letters) and letters.isalpha() and plain >= _SHARE * len(letters)


def _named(pieces: list[str | int], number: int, given: int) -> str:
    """The text, with what an RNA is called in the place of its number."""
    named = (
        piece if isinstance(piece, str) else f"RNA {given + piece}" if number > 1 else "this RNA"
        for piece in pieces
    )
    return _EMPTY_FENCE.sub("", "".join(named)).strip()
