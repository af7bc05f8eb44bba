"""Draws scores of nucleotides as SVG: over the sequence with its family's columns, and over its
secondary structure."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import numpy as np

from rnagpt.sequences.folding import (
    MAX_FOLDED,
    SecondaryStructure,
    lay_out,
    minimum_free_energy,
)
from rnagpt.sequences.structure import base_pairs

# In nats. Of answers that no RNA could change ("The capital of France is Paris."), put into
# rna-gpt-mini's mouth, 95 of 100 have no nucleotide with a higher score:
# `python benchmarks/explain_floor.py`.
NOISE_FLOOR = 1.0
FULL_COLOUR = 5.0  # nats; above it all colours are the same
CONSERVED = 1.0  # bits of a family's column that is marked in the structure

# White in the middle; orange and blue are distinguished by all kinds of colour vision, and black
# letters are read on every shade of them.
_FOR, _AGAINST = (0xF0, 0x8A, 0x1D), (0x5A, 0xA2, 0xE0)
_FAINTEST = 0.2  # share of the full colour that a score at the floor has
_NT_PER_LINE, _CELL, _LINE, _MARGIN = 60, 15, 46, 56
_BAR, _BRACKETS = 14, 14  # heights of what stands below a line of the strip
_WIDTH = _NT_PER_LINE * _CELL + 2 * _MARGIN
_GREY, _DARK = "#767676", "#303030"
_CAPTION_WIDTH = 130
# Letters that XML 1.0 cannot hold, not even escaped.
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NUM_NAMED = 5
_RING: dict[str, object] = {"stroke": "#000000", "stroke_width": 2.5}


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

    @property
    def mattered(self) -> list[int]:
        """Places (0-based) of the nucleotides whose scores are no noise, the highest first."""
        order = np.argsort(-np.abs(self.scores), kind="stable").tolist()
        return [place for place in order if abs(self.scores[place]) >= NOISE_FLOOR]

    def summary(self) -> str:
        """What mattered, in a line: "3 of 76 nucleotides mattered, most of all G18 (+0.41) …"."""
        places = self.mattered
        if not places:
            return "no single nucleotide mattered"
        length = len(self.sequence)
        return (
            f"{len(places):,} of {length:,} nucleotide{'s' * (length > 1)} mattered, most of all "
            f"{self.named(places[:_NUM_NAMED])}"
        )

    def named(self, places: Sequence[int]) -> str:
        """Nucleotides with their positions and scores: "G18 (+0.41), U33 (−0.2)"."""
        return ", ".join(
            f"{self.sequence[place]}{place + 1} ({_signed(self.scores[place])})" for place in places
        )

    def to_dict(self) -> dict[str, Any]:
        """What `rnagpt chat --explain --json` prints: the scores above noise, the highest first."""
        return {
            "summary": self.summary(),
            "noise_floor": NOISE_FLOOR,
            "mattered": [
                {
                    "position": place + 1,
                    "nucleotide": self.sequence[place],
                    "score": round(float(self.scores[place]), 4),
                }
                for place in self.mattered
            ],
        }


def draw_scores(
    scored: Sequence[NucleotideScores],
    names: Sequence[str] = (),
    caption: str = "",
    *,
    structures: Sequence[SecondaryStructure | None] | None = None,
    with_structure: bool = True,
) -> str:
    """Draw what the nucleotides of an answer's RNAs did for it, as one SVG document.

    Every RNA has a strip of its sequence, 60 nt a line with positions; below each line stand how
    conserved the family's columns are and the base pairs, where these are known. Below the strip is
    the secondary structure, where it has base pairs and at most 600 nt, with its source. Colours
    begin at `NOISE_FLOOR`, are full from `FULL_COLOUR` on, and mean the same in all drawings; a
    legend shows them. Title and description are for screen readers; pointing at a nucleotide shows
    its score.

    Args:
        scored: at least one RNA, as `RnaChat.explain` returns them.
        names: the RNAs' names; "RNA 1" and so on where one is missing or empty.
        caption: what stands above: the question and the answer, say. Line breaks are kept.
        structures: one for each RNA, as `structure_of` returns them, None for an RNA without.
            Default: those of minimum free energy.
        with_structure: False draws only the strips, which needs no ViennaRNA.

    Raises:
        ValueError: when there is no RNA, when a score is not a finite number, or when a structure
            is of another length than its RNA.
        ImportError: when a structure is to be drawn and ViennaRNA is not installed.
    """
    if not scored:
        raise ValueError("There is no RNA to draw: give at least one.")
    for number, rna in enumerate(scored, start=1):
        if len(rna.scores) != len(rna.sequence) or not np.isfinite(rna.scores).all():
            raise ValueError(f"RNA {number} needs one finite score for each of its nucleotides.")
    if structures is None:
        structures = [_folded(rna.sequence) if with_structure else None for rna in scored]
    _check_structures(structures, scored)
    names = [name or f"RNA {i}" for i, name in enumerate([*names, *[""] * len(scored)], start=1)]
    drawing = _Drawing()
    drawing.caption(caption)
    drawing.legend()
    if any(structure and structure.conservation for structure in structures):
        drawing.legend_of_columns()
    descriptions = []
    for name, rna, structure in zip(names, scored, structures, strict=False):
        drawing.strip(name, rna, structure)
        if structure is not None and with_structure:
            drawing.structure(rna, structure)
        descriptions.append(_describe(name, rna, structure))
    titles = ", ".join(names[: len(scored)])
    return drawing.document(f"What an answer rests on: {titles}", " ".join(descriptions))


def _folded(sequence: str) -> SecondaryStructure | None:
    return minimum_free_energy(sequence) if len(sequence) <= MAX_FOLDED else None


def _check_structures(
    structures: Sequence[SecondaryStructure | None], scored: Sequence[NucleotideScores]
) -> None:
    if len(structures) != len(scored):
        raise ValueError(f"There are {len(scored)} RNAs and {len(structures)} structures.")
    for number, (structure, rna) in enumerate(zip(structures, scored, strict=True), start=1):
        if structure is None:
            continue
        lengths = {len(structure.pairs), len(structure.conservation) or len(rna.sequence)}
        if lengths != {len(rna.sequence)}:
            raise ValueError(
                f"RNA {number} has {len(rna.sequence)} nt, and its structure is of another length."
            )


class _Drawing:
    """An SVG document that grows downwards."""

    def __init__(self) -> None:
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
        """The scale of colours: on a logarithmic scale to both sides of what is noise."""
        steps, width = 9, 12
        rising = np.geomspace(NOISE_FLOOR, FULL_COLOUR, steps)
        noise = [0.0] * 3
        values = [*-rising[::-1], *noise, *rising]
        left = (_WIDTH - len(values) * width) / 2
        right = left + len(values) * width
        for step, value in enumerate(values):
            x, fill = left + step * width, _colour(value)
            _add(self.root, "rect", x=x, y=self.y, width=width, height=14, fill=fill)
        edge = {"x": left, "y": self.y, "width": right - left, "height": 14}
        _add(self.root, "rect", **edge, fill="none", stroke=_GREY)
        _text(self.root, left - 10, self.y + 11, "speaks against the answer", anchor="end")
        _text(self.root, right + 10, self.y + 11, "speaks for the answer")
        self.y += 30
        beginning = steps * width
        for x, value in (
            (left, -FULL_COLOUR),
            (left + beginning, -NOISE_FLOOR),
            (right - beginning, NOISE_FLOOR),
            (right, FULL_COLOUR),
        ):
            _text(self.root, x, self.y, _signed(value), anchor="middle", fill=_GREY)
        self.y += 18
        what = (
            "by how many nats the answer's log-likelihood would fall without it, to first order; "
            f"below {NOISE_FLOOR:g} it is noise, and white"
        )
        _text(self.root, _WIDTH / 2, self.y, what, anchor="middle", fill=_GREY)
        self.y += 30

    def legend_of_columns(self) -> None:
        """What bars and rings mean."""
        self.y -= 8
        left = 132.0
        for number, bits in enumerate((0.0, 0.5, 1.0, 1.5, 2.0)):
            _bars(self.root, [(left + number * _CELL, bits)], self.y + 2)
        bars = (
            "how conserved the family's column is, from 0 bits (any letter) to 2 bits (always the "
            "same letter)"
        )
        _text(self.root, left + 5 * _CELL + 8, self.y, bars, fill=_GREY)
        ring = left + 668
        _add(self.root, "circle", cx=ring, cy=self.y - 4, r=8, fill="#ffffff", **_RING)
        _text(self.root, ring + 16, self.y, f"{CONSERVED:g} bit or more", fill=_GREY)
        self.y += 30

    def strip(self, name: str, rna: NucleotideScores, structure: SecondaryStructure | None) -> None:
        length = len(rna.sequence)
        shown = textwrap.shorten(name, 100, placeholder="…") or name[:100]
        _text(self.root, _MARGIN, self.y, f"{shown} ({length:,} nt)", size=14, weight="bold")
        self.y += 24
        if not rna.mattered:
            why = f"No score reaches {NOISE_FLOOR:g} nat, and lower ones are noise."
            told = f"{_sentence(rna.summary())} {why}"
            _text(self.root, _MARGIN, self.y - 4, told)
            self.y += 20
        told_of = _told_of(rna, structure)
        for start in range(0, length, _NT_PER_LINE):
            end = min(start + _NT_PER_LINE, length)
            _text(self.root, _MARGIN - 8, self.y + 15, f"{start + 1:,}", anchor="end", fill=_GREY)
            for place in range(start, end):
                self._cell(rna, place, _MARGIN + (place - start) * _CELL, told_of[place])
            right = _MARGIN + (end - start) * _CELL + 8
            _text(self.root, right, self.y + 15, f"{end:,}", fill=_GREY)
            below = self._columns(structure, start, end) if structure else 0
            self.y += _LINE + below
        self.y += 4

    def _cell(self, rna: NucleotideScores, place: int, x: float, told: str) -> None:
        cell = _nucleotide(self.root, told)
        fill = _colour(rna.scores[place])
        _add(cell, "rect", x=x, y=self.y, width=_CELL, height=22, fill=fill)
        _text(cell, x + _CELL / 2, self.y + 15, rna.sequence[place], anchor="middle")
        if (place + 1) % 10 == 0:
            _text(cell, x + _CELL / 2, self.y - 3, f"{place + 1:,}", 9, anchor="middle", fill=_GREY)

    def _columns(self, structure: SecondaryStructure, start: int, end: int) -> int:
        """Bars and brackets below a line of the strip; returns how much room they take."""
        room = 0
        y = self.y + 22
        known = enumerate(structure.conservation[start:end])
        if bars := [(_MARGIN + at * _CELL, bits) for at, bits in known if bits is not None]:
            room += _BAR + 4
            _bars(self.root, bars, y + room)
        paired = [at for at, letter in enumerate(structure.pairs[start:end]) if letter != "."]
        if paired:
            room += _BRACKETS
            places = " ".join(f"{_MARGIN + (at + 0.5) * _CELL:.4g}" for at in paired)
            brackets = "".join(structure.pairs[start + at] for at in paired)
            _text(self.root, places, y + room - 1, brackets, anchor="middle", fill=_DARK)
        return room

    def structure(self, rna: NucleotideScores, structure: SecondaryStructure) -> None:
        """The folded RNA, where it has base pairs and is not too long, and where it comes from."""
        pairs = base_pairs(structure.pairs)
        if pairs and len(rna.sequence) <= MAX_FOLDED:
            places = lay_out(structure.pairs)
            margin = 40
            size = np.ptp(places, axis=0) + 2 * margin
            scale = min(1.0, _WIDTH / size[0])
            shift = margin - places.min(axis=0) + [(_WIDTH / scale - size[0]) / 2, 0]
            move = f"translate(0 {self.y:.1f}) scale({scale:.3f})"
            group = _add(self.root, "g", transform=move)
            self._structure(group, rna, structure, places + shift, pairs)
            self.y += scale * size[1] + 16
        for line in textwrap.wrap(f"structure: {structure.source}", _CAPTION_WIDTH):
            _text(self.root, _WIDTH / 2, self.y, line, anchor="middle", fill=_GREY)
            self.y += 18
        self.y += 18

    def _structure(
        self,
        group: ElementTree.Element,
        rna: NucleotideScores,
        structure: SecondaryStructure,
        places: np.ndarray,
        pairs: list[tuple[int, int]],
    ) -> None:
        backbone = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        _add(group, "polyline", points=backbone, fill="none", stroke="#b0b0b0", stroke_width=1.5)
        for pair in pairs:
            (x1, y1), (x2, y2) = places[list(pair)]
            _add(group, "line", x1=x1, y1=y1, x2=x2, y2=y2, stroke="#404040", stroke_width=2)
        told_of = _told_of(rna, structure)
        bits_of = structure.conservation or (None,) * len(places)
        for place, ((x, y), bits) in enumerate(zip(places, bits_of, strict=True)):
            circle = _nucleotide(group, told_of[place])
            fill = _colour(rna.scores[place])
            edge = {"stroke": _GREY} if bits is None or bits < CONSERVED else _RING
            _add(circle, "circle", cx=x, cy=y, r=9.5, fill=fill, **edge)
            _text(circle, x, y + 4, rna.sequence[place], anchor="middle")
        length = len(places)
        labels = {place: f"{place + 1}" for place in range(9, length, 10)}
        for place, label in {**labels, 0: "5′", length - 1: "3′"}.items():
            x, y = _beside(places, place)
            _text(group, x, y + 4, label, anchor="middle", fill=_GREY)


def _nucleotide(parent: ElementTree.Element, told: str) -> ElementTree.Element:
    """A group for one nucleotide, which shows what is told of it when pointed at."""
    group = _add(parent, "g")
    _add(group, "title").text = told
    return group


def _told_of(rna: NucleotideScores, structure: SecondaryStructure | None) -> list[str]:
    """Letter, position and score of each nucleotide, with its partner and its column's bits."""
    sequence = rna.sequence
    told = [
        f"{letter}{place}: {_signed(score)}"
        for place, (letter, score) in enumerate(zip(sequence, rna.scores, strict=True), start=1)
    ]
    if structure is None:
        return told
    for pair in base_pairs(structure.pairs):
        for place, other in (pair, pair[::-1]):
            told[place] += f"; pairs with {sequence[other]}{other + 1}"
    for place, bits in enumerate(structure.conservation):
        if bits is not None:
            told[place] += f"; column of {bits:.1f} bits"
    return told


def _colour(score: float) -> str:
    """White for what is noise, then on a logarithmic scale to the full colour."""
    height = abs(score)
    share = 0.0
    if height >= NOISE_FLOOR:
        above = math.log(height / NOISE_FLOOR) / math.log(FULL_COLOUR / NOISE_FLOOR)
        share = min(1.0, _FAINTEST + (1 - _FAINTEST) * above)
    full = _FOR if score > 0 else _AGAINST
    return "#" + "".join(f"{round(255 + share * (value - 255)):02x}" for value in full)


def _bars(parent: ElementTree.Element, places: Sequence[tuple[float, float]], base: float) -> None:
    """Bars of bits that stand on a baseline, at left edges of cells."""
    outlines = []
    for x, bits in places:
        height = max(1.0, _BAR * bits / 2)  # that there is a column is seen
        outlines.append(f"M{x + 3:.1f} {base:.1f}v{-height:.1f}h{_CELL - 6}v{height:.1f}z")
    if outlines:
        _add(parent, "path", d="".join(outlines), fill=_DARK)


def _beside(places: np.ndarray, index: int, distance: float = 22.0) -> np.ndarray:
    """A place for a nucleotide's label: on that side of the backbone where more room is."""
    along = places[min(index + 1, len(places) - 1)] - places[max(index - 1, 0)]
    across = np.array([-along[1], along[0]]) / (np.hypot(*along) or 1.0)
    sides = [places[index] + sign * distance * across for sign in (1, -1)]
    others = np.delete(places, index, axis=0)
    return max(sides, key=lambda side: np.hypot(*(others - side).T).min(initial=np.inf))


def _describe(name: str, rna: NucleotideScores, structure: SecondaryStructure | None) -> str:
    parts = [f"{name}, {len(rna.sequence)} nucleotides."]
    if not rna.mattered:
        parts.append(_sentence(rna.summary()))
    for which, sign in (("for", 1), ("against", -1)):
        places = [place for place in rna.mattered if sign * rna.scores[place] > 0]
        if places:
            named = rna.named(places[:_NUM_NAMED])
            parts.append(f"What speaks most {which} the answer: {named}.")
    if structure is not None:
        parts.append(f"Structure: {structure.source}.")
    return " ".join(parts)


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


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
    x: float | str,
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


__all__ = ["FULL_COLOUR", "NOISE_FLOOR", "NucleotideScores", "draw_scores"]
