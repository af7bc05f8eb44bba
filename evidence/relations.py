"""Sentences of papers: what an RNA targets, what regulates it, what it marks.

"miR-21 targets PTEN" and "miR-21 is induced by STAT3" hold the same kinds of words in the other
direction, so a sentence is read around the RNA's own name. What no pattern is sure of is no
relation: a question is rather left open than answered by a sentence of the wrong direction.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from rnagpt.reference.records import Record

# "miR-192-5p", "hsamiR192", "MicroRNA-192" and "mir-192" are spellings of one name.
_MICRO_RNA = re.compile(r"^(?:[a-z]{3}-)?(?:mi(?:cro)?-?rna|mir)-?(?P<rest>\d+[a-z]?)", re.I)
_LET = re.compile(r"^(?:[a-z]{3}-)?let-?(?P<rest>7[a-z]?)", re.I)
_ALSO = "also called "
Names = tuple[str, ...]  # of one RNA
# A gene's symbol or a protein's name, as papers write them: PTEN, Zeb2, p53, IGF-1R, cyclin D1.
_GENE = (
    r"(?!(?-i:CRC|HCC|PDAC|PC|NSCLC|AML|CLL|GC|BC|EMT|MET|DNA|RNA|UTR|ROS|OS|DFS|TNM|PCR|HR|CI|AUC"
    r"|ROC|[GSM][0-2]?/|G[012]\b|KD|WT|NC|FU|DOX|MTX|ER|TCGA|(?:mi|lnc|circ|si|sh|m|nc)RNAs?"
    r"|(?:mi|Mi)R))"
    r"(?:(?-i:[A-Z][A-Za-z]*[A-Z0-9][\w/-]*|[A-Z][a-z]+\d\w*|p\d{2}\b|[A-Z]{2,})"
    r"|(?-i:cyclin|catenin|caspase|claudin)[ -]\S+"
    r"|(?-i:(?!target|downstream|several|specific|human|other|multiple|these|those|host|reporter|same|many)"
    r"[a-z]{5,}(?=\sgene\b(?!\s(?:expression|regulation)))))"
)
_GENES = (
    rf"(?:(?:the|both|its|human|several|expression of|levels? of|mRNA of|gene"
    rf"|tumou?r[ -]suppressors?|oncogenes?|oncogenic|its target)\s+)*{_GENE}"
)
_DOWN = (
    r"(?:(?:directly|negatively|post-transcriptionally|markedly|significantly|specifically|also"
    r"|can|could|thereby|functionally|may|might|to)\s+)*"
)
_LOWERS = (
    r"(?:down-?regulat|regulat|repress|suppress|inhibit|silenc|decreas|reduc|modulat|attenuat|bind"
    r"|block)(?:e?s|e?d|ing)?(?:\s+to)?"
)
_RAISES_OR_LOWERS = (
    r"(?:(?:up|down)-?regulat|regulat|repress|suppress|inhibit|silenc|decreas|reduc|induc|promot"
    r"|activat|enhanc|increas|elevat|sponge|sequester|trans-?activat|modulat|bind"
    r"|stimulat|mediat|control|diminish|deplet|block|antagoni[sz])"
)
_PASSIVE = rf"(?:{_RAISES_OR_LOWERS}e?d|sponged|bound|methylated|transcribed|hypermethylated)"
_OF_LEVEL = (
    r"(?:(?:the|of|its|mature|primary|pri|pre|precursor|endogenous|promoter|expression|levels?"
    r"|transcription|processing|maturation|biogenesis|activity|abundance)[\s-]+)*"
)
_LEVEL = r"(?:\s+(?:expression|levels?|transcription|promoter|gene|host gene|processing|itself))*"
_BY = r"(?:\s+\w+ly)?\s+(?:by|through|via|upon|in response to|after|following)\b"
_CLAUSE = r"[^.;]"  # a letter of one clause, near enough
# Before "reduced miR-1 expression" these make it a state, of which nobody tells the cause.
_STATES = """
with of and but the to in by from for was were is are had have showed that or between a an on
exhibited revealed demonstrated found observed detected significantly markedly
"""
_BEFORE_A_STATE = frozenset(_STATES.split())

_MARKS = re.compile(
    r"\b(?:bio-?markers?|markers? (?:of|for)|diagnos\w+|prognos\w+|predict(?:s|ive|ors?)"
    r"|(?:poor|poorer|shorter|worse|unfavou?rable)\s+(?:\w+\s+)?(?:outcomes?|survival)"
    r"|(?:overall|disease-free|relapse-free|progression-free|cancer-specific)\s+survival|ROC|AUC"
    r"|discriminat\w+ between|distinguish\w*)\b",
    re.IGNORECASE,
)
_DISEASE = re.compile(
    r"\b(?:\w*cancers?|\w*carcinomas?|tumou?rs?|\w*(?:omas?|a?emias?)|diseases?|syndromes?"
    r"|diabet\w+|infarct\w*|sepsis|\w+itis|metasta\w+|disorders?|strokes?|infections?|fibrosis"
    r"|CRC|HCC|PDAC|NSCLC|AML|CLL)\b"
)
_NOT_SHOWN = re.compile(
    r"\b(?:did not|does not|do not|was not|were not|is not|are not|no (?:significant|effect|direct)"
    r"|failed to|not (?:a|an) (?:direct|target)|neither"
    # What an experimenter adds tells of no regulator.
    r"|by transfection|anti-miR\w*|antisense oligo\w*)\b",
    re.IGNORECASE,
)


def names_of(record: Record) -> Names:
    """All names that a record has for its RNA."""
    also = record.description
    listed = also.removeprefix(_ALSO).split(", ") if also.startswith(_ALSO) else []
    return (record.name, *listed)


def tells_targets(sentence: str, names: Names) -> bool:
    """Whether a sentence tells of a gene that the RNA acts on."""
    return _matches(sentence, names, _target_patterns)


def tells_regulators(sentence: str, names: Names) -> bool:
    """Whether a sentence tells what raises, lowers, binds or sponges the RNA."""
    if _matches(sentence, names, _regulator_patterns):
        return True
    caused = _caused(names).finditer(sentence)
    return not _NOT_SHOWN.search(sentence) and any(
        (before := sentence[: match.start()].lower().split())
        and before[-1].rstrip(",") not in _BEFORE_A_STATE
        for match in caused
    )


def tells_marking(sentence: str, names: Names) -> bool:
    """Whether a sentence tells that the RNA marks or predicts a disease, or its course."""
    if _NOT_SHOWN.search(sentence) or tells_regulators(sentence, names):
        return False  # what sponges it is the marker
    return bool(_MARKS.search(sentence))


def tells_disease(sentence: str, names: Names) -> bool:
    """Whether a sentence tells of the RNA in a disease."""
    del names
    return bool(_DISEASE.search(sentence)) and not _NOT_SHOWN.search(sentence)


def _matches(
    sentence: str, names: Names, patterns: Callable[[Names], tuple[re.Pattern[str], ...]]
) -> bool:
    if _NOT_SHOWN.search(sentence):
        return False
    return any(pattern.search(sentence) for pattern in patterns(names))


@lru_cache(maxsize=256)
def _target_patterns(names: Names) -> tuple[re.Pattern[str], ...]:
    name = named(names)
    far, near = rf"{_CLAUSE}{{0,120}}?", rf"{_CLAUSE}{{0,60}}?"
    utr = r"3['’′]?[ -]?(?:UTR|untranslated)"
    return _compiled(
        # "miR-1 (directly) targets X", "miR-1 inhibits growth by targeting X"
        rf"{name}{far}\b(?<!therapeutic )target(?:s|ed|ing)\s{near}{_GENE}",
        # "miR-1 down-regulates (the expression of) X", "by binding to the 3'-UTR of X"
        rf"{name}(?:\s(?!(?:was|were|is|are)\b)[\w,'-]+){{0,6}}?\s{_DOWN}{_LOWERS}\s{_GENES}",
        rf"{name}{far}\b(?:by|through|via)\s+{_DOWN}{_LOWERS}\s{_GENES}",
        rf"{name}{far}\b{utr}",
        rf"{utr}{_CLAUSE}{{0,80}}?\b{name}",
        # "X is a (direct) target of miR-1", "X, which is targeted by miR-1"
        rf"\btargets?(?:\s+genes?)?\s+(?:of|for)\s+(?:the\s+)?{name}",
        rf"{_GENE}{near}\b(?:target|regulat|repress|suppress|inhibit)(?:t?ed)\s+by\s+{name}",
        rf"{name}(?:'s)?\s+targets?(?:\s+genes?)?,?\s+{_GENE}",
    )


@lru_cache(maxsize=256)
def _regulator_patterns(names: Names) -> tuple[re.Pattern[str], ...]:
    name = named(names)
    level = _OF_LEVEL + name
    is_ = (
        r"(?:(?:is|was|were|are|be|been|can|could|may|and|significantly|directly"
        r"|transcriptionally|epigenetically|also)\s+)*"
    )
    action = (
        r"(?:induction|repression|suppression|inhibition|activation|silencing|modulation"
        r"|(?:(?:up|down)-?)?regulation)"
    )
    found = r"(?:identified|confirmed|found|predicted)\s+(?:as|to be)\s+"
    return _compiled(
        # "miR-1 (expression) is induced by X", "miR-1 is a target of X"
        rf"{name}{_LEVEL}\s{is_}{_PASSIVE}{_BY}",
        rf"{name}\s+(?:was|is)\s+(?:{found})?(?:an?\s+)?(?:direct\s+)?"
        r"(?:transcriptional\s+)?target\s+of\s",
        # "X induces (the expression of) miR-1", "by sponging miR-1", "inhibition of miR-1 by X"
        rf"(?<!^)\b{_RAISES_OR_LOWERS}(?:e?s|ing)\s+{level}",
        rf"(?<!^)\btarget(?:s|ing)\s+(?:the\s+)?{name}",
        r"\b(?:sponges?|sponging|decoys?|(?:competing endogenous|ce)\s?RNAs?\)?)\s+"
        rf"(?:(?:of|for|to|the)\s+)*{name}",
        rf"\b(?:{action}|regulators?|suppressors?|repressors?)\s+o[fn]\s+{level}{_LEVEL}"
        r"\s+(?:by|via|through)\b",
        rf"\b(?:via|through|by)\s+{action}\s+of\s+{level}",
        rf"\b(?:promoter|dna|cpg)[ -]?(?:hyper|hypo)?methylation\s+of\s+{level}",
        rf"(?-i:[\w/-]*[A-Z0-9])-(?:induced|mediated|dependent|regulated)\s+{level}",
    )


@lru_cache(maxsize=256)
def _caused(names: Names) -> re.Pattern[str]:
    """ "X reduced miR-1 expression", which may tell a state: "with reduced miR-1 expression"."""
    (pattern,) = _compiled(rf"\b{_RAISES_OR_LOWERS}e?d\s+{_OF_LEVEL}{named(names)}")
    return pattern


def _compiled(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)


def named(names: Names) -> str:
    """A pattern of an RNA's names, in the spellings that papers use."""
    spelled = {_spellings(name) for name in names if name}
    # Longest first, that a shorter one does not hide the rest of a name.
    return rf"(?<![\w-])(?:{'|'.join(sorted(spelled, key=len, reverse=True))})(?!\w|-\d|/\d)"


def _spellings(name: str) -> str:
    if match := _MICRO_RNA.match(name):
        head, rest = r"(?:[a-z]{3}-?)?(?:mi(?:cro)?-?RNA|miR)s?-?", match["rest"]
    elif match := _LET.match(name):
        head, rest = r"(?:[a-z]{3}-?)?let-?", match["rest"]
    else:
        return re.escape(name)
    return rf"{head}{rest}(?:-[1-9](?!\d|p))?(?:-?[35]p)?\*?"


__all__ = [
    "Names",
    "named",
    "names_of",
    "tells_disease",
    "tells_marking",
    "tells_regulators",
    "tells_targets",
]
