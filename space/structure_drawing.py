"""Secondary structures as SVG, in the page's own colours, light or dark."""

from __future__ import annotations

import functools
import threading
from html import escape
from xml.etree import ElementTree

import numpy as np
from searching import reference

from rnagpt import SecondaryStructure, base_pairs, structure_of
from rnagpt.sequences.folding import lay_out

# ViennaRNA keeps settings for the whole process; whoever folds or draws holds this.
FOLDING = threading.Lock()

# The letters tell them apart too; black text is readable on each of them.
_COLOURS = {"A": "#9fd49f", "C": "#8fc1ee", "G": "#f5c26b", "U": "#f0a0a0"}
_OTHER = "#d0d0d0"
_RADIUS, _MARGIN = 7.5, 26


@functools.lru_cache(maxsize=256)
def find_structure(sequence: str) -> SecondaryStructure:
    """A family's structure on an RNA, else the folded one, of a cleaned sequence.

    Raises:
        ImportError: when no family matches and ViennaRNA is not installed.
    """
    with FOLDING:
        return structure_of(sequence, reference())


def draw_structure(sequence: str) -> str:
    """The secondary structure: an SVG document in a figure, whose caption tells its source.

    Args:
        sequence: a cleaned RNA.

    Returns:
        HTML; without a drawing where the RNA has no base pair.

    Raises:
        ImportError: when ViennaRNA is not installed.
    """
    structure = find_structure(sequence)
    pairs = base_pairs(structure.pairs)
    drawing = ""
    if pairs:
        with FOLDING:
            places = lay_out(structure.pairs)
        drawing = _drawn(sequence, pairs, places - places.min(axis=0) + _MARGIN)
    told = f"Structure: {structure.source}."
    return f"<figure>{drawing}<figcaption>{escape(told)}</figcaption></figure>"


def _drawn(sequence: str, pairs: list[tuple[int, int]], places: np.ndarray) -> str:
    width, height = places.max(axis=0) + _MARGIN
    root = ElementTree.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "role": "img",
            "class": "structure",
            "viewBox": f"0 0 {width:.0f} {height:.0f}",
            "font-size": "10",
            "text-anchor": "middle",
        },
    )
    ElementTree.SubElement(
        root, "title"
    ).text = f"Secondary structure with {len(pairs)} base pairs of {len(sequence)} nucleotides"
    backbone = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    _add(root, "polyline", points=backbone, fill="none", stroke="currentColor", opacity="0.35")
    for pair in pairs:
        (x1, y1), (x2, y2) = places[list(pair)]
        _add(root, "line", x1=x1, y1=y1, x2=x2, y2=y2, stroke="currentColor")
    for position, (letter, (x, y)) in enumerate(zip(sequence, places, strict=True), start=1):
        group = _add(root, "g")
        _add(group, "title").text = f"{letter}{position}"
        _add(group, "circle", cx=x, cy=y, r=_RADIUS, fill=_COLOURS.get(letter, _OTHER))
        _add(group, "text", x=x, y=y + 3.5, fill="#000000").text = letter
    for label, end, inner in (("5′", 0, 1), ("3′", -1, -2)):
        # Away from the neighbour, where no other nucleotide lies.
        step = places[end] - places[inner]
        x, y = places[end] + 16 * step / (np.hypot(*step) or 1.0)
        _add(root, "text", x=x, y=y + 3.5, fill="currentColor").text = label
    return ElementTree.tostring(root, encoding="unicode")


def _add(parent: ElementTree.Element, tag: str, **attributes: object) -> ElementTree.Element:
    """A new element, numbers to a tenth."""
    attributes_as_text = {
        name: value if isinstance(value, str) else f"{value:.1f}"
        for name, value in attributes.items()
    }
    return ElementTree.SubElement(parent, tag, attributes_as_text)
