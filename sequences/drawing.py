"""Draws scores of nucleotides as SVG: a strip over the sequence, and the secondary structure."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import numpy as np

from rnagpt.sequences.structure import base_pairs

MAX_FOLDED = 600

# White in the middle; orange and blue are distinguished by all kinds of colour vision, and black
# letters are read on every shade of them.
_FOR, _AGAINST = (0xF0, 0x8A, 0x1D), (0x5A, 0xA2, 0xE0)
_NT_PER_LINE, _CELL, _LINE, _MARGIN = 60, 15, 46, 56
_WIDTH = _NT_PER_LINE * _CELL + 2 * _MARGIN
_GREY = "#767676"
_CAPTION_WIDTH = 130
# Letters that XML 1.0 cannot hold, not even escaped.
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NUM_NAMED = 5


@dataclass(frozen=True)
class NucleotideScores:
    """What the nucleotides of one RNA did for an answer.

    Attributes:
        sequence: the RNA, as the model read it.
        scores: (nt,), in nats: by how much the answer's log-likelihood would fall without the
            nucleotide, to first order. Above 0 it speaks for the answer, below 0 against it.
    """

    sequence: str
    scores: np.ndarray


def draw_scores(
    scored: Sequence[NucleotideScores],
    names: Sequence[str] = (),
    caption: str = "",
    *,
    with_structure: bool = True,
) -> str:
    """Draw what the nucleotides of an answer's RNAs did for it, as one SVG document.

    Every RNA has a strip of its sequence, 60 nt a line with positions, and below it its secondary
    structure of minimum free energy, where it has base pairs and at most 600 nt. One scale of
    colours, shown in a legend, serves all of them. Title and description are for screen readers;
    pointing at a nucleotide shows its score.

    Args:
        scored: at least one RNA, as `RnaChat.explain` returns them.
        names: the RNAs' names; "RNA 1" and so on where one is missing or empty.
        caption: what stands above: the question and the answer, say. Line breaks are kept.
        with_structure: False draws only the strips, which needs no ViennaRNA.

    Raises:
        ValueError: when there is no RNA, or when a score is not a finite number.
        ImportError: when a structure is wanted and ViennaRNA is not installed.
    """
    if not scored:
        raise ValueError("There is no RNA to draw: give at least one.")
    for number, rna in enumerate(scored, start=1):
        if len(rna.scores) != len(rna.sequence) or not np.isfinite(rna.scores).all():
            raise ValueError(f"RNA {number} needs one finite score for each of its nucleotides.")
    names = [name or f"RNA {i}" for i, name in enumerate([*names, *[""] * len(scored)], start=1)]
    highest = max((float(np.abs(rna.scores).max(initial=0)) for rna in scored), default=0.0)
    drawing = _Drawing(highest)
    drawing.caption(caption)
    drawing.legend()
    for name, rna in zip(names, scored, strict=False):
        drawing.strip(name, rna)
        if with_structure and len(rna.sequence) <= MAX_FOLDED:
            drawing.structure(rna)
    titles = ", ".join(names[: len(scored)])
    descriptions = [_describe(name, rna) for name, rna in zip(names, scored, strict=False)]
    return drawing.document(f"What an answer rests on: {titles}", " ".join(descriptions))


def fold_rna(sequence: str) -> str:
    """The secondary structure of minimum free energy, as dots and brackets (ViennaRNA).

    Raises:
        ImportError: when ViennaRNA is not installed.
    """
    structure: str = _vienna_rna().fold(sequence)[0]
    return structure


def lay_out(structure: str) -> np.ndarray:
    """Places of a structure's nucleotides in a plane: (nt, 2), by RNApuzzler (Wiegreffe 2018).

    Raises:
        ImportError: when ViennaRNA is not installed.
    """
    vienna_rna = _vienna_rna()
    vienna_rna.cvar.rna_plot_type = vienna_rna.PLOT_TYPE_PUZZLER
    places = vienna_rna.get_xy_coordinates(structure)
    return np.array([[places.get(i).X, places.get(i).Y] for i in range(len(structure))])


class _Drawing:
    """An SVG document that grows downwards."""

    def __init__(self, highest: float) -> None:
        self.highest = highest
        self.root = ElementTree.Element(
            "svg",
            {
                "xmlns": "http://www.w3.org/2000/svg",
                "role": "img",
                "font-family": "Helvetica, Arial, sans-serif",
                "font-size": "12",
            },
        )
        self.y = 28.0

    def document(self, title: str, description: str) -> str:
        """The document, closed at its present height."""
        height = self.y + 8
        self.root.set("viewBox", f"0 0 {_WIDTH} {height:.0f}")
        self.root.set("width", str(_WIDTH))
        self.root.set("height", f"{height:.0f}")
        for index, (tag, text) in enumerate((("title", title), ("desc", description))):
            element = ElementTree.Element(tag)
            element.text = _printable(text)
            self.root.insert(index, element)
        background = {"width": "100%", "height": "100%", "fill": "#ffffff"}
        self.root.insert(2, ElementTree.Element("rect", background))
        return ElementTree.tostring(self.root, encoding="unicode") + "\n"

    def caption(self, text: str) -> None:
        for paragraph in text.splitlines():
            for line in textwrap.wrap(paragraph, _CAPTION_WIDTH):
                _text(self.root, _MARGIN, self.y, line, size=14)
                self.y += 20

    def legend(self) -> None:
        steps, width = 21, 12
        left = (_WIDTH - steps * width) / 2
        for step, value in enumerate(np.linspace(-self.highest, self.highest, steps)):
            fill = self.colour(value)
            _add(
                self.root,
                "rect",
                x=left + step * width,
                y=self.y,
                width=width,
                height=14,
                fill=fill,
            )
        right = left + steps * width
        edge = {"x": left, "y": self.y, "width": right - left, "height": 14}
        _add(self.root, "rect", **edge, fill="none", stroke=_GREY)
        _text(self.root, left - 10, self.y + 11, "speaks against the answer", anchor="end")
        _text(self.root, right + 10, self.y + 11, "speaks for the answer")
        self.y += 30
        for x, value in ((left, -self.highest), ((left + right) / 2, 0.0), (right, self.highest)):
            _text(self.root, x, self.y, _signed(value), anchor="middle", fill=_GREY)
        self.y += 18
        what = "by how many nats the answer's log-likelihood would fall without it, to first order"
        _text(self.root, _WIDTH / 2, self.y, what, anchor="middle", fill=_GREY)
        self.y += 30

    def strip(self, name: str, rna: NucleotideScores) -> None:
        length = len(rna.sequence)
        shown = textwrap.shorten(name, 100, placeholder="…") or name[:100]
        _text(self.root, _MARGIN, self.y, f"{shown} ({length:,} nt)", size=14, weight="bold")
        self.y += 24
        for start in range(0, length, _NT_PER_LINE):
            end = min(start + _NT_PER_LINE, length)
            _text(self.root, _MARGIN - 8, self.y + 15, f"{start + 1:,}", anchor="end", fill=_GREY)
            for place in range(start, end):
                self._cell(rna, place, _MARGIN + (place - start) * _CELL)
            right = _MARGIN + (end - start) * _CELL + 8
            _text(self.root, right, self.y + 15, f"{end:,}", fill=_GREY)
            self.y += _LINE
        self.y += 4

    def _cell(self, rna: NucleotideScores, place: int, x: float) -> None:
        cell = self._nucleotide(self.root, rna, place)
        fill = self.colour(rna.scores[place])
        _add(cell, "rect", x=x, y=self.y, width=_CELL, height=22, fill=fill)
        _text(cell, x + _CELL / 2, self.y + 15, rna.sequence[place], anchor="middle")
        if (place + 1) % 10 == 0:
            _text(cell, x + _CELL / 2, self.y - 3, f"{place + 1:,}", 9, anchor="middle", fill=_GREY)

    def structure(self, rna: NucleotideScores) -> None:
        """The folded RNA; nothing where it has no base pair."""
        structure = fold_rna(rna.sequence)
        pairs = base_pairs(structure)
        if not pairs:
            return
        places = lay_out(structure)
        margin = 40
        size = np.ptp(places, axis=0) + 2 * margin
        scale = min(1.0, _WIDTH / size[0])
        shift = margin - places.min(axis=0) + [(_WIDTH / scale - size[0]) / 2, 0]
        move = f"translate(0 {self.y:.1f}) scale({scale:.3f})"
        group = _add(self.root, "g", transform=move)
        self._structure(group, rna, places + shift, pairs)
        self.y += scale * size[1] + 16
        caption = "Secondary structure of minimum free energy (ViennaRNA), not part of the answer."
        _text(self.root, _WIDTH / 2, self.y, caption, anchor="middle", fill=_GREY)
        self.y += 36

    def _structure(
        self,
        group: ElementTree.Element,
        rna: NucleotideScores,
        places: np.ndarray,
        pairs: list[tuple[int, int]],
    ) -> None:
        backbone = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        _add(group, "polyline", points=backbone, fill="none", stroke="#b0b0b0", stroke_width=1.5)
        for pair in pairs:
            (x1, y1), (x2, y2) = places[list(pair)]
            _add(group, "line", x1=x1, y1=y1, x2=x2, y2=y2, stroke="#404040", stroke_width=2)
        for place, (x, y) in enumerate(places):
            circle = self._nucleotide(group, rna, place)
            fill = self.colour(rna.scores[place])
            _add(circle, "circle", cx=x, cy=y, r=9.5, fill=fill, stroke=_GREY)
            _text(circle, x, y + 4, rna.sequence[place], anchor="middle")
        length = len(places)
        labels = {place: f"{place + 1}" for place in range(9, length, 10)}
        for place, label in {**labels, 0: "5′", length - 1: "3′"}.items():
            x, y = _beside(places, place)
            _text(group, x, y + 4, label, anchor="middle", fill=_GREY)

    def _nucleotide(
        self, parent: ElementTree.Element, rna: NucleotideScores, place: int
    ) -> ElementTree.Element:
        """A group for one nucleotide, which shows letter, position and score when pointed at."""
        group = _add(parent, "g")
        shown = f"{rna.sequence[place]}{place + 1}: {_signed(rna.scores[place])}"
        _add(group, "title").text = shown
        return group

    def colour(self, score: float) -> str:
        """White for 0, the full colour for the highest score of all."""
        share = abs(score) / self.highest if self.highest else 0.0
        full = _FOR if score > 0 else _AGAINST
        return "#" + "".join(f"{round(255 + share * (value - 255)):02x}" for value in full)


def _beside(places: np.ndarray, index: int, distance: float = 22.0) -> np.ndarray:
    """A place for a nucleotide's label: on that side of the backbone where more room is."""
    along = places[min(index + 1, len(places) - 1)] - places[max(index - 1, 0)]
    across = np.array([-along[1], along[0]]) / (np.hypot(*along) or 1.0)
    sides = [places[index] + sign * distance * across for sign in (1, -1)]
    others = np.delete(places, index, axis=0)
    return max(sides, key=lambda side: np.hypot(*(others - side).T).min(initial=np.inf))


def _describe(name: str, rna: NucleotideScores) -> str:
    order = np.argsort(rna.scores, kind="stable")
    best = [place for place in order[::-1][:_NUM_NAMED] if rna.scores[place] > 0]
    worst = [place for place in order[:_NUM_NAMED] if rna.scores[place] < 0]
    parts = [f"{name}, {len(rna.sequence)} nucleotides."]
    for which, places in (("for", best), ("against", worst)):
        named = [f"{rna.sequence[i]}{i + 1} ({_signed(rna.scores[i])})" for i in places]
        if named:
            parts.append(f"What speaks most {which} the answer: {', '.join(named)}.")
    return " ".join(parts)


def _signed(value: float) -> str:
    return "0" if value == 0 else f"{value:+.2g}".replace("-", "−")


def _add(parent: ElementTree.Element, tag: str, **attributes: object) -> ElementTree.Element:
    """A new element; numbers to a tenth, and names with `-` where Python has `_`."""
    written = {
        name.replace("_", "-"): f"{value:.4g}" if isinstance(value, float) else str(value)
        for name, value in attributes.items()
    }
    return ElementTree.SubElement(parent, tag, written)


def _text(
    parent: ElementTree.Element,
    x: float,
    y: float,
    text: str,
    size: int = 12,
    anchor: str = "start",
    fill: str = "#000000",
    weight: str = "normal",
) -> None:
    element = _add(
        parent, "text", x=x, y=y, text_anchor=anchor, fill=fill, font_size=size, font_weight=weight
    )
    element.text = _printable(text)


def _printable(text: str) -> str:
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def _vienna_rna() -> Any:
    try:
        import RNA
    except ImportError as error:
        raise ImportError(
            "Drawing a secondary structure needs ViennaRNA: pip install 'rna-gpt[explain]', or "
            "pip install viennarna. with_structure=False draws the strip alone."
        ) from error
    return RNA


__all__ = ["MAX_FOLDED", "draw_scores", "fold_rna", "lay_out"]
