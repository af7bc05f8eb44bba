"""HTML for a secondary structure: what `structure_view.js` draws, and what is said without it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from html import escape as escape_markup
from typing import Any

import numpy as np
from conversation import Conversation, ShownRna
from findings import Findings
from plain_text import visible
from structure_folding import MAX_DRAWN, fold

from rnagpt import CleanedRna
from rnagpt.sequences.folding_process import FoldingStoppedError, PlacedStructure
from rnagpt.sequences.structure import with_pseudoknots

_log = logging.getLogger("rnagpt.space")

FAMILY, MFE = "family", "mfe"
_NAMES = {FAMILY: "Family’s structure", MFE: "Minimum free energy"}
FAILED = "<p>The structure could not be drawn. You can ask about the RNA all the same.</p>"
_LONG = 1_000  # nt, from where on a visitor notices the folding
# Positions that are numbered, by the length (nt) up to which they are.
_STEPS = ((200, 10), (500, 20), (1_500, 50))
_LONGEST_STEP = 100
_DIRECTIONS = np.stack([np.cos(angles := np.arange(16) * np.pi / 8), np.sin(angles)], axis=1)
_LARGE = 1_500.0  # units of the layout
_LABEL = 30.0  # from a nucleotide to the middle of its number; neighbours are 25 apart


def numbered_step(length: int) -> int:
    """Every how many nucleotides one is numbered."""
    return next((step for longest, step in _STEPS if length <= longest), _LONGEST_STEP)


def labels_of(places: np.ndarray) -> list[tuple[int, str, float, float]]:
    """The ends and every so many positions, each with the direction in which there is most room.

    Args:
        places: (nt, 2), as `lay_out` gives them.

    Returns:
        0-based nucleotide, what stands beside it, and a vector of length 1.
    """
    length = len(places)
    step = numbered_step(length)
    texts = {place - 1: f"{place:,}" for place in range(step, length + 1, step)}
    texts |= {0: "5′", length - 1: f"3′ ({length:,})"}
    # As `structure_drawing.js` does it: seen as a whole, a large structure has large numbers.
    far = _LABEL * max(1.0, float(np.ptp(places, axis=0).max()) / _LARGE)
    taken, labels = places, []
    for place, text in sorted(texts.items()):
        room = np.full(len(_DIRECTIONS), np.inf)
        others = np.delete(taken, place, axis=0)
        for away in (_LABEL, far):
            spots = places[place] + _DIRECTIONS * away
            apart = np.linalg.norm(spots[:, None] - others[None], axis=2).min(axis=1)
            room = np.minimum(room, apart)
        best = int(np.minimum(room, 2 * far).argmax())
        across, down = (round(float(one), 3) for one in _DIRECTIONS[best])
        labels.append((place, text, across, down))
        taken = np.vstack([taken, spots[best]])
    return labels


def folding(length: int) -> str:
    """That an RNA of so many nt is being folded."""
    long = f" {length:,} nt take a while; all else on the page works meanwhile."
    return f'<p class="folding" role="status">Being folded…{long if length > _LONG else ""}</p>'


def too_long(length: int, findings: Findings | None) -> str:
    """That an RNA is not drawn, and what can be: a part of it."""
    part = "a part of it"
    if findings and findings.hits:
        hit = findings.hits[0]
        part = f"the part that matches {hit.record.name} (nucleotides {hit.start:,}–{hit.end:,})"
    return (
        f"<p>Structures are drawn of RNAs of up to {MAX_DRAWN:,} nt; this one has {length:,}. "
        f"To see one, add {escape_markup(visible(part))} as an RNA of its own.</p>"
    )


def drawn(rna: CleanedRna, views: list[tuple[str, PlacedStructure]], *, pending: str = "") -> str:
    """An RNA's structures as the element that draws them in the browser.

    Args:
        views: kinds (`FAMILY`, `MFE`) and structures, the one that is shown first in front.
        pending: the kind that is being folded.
    """
    data = {
        "name": visible(rna.name),
        "sequence": rna.sequence,
        "views": [_view(kind, folded) for kind, folded in views],
        "pending": _NAMES.get(pending, ""),
    }
    packed = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f'<rna-structure data="{escape_markup(packed)}"></rna-structure>'


def _view(kind: str, folded: PlacedStructure) -> dict[str, Any]:
    structure, places = folded.structure, folded.places
    return {
        "kind": kind,
        "name": _NAMES[kind],
        "told": told(folded),
        "energy": folded.energy,
        "pairs": with_pseudoknots(structure.pairs, structure.pseudoknots),
        "unformed": structure.unformed,
        "parts": structure.parts,
        "places": [] if places is None else places.round(1).ravel().tolist(),
        "labels": [] if places is None else labels_of(places),
    }


def told(folded: PlacedStructure) -> str:
    """Where a structure comes from, and its energy."""
    structure = folded.structure
    text = structure.source
    if folded.places is None or "kcal/mol" in text:
        return f"{text}."
    if folded.energy is None:
        return (
            f"{text}. Free energy: not defined, as a loop of this structure is too short for "
            "ViennaRNA's energy model."
        )
    energy = f"{folded.energy:.1f}".replace("-", "−")
    knots = ", without the pseudoknots" if structure.pseudoknots else ""
    return f"{text}. Free energy of this structure{knots}: {energy} kcal/mol (ViennaRNA, 37 °C)."


def draw(shown: ShownRna, conversation: Conversation) -> None:
    """Draw the next structure of an RNA: its families', if any is known, then the folded one."""
    if shown.drawn:
        return
    length = len(shown.rna.sequence)
    try:
        if length > MAX_DRAWN:
            shown.drawing, shown.drawn = too_long(length, shown.findings), True
        else:
            _draw_next(shown, lambda: conversation.closed or not _is_there(shown, conversation))
    except FoldingStoppedError:
        pass
    except Exception:
        _log.exception("A structure could not be drawn.")
        shown.drawing, shown.drawn = shown.drawing or FAILED, True


def _is_there(shown: ShownRna, conversation: Conversation) -> bool:
    """Whether a visitor has not removed an RNA, and perhaps added the same one again."""
    return any(one is shown for one in conversation.rnas)


def _draw_next(shown: ShownRna, stop: Callable[[], bool]) -> None:
    rna = shown.rna
    first = fold(rna.sequence, family=True, stop=stop)
    if not first.structure.parts:
        shown.drawing, shown.drawn = drawn(rna, [(MFE, first)]), True
    elif shown.drawing is None:
        shown.drawing = drawn(rna, [(FAMILY, first)], pending=MFE)
    else:
        try:
            other = [(MFE, fold(rna.sequence, family=False, stop=stop))]
        except RuntimeError:
            _log.exception("The structure of minimum free energy could not be drawn.")
            other = []
        shown.drawing, shown.drawn = drawn(rna, [(FAMILY, first), *other]), True
