"""Clusters of made-up sequences whose similarity is known."""

import random
import shutil
from pathlib import Path

import pytest

from rnagpt.sequences.clustering import cluster_by_kmers, cluster_sequences


def make_groups(groups: int = 8, size: int = 4, length: int = 120) -> list[list[str]]:
    """Groups of sequences that differ in 5 % of their positions within a group."""
    draw = random.Random(0)
    made = []
    for _ in range(groups):
        ancestor = draw.choices("ACGU", k=length)
        made.append(
            [
                "".join(draw.choice("ACGU") if draw.random() < 0.05 else base for base in ancestor)
                for _ in range(size)
            ]
        )
    return made


METHODS = [
    "kmers",
    pytest.param(
        "cd-hit",
        marks=pytest.mark.skipif(
            not shutil.which("cd-hit-est"), reason="cd-hit-est is not installed"
        ),
    ),
]


@pytest.mark.parametrize("method", METHODS)
def test_groups_are_found(tmp_path: Path, method: str) -> None:
    groups = make_groups()
    sequences = sorted(sequence for group in groups for sequence in group)
    labels, used = cluster_sequences(sequences, tmp_path, method)
    found: dict[int, set[str]] = {}
    for sequence, label in zip(sequences, labels, strict=True):
        found.setdefault(label, set()).add(sequence)
    assert used == method
    assert sorted(map(sorted, found.values())) == sorted(map(sorted, groups))
    firsts = [labels.index(label) for label in range(len(found))]
    assert firsts == sorted(firsts)  # numbered in order of appearance


@pytest.mark.parametrize("method", METHODS)
def test_the_shortest_are_alone(tmp_path: Path, method: str) -> None:
    sequences = ["ACGU", "ACGUACG", *make_groups(1)[0]]
    labels, _ = cluster_sequences(sequences, tmp_path, method)
    assert labels == [0, 1, 2, 2, 2, 2]


def test_a_part_is_no_near_copy() -> None:
    whole = make_groups(1, 1)[0][0]
    assert cluster_by_kmers([whole, whole[:60], whole[:110]]) == [0, 1, 0]


def test_ambiguous_letters_make_no_kmers() -> None:
    assert cluster_by_kmers(["N" * 50, "N" * 49]) == [0, 1]


def test_cd_hit_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted build resumes with its clusters; other sequences are clustered again."""
    program = tmp_path / "cd-hit-est"
    program.write_text(
        '#!/bin/sh\necho run >> "$(dirname "$0")/runs"\n'
        'while [ "$1" != -o ]; do shift; done\n'
        "printf '>Cluster 0\\n0\\t9nt, >1... *\\n1\\t9nt, >0... at 90%%\\n' > \"$2.clstr\"\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    for _ in range(2):
        assert cluster_sequences(["A", "C", "G"], tmp_path / "c")[0] == [0, 0, 1]
    assert (tmp_path / "runs").read_text().count("run") == 1
    cluster_sequences(["A", "C", "U"], tmp_path / "c")
    assert (tmp_path / "runs").read_text().count("run") == 2


def test_a_missing_or_failing_cd_hit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="choose the built-in method: --clusters kmers"):
        cluster_sequences(["ACGU"], tmp_path, "cd-hit")
    assert cluster_sequences(["ACGU"], tmp_path, "auto") == ([0], "kmers")
    program = tmp_path / "cd-hit-est"
    program.write_text("#!/bin/sh\necho 'out of memory'\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(RuntimeError, match="failed with 3: out of memory"):
        cluster_sequences(["ACGU"], tmp_path, "cd-hit")
