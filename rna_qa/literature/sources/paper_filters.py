"""Filters of papers and mentions, with the reason for each that is left out."""

from __future__ import annotations

import re
from collections.abc import Collection

from rnagpt.rna_qa.literature.records import Mention, Paper

MIN_WORDS = 5  # of an abstract that says anything

# Publication types of PubMed and article types of PubMed Central, in lower case. Reviews stay.
NOT_RESEARCH = {
    "correction": (
        "published erratum; erratum; correction; corrigendum; corrected and republished article; "
        "addendum; expression of concern"
    ),
    "retraction notice": "retraction of publication; retraction; retraction notice; removal",
    "editorial": "editorial; introductory journal article; in brief; foreword",
    "comment": "comment; article-commentary; commentary; letter; reply; discussion",
    "news": "news; newspaper article; announcement; meeting-report; calendar",
    "book or biography": "book-review; book review; biography; obituary; autobiography; portrait; "
    "interview; personal narrative",
}
_REASON_OF_TYPE = {
    name.strip(): reason for reason, names in NOT_RESEARCH.items() for name in names.split(";")
}
_REASON_OF_TITLE = (
    (re.compile(r"\[?\s*(?:retracted|withdrawn)\b(?: article)?\s*[:\].]", re.I), "retracted"),
    (re.compile(r"\[?\s*(?:retraction|notice of retraction)\b", re.I), "retraction notice"),
    (
        re.compile(
            r"\[?\s*(?:(?:author|publisher)(?:'s|’s)? correction|correction|corrigendum|erratum"
            r"|addendum|expression of concern)\b(?=\s*(?:[:\].]|to\b|for\b|$))",
            re.I,
        ),
        "correction",
    ),
    (re.compile(r"editorial\s*(?:[:.]|$)", re.I), "editorial"),
    (
        re.compile(r"(?:comments? on|commentary(?: on|:)|reply to|letter to the editor)\b", re.I),
        "comment",
    ),
)
_NO_ABSTRACT = re.compile(
    r"\W*(?:(?:no )?abstract (?:is )?(?:not )?(?:available|provided)|not available|n/?a|none|null)"
    r"\W*$|\[This (?:corrects|retracts|concerns) ",
    re.IGNORECASE,
)

# Short words that only this language uses; those that English has as well are left out.
_FUNCTION_WORDS = {
    "en": "the of and to was were is that with for by we are this from which these has be on as",
    "de": "der und die das mit von den des ein eine ist wurde wurden bei nicht auf zur durch sich",
    "fr": "les des une dans est par pour sur que avec sont nous cette ces aux être ont été",
    "es": "los las del una que para por con se son como más fue entre el y esta este",
    "pt": "os das dos uma que para por com são não foram ao pela pelo mais foi em um",
    "it": "il che della delle dei sono nel nella gli per con una questo stato alla degli è dello",
    "nl": "het een van werd zijn voor niet met bij deze door aan wordt werden naar ook uit",
    "pl": "w na się jest oraz przez nie że są od dla przy jako lub było które",
    "tr": "ve bir bu ile için olarak olan daha çok gibi ise arasında",
    "cs": "na je se že byly byla jsou při pro jako nebo které pomocí",
}
_LANGUAGE_OF = {
    word: language for language, words in _FUNCTION_WORDS.items() for word in words.split()
}
_WORD = re.compile(r"[^\W\d_]+")
MIN_FOREIGN_WORDS = 3
MAX_FOREIGN_LETTERS = 0.3  # of all letters, outside the Latin and Greek alphabets


def reason_to_leave_out(paper: Paper, licences: Collection[str] = ()) -> str | None:
    """Why a paper is left out; None for one that is kept.

    Left out are retracted papers, notices, corrections, editorials, comments and letters, papers
    without an abstract or with one that is not English, and, where `licences` are given, papers
    under others (`plain_licence` compares them). The reasons are few, to be counted.
    """
    return (
        _reason_of_kind(paper)
        or _reason_of_abstract(paper.abstract)
        or _reason_of_licence(paper.licence, licences)
    )


def _reason_of_kind(paper: Paper) -> str | None:
    types = [name.lower().strip() for name in paper.types]
    if paper.retracted or "retracted publication" in types or "retracted-article" in types:
        return "retracted"
    for name in types:
        if reason := _REASON_OF_TYPE.get(name):
            return reason
    for pattern, reason in _REASON_OF_TITLE:
        if pattern.match(paper.title):
            return reason
    return None


def _reason_of_abstract(abstract: str) -> str | None:
    if _NO_ABSTRACT.match(abstract) or not any(map(str.isalpha, abstract)):
        return "no abstract"
    if not is_english(abstract):
        return "abstract not in English"
    if len(abstract.split()) < MIN_WORDS:
        return "no abstract"
    return None


def is_english(text: str) -> bool:
    """False where the alphabet, or the short words, are another language's.

    Texts with few short words of any language pass.
    """
    letters = [letter for letter in text if letter.isalpha()]
    foreign = sum(letter > "\u024f" and not "\u0370" <= letter <= "\u03ff" for letter in letters)
    if foreign > MAX_FOREIGN_LETTERS * len(letters):
        return False
    counts = dict.fromkeys(_FUNCTION_WORDS, 0)
    for word in _WORD.findall(text.lower()):
        if language := _LANGUAGE_OF.get(word):
            counts[language] += 1
    most = max(count for language, count in counts.items() if language != "en")
    return most < MIN_FOREIGN_WORDS or counts["en"] >= most


def _reason_of_licence(licence: str | None, wanted: Collection[str]) -> str | None:
    if not wanted:
        return None
    if licence is None:
        return "licence not known"
    if plain_licence(licence) not in {plain_licence(name) for name in wanted}:
        return "licence not among those asked for"
    return None


def plain_licence(licence: str) -> str:
    """A Creative Commons licence without version and country: ``CC BY 4.0`` is ``cc-by``.

    Addresses of licences are read as well.
    """
    text = licence.strip().lower()
    if "publicdomain/zero" in text:
        return "cc0"
    if address := re.search(r"creativecommons\.org/licenses/([a-z-]+)", text):
        return f"cc-{address[1]}"
    text = re.sub(r"[\s_-]+", "-", text)
    text = re.sub(r"(?<=[a-z0])-?v?\d\.\d.*$", "", text)
    return "cc0" if text in ("cc-0", "cc-zero", "cc0") else text


def is_required(mention: Mention, require_mention: str) -> bool:
    """Whether a mention counts.

    ``abstract``: the title or the abstract names the RNA, so that claims can rest on it; ``any``:
    only the body may name it.
    """
    return require_mention == "any" or mention.in_title or mention.in_abstract


__all__ = ["is_english", "is_required", "plain_licence", "reason_to_leave_out"]
