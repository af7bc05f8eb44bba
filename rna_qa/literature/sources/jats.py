"""Articles in JATS (PubMed Central, Europe PMC): of the full text, what an article itself found.

Left out are sections that hold no findings (introduction, methods, acknowledgements), tables,
figures and formulae, and sentences that cite others: what they say is found in those papers.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from rnagpt.rna_qa.literature.text.plain_text import plain_text
from rnagpt.rna_qa.literature.text.sentences import split_label, split_sentences

# Stands where others are cited, or a formula is: a sentence with it is left out.
_MARK = "\ue000"
_LEFT_OUT = frozenset(
    (
        *("fig", "fig-group", "table-wrap", "table-wrap-group", "boxed-text"),
        *("supplementary-material", "media", "graphic", "fn", "fn-group", "ref-list", "title"),
        *("disp-quote", "def-list", "code", "preformat", "sub-article", "response"),
    )
)
# A formula that stands by itself is part of the sentence around it all the same.
_MARKED = frozenset(
    (
        *("inline-formula", "math", "chem-struct", "inline-graphic"),
        *("disp-formula", "disp-formula-group", "chem-struct-wrap"),
    )
)
_BLOCKS = frozenset(("p", "sec", "list", "list-item", "break", "label"))
# Sections without findings, by a word of `sec-type` or of their title.
_NO_FINDINGS = re.compile(
    r"introduction|\bintro\b|background|methods?\b|materials|experimental|procedures|acknowledg"
    r"|contribut|compet\w+ interest|conflict|disclosure|funding|financ|availab|supplement"
    r"|supporting|abbreviation|ethic|consent|registration|statistic"
    r"|additional (?:file|information)|appendix|references|glossary"
    r"|review criteria|search strategy|pre-?publication|notice of|author summary|recommendations?$",
    re.IGNORECASE,
)
_METHODS = re.compile(r"methods?\b|materials|experimental|procedures", re.IGNORECASE)
# Of articles that report nothing of their own, as `article-type` says.
_OF_OTHERS = frozenset(
    (
        *("addendum", "announcement", "article-commentary", "book-review", "books-received"),
        *("calendar", "correction", "discussion", "editorial", "expression-of-concern", "in-brief"),
        *("introduction", "meeting-report", "news", "obituary", "partial-retraction"),
        *("product-review", "reply", "retraction"),
    )
)
_RESULTS = re.compile("results?|findings?", re.IGNORECASE)
_CONCLUSIONS = re.compile(r"discussion|conclusion|conclud|summary|perspective|remarks", re.I)
_THINGS = (
    r"(?:(?:supplementa(?:l|ry) |suppl?\. |supporting |extended data |additional )?"
    r"(?:fig(?:ure)?s?\b\.?|tables?|files?|movies?|videos?|data ?sets?|panels?)\s*(?=[A-Z]?\d)"
    # PLOS writes "S3 Fig", and before 2015 "Text S1".
    r"|S\d+ (?:fig|tables?|text|files?|movies?|videos?|data(?:set)?|appendix)\b"
    r"|(?:text|protocol|appendix) S\d)"
)
_POINTERS = re.compile(rf"\s*[(\[](?:see |also |data not shown|{_THINGS})[^()\[\]]*[)\]]", re.I)
_SPEAKS_OF_THINGS = re.compile(rf"\b(?:{_THINGS}|data not shown)", re.IGNORECASE)
# Numbers of citations stand behind a full stop in some journals, and belong to what it ends.
_BEHIND_THE_STOP = re.compile(rf"""([.!?]["'”’]?)((?:{_MARK}[,;–-]?\s?)+)""")
_CITES = re.compile(
    rf"{_MARK}|\[\d+(?:\s?[,–-]\s?\d+)*\]|\bet al\b|\((?:19|20)\d\d\)", re.IGNORECASE
)


@dataclass(frozen=True)
class Article:
    """An article's identifiers, without prefixes, and what it found.

    `body` is plain text in one line: "Results: …" and "Discussion: …", empty where the article has
    no such text.
    """

    pmid: str | None
    pmcid: str | None
    doi: str | None
    body: str


def read_articles(file: IO[bytes]) -> Iterator[Article]:
    """The articles of a file, one or many, each in turn: in memory is one.

    Raises:
        ValueError: the file is no XML; what was read before has been given.
    """
    try:
        for _, element in ElementTree.iterparse(file, events=("end",)):
            if _name(element) == "article":
                yield _article(element)
                element.clear()
    except ElementTree.ParseError as error:
        raise ValueError(f"no XML: {error}") from error


def _article(article: Element) -> Article:
    ids = {
        one.get("pub-id-type"): (one.text or "").strip()
        for one in article.findall("./front/article-meta/article-id")
    }
    # PubMed Central wrote a number under "pmc", and writes PMC… under "pmcid" today.
    number = ids.get("pmcid") or ids.get("pmc") or ids.get("pmcaid")
    pmcid = number and f"PMC{number.upper().removeprefix('PMC')}"
    body = article.find("./body")
    is_own = body is not None and article.get("article-type") not in _OF_OTHERS
    findings = " ".join(_sections(body)) if body is not None and is_own else ""
    return Article(ids.get("pmid") or None, pmcid or None, ids.get("doi") or None, findings)


def _sections(body: Element) -> Iterator[str]:
    """The sections with findings, each as one text that its label opens."""
    titled = [part for part in body if _name(part) == "sec"]
    kinds = [_kind(section) for section in titled]
    loose = Element("sec")
    loose.extend(part for part in body if _name(part) != "sec")
    sections = [("", loose), *zip(kinds, titled, strict=True)]
    if any(_METHODS.search(kind) or _RESULTS.search(kind) for kind in kinds):
        # What has no title before the methods or the results is the introduction.
        sections = sections[next(place for place, kind in enumerate(["", *kinds, "end"]) if kind) :]
    in_methods = False
    for kind, section in sections:
        if _CONCLUSIONS.search(kind):
            label = "Discussion"
        elif _RESULTS.search(kind):
            label = "Results"
        elif _NO_FINDINGS.search(kind) or in_methods:
            # Sections behind the methods that are called neither are parts of them.
            in_methods = in_methods or bool(_METHODS.search(kind))
            continue
        else:
            label = "Results"
        in_methods = False
        if sentences := list(_own_sentences(section)):
            yield f"{label}: {' '.join(sentences)}"


def _kind(section: Element) -> str:
    """What a section is: its title, and its type."""
    title = section.find("./title")
    called = "" if title is None else plain_text(_markup(title))
    return f"{called} {section.get('sec-type') or ''}".strip()


def _own_sentences(section: Element) -> Iterator[str]:
    """Sentences that cite nobody and speak of no figure or table."""
    for paragraph in _paragraphs(section):
        text = _BEHIND_THE_STOP.sub(rf"{_MARK}\1 ", plain_text(_markup(paragraph)))
        text = _POINTERS.sub("", text)
        for sentence in split_sentences(text):
            is_whole = sentence.endswith((".", "!", '."', ".”"))
            leans = _CITES.search(sentence) or _SPEAKS_OF_THINGS.search(sentence)
            if is_whole and not leans and split_label(sentence)[0] is None:
                yield sentence


def _paragraphs(element: Element) -> Iterator[Element]:
    for part in element:
        if _name(part) == "p":
            yield part
        elif _name(part) not in _LEFT_OUT:
            yield from _paragraphs(part)


def _markup(element: Element) -> str:
    """An element's content as `plain_text` reads it: of its tags only exponents and indices."""
    parts = [html.escape(element.text or "")]
    for child in element:
        parts += [_inline(child), html.escape(child.tail or "")]
    return "".join(parts)


def _inline(element: Element) -> str:
    name = _name(element)
    if name in _LEFT_OUT:
        return " "
    if name in _MARKED or (name == "xref" and element.get("ref-type") == "bibr"):
        return _MARK
    inside = _markup(element)
    if name in ("sup", "sub") and _MARK not in inside:
        return f"<{name}>{inside}</{name}>"
    return f" {inside} " if name in _BLOCKS else inside


def _name(element: Element) -> str:
    """The tag without its namespace; of a comment or an instruction, nothing."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


__all__ = ["Article", "read_articles"]
