"""Secondary structures of RNAs, folded in the background by processes of their own, and kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from weakref import WeakValueDictionary

from searching import reference

from rnagpt import SecondaryStructure
from rnagpt.reference.structures import family_structure
from rnagpt.sequences.folding_process import (
    FoldingStoppedError,
    PlacedStructure,
    folding_processes,
    never,
)

MAX_DRAWN = 3_000  # nt
# ViennaRNA keeps settings for the whole process; whoever draws with it in this one holds this.
FOLDING = threading.Lock()
_MAX_KEPT = 128  # structures

_Key = tuple[str, str, int]
# The one used least recently first.
_kept: dict[_Key, PlacedStructure] = {}
# Of the structures that are folded now.
_turns: WeakValueDictionary[_Key, threading.Lock] = WeakValueDictionary()
_keeping = threading.Lock()


def family_of(sequence: str) -> SecondaryStructure:
    """What its families say of a cleaned sequence, with nothing folded; see `family_structure`."""
    return family_structure(sequence, reference())


def fold(sequence: str, *, family: bool, stop: Callable[[], bool] = never) -> PlacedStructure:
    """A structure of a cleaned sequence of up to `MAX_DRAWN` nt; the second time it is at hand.

    Args:
        family: that of its families, with the rest folded around it, and minimum free energy only
            where none is known; without it, minimum free energy alone.
        stop: asked every tenth of a second: whether the folding ends here.

    Raises:
        FoldingStoppedError, ImportError, RuntimeError: as of `FoldingProcesses.place`.
    """
    known = family_of(sequence) if family else SecondaryStructure("." * len(sequence), "")
    # Without a family the two are the same, but for what the source says of that.
    key = (sequence, known.source, id(reference()))

    with _keeping:
        turn = _turns.setdefault(key, threading.Lock())
    # Who comes with the same RNA waits until it is folded.
    while not turn.acquire(timeout=0.1):
        if stop():
            raise FoldingStoppedError
    try:
        if (kept := _keep(key)) is None:
            kept = folding_processes().place(sequence, known, MAX_DRAWN, stop)
            _keep(key, kept)
        return kept
    finally:
        turn.release()


def _keep(key: _Key, new: PlacedStructure | None = None) -> PlacedStructure | None:
    """What is kept of a structure, which now is the one used last; `new` takes its place."""
    with _keeping:
        found = new or _kept.pop(key, None)
        if found:
            _kept[key] = found
        while len(_kept) > _MAX_KEPT:
            del _kept[next(iter(_kept))]
        return found


def structure_on(sequence: str) -> SecondaryStructure:
    """The structure alone, of a sequence of any length; of a long one only its families'."""
    if len(sequence) <= MAX_DRAWN:
        return fold(sequence, family=True).structure
    return family_of(sequence)
