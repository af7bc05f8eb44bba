"""What a question asks for, and which RNAs it is about.

Questions are recognised by patterns: they decide which fact of a record answers, so they have to be
certain, and what they do not know is `Kind.OTHER`, which is answered from the records' sentences.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rnagpt.evidence.kinds import (
    ASKING,
    MISSPELT,
    NO_CHECKS,
    RULES,
    SEQUENCE_KINDS,
    STRICT,
    Kind,
)
from rnagpt.evidence.matching import EMPTY
from rnagpt.evidence.mentions import MARK, About, find_about, mark_rnas
from rnagpt.sequences.rna_types import named_type

# Longer texts are no questions, and are not matched against patterns.
MAX_LENGTH = 1_000
_WORD = re.compile(r"(?<!['\w])[^\W\d][\w'-]*")
_MISSPELT = re.compile(rf"\b(?:{'|'.join(MISSPELT)})\b")
_ORDERS = re.compile(
    r"\b(?:ignore|disregard|forget|pretend|repeat|roleplay)\b|\bfrom now on\b|\byou are now\b"
    r"|\bsystem prompt\b|\b(?:previous|prior) instructions\b|</?\w+>"
)
# Sentences of a question, and a part that asks after one that tells: "I have this, what is it?"
_PARTS = re.compile(
    r"(?<=[?!;:])\s+|(?<=[^.\s]{3}\.)\s+"
    r"|,\s+(?=(?:so )?(?:what|which|where|how|who|why|can you|could you|do you)\b)"
)
_OPENING = re.compile(
    r"^(?:(?:and|so|but|then|ok|okay|well|hi|hey|hello|yes or no|please|pls|also|now)\b[,:!]? *"
    r"|(?:what|how) about (?=\w)"
    r"|(?:can|could|would|will) you (?:please )?(?=tell|give|show|list|name|describe|explain|ident"
    r"|classify|summ|cite|say whether)"
    r"|(?:do you know|any idea|tell me|i(?: want|'d like| would like) to know)(?: if| whether)? "
    r"(?=what|which|where|how|who|is|@|if))"
)
_CLOSING = re.compile(
    r"(?:,? (?:or not|or (?:something|anything) else|right|correct|please|then|at all|as well|too"
    r"|here|to you|really|yes|no|true|thanks?|thank you|thx)"
    rf"|(?:, (?:is|are|can)| (?:isn't|aren't|isnt)) {MARK})$"
    r"|[?.!,; ]+$"
)
_ARTICLE = (
    "(?:(?:an? (?:kind|sort|type) of(?: an?)?|an?|any|the|one of the|some(?: (?:kind|sort) of)?) )?"
)
_ADVERB = (
    "(?:(?:really|actually|perhaps|maybe|also|then|not|by any chance|indeed|definitely"
    "|certainly|probably|likely) )*"
)
_SAID = (
    r"(?:is @ (?:true|correct|right)(?: that)? |(?:would|do|can|could) you "
    r"(?:say|think|confirm|agree|believe)(?: that)? |i (?:think|believe|guess|suppose)(?: that)? )"
)
_BE = r"(?:is|are|was|were|isn't|isnt|aren't|is not|are not)"
_CHECKS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"^{_BE} {MARK} {_ADVERB}(?:(?:from|part of|a member of) )?"
        rf"{_ARTICLE}(?P<asked>.+)$",
        rf"^(?:could|can|might|may|would|should) {MARK} {_ADVERB}be {_ARTICLE}(?P<asked>.+)$",
        rf"^(?:does|doesn't|do) {MARK} {_ADVERB}(?:belong to|look like|count as|match|resemble"
        rf"|(?:en)?code(?: for)?|contain|include|have|harbou?r|carry) {_ARTICLE}(?P<asked>.+)$",
        rf"^(?:is|are) there {_ARTICLE}(?P<asked>.+?) (?:in|within|on) {MARK}$",
        rf"^(?:any|an?) (?P<asked>.+?) in(?: {MARK})?$",
        rf"^(?:can|could|would|should) (?:you|we|i|one) call {MARK} {_ARTICLE}(?P<asked>.+)$",
        rf"^(?:am i|are we) (?:looking at|dealing with) {_ARTICLE}(?P<asked>.+)$",
        rf"^which (?:ones? |of {MARK} )(?:is|are) {_ARTICLE}(?P<asked>.+)$",
        rf"^(?:is|are) (?:any|either|one|all|both|none) of {MARK} {_ARTICLE}(?P<asked>.+)$",
    )
)
# What is told, and so asked whether it is right: "This is not a tRNA, right?"
_STATEMENT = re.compile(
    rf"^(?P<said>{_SAID})?{MARK} (?:is|are|isn't|isnt|looks like|must be|seems to be|can't be"
    rf"|cannot be) "
    rf"{_ADVERB}(?P<article>{_ARTICLE})(?P<asked>.+)$"
)
_CONTAINS = re.compile(rf"\b(?:contain|include|have|harbou?r|carry|there|any)\b| in(?: {MARK})?$")
_CHOICE = re.compile(
    rf"^(?:(?:is|are) {MARK} )?(?:either )?{_ARTICLE}(?P<one>[^,]+?),? or "
    rf"{_ARTICLE}(?P<other>.+)$"
)
_PROTEIN = re.compile(r"\b(?:non-?)?(?:protein-)?coding\b")
_CODING = re.compile(
    rf"^(?:does|do|can) {MARK} (?:en)?codes? (?:for )?(?:an?y? )?(?:protein|peptide|polypeptide)s?$"
)
_MEMBER = re.compile(
    r"^(?:member|part|example|representative|copy|instance|case) of (?:an? |the )?"
)
_GROUP = re.compile(r" (?:(?:family|families)(?: members?)?|class|genes?|molecule|or not)$")
# "Is it linked to cancer?" asks for no name.
_CIRCUMSTANCE = re.compile(
    r"^(?:right|correct|true|anything|something)\b|^\w+(?:ed|en|nt|wn|ble|und)"
    r" (?:to|in|by|with|for|from|on)\b|^(?:in|on|at|to|for|with) "
)


@dataclass(frozen=True)
class Question:
    """A question, understood.

    Attributes:
        text: as it was asked.
        kind: what it asks for.
        asked: of `Kind.CHECK`, what the RNA may be, such as "tRNA" or "5S rRNA"; empty else.
        denied: of `Kind.CHECK`, whether it asks if the RNA is not that, so that neither "yes" nor
            "no" would be plain: "Is it true that this is not a tRNA?"
        contains: of `Kind.CHECK`, whether it asks for a part: "Does this contain a riboswitch?"
    """

    text: str
    kind: Kind
    asked: str = ""
    denied: bool = False
    contains: bool = False


def understand(text: str, names: Sequence[str] = ()) -> Question:
    """What a question asks for.

    Args:
        text: in plain English.
        names: of the RNAs that it may be about.

    Examples:
        >>> understand("What does this RNA do?").kind.value
        'function'
        >>> understand("Is this RNA a riboswitch?").asked
        'riboswitch'
    """
    other = Question(text, Kind.OTHER)
    if len(text) > MAX_LENGTH or _ORDERS.search(text.lower()):
        return other
    plain = _MISSPELT.sub(lambda match: MISSPELT[match[0]], mark_rnas(text, names))
    understood = (_understand_part(part, is_asked="?" in text) for part in _PARTS.split(plain))
    found = next((question for question in understood if question.kind is not Kind.OTHER), other)
    return replace(found, text=text)


def _understand_part(plain: str, *, is_asked: bool) -> Question:
    """What one sentence asks for."""
    bare = _strip(plain)
    kind = _find_kind(bare)
    if kind in NO_CHECKS:
        return Question("", kind)
    for check in (_read_choice, _read_check, _read_statement):
        if question := check(bare):
            return question
    if is_asked and kind is Kind.OTHER and named_type(_asked_thing(bare)):
        return Question("", Kind.CHECK, _asked_thing(bare))
    return Question("", kind)


def _find_kind(bare: str) -> Kind:
    for kind, rule in RULES:
        if rule.search(bare) and (
            kind is Kind.UNKNOWABLE
            or (kind not in STRICT and MARK in bare)
            or not _is_about_more(rule.sub(" ", bare))
        ):
            return kind
    return Kind.OTHER


def _is_about_more(rest: str) -> bool:
    """Whether words are left that make it another question, or one about something else."""
    return any(word not in EMPTY and word not in ASKING for word in _WORD.findall(rest))


def _read_choice(bare: str) -> Question | None:
    match = _CHOICE.match(bare)
    if match is None or MARK in match["one"] + match["other"]:
        return None
    types = [named_type(_asked_thing(match[place])) for place in ("one", "other")]
    if all(types) or _PROTEIN.search(bare):
        return Question("", Kind.TYPE)
    return Question("", Kind.IDENTITY) if bare.startswith(("is", "are")) else None


def _read_check(bare: str) -> Question | None:
    if _CODING.match(bare):
        return Question("", Kind.CHECK, "coding")
    if re.match(_SAID, bare):
        return None
    match = next((match for pattern in _CHECKS if (match := pattern.match(bare))), None)
    question = match and _check(match["asked"])
    return question and replace(question, contains=bool(_CONTAINS.search(bare)))


def _read_statement(bare: str) -> Question | None:
    match = _STATEMENT.match(bare)
    if match is None or not (match["article"] or match["said"] or named_type(match["asked"])):
        return None
    question = _check(match["asked"])
    is_denied = bool(re.search(r"\b(?:not|cannot)\b|n't\b", bare))
    return question and replace(question, denied=is_denied)


def _check(asked: str) -> Question | None:
    if _CIRCUMSTANCE.match(asked):
        return None
    return Question("", Kind.CHECK, _asked_thing(asked))


def _strip(plain: str) -> str:
    """A sentence without what people say before and after a question."""
    previous = None
    while previous != plain:
        previous = plain
        plain = _CLOSING.sub("", _OPENING.sub("", plain.strip()))
    return plain


def _asked_thing(words: str) -> str:
    words = _MEMBER.sub("", words.strip())
    for article in ("a ", "an ", "the "):
        words = words.removeprefix(article)
    if not named_type(words):
        words = _GROUP.sub("", words)
    # "tRNAs": an "s" that the name of a type has not
    singular = words.removesuffix("s")
    return singular if singular != words and named_type(singular) else words


__all__ = ["SEQUENCE_KINDS", "About", "Kind", "Question", "find_about", "understand"]
