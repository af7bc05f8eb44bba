"""Annotating by tasks: the same bytes as in one go, whatever runs them and whenever they stop."""

from __future__ import annotations

import builtins
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from helpers.played_slurm import REJECTING, play_slurm

from rnagpt.cli.main import main
from rnagpt.reference import tasks
from rnagpt.reference.covariance import InfernalError
from rnagpt.reference.edit import families_of, ungapped
from rnagpt.reference.formats import FORMATS
from rnagpt.reference.library import Reference
from rnagpt.reference.parts import MAX_TASKS, AnnotationJob, Complaints, make_part

needs_infernal = pytest.mark.skipif(
    shutil.which("cmsearch") is None, reason="Infernal (Debian: infernal) is not installed"
)
SLURM = {"partition": "cpu", "time": "01:00:00", "env_command": "true"}


@pytest.fixture
def fasta(reference: Reference, tmp_path: Path) -> Path:
    """RNAs of five families, one of none, one that is too short, one without a name, a protein."""
    records = [
        f">{record.name} of our plate\n{ungapped(seed.rows[0][1])}\n"
        for record, seed in families_of(reference)
    ]
    records += [f">nothing\n{'ACGUUGCA' * 9}\n", ">short\nACGT\n", f">\n{'ACGUUGCA' * 4}\n"]
    path = tmp_path / "rnas.fasta"
    path.write_text(">p\nMKVLEEGYLK\n" + "".join(records) + ">q\nHELLO\n")
    return path


@pytest.fixture
def annotated(
    fasta: Path, five_families: Path, own_cache: Path, tmp_path: Path
) -> Callable[..., int]:
    """The command, with the file, the reference and the file to write; its exit code."""

    def run(out: str, *options: object, format: str = "json") -> int:
        words = [fasta, tmp_path / out, "--reference", five_families, "--format", format, *options]
        return main(["annotate", *map(str, words)])

    return run


def config_file(folder: Path, **values: Any) -> Path:
    path = folder / "cluster.json"
    path.write_text(json.dumps(values))
    return path


def left_behind(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name.startswith("out.")}


@pytest.mark.parametrize("format", list(FORMATS))
@pytest.mark.parametrize("number", [1, 3, 40])
def test_tasks_write_the_same_bytes(
    annotated: Callable[..., int],
    tmp_path: Path,
    format: str,
    number: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert annotated("whole", format=format) == 2
    told = capsys.readouterr().err
    assert annotated("out", "--tasks", number, "--workers", 1, format=format) == 2
    assert (tmp_path / "out").read_bytes() == (tmp_path / "whole").read_bytes()
    assert told[told.index("2 records are rejected") :] in capsys.readouterr().err
    assert left_behind(tmp_path) == set()


def test_without_bad_records_the_exit_code_is_0(annotated: Callable[..., int], fasta: Path) -> None:
    fasta.write_text(f">a\n{'ACGUUGCA' * 9}\n")
    assert annotated("out", "--tasks", 2, "--workers", 1) == 0


def test_a_task_that_was_killed_resumes(
    annotated: Callable[..., int],
    fasta: Path,
    five_families: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Killed from outside while two processes are at work; what they wrote is taken over."""
    fasta.write_text(fasta.read_text() * 150)
    assert annotated("whole") == 2
    words = ["annotate", fasta, tmp_path / "out", "--reference", five_families, "--format", "json"]
    words += ["--tasks", 3, "--workers", 2]
    command = [sys.executable, "-m", "rnagpt.cli.main", *map(str, words)]
    process = subprocess.Popen(command, start_new_session=True)
    parts = tmp_path / "out.parts"
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size > 20_000 for path in parts.glob("*.partial")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "out").exists()
    begun = {path: path.read_bytes() for path in parts.glob("0*.partial")}
    taken = next(path for path, data in begun.items() if data)
    taken.write_bytes(begun[taken][:-7])  # as one that was cut within a record
    capsys.readouterr()
    assert annotated("out", "--tasks", 3, "--workers", 1) == 2
    assert (tmp_path / "out").read_bytes() == (tmp_path / "whole").read_bytes()
    assert "300 records are rejected" in capsys.readouterr().err
    assert left_behind(tmp_path) == set()


def test_what_is_complete_is_not_made_again(
    annotated: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first run fails while it joins: only that is left to do."""
    from rnagpt.reference import parts

    def full(job: AnnotationJob) -> Complaints:
        raise OSError("No space left on device")

    def never(*arguments: object) -> None:
        raise AssertionError("a part is made again")

    with monkeypatch.context() as patch:
        patch.setattr(parts, "join_parts", full)
        assert annotated("out", "--tasks", 3, "--workers", 1) == 2
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(parts, "make_part", never)
    assert annotated("out", "--tasks", 3, "--workers", 1) == 2
    assert annotated("whole") == 2
    assert (tmp_path / "out").read_bytes() == (tmp_path / "whole").read_bytes()


@pytest.fixture
def stopped(annotated: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of three tasks that was stopped by Ctrl-C before it joined them."""
    from rnagpt.reference import parts

    def stop(job: AnnotationJob) -> Complaints:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(parts, "join_parts", stop)
        assert annotated("out", "--tasks", 3, "--workers", 1) == 130


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--tasks", 4], "--tasks 3 (now 4)"),
        (["--tasks", 3, "--evalue", 1], "--evalue 0.001 (now 1.0)"),
        (["--tasks", 3, "--format", "tsv"], "--format json (now tsv)"),
    ],
)
def test_parts_of_other_options_are_not_joined(
    annotated: Callable[..., int],
    tmp_path: Path,
    options: list[object],
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert annotated("out", *options, "--workers", 1) == 2
    assert told in capsys.readouterr().err
    assert (tmp_path / "out.parts").is_dir()


@pytest.mark.usefixtures("stopped")
def test_parts_of_another_file_are_not_joined(
    annotated: Callable[..., int], fasta: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fasta.write_text(fasta.read_text() + ">new\nACGUACGUACGUACGUACGU\n")
    assert annotated("out", "--tasks", 3) == 2
    assert "was begun with FASTA SHA-256" in capsys.readouterr().err


@pytest.mark.usefixtures("stopped")
def test_two_runs_at_once(
    annotated: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FileLock(tmp_path / "out.parts" / "lock"):
        assert annotated("out", "--tasks", 3) == 2
    assert "another process is at work on it" in capsys.readouterr().err


def test_a_late_task_of_a_stopped_run_begins_nothing(fasta: Path, tmp_path: Path) -> None:
    """It waited in Slurm's queue until the run that came after it had joined the parts."""
    make_part(AnnotationJob(fasta, tmp_path / "out", tmp_path, "json", 3), 1)
    assert left_behind(tmp_path) == set()


def test_slurm_writes_the_same_bytes(
    annotated: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm = play_slurm(tmp_path / "slurm", monkeypatch)
    config = config_file(tmp_path, **SLURM, mem_per_cpu_gb=3)
    assert annotated("whole", format="gff3") == 2
    options = ["--tasks", 2, "--engine", "slurm", "--engine-config", config, "--jobs", 2]
    assert annotated("out", *options, format="gff3") == 2
    assert (tmp_path / "out").read_bytes() == (tmp_path / "whole").read_bytes()
    assert left_behind(tmp_path) == {"out.logs"}
    (script,) = [
        text for path in slurm.glob("*.sh") if "--array=0-1%2" in (text := path.read_text())
    ]
    for wanted in ("partition=cpu", "time=01:00:00", "mem-per-cpu=3G", "cpus-per-task=2"):
        assert f"#SBATCH --{wanted}\n" in script


def test_jobs_that_left_nothing_are_told(
    annotated: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    play_slurm(tmp_path / "slurm", monkeypatch)
    config = config_file(tmp_path, **(SLURM | {"env_command": "exit 0"}))
    assert annotated("out", "--tasks", 2, "--engine", "slurm", "--engine-config", config) == 2
    told = capsys.readouterr().err
    assert "annotate: 2 of 2 parts were not made, the first is 0; see" in told
    assert "out.logs, then run the same command again" in told


def test_sbatch_that_rejects_the_job(
    annotated: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    play_slurm(tmp_path / "slurm", monkeypatch, REJECTING)
    config = config_file(tmp_path, **SLURM)
    assert annotated("out", "--tasks", 2, "--engine", "slurm", "--engine-config", config) == 2
    assert "sbatch rejected the job, with exit code 1" in capsys.readouterr().err


# With Infernal


@needs_infernal
@pytest.mark.parametrize("format", list(FORMATS))
def test_tasks_verify_as_one_process_does(
    annotated: Callable[..., int], tmp_path: Path, format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert annotated("whole", "--verify", format=format) == 2
    told = capsys.readouterr().err
    assert "Infernal" in (tmp_path / "whole").read_text()
    assert annotated("out", "--verify", "--tasks", 3, "--workers", 2, format=format) == 2
    assert (tmp_path / "out").read_bytes() == (tmp_path / "whole").read_bytes()
    assert told[told.index("2 records are rejected") :] in capsys.readouterr().err
    assert left_behind(tmp_path) == set()


@needs_infernal
def test_slurm_verifies_as_one_process_does(
    annotated: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play_slurm(tmp_path / "slurm", monkeypatch)
    config = config_file(tmp_path, **SLURM)
    assert annotated("whole", "--verify") == 2
    options = ["--tasks", 2, "--engine", "slurm", "--engine-config", config, "--jobs", 2]
    assert annotated("out", "--verify", *options) == 2
    assert (tmp_path / "out").read_bytes() == (tmp_path / "whole").read_bytes()


@needs_infernal
def test_what_tasks_cannot_verify_is_told_at_the_end(
    annotated: Callable[..., int],
    fasta: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fasta.write_text(fasta.read_text() * 2)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "cmbuild").write_text("#!/bin/sh\necho 'Error: it is bad' >&2; exit 3\n")
    (programs / "cmbuild").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("RNAGPT_CACHE", str(tmp_path / "cache"))
    assert annotated("whole", "--verify") == 2
    told = capsys.readouterr().err
    found = re.search(r"could not verify (\d+) hits and weaker candidates:\n- RF", told)
    assert found
    assert int(found[1]) >= 10  # two hits of each family, and candidates
    assert int(found[1]) == sum(map(int, re.findall(r"Error: it is bad \((\d+) times\)", told)))
    assert told.count("cmbuild failed (exit code 3)") == 5
    assert annotated("out", "--verify", "--tasks", 3, "--workers", 1) == 2
    assert (tmp_path / "out").read_bytes() == (tmp_path / "whole").read_bytes()
    assert told[told.index("4 records are rejected") :] in capsys.readouterr().err


def test_without_infernal_no_task_begins(
    annotated: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert annotated("out", "--verify", "--tasks", 2) == 2
    assert "Infernal is needed to verify hits" in capsys.readouterr().err
    assert left_behind(tmp_path) == set()


@needs_infernal
@pytest.mark.usefixtures("stopped")
def test_parts_without_verification_are_not_joined_with_others(
    annotated: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert annotated("out", "--tasks", 3, "--verify") == 2
    assert "was begun with --verify not given (now Infernal " in capsys.readouterr().err


@needs_infernal
def test_a_machine_with_another_infernal_makes_no_part(
    fasta: Path, five_families: Path, own_cache: Path, tmp_path: Path
) -> None:
    job = AnnotationJob(fasta, tmp_path / "out", five_families, "json", 1, verify=True)
    job.folder.mkdir()
    (job.folder / "options.json").write_text('{"--verify": "Infernal 1.0"}')
    with pytest.raises(InfernalError, match=r"this run was begun with Infernal 1\.0"):
        make_part(job, 0)
    assert not job.is_done(0)


def test_ray_writes_the_same_bytes(
    annotated: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray itself is not installed here: its executor is replaced by one that notes and works."""
    given: dict[str, Any] = {}

    class Played:
        def __init__(self, **options: Any) -> None:
            given.update(options)

        def run(self) -> None:
            for rank in range(given["tasks"]):
                list(given["pipeline"][0].run(None, rank, given["tasks"]))

    monkeypatch.setattr(tasks, "RayExecutor", Played)
    assert annotated("whole") == 2
    assert annotated("out", "--tasks", 3, "--engine", "ray") == 2
    assert (tmp_path / "out").read_bytes() == (tmp_path / "whole").read_bytes()
    assert (given["workers"], given["cpus_per_task"]) == (3, 1)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--engine", "slurm"], "are for --tasks N"),
        (["--workers", 2], "are for --tasks N"),
        (["--tasks", 2, "--jobs", 2], "--workers says how many"),
        (["--tasks", 2, "--workers", 0], "--workers is 0; expected 1 at least"),
        (["--tasks", MAX_TASKS + 1], "--tasks is 1,001; expected 1 to 1,000"),
        (["--tasks", 2, "--engine", "slurm"], "needs partition and time in --engine-config"),
        (["--tasks", 2, "--engine", "ray"], "--engine ray: Please install `ray`"),
    ],
)
def test_options_that_cannot_be(
    annotated: Callable[..., int],
    tmp_path: Path,
    options: list[object],
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert annotated("out", *options) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ("[1]", "expected a JSON object"),
        ("{", "not JSON"),
        (json.dumps(SLURM | {"mem": 3}), "--engine-config: "),
        (json.dumps(SLURM), "needs Slurm's sbatch"),
    ],
)
def test_configurations_that_cannot_be(
    annotated: Callable[..., int],
    tmp_path: Path,
    values: str,
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = config_file(tmp_path)
    config.write_text(values)
    assert annotated("out", "--tasks", 2, "--engine", "slurm", "--engine-config", config) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("words", [["-", "out"], ["rnas.fasta"]])
def test_tasks_need_files(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["annotate", *words, "--tasks", "2"]) == 2
    assert "--tasks needs files to read and to write" in capsys.readouterr().err


def test_a_file_that_is_there_is_not_replaced(
    annotated: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("precious\n")
    assert annotated("out", "--tasks", 2) == 2
    assert "is there already; name another file" in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "precious\n"


def test_what_is_no_fasta_begins_nothing(
    annotated: Callable[..., int],
    fasta: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fasta.write_text("")
    assert annotated("out", "--tasks", 2) == 2
    assert "rnas.fasta is empty" in capsys.readouterr().err
    assert left_behind(tmp_path) == set()


def test_without_datatrove_the_remedy_is_told(
    annotated: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    imported = builtins.__import__

    def without(name: str, *arguments: Any) -> Any:
        if name.startswith("datatrove"):
            raise ModuleNotFoundError("No module named 'datatrove'", name="datatrove")
        return imported(name, *arguments)

    for module in ("rnagpt.reference.parts", "rnagpt.reference.tasks"):
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(builtins, "__import__", without)
    assert annotated("out", "--tasks", 2) == 2
    assert "--tasks needs datatrove: pip install 'rna-gpt[cluster]'" in capsys.readouterr().err
