"""Which sentences and ontology terms of a record tell of function, process, place or partners."""

from __future__ import annotations

import re
from collections.abc import Iterable

# A sentence that names a function explicitly is preferred to one that names an action.
FUNCTION = re.compile(
    r"\b(?:functions?|functioning|involved in|required for|roles?|acts? (?:as|by|in|on)"
    r"|responsible for|mediat(?:es|ing)|guid(?:e|es|ing)|essential for|necessary for"
    r"|control(?:s|ling)|regulates|thought to (?:regulate|control|direct|inhibit)"
    r"|regulat(?:or|ion) of|represses|inhibits|catalys\w+|catalyz\w+|silences|stimulates"
    r"|promotes)\b",
    re.IGNORECASE,
)
ACTION = re.compile(
    r"\b(?:regulat\w+|direct(?:s|ing|ed)?|cataly\w+|mediat\w+|inhibit\w*|repress\w*|activat\w*"
    r"|control\w*|modif\w+|essential|stabili[sz]\w+|silenc\w+|cleav\w+|encapsidation|enabl\w+"
    r"|initiat\w+|trigger\w*|prevent\w*|terminat\w+|transport\w*|pathogen\w*|targets)\b",
    re.IGNORECASE,
)
LOCATION = re.compile(
    r"\b(?:found|located|present|identified|detected|encoded|expressed|conserved|occurs?"
    r"|described|lies|localis\w+|localiz\w+|transcribed|discovered|reside\w*)\b[^.;]{0,30}?"
    r"\b(?:in|within|between|upstream|downstream|on|from|at|throughout|across)\b"
    r"|\bhost gene\b|\bspecific to\b|\b[35]' ?UTR\b",
    re.IGNORECASE,
)
INTERACTION = re.compile(
    r"\b(?:binds?|bound|binding|interact\w*|associat(?:es|ed|ing) with|regulated by|targets?"
    r"|targeted|base[- ]pair\w*|complementary|complementarity|ligands?|Hfq|chaperones?|induced"
    r"|senses|sensing|repressed|represses|activated by|responds?|cleaved by|complex with"
    r"|recogni[sz]ed by)\b",
    re.IGNORECASE,
)
# Of families: what they act on, and what acts on them.
TARGETS = re.compile(
    r"\b(?:targets?|regulat(?:es|ing)|represses|repressing|activates|controls|silences|inhibits"
    r"|(?:regulat|repress|activat|control|inhibit)\w* (?:of )?(?:the )?(?:expression|translation)"
    r"|base[- ]pair\w*|complementary|complementarity)\b",
    re.IGNORECASE,
)
REGULATORS = re.compile(
    r"\b(?:regulated|induced|repressed|activated|controlled|stabili[sz]ed|expressed|transcribed)"
    r" (?:\w+ly )?(?:by|in response to|under|upon|during)\b|\bunder (?:the )?control of\b"
    r"|\bin response to\b|\bresponds? to\b|\bligands?\b|\bsens(?:es|ing)\b",
    re.IGNORECASE,
)
# The Gene Ontology's three aspects, by the names of the terms that Rfam uses; what is
# neither a molecular function nor a cellular component is a biological process.
GO_FUNCTION = re.compile(r"\b(?:binding|activity|constituent)\b")
GO_COMPONENT = re.compile(
    r"complex$|nucle(?:us|olus)$|cytoplasm|ribosome$|body$|snRNP$|matrix$|membrane$|cytosol|speck"
    r"|paraspeckle|mitochondri\w+$|chloroplast|chromosome$|telomere$|spliceosom\w+$|particle$"
    r"|core$|RISC$"
)
# Words of a sentence that is an answer by itself.
MIN_WORDS, MAX_WORDS = 3, 40


def is_process(term: str) -> bool:
    """Whether a term of the Gene Ontology, by its name, is a biological process."""
    return not (GO_FUNCTION.search(term) or GO_COMPONENT.search(term))


def is_short(sentence: str) -> bool:
    """Whether a sentence is of a length to be an answer."""
    return MIN_WORDS <= len(sentence.split()) <= MAX_WORDS


def pick(sentences: Iterable[str], *patterns: re.Pattern[str]) -> str | None:
    """The first short sentence that matches the first pattern, else the next pattern's."""
    short = [sentence for sentence in sentences if is_short(sentence)]
    return next((text for p in patterns for text in short if p.search(text)), None)


__all__ = [
    "ACTION",
    "FUNCTION",
    "GO_COMPONENT",
    "GO_FUNCTION",
    "INTERACTION",
    "LOCATION",
    "MAX_WORDS",
    "MIN_WORDS",
    "REGULATORS",
    "TARGETS",
    "is_process",
    "is_short",
    "pick",
]
