"""Sentences of abstracts and comments: abbreviations, species, labels, names like miR-21."""

from __future__ import annotations

import re

# Never end a sentence.
_ABBREVIATIONS = (
    "e.g i.e vs v.s fig figs approx ca cf dr prof mr mrs ref refs eq eqs var subsp ssp viz "
    "resp et suppl vol pp ver obs"
)
# End one only where the next word opens sentences.
_ABBREVIATIONS_THAT_MAY_END = "al etc spp sp inc ltd co corp"
_OPENERS = (
    "A Accordingly Additionally After All Although Among An And As At Because Besides Both But By "
    "Collectively Consequently Consistently Conversely Despite During Finally First Five For "
    "Four Furthermore From Given Here Herein Hence How However If Importantly In Indeed "
    "Interestingly It Its Knockdown Like Mechanistically Meanwhile More Moreover Most Nevertheless "
    "No Notably On Our Overall Overexpression Recent Recently Results Second Several Similarly "
    "Since Six Some Subsequently Such Taken That The Their Then There Therefore These They This "
    "Those Three Through Thus To Together Two Under Using We What When Whereas Whether While With"
)
_NEVER_END = frozenset(_ABBREVIATIONS.split())
_MAY_END = frozenset(_ABBREVIATIONS_THAT_MAY_END.split())
_OPENER = rf"(?:{'|'.join(_OPENERS.split())})(?=[\s,])"

# A full stop without a space behind it ends a sentence where an opener follows.
_SPACED_END = re.compile(r"""[.!?]+["'”’)\]]*\s+""")
# "in vitro and in vivo In addition": with the italics of the two, PubMed lost the full stop.
_END = re.compile(
    rf"""[.!?]+["'”’)\]]*(?:\s+|(?={_OPENER}))|(?:(?<=\bin vivo)|(?<=\bin vitro))\s+(?={_OPENER})"""
)
_OPENS = re.compile(_OPENER)
# Plain lower-case words continue a sentence; miR-21, lncRNA, p53, mTOR and c-myc may begin one.
_GOES_ON = re.compile(r"(?![a-z]-)[a-z]+(?:-[a-z]+)*(?![A-Za-z0-9-])|[,;:)\]=<>±≤≥]")
_LAST_WORD = re.compile(r"[^\s(\[\"'“‘,;:]*$")
_DOTTED = re.compile(r"(?:[A-Z]/)?[A-Za-z](?:\.-?[A-Za-z])*")

_SECTIONS = {
    "background": "BACKGROUND CONTEXT INTRODUCTION RATIONALE UNLABELLED ABSTRACT SUMMARY",
    "aim": "AIM AIMS OBJECTIVE OBJECTIVES PURPOSE PURPOSES HYPOTHESIS GOAL GOALS MOTIVATION SCOPE",
    "methods": "METHOD METHODS METHODOLOGY MATERIAL MATERIALS PATIENTS SUBJECTS DESIGN SETTING "
    "EXPERIMENTAL PARTICIPANTS MEASURES",
    "results": "RESULT RESULTS FINDING FINDINGS",
    "conclusions": "CONCLUSION CONCLUSIONS INTERPRETATION SIGNIFICANCE DISCUSSION IMPLICATIONS "
    "IMPACT INNOVATION",
    "other": "FUNDING FUND LIMITATIONS TRIAL REGISTRATION KEYWORDS VIRTUAL",
}
_SECTION_OF = {word: section for section, words in _SECTIONS.items() for word in words.split()}
_LABEL_WORD = rf"(?:{'|'.join(sorted(_SECTION_OF, key=len, reverse=True))})"
_LABEL = re.compile(
    # Before a colon the label may hold other words as well (KEY FINDINGS, DESIGN AND SETTING).
    rf"(?P<closed>(?:[A-Za-z]+[ ,/&-]+){{0,4}}{_LABEL_WORD}(?:[ ,/&-]+[A-Za-z]+){{0,3}})\s*:\s*"
    # Where a web page's heading was, the colon is missing.
    rf"|(?P<bare>{_LABEL_WORD}(?:(?:[ /&]+| and ){_LABEL_WORD})*)\s+(?=[A-Z][a-z]*\b)",
    re.IGNORECASE,
)


def split_sentences(text: str, *, unspaced: bool = True) -> list[str]:
    """The sentences of a plain text, each an exact part of it, in order.

    "et al.", "i.e.", "Fig. 2", "E. coli", "J. Smith" and decimals do not end a sentence; names that
    begin in lower case (miR-21, let-7a, lncRNA) may begin one. The label of a structured abstract
    ("METHODS:") stays with its first sentence; `split_label` parts them.

    Args:
        unspaced: A full stop without a space behind it ends a sentence where an opener follows.
    """
    sentences = []
    start = 0
    for match in (_END if unspaced else _SPACED_END).finditer(text):
        if _ends_sentence(text, match):
            sentences.append(text[start : match.end()].strip())
            start = match.end()
    sentences.append(text[start:].strip())
    return [sentence for sentence in sentences if sentence]


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    after = match.end()
    if _GOES_ON.match(text, after):
        return False
    if match[0][0] != ".":
        return True
    # No abbreviation is longer than this.
    before = text[max(0, match.start() - 12) : match.start()]
    found = _LAST_WORD.search(before)
    word = found[0] if found else ""
    lower = word.lower()
    if lower in _NEVER_END:
        return False
    if lower == "no" or word == "0":  # "No. 7"; "P = 0. 05"
        return not text[after : after + 1].isdigit()
    if lower in _MAY_END or _DOTTED.fullmatch(word):
        return _OPENS.match(text, after) is not None
    return True


def split_label(sentence: str) -> tuple[str | None, str]:
    """The section that a sentence's label opens, and the sentence without the label.

    The section is ``background``, ``aim``, ``methods``, ``results``, ``conclusions`` or ``other``;
    None where the sentence has no label. Of a double label ("METHODS AND RESULTS") the last word
    counts. "CONCLUSIONS: It binds." gives ``("conclusions", "It binds.")``.
    """
    # Most sentences have none: neither an early colon nor a first word that is a label's.
    if ":" not in sentence[:80] and sentence.split(maxsplit=1)[0].upper() not in _SECTION_OF:
        return None, sentence
    match = _LABEL.match(sentence)
    if match is None or not _is_label(match):
        return None, sentence
    words = re.findall(r"[A-Z]+", match[0].upper())
    section = next(_SECTION_OF[word] for word in reversed(words) if word in _SECTION_OF)
    return section, sentence[match.end() :]


def _is_label(match: re.Match[str]) -> bool:
    """Labels are capitalised: "The results:" and "Results show" are none."""
    label = match["closed"] or match["bare"]
    if match["bare"]:
        return label[0].isupper() and match.string[match.end()].isupper()
    if label.isupper():
        return True
    return label[0].isupper() and label.split()[0].upper() in _SECTION_OF


__all__ = ["split_label", "split_sentences"]
