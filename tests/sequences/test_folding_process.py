"""Folding in processes of their own: the same results, this process free, and what goes wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from helpers.tiny_models import make_rna

from rnagpt.evidence.facts import SequenceFacts
from rnagpt.evidence.type_reading import bundled_reader
from rnagpt.sequences import folding, folding_process
from rnagpt.sequences.folding import SecondaryStructure, fold_rest, lay_out
from rnagpt.sequences.folding_process import FoldingProcesses, FoldingStoppedError

RNA = pytest.importorskip("RNA", reason="ViennaRNA, package viennarna, is not installed")

TRNA = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"


@pytest.fixture(scope="module")
def processes() -> FoldingProcesses:
    return FoldingProcesses()


@pytest.fixture
def folding_elsewhere() -> Iterator[None]:
    folding_process.fold_in_processes()
    yield
    folding.fold_by(None)


def folded_here(sequence: str) -> tuple[str, Any]:
    """By ViennaRNA in this process; the energy to a thousandth."""
    structure, energy = RNA.fold(sequence)
    return structure, pytest.approx(energy, abs=1e-3)


def process_of(processes: FoldingProcesses) -> psutil.Process:
    """The process for short RNAs."""
    running = processes._short._process
    assert running is not None
    return psutil.Process(running._process.pid)


@pytest.mark.parametrize("sequence", [TRNA, make_rna(700, 1), "AAAAAAAA"])
def test_it_folds_as_viennarna_does(processes: FoldingProcesses, sequence: str) -> None:
    assert processes.fold(sequence) == folded_here(sequence)


def test_it_places_as_this_process_does(processes: FoldingProcesses) -> None:
    known = SecondaryStructure("." * len(TRNA), "")
    placed = processes.place(TRNA, known, 600)
    here = fold_rest(TRNA, known, 600)
    assert placed.structure == here
    assert placed.energy == pytest.approx(RNA.fold(TRNA)[1], abs=0.01)
    assert placed.places is not None
    assert np.abs(placed.places - lay_out(here.pairs)).max() < 0.1


def test_one_process_folds_all_short_rnas(processes: FoldingProcesses) -> None:
    processes.fold(TRNA)
    first = process_of(processes).pid
    with ThreadPoolExecutor(4) as pool:
        sequences = [make_rna(60, seed) for seed in range(12)]
        assert list(pool.map(processes.fold, sequences)) == list(map(folded_here, sequences))
    assert process_of(processes).pid == first


def test_this_process_is_free_meanwhile(processes: FoldingProcesses) -> None:
    processes.fold(make_rna(610, 1))
    processes.fold(TRNA)
    thread = threading.Thread(target=processes.fold, args=(make_rna(1_500, 2),))
    thread.start()
    times: list[float] = []
    while len(times) < 40:
        times.append(time.monotonic())
        time.sleep(0.01)
    assert processes.fold(TRNA)[0] == RNA.fold(TRNA)[0]
    assert thread.is_alive()  # the short one did not wait for it
    thread.join()
    assert max(later - earlier for earlier, later in pairwise(times)) < 0.8


def test_a_fold_that_is_stopped_ends_and_the_next_one_is_right() -> None:
    processes, stopping = FoldingProcesses(), threading.Event()
    ended: list[BaseException] = []

    def fold() -> None:
        try:
            processes.fold(make_rna(3_000, 3), stopping.is_set)
        except FoldingStoppedError as error:
            ended.append(error)

    threads = [threading.Thread(target=fold) for _ in range(2)]  # one folds, one waits
    for thread in threads:
        thread.start()
    time.sleep(1)
    assert all(thread.is_alive() for thread in threads)
    stopping.set()
    for thread in threads:
        thread.join(timeout=10)
    assert len(ended) == 2
    long = make_rna(620, 4)
    assert processes.fold(long)[0] == RNA.fold(long)[0]


def test_a_process_that_was_killed_is_replaced(processes: FoldingProcesses) -> None:
    processes.fold(TRNA)
    killed = process_of(processes)
    killed.kill()
    killed.wait(10)
    assert processes.fold(TRNA)[0] == RNA.fold(TRNA)[0]


def test_a_process_that_ends_while_it_folds_says_so() -> None:
    processes = FoldingProcesses()
    processes.fold(make_rna(610, 5))
    running = processes._long._process
    assert running is not None
    threading.Timer(0.5, running._process.kill).start()
    with pytest.raises(RuntimeError, match=r"ended with exit code -9"):
        processes.fold(make_rna(3_000, 6))


def test_it_has_a_limit_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding_process, "SECONDS", 0.3)
    with pytest.raises(RuntimeError, match=r"more than 0\.3 seconds"):
        FoldingProcesses().fold(make_rna(3_000, 7))


def test_a_failure_is_told(processes: FoldingProcesses) -> None:
    known = SecondaryStructure("..", "too short", parts=((1, 3),))
    with pytest.raises(RuntimeError, match=r"Folding failed:[\s\S]*IndexError"):
        processes.place(TRNA, known, 600)
    assert processes.fold(TRNA)[0] == RNA.fold(TRNA)[0]


def test_without_viennarna_it_says_so_as_this_process_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "RNA.py").write_text("raise ImportError('not installed')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ImportError, match="pip install viennarna"):
        FoldingProcesses().fold(TRNA)


def test_a_module_in_the_callers_folder_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "RNA.py").write_text("raise SystemExit('a file of mine')")
    monkeypatch.chdir(tmp_path)
    assert FoldingProcesses().fold(TRNA)[0] == RNA.fold(TRNA)[0]


def test_facts_and_types_are_the_same_from_elsewhere(folding_elsewhere: None) -> None:
    used: list[str] = []
    fold = folding._fold_elsewhere
    assert fold is not None
    folding.fold_by(lambda sequence: (used.append(sequence), fold(sequence))[1])
    energy = SequenceFacts(TRNA).energy
    snorna = "UGAUGA" + make_rna(60, 8) + "CUGA"
    there = bundled_reader().read(snorna), SequenceFacts(snorna).type_reading
    assert set(used) == {TRNA, snorna}
    folding.fold_by(None)
    assert energy == round(RNA.fold(TRNA)[1], 1)
    assert there == (bundled_reader().read(snorna), SequenceFacts(snorna).type_reading)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_fork_folds_by_itself() -> None:
    """The pipes are its parent's, which may be using them."""
    code = (
        "import os\n"
        "from rnagpt.sequences import folding, folding_process\n"
        "folding_process.fold_in_processes()\n"
        "folding.fold_rna('GGGGAAAACCCC')\n"
        "if os.fork() == 0:\n"
        "    assert folding._fold_elsewhere is None\n"
        "    os._exit(0 if folding.fold_rna('GGGGAAAACCCC') == '((((....))))' else 1)\n"
        "raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_it_ends_with_the_process_that_asks_and_not_by_ctrl_c() -> None:
    code = (
        "import sys\n"
        "from rnagpt.sequences.folding_process import folding_processes\n"
        "processes = folding_processes()\n"
        "processes.fold('GGGGAAAACCCC')\n"
        "print(processes._short._process._process.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe) as asking:
        assert asking.stdout is not None
        folds = psutil.Process(int(asking.stdout.readline()))
        folds.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert folds.is_running()
        asking.kill()
    folds.wait(timeout=20)
