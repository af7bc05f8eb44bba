"""Folding in processes of their own, which leaves this one free.

    python -m rnagpt.sequences.folding_process    # a request a line in, an answer a line out, JSON

ViennaRNA holds Python's lock as long as it folds, up to a second for 1,000 nt and half a minute for
3,000: in the process of a server or of the web demo nobody would be served meanwhile. It also keeps
settings for its whole process.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import IO, Any

import numpy as np

from rnagpt.sequences.folding import (
    SecondaryStructure,
    fold_by,
    fold_rest,
    fold_with_energy,
    free_energy,
    lay_out,
)

SECONDS = 300  # after which a fold is given up
SHORT = 600  # nt, which fold in less than a second
# Without the folder of the caller, in which a file may be called as a module is.
_COMMAND = (sys.executable, "-P", "-m", "rnagpt.sequences.folding_process")
# What an answer holds: what came of the request, that ViennaRNA is missing, or what went wrong.
_RESULT, _MISSING, _FAILED = "result", "missing", "failed"


class FoldingStoppedError(Exception):
    """`stop` said so."""


@dataclass(frozen=True)
class PlacedStructure:
    """A structure as it can be drawn.

    Attributes:
        energy: of the structure without its pseudoknots, in kcal/mol; None without a pair, and
            where the energy model has no figures for it.
        places: (nt, 2), as `lay_out` gives them; None without a pair.
    """

    structure: SecondaryStructure
    energy: float | None
    places: np.ndarray | None


def never() -> bool:
    """What `stop` is where a fold runs to its end."""
    return False


class FoldingProcesses:
    """Two processes: one for short RNAs, so that these do not wait for a long one.

    They start when they are needed first, and end with this one. Every method may be called by
    several threads at once, which then wait for their turn.
    """

    def __init__(self) -> None:
        self._short, self._long = _Lane(), _Lane()

    def fold(self, sequence: str, stop: Callable[[], bool] = never) -> tuple[str, float]:
        """As `fold_with_energy`.

        Args:
            sequence: cleaned.
            stop: asked every tenth of a second: whether the folding ends here.

        Raises:
            FoldingStoppedError: `stop` said so.
            ImportError: ViennaRNA is not installed.
            RuntimeError: it failed, or took more than `SECONDS`.
        """
        structure, energy = self._ask(sequence, {"task": "fold", "sequence": sequence}, stop)
        return str(structure), float(energy)

    def place(
        self,
        sequence: str,
        known: SecondaryStructure,
        max_folded: int,
        stop: Callable[[], bool] = never,
    ) -> PlacedStructure:
        """A structure as `fold_rest` makes it, with its energy and its nucleotides' places.

        Args:
            sequence: cleaned.
            known, max_folded: as of `fold_rest`.
            stop: as of `fold`.

        Raises:
            FoldingStoppedError, ImportError, RuntimeError: as of `fold`.
        """
        request = {
            "task": "place",
            "sequence": sequence,
            "known": asdict(known),
            "max_folded": max_folded,
        }
        result = self._ask(sequence, request, stop)
        values = {name: _frozen(value) for name, value in result["structure"].items()}
        places = result["places"]
        return PlacedStructure(
            SecondaryStructure(**values),
            result["energy"],
            None if places is None else np.array(places),
        )

    def _ask(self, sequence: str, request: Mapping[str, Any], stop: Callable[[], bool]) -> Any:
        lane = self._short if len(sequence) <= SHORT else self._long
        answer = lane.ask(json.dumps(request), stop)
        if _MISSING in answer:
            raise ImportError(answer[_MISSING])
        if _FAILED in answer:
            raise RuntimeError(f"Folding failed:\n{answer[_FAILED]}")
        return answer[_RESULT]


class _Lane:
    """One process, which folds for one thread at a time."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._process: _Process | None = None

    def ask(self, request: str, stop: Callable[[], bool]) -> dict[str, Any]:
        while not self._turn.acquire(timeout=0.1):
            if stop():
                raise FoldingStoppedError
        try:
            if self._process is None or not self._process.lives():
                self._process = _Process()
            return self._process.ask(request, stop)
        except BaseException:
            # It may still be folding, and would answer the next request with this one's structure.
            if self._process is not None:
                self._process.end()
                self._process = None
            raise
        finally:
            self._turn.release()


class _Process:
    """A process that folds, and the thread that reads its answers: so their wait can be ended."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(_COMMAND, stdin=pipe, stdout=pipe, text=True)
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, name="folding", daemon=True).start()

    def lives(self) -> bool:
        return self._process.poll() is None

    def ask(self, request: str, stop: Callable[[], bool]) -> dict[str, Any]:
        end = time.monotonic() + SECONDS
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{request}\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it has ended, which the reading thread tells
        while True:
            try:
                answer = self._answers.get(timeout=0.1)
                break
            except queue.Empty:
                if stop():
                    raise FoldingStoppedError from None
                if time.monotonic() > end:
                    raise RuntimeError(f"Folding took more than {SECONDS} seconds.") from None
        if not answer:
            code = self._process.wait()
            raise RuntimeError(f"Folding failed: its process ended with exit code {code}.")
        read: dict[str, Any] = json.loads(answer)
        return read

    def end(self) -> None:
        self._process.kill()
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")


@cache
def folding_processes() -> FoldingProcesses:
    """Those of this process."""
    return FoldingProcesses()


def fold_in_processes() -> None:
    """Let all that is folded for answers be folded in `folding_processes`, from here on.

    For what serves several people at once. A fork of this process folds by itself.
    """
    fold_by(folding_processes().fold)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: fold_by(None))


def _frozen(value: Any) -> Any:
    """Tuples for the lists that JSON makes of them."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _placed(request: Mapping[str, Any]) -> dict[str, Any]:
    sequence = request["sequence"]
    structure = fold_rest(sequence, SecondaryStructure(**request["known"]), request["max_folded"])
    paired = "(" in structure.pairs
    return {
        "structure": asdict(structure),
        "energy": free_energy(sequence, structure.pairs) if paired else None,
        "places": lay_out(structure.pairs).round(1).tolist() if paired else None,
    }


def _answer(request: Mapping[str, Any]) -> dict[str, Any]:
    try:
        if request["task"] == "fold":
            return {_RESULT: fold_with_energy(request["sequence"])}
        return {_RESULT: _placed(request)}
    except ImportError as error:
        return {_MISSING: str(error)}
    except Exception:
        return {_FAILED: traceback.format_exc()}


def main(requests: IO[str], answers: IO[str]) -> None:
    """Answer requests until there are no more."""
    for line in requests:
        answers.write(f"{json.dumps(_answer(json.loads(line)))}\n")
        answers.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the process that asks
    if hasattr(os, "nice"):
        os.nice(5)  # a search goes before
    # What a library prints is no answer.
    with os.fdopen(os.dup(1), "w") as told:
        os.dup2(2, 1)
        main(sys.stdin, told)


__all__ = [
    "FoldingProcesses",
    "FoldingStoppedError",
    "PlacedStructure",
    "fold_in_processes",
    "folding_processes",
    "never",
]
