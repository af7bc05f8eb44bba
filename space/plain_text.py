"""Checks of visitors' texts, and display of characters that would not be visible."""

from __future__ import annotations

import re
import unicodedata

_UNUSUAL = re.compile(r"[^\n\t\x20-\x7e]")
# Controls, format characters (those that turn the direction of writing among them), halves of
# surrogate pairs, and separators of lines and paragraphs.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Zero-width (non-)joiners: Persian, Indic scripts and emoji are written with them.
_NEEDED = "\u200c\u200d"
_SURROGATE = re.compile("[\ud800-\udfff]")


def visible(text: str) -> str:
    """A text for display: characters that are unseen, or act on their neighbours, are named.

    Examples:
        >>> visible("tRNA\u202eANRt")
        'tRNA⟨U+202E⟩ANRt'
    """
    return _UNUSUAL.sub(lambda found: _shown(found.group()), text)


def escape_unseen(document: str) -> str:
    """A JSON document with the same characters as `\\u` escapes, which its readers undo."""
    return _UNUSUAL.sub(lambda found: _escaped(found.group()), document)


def check_text(text: object, what: str, max_letters: int | None = None) -> str:
    """The text itself.

    Args:
        what: what errors call it, as the beginning of a sentence.
        max_letters: the longest text that is taken.

    Raises:
        ValueError: for anything but a string, a lone surrogate, which no encoding can send, and
            too long a text.
    """
    if not isinstance(text, str):
        kind = "nothing" if text is None else type(text).__name__
        raise ValueError(f"{what} must be a text; got {kind}.")
    if max_letters is not None and len(text) > max_letters:
        raise ValueError(
            f"{what} has {len(text):,} letters; at most {max_letters:,} are taken. Shorten it."
        )
    if found := _SURROGATE.search(text):
        raise ValueError(
            f"{what} holds half a character (U+{ord(found.group()):04X}) at position "
            f"{found.start() + 1:,}, which no file can hold. Remove it or type it again."
        )
    return text


def _shown(letter: str) -> str:
    if unicodedata.category(letter) in _UNSEEN and letter not in _NEEDED:
        return f"⟨U+{ord(letter):04X}⟩"
    return letter


def _escaped(letter: str) -> str:
    if _shown(letter) == letter:
        return letter
    units = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
