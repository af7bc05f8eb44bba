"""Answers of `rnagpt chat`, drawn on a terminal: wrapped, with citations and records."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.style import Style
from rich.table import Table
from rich.text import Text

from rnagpt.cli.sureness import STRONG, WEAK, is_strong
from rnagpt.cli.terminal import printable, styled, supports_links
from rnagpt.evidence.confidence import confidence_in_words

if TYPE_CHECKING:
    from rnagpt.evidence.gathering import Item

_CITATION = re.compile(r"\[(\d+)\]")
BASES: Mapping[str, str] = {
    "records": "from the records",
    "sequence": "computed from the sequence",
    "model": "a model's reading of the sequence",
    "none": "nothing is known",
}


class AnswerView:
    """Titles, questions, answers and records on a terminal.

    Args:
        console: where they are drawn.
        indent: of answers and records, in columns.
    """

    def __init__(self, console: Console, indent: int = 0) -> None:
        self.console = console
        self.indent = indent

    def title(self, name: str, length: int, changes: Sequence[str]) -> None:
        """The RNA that the following is about."""
        facts = ", ".join([f"{length:,} nt", *changes])
        self.console.print(styled(name, "bold") + Text(" ") + styled(f"({facts})", "dim"))

    def question(self, text: str) -> None:
        """A question, above its answer."""
        self._print(styled(text, "bold"), self.indent // 2)

    def answer(self, text: str, items: Iterable[Item]) -> None:
        """An answer, its citations coloured and linked to the records that they name."""
        addresses = {item.number: item.address for item in items}
        for line in text.splitlines():
            self._print(cited(line, addresses))

    def confidence(self, confidence: float | None, basis: str, remark: str = "") -> None:
        """How sure the answer is and what it rests on, in words."""
        words = confidence_in_words(confidence)
        colours = {"high": "green", "low": "yellow"}
        told = styled("confidence: ", "dim") + styled(words, colours.get(words.split()[0], "dim"))
        for further in filter(None, (BASES.get(basis, ""), remark)):
            told += styled(" · ", "dim") + styled(further, "dim")
        self._print(told)

    def records(self, items: Iterable[Item]) -> None:
        """The list of records: number, name, how well and where each matches, and its page."""
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for item in items:
            grid.add_row(styled(item.mark, "bold cyan", item.address), described(item))
        if grid.row_count:
            self._print(grid)

    def remark(self, text: str) -> None:
        """A remark, in a quieter colour."""
        for line in text.splitlines():
            self._print(styled(line, "dim"))

    def _print(self, drawn: Text | Table, indent: int | None = None) -> None:
        self.console.print(
            Padding(drawn, (0, 0, 0, self.indent if indent is None else indent), expand=False)
        )


def cited(text: str, addresses: Mapping[int, str]) -> Text:
    """A text with its citations, such as "[1]", coloured and linked."""
    shown = Text(printable(text))
    for found in _CITATION.finditer(shown.plain):
        style = Style.parse("bold cyan")
        address = addresses.get(int(found[1]), "")
        if address and supports_links():
            style += Style(link=address)
        shown.stylize(style, *found.span())
    return shown


def described(item: Item) -> Text:
    """A record in the list below an answer."""
    hit, record = item.hit, item.record
    strong = is_strong(hit)
    shown = styled(record.name, "bold" if strong else "", item.address)
    if record.id != record.name:
        shown += styled(f" ({record.id})", "", item.address)
    word, colour = (f"{STRONG} strong", "green") if strong else (f"{WEAK} weak", "yellow")
    shown += styled(" — ", "dim") + styled(f"{word}, E {hit.evalue:.1g}", colour)
    strand = "" if hit.strand == "+" else " of the other strand"
    shown += Text(f", nucleotides {hit.start:,}–{hit.end:,}{strand}")
    if item.address:
        shown += Text(", ") + styled(item.address, "blue underline", item.address)
    return shown


class WordWrapper:
    """Text that comes in pieces, wrapped between words to the terminal's width.

    A word is written when it has ended, so that no line has to be taken back.

    Args:
        console: where it is written.
        addresses: of the records, by number; asked for each citation, since records are found while
            an answer begins.
    """

    def __init__(self, console: Console, addresses: Mapping[int, str]) -> None:
        self.console = console
        self.addresses = addresses
        self.column = 0
        self.word = ""

    def write(self, piece: str) -> None:
        """Write what of a piece is whole words."""
        for letter in piece:
            if letter == "\n":
                self.flush()
                self.console.print()
                self.column = 0
            elif letter.isspace():
                self.flush()
                if 0 < self.column < self.console.width:
                    self._put(Text(" "))
            else:
                self.word += letter

    def flush(self) -> None:
        """Write the word that was begun, at the end of a text for example."""
        if not self.word:
            return
        word, self.word = cited(self.word, self.addresses), ""
        if self.column and self.column + word.cell_len > self.console.width:
            self.console.print()
            self.column = 0
        self._put(word)

    def _put(self, text: Text) -> None:
        self.console.print(text, end="", soft_wrap=True)
        self.column += text.cell_len
        self.console.file.flush()


__all__ = ["BASES", "AnswerView", "WordWrapper", "cited", "described"]
