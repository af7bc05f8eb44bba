"""BEACON's tasks from small files in the published form."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from helpers.made_seed import make_dataset
from scipy.stats import pearsonr
from sklearn.metrics import roc_auc_score

from rnagpt.cli.main import main
from rnagpt.evaluation.beacon import (
    TASKS,
    find_tasks,
    mean_auc,
    probe_task,
    r_squared,
    read_split,
)

FAMILY, LOAD, SWITCHES, MARKS = TASKS
RANDOM = np.random.default_rng(0)


def letters(size: int, weights: list[float] | None = None) -> str:
    return "".join(RANDOM.choice(list("ACGT"), size, p=weights))


def write_tasks(folder: Path, count: int = 60) -> Path:
    """The class is rich in A or in G, the load is the share of A, the first mark an A in excess."""
    for split in ("train", "val", "test"):
        files: dict[str, list[str]] = {
            FAMILY.folder: ["seq,label"],
            LOAD.folder: ["utr,rl"],
            SWITCHES.folder: ["seq,ON,OFF,ON_OFF"],
            MARKS.folder: [],
        }
        for number in range(count):
            of_a = 0.55 if number % 2 else 0.15
            sequence = letters(60, [of_a, 0.15, 0.7 - of_a, 0.15])
            share = sequence.count("A") / 60
            files[FAMILY.folder].append(f"{sequence},{number % 2}")
            files[LOAD.folder].append(f"{sequence},{10 * share:.3f}")
            files[SWITCHES.folder].append(f"{sequence},{share},{-share},0.5")
            rest = ",".join(str(int(mark)) for mark in RANDOM.random(11) < 0.3)
            files[MARKS.folder].append(f"{sequence},{number % 2},{rest}")
        for name, lines in files.items():
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name / f"{split}.csv").write_text("\n".join(lines) + "\n")
    return folder


def composition(sequences: Sequence[str]) -> np.ndarray:
    return np.array([[one.count(letter) / len(one) for letter in "ACGU"] for one in sequences])


def noise(sequences: Sequence[str]) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(len(sequences), 4))


def test_files_are_read_as_published(tmp_path: Path) -> None:
    folder = write_tasks(tmp_path)
    assert find_tasks(folder) == list(TASKS)
    rows = read_split(folder, FAMILY, "train")
    assert len(rows.sequences) == 60
    assert set("".join(rows.sequences)) == set("ACGU")
    assert rows.values.tolist() == ["0", "1"] * 30
    assert read_split(folder, SWITCHES, "val").values.shape == (60, 3)
    marks = read_split(folder, MARKS, "test")
    # Without a header the first line is an RNA.
    assert marks.values.shape == (60, 12)
    assert marks.values[:2, 0].tolist() == [0, 1]


def test_what_is_in_the_vectors_is_read_and_noise_is_not(tmp_path: Path) -> None:
    folder = write_tasks(tmp_path)
    readers = {"encoder": composition, "noise": noise}
    name = {FAMILY: "accuracy", LOAD: "r²", SWITCHES: "r²", MARKS: "AUC"}
    # Of the switches' three values one is constant; of twelve marks one is in the vectors.
    least = {FAMILY: 0.95, LOAD: 0.95, SWITCHES: 0.6, MARKS: 0.5 + 0.4 / 12}
    blind = {FAMILY: 0.5, LOAD: 0.0, SWITCHES: 0.0, MARKS: 0.5}
    for task in TASKS:
        ways = probe_task(folder, task, readers, max_train_rnas=1000).ways
        found = {way: scores[name[task]].value for way, scores in ways.items()}
        assert found["encoder"] >= least[task] - (0.06 if task is MARKS else 0)
        assert abs(found["noise"] - blind[task]) < 0.2
        assert found["commonest or mean"] == pytest.approx(blind[task])
        assert {"8-mers", "nearest by 8-mers"} <= found.keys()


def test_scores_are_those_of_the_libraries() -> None:
    told, right = RANDOM.normal(size=(2, 50, 3))
    known = np.mean([pearsonr(a, b)[0] ** 2 for a, b in zip(told.T, right.T, strict=True)])
    assert r_squared(told, right) == pytest.approx(known)
    marks = (right > 0).astype(float)
    areas = [roc_auc_score(b, a) for a, b in zip(told.T, marks.T, strict=True)]
    assert mean_auc(told, marks) == pytest.approx(np.mean(areas))
    assert mean_auc(told, np.ones_like(marks)) == 0.5
    assert r_squared(np.ones((5, 1)), np.arange(5.0)[:, None]) == 0


@pytest.mark.parametrize(
    ("task", "lines", "message"),
    [
        (LOAD, "utr,rl\nACGU\n", r"train.csv, line 2: 1 columns; expected a sequence and 1"),
        (LOAD, "utr,rl\nACGUACGUAC,high\n", "line 2: .*'high'; expected numbers"),
        (LOAD, "utr,rl\nACGUACGUAC,nan\n", "line 2: nan; expected finite numbers"),
        (LOAD, "utr,rl\n", "holds no RNA"),
        (LOAD, "utr,rl\nMKVLAAGIVGLCAKEQ,1\n", "line 2"),
        (MARKS, "ACGUACGUAC" + ",2" * 12 + "\n", "line 1: .*expected zeros and ones"),
    ],
)
def test_another_form_is_refused_with_its_line(
    tmp_path: Path, task: object, lines: str, message: str
) -> None:
    chosen = next(one for one in TASKS if one is task)
    (tmp_path / chosen.folder).mkdir()
    (tmp_path / chosen.folder / "train.csv").write_text(lines)
    with pytest.raises(ValueError, match=message):
        read_split(tmp_path, chosen, "train")


def test_the_command_asks_beacon_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RNAGPT_CACHE", str(tmp_path / "cache"))
    data, out = make_dataset(tmp_path), tmp_path / "out"
    folder = write_tasks(tmp_path / "beacon", 30)
    words = ["evaluate-encoder", "mini", str(data), str(out), "--ask", "", "--quiet"]
    assert main([*words, "--beacon", str(folder)]) == 0
    figures = json.loads((out / "encoder.json").read_text())
    assert [row["question"] for row in figures] == [f"BEACON, {task.folder}" for task in TASKS]
    assert not (out / "train").exists()
    assert "--beacon beacon" in capsys.readouterr().out
    assert main([*words, "--beacon", str(tmp_path / "data")]) == 2
    assert "expected folders named NoncodingRNAFamily" in capsys.readouterr().err
