"""What a question asks for, and which RNAs it is about.

Questions are recognised by patterns: they decide which fact of a record answers, so they have to be
certain, and what they do not know is `Kind.OTHER`, which is answered from the records' sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a question asks for."""

    IDENTITY = "identity"
    FAMILY = "family"
    TYPE = "type"
    ACCESSION = "accession"
    NAME = "name"
    SUMMARY = "summary"
    FUNCTION = "function"
    PROCESS = "process"
    LOCATION = "location"
    INTERACTION = "interaction"
    GENE = "gene"
    TERMS = "terms"
    CLAN = "clan"
    PAPERS = "papers"
    ORGANISM = "organism"
    STRUCTURE = "structure"
    ENERGY = "energy"
    PLACE = "place"
    CERTAINTY = "certainty"
    LENGTH = "length"
    COMPOSITION = "composition"
    AMBIGUITY = "ambiguity"
    CHECK = "check"
    COMPARE = "compare"
    UNKNOWABLE = "unknowable"
    OTHER = "other"


# Answered from the sequence alone.
SEQUENCE_KINDS = frozenset({Kind.LENGTH, Kind.COMPOSITION, Kind.AMBIGUITY, Kind.ENERGY})

_THIS = (
    r"(?:this|that|it|the|these|those|they|them|its|my|our|your|rna|sequence|molecule|transcript)"
)
_WHAT = r"(?:what|which|name|tell me|give me|give|state|report|show|list|how|do you know)"
# In order: the first that matches counts.
_PATTERNS: tuple[tuple[Kind, str], ...] = (
    (
        Kind.UNKNOWABLE,
        r"\b(?:mutat\w+|substitut\w+|knock(?:ed|ing)?[- ]?(?:out|down)|delet(?:e|ed|ing|ion)s?"
        r"|what (?:if|happens if|would happen)|variants? (?:of|at)|snps?\b|design|synthesi[sz]e"
        r"|predict (?:the )?(?:effect|impact)|off-target|should i|cure|treat(?:ment)?\b|dose"
        r"|price|cost)",
    ),
    (
        Kind.COMPARE,
        r"\b(?:compar(?:e|es|ed|ing|ison)|which (?:one )?(?:rna )?is (?:longer|shorter|bigger)"
        r"|differences?|differ|in common|similarit\w+|(?:the )?same (?:rna|family"
        r"|type|kind|class|clan|function|thing)|alike|related|versus|vs)\b",
    ),
    (Kind.AMBIGUITY, r"\b(?:ambiguous|ambiguit\w+|undetermined|unknown letters|iupac)\b"),
    (
        Kind.LENGTH,
        r"\bhow (?:long|many (?:nucleotides|nt|bases|letters|residues|bp))\b|\blength\b"
        r"|\b(?:size|number of (?:nucleotides|bases|nt)) of\b|\bhow (?:big|large|short)\b",
    ),
    (
        Kind.COMPOSITION,
        r"\bg\s*[+/&]?\s*c\b(?:[ -](?:content|share|percent\w*|ratio|fraction|rich))"
        r"|\bgc\s*%|%\s*gc|\b(?:is|are|being) (?:either )?g (?:or|and) c\b|\bgc\b|\bg\s*\+\s*c\b",
    ),
    (Kind.ENERGY, r"\b(?:free energy|mfe|folding energy|how stable|kcal)\b"),
    (
        Kind.CERTAINTY,
        r"\bhow (?:sure|certain|confident|reliable|good)\b|\be-?value\b|\bbit score\b|\bbits\b"
        r"|\bconfidence\b|\bhow do you know\b|\b(?:are you|is it) (?:sure|certain)\b"
        r"|\bwhy do you (?:think|say)\b",
    ),
    (
        Kind.PLACE,
        r"\bwhere (?:in|on|within) (?:this|the|my|that) (?:\w+ )?(?:rna|sequence|transcript)\b"
        r"|\b(?:which|what) (?:strand|positions?|part|region|nucleotides|coordinates)\b"
        r"|\b(?:sense|antisense|reverse|minus|plus|other|forward)[- ]?(?:complement(?:ed)? )?"
        r"(?:strand|orientation)\b|\breverse[- ]complement\w*\b|\bwhere does (?:it|the match) "
        r"(?:lie|start|begin|end)\b|\bantisense\?$|\bwhich way round\b",
    ),
    (
        Kind.ACCESSION,
        r"\baccessions?\b|\brf ?(?:number|id)\b|\brfam (?:number|record|entry)\b"
        r"|\b(?:identifier|id) (?:number )?(?:of|in) rfam\b",
    ),
    (
        Kind.NAME,
        r"\bshort name\b|\bidentifier does rfam\b|\brfam id\b|\bwhat (?:is|'s) (?:it|this rna|this)"
        r" called\b|\bwhat is (?:the|its) name\b",
    ),
    (Kind.CLAN, r"\bclans?\b"),
    (
        Kind.TERMS,
        r"\b(?:ontology|(?:go|so)[- ]terms?|gene ontology|sequence ontology)\b"
        r"|\bterms? (?:of|is|are|annotat)",
    ),
    (
        Kind.PAPERS,
        r"\b(?:papers?|publications?|literature|references?|citations?|pubmed|pmids?|articles?"
        r"|stud(?:y|ies) (?:describ|report)\w*)\b|\bwhat evidence\b|\bwhere was (?:this|it|the) "
        r"(?:rna )?(?:first )?(?:described|discovered|reported)\b|\bwho (?:found|discovered"
        r"|described)\b",
    ),
    (
        Kind.STRUCTURE,
        r"\b(?:secondary structure|structure|fold(?:s|ed|ing)?|hairpins?|stem[- ]?loops?"
        r"|dot-?bracket|base[- ]pairs?)\b",
    ),
    (
        Kind.ORGANISM,
        r"\b(?:(?:which|what) (?:organisms?|species|bacteri\w+|animals?|plants?|virus(?:es)?)"
        r"|organisms?\??$|species\??$|taxon\w*)\b(?!.*\bfound\b)",
    ),
    (
        Kind.GENE,
        r"\b(?:gene|element|intron)\b.{0,40}\bor\b.{0,40}\b(?:gene|element|intron)\b",
    ),
    (
        Kind.PROCESS,
        r"\b(?:biological )?process(?:es)?\b(?!ing)|\bpathways?\b|\btakes? part\b",
    ),
    (
        Kind.INTERACTION,
        r"\bwhat (?:binds|regulates|targets|controls|interacts)|\binteract(?:s|ion|ions)?\b"
        r"|\b(?:bind|target|respond|regulate)s? to\b|\bwhich (?:molecules?|proteins?|ligands?"
        r"|metabolites?)\b|\b(?:partners?|targets?|ligands?|regulators?)\b",
    ),
    (
        Kind.LOCATION,
        r"\bwhere\b.*\b(?:found|occurs?|located|expressed|locali[sz]ed|come from|comes from|live)"
        r"|\bin (?:which|what) (?:organisms?|genes?|cells?|cellular|compartments?|tissues?)"
        r"|\blocation\b|\blocali[sz]ation\b|\bwhere is (?:it|this rna|this)\??$"
        r"|\b(?:where|which) .{0,30}\blocated\b",
    ),
    (
        Kind.FUNCTION,
        r"\b(?:functions?|roles?|purpose|mechanism)\b|\bwhat (?:does|do) " + _THIS + r".*\bdo\b"
        r"|\bhow (?:does|do) " + _THIS + r".*\b(?:act|work|function)\b"
        r"|\bwhat (?:is|are) "
        + _THIS
        + r"(?: rna| rnas)? (?:good |used )?for\b|\bwhy .*important\b",
    ),
    (
        Kind.FAMILY,
        r"\bfamil(?:y|ies)\b|\bwhat " + _THIS + r"? ?belongs? to\b",
    ),
    (
        Kind.TYPE,
        r"\b(?:type|kind|class|category|biotype|sort)\b|\bclassif\w+\b",
    ),
    (
        Kind.SUMMARY,
        r"\b(?:describe|description|summar\w+|tell (?:me|us)(?: more| something)? about|overview)\b"
        r"|\bwhat (?:is|else is|do you) know[n]?\b|\bwhat do (?:the )?records? (?:tell|say)\b"
        r"|\bexplain (?:this|it|the)\b|\b(?:everything|more) (?:about|on)\b|\bdetails?\b",
    ),
    (
        Kind.IDENTITY,
        r"\bidentif\w+|\bidentity\b|\bannotate\b|\bwhat (?:is|'s|are|was) " + _THIS + r"\b"
        r"(?: rnas?| sequences?| molecules?| transcripts?| things?)*(?: here| please)?\??$"
        r"|\bwhat (?:could|can|might|may) "
        + _THIS
        + r"\b.* be\b|\bwhat(?:'?s)? "
        + _THIS
        + r"\b(?: rna| sequence)?(?: is)?\??$|\b(?:which|what) rnas? (?:is|are|do)\b|\bwhat do you call\b"
        r"|\brecogni[sz]e\b|\bwhat (?:have i|did i|am i)\b|\b(?:which|what) known rnas?\b"
        r"|^(?:and )?what is \w+ ?\d*\??$",
    ),
)
_RULES = tuple((kind, re.compile(pattern)) for kind, pattern in _PATTERNS)

# "Is this a tRNA?", "isn't it a riboswitch?", "this is not a tRNA, is it?", "Could it be ...?"
_SUBJECT = (
    r"(?:(?:the|this|that|my|our) (?:\w+ )?(?:rna|sequence|molecule|transcript)|this|that|it"
    r"|rna ?\d+|the (?:first|second|third|last) (?:one|rna|sequence)|{names})"
)
_CHECKS = tuple(
    pattern
    for pattern in (
        r"^(?:and |so |but )?(?:is|isn't|isnt|was|are) {subject}(?: really| not| actually| perhaps"
        r"| maybe| also| then)*(?: an?| the| one of the| some(?: kind of)?)? (?P<asked>.+)$",
        r"^(?:and |so )?(?:could|can|might|may|would|should) {subject}(?: really| not| also)* be"
        r"(?: an?| the)? (?P<asked>.+)$",
        r"^(?:does|doesn't|do) {subject}(?: really| not)? (?:belong to|look like|count as|match|"
        r"resemble)(?: an?| the)? (?P<asked>.+)$",
        r"^{subject} (?:is|isn't|looks like|must be|seems to be) (?:not |really )?(?:an?|the) "
        r"(?P<asked>[^,]+?)(?:, (?:isn't it|isnt it|is it|no|yes|true|correct))?$",
        r"^(?:am i|are we) (?:looking at|dealing with)(?: an?| the)? (?P<asked>.+)$",
        r"^(?:do|can|would) you (?:think|say|confirm|agree)(?: that)? {subject} is(?: not)?"
        r"(?: an?| the)? (?P<asked>.+)$",
    )
)
_ENDINGS = re.compile(
    r"(?:,? (?:or not|right|please|then|at all|by any chance|as well|too|here))+$|[?.! ]+$"
)
_MEMBER = re.compile(
    r"^(?:member|part|example|representative|copy|instance|case) of (?:an? |the )?"
)
_FAMILY_WORD = re.compile(r" (?:rna )?(?:family|families|class|gene|molecule|rna molecule)$")
_SEVERAL = re.compile(
    r"\b(?:both|all(?: of (?:them|these))?|each|the two|either|these|those|them|they|their|two rnas"
    r"|each other)\b|\b(?:compare|differences? between)\b"
)
# Names of records that are words of questions: they name nothing.
_NO_NAMES = ("rna", "sequence", "this", "it", "query", "unnamed")
_ORDINALS = {
    word: number
    for number, words in enumerate(
        ("first 1st", "second 2nd", "third 3rd", "fourth 4th", "fifth 5th", "sixth 6th")
    )
    for word in words.split()
}


_ORDINAL = re.compile(
    r"\b(?:the )?(" + "|".join(_ORDINALS) + r"|last|latter|former)\b"
    r"(?= (?:one|rna|sequence)\b|\?|$)"
)
# "RNA 2", "RNAs 1 and 3", "sequence #2"; not "RNA 76 nt".
_NUMBERED = re.compile(
    r"\b(?:rna|sequence|record|number|no\.?)s? ?#?(\d{1,4})"
    r"(?:(?:,| and| or| vs\.?| with)+ (?:rna )?#?(\d{1,4}))?\b(?!\s*(?:nt|nucleotides|%))"
)


@dataclass(frozen=True)
class Question:
    """A question, understood.

    Attributes:
        text: as it was asked.
        kind: what it asks for.
        asked: of `Kind.CHECK`, what the RNA may be, such as "tRNA" or "5S rRNA"; empty else.
    """

    text: str
    kind: Kind
    asked: str = ""


def understand(text: str, names: Sequence[str] = ()) -> Question:
    """What a question asks for.

    Args:
        text: in plain English.
        names: of the RNAs that it may be about.

    Examples:
        >>> understand("What does this RNA do?").kind.value
        'function'
        >>> understand("Is this RNA a riboswitch?")
        Question(text='Is this RNA a riboswitch?', kind=<Kind.CHECK: 'check'>, asked='riboswitch')
    """
    plain = " ".join(text.lower().replace("\u2019", "'").split())
    alternatives = "|".join(re.escape(name.lower()) for name in names if name) or r"(?!)"
    subject = _SUBJECT.replace("{names}", alternatives)
    bare = _strip_endings(plain)
    special = {Kind.UNKNOWABLE, Kind.COMPARE, Kind.GENE, Kind.CLAN, Kind.CERTAINTY, Kind.PLACE}
    found = next((kind for kind, rule in _RULES if rule.search(plain)), Kind.OTHER)
    if found not in special and not (found is Kind.STRUCTURE and " or " in plain):
        for pattern in _CHECKS:
            if match := re.search(pattern.replace("{subject}", subject), bare):
                return Question(text, Kind.CHECK, _asked_thing(match["asked"]))
    return Question(text, found)


def _strip_endings(plain: str) -> str:
    previous = None
    while previous != plain:
        previous, plain = plain, _ENDINGS.sub("", plain)
    return plain


def _asked_thing(words: str) -> str:
    words = _MEMBER.sub("", words.strip())
    for article in ("a ", "an ", "the "):
        words = words.removeprefix(article)
    return _FAMILY_WORD.sub("", words)


@dataclass(frozen=True)
class About:
    """Which RNAs a question is about.

    Attributes:
        places: of the RNAs, from 0, in the order in which they were given.
        named: whether the question says so; else it is the last one given.
    """

    places: tuple[int, ...]
    named: bool


def find_about(text: str, names: Sequence[str]) -> About:
    """Which of several RNAs a question is about.

    "RNA 2", "the second one", a FASTA name, "both", "all"; a comparison that names one is of that
    one and the last one given before or after it; without any of these the last one given.

    Raises:
        ValueError: the question names an RNA that was not given.
    """
    if not names:
        return About((), named=False)
    plain = " ".join(text.lower().split())
    places = _named_places(plain, names)
    if places:
        return About(tuple(dict.fromkeys(places)), named=True)
    if len(names) > 1 and _SEVERAL.search(plain):
        return About(tuple(range(len(names))), named=True)
    return About((len(names) - 1,), named=len(names) == 1)


def _named_places(plain: str, names: Sequence[str]) -> list[int]:
    found: list[tuple[int, int]] = []
    taken = plain
    # Longer names first: "tRNA-2" is no "tRNA".
    for place in sorted(range(len(names)), key=lambda place: -len(names[place])):
        name = names[place].lower()
        if not name or name in _NO_NAMES:
            continue
        pattern = re.compile(rf"(?<![\w.-]){re.escape(name)}(?![\w-]|\.\w)")
        found += [(match.start(), place) for match in pattern.finditer(taken)]
        taken = pattern.sub(lambda match: " " * len(match[0]), taken)
    found += _numbered_places(taken, names)
    found += [
        (match.start(), place)
        for match in _ORDINAL.finditer(taken)
        if (place := _ordinal_place(match[1], len(names))) < len(names)
    ]
    return [place for _, place in sorted(found)]


def _numbered_places(plain: str, names: Sequence[str]) -> Iterator[tuple[int, int]]:
    for match in _NUMBERED.finditer(plain):
        for group in (1, 2):
            if not match[group]:
                continue
            number = int(match[group])
            if not 1 <= number <= len(names):
                given = "1 RNA was" if len(names) == 1 else f"{len(names)} RNAs were"
                raise ValueError(
                    f"The question is about RNA {number}, and {given} given: "
                    f"{', '.join(names[:8])}."
                )
            yield match.start(group), number - 1


def _ordinal_place(word: str, count: int) -> int:
    return {"last": count - 1, "latter": count - 1, "former": 0}.get(word, _ORDINALS.get(word, 0))


__all__ = ["SEQUENCE_KINDS", "About", "Kind", "Question", "find_about", "understand"]
