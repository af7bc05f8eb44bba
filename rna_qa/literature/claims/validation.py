"""Checks of a claim against its papers, without a model: what is not in the papers is rejected."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise

from rnagpt.rna_qa.literature.records import Claim, Paper, Rna
from rnagpt.rna_qa.literature.text.mentions import NameIndex
from rnagpt.rna_qa.literature.text.plain_text import fold_scripts, pieces

# Rises when a claim may be judged differently.
VERSION = 2
MIN_QUOTE = 4  # words
MIN_TEXT, MAX_TEXT = 3, 60  # words
# Shares of the text's content words that must be the papers', and the quote's.
SHARE_IN_PAPERS, SHARE_IN_QUOTE = 0.6, 0.3

_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−﹣－"), "-")
_QUOTES = {ord(mark): "'" for mark in "‘’‚‛′ʹ`´＇"} | {ord(mark): '"' for mark in "“”„‟″«»"}
_TYPOGRAPHY = _DASHES | _QUOTES

# A name of a gene, protein, cell line or RNA: letters with a digit, or with two capitals.
_TERM = re.compile(r"(?<![A-Za-z0-9])[A-Za-z][A-Za-z0-9]*(?:[-/][A-Za-z0-9]+)*")
_NAME_LIKE = re.compile(r"[A-Z].*[A-Z]|[A-Za-z].*\d")
_GENERAL_TERMS = (
    "rna dna mrna mirna mirnas microrna lncrna ncrna circrna snorna snrna rrna trna sirna pirna "
    "lincrna cerna cdna utr orf pcr qpcr rtpcr rtqpcr qrtpcr snp"
)
_GENERAL = frozenset(_GENERAL_TERMS.split())
# With its exponent: 10^6 is neither 10 nor 106, and the 2 of m^2 counts nothing.
_NUMBER = re.compile(r"(?:\d+(?:[.,]\d+)*)?\^[+-]?\d+(?:\.\d+)?|\d+(?:[.,]\d+)*")
# Other ways to write 10^6: 10^{6}, 10 ^ 6, 10**6, and PubMed's 10(6) of the years before markup.
_EXPONENT = re.compile(r"(?:\s?(?:\^|\*\*)\s?|(?<=\b10)(?=\())[({]?([+-]?\d+)[)}]?")
_DECIMAL = re.compile(r"\d[.,]\d")
_NUMBER_NAMES = (
    "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
)
_NUMBER_WORDS = {word: str(n) for n, word in enumerate(_NUMBER_NAMES.split(), start=2)} | {
    "twofold": "2",
    "threefold": "3",
    "fourfold": "4",
    "fivefold": "5",
    "tenfold": "10",
}

# Names of RNAs that can be recognised by their form.
_RNA_NAME = re.compile(
    r"""(?<![A-Za-z0-9])(?:
        (?:[a-z]{3}-)?(?:micro[\s-]?RNA|miRNA|miR|let)s?[\s-]?\d+[a-z]*(?:-\d(?!p))?(?:-[35]p|\*)?
        |SNOR[AD]\d+[A-Z]*|SCARNA\d+|RNU\d+(?:-\d+)?|LINC\d+|RN7SK|RN7SL\d*
        |[A-Z][A-Z0-9]+-(?:AS|IT|DT|OT)\d*
        |circ_?\d+|(?:hsa_)?circ_?\d+|(?:circ|Circ)[A-Z][A-Z0-9]+
        |MALAT1|HOTAIR|HOTTIP|XIST|Xist|NEAT1|MEG3|GAS5|UCA1|PVT1|TUG1|KCNQ1OT1|SNHG\d+|CRNDE|CCAT\d
        |H19|HULC|ANRIL|BANCR|PCA3|TERC|BCAR4|FENDRR
    )(?![A-Za-z0-9])""",
    re.VERBOSE,
)

_SPECIES = {
    name: re.compile(rf"\b(?:{words})\b", re.IGNORECASE)
    for name, words in {
        "human": r"humans?|homo sapiens|hsa|patients?|individuals|wom[ae]n|men|man|volunteers?"
        r"|children|infants?|adults?|subjects|donors?|cohorts?|people|participants?",
        "mouse": r"mouse|mice|murine|mus musculus|mmu",
        "rat": r"rats?|rattus norvegicus|rno",
        "zebrafish": r"zebrafish|danio rerio",
        "fruit fly": r"drosophila|fruit ?fl(?:y|ies)",
        "worm": r"c\. ?elegans|caenorhabditis(?: elegans)?|nematodes?|worms?",
        "yeast": r"yeasts?|s\. ?cerevisiae|saccharomyces(?: cerevisiae)?|s\. ?pombe",
        "thale cress": r"arabidopsis(?: thaliana)?|a\. ?thaliana",
        "rice": r"rice|oryza(?: sativa)?|o\. ?sativa",
        "maize": r"maize|zea mays|corn",
        "pig": r"pigs?|porcine|swine|sus scrofa|piglets?",
        "cow": r"cows?|bovine|cattle|bos taurus|calves|calf",
        "sheep": r"sheep|ovine|ovis aries",
        "goat": r"goats?|caprine|capra hircus",
        "horse": r"horses?|equine|equus caballus",
        "dog": r"dogs?|canine|canis (?:lupus )?familiaris",
        "cat": r"cats?|feline|felis catus",
        "rabbit": r"rabbits?|oryctolagus cuniculus",
        "chicken": r"chickens?|chicks?|gallus gallus|broilers?",
        "monkey": r"monkeys?|macaques?|rhesus|macaca(?: mulatta)?|baboons?",
        "frog": r"xenopus(?: laevis| tropicalis)?|frogs?",
        "E. coli": r"e\. ?coli|escherichia(?: coli)?",
        "Salmonella": r"salmonella(?: \w+)?",
    }.items()
}

_UP = re.compile(
    r"\b(?:up-?regulat\w+|over-?express\w+|increas\w+|elevat\w+|higher|enhanc\w+|highly expressed"
    r"|overabundan\w+|promot\w+|upregulat\w+|augment\w+|stimulat\w+|accelerat\w+|facilitat\w+"
    r"|activat\w+|oncogen\w+|oncomir\w*)\b",
    re.IGNORECASE,
)
_DOWN = re.compile(
    r"\b(?:down-?regulat\w+|under-?express\w+|decreas\w+|reduc\w+|lower\w*|diminish\w+|declin\w+"
    r"|suppress\w+|inhibit\w+|attenuat\w+|repress\w+|loss|lost|silenc\w+|impair\w+|deplet\w+"
    r"|knock(?:ed)?[ -]?(?:down|out)|abolish\w+|block\w*|less)\b",
    re.IGNORECASE,
)
_NEGATION = re.compile(
    r"\b(?:not|no|neither|nor|never|cannot|fail(?:s|ed)? to|unable to|lack(?:s|ed)? of"
    r"|absence of|independent(?:ly)? of|unaffected|unchanged)\b|n't\b",
    re.IGNORECASE,
)
# "The study shows", "according to the abstract": words about the paper, not about the RNA.
_LEAKED = re.compile(
    r"\b(?:we|our|ours|(?-i:us))\b"
    r"|\b(?:this|these|the|present|current|our|that|previous|recent)\s+(?:\w+\s+)?"
    r"(?:stud(?:y|ies)|literatures?|papers?|articles?|abstracts?|reviews?|reports?|works?|manuscripts?"
    r"|authors?|publications?|meta-?analys[ie]s|findings|results|data|observations|investigations?|texts?"
    r"|passages?|quotes?|claims?|evidence)\b"
    r"|\bthe (?:researchers|investigators)\b|\baccording to\b"
    r"|\b(?:studies|researchers|data|results|findings|reports) (?:have |has )?"
    r"(?:show|suggest|demonstrat|indicat|reveal|report|confirm|found|identif)\w*"
    r"|\b(?:herein|in this context|as mentioned|as described|as stated|et al)\b"
    r"|\bPM(?:C|ID)\b|\[\d+\]",
    re.IGNORECASE,
)
_STOP_WORDS = (
    "with that this from were have been also which than then these those their there into such "
    "both between through during after before could would should may might will when where while "
    "being other more most some only very over under upon about play plays role roles important "
    "key well known shown found associated show shows using used evidence suggests"
)
_STOP = frozenset(_STOP_WORDS.split())


@dataclass(frozen=True)
class Violation:
    """Why a claim is rejected: `reason` is one of a few fixed phrases, `detail` says of what."""

    reason: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


def validate_claim(claim: Claim, rna: Rna, group: Mapping[str, Paper]) -> Violation | None:
    """The first thing that is wrong with a claim, in words that tell how to repair it.

    A claim stands if its papers are in the group; its quote is in the title or abstract of one of
    them (white space, case and typography aside); the RNA is named, by the paper and by the claim;
    and every RNA, gene, species and number of the text is in the named papers. The text must share
    words with the quote, deny what the quote denies, and point up or down as the quote does.

    Args:
        group: The papers that the claim may rest on, by id.
    """
    return next(_violations(claim, rna, group), None)


def _violations(claim: Claim, rna: Rna, group: Mapping[str, Paper]) -> Iterator[Violation]:
    text, quote, names = claim.text, claim.quote, rna.names
    outside = [paper for paper in claim.papers if paper not in group]
    if outside or not claim.papers:
        yield Violation("papers outside the group", ", ".join(outside) or "none is named")
        return
    papers = [group[paper] for paper in claim.papers]
    if len(quote.split()) < MIN_QUOTE:
        yield Violation("quote too short", f"at least {MIN_QUOTE} words are needed")
    if not any(find_quote(quote, paper) for paper in papers):
        yield Violation("quote not in the papers", quote)
    words = len(text.split())
    if not MIN_TEXT <= words <= MAX_TEXT:
        yield Violation("text too long" if words > MAX_TEXT else "text too short", f"{words} words")
    sources = [paper.text for paper in papers]
    called = " or ".join(names[:3])
    if not any(names_rna(source, names) for source in sources):
        yield Violation("RNA not named", f"the named papers say nothing of {called}")
    in_text, in_quote = names_rna(text, names), names_rna(quote, names)
    if not in_text and not in_quote:
        yield Violation("RNA not named", called)
    if not in_text and (others := other_rnas(text, names)):
        yield Violation("another RNA", ", ".join(others))
    if not in_quote and (others := other_rnas(quote, names)):
        yield Violation("another RNA", f"the quote is about {', '.join(others)}")
    yield from violations_of_statement(text, quote, " ".join(sources), names)


def violations_of_statement(
    text: str, quote: str, source: str, names: Sequence[str]
) -> Iterator[Violation]:
    """What a statement about the RNA of these names says that its source does not.

    Args:
        quote: The words that the statement rests on, a part of the source.
    """
    yield from violations_of_premise(text, source, names)
    if bool(_NEGATION.search(text)) != bool(_NEGATION.search(quote)):
        yield Violation("negation differs from the quote")
    directions = (_directions(text, names), _directions(quote, names))
    if directions == ({"up"}, {"down"}):
        yield Violation("direction contradicts the quote", "the quote speaks of a decrease")
    if directions == ({"down"}, {"up"}):
        yield Violation("direction contradicts the quote", "the quote speaks of an increase")
    words = _content(mask_names(text, names))
    for share, where, reason in (
        (SHARE_IN_PAPERS, source, "words not in the papers"),
        (SHARE_IN_QUOTE, quote, "quote does not bear the text"),
    ):
        missing = words - _content(where)
        if len(words) - len(missing) < share * len(words):
            yield Violation(reason, ", ".join(sorted(missing)))


def violations_of_premise(text: str, source: str, names: Sequence[str]) -> Iterator[Violation]:
    """What a text takes for granted, be it a question, that its source does not name."""
    if new := _new_terms(text, source, names):
        yield Violation("name not in the papers", ", ".join(new))
    species = (
        name
        for name, pattern in _SPECIES.items()
        if pattern.search(text) and not pattern.search(source)
    )
    if new := list(species):
        yield Violation("species not in the papers", ", ".join(new))
    if new := sorted(_numbers(text, names) - _numbers(source, names)):
        yield Violation("number not in the papers", ", ".join(new))


def find_quote(quote: str, paper: Paper) -> str | None:
    """The words of the abstract, title or full text that a quote repeats, as they stand there.

    White space, case, kinds of dashes and quotation marks, and punctuation at its ends may differ.
    """
    if quote.strip() and any(_whole_words(quote, paper.abstract)):
        return quote
    wanted, _ = _normalise(quote)
    wanted = wanted.strip(" .;,…")
    if wanted[:1] == wanted[-1:] == '"':
        wanted = wanted[1:-1].strip(" .;,…")
    if not wanted:
        return None
    for text in filter(None, (paper.abstract, paper.title, paper.body)):
        plain, places = _normalise(text)
        for found in _whole_words(wanted, plain):
            return text[places[found.start()] : places[found.end() - 1] + 1]
    return None


def _whole_words(words: str, text: str) -> Iterator[re.Match[str]]:
    """Where words stand in a text, not from the middle of a word or number to that of another."""
    for found in re.finditer(re.escape(words), text):
        if not _splits_word(text, found.start()) and not _splits_word(text, found.end()):
            yield found


def _splits_word(text: str, place: int) -> bool:
    """Whether a cut at this place is within a word or a number: 10|^6, 2|.5."""
    if not 0 < place < len(text):
        return False
    before, after = text[place - 1], text[place]
    if "^" in (before, after):
        return True
    joint = _DECIMAL.match(text, place - 2) if place > 1 else None
    joint = joint or _DECIMAL.match(text, place - 1)
    return (before.isalnum() and after.isalnum()) or joint is not None


@lru_cache(maxsize=256)
def _normalise(text: str) -> tuple[str, tuple[int, ...]]:
    """The text with one kind of space, case, dash and quotation mark, and where each was."""
    characters: list[str] = []
    places: list[int] = []
    for place, character in _folded(text):
        for plain in unicodedata.normalize("NFKC", character).translate(_TYPOGRAPHY).casefold():
            if plain.isspace():
                if not characters or characters[-1] == " ":
                    continue
                plain = " "
            characters.append(plain)
            places.append(place)
    return "".join(characters), tuple(places)


def _folded(text: str) -> Iterator[tuple[int, str]]:
    """The characters with superscripts as `plain_text` writes them, each with where it was."""
    for start, end, piece in pieces(text):
        for number, character in enumerate(piece):
            is_last = number == len(piece) - 1
            yield end - 1 if is_last else min(start + number, end - 1), character


def names_rna(text: str, names: Sequence[str]) -> bool:
    """Whether a text names the RNA."""
    return bool(_index(tuple(names)).find(text))


@lru_cache(maxsize=1024)
def _index(names: tuple[str, ...]) -> NameIndex:
    # Names that are words as well were left out when the RNA's papers were sought.
    return NameIndex(((name, "") for name in names), keep_ambiguous=True)


def mask_names(text: str, names: Sequence[str], mask: str = " ") -> str:
    """The text with `mask` in place of the RNA's names."""
    return _pattern(tuple(names)).sub(mask, text)


def mask(text: str, names: Sequence[str]) -> str:
    """The text with "@" in place of the RNA's names, also where a list shortens them.

    "miR-34a/b" is "miR-34a/@" for ``miR-34b``.
    """
    for start, end in reversed(_index(tuple(names)).spans(text)):
        text = f"{text[:start]}@{text[end:]}"
    return mask_names(text, names, "@")


def other_rnas(text: str, names: Sequence[str]) -> list[str]:
    """The names of other RNAs in a text, as far as their form gives them away."""
    found = _RNA_NAME.findall(mask_names(text, names))
    return sorted({name.strip() for name in found})


@lru_cache(maxsize=4096)
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    """Finds where the names stand: miR-21 also as hsa-miR-21-5p and microRNA-21."""
    if not names:
        return re.compile(r"(?!)")
    forms = sorted(set(map(_forms, names)), key=lambda form: (-len(form), form))
    return re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(forms)})(?![A-Za-z0-9])(?!-\d)")


_MICRO_RNA = re.compile(
    r"(?:[a-z]{3,4}-)?(?:mir|mirna|microrna|(?P<let>let))-?(?P<rest>\d+[a-z]*(?:-\d+)?)"
    r"(?P<arm>-[35]p|\*)?",
    re.IGNORECASE,
)


def _forms(name: str) -> str:
    if match := _MICRO_RNA.fullmatch(name):
        kind = "let" if match["let"] else r"(?:micro[\s-]?RNA|miRNA|miR)s?"
        abbreviated = r"(?:\s?\((?:miR|miRNA|miRs|miRNAs)\))?"
        arm = re.escape(match["arm"]) if match["arm"] else r"(?:-[35]p|\*)?"
        return rf"(?i:(?:[a-z]{{3,4}}-)?{kind}{abbreviated}[\s-]?{match['rest']}{arm})"
    pieces = [re.escape(piece) for piece in re.split(r"[\s_-]+", name) if piece]
    form = r"[\s_-]?".join(pieces)
    # Short names without a digit are words in lower case (let, gas, meg).
    if len(name) >= 5 or any(character.isdigit() for character in name):
        return f"(?i:{form})"
    return f"(?:{form}|{form.capitalize()})"


def _new_terms(text: str, source: str, names: Sequence[str]) -> list[str]:
    known = _parts(source) | _GENERAL
    found = (match[0] for match in _TERM.finditer(_plain(mask_names(text, names))))
    terms = [term for term in found if _NAME_LIKE.search(term)]
    return [term for term in terms if not _is_known(term, known)]


def _is_known(term: str, known: frozenset[str]) -> bool:
    whole = _compact(term)
    if whole in known or whole.removesuffix("s") in known:
        return True
    pieces = [piece for piece in re.split(r"[-/]", term) if _NAME_LIKE.search(piece)]
    return bool(pieces) and pieces != [term] and all(_compact(p) in known for p in pieces)


@lru_cache(maxsize=1024)
def _parts(source: str) -> frozenset[str]:
    """Every term of a text, whole and in its pieces, without hyphens and case."""
    found: set[str] = set()
    for match in _TERM.finditer(_plain(source)):
        pieces = re.split(r"[-/]", match[0])
        found.add(_compact(match[0]))
        found.update(map(_compact, pieces))
        found.update(_compact(first + second) for first, second in pairwise(pieces))
    return frozenset(found)


def _compact(term: str) -> str:
    return re.sub(r"[^a-z0-9]", "", term.casefold())


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", fold_scripts(text)).translate(_TYPOGRAPHY)


def _numbers(text: str, names: Sequence[str]) -> frozenset[str]:
    """The numbers of a text, those inside names (p53, HCT-116) left out; "two" is 2."""
    plain = _EXPONENT.sub(r"^\1", _plain(mask_names(text, names)))
    plain = _TERM.sub(lambda match: "" if re.search(r"\d", match[0]) else match[0], plain)
    digits = (_read_number(number) for number in _NUMBER.findall(plain))
    words = (_NUMBER_WORDS.get(word.lower()) for word in re.findall(r"[A-Za-z]+", plain))
    return frozenset(digits) | frozenset(filter(None, words))


def _read_number(text: str) -> str:
    text, raised, exponent = text.partition("^")
    if raised:
        return f"{_read_number(text) if text else ''}^{exponent.removeprefix('+')}"
    text = re.sub(r",(?=\d{3}(?!\d))", "", text).replace(",", ".")
    if text.count(".") > 1:
        return text
    return format(Decimal(text).normalize(), "f")


def _directions(text: str, names: Sequence[str]) -> set[str]:
    text = mask_names(text, names)
    return {name for name, pattern in (("up", _UP), ("down", _DOWN)) if pattern.search(text)}


def _content(text: str) -> frozenset[str]:
    """The words that carry meaning, cut to six letters: regulates and regulation are one."""
    words = re.findall(r"[a-z0-9]{4,}", _plain(text).casefold())
    return frozenset(word[:6] for word in words if word not in _STOP)


def overlap(first: str, second: str, names: Sequence[str]) -> float:
    """The share of the shorter text's content words that the other has, the RNA's names aside."""
    words, others = (_content(mask_names(text, names)) for text in (first, second))
    return len(words & others) / max(1, min(len(words), len(others)))


def adds_nothing(text: str, other: str, names: Sequence[str], share: float) -> bool:
    """Whether a text says what another one says: no new name, species or number, and its words."""
    return (
        not any(violations_of_premise(text, other, names))
        and bool(_NEGATION.search(text)) == bool(_NEGATION.search(other))
        and _directions(text, names) == _directions(other, names)
        and overlap(text, other, names) >= share
    )


def leaked_phrase(text: str) -> str | None:
    """The words of a text that speak of a paper instead of the RNA ("the study shows")."""
    found = _LEAKED.search(text)
    return found[0] if found else None


__all__ = [
    "Violation",
    "adds_nothing",
    "find_quote",
    "leaked_phrase",
    "mask",
    "mask_names",
    "names_rna",
    "other_rnas",
    "overlap",
    "validate_claim",
    "violations_of_premise",
    "violations_of_statement",
]
