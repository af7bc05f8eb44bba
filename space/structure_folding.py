"""Secondary structures of RNAs, folded in the background by `folding_process.py`, and kept."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from searching import reference

from rnagpt import SecondaryStructure
from rnagpt.reference.structures import family_structure

MAX_DRAWN = 3_000  # nt
SECONDS = 300  # after which a fold is given up
# ViennaRNA keeps settings for the whole process; whoever draws with it in this one holds this.
FOLDING = threading.Lock()
_PROCESS = Path(__file__).parent / "folding_process.py"
_MAX_KEPT = 128  # structures
_SHORT = 600  # nt, which fold in less than a second
# One process each, so that a short RNA does not wait for another visitor's long one.
_SHORT_LANE, _LONG_LANE = threading.Lock(), threading.Lock()


class FoldingStoppedError(Exception):
    """`stop` said so."""


@dataclass(frozen=True)
class Folded:
    """A structure as it is drawn.

    Attributes:
        energy: of the shown structure without its pseudoknots, in kcal/mol; None without a pair,
            and where the energy model has no figures for it.
        places: (nt, 2), as `lay_out` gives them; None without a pair.
    """

    structure: SecondaryStructure
    energy: float | None
    places: np.ndarray | None


_Key = tuple[str, str, int]
# The one used least recently first.
_kept: dict[_Key, Folded] = {}
_keeping = threading.Lock()


def never() -> bool:
    return False


def family_of(sequence: str) -> SecondaryStructure:
    """What its families say of a cleaned sequence, with nothing folded; see `family_structure`."""
    return family_structure(sequence, reference())


def fold(sequence: str, *, family: bool, stop: Callable[[], bool] = never) -> Folded:
    """A structure of a cleaned sequence of up to `MAX_DRAWN` nt; the second time it is at hand.

    Args:
        family: that of its families, with the rest folded around it, and minimum free energy only
            where none is known; without it, minimum free energy alone.
        stop: asked every tenth of a second: whether the folding ends here.

    Raises:
        FoldingStoppedError: `stop` said so.
        RuntimeError: it failed, or took more than `SECONDS`.
    """
    known = family_of(sequence) if family else SecondaryStructure("." * len(sequence), "")
    # Without a family the two are the same, but for what the source says of that.
    key = (sequence, known.source, id(reference()))
    if kept := _keep(key):
        return kept
    lane = _SHORT_LANE if len(sequence) <= _SHORT else _LONG_LANE
    while not lane.acquire(timeout=0.1):
        if stop():
            raise FoldingStoppedError
    try:
        kept = _keep(key)
        if kept is None:
            kept = _fold(sequence, known, stop)
            _keep(key, kept)
        return kept
    finally:
        lane.release()


def _keep(key: _Key, new: Folded | None = None) -> Folded | None:
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


def _fold(sequence: str, known: SecondaryStructure, stop: Callable[[], bool]) -> Folded:
    request = {"sequence": sequence, "known": asdict(known), "max_folded": MAX_DRAWN}
    result = json.loads(_run(json.dumps(request), stop))
    values = {name: _frozen(value) for name, value in result["structure"].items()}
    places = result["places"]
    structure = SecondaryStructure(**values)
    return Folded(structure, result["energy"], None if places is None else np.array(places))


def _run(request: str, stop: Callable[[], bool]) -> str:
    """What the process answers."""
    pipe = subprocess.PIPE
    command = [sys.executable, str(_PROCESS)]
    end = time.monotonic() + SECONDS
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        given: str | None = request
        while True:
            try:
                answer, errors = process.communicate(given, timeout=0.1)
                break
            except subprocess.TimeoutExpired:
                given = None  # which it has
                stopped = stop()
                if stopped or time.monotonic() > end:
                    process.kill()
                    process.communicate()
                    if stopped:
                        raise FoldingStoppedError from None
                    raise RuntimeError(f"Folding took more than {SECONDS} seconds.") from None
    if process.returncode:
        raise RuntimeError(f"Folding failed:\n{errors}")
    return answer


def _frozen(value: Any) -> Any:
    """Tuples for the lists that JSON makes of them."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
