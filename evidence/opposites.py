"""Opposite things that papers say of one RNA: of its level, its role, and variants of it."""

from __future__ import annotations

import re

from rnagpt.evidence.relations import Names, named, tells_regulators

_ROLE_OF = (
    r"(?:proliferation|growth|migration|invasion|metastas[ie]s|invasiveness|viability|EMT"
    r"|angiogenesis|tumou?rigenesis|progression|malignan\w+|aggressive\w*)"
)
_UP = (
    r"(?:up-?\s?regulat(?:ed|ion)|over-?express(?:ed|ion)|elevat(?:ed|ion)|increased?|higher|raised"
    r"|high(?:ly)?\sexpress(?:ed|ion)|enriched|abundant)"
)
_DOWN = (
    r"(?:down-?\s?(?:regulat|modulat)(?:ed|ion)|under-?express(?:ed|ion)|reduced|reduction|decreased?"
    r"|lower(?:ed)?|lost|loss\sof|silenced|absent|low\sexpress(?:ed|ion)|poor)"
)
_ACTING = r"(?:could|can|may|promot|inhibit|suppress|enhanc|improv|le[ad]{1,2}|result|reduc|induc)"
_CLAUSES = re.compile(r"[;,]?\s(?:while|whereas|but|although|and\sthe)\s|;\s")
_BY_HAND = re.compile(
    r"\b(?:transfect\w+|mimics?|inhibitors?|ectopic\w*|overexpression\sof|knock\w*|silencing\sof"
    r"|treat(?:ed|ment)\w*|induced|restor\w+|inhibition\sof|forced|cells?\swith\shigh\w*)\b",
    re.IGNORECASE,
)
_CONSEQUENCE = re.compile(
    r"\b(?:associat|correlat|predict|surviv|prognos|linked|risk)\w*|\bno(?:t)?\s(?:\w+\s)?different",
    re.IGNORECASE,
)
_NO_LEVEL = re.compile(
    r"\bno(?:t)?\s(?:\w+\s){0,3}(?:differ|chang)\w*|\bincreased\sor\sdecreased\b", re.IGNORECASE
)

_HITS_A_SUPPRESSOR = re.compile(
    r"\b(?:targeting|targets?|repressing)\s(?:the\s)?tumou?r[\s-]suppress", re.IGNORECASE
)
_NO_LINK = re.compile(
    r"\b(?:no|not|lack\sof|without)\s(?:\w+\s){0,3}associat|\bnot\s(?:be\s)?relat", re.IGNORECASE
)
_LINK = re.compile(r"\b(?:associat|contribut|risk|suscepti|predict)\w*", re.IGNORECASE)


def level_side(text: str, names: Names) -> int:
    """Whether a claim tells that the RNA's level is raised (1) or lowered (-1) in a sample."""
    if _NO_LEVEL.search(text):
        return 0
    found = {side for part in _CLAUSES.split(text) if (side := _level_of_clause(part, names))}
    return found.pop() if len(found) == 1 else 0


def _level_of_clause(clause: str, names: Names) -> int:
    if _BY_HAND.search(clause) or _CONSEQUENCE.search(clause):
        return 0
    name = named(names)
    acts = rf"(?:regulation|expression)\sof\s{name}\s(?:\w+\s){{0,2}}{_ACTING}"
    if re.search(acts, clause, re.IGNORECASE):
        return 0  # what was done to cells
    sides = [
        any(
            re.search(pattern, clause, re.IGNORECASE)
            for pattern in (
                rf"{name}[^.;]{{0,90}}?\b{words}\b",
                rf"\b{words}\b(?:\s(?:in|of|the|level|levels|expression|was|were|observed|for))*"
                rf"(?:\s\S+,?){{0,3}}?\s{name}",
            )
        )
        for words in (_UP, _DOWN)
    ]
    return 0 if sides[0] == sides[1] else (1 if sides[0] else -1)


def role_side(text: str, names: Names) -> int:
    """Whether a claim tells that the RNA promotes (1) or suppresses (-1) a tumour."""
    name = named(names)
    if tells_regulators(text, names) or re.search(
        rf"/{name}|{name}(?:/|\s(?:feedback|axis|loop))", text
    ):
        return 0  # what sponges it acts, or a loop of which it is a part
    if re.search(
        rf"{name}[^.;]{{0,80}}\btumou?r[\s-]suppress", text, re.IGNORECASE
    ) and not re.search(
        r"\b(?:targeting|targets?|repressing)\s(?:the\s)?tumou?r[\s-]suppress", text, re.IGNORECASE
    ):
        return -1
    if re.search(rf"{name}[^.;]{{0,80}}\bonco(?:gene|genic|mir|miR)", text, re.IGNORECASE):
        return 1
    effect = rf"(?:\S+\s){{0,8}}?{_ROLE_OF}"
    less = r"(?:suppress|inhibit|reduc|decreas|attenuat|impair|block|impede|restrain|abrogat)\w*"
    more = r"(?:promot|enhanc|increas|facilitat|accelerat|stimulat|induc)\w*"
    lost = re.search(
        rf"\b(?:inhibition|inactivation|knockdown|silencing|loss|deletion|depletion|suppression"
        rf"|down-?regulation)\s(?:of\s)?(?:\S+\s(?:and|or)\s)?{name}|{name}\sinhibitors?\b|anti-?{name}",
        text,
        re.IGNORECASE,
    )
    for verb, side in ((less, -1), (more, 1)):
        if re.search(rf"{name}[^.;]{{0,110}}?\b{verb}\s{effect}", text, re.IGNORECASE):
            return -side if lost else side
    return 0


def variant_side(text: str, names: Names) -> int:
    """Whether a claim tells that a variant matters (1), or that it does not (-1)."""
    del names
    if re.search(
        r"\b(?:no|not|lack of|without)\s(?:\w+\s){0,3}associat|\bnot\s(?:be\s)?relat", text, re.I
    ):
        return -1
    return int(bool(re.search(r"\b(?:associat|contribut|risk|suscepti|predict)\w*", text, re.I)))


__all__ = ["level_side", "role_side", "variant_side"]
