"""Which RNAs a question is about, and its words with "@" in the place of each of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rnagpt.evidence.matching import EMPTY
from rnagpt.sequences.rna_types import named_type

MARK = "@"
MAX_LISTED = 8  # names in an error
# Words of questions: an RNA of such a name is meant only in quotation marks, or after "RNA".
_ORDINARY = """
accession biotype clan class classify compare composition content describe description function
functions gc gene genes go identify identity interaction length ligand location mean organism paper
papers part place process protein query role rfam seq species strand structure summary target
targets term terms test unnamed energy confidence difference
"""
ORDINARY = EMPTY | frozenset(_ORDINARY.split())
_ORDINALS = {
    word: place
    for place, words in enumerate(
        ("first 1st", "second 2nd", "third 3rd", "fourth 4th", "fifth 5th", "sixth 6th")
    )
    for word in words.split()
}
_COUNTS = {"two": 2, "three": 3, "four": 4, "2": 2, "3": 3, "4": 4}
_NOUN = r"(?:(?:nc)?rna|sequence|seq|molecule|transcript|fragment|contig|read|one(?! of))"
_UNITS = r"nt|nucleotides?|bases?|bp|letters|residues|percent"
# "RNA 2", "RNAs 1, 2 and 3", "sequence #2"; not "RNA 76 nt", "RNA 4.5S", "the RNA 5' end".
_NUMBERED = (
    r"\b(?:rna|sequence|seq)s? ?(?:no\.? ?)?#?(?P<numbers>\d{1,4}"
    r"(?:(?: ?, ?| and | & | or | ?, and )(?:rna |sequence )?#?\d{1,4})*)"
    rf"(?![\w'%-]|[.,]\d| (?:{_UNITS})\b| ?%)"
)
# "the second one", "the last two", "the first"; not "the first paper".
_ORDINAL = (
    rf"\b(?:the )?(?P<ordinal>{'|'.join(_ORDINALS)}|last|former|latter)"
    rf"(?: (?P<count>two|three|four|2|3|4)\b(?: {_NOUN}s\b)?| {_NOUN}\b)"
    rf"|\bthe (?P<alone>{'|'.join(_ORDINALS)}|last|former|latter)"
    r"(?=[?.,!]|$|'s\b| (?:is|an?|not|do|does|and|or)\b)"
)
# Where a name with a meaning of its own is what is asked for: "a tRNA", "is this tRNA".
_IS_ASKED = re.compile(
    r"\b(?:an?|any|some|of the|kind of|like|(?:is|are) (?:this|that|it|these|they|both))"
    r"(?: really| not| actually)* $",
    re.IGNORECASE,
)
_QUOTES = "\"'“”‘’`"
_SEVERAL = re.compile(
    # "both", but not "both bacteria and archaea"
    r"\bboth\b(?! \w+(?: \w+)? and\b)|\b(?:they|them|their|theirs)\b|\beach other\b"
    rf"|\b(?:all|each|any|either|neither|none|which|some)(?: one)? of (?:these|those|the)\b"
    rf"|\b(?:all|these|those|the)(?: the)?(?: two| three| four| \d+)?"
    r" (?:rnas|sequences|molecules|transcripts|two|three|four)\b"
    rf"|\b(?:each|every) {_NOUN}\b|\beach(?= ?(?:[?.,!]|$))|\bneither (?:is|does|are)\b"
    rf"|\bwhich ones?\b|\bwhich(?: {_NOUN})? (?:is|has|are)\b.*er\b"
    r"|\b(?:these|those)(?= ?(?:[?.,!]|$)| (?:are|do|have|belong|both)\b)"
)
# A word of the RNA itself. "This" is one, and "this paper" is none.
_REFERENCES = (
    rf"\b(?:both|all|each|which|any|either|neither|none|some|the two)(?: one)? of (?:the )?"
    rf"(?:these|those|them|two|three|four|{_NOUN}s)\b(?: {_NOUN}s)?",
    rf"\b(?:this|that|these|those|the|my|our|your|both|all|each|every)"
    rf"(?: (?:the|given|following|above|other|unknown|two|three|four|\d+))* {_NOUN}s?\b"
    r"(?: (?:below|above|here|given))?(?! (?:famil|type|class|gene\b|polymerase|world))",
    r"\b(?:it|they|them|both|all three|all two|all four|each other|the two|the other|neither)\b",
    r"\b(?:this|that|these|those)\b(?= ?(?:[?.,!;:'@]|$)| (?:is|are|was|not|an?|the|do|does|be|have"
    r"|has|belongs?|match|look|come|from|in|called|contain|include|encode|code|fold|bind|really"
    r"|actually|can|could|must|may|might|seem|would|here|to|good|for|occur|act|play|work|some|one|really|of|or|and|by|then|please|rf"
    r"|one of|[a-z]*rna|u\d+|\d))",
)
_REFERENCE = re.compile("|".join(_REFERENCES))


@dataclass(frozen=True)
class About:
    """Which RNAs a question is about.

    Attributes:
        places: of the RNAs, from 0, in the order in which the question names them.
        named: whether the question says so; else it is the last one given.
    """

    places: tuple[int, ...]
    named: bool


def find_about(text: str, names: Sequence[str], chosen: Sequence[int] = ()) -> About:
    """Which of several RNAs a question is about.

    "RNA 2", "the second one", a FASTA name, "both", "which of them"; without any of these the
    `chosen` ones, by their places from 0, and without these the last one given. A name that is a
    word of questions as well, such as "function", names an RNA in quotation marks or after "RNA";
    one that is a type, such as "tRNA", does not after "a".

    Raises:
        ValueError: the question is about an RNA that was not given.
    """
    if not names:
        return About((), named=False)
    for place in chosen:
        _check(place + 1, names)
    plain, places = _mark_named(text, names)
    if places:
        for place in places:
            _check(place + 1, names)
        return About(tuple(dict.fromkeys(places)), named=True)
    is_other = len(names) == 2 and re.search(r"\bthe other\b", plain)
    if len(names) > 1 and (_SEVERAL.search(plain) or is_other):
        return About(tuple(range(len(names))), named=True)
    if chosen:
        return About(tuple(dict.fromkeys(chosen)), named=True)
    return About((len(names) - 1,), named=len(names) == 1)


def mark_rnas(text: str, names: Sequence[str]) -> str:
    """A question in small letters, with `MARK` for every word of an RNA that was given.

    Examples:
        >>> mark_rnas("What's its function, and is 5S_a like this RNA?", ["5S_a"])
        "what is @'s function, and is @ like @?"
    """
    plain, _ = _mark_named(text, names)
    plain = re.sub(
        r"\b(what|that|where|who)'?s\b|\b(it|there|this|they)'(?:s|re)\b", r"\1\2 is", plain
    )
    plain = re.sub(r"\b(?:its|their)\b", f"{MARK}'s", plain)
    plain = re.sub(r"\bthe famil(?:y|ies)\b(?! of)", f"{MARK}'s family", plain)
    plain = re.sub(rf"\bthat (?={MARK})", "", _REFERENCE.sub(MARK, plain))
    return re.sub(rf"{MARK}(?:(?:,| and| or|, and) {MARK})+", MARK, plain)


def _plain(text: str) -> str:
    return " ".join(text.replace("’", "'").split())


def _mark_named(text: str, names: Sequence[str]) -> tuple[str, list[int]]:
    """The question in small letters with a mark for each RNA that it names, and their places."""
    places: list[int] = []

    def mark(match: re.Match[str]) -> str:
        found = _places_of(match, names)
        places.extend(found)
        return MARK if found else match[0]

    plain = _plain(text)
    # Only those that stand there: a pattern of other names takes a millisecond to be made, for
    # each RNA of a file anew.
    held = [name for name in names if _may_hold(plain, _plain(name))]
    parts = [part for part in (_names_pattern(held), _NUMBERED, _ORDINAL) if part]
    marked = re.sub("|".join(parts), mark, plain, flags=re.IGNORECASE)
    return marked.lower(), places


def _may_hold(text: str, name: str) -> bool:
    """Whether a name can stand in a text in some case; beyond ASCII a pattern has to tell."""
    return name.lower() in text.lower() or not (name.isascii() and text.isascii())


def _names_pattern(names: Sequence[str]) -> str:
    # Longer names first: "tRNA-2" is no "tRNA".
    chosen = sorted({name for name in names if name.strip()}, key=len, reverse=True)
    if not chosen:
        return ""
    words = "|".join(re.escape(_plain(name)) for name in chosen)
    return (
        rf"(?<![\w.-])(?P<before>{_NOUN} )?(?P<open>[{_QUOTES}])?(?P<name>{words})"
        rf"(?(open)[{_QUOTES}])(?![\w-]|\.\w)"
    )


def _places_of(match: re.Match[str], names: Sequence[str]) -> list[int]:
    """The places of the RNAs that a part of a question names; may be none."""
    if name := match.groupdict().get("name"):
        return [_place_of_name(name, names)] if _is_meant(match) else []
    if numbers := match["numbers"]:
        return [int(number) - 1 for number in re.findall(r"\d+", numbers)]
    word = (match["ordinal"] or match["alone"]).lower()
    count = _COUNTS.get((match["count"] or "").lower(), 1)
    if word in ("last", "latter"):
        return list(range(max(0, len(names) - count), len(names)))
    first = _ORDINALS.get(word, 0)
    return list(range(first, first + count))


def _place_of_name(written: str, names: Sequence[str]) -> int:
    same = [place for place, name in enumerate(names) if _plain(name) == written]
    alike = [place for place, name in enumerate(names) if _plain(name).lower() == written.lower()]
    return (same or alike)[0]


def _is_meant(match: re.Match[str]) -> bool:
    """Whether a name in a question names the RNA, and is no word of the question."""
    name, before, after = match["name"], match.string[: match.start()], match.string[match.end() :]
    if match["open"] or match["before"]:
        return True
    if name.isdigit():
        return bool(re.match(r" ?(?:[?.,!']|$|(?:and|or|vs|is|an?|do|does|with|to)\b)", after))
    if len(name) == 1:
        return name.isupper() and name != "I"
    if name.lower() in ORDINARY:
        return False
    return not (named_type(name) and _IS_ASKED.search(before))


def _check(number: int, names: Sequence[str]) -> None:
    if 1 <= number <= len(names):
        return
    given = "1 RNA was" if len(names) == 1 else f"{len(names)} RNAs were"
    more = ", …" if len(names) > MAX_LISTED else ""
    raise ValueError(
        f"The question is about RNA {number}, and {given} given: "
        f"{', '.join(names[:MAX_LISTED])}{more}."
    )


__all__ = ["MARK", "ORDINARY", "About", "find_about", "mark_rnas"]
