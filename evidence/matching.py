"""Words of questions and answers, compared with those of records."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from rnagpt.reference.records import Record
from rnagpt.sequences.rna_types import PATH_OF_TYPE, SYNONYMS, is_type

# Words that carry no fact, or that any sentence about an RNA may hold.
_EMPTY = """
a an the this that these those it its they their them is are was were be been being am do
does did done has have had having can could may might must shall should will would of in on
at by to from for with without within into onto as and or but not no nor so than then also
only both either neither each all any some such more most other another same which who whom
whose what when where why how there here if whether because while during between among about
after before over under up down out off again very too just now ever never yes you your i we
our my me us he she one two three rna rnas sequence sequences molecule molecules transcript
family families record records known know tell told please say says said called name named
belongs belong belonging member members like likely thought thus via per et al e g i.e eg ie
answer question thing things kind type given found include includes including
"""
EMPTY = frozenset(_EMPTY.split())
_WORD = re.compile(r"[A-Za-z0-9]+(?:['’./+-][A-Za-z0-9]+)*")
# In order: a longer one before one that it ends with.
_ENDINGS = (
    *("isations", "izations", "isation", "ization", "ations", "ation", "ities", "ings", "ions"),
    *("ity", "ing", "ion", "ies", "ied", "ers", "ors", "ed", "er", "or", "es", "al", "ly", "s"),
    *("e", "y"),
)
_MIN_STEM = 3


def words_of(text: str) -> Iterator[str]:
    """The words of a text, as they are written."""
    return (match[0] for match in _WORD.finditer(text))


def stem(word: str) -> str:
    """A word in small letters without its ending: "regulates", "regulation" are "regul".

    Names with digits stay as they are. Rough, as it only has to be the same on both sides.
    """
    word = word.lower().replace("’", "'").removesuffix("'s")
    if any(map(str.isdigit, word)):
        return word
    for _ in range(2):
        for ending in _ENDINGS:
            if word.endswith(ending) and len(word) - len(ending) >= _MIN_STEM:
                word = word[: -len(ending)]
                break
    return word.removesuffix("at") if len(word) > _MIN_STEM + 2 else word


def content(text: str) -> set[str]:
    """Stems of the words of a text that carry a fact."""
    return {stem(word) for word in words_of(text) if word.lower() not in EMPTY}


def spell_plain(name: str) -> str:
    """A name without what people spell in different ways: "5S_rRNA" is "5s rrna"."""
    return " ".join(re.sub(r"[_\-/()]+", " ", name.lower()).split())


def names_record(words: str, record: Record) -> bool:
    """Whether words name a record: by its id, its short name or its description.

    "U6 snRNA" is the record U6 of spliceosomal snRNAs, and "SAM riboswitch (S box leader)" is
    named by "SAM riboswitch".
    """
    asked = spell_plain(words)
    labels = (record.id, record.name, record.description, record.description.partition(" (")[0])
    names = {spell_plain(name) for name in labels} - {""}
    endings = [" family", " rna", *(f" {spell_plain(name)}" for name in type_names(record.type))]
    names |= {name.removesuffix(ending) for name in names for ending in (" family", " rna")}
    return bool(asked) and any(asked.removesuffix(ending) in names for ending in ("", *endings))


@lru_cache(maxsize=64)
def type_names(rna_type: str) -> tuple[str, ...]:
    """What an RNA of a type may be called: the type's names, and those of wider ones."""
    if not rna_type:
        return ()
    wider = {name for name in PATH_OF_TYPE if is_type(name, rna_type)} | {rna_type}
    return (*sorted(wider), *(words for words, name in SYNONYMS.items() if name in wider))


def find_sentences(
    question: str, sentences: Iterable[str], record: Record, most: int = 2
) -> list[str]:
    """The sentences that speak of what a question asks, best first.

    At least half of the question's words that carry a fact have to be in a sentence; those of the
    record's own name do not count, since all its sentences are about it.
    """
    own = content(f"{record.name} {record.description}")
    asked = content(question) - own
    if not asked:
        return []
    scored = [
        (len(asked & content(sentence)) / len(asked), -place, sentence)
        for place, sentence in enumerate(sentences)
    ]
    return [sentence for share, _, sentence in sorted(scored, reverse=True)[:most] if share >= 0.5]


__all__ = [
    "EMPTY",
    "content",
    "find_sentences",
    "names_record",
    "spell_plain",
    "stem",
    "type_names",
    "words_of",
]
