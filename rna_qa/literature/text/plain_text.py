"""Abstracts and claims as plain text: tags and entities gone, exponents and formulae still read.

Superscripts are written so that no number becomes another one: ``10<sup>6</sup>`` and ``10⁶`` are
``10^6``, ``10<sup>−3</sup>`` is ``10^-3``. What everybody writes on the line stays there: CO2,
IC50, Ca2+, CD8+. Papers and claims go through the same function, so that they can be compared.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field

_NAMES_OF_TAGS = (
    "a|abbr|abstract|alternatives|annotation|b|blockquote|bold|br|center|code|def|disp-formula|div|"
    "em|email|ext-link|fn|font|h[1-6]|hr|i|inf|inline-formula|inline-graphic|italic|label|li|list|"
    "list-item|math|mfrac|mi|mn|mo|monospace|mover|mrow|mspace|msqrt|mstyle|msub|msubsup|msup|mtext|"
    "munder|named-content|ol|p|pre|related-article|roman|sans-serif|sc|sec|semantics|small|span|"
    "strike|strong|styled-content|sub|sup|table|tbody|td|tex-math|th|title|tr|tt|u|ul|underline|"
    "uri|xref|(?:jats|mml|xhtml):[a-z-]+"
)
# Attributes have values here: "A<B and C>D" are two comparisons, not a tag with attributes.
_ATTRIBUTE = r"""[\w:.-]+\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>=`]+)"""
_TAG = re.compile(
    rf"<(?P<close>/)?(?P<name>{_NAMES_OF_TAGS})(?P<attributes>(?:\s+{_ATTRIBUTE})*)\s*(?P<void>/)?>",
    re.IGNORECASE,
)
# "p < 0.05" and "a<b" are no tags; these end a word, the others (<i>E. coli</i>) do not.
_BLOCK = re.compile(
    r"abstract|blockquote|br|center|disp-formula|div|h[1-6]|hr|label|li|list|list-item|ol|p|sec|"
    r"table|tbody|td|th|title|tr|ul"
)
_HEADING = re.compile(r"h[1-6]|title")
_VOID = frozenset(("br", "hr", "inline-graphic", "mspace"))
_COMMENT = re.compile(r"<!--.*?-->|<!\[CDATA\[|\]\]>", re.DOTALL)
_ENTITY = re.compile(r"&(?:#\d+|#x[0-9a-f]+|[a-z][a-z0-9]*);", re.IGNORECASE)
_MATHS_IN_TWO = {"msup": ("sup",), "msub": ("sub",), "msubsup": ("sub", "sup")}
# In XML they have two descriptions of one formula, the second one for LaTeX.
_SECOND_DESCRIPTIONS = frozenset(("tex-math", "annotation"))

_MINUS = dict.fromkeys(map(ord, "‐‑‒–—−﹣－⁻"), "-")
_SIGNED_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)*")
_CHARGE = re.compile(r"\d*[+-]")
_MARKS = re.compile(r"[^\w\s]+")
_ORDINAL = re.compile(r"st|nd|rd|th", re.IGNORECASE)
_ARM = re.compile(r"[35]p", re.IGNORECASE)  # of a hairpin: miR-17<sub>5p</sub> is miR-17-5p
# As typed, not raised: the feminine and masculine signs of Spanish, and marks of trade.
_NOT_RAISED = "ªº™℠"
_SURROGATE = re.compile("[\ud800-\udfff]")


def _raised(kind: str) -> str:
    """All characters that Unicode calls superscripts, or subscripts, of others."""
    return "".join(
        character
        for character in map(chr, range(0x80, 0x1E100))
        if unicodedata.decomposition(character).startswith(f"<{kind}>")
        and character not in _NOT_RAISED
    )


_RUN = re.compile(rf"(?P<sup>[{_raised('super')}]+)|(?P<sub>[{_raised('sub')}]+)")


def plain_text(text: str) -> str:
    """Text without HTML, JATS and MathML tags and entities, on one line.

    A heading becomes a label: ``<h4>Methods</h4>We`` is "Methods: We". Signs that open no tag
    (``p<0.05``, ``A<B and C>D``) stay. Superscripts and subscripts, as tags or as characters:
    see `script`. Half a character (a lone surrogate) becomes U+FFFD, as in HTML.

    Doing it again changes nothing.
    """
    if _SURROGATE.search(text):
        text = _SURROGATE.sub("\ufffd", text)
    if not text.isascii():
        text = fold_scripts(text)
    # Again, because some abstracts have their tags escaped, some of them twice.
    while "<" in text or "&" in text or "]]>" in text:
        before = text
        text = fold_scripts(_strip_tags(_ENTITY.sub(_unescape_what_is_no_markup, text)))
        text = html.unescape(text)
        if text == before:
            break
    return " ".join(text.split())


def _unescape_what_is_no_markup(entity: re.Match[str]) -> str:
    character = html.unescape(entity[0])
    return entity[0] if character in ("<", ">", "&") else character


def fold_scripts(text: str) -> str:
    """The text with Unicode's superscripts and subscripts as `script` writes them: 10⁶ is 10^6."""
    return "".join(piece for _, _, piece in pieces(text))


def pieces(text: str) -> Iterator[tuple[int, int, str]]:
    """The same in pieces, each with where it began and ended in the text."""
    end = 0
    for run in _RUN.finditer(text):
        if end < run.start():
            yield end, run.start(), text[end : run.start()]
        kind = "sup" if run["sup"] else "sub"
        before = unicodedata.normalize("NFKC", text[max(0, run.start() - 2) : run.start()])
        yield run.start(), run.end(), script(kind, run[0], before, text[run.end() : run.end() + 1])
        end = run.end()
    if end < len(text):
        yield end, len(text), text[end:]


def script(kind: str, words: str, before: str, after: str) -> str:
    """A superscript (`kind` "sup") or subscript ("sub") as it is written on the line.

    ``10^6``, ``m^2``, ``SO4^2-`` and ``p53^R175H`` with a sign, because ``106`` is another number
    and ``p53R175H`` no name; without it what is written so anywhere: Ca2+, CD8+, p53-/-, 2nd, and
    the isotope 32P, which stands before its letter. Subscripts follow at once (H2O, IC50, log2),
    but for a digit behind a digit, which has an underscore.

    Args:
        before: What stands before it, the last character or some.
        after: What follows it.
    """
    words = unicodedata.normalize("NFKC", words).translate(_MINUS)
    words = " ".join(words.split())
    base = before[-1:]
    if not words:
        return ""
    if base.isalnum() and _ARM.fullmatch(words):
        return f"-{words}"
    if kind == "sub":
        joined = not (base.isdigit() and words[0].isalnum()) and " " not in words
        return words if joined else f"_{_bracketed(words)}"
    if base.isspace() and before.rstrip()[-1:].isdigit() and not after.isalpha():
        base = "0"  # 10 <sup>6</sup> cells
        if not _SIGNED_NUMBER.fullmatch(words):
            return words
    if not (base.isalnum() or base in tuple(")]}%")) or _MARKS.fullmatch(words):
        return words
    if (base.isalpha() and _CHARGE.fullmatch(words)) or (
        base.isdigit() and _ORDINAL.fullmatch(words)
    ):
        return words
    return f"^{_bracketed(words)}"


def _bracketed(words: str) -> str:
    return f"({words})" if " " in words else words


# Tags


@dataclass
class _Open:
    """An element that is not closed yet: its tag as it stood there, and its content so far."""

    name: str
    tag: str
    content: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.content)


def _strip_tags(text: str) -> str:
    text = _COMMENT.sub("", text)
    stack = [_Open("", "")]
    end = 0
    for tag in _TAG.finditer(text):
        stack[-1].content.append(text[end : tag.start()])
        end = tag.end()
        name = tag["name"].lower().rpartition(":")[2]
        if tag["void"] or name in _VOID:
            stack[-1].content.append(" " if _BLOCK.fullmatch(name) else "")
        elif not tag["close"]:
            stack.append(_Open(name, tag[0]))
        elif any(element.name == name for element in stack):
            while stack[-1].name != name:
                _leave_open(stack)
            _close(stack, text[end : end + 1])
        elif _BLOCK.fullmatch(name):
            stack[-1].content.append(" ")
    stack[-1].content.append(text[end:])
    while len(stack) > 1:
        _leave_open(stack)
    return stack[0].text


def _leave_open(stack: list[_Open]) -> None:
    """Give an element without an end to the one around it.

    Names of one letter may be variables (``a<b``), and where a superscript ends is not known: their
    tags stay.
    """
    element = stack.pop()
    kept = element.tag if len(element.name) == 1 and element.name != "p" else ""
    if element.name in ("sup", "sub") or (element.name == "p" and _is_variable(stack, element)):
        kept = element.tag
    mark = " " if _BLOCK.fullmatch(element.name) and not kept else ""
    stack[-1].content += [kept or mark, *element.content]


def _is_variable(stack: list[_Open], element: _Open) -> bool:
    """Whether a ``<p>`` is a value between two bounds: ``0.01<p>0.001``."""
    before, after = stack[-1].text[-1:], element.text[:1]
    return before.isdigit() and after.isdigit()


def _close(stack: list[_Open], after: str) -> None:
    element = stack.pop()
    content, words = stack[-1].content, element.text
    if element.name in ("sup", "sub", "inf"):
        before = _before(stack)
        raised = script("sup" if element.name == "sup" else "sub", words, before, after)
        if raised.startswith("^") and before[-1:].isspace():
            content[:] = [stack[-1].text.rstrip()]
        content.append(raised)
    elif element.name in _MATHS_IN_TWO:
        content.append(_scripts_of_formula(element, after))
    elif element.name == "mfrac" and len(element.content) > 1:
        content.append("/".join(filter(str.strip, element.content)))
    elif element.name in _SECOND_DESCRIPTIONS and "".join(content).strip():
        return
    elif _HEADING.fullmatch(element.name):
        content.append(_label(words))
    elif _BLOCK.fullmatch(element.name):
        content.append(f" {words} ")
    else:
        content.append(words)


def _before(stack: list[_Open]) -> str:
    """The last characters before this place, whatever elements they are in."""
    text = ""
    for element in reversed(stack):
        text = element.text + text
        if len(text) > 1:
            break
    return text[-2:]


def _scripts_of_formula(formula: _Open, after: str) -> str:
    """MathML's ``<msup>``, ``<msub>`` and ``<msubsup>``: a base, then what is raised or lowered."""
    parts = [part.strip() for part in formula.content if part.strip()]
    text = parts[0] if parts else ""
    kinds = _MATHS_IN_TWO[formula.name]
    for kind, words in zip(kinds, parts[1:], strict=False):
        text += script(kind, words, text, after)
    return text + "".join(parts[1 + len(kinds) :])


def _label(words: str) -> str:
    words = words.strip()
    if not words:
        return " "
    return f" {words} " if words[-1] in ":.?!" else f" {words}: "


__all__ = ["fold_scripts", "pieces", "plain_text", "script"]
