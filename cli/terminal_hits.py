"""The table of hits of `rnagpt annotate`, drawn on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rnagpt.cli.sureness import STRONG, WEAK, is_strong
from rnagpt.cli.terminal import styled
from rnagpt.evidence.confidence import STRONG_EVALUE
from rnagpt.evidence.gathering import address_of

if TYPE_CHECKING:
    from rnagpt.reference.annotate import SearchResult
    from rnagpt.reference.hits import Hit

HEADER = ("", "RNA", "family", "type", "place", "strand", "E-value", "bits", "identity")
RIGHT = ("place", "E-value", "bits", "identity")
MARK, PLACE, STRAND, EVALUE, BITS, IDENTITY = 1, 11, 6, 7, 6, 8  # columns of the terminal
WIDE = 100  # of the terminal, from which on columns stand two apart
# What RNA, family and type share of the rest, and the most that each has use for.
SHARES, MOST = (0.34, 0.42, 0.24), (40, 40, 28)
NARROWEST = 30  # for the three together; with less a hit is drawn in two lines


class HitTable:
    """Hits, drawn as they come: one table for all RNAs.

    Args:
        console: where it is drawn.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.place = PLACE
        self.is_headed = self.has_hits = False

    def write(self, result: SearchResult) -> None:
        """Draw what was found in one RNA."""
        if result.error:
            self._line(styled(result.name, "bold"), Text("rejected", style="bold red"))
            self._remark(str(result.error))
            return
        if not result.hits:
            none = result.note or "no known family or RNA"
            self._line(_named(result), styled(none, "italic"))
            return
        self.has_hits = True
        longest = max(len(_place(hit)) for hit in result.hits)
        if longest > self.place:
            self.place, self.is_headed = longest, False
        widths = self._widths()
        if widths is None:
            self._stacked(result)
        else:
            self._rows(result, widths)
        for remark in [*result.changes, *([result.note] if result.note else [])]:
            self._remark(f"({remark})")

    def close(self) -> None:
        """Say below the table what its marks mean."""
        if self.has_hits:
            told = f"{STRONG} strong: E-value up to {STRONG_EVALUE:.0e}, or Infernal agrees"
            self.console.print(Text(f"\n{told}   {WEAK} weak: may be chance", style="dim"))

    def _widths(self) -> list[int] | None:
        fixed = (self.place, STRAND, EVALUE, BITS, IDENTITY)
        gaps = (len(HEADER) - 1) * self._gap
        rest = self.console.width - MARK - sum(fixed) - gaps
        if rest < NARROWEST:
            return None
        named = [min(most, int(rest * share)) for share, most in zip(SHARES, MOST, strict=True)]
        return [MARK, *named, *fixed]

    @property
    def _gap(self) -> int:
        return 2 if self.console.width >= WIDE else 1

    def _rows(self, result: SearchResult, widths: Sequence[int]) -> None:
        table = Table(
            box=None,
            padding=(0, self._gap, 0, 0),
            pad_edge=False,
            show_header=not self.is_headed,
            header_style="bold underline",
        )
        for name, width in zip(HEADER, widths, strict=True):
            justify: Literal["left", "right"] = "right" if name in RIGHT else "left"
            table.add_column(name, width=width, justify=justify, overflow="fold")
        for number, hit in enumerate(result.hits):
            first, *cells = _cells(hit)
            table.add_row(first, Text() if number else _named(result), *cells)
        self.console.print(table)
        self.is_headed = True
        for hit in result.hits:
            if verdict := _verdict(hit):
                self._remark(f"{hit.record.name}: {verdict}")

    def _stacked(self, result: SearchResult) -> None:
        self.console.print(_named(result))
        for hit in result.hits:
            mark, family, kind, place, strand, evalue, bits, identity = _cells(hit)
            gap = Text("  ")
            self.console.print(
                Padding(Text(" ").join([mark, family, kind]), (0, 0, 0, 2), expand=False)
            )
            strand = Text("other strand" if strand.plain == "-" else "given strand")
            facts = [place, strand, Text("E ") + evalue, bits + Text(" bits"), identity]
            self.console.print(Padding(gap.join(facts), (0, 0, 0, 4), expand=False))
            if verdict := _verdict(hit):
                self._remark(verdict)

    def _line(self, *texts: Text) -> None:
        self.console.print(
            Padding(Text("  ").join(texts), (0, 0, 0, MARK + self._gap), expand=False)
        )

    def _remark(self, text: str) -> None:
        indent = (0, 0, 0, MARK + self._gap + 2)
        for line in text.splitlines():
            self.console.print(Padding(styled(line, "dim"), indent, expand=False))


def _named(result: SearchResult) -> Text:
    return styled(result.name, "bold") + styled(f" {result.length:,} nt", "dim")


def _place(hit: Hit) -> str:
    return f"{hit.start:,}–{hit.end:,}"


def _cells(hit: Hit) -> Iterator[Text]:
    """The row of a hit, without the RNA: the mark first."""
    record, strong = hit.record, is_strong(hit)
    yield Text(STRONG, style="bold green") if strong else Text(WEAK, style="yellow")
    address = address_of(record.id)
    family = styled(record.name, "bold cyan" if strong else "cyan", address)
    if record.id != record.name:
        family += Text(" ") + styled(f"({record.id})", "cyan", address)
    yield family
    yield styled(record.type or "-")
    yield Text(_place(hit))
    yield Text(hit.strand)
    yield Text(f"{hit.evalue:.1e}", style="bold green" if strong else "yellow")
    yield Text(f"{hit.bits:.1f}")
    yield Text(f"{hit.identity:.0%}")


def _verdict(hit: Hit) -> str:
    from rnagpt.reference.formats import verdict_of

    return f"Infernal {verdict_of(hit)}" if hit.verified else ""


__all__ = ["HitTable"]
