"""Whether a record says what a sentence of a model says.

Measures of the sequence and of the match ("76 nt", "nucleotides 3–74", "1e-12") are compared with
their values and taken out. What is left is held against one line of the record at a time (its name
and type, each sentence of it, its terms, its papers): every word that carries a fact has to be in
that line, or in the record's name, since a claim put together from the words of several lines is no
claim of the record. What a sentence says the RNA *is* has to be the record's name or type, or to be
told so by a line.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from rnagpt.evidence.facts import SequenceFacts
from rnagpt.evidence.gathering import Evidence, Item
from rnagpt.evidence.matching import EMPTY, names_record, stem, type_names, words_of
from rnagpt.evidence.record_sentences import LISTED_AS, Sentence
from rnagpt.evidence.sentences import tell_energy
from rnagpt.evidence.splitting import WrittenSentence, read_sentences
from rnagpt.reference.records import Record
from rnagpt.sequences.rna_types import PATH_OF_TYPE, is_type, named_type

# Little words that change what a sentence says, though they name nothing.
_FACTUAL_WORDS = """
after all before both down e either g given more most off one only over same three two under up
within without
"""
_FACTUAL = frozenset(_FACTUAL_WORDS.split())
_NO_FACT = EMPTY - _FACTUAL
# Words by which what a line says is told in other words.
_SOFT_WORDS = """
acts also function helps involved namely part participates plays rfam role serves specifically
takes works
"""
_SOFT = frozenset(map(stem, _SOFT_WORDS.split()))
# "Non-coding" is not a case of "coding".
_PREFIXES = ("non", "anti", "un", "pre", "post", "pro", "de", "re", "co", "trans", "cis", "sub")
_NEGATION = re.compile(
    r"\b(?:not|no|never|neither|nor|cannot|without|lacks?|lacking)\b|n't\b", re.IGNORECASE
)
_ANSWERED = re.compile(r"^(?:yes|no)[,.:;]\s*", re.IGNORECASE)
_RNA = (
    r"(?:it|this|that|(?:this|the|the given|your) (?:rna|sequence|molecule|transcript|query|family"
    r"|match|part))"
)
# What a sentence says the RNA is: "is a tRNA", "belongs to the SAM family", and not "is found in".
_IDENTITY = re.compile(
    rf"^{_RNA} (?:(?P<is>is|was)(?: (?:likely|probably|most likely|also|indeed))?|belongs to"
    r"|appears to be|seems to be|looks like|represents|corresponds to|encodes|contains) "
    r"(?P<what>.+?)[.!]?$",
    re.IGNORECASE,
)
_NAMING = re.compile(
    r"^(?:(?:an? |the )?(?:member|part|example|case) of )?(?:an?|the) ", re.IGNORECASE
)
_TELLING = re.compile(r"^\w+(?:ed|en|und|wn|ght|ble|al) (?:to|in|by|with|for|from|on|as|at)\b")
_IS = re.compile(
    r"\b(?:is|are|was|were|be|been|represents?|encodes?|contains?|belongs? to|corresponds? to)\b"
)
_LITTLE = re.compile(
    r"\b(?:an?|the|also|thought to|likely|probably|(?:member|part|example|case)s? of)\b",
    re.IGNORECASE,
)
_PHRASE_END = re.compile(r",|\(|\bthat\b|\bwhich\b|\bwith\b|\bfrom\b|\bin\b|\band\b|\bof\b")
# A sentence on how long the RNA itself is, or on its GC content, is one of its sequence.
_OF_SEQUENCE = re.compile(
    rf"^(?:{_RNA}|its)\b.*(?:\b\d+ (?:nt|nucleotides|bases|bp)\b|\blength\b|\bgc\b|\bg\+c\b)",
    re.IGNORECASE,
)
_NONE_AMBIGUOUS = re.compile(
    r"(?:none|no) (?:of its )?(?:letters?|bases?) (?:is|are) ambiguous\.?$", re.IGNORECASE
)
_DOT_BRACKET = re.compile(r"[().]*\(\([().]*\)\)[().]*")
_PAIRED_ID = re.compile(r"\((?:GO|SO):\d+\)|\b(?:GO|SO):\d+ \(")
_BEFORE_TERM = re.compile(r"(?:^|[,:;]|\b(?:and|or|terms?|in|to|the|is|are|as|GO|SO)) ?$")
_FACT_WORDS = "nucleotides nt bases letters long length total size gc g c content percent share has"


def check_sentence(written: WrittenSentence, evidence: Evidence) -> Sentence:
    """A model's sentence with the records that support it, or marked as supported by none.

    The records it cites are asked first, then the others: a right sentence with a wrong citation
    gets the right one.
    """
    if is_of_sequence(written.text, evidence):
        return Sentence(written.text)
    items = sorted(evidence.items, key=lambda item: item.number not in written.cites)
    for item in items:
        if is_supported(written.text, item, evidence):
            return Sentence(written.text, (item.number,))
    return Sentence(written.text, (), supported=False)


def is_supported(text: str, item: Item, evidence: Evidence) -> bool:
    """Whether a record, and the match to it, say what a sentence says."""
    told = _told(item.record)
    plain = _ANSWERED.sub("", text)
    if _normal(plain) in told.verbatim:
        return True
    without_terms = _without_terms(plain, item.record)
    if without_terms is None:
        return False
    rest = _without_measures(without_terms, item, evidence)
    if rest is None or _OF_SEQUENCE.match(rest) or not _says_what_it_is(rest, item.record):
        return False
    if all(fact.stem in _SOFT for fact in _facts(rest)):
        # Nothing but measures and terms, all of them right.
        return rest != plain
    own = told.name | _SOFT
    lines = (*told.lines, _Line.read(_match_line(item)))
    return any(_is_told_by(rest, line, own) for line in lines)


def telling_sentences(text: str, item: Item, evidence: Evidence) -> tuple[str, ...]:
    """The record's own sentences of which each says what a sentence says, as they stand.

    Empty where it is what the record lists (its name, type, terms or papers) or the match that says
    so, or only several of the record's sentences together.
    """
    plain = _ANSWERED.sub("", text)
    sentences = tuple(dict.fromkeys(_sentences(item.record)))
    if same := tuple(one for one in sentences if _normal(one) == _normal(plain)):
        return same
    without_terms = _without_terms(plain, item.record)
    rest = without_terms and _without_measures(without_terms, item, evidence)
    if not rest or not any(fact.stem not in _SOFT for fact in _facts(rest)):
        return ()
    own = _told(item.record).name | _SOFT
    return tuple(one for one in sentences if _is_told_by(rest, _Line.read(one, is_list=False), own))


def is_of_sequence(text: str, evidence: Evidence) -> bool:
    """Whether a sentence tells nothing but facts of the sequence, and tells them right."""
    if "free energy" in text and text == tell_energy(evidence.facts):
        return True
    rest = _remove(_ANSWERED.sub("", text), _sequence_measures(evidence.facts))
    if rest == text:
        return _tells_ambiguity(text, evidence.facts)
    words = {stem(word) for word in _FACT_WORDS.split()}
    return not re.search(r"\d|%", rest) and {fact.stem for fact in _facts(rest)} <= words


def _tells_ambiguity(text: str, facts: SequenceFacts) -> bool:
    if facts.ambiguous:
        return False
    return bool(
        re.fullmatch(
            r"(?:none|no) (?:of its )?(?:letters?|bases?) (?:is|are) ambiguous\.?",
            text,
            re.IGNORECASE,
        )
    )


# --- measures: numbers of the sequence and of the match


@dataclass(frozen=True)
class _Measure:
    """How a number is told, and whether what is told is right."""

    pattern: re.Pattern[str]
    is_right: Callable[[re.Match[str]], bool]

    def take_out(self, text: str) -> str:
        """The text without it, where it is told right."""
        return self.pattern.sub(lambda match: "" if self.is_right(match) else match[0], text)


def _measure(pattern: str, is_right: Callable[[re.Match[str]], bool]) -> _Measure:
    return _Measure(re.compile(pattern, re.IGNORECASE), is_right)


_PERCENT = r"(\d+(?:\.\d+)?) ?(?:%|percent)"


def _sequence_measures(facts: SequenceFacts) -> list[_Measure]:
    gc = {"?"} if facts.gc is None else {f"{100 * facts.gc:.{n}f}" for n in (0, 1, 2)}
    energy = r"(-?\d+(?:\.\d+)?) kcal/mol(?: \(ViennaRNA, 37 °C\))?"
    return [
        _measure(
            r"\b([\d,]+) of (?:its |the )?([\d,]+) (?:letters?|bases|nucleotides) (?:is|are)"
            " ambiguous",
            lambda m: (_int(m[1]), _int(m[2])) == (facts.ambiguous, facts.length),
        ),
        _measure(
            r"\b([\d,]+) ambiguous (?:letters?|bases|nucleotides)",
            lambda m: _int(m[1]) == facts.ambiguous,
        ),
        _measure(
            r"\b([\d,]+)[ -](?:nt|nucleotides?|bases|letters|bp)\b(?: long| in length)?"
            r"|\blength (?:is|of) ([\d,]+)(?! %|[.\d])(?: (?:nt|nucleotides|bases))?",
            lambda m: _int(m[1] or m[2]) == facts.length,
        ),
        _measure(
            rf"\bGC(?:[ -](?:content|share))?(?: (?:is|of|=))?(?: about)? {_PERCENT}"
            rf"|{_PERCENT} (?:GC|G\+C)\b(?: content)?",
            lambda m: (m[1] or m[2]) in gc,
        ),
        _measure(
            rf"(?:structure of )?minimum free energy (?:has|is|of) {energy}",
            lambda m: facts.energy is not None and float(m[1]) == facts.energy,
        ),
    ]


def _match_measures(item: Item, evidence: Evidence) -> list[_Measure]:
    hit, length = item.hit, evidence.facts.length
    scores = {f"{hit.evalue:.{n}g}" for n in (1, 2, 3)}
    return [
        _measure(
            r"\b(?:nucleotides|positions|nt) ([\d,]+) ?(?:–|-|to) ?([\d,]+)"
            r"(?: of (?:its )?([\d,]+))?",
            lambda m: (
                (_int(m[1]), _int(m[2]), _int(m[3] or str(length))) == (hit.start, hit.end, length)
            ),
        ),
        _measure(r"\b(-?\d+(?:\.\d+)?) bits", lambda m: m[1] in _rounded(hit.bits)),
        _measure(r"\bE(?:-value)?(?: (?:of|is|=))? (\d[\d.e+-]*\d|\d)", lambda m: m[1] in scores),
        _measure(
            r"(\d+(?:\.\d+)?) ?% identity|identity (?:of|is) (\d+(?:\.\d+)?) ?%",
            lambda m: (m[1] or m[2]) in _rounded(100 * hit.identity),
        ),
        _measure(r"\b([\d,]+) base pairs", lambda m: _int(m[1]) == hit.structure.count("(")),
        _measure(_DOT_BRACKET.pattern, lambda m: m[0] == hit.structure),
        _measure(r"PMID (\d+)", lambda m: m[1] in _papers(item.record)),
        _measure(r", and in (\d+) more", lambda m: int(m[1]) < len(_papers(item.record))),
    ]


def _int(digits: str) -> int:
    return int(digits.replace(",", "") or 0)


def _rounded(value: float) -> set[str]:
    return {f"{value:.{places}f}" for places in (0, 1, 2)}


def _remove(text: str, measures: Sequence[_Measure]) -> str:
    """A sentence without the measures that it tells right."""
    for measure in measures:
        text = measure.take_out(text)
    return text


def _without_measures(text: str, item: Item, evidence: Evidence) -> str | None:
    """A sentence without its measures; None where it draws another structure."""
    rest = _remove(text, (*_match_measures(item, evidence), *_sequence_measures(evidence.facts)))
    if _DOT_BRACKET.search(rest) or re.search(r"PMID \d+", rest):
        return None
    rest = re.sub(r"^(?:the )?(?:part|match|hit|region) at +", "it ", rest, flags=re.IGNORECASE)
    if item.hit.strand == "-":
        rest = re.sub(
            r"^(?:its|the) reverse complement(?: of its)? +", "it ", rest, flags=re.IGNORECASE
        )
    return rest


def _without_terms(text: str, record: Record) -> str | None:
    """A sentence without the terms that stand in it with their own names; None for a wrong pair."""
    for term in sorted(record.terms, key=lambda term: -len(term.name)):
        for written in (f"{term.name} ({term.id})", f"{term.id} ({term.name})"):
            before, found, after = text.partition(written)
            # "Ribosome (GO:0005840)" is no end of "structural constituent of ribosome (…)".
            if found and not before.endswith("of ") and _BEFORE_TERM.search(before):
                text = f"{before}{after}"
    return None if _PAIRED_ID.search(text) else text


# --- what a record tells


@dataclass(frozen=True)
class _Fact:
    """A word that carries a fact.

    Attributes:
        word: in small letters.
        stem: without its ending.
        is_name: whether it names something: its place among other names says what does what.
    """

    word: str
    stem: str
    is_name: bool


@lru_cache(maxsize=1_024)
def _facts(text: str) -> tuple[_Fact, ...]:
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    return tuple(
        _Fact(word.lower(), stem(word), _is_name(word, place))
        for place, word in enumerate(words_of(text))
        if word.lower() not in _NO_FACT
    )


def _is_name(word: str, place: int) -> bool:
    return any(map(str.isdigit, word)) or any(map(str.isupper, word[0 if place else 1 :]))


@dataclass(frozen=True)
class _Line:
    """A thing that a record says.

    Attributes:
        text: as it is written.
        known: how often it has each stem, those of the parts of its compounds too.
        names: the names in it, in order; of a list, in which order means nothing, none.
        negations: how many it holds.
    """

    text: str
    known: Counter[str]
    names: tuple[str, ...]
    negations: int

    @classmethod
    def read(cls, text: str, *, is_list: bool = True) -> _Line:
        facts = _facts(text)
        known = Counter(fact.stem for fact in facts)
        known.update(stem(part) for fact in facts for part in _parts(fact.word))
        names = () if is_list else tuple(fact.stem for fact in facts if fact.is_name)
        return cls(text, known, names, _count_negations(text))


def _parts(word: str) -> list[str]:
    parts = re.split(r"[-/]", word)
    return [] if len(parts) == 1 or parts[0] in _PREFIXES else parts


def _count_negations(text: str) -> int:
    return len(_NEGATION.findall(text))


@dataclass(frozen=True)
class _Told:
    """What a record tells: its lines, its sentences as they stand, the words of its name."""

    record: Record

    @cached_property
    def lines(self) -> tuple[_Line, ...]:
        sentences = (_Line.read(text, is_list=False) for text in _sentences(self.record))
        return (*map(_Line.read, _metadata(self.record)), *sentences)

    @cached_property
    def verbatim(self) -> frozenset[str]:
        return frozenset(map(_normal, _sentences(self.record)))

    @cached_property
    def name(self) -> frozenset[str]:
        """Words of the record's name, which any of its sentences may hold; numbers are none."""
        known = _Line.read(f"of {self.record.name} {self.record.description}").known
        return frozenset(word for word in known if not word.isdigit())

    @cached_property
    def label(self) -> frozenset[str]:
        """Words that say what the RNA is."""
        organism = self.record.organism
        return frozenset(_Line.read(f"of {organism} {' of '.join(_names(self.record))}").known)

    @cached_property
    def heads(self) -> frozenset[str]:
        """Those of them that say it by themselves: "riboswitch" of "SAM riboswitch (S box)"."""
        parts = (part for name in _names(self.record) for part in _without_brackets(name))
        phrases = (_PHRASE_END.split(part)[0] for part in parts)
        last = (facts[-1] for phrase in phrases if (facts := _facts(f"of {phrase}")))
        return frozenset(fact.stem for fact in last)


@lru_cache(maxsize=256)
def _told(record: Record) -> _Told:
    return _Told(record)


def _names(record: Record) -> Iterator[str]:
    """What the RNA may be called."""
    yield from (record.id, record.name, record.description, record.organism)
    yield f"clan {record.clan}"
    yield from (term.name for term in record.terms if term.id.startswith("SO:"))
    if record.type:
        yield from type_names(record.type)


def _without_brackets(name: str) -> Iterator[str]:
    """ "SAM riboswitch (S box leader)" as "SAM riboswitch", and "S box leader" besides."""
    yield re.sub(r"\([^()]*\)", " ", name)
    if match := re.search(r"\(([^()]*)\)$", name):
        yield match[1]


def _sentences(record: Record) -> Iterator[str]:
    yield from record.functions
    for claim in record.claims:
        yield claim.text
        if claim.quote:
            yield claim.quote


def _papers(record: Record) -> set[str]:
    return {*record.papers, *(paper for claim in record.claims for paper in claim.papers)}


def record_lines(record: Record) -> tuple[str, ...]:
    """What a record says, a line for each thing that it says."""
    return (*_metadata(record), *_sentences(record))


def _metadata(record: Record) -> Iterator[str]:
    """What a record lists: words by which it is told, and those of the record."""
    label = f"{record.description} {record.name}"
    types = ", ".join(type_names(record.type)) if record.type else ""
    yield f"member matches {label} {types} {record.organism} {record.id}"
    yield f"Rfam accession ID identifier number {label} {record.id}"
    if papers := _papers(record):
        yield f"described papers PubMed PMID {' '.join(papers)}"
    if path := PATH_OF_TYPE.get(record.type):
        yield f"Rfam lists listed as {LISTED_AS[path[0]]}"
    if record.terms:
        terms = ", ".join(term.name for term in record.terms)
        yield f"linked ontology terms annotated takes part molecular function process {terms}"
    for term in record.terms:
        yield f"linked ontology term annotated {term.name} {term.id}"
    if record.clan:
        yield f"Rfam clan {record.clan}"


def _match_line(item: Item) -> str:
    hit = item.hit
    strand = "given plus sense" if hit.strand == "+" else "reverse complement minus opposite"
    return (
        f"match {item.record.name} lies strand {strand} consensus structure laid bits E-value"
        " number good matches expected chance identity base pairs"
    )


def _is_told_by(text: str, line: _Line, own: frozenset[str]) -> bool:
    """Whether a line says what a text says."""
    facts = _facts(_adjunct_last(text))
    others = [fact for fact in facts if fact.stem not in own]
    counted = Counter(fact.stem for fact in others)
    if not all(_is_known(fact, line.known, counted[fact.stem]) for fact in others):
        return False
    if not any(_is_known(fact, line.known) and fact.stem not in _SOFT for fact in facts):
        return False
    if _count_negations(text) != line.negations:
        return False
    names = [fact.stem for fact in facts if fact.is_name]
    return _is_in_order(names, line.names) or (" by " in text) != (" by " in line.text)


def _adjunct_last(text: str) -> str:
    """ "In E. coli, it binds Hfq." as "it binds Hfq in E. coli"."""
    match = re.match(r"^((?:In|From|Within|During) [^,]{2,60}), (.+?)\.?$", text)
    return f"{match[2]} {match[1][0].lower()}{match[1][1:]}" if match else text


def _is_known(fact: _Fact, known: Container[str] | Counter[str], times: int = 1) -> bool:
    """Whether a line has a word, or all parts of a compound, at least so many times."""
    count = known[fact.stem] if isinstance(known, Counter) else int(fact.stem in known)
    if count >= times:
        return True
    parts = _parts(fact.word)
    if any(map(str.isdigit, parts)):  # "Spi-1" is another name than "Spi-8"
        return False
    return bool(parts) and all(stem(part) in known or part in _NO_FACT for part in parts)


def _is_in_order(names: Sequence[str], line: Sequence[str]) -> bool:
    """Whether names follow each other as in a line: "A binds B" is not "B binds A"."""
    rest = iter([name for name in line if name in names])
    return all(name in rest for name in names if name in line)


def _says_what_it_is(text: str, record: Record) -> bool:
    """False where a sentence gives the RNA a name or a type that is not the record's."""
    match = _IDENTITY.match(text)
    if match is None or (match["is"] and _TELLING.match(match["what"])):
        return True
    phrase = _PHRASE_END.split(_NAMING.sub("", match["what"]), maxsplit=1)[0].strip()
    named = named_type(phrase)
    if named and record.type and is_type(named, record.type) is not True:
        return names_record(phrase, record)
    told = _told(record)
    facts = _facts(f"of {phrase}")
    if not facts or _is_label(_NAMING.sub("", match["what"]), record):
        return True
    is_label = all(_is_known(fact, told.label | _SOFT) for fact in facts)
    if is_label and _is_known(facts[-1], told.heads):
        return True
    return any(_is_said_to_be(phrase, line.text) for line in told.lines)


def _is_label(what: str, record: Record) -> bool:
    """Whether words are the record's description or name as it stands, and what follows it."""
    names = [name for name in (record.description, record.name) if name]
    return any(
        what.lower().startswith(name.lower()) and re.match(r"$|,| \(| family\b", what[len(name) :])
        for name in names
    )


def _is_said_to_be(phrase: str, line: str) -> bool:
    """Whether a line says "is" of a phrase, in the same words."""
    wanted = " ".join(map(stem, words_of(_LITTLE.sub(" ", phrase))))
    words = " ".join(map(stem, words_of(_LITTLE.sub(" ", _IS.sub("is", line)))))
    return f" {stem('is')} {wanted} " in f" {words} "


def _normal(sentence: str) -> str:
    return " ".join(sentence.lower().rstrip(".").split())


__all__ = [
    "WrittenSentence",
    "check_sentence",
    "is_of_sequence",
    "is_supported",
    "read_sentences",
    "record_lines",
    "telling_sentences",
]
