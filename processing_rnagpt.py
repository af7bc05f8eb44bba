"""From what a person writes to what the model reads: RNA sequences, prompts and chat messages."""

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, is_dataclass
from typing import Any, NamedTuple

import numpy as np
from transformers import (
    BatchFeature,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
    ProcessorMixin,
)
from transformers.processing_utils import TextKwargs
from transformers.tokenization_utils_base import AddedToken

from .configuration_rnagpt import RNA_PAD_TOKEN_ID, RNA_VOCABULARY, num_rna_tokens

RNA_TOKEN = "<RNAHere>"
MAX_RNA_LENGTH = 16_384
MAX_AMBIGUOUS = 0.5

_NUCLEOTIDES = "ACGU"
# IUPAC's codes (Cornish-Bowden, Nucleic Acids Res. 1985), and what each stands for.
_CODES = {
    "R": "A or G",
    "Y": "C or U",
    "K": "G or U",
    "M": "A or C",
    "S": "C or G",
    "W": "A or U",
    "B": "not A",
    "D": "not C",
    "H": "not G",
    "V": "not U",
    "N": "any",
}
_LETTERS = _NUCLEOTIDES + "".join(_CODES)
_LOWER = "acgturykmswbdhvn"
_CLEANING = str.maketrans(_LOWER, _LOWER.upper(), "-.")
_FOREIGN = re.compile(f"[^{_LETTERS}T]")
_PROTEIN = "This looks like a protein: give the RNA's nucleotides."
_LINE_END = re.compile("\r\n|\r|\n")
# Letters that stand for an amino acid and never for a nucleotide.
_AMINO_ACIDS = frozenset("EFILPQZ")
_PROTEIN_LETTERS = frozenset("ACDEFGHIKLMNPQRSTVWYBZXU*")

_LETTER_IDS = np.full(128, -1)
_LETTER_IDS[[ord(letter) for letter in _LETTERS]] = [RNA_VOCABULARY.index(x) for x in _LETTERS]
_BASE_4 = np.full(128, 4)
_BASE_4[[ord(letter) for letter in _NUCLEOTIDES]] = range(4)


class RnaSequenceError(ValueError):
    """A text is not an RNA sequence that the model can read.

    Attributes:
        name: the record's name, or an empty string.
        position: 1-based position of the first offending letter among the sequence's letters, so
            without header, white space and gaps; None where the fault has no single place.
    """

    def __init__(self, message: str, name: str = "", position: int | None = None) -> None:
        super().__init__(message)
        self.name = name
        self.position = position


class RnaTooLongError(RnaSequenceError):
    """A sequence that is longer (nt) than is accepted."""


@dataclass(frozen=True)
class CleanedRna:
    """An RNA as the model reads it.

    Attributes:
        name: the name in its FASTA header, else the name given.
        sequence: upper-case A C G U and IUPAC codes.
        changes: what else was changed or is not plain, for people to read: "12 T read as U",
            "3 gaps dropped", "2 lines joined", "IUPAC codes kept: 1 R (A or G)".
    """

    name: str
    sequence: str
    changes: tuple[str, ...] = ()


class Structure(NamedTuple):
    """A secondary structure that was written below a sequence.

    Attributes:
        dot_bracket: one character a nucleotide.
        energy: in kcal/mol; None where none was written.
    """

    dot_bracket: str
    energy: float | None


def clean_rna(
    text: Any,
    *,
    name: str = "",
    max_length: int = MAX_RNA_LENGTH,
    max_ambiguous: float = MAX_AMBIGUOUS,
) -> CleanedRna:
    """Clean one RNA sequence. Nothing else in the project does so.

    Letters become upper case and T becomes U. White space, line breaks and gaps (`-` and `.`) are
    dropped. The IUPAC codes R Y K M S W B D H V N are kept. Where the text is a FASTA record, the
    first word of its header is the name. Left out are also `5'-` and `-3'` around the sequence,
    GenBank's ORIGIN and `//`, position numbers that count the letters, and dot-bracket structures
    below the sequence, as RNAfold writes them. `changes` says all of it.

    IUPAC's codes spell words as well (tRNA, DNA, wt, Human), so white space is not dropped blindly:

    - A tab between letters separates the columns of a table: rejected.
    - A name is rejected: a word of at most 12 letters, at least a quarter of them codes and not
      only N, that stands next to nucleotides with hardly any code (under a twentieth) and either is
      written in another case than they all are, or begins a line whose words are not blocks of one
      width. A name may also be all there is: then it mixes capitals and small letters.
    - Lines without a header are one sequence where they are wrapped: all of one width, the last one
      no wider. Where position numbers or both 5' and 3' hold them together, any width will do, as
      it will below a header. Other lines are several sequences: rejected.

    Args:
        text: a sequence, or one FASTA record, as a string or as Biopython's Seq, MutableSeq or
            SeqRecord, whose id is then the name.
        name: what errors call a sequence that has no header.
        max_length: the most nucleotides (nt) accepted.
        max_ambiguous: the largest share of IUPAC codes accepted, from 0 to 1.

    Raises:
        RnaSequenceError: for an empty sequence, a letter that no RNA has, a name or a table, too
            many IUPAC codes, a sequence that is too long, or several sequences. It names the
            record, the position and the remedy.
        TypeError: when `text` is no text: an array or a list of sequences, bytes, None.

    Examples:
        >>> clean_rna("gcgg-AUT")
        CleanedRna(name='', sequence='GCGGAUU', changes=('1 T read as U', '1 gap dropped'))
    """
    text, name = _as_text(text, name)
    lines = _LINE_END.split(text.removeprefix("\ufeff"))
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    headed = lines[first].lstrip().startswith(">")
    if headed:
        name = (lines[first].lstrip()[1:].split() or [name])[0]
        lines[: first + 1] = [""] * (first + 1)
    written = lines
    lines, notes, is_one = _without_annotations(lines)
    letters = _letters(lines)
    if _FOREIGN.search(letters):
        raise _foreign_letter(lines, written, name)
    _check_layout(lines, name, headed or is_one)
    sequence = letters.replace("T", "U")
    _check_length(sequence, name, max_length)
    _check_ambiguous(sequence, name, max_ambiguous)
    return CleanedRna(name, sequence, (*_changes(lines, letters), *notes))


def _as_text(given: Any, name: str) -> tuple[str, str]:
    """The text of what was given, and its name where it brings one."""
    if isinstance(given, str):
        return given, name
    # By their modules' names: Biopython need not be installed. `str` of a SeqRecord is a summary.
    modules = {kind.__module__ for kind in type(given).__mro__}
    if "Bio.SeqRecord" in modules:
        known = given.id if given.id != "<unknown id>" else ""
        return _as_text(given.seq, known or name)
    if "Bio.Seq" in modules:
        try:
            return str(given), name
        except Exception as error:  # Bio.Seq.UndefinedSequenceError
            reason = f"{_record(name)} is of known length alone. Give one with its letters."
            raise RnaSequenceError(reason, name) from error
    raise TypeError(f"{_record(name)} must be a string, got {_describe(given)}")


def _describe(given: Any) -> str:
    """What was given in place of a string, and what to do."""
    kind = type(given).__name__
    # NaN differs from itself; NAType and NaTType are those of pandas.
    missing = given is None or (isinstance(given, float) and given != given)
    if missing or kind in ("NAType", "NaTType"):
        return f"{given}, a missing value. Leave the row out, or fill in its sequence."
    if isinstance(given, (bytes, bytearray)):
        return f'{kind}. Decode it first: text.decode("ascii").'
    shape = getattr(given, "shape", None)
    if shape == ():
        return f"{kind} of no dimension. Give its value: x.item()."
    if isinstance(shape, tuple) and hasattr(given, "dtype"):
        size = " x ".join(map(str, shape))
        return f"{kind} of {size} values. Give one sequence at a time: one of x.tolist()."
    if isinstance(shape, tuple):
        return f"{kind}. Give one sequence at a time, from the column that holds them."
    if isinstance(given, (list, tuple, set, frozenset)):
        return f"{kind} of {len(given)} values. Give one sequence at a time."
    return f"{kind}. Give the letters as text."


# --- what people write around a sequence

_PRIME = "['\u2019\u2032\u00b4`\u2018]"
_DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2026."
_FIVE_PRIME = re.compile(rf"\s*5\s*{_PRIME}\s*[{_DASHES}]*\s*")
_THREE_PRIME = re.compile(rf"3\s*{_PRIME}$")
_ORIGIN = re.compile(r"\s*(ORIGIN|SQ   Sequence \d+ BP;.*)\s*")
_NUMBER = re.compile(r"(?<!\S)[0-9]{1,9}(?!\S)")
_DIGIT = re.compile("[0-9]")
_BRACKET = re.compile(r"[\[({<]")
_PAIRS = re.compile(r"[.()\[\]{}<>|,:_~A-Za-z-]+")
_IN_BRACKETS = re.compile(r"[\[({]?\s*[-+]?\d[^\])}]*[\])}]?")
_ENSEMBLE = re.compile(r"\s*frequency of mfe structure in ensemble .*")
_ENERGY = re.compile(r"[-+]?\d+(?:\.\d+)?")


def _without_annotations(lines: list[str]) -> tuple[list[str], list[str], bool]:
    """The lines of a sequence alone, what was left out, and whether that proves it one sequence.

    What is not understood stays, and is found among the letters.
    """
    text = "\n".join(lines)
    # Nearly every sequence has none of it, and there are millions of them.
    if not (_DIGIT.search(text) or _BRACKET.search(text) or "//" in text or "ORIGIN" in text):
        return lines, [], False
    lines, structures = split_structure(lines)
    lines, num_ends = _without_ends(_without_origin(lines))
    lines, num_numbers = _without_numbers(lines)
    notes = structure_notes(structures)
    if num_ends:
        notes.append("the marks of the 5' and 3' ends dropped")
    if num_numbers:
        notes.append(f"{_count(num_numbers, 'position number')} dropped")
    return lines, notes, num_ends == 2 or num_numbers > 1


def _written(lines: list[str]) -> list[int]:
    """Numbers, from 0, of the lines that are not blank."""
    return [number for number, line in enumerate(lines) if line.strip()]


def _without_origin(lines: list[str]) -> list[str]:
    """Without the lines that GenBank and EMBL put before and after a sequence."""
    written = _written(lines)
    if written and _ORIGIN.fullmatch(lines[written[0]]):
        lines = [*lines[: written[0]], "", *lines[written[0] + 1 :]]
    if written and lines[written[-1]].strip() == "//":
        lines = [*lines[: written[-1]], "", *lines[written[-1] + 1 :]]
    return lines


def _without_ends(lines: list[str]) -> tuple[list[str], int]:
    """Without 5'- and -3', and how many of them there were."""
    written = _written(lines)
    if not written:
        return lines, 0
    lines = list(lines)
    five = _FIVE_PRIME.match(lines[written[0]])
    if five:
        lines[written[0]] = lines[written[0]][five.end() :]
    last = lines[written[-1]].rstrip()
    three = _THREE_PRIME.search(last)
    if three:
        lines[written[-1]] = last[: three.start()].rstrip().rstrip(_DASHES)
    return lines, bool(five) + bool(three)


def _without_numbers(lines: list[str]) -> tuple[list[str], int]:
    """Without position numbers, and how many; as it was where they do not count the letters.

    A number stands before its letter (GenBank) or after it (EMBL), and a part of a sequence may
    begin with another number than 1.
    """
    words = " ".join(lines).split()
    numbers = [word for word in words if _NUMBER.fullmatch(word)]
    if len(numbers) in (0, len(words)):
        return lines, 0
    if not any(_is_counting(words, gaps) for gaps in ("", "-.")):
        return lines, 0
    return [_NUMBER.sub(lambda found: " " * len(found[0]), line) for line in lines], len(numbers)


def _is_counting(words: list[str], gaps: str) -> bool:
    dropped = str.maketrans("", "", gaps)
    position = int(words[0]) - 1 if _NUMBER.fullmatch(words[0]) else 0
    for word in words:
        if not _NUMBER.fullmatch(word):
            position += len(word.translate(dropped))
        elif int(word) not in (position, position + 1):
            return False
    return True


def split_structure(lines: list[str]) -> tuple[list[str], list[Structure]]:
    """Part a sequence from the dot-bracket structures below it, wrapped as it is or not.

    Where what is below has not as many characters as the sequence, or a whole multiple of them,
    nothing is parted.
    """
    if not any(map(_BRACKET.search, lines)):
        return lines, []
    found = [_structure(line) for line in lines]
    last = next((i for i, pair in enumerate(found) if pair and _is_sure(*pair)), 0)
    # A structure may begin with lines of unpaired nucleotides.
    first = last
    while first > 0 and set(lines[first - 1].strip()) == {"."}:
        first -= 1
    length = len("".join("".join(lines[:first]).split()))
    below = sum(len(pair[0]) for pair in found[first:] if pair)
    for start in range(first, last + 1):
        if length and below and below % length == 0:
            structures = _structures(lines[start:], found[start:], length)
            if structures:
                return [*lines[:start], *[""] * (len(lines) - start)], structures
        width = len(lines[start].strip())
        length, below = length + width, below - width
    return lines, []


def _structure(line: str) -> tuple[str, str] | None:
    """Dot-bracket and what is written behind it, where a line may be that."""
    pairs, energy = (*line.split(maxsplit=1), "", "")[:2]
    energy = energy.strip()
    fits = _PAIRS.fullmatch(pairs) and (not energy or _IN_BRACKETS.fullmatch(energy))
    return (pairs, energy) if fits else None


def _is_sure(pairs: str, energy: str) -> bool:
    """Whether it is dot-bracket beyond doubt: by its brackets or its energy, and few letters."""
    if 2 * sum(map(str.isalpha, pairs)) > len(pairs):
        return False
    return bool(_BRACKET.search(pairs) or (energy and set(pairs) == {"."}))


def _structures(
    lines: list[str], found: list[tuple[str, str] | None], length: int
) -> list[Structure]:
    """The structures of lines, of `length` characters each; none where the lines do not fit."""
    structures: list[Structure] = []
    pieces: list[str] = []
    width = 0
    for line, pair in zip(lines, found, strict=True):
        if not line.strip() or _ENSEMBLE.fullmatch(line):
            continue
        if not pair:
            return []
        pieces.append(pair[0])
        width += len(pair[0])
        if width == length:
            energy = _ENERGY.search(pair[1])
            structures.append(Structure("".join(pieces), float(energy[0]) if energy else None))
            pieces, width = [], 0
    return [] if pieces else structures


def structure_notes(structures: Sequence[Structure]) -> list[str]:
    """What `changes` says of structures that were left out."""
    if not structures:
        return []
    energy = structures[0].energy
    known = "" if energy is None else f" ({energy:g} kcal/mol)"
    return [f"{_count(len(structures), 'dot-bracket structure')} left out{known}"]


# --- how a sequence is laid out

_MAX_NAME = 12
_TAB = re.compile(r"\S[^\S\t]*\t\s*\S")
_PLAIN_LINE = re.compile("[A-Za-z*.-]+")


def join_lines(lines: list[str], headed: bool) -> str:
    """The lines of a sequence as one, where they are plainly one; else with their line breaks.

    What keeps its line breaks is for `clean_rna` to judge. `lines` are not blank, and without white
    space at their ends.
    """
    if not all(map(_PLAIN_LINE.fullmatch, lines)):
        return "\n".join(lines)
    is_one = (headed or _is_even(lines)) and not _find_name([[line] for line in lines])
    return ("" if is_one else "\n").join(lines)


def _check_layout(lines: list[str], name: str, is_one: bool) -> None:
    """Reject names, tables and several sequences that IUPAC's codes would let pass."""
    rows = [words for line in lines if (words := line.split())]
    for number, line in enumerate(lines, start=1):
        if "\t" in line and _TAB.search(line):
            raise RnaSequenceError(
                f"{_record(name)} has a tab between letters in line {number} "
                f"({_shorten(line.strip())!r}): these are columns of a table. {_TABLE}",
                name,
            )
    if label := _find_name(rows):
        raise RnaSequenceError(_label_error(label, rows, name), name)
    widths = ["".join(row) for row in rows]
    if not is_one and not _is_even(widths):
        shown = ", ".join(str(len(width)) for width in widths[:6]) + ", ..." * (len(widths) > 6)
        raise RnaSequenceError(
            f"{_record(name)} has {len(rows):,} lines of {shown} letters, and wrapped lines are of "
            "one width. If they are several sequences, or the first line is a name, give each "
            'sequence a header: a line ">name" before it. If they are one, write it on one line.',
            name,
        )


_TABLE = (
    'Give the sequence alone, or FASTA: a line ">name" before each sequence, for example by '
    "`awk -F'\\t' '{print \">\"$1\"\\n\"$2}' table.tsv`."
)


def _label_error(label: str, rows: list[list[str]], name: str) -> str:
    if rows == [[label]]:
        return (
            f"{_record(name)} is {label!r}, which looks like a name and not like nucleotides. Give "
            "its sequence. If it is one, write it in capitals."
        )
    return (
        f"{_record(name)} has {label!r} beside its nucleotides, which looks like a name, though "
        'IUPAC codes spell it. Put a name on a line of its own that begins with ">", or leave it '
        "out. If it is a part of the sequence, write all of it without white space in capitals."
    )


def _is_even(words: Sequence[str]) -> bool:
    """Whether words are blocks of one width, of which the last may be narrower."""
    widths = list(map(len, words))
    return not widths or (set(widths[:-1]) <= {widths[0]} and widths[-1] <= widths[0])


def _find_name(rows: list[list[str]]) -> str | None:
    """A word among the nucleotides that is a name; the rules are those of `clean_rna`."""
    words = [word for row in rows for word in row]
    names = {word: None for word in words if _may_be_name(word)}  # in their order
    if not names:
        return None
    others = [word for word in words if word not in names]
    if not others:
        return next((word for word in names if _case(word) == "mixed"), None)
    letters = "".join(others)
    if 20 * _num_codes(letters) >= len(letters):
        return None
    cases = {_case(word) for word in others}
    # Who masks repeats in lower case may change the case within any word.
    unlike = [word for word in names if {_case(word)} != cases in ({"upper"}, {"lower"})]
    leading = [] if _is_even(words) else [row[0] for row in rows if row[0] in names]
    return next(iter([*unlike, *leading]), None)


def _may_be_name(word: str) -> bool:
    if len(word) > _MAX_NAME or not word.isalpha():
        return False
    num_codes = _num_codes(word)
    return 4 * num_codes >= len(word) and num_codes > word.upper().count("N")


def _num_codes(word: str) -> int:
    return sum(map(word.upper().count, _CODES))


def _case(word: str) -> str:
    return "upper" if word.isupper() else "lower" if word.islower() else "mixed"


def _letters(lines: list[str]) -> str:
    # Of all that Python calls white space, `split` leaves nothing.
    return "".join("".join(lines).split()).translate(_CLEANING)


def _changes(lines: list[str], letters: str) -> tuple[str, ...]:
    changes = []
    num_gaps = sum(line.count("-") + line.count(".") for line in lines)
    if num_t := letters.count("T"):
        both = ", beside the U that were there" if "U" in letters else ""
        changes.append(f"{num_t:,} T read as U{both}")
    if num_gaps:
        changes.append(f"{_count(num_gaps, 'gap')} dropped")
    rows = [len(words) for line in lines if (words := line.split())]
    if len(rows) > 1:
        changes.append(f"{len(rows):,} lines joined")
    if max(rows, default=0) > 1:
        changes.append(f"{sum(rows):,} blocks joined")
    codes = [(letters.count(code), code) for code in _CODES if code in letters]
    if codes:
        listed = ", ".join(f"{number:,} {code} ({_CODES[code]})" for number, code in codes)
        changes.append(f"IUPAC codes kept: {listed}")
    return tuple(changes)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


# --- what is no sequence

# How a text of another format begins, and what to do.
_OTHER_FORMATS = {
    "@HD\t": ("SAM", "samtools fasta"),
    "@SQ\t": ("SAM", "samtools fasta"),
    "@RG\t": ("SAM", "samtools fasta"),
    "@PG\t": ("SAM", "samtools fasta"),
    "@CO\t": ("SAM", "samtools fasta"),
    "@": ("FASTQ", "seqtk seq -a"),
    "LOCUS ": ("GenBank", "seqret -osformat2 fasta"),
    "ID   ": ("EMBL", "seqret -osformat2 fasta"),
    "# STOCKHOLM": ("Stockholm", "esl-reformat fasta"),
    "CLUSTAL": ("Clustal", "esl-reformat fasta"),
    "MUSCLE (": ("Clustal", "esl-reformat fasta"),
    "#NEXUS": ("NEXUS", "seqret -osformat2 fasta"),
    "##gff": ("GFF", "bedtools getfasta -fi GENOME -bed"),
    "##fileformat=VCF": ("VCF", "bcftools consensus -f GENOME"),
}
_OTHER_FILES = {
    "<": ("a web page or XML", "Download the FASTA file itself, or copy the sequence alone."),
    "%PDF": ("a PDF", "Copy the sequence out of it."),
    "{\\rtf": ("a document of a word processor", "Save it as plain text."),
    "{": ("JSON", "Give the sequence alone."),
}


def other_format(line: str) -> str | None:
    """What a first line shows to be in another format than FASTA, with what to do; else None."""
    for beginning, (name, command) in _OTHER_FORMATS.items():
        if line.startswith(beginning):
            return f"looks like {name}, not FASTA. Convert it first, for example with `{command}`."
    for beginning, (name, remedy) in _OTHER_FILES.items():
        if line.lstrip().startswith(beginning):
            return f"looks like {name}, not FASTA. {remedy}"
    return None


_MAX_ACCESSION = 40
# Databases whose accessions people give in place of a sequence, and where the sequence is.
_ACCESSIONS = (
    (r"RF\d{5}", "Rfam", "https://rfam.org/family/{0}"),
    (r"URS[0-9A-F]{10}(?:[_/]\d+)?", "RNAcentral", "https://rnacentral.org/rna/{0}"),
    (
        r"(?:NR|NM|XR|XM|NC|NG|NT|NW|NZ|AC)_\d+(?:\.\d+)?",
        "NCBI",
        "https://www.ncbi.nlm.nih.gov/nuccore/{0}?report=fasta",
    ),
    (
        r"ENS[A-Z]*[TGE]\d{11}(?:\.\d+)?",
        "Ensembl",
        "https://rest.ensembl.org/sequence/id/{0}?type=cdna;content-type=text/x-fasta",
    ),
    (r"MI\d{7}", "miRBase", "https://mirbase.org/hairpin/{0}"),
    (r"MIMAT\d{7}", "miRBase", "https://mirbase.org/mature/{0}"),
    (
        r"(?:[a-z]{3,4}-)?(?:mir|miR|let|lin|bantam)-\d[0-9a-z]*(?:-[0-9a-z]+)*",
        "miRBase",
        "https://mirbase.org/results/?query={0}",
    ),
    (r"[0-9][A-Za-z0-9]{3}(?:[_:][A-Za-z0-9]+)?", "PDB", "https://www.rcsb.org/fasta/entry/{0}"),
    (
        r"(?:[A-Z]\d{5}|[A-Z]{2}\d{6}|[A-Z]{2}\d{8}|[A-Z]{4,6}\d{8,10})(?:\.\d+)?(?:/\d+-\d+)?",
        "GenBank/ENA",
        "https://www.ebi.ac.uk/ena/browser/api/fasta/{0}",
    ),
)


def accession_advice(text: str) -> str | None:
    """Where to fetch the sequence of an accession; None where the text is none.

    Only the first of several is spoken of, and the text must hold nothing else.
    """
    words = text.replace(",", " ").split()
    found = [_accession(word) for word in words]
    return found[0] if found and all(found) else None


def _accession(word: str) -> str | None:
    if len(word) > _MAX_ACCESSION:
        return None
    for pattern, database, where in _ACCESSIONS:
        if re.fullmatch(pattern, word) and not word.isdigit() and not word.isalpha():
            # The part of an entry (`X01556.1/3-118`) and a chain are no part of the address.
            address = re.split("[/:]", word)[0].split("_" if database == "PDB" else " ")[0]
            if database == "Rfam":
                what = "a family of RNAs, not a sequence. Give the sequence of one of them, from"
            else:
                what = "an accession, not a sequence. Give its sequence, which is at"
            return f"{word} of {database} is {what} {where.format(address)}"
    return None


# MODOMICS' one-letter codes of modified nucleotides with their short names, by the nucleotide that
# is modified (Boccaletto et al., Nucleic Acids Res. 2018: the letters that most sequences are in).
_MODIFIED_FROM = {
    "A": 'H xA " m1A / m2A + i6A * ms2i6A = m6A 6 t6A E m6t6A [ ms2t6A : Am I inosine O m1I '
    "^ Ar(p) ` io6A",
    "C": "< xC % s2C ' m3C ? m5C M ac4C B Cm } k2C > f5C",
    "G": "; xG K m1G L m2G # Gm R m2,2G | m2,2Gm 7 m7G ( archaeosine Q queuosine 8 manQ 9 galQ "
    "Y wybutosine W o2yW",
    "U": "{ mnm5U 2 s2U J Um 4 s4U & ncm5U 1 mcm5U S mnm5s2U 3 mcm5s2U V cmo5U 5 mo5U ! cmnm5U "
    "$ cmnm5s2U X acp3U ~ ncm5Um ) cmnm5Um D dihydrouridine P pseudouridine Z \u03a8m F m5s2U "
    "] m1\u03a8 \\ m5Um \u03a8 pseudouridine \u03c8 pseudouridine",
}
_MODIFIED = {
    code: (name, parent)
    for parent, listed in _MODIFIED_FROM.items()
    for code, name in zip(listed.split()[::2], listed.split()[1::2], strict=True)
}
_IUPAC_ADVICE = "Use A C G U (or T) and the IUPAC codes R Y K M S W B D H V N; N is any nucleotide."
_CELLS = re.compile(r"\S\t\s*\S|\S[,;|]\S")
_REVERSED = re.compile(rf"\s*3\s*{_PRIME}")
_END = re.compile(rf"[35]\s*{_PRIME}")


def _foreign_letter(lines: list[str], written: list[str], name: str) -> RnaSequenceError:
    """The error for the first letter that no RNA has, with its place and the remedy.

    `lines` are those of the sequence, `written` what was given.
    """
    found = [_FOREIGN.search(_letters([line])) for line in lines]
    number, match = next((i, match) for i, match in enumerate(found) if match)
    letter, position = match.group(), len(_letters(lines[:number])) + match.start() + 1
    place = f"position {position:,}"
    if sum(bool(line.strip()) for line in written) > 1:
        place += f" (line {number + 1}: {_shorten(written[number].strip())!r})"
    shown = repr(letter) if letter.isprintable() else f"the character U+{ord(letter):04X}"
    remedy = _remedy(letter, "\n".join(written).strip(), _letters(lines))
    return RnaSequenceError(f"{_record(name)} has {shown} at {place}. {remedy}", name, position)


def _remedy(letter: str, text: str, letters: str) -> str:
    """What to do about a text with a letter that no RNA has: by what the text seems to be."""
    if letter == ">":
        return "Give one FASTA record at a time, or read the file with rnagpt.read_fasta."
    other = other_format(text)
    if other:
        return f"This {other}"
    for find in (accession_advice, _advice_on_ends, _advice_on_cells, _advice_on_numbers):
        if advice := find(text):
            return advice
    if letter in "([{<" and set(text) & set(")]}>"):
        return (
            "A dot-bracket structure belongs below the sequence, on lines of its own, with one "
            "character for each letter of the sequence."
        )
    return _advice_on_letters(text, letters)


def _advice_on_ends(text: str) -> str | None:
    if _REVERSED.match(text):
        return "This is written from 3' to 5'. Turn it round: a sequence is read from 5' to 3'."
    if len(_END.findall(text)) > 2 and not text[:1].isalpha():
        return "These look like two strands. Give one of them, from 5' to 3'."
    return None


def _advice_on_cells(text: str) -> str | None:
    return f"These look like columns of a table. {_TABLE}" if _CELLS.search(text) else None


def _advice_on_numbers(text: str) -> str | None:
    if not any(map(_NUMBER.fullmatch, text.split())):
        return None
    return (
        "Numbers are understood where they count the letters, and here they do not: letters are "
        "missing, or the numbers are no positions. Remove position numbers, such as GenBank's, and "
        "give the letters alone."
    )


def _advice_on_letters(text: str, letters: str) -> str:
    """For a text that is of none of the known forms: a protein, words, or a slip."""
    words = text.split()
    native = sum(map(letters.count, _NUCLEOTIDES + "TN")) / len(letters)
    if _looks_like_protein(words):
        return _PROTEIN
    odd = [word for word in words if _FOREIGN.search(_letters([word]))]
    if len(odd) < len(words) and odd == words[: len(odd)]:
        return (
            f"{_shorten(' '.join(odd))!r} looks like a name. Put it on a line of its own that "
            'begins with ">", or leave it out.'
        )
    if native < 0.6:
        return (
            "This looks like text and not like a sequence. Give the nucleotides of the RNA; "
            "https://rnacentral.org finds them by its name."
        )
    return " ".join([_IUPAC_ADVICE, *_advice_on_modified(letters)])


def _looks_like_protein(words: list[str]) -> bool:
    """Letters of amino acids in one case, two or more of which no nucleotide has, and no words."""
    letters = "".join(words).translate(str.maketrans("", "", "-."))
    found = [letter for letter in letters.upper() if letter in _AMINO_ACIDS]
    if set(letters.upper()) - _PROTEIN_LETTERS or len(set(found)) < 2:
        return False
    # A quarter of a protein's letters are those; the shares of A C G T in it are small.
    if 10 * len(found) < len(letters) or _case(letters.replace("*", "") or "-") == "mixed":
        return False
    # Words of English are shorter, and many have a U, as few proteins do (selenocysteine). Lower
    # case is seldom a protein's.
    shortest = 8 if letters.isupper() else 20
    if "U" in letters.upper():
        shortest = 30
    return len(letters) >= shortest and len(letters) >= 8 * len(words)


def _advice_on_modified(letters: str) -> list[str]:
    foreign = {letter for letter in letters if _FOREIGN.match(letter)}
    if not foreign <= _MODIFIED.keys():
        return []
    # Among letters of MODOMICS those that IUPAC has as well are modified nucleotides, too.
    also = set(letters) & _CODES.keys() & _MODIFIED.keys() if len(foreign) > 1 else set()
    listed = "; ".join(
        f"{code} is {_MODIFIED[code][0]}, write {_MODIFIED[code][1]}"
        for code in sorted(foreign | also, key=letters.index)
    )
    return [f"In MODOMICS' alphabet of modified nucleotides, {listed}."]


def _check_length(sequence: str, name: str, max_length: int) -> None:
    if not sequence:
        raise RnaSequenceError(f"{_record(name)} is empty. Give at least one nucleotide.", name)
    if len(sequence) > max_length:
        raise RnaTooLongError(
            f"{_record(name)} has {len(sequence):,} nt, but what lies beyond position "
            f"{max_length:,} is not accepted. Give the part that the question is about.",
            name,
            max_length + 1,
        )


def _check_ambiguous(sequence: str, name: str, max_ambiguous: float) -> None:
    num_ambiguous = len(sequence) - sum(map(sequence.count, _NUCLEOTIDES))
    if num_ambiguous <= max_ambiguous * len(sequence):
        return
    position = next(i for i, x in enumerate(sequence, start=1) if x not in _NUCLEOTIDES)
    # Where a nucleotide is unknown people write N, and seldom many other codes.
    num_kinds = len(set(sequence) - set(_NUCLEOTIDES))
    if num_kinds > 5 and len(sequence) > _MAX_NAME:
        remedy = _PROTEIN
    elif len(sequence) <= _MAX_NAME and num_kinds > 1:
        remedy = "If it is a name, give its sequence; else one with more known nucleotides."
    else:
        remedy = "Give a sequence with more known nucleotides."
    raise RnaSequenceError(
        f"{_record(name)} has {num_ambiguous:,} ambiguous letters among {len(sequence):,}, the "
        f"first at position {position:,}; at most {max_ambiguous:.0%} are accepted. {remedy}",
        name,
        position,
    )


def _record(name: str) -> str:
    return f"RNA {_shorten(name)!r}" if name else "The RNA sequence"


def _shorten(text: str, width: int = 60) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def tokenize_rna(sequence: str, kmer_size: int = 1) -> np.ndarray:
    """Token ids of a cleaned sequence, one a nucleotide: (length,), int64.

    For k = `kmer_size` = 1 each letter has its id in RNA-FM's vocabulary. For k > 1 position i has
    the id 25 + the base-4 number of nucleotides i to i+k-1 (A 0, C 1, G 2, U 3, the first most
    significant). Where one of them is ambiguous, or fewer than k are left at the 3' end, it has
    the id of letter i alone.

    Raises:
        ValueError: for a letter that `clean_rna` would not leave.
    """
    letters = np.frombuffer(sequence.encode("ascii", errors="replace"), dtype=np.uint8)
    ids = _LETTER_IDS[letters]
    if (ids < 0).any():
        raise ValueError("tokenize_rna takes what clean_rna returns: A C G U and IUPAC codes.")
    num_kmers = len(letters) - kmer_size + 1
    if kmer_size == 1 or num_kmers < 1:
        return ids
    digits = np.lib.stride_tricks.sliding_window_view(_BASE_4[letters], kmer_size)
    numbers = digits @ 4 ** np.arange(kmer_size - 1, -1, -1)
    known = (digits < 4).all(axis=1)
    ids[:num_kmers] = np.where(known, len(RNA_VOCABULARY) + numbers, ids[:num_kmers])
    return ids


# What a call heeds, and what else transformers' own callers name, as long as it asks for nothing.
_OPTIONS = (
    "add_special_tokens",
    "max_length",
    "pad_to_multiple_of",
    "padding",
    "padding_side",
    "return_tensors",
    "truncation",
)
_OPTION_GROUPS = ("text_kwargs", "common_kwargs")
_NOT_DONE = {"images", "videos", "audio", "images_kwargs", "videos_kwargs", "audio_kwargs"}
_NOT_DONE |= set(TextKwargs.__annotations__) - {*_OPTIONS, "verbose"}
_SIDES = ("left", "right")
_RNAS = " of sequences, or one sequence as a string"


class RnaGptProcessor(ProcessorMixin):
    r"""Prepares prompts that hold RNAs.

    Args:
        tokenizer: The language model's own. It gains the token `<RNAHere>`, and a padding token
            where it has none; its chat template is used as it is.
        kmer_size: Nucleotides that a token of the encoder reads (`config.rna_kmer_size`).
        merge_size: Nucleotides that share a vector (`config.rna_merge_size`).
        summary_size: Vectors that summarise an RNA (`config.rna_summary_size`).
        max_rna_length: The longest RNA (nt) accepted (`config.max_rna_length`).
        max_ambiguous: The largest share of IUPAC codes accepted, from 0 to 1.
        max_context: Tokens that the language model reads; None: the tokenizer's limit.
        rna_token: The placeholder of an RNA in a prompt.
        chat_template: A template to use instead of the language model's own.
        padding_side: Where batches are padded, and with them those of `tokenizer`: `"left"`, as
            generation needs it, or `"right"`.

    Examples:
        >>> rna = {"type": "rna", "rna": "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCC"}
        >>> question = {"type": "text", "text": "What is this RNA?"}
        >>> inputs = processor.apply_chat_template(
        ...     [{"role": "user", "content": [rna, question]}],
        ...     add_generation_prompt=True,
        ...     tokenize=True,
        ... )
        >>> model.generate(**inputs)
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        kmer_size: int = 1,
        merge_size: int = 1,
        summary_size: int = 0,
        max_rna_length: int = MAX_RNA_LENGTH,
        max_ambiguous: float = MAX_AMBIGUOUS,
        max_context: int | None = None,
        rna_token: str = RNA_TOKEN,
        chat_template: str | None = None,
        padding_side: str = "left",
    ) -> None:
        self.kmer_size = kmer_size
        self.merge_size = merge_size
        self.summary_size = summary_size
        self.max_rna_length = max_rna_length
        self.max_ambiguous = max_ambiguous
        self.max_context = max_context
        self.rna_token = rna_token
        if rna_token not in tokenizer.get_vocab():
            token = AddedToken(rna_token, normalized=False, special=True)
            tokenizer.add_tokens([token], special_tokens=True)
        if tokenizer.pad_token is None:
            # Llama 3 brings none. Padding is masked out, so that any token serves.
            tokenizer.pad_token = tokenizer.eos_token
        super().__init__(tokenizer, chat_template=chat_template or tokenizer.chat_template)
        self.padding_side = padding_side

    @property
    def padding_side(self) -> str:
        """Where batches are padded unless a call says otherwise: the tokenizer's side."""
        return self.tokenizer.padding_side

    @padding_side.setter
    def padding_side(self, side: str) -> None:
        self.tokenizer.padding_side = _checked_side(side)
        # A tokenizer saves of its attributes those alone that it was made with.
        self.tokenizer.init_kwargs["padding_side"] = side

    def to_dict(self) -> dict[str, Any]:
        """The settings that are saved."""
        return {**super().to_dict(), "padding_side": self.padding_side}

    @property
    def rna_token_id(self) -> int:
        """Id of the placeholder, for `config.rna_token_id`."""
        return self.tokenizer.convert_tokens_to_ids(self.rna_token)

    @property
    def model_input_names(self) -> list[str]:
        return ["input_ids", "attention_mask", "rna_input_ids", "rna_attention_mask"]

    def num_rna_tokens(self, length: int) -> int:
        """Placeholders that an RNA of `length` nt takes in a prompt."""
        return num_rna_tokens(length, self.merge_size, self.summary_size)

    def __call__(
        self,
        text: str | Sequence[str],
        rna: Any = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Prepare prompts in which `<RNAHere>` stands for an RNA.

        A sequence is a string, or what says itself that it is one: a `Seq` or `SeqRecord` of
        biopython, a `CleanedRna`. A list is anything in order: a tuple, an array, a pandas Series.

        Args:
            text: a prompt, or a list of prompts, the batch.
            rna: the RNAs of the placeholders: one sequence; a list in the placeholders' order; or
                a list with an entry for each prompt: a sequence, a list of sequences, or None
                where the prompt has no RNA.
            padding: as for the tokenizer; default True, to the longest prompt.
            padding_side: `"left"` to generate, `"right"` to train; default that of the processor,
                which is `"left"` unless it was made with another.
            max_length, pad_to_multiple_of, add_special_tokens: as for the tokenizer.
            return_tensors: `"pt"` (default), `"np"`, or None for lists.
            text_kwargs, common_kwargs: the same options as dictionaries, as other processors of
                transformers take them.

        Returns:
            `input_ids` and `attention_mask` (batch, sequence), each placeholder repeated for every
            vector of its RNA; with RNAs `rna_input_ids` and `rna_attention_mask` (rnas, longest),
            the RNAs of all prompts in order, padded on the right.

        Raises:
            RnaSequenceError: for a sequence that is not an RNA.
            ValueError: when RNAs and placeholders differ in number, when a prompt is longer than
                the language model's context, for an empty batch, and for truncation.
            TypeError: for a prompt or an RNA that is no text, and for an unknown option.
        """
        options = _call_options(kwargs)
        texts = _texts(text)
        return self._prepare(texts, self._rnas_of_prompts(texts, rna), None, **options)

    def apply_chat_template(  # type: ignore[override]  # its overloads, as one
        self,
        conversation: Sequence[Mapping[str, Any]] | Sequence[Sequence[Mapping[str, Any]]],
        chat_template: str | None = None,
        *,
        tokenize: bool = False,
        return_dict: bool = True,
        return_tensors: str | None = "pt",
        return_assistant_tokens_mask: bool = False,
        processor_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> str | list[str] | BatchFeature:
        """Render conversations with the language model's own chat template.

        The content of a message is a string or a list of parts, `{"type": "rna", "rna": "ACGU"}`
        and `{"type": "text", "text": "What is this?"}`. Parts are joined to one string, in which
        an RNA is `<RNAHere>` on a line of its own, so that any template takes them. RNAs stand in
        the user's messages alone. Rows of a data set are taken too, in which every message and
        part has all keys, those that do not apply as None.

        Args:
            conversation: the messages of a conversation, or a batch of conversations.
            chat_template: a template to use instead of the language model's own.
            tokenize: return what `__call__` returns instead of the rendered text.
            return_dict: False returns `input_ids` alone.
            return_tensors: as for `__call__`.
            return_assistant_tokens_mask: add `assistant_masks` (batch, sequence), 1 for the tokens
                of the assistant's answers up to the end of turn, 0 elsewhere. The template need
                not mark them.
            processor_kwargs: more options for `__call__`; they may stand directly as well.
            **kwargs: `add_generation_prompt` and `continue_final_message`, as for the tokenizer's
                own method, and variables of the template.

        Raises:
            RnaSequenceError: for a sequence that is not an RNA.
            ValueError: as for `__call__`; when a text holds one of the tokenizer's control tokens,
                which could forge a turn; and when no mask can be made for the template.
            TypeError: for a part whose text or RNA is not a string, and for an option that neither
                `__call__` nor the template knows.
        """
        batch = _listed(_rows(conversation), "A conversation")
        if not batch:
            raise ValueError("The conversation is empty. Give at least one message.")
        single = isinstance(_rows(batch[0]), Mapping)
        conversations = self._flatten_all([batch] if single else batch)
        template = _template_text(chat_template, self.chat_template)
        # A template would take options of a call for variables of its own, and ignore them.
        call = {name: kwargs.pop(name) for name in list(kwargs) if not _in_template(name, template)}
        options = _call_options({**call, **(processor_kwargs or {})})
        kwargs["chat_template"] = template
        texts = [self._render(messages, **kwargs) for messages, _ in conversations]
        if not tokenize:
            return texts[0] if single else texts
        spans = None
        if return_assistant_tokens_mask:
            spans = [
                self._answer_spans(messages, text, **kwargs)
                for (messages, _), text in zip(conversations, texts, strict=True)
            ]
        rnas = self._rnas_of_prompts(texts, [rnas for _, rnas in conversations])
        # A template writes the control tokens itself.
        defaults = {"return_tensors": return_tensors, "add_special_tokens": False}
        inputs = self._prepare(texts, rnas, spans, **{**defaults, **options})
        return inputs if return_dict else inputs["input_ids"]

    def _flatten_all(self, batch: list[Any]) -> list[tuple[list[dict[str, Any]], list[Any]]]:
        """Each conversation as `_flatten` gives it; errors say which."""
        flat = []
        for number, conversation in enumerate(batch, start=1):
            where = f" of conversation {number}" if len(batch) > 1 else ""
            messages = _listed(_rows(conversation), f"Conversation {number}")
            if not messages:
                raise ValueError(f"Conversation {number} is empty. Give at least one message.")
            flat.append(self._flatten(messages, where))
        return flat

    def _flatten(self, messages: list[Any], where: str) -> tuple[list[dict[str, Any]], list[Any]]:
        """Messages with strings as content, which every template takes, and their RNAs in order."""
        flat: list[dict[str, Any]] = []
        rnas: list[Any] = []
        for number, message in enumerate(messages, start=1):
            place = f"Message {number}{where}"
            parts = _parts(message, place)
            found: list[Any] = []
            pieces = []
            for index, part in enumerate(parts, start=1):
                pieces.append(self._piece(part, place, found))
                pieces.append("\n" * (part["type"] == "rna" and index < len(parts)))
            if found and message["role"] != "user":
                raise ValueError(
                    f"{place} is the {message['role']}'s and holds an RNA; RNAs belong into the "
                    "user's messages."
                )
            rnas += found
            # Rows of a data set carry all keys in every message, where they say nothing as None.
            said = {name: value for name, value in message.items() if value is not None}
            flat.append({**said, "content": "".join(pieces)})
        return flat, rnas

    def _piece(self, part: Any, place: str, rnas: list[Any]) -> str:
        """The text of a part; where it is an RNA, that goes to `rnas` and its placeholder stays."""
        kind = part.get("type") if isinstance(part, Mapping) else part
        if not isinstance(kind, str) or kind not in ("text", "rna"):
            raise ValueError(
                f"{place}: A part is of type 'text' or 'rna', got {kind!r}. Expected "
                '{"type": "text", "text": "What is this?"} or {"type": "rna", "rna": "ACGU"}.'
            )
        # Rows of a data set carry all keys in every part: the type alone decides.
        other = part.get("rna" if kind == "text" else "text")
        if not _says_nothing(other):
            raise ValueError(
                f"{place}: A part of type {kind!r} holds a text and an RNA. Give each a part of "
                "its own."
            )
        if kind == "text":
            return self._checked(part.get("text"), place)
        rnas.append(part.get("rna"))
        return self.rna_token

    def _checked(self, text: Any, place: str) -> str:
        """A text without control tokens: they could end its turn and forge another."""
        if not isinstance(text, str):
            raise TypeError(f"{place}: A text part needs a string as text, got {_shown(text)}.")
        tokens = self.tokenizer.added_tokens_decoder.values()
        for token in tokens:
            if token.special and token.content in text and token.content != self.rna_token:
                raise ValueError(
                    f"The text {_shorten(text)!r} holds {token.content!r}, a control token of the "
                    "tokenizer. Leave it out or write it in another way."
                )
        return text

    def _render(self, messages: list[dict[str, Any]], **kwargs: Any) -> str:
        return self.tokenizer.apply_chat_template(messages, tokenize=False, **kwargs)

    def _answer_spans(
        self, messages: list[dict[str, Any]], text: str, **kwargs: Any
    ) -> list[tuple[int, int]]:
        """Characters (begin, end) of the answers in a rendered text, with their end of turn."""
        kwargs |= {"add_generation_prompt": False, "continue_final_message": False}
        spans = []
        for turn, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            before = self._render(messages[:turn], **(kwargs | {"add_generation_prompt": True}))
            after = self._render(messages[: turn + 1], **kwargs)
            if not after.startswith(before) or not text.startswith(after):
                raise ValueError(
                    f"The chat template changes turn {turn + 1} once other turns follow, so the "
                    "answer cannot be told from the rest. Give another chat_template, or "
                    "conversations that end with their first answer."
                )
            answer = self._until_end_of_turn(after[len(before) :])
            spans.append((len(before), len(before) + len(answer)))
        return spans

    def _until_end_of_turn(self, answer: str) -> str:
        """Without the white space after the end-of-turn token, which no model writes."""
        stripped = answer.rstrip()
        tokens = self.tokenizer.added_tokens_decoder.values()
        return stripped if any(stripped.endswith(token.content) for token in tokens) else answer

    def _rnas_of_prompts(self, texts: list[str], rna: Any) -> list[list[str]]:
        """The cleaned RNAs of each prompt, as many as it has placeholders."""
        wanted = [text.count(self.rna_token) for text in texts]
        rnas = self._by_prompt(wanted, rna)
        cleaned = []
        for number, (count, sequences) in enumerate(zip(wanted, rnas, strict=True), start=1):
            where = f" of prompt {number}" if len(texts) > 1 else ""
            self._check_count(f"Prompt {number}" if where else "The text", count, sequences)
            cleaned.append(
                [self._clean(rna, f"#{i}{where}") for i, rna in enumerate(sequences, start=1)]
            )
        return cleaned

    def _by_prompt(self, wanted: list[int], rna: Any) -> list[list[Any]]:
        """The RNAs of each prompt, as they are given, for prompts with so many placeholders."""
        single = _as_sequence(rna)
        given = [] if rna is None else [rna] if single is not None else _listed(rna, "rna", _RNAS)
        sequences = [_as_sequence(entry) for entry in given]
        if None in sequences:
            return _entries(given, len(wanted))
        self._check_count("The text", sum(wanted), sequences)
        ends = np.cumsum(wanted)
        return [sequences[end - count : end] for end, count in zip(ends, wanted, strict=True)]

    def _check_count(self, holder: str, num_placeholders: int, rnas: list[Any]) -> None:
        if num_placeholders == len(rnas):
            return
        letters = len(rnas) > 1 and all(isinstance(x, str) and len(x) == 1 for x in rnas)
        remedy = f"Write {self.rna_token} once for each RNA, and nowhere else."
        if letters:
            remedy = 'Each of them is one letter: give an RNA as one string, "".join(letters).'
        raise ValueError(
            f"{holder} holds {num_placeholders} times {self.rna_token}, but {len(rnas)} RNAs "
            f"were given. {remedy}"
        )

    def _clean(self, rna: Any, name: str) -> str:
        sequence = _as_sequence(rna)
        if sequence is None:
            raise TypeError(f"RNA {name!r} must be a string with its sequence, got {_shown(rna)}.")
        return clean_rna(
            sequence,
            name=name,
            max_length=self.max_rna_length,
            max_ambiguous=self.max_ambiguous,
        ).sequence

    def _prepare(
        self,
        texts: list[str],
        rnas: list[list[str]],
        spans: list[list[tuple[int, int]]] | None,
        *,
        padding: bool | str = True,
        padding_side: str | None = None,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        truncation: Any = None,
        add_special_tokens: bool | None = None,
        return_tensors: str | None = "pt",
    ) -> BatchFeature:
        """Tokenise prompts, with 1 in `assistant_masks` for the tokens in spans of characters."""
        if truncation:
            raise ValueError("Truncation could cut an RNA in two. Shorten the text or the RNA.")
        side = _checked_side(padding_side or self.padding_side)
        tokenized = [
            self._tokenize(text, sequences, spans[row] if spans else [], add_special_tokens)
            for row, (text, sequences) in enumerate(zip(texts, rnas, strict=True))
        ]
        for number, ((ids, _), sequences) in enumerate(zip(tokenized, rnas, strict=True), start=1):
            prompt = f"Prompt {number}" if len(texts) > 1 else "The prompt"
            self._check_context(len(ids), sequences, prompt)
        data = self.tokenizer.pad(
            {"input_ids": [ids for ids, _ in tokenized]},
            padding=padding,
            padding_side=side,
            max_length=max_length,
            pad_to_multiple_of=pad_to_multiple_of,
        ).data
        if spans is not None:
            data["assistant_masks"] = [
                _pad(mask, len(ids), side)
                for (_, mask), ids in zip(tokenized, data["input_ids"], strict=True)
            ]
        data |= self._tokenize_rnas([sequence for sequences in rnas for sequence in sequences])
        return BatchFeature(data, tensor_type=return_tensors)

    def _tokenize(
        self,
        text: str,
        sequences: list[str],
        spans: list[tuple[int, int]],
        add_special_tokens: bool | None,
    ) -> tuple[list[int], list[int]]:
        """Ids of a prompt, its placeholders repeated, and the mask of the tokens in the spans."""
        if add_special_tokens is None:
            bos = self.tokenizer.bos_token
            add_special_tokens = not (bos and text.startswith(bos))
        encoded = self.tokenizer(
            text, return_offsets_mapping=bool(spans), add_special_tokens=add_special_tokens
        )
        ids = np.array(encoded["input_ids"], dtype=np.int64)
        mask = np.zeros_like(ids)
        for begin, end in spans:
            left, right = np.array(encoded["offset_mapping"]).T
            inside = np.flatnonzero((left < right) & (left < end) & (right > begin))
            # White space may have an empty span, so all from the first to the last is inside.
            mask[inside.min(initial=len(ids)) : inside.max(initial=-1) + 1] = 1
        repeats = np.ones_like(ids)
        repeats[ids == self.rna_token_id] = [self.num_rna_tokens(len(rna)) for rna in sequences]
        return np.repeat(ids, repeats).tolist(), np.repeat(mask, repeats).tolist()

    def _check_context(self, length: int, sequences: list[str], prompt: str) -> None:
        limit = self.max_context or self.tokenizer.model_max_length
        if length <= limit:
            return
        num_nucleotides = sum(map(len, sequences))
        num_rna = sum(self.num_rna_tokens(len(sequence)) for sequence in sequences)
        raise ValueError(
            f"{prompt} takes {length:,} tokens, {num_rna:,} of them for RNA ({num_nucleotides:,} "
            f"nt), but the language model reads {limit:,}. Give fewer or shorter RNAs, a shorter "
            "text, or a model with a larger rna_merge_size."
        )

    @classmethod
    def _load_tokenizer_from_pretrained(cls, *args: Any, **kwargs: Any) -> PreTrainedTokenizerBase:
        """Load the tokenizer by what it says of itself.

        AutoTokenizer would read the model's configuration too, and ask the user whether to run the
        code of a model type that transformers does not know.
        """
        kwargs.setdefault("config", PreTrainedConfig())
        return super()._load_tokenizer_from_pretrained(*args, **kwargs)

    def _tokenize_rnas(self, sequences: list[str]) -> dict[str, list[list[int]]]:
        """Tokens of the RNAs with their mask, padded on the right; nothing without RNAs."""
        if not sequences:
            return {}
        longest = max(map(len, sequences))
        ids = [tokenize_rna(sequence, self.kmer_size).tolist() for sequence in sequences]
        return {
            "rna_input_ids": [_pad(row, longest, "right", RNA_PAD_TOKEN_ID) for row in ids],
            "rna_attention_mask": [_pad([1] * len(row), longest, "right") for row in ids],
        }


def _call_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a call by name, those in `text_kwargs` and `common_kwargs` among them.

    Raises:
        ValueError: for an option that is given twice.
        TypeError: for one that nothing here would heed.
    """
    options = {name: value for name, value in given.items() if name not in _OPTION_GROUPS}
    for group in _OPTION_GROUPS:
        for name, value in (given.get(group) or {}).items():
            if name in options:
                raise ValueError(f"{name} is given twice, once of it in {group}. Give it once.")
            options[name] = value
    for name, value in options.items():
        if not _is_heeded(name, value):
            raise TypeError(
                f"The option {name}={_shown(value)} is not known here. Options of a call are "
                f"{', '.join(_OPTIONS)}; a chat template's variables go to apply_chat_template, "
                "where the template has them."
            )
    return {name: value for name, value in options.items() if name in _OPTIONS}


def _is_heeded(name: str, value: Any) -> bool:
    """Whether a call does what this option says, be it that it asks for nothing."""
    if name == "return_attention_mask":
        return value is None or value is True
    neutral = isinstance(value, (type(None), int, Mapping)) and not value
    return name in _OPTIONS or name == "verbose" or (name in _NOT_DONE and neutral)


def _template_text(chosen: str | None, given: str | Mapping[str, str] | None) -> str:
    """The template to use: its text or its name where some are chosen, or the tokenizer's own."""
    named = given if isinstance(given, Mapping) else {}
    if chosen:
        return named.get(chosen, chosen)
    text = named.get("default") if isinstance(given, Mapping) else given
    if text is None:
        advice = f"Name one of {', '.join(named)}" if named else "Give one"
        which = "default chat template" if named else "chat template"
        raise ValueError(f"The tokenizer has no {which}. {advice} as chat_template.")
    return text


def _in_template(name: str, template: Any) -> bool:
    """Whether a chat template, or the tokenizer's own rendering, heeds a variable of this name."""
    if name in ("add_generation_prompt", "continue_final_message"):
        return True
    # A word that the template has nowhere cannot be a variable of it.
    texts = template.values() if isinstance(template, Mapping) else [template]
    return name not in _OPTIONS and any(
        re.search(rf"\b{re.escape(name)}\b", text) for text in texts
    )


def _checked_side(side: Any) -> str:
    if side not in _SIDES:
        raise ValueError(f'padding_side must be "left" or "right", got {side!r}.')
    return side


def _texts(text: Any) -> list[str]:
    """One prompt or a batch of them as a list; errors as in `__call__`."""
    texts = [text] if isinstance(text, str) else _listed(text, "text")
    if not texts:
        raise ValueError("The batch is empty: text has no prompt. Give at least one.")
    for number, one in enumerate(texts, start=1):
        if not isinstance(one, str):
            raise TypeError(
                f"Prompt {number} must be a string, got {_shown(one)}. Messages and their parts go "
                "to apply_chat_template."
            )
    return [str(one) for one in texts]


def _as_sequence(value: Any) -> str | None:
    """The text of what is one sequence; None for everything else.

    Beside strings these are records that carry their sequence, and objects whose contract it is
    that `str` gives the sequence. That is told by what classes of sequences have and no other:
    biopython's Seq and MutableSeq, and scikit-bio's RNA, are as long as their text, and know their
    reverse complement. A SeqRecord's text is longer, but it holds a Seq.
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if is_dataclass(value) and not isinstance(value, type):  # CleanedRna, FastaRecord
        value = getattr(value, "sequence", None)
    if isinstance(value, str):
        return str(value)
    if not callable(getattr(value, "reverse_complement", None)):
        return None
    value = getattr(value, "seq", value)
    text = str(value)
    return text if len(text) == len(value) else None


def _entries(given: list[Any], num_prompts: int) -> list[list[Any]]:
    """The RNAs of each prompt, where an entry is one sequence, a list of them or nothing."""
    lists = []
    for number, entry in enumerate(given, start=1):
        if _as_sequence(entry) is not None:
            lists.append([entry])
        elif not _is_missing(entry):
            lists.append(_listed(entry, f"RNA #{number}", _RNAS))
        elif len(given) == num_prompts:
            lists.append([])
        else:
            raise TypeError(
                f"RNA #{number} is {entry!r}. Leave it out, or give rna an entry for each prompt, "
                "None where a prompt has no RNA."
            )
    if len(lists) != num_prompts:
        raise ValueError(f"Got RNAs for {len(lists)} prompts, but {num_prompts} prompts.")
    return lists


def _listed(value: Any, name: str, of: str = "") -> list[Any]:
    """What holds several things in order, as a list.

    Raises:
        TypeError: for one thing, and for what has no order or would give names in place of values.
    """
    unordered = isinstance(value, (str, bytes, bytearray, Mapping, Set))
    # A table's iteration gives the names of its columns.
    if unordered or hasattr(value, "columns") or not hasattr(value, "__iter__"):
        raise TypeError(f"{name} must be a list{of}, got {_shown(value)}.")
    return list(value)


def _rows(value: Any) -> Any:
    """Dictionaries in a list, where `datasets` made one dictionary of lists of them."""
    if not isinstance(value, Mapping) or not value:
        return value
    columns = list(value.values())
    if not all(isinstance(column, (list, tuple, np.ndarray)) for column in columns):
        return value
    if len(set(map(len, columns))) > 1:
        return value
    return [dict(zip(value, row, strict=True)) for row in zip(*columns, strict=True)]


def _parts(message: Any, place: str) -> list[Any]:
    """The parts of a message's content."""
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise TypeError(
            f"{place} must be a dictionary with a role and a content, got {_shown(message)}."
        )
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if content is None and message.get("tool_calls") is not None:
        return []
    if content is None:
        raise TypeError(f"{place} has no content. Give a string or a list of parts.")
    return _listed(_rows(content), f"{place}: its content")


def _is_missing(value: Any) -> bool:
    """None, and the NaN that stands for it in columns of pandas."""
    return value is None or (isinstance(value, float) and value != value)


def _says_nothing(value: Any) -> bool:
    return _is_missing(value) or (isinstance(value, str) and not value)


def _shown(value: Any) -> str:
    """A value in an error: its type, and what it is where that is short."""
    shown = repr(value)
    kind = type(value).__name__
    return shown if value is None or isinstance(value, bool) else f"{kind} {_shorten(shown)}"


def _pad(row: list[int], length: int, side: str, value: int = 0) -> list[int]:
    padding = [value] * (length - len(row))
    return padding + row if side == "left" else row + padding


RnaGptProcessor.register_for_auto_class()

__all__ = [
    "RNA_TOKEN",
    "RNA_VOCABULARY",
    "CleanedRna",
    "RnaGptProcessor",
    "RnaSequenceError",
    "RnaTooLongError",
    "clean_rna",
    "tokenize_rna",
]
