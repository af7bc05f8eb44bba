"""`rnagpt chat --resume`: many answers, of which an interrupted run's are kept."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock
from helpers.paths import FIVE_RNAS

from rnagpt import read_fasta
from rnagpt.cli.main import main

QUESTIONS = ["What is this RNA?", "How long is it?"]
ASKED = [word for question in QUESTIONS for word in ("--ask", question)]


@pytest.fixture(scope="module")
def fasta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five RNAs four times, each copy under a name of its own."""
    file = tmp_path_factory.mktemp("rnas") / "rnas.fasta"
    records = list(read_fasta(FIVE_RNAS))
    text = [
        f">{record.name}_{copy}\n{record.sequence}\n" for copy in range(4) for record in records
    ]
    file.write_text("".join(text), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def expected(fasta: Path) -> bytes:
    """What an uninterrupted run prints."""
    command = [sys.executable, "-m", "rnagpt.cli.main", "chat", str(fasta), *ASKED, "--json"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def resume(fasta: Path, file: Path, *more: str) -> int:
    return main(["chat", str(fasta), *(more or ASKED), "--json", "--resume", str(file)])


def lines_in(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


def test_a_killed_run_goes_on_where_it_was(
    fasta: Path, expected: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "answers.jsonl"
    command = [sys.executable, "-m", "rnagpt.cli.main", "chat", str(fasta), *ASKED, "--json"]
    process = subprocess.Popen(
        [*command, "--resume", str(file)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while lines_in(file) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    out, _ = process.communicate()
    done = lines_in(file)
    assert out == b""
    assert 3 <= done < len(expected.splitlines())
    assert expected.startswith(file.read_bytes()[:200])
    assert resume(fasta, file) == 0
    assert file.read_bytes() == expected
    assert f"going on after {done} answers" in capsys.readouterr().err
    # Once more: nothing is left to do.
    assert resume(fasta, file) == 0
    assert file.read_bytes() == expected


@pytest.mark.parametrize("kept", [0, 1, 17, 40])
def test_a_torn_last_line_is_written_again(
    fasta: Path, expected: bytes, tmp_path: Path, kept: int
) -> None:
    file = tmp_path / "answers.jsonl"
    assert resume(fasta, file) == 0
    assert file.read_bytes() == expected
    whole = expected.splitlines(keepends=True)
    torn = b"" if kept == len(whole) else whole[kept][: len(whole[kept]) // 2]
    file.write_bytes(b"".join(whole[:kept]) + torn)
    assert resume(fasta, file) == 0
    assert file.read_bytes() == expected


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--ask", "What is this RNA?"], 'questions (["What is this RNA?", "How long is it?"]'),
        ([*reversed(ASKED[1::2])], "questions"),
        ([*ASKED, "--max-new-tokens", "9"], "max_new_tokens (256 there, 9 now)"),
        ([*ASKED, "--model", "other"], 'model ("rna-gpt-mini" there, "other" now)'),
    ],
)
def test_a_run_with_other_settings_is_rejected(
    fasta: Path,
    tmp_path: Path,
    words: list[str],
    told: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rnagpt.inference.local_model.read_model_config", lambda *_: {})
    words = words if words[0] == "--ask" else ["--ask", words[0], "--ask", words[1]]
    file = tmp_path / "answers.jsonl"
    assert resume(fasta, file) == 0
    before = file.read_bytes()
    assert resume(fasta, file, *words) == 2
    error = capsys.readouterr().err
    assert "was begun otherwise: " in error
    assert told in error
    assert "delete" in error
    assert file.read_bytes() == before


def test_other_rnas_are_rejected(
    fasta: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "answers.jsonl"
    assert resume(fasta, file) == 0
    changed = tmp_path / "changed.fasta"
    changed.write_text(fasta.read_text(encoding="utf-8").rstrip() + "A\n", encoding="utf-8")
    assert resume(changed, file) == 2
    assert "the RNAs differ" in capsys.readouterr().err


def test_what_was_not_written_by_it_is_left_alone(
    fasta: Path, expected: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_bytes(expected)
    assert resume(fasta, file) == 2
    assert "was not written by --resume" in capsys.readouterr().err
    assert file.read_bytes() == expected
    file.unlink()
    assert resume(fasta, file) == 0
    rows = file.read_text(encoding="utf-8").splitlines()
    rows[4] = json.dumps({**json.loads(rows[4]), "question": "Who?"})
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    assert resume(fasta, file) == 2
    assert "Line 5 of " in capsys.readouterr().err


def test_one_run_at_a_time_writes_a_file(
    fasta: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "answers.jsonl"
    with FileLock(f"{file}.lock"):
        assert resume(fasta, file) == 2
    assert "is being written by another" in capsys.readouterr().err


def test_it_is_for_answers_as_json(
    fasta: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(tmp_path / "answers.jsonl")
    assert main(["chat", str(fasta), *ASKED, "--resume", file]) == 2
    assert "give --json too" in capsys.readouterr().err
    assert main(["chat", str(fasta), "--resume", file]) == 2
    assert "--resume needs at least one --ask" in capsys.readouterr().err
