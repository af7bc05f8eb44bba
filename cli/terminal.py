"""Whether output goes to a terminal, and the console that draws on it.

Rich is imported only where it does: what is piped or written to a file is plain text, the same
everywhere, and starts as fast as ever.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

# Variables and values that terminals set which open OSC 8 hyperlinks.
_LINKING_PROGRAMS = ("iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper", "Tabby", "rio")
_LINKING_VARIABLES = ("WT_SESSION", "KONSOLE_VERSION", "KITTY_WINDOW_ID", "DOMTERM")
_LINKING_TERMS = ("xterm-kitty", "xterm-ghostty", "alacritty", "foot", "wezterm", "contour")
_FIRST_VTE = 5000  # GNOME Terminal and others: 0.50, which is written 5000


def console_of(stream: IO[str]) -> Console | None:
    """A console where `stream` is a terminal that can draw, else None: plain text is written.

    Colours are left out where the environment variable NO_COLOR is set, and nothing is drawn on a
    terminal that calls itself dumb.
    """
    if os.environ.get("TERM") == "dumb" or not stream.isatty():
        return None
    from rich.console import Console

    return Console(file=stream, force_terminal=True, markup=False, highlight=False, emoji=False)


def supports_links(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the terminal is known to open hyperlinks; FORCE_HYPERLINK=1 or 0 says so itself."""
    forced = environment.get("FORCE_HYPERLINK")
    if forced is not None:
        return forced not in ("", "0")
    if environment.get("TMUX") or environment.get("TERM", "").startswith("screen"):
        return False  # what they pass on depends on their settings
    version = environment.get("VTE_VERSION", "")
    return (
        environment.get("TERM_PROGRAM") in _LINKING_PROGRAMS
        or any(environment.get(name) for name in _LINKING_VARIABLES)
        or environment.get("TERM", "").startswith(_LINKING_TERMS)
        or (version.isdecimal() and int(version) >= _FIRST_VTE)
    )


def printable(text: str) -> str:
    """A text without control characters: a FASTA name must not steer the terminal."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def styled(text: str, style: str = "", address: str = "") -> Text:
    """A text that is safe to show, as a hyperlink where `address` is given and links work."""
    from rich.style import Style
    from rich.text import Text

    link = Style(link=address) if address and supports_links() else Style()
    # As a span: a style of the whole would hold for what is added too, and for padding.
    return Text().append(printable(text), Style.parse(style) + link)


__all__ = ["console_of", "printable", "styled", "supports_links"]
