"""RNA sequences as people write them, cleaned; and what is wrong with a text that is none.

The standard library only: reading a sequence needs neither NumPy nor transformers.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

MAX_RNA_LENGTH = 16_384
MAX_AMBIGUOUS = 0.5

NUCLEOTIDES = "ACGU"
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
# What a cleaned sequence is made of.
RNA_LETTERS = NUCLEOTIDES + "".join(_CODES)
_LOWER = "acgturykmswbdhvn"
_CLEANING = str.maketrans(_LOWER, _LOWER.upper(), "-.")
_FOREIGN = re.compile(f"[^{RNA_LETTERS}T]")
_PROTEIN = "This looks like a protein: give the RNA's nucleotides."
_LINE_END = re.compile("\r\n|\r|\n")
# Letters that stand for an amino acid and never for a nucleotide.
_AMINO_ACIDS = frozenset("EFILPQZ")
_PROTEIN_LETTERS = frozenset("ACDEFGHIKLMNPQRSTVWYBZXU*")


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
# At the first or the last line that is not blank; `[^\S\n]` is white space within a line.
_ORIGIN = re.compile(r"\A(\s*)(?:ORIGIN|SQ   Sequence \d+ BP;.*)[^\S\n]*(?=\n|\Z)")
_SLASHES = re.compile(r"^[^\S\n]*//\s*\Z", re.MULTILINE)
_FIVE_PRIME = re.compile(rf"\A(\s*)5[^\S\n]*{_PRIME}[^\S\n]*[{_DASHES}]*")
_THREE_PRIME = re.compile(rf"3[^\S\n]*{_PRIME}\s*\Z")
_NUMBER = re.compile(r"(?<!\S)[0-9]{1,9}(?!\S)")
_DIGIT = re.compile("[0-9]")
_BRACKET = re.compile(r"[\[({<]")
_PAIRS = re.compile(r"[.()\[\]{}<>|,:_~A-Za-z-]+")
_IN_BRACKETS = re.compile(r"[\[({]?\s*[-+]?\d[^\])}]*[\])}]?")
_ENSEMBLE = re.compile(r"\s*frequency of mfe structure in ensemble .*")
_ENERGY = re.compile(r"[-+]?\d+(?:\.\d+)?")


def _without_annotations(lines: list[str]) -> tuple[list[str], list[str], bool]:
    """Only the lines of a sequence, what was left out, and whether that proves it one sequence.

    What is not understood stays, and is found among the letters.
    """
    text = "\n".join(lines)
    # Nearly every sequence has none of it, and there are millions of them.
    if not (_DIGIT.search(text) or _BRACKET.search(text) or "//" in text or "ORIGIN" in text):
        return lines, [], False
    lines, structures = split_structure(lines)
    # What GenBank and EMBL put before and after a sequence.
    text = _SLASHES.sub("", _ORIGIN.sub(r"\1", "\n".join(lines)))
    text, num_ends = _without_ends(text)
    text, num_numbers = _without_numbers(text)
    notes = structure_notes(structures)
    if num_ends:
        notes.append("the marks of the 5' and 3' ends dropped")
    if num_numbers:
        notes.append(f"{_count(num_numbers, 'position number')} dropped")
    return text.split("\n"), notes, num_ends == 2 or num_numbers > 1


def _without_ends(text: str) -> tuple[str, int]:
    """Without 5'- and -3', and how many of them there were."""
    text, num_five = _FIVE_PRIME.subn(r"\1", text)
    three = _THREE_PRIME.search(text)
    if three:
        before, line_end, last = text[: three.start()].rpartition("\n")
        text = before + line_end + last.rstrip().rstrip(_DASHES)
    return text, num_five + bool(three)


def _without_numbers(text: str) -> tuple[str, int]:
    """Without position numbers, and how many; as it was where they do not count the letters.

    A number stands before its letter (GenBank) or after it (EMBL), and a part of a sequence may
    begin with another number than 1.
    """
    words = text.split()
    numbers = [word for word in words if _NUMBER.fullmatch(word)]
    if len(numbers) in (0, len(words)):
        return text, 0
    if not any(_is_counting(words, gaps) for gaps in ("", "-.")):
        return text, 0
    return _NUMBER.sub(lambda found: " " * len(found[0]), text), len(numbers)


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
                f"({shorten(line.strip())!r}): these are columns of a table. {_TABLE}",
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

_CONVERT = "Convert it first, for example with `{}`."
# How a text of another format begins, what it is, and what to do.
_OTHER_FORMATS = (
    (r"@(HD|SQ|RG|PG|CO)\t", "SAM", _CONVERT.format("samtools fasta")),
    ("@", "FASTQ", _CONVERT.format("seqtk seq -a")),
    ("LOCUS ", "GenBank", _CONVERT.format("seqret -osformat2 fasta")),
    ("ID   ", "EMBL", _CONVERT.format("seqret -osformat2 fasta")),
    ("# STOCKHOLM", "Stockholm", _CONVERT.format("esl-reformat fasta")),
    (r"CLUSTAL|MUSCLE \(", "Clustal", _CONVERT.format("esl-reformat fasta")),
    ("#NEXUS", "NEXUS", _CONVERT.format("seqret -osformat2 fasta")),
    ("##gff", "GFF", _CONVERT.format("bedtools getfasta -fi GENOME -bed")),
    ("##fileformat=VCF", "VCF", _CONVERT.format("bcftools consensus -f GENOME")),
    (
        r"\s*<",
        "a web page or XML",
        "Download the FASTA file itself, or copy the sequence alone.",
    ),
    (r"\s*%PDF", "a PDF", "Copy the sequence out of it."),
    (r"\s*\{\\rtf", "a document of a word processor", "Save it as plain text."),
    (r"\s*\{", "JSON", "Give the sequence alone."),
)


def other_format(line: str) -> str | None:
    """What a first line shows to be in another format than FASTA, with what to do; else None."""
    for beginning, name, remedy in _OTHER_FORMATS:
        if re.match(beginning, line):
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


_FAMILY = "a family of RNAs, not a sequence. Give the sequence of one of them, from"
_ENTRY = "an accession, not a sequence. Give its sequence, which is at"


def accession_advice(text: str) -> str | None:
    """Where to fetch the sequence of an accession; None where the text is none.

    Only the first of several is spoken of, and the text must hold nothing else.
    """
    words = text.replace(",", " ").split()
    found = [_accession(word) for word in words]
    return found[0] if found and all(found) else None


def _accession(word: str) -> str | None:
    if len(word) > _MAX_ACCESSION or word.isdigit() or word.isalpha():
        return None
    for pattern, database, where in _ACCESSIONS:
        if re.fullmatch(pattern, word):
            # The part of an entry (`X01556.1/3-118`) and a chain are no part of the address.
            address = re.split("[/:_]" if database == "PDB" else "[/:]", word)[0]
            what = _FAMILY if database == "Rfam" else _ENTRY
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
_END = re.compile(rf"[35]\s*{_PRIME}")
# What a text looks like, and what to do about it.
_ADVICE: tuple[tuple[Callable[[str], object], str], ...] = (
    (
        lambda text: len(_END.findall(text)) > 2 and not text[:1].isalpha(),
        "These look like two strands. Give one of them, from 5' to 3'.",
    ),
    (
        re.compile(rf"\A\s*3\s*{_PRIME}|5\s*{_PRIME}\s*\Z").search,
        "This is written from 3' to 5'. Turn it round: a sequence is read from 5' to 3', so write "
        "its letters from the last to the first, without complementing them.",
    ),
    (
        re.compile(r"\S\t\s*\S|\S[,;|]\S").search,
        f"These look like columns of a table. {_TABLE}",
    ),
)
_NOT_COUNTING = (
    "Numbers are understood where they count the letters, and here they do not: letters are "
    "missing, or the numbers are no positions. Remove position numbers, such as GenBank's, and "
    "give the letters alone."
)


def _foreign_letter(lines: list[str], written: list[str], name: str) -> RnaSequenceError:
    """The error for the first letter that no RNA has, with its place and the remedy.

    `lines` are those of the sequence, `written` what was given.
    """
    found = [_FOREIGN.search(_letters([line])) for line in lines]
    number, match = next((i, match) for i, match in enumerate(found) if match)
    letter, position = match.group(), len(_letters(lines[:number])) + match.start() + 1
    place = f"position {position:,}"
    if sum(bool(line.strip()) for line in written) > 1:
        place += f" (line {number + 1}: {shorten(written[number].strip())!r})"
    shown = repr(letter) if letter.isprintable() else f"the character U+{ord(letter):04X}"
    remedy = _remedy(letter, "\n".join(written).strip(), lines)
    return RnaSequenceError(f"{_record(name)} has {shown} at {place}. {remedy}", name, position)


def _remedy(letter: str, text: str, lines: list[str]) -> str:
    """What to do about a letter that no RNA has: by what the text, or its sequence, seems to be."""
    if letter == ">":
        return "Give one FASTA record at a time, or read the file with rnagpt.read_fasta."
    if advice := other_format(text):
        return f"This {advice}"
    if advice := accession_advice(text):
        return advice
    for looks_so, advice in _ADVICE:
        if looks_so(text):
            return advice
    words = "\n".join(lines).split()
    numbers = [word for word in words if _NUMBER.fullmatch(word)]
    if _looks_like_protein([word for word in words if word not in numbers]):
        return _PROTEIN
    if numbers:
        return _NOT_COUNTING
    if letter in "([{<" and set(text) & set(")]}>"):
        return (
            "A dot-bracket structure belongs below the sequence, on lines of its own, with one "
            "character for each letter of the sequence."
        )
    return _advice_on_letters(words, _letters(lines))


def _advice_on_letters(words: list[str], letters: str) -> str:
    """For words that are of none of the known forms, nor a protein: a text, or a slip."""
    native = sum(map(letters.count, NUCLEOTIDES + "TN")) / len(letters)
    odd = [word for word in words if _FOREIGN.search(_letters([word]))]
    if len(odd) < len(words) and odd == words[: len(odd)]:
        return (
            f"{shorten(' '.join(odd))!r} looks like a name. Put it on a line of its own that "
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
    num_ambiguous = len(sequence) - sum(map(sequence.count, NUCLEOTIDES))
    if num_ambiguous <= max_ambiguous * len(sequence):
        return
    position = next(i for i, x in enumerate(sequence, start=1) if x not in NUCLEOTIDES)
    # Where a nucleotide is unknown people write N, and seldom many other codes.
    num_kinds = len(set(sequence) - set(NUCLEOTIDES))
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
    return f"RNA {shorten(name)!r}" if name else "The RNA sequence"


def shorten(text: str, width: int = 60) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


__all__ = [
    "MAX_AMBIGUOUS",
    "MAX_RNA_LENGTH",
    "NUCLEOTIDES",
    "RNA_LETTERS",
    "CleanedRna",
    "RnaSequenceError",
    "RnaTooLongError",
    "Structure",
    "accession_advice",
    "clean_rna",
    "join_lines",
    "other_format",
    "shorten",
    "split_structure",
    "structure_notes",
]
