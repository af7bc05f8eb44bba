"""Shards as tasks: on processes that die, and on Slurm, whose commands are played here."""

import json
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from helpers.finished_dataset import read_bytes
from helpers.paths import HELPERS
from helpers.played_slurm import play_slurm
from helpers.shard_tasks import die_at_one, make_all_but_one, make_numbered
from helpers.tiny_literature import write_literature

from rnagpt.reference import tasks
from rnagpt.reference.executor import TaskError
from rnagpt.rna_qa.literature.build.engine import run_shards
from rnagpt.rna_qa.literature.build.pipeline import build
from rnagpt.rna_qa.literature.build.settings import LiteratureOptions, RunOptions
from rnagpt.rna_qa.literature.build.shards import read_lines, shard_path


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return play_slurm(tmp_path / "slurm", monkeypatch)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_shards_asked_for_are_made(tmp_path: Path, workers: int) -> None:
    run_shards(partial(make_numbered, str(tmp_path)), tmp_path, "s", [1, 4, 5], RunOptions(workers))
    made = sorted(path.name for path in (tmp_path / "s").glob("*.jsonl.gz"))
    assert made == ["00001.jsonl.gz", "00004.jsonl.gz", "00005.jsonl.gz"]
    assert list(read_lines(shard_path(tmp_path, "s", 4))) == ["4"]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_is_raised_in_its_own_words(tmp_path: Path, workers: int) -> None:
    task = partial(make_all_but_one, str(tmp_path))
    with pytest.raises(ValueError, match="one is not wanted"):
        run_shards(task, tmp_path, "s", [0, 1, 2], RunOptions(workers))
    assert not shard_path(tmp_path, "s", 1).exists()


def test_a_lost_process_is_noticed(tmp_path: Path) -> None:
    """One that the system killed out of memory, say: the build must not wait for it."""
    with pytest.raises(TaskError, match="a process was lost"):
        run_shards(partial(die_at_one, str(tmp_path)), tmp_path, "s", list(range(4)), RunOptions(2))


def test_nothing_runs_on_where_the_build_was_killed(tmp_path: Path) -> None:
    code = (
        "import sys; from functools import partial; from pathlib import Path;"
        f"sys.path.insert(0, {str(HELPERS.parent)!r});"
        "from helpers.shard_tasks import sleep_long;"
        "from rnagpt.rna_qa.literature.build.engine import run_shards;"
        "from rnagpt.rna_qa.literature.build.settings import RunOptions;"
        "work = Path(sys.argv[1]);"
        "run_shards(partial(sleep_long, str(work)), work, 's', [0, 1], RunOptions(2))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    deadline = time.monotonic() + 30
    while len(list(tmp_path.glob("process-*"))) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    workers = [int(path.read_text()) for path in tmp_path.glob("process-*")]
    process.kill()
    process.wait()
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow  # a process a task, each of which imports datatrove
def test_slurm_makes_the_same_data_set(slurm: Path, tmp_path: Path) -> None:
    rnas, papers = write_literature(tmp_path / "in", rnas=8, per_rna=4)
    options = LiteratureOptions(
        rnas=str(rnas), papers=str(papers), shard_size=4, clusters="kmers", test=0.2
    )
    build(tmp_path / "here", options, RunOptions(workers=1))
    config = {"partition": "cpu", "time": "01:00:00", "mem_per_cpu_gb": 3, "env_command": "true"}
    run = RunOptions(engine="slurm", engine_config=config, workers=2)
    build(tmp_path / "there", options, run)
    assert read_bytes(tmp_path / "there") == read_bytes(tmp_path / "here")
    scripts = [path.read_text() for path in slurm.glob("*.sh")]
    arrays = [script for script in scripts if "--array=0-1%2" in script]
    assert len(arrays) == 3  # topics, annotate, questions
    for script in arrays:
        for wanted in ("--partition=cpu", "--time=01:00:00", "--mem-per-cpu=3G"):
            assert f"#SBATCH {wanted}" in script


def test_what_fails_on_slurm_is_told_here(slurm: Path, tmp_path: Path) -> None:
    config = {"partition": "cpu", "time": "01:00:00", "env_command": "true"}
    run = RunOptions(engine="slurm", engine_config=config)
    # The job finds this module as the tests do.
    config["env_command"] = f"export PYTHONPATH={HELPERS.parent}"
    task = partial(make_all_but_one, str(tmp_path / "work"))
    with pytest.raises(TaskError, match="s, shard 00001: one is not wanted"):
        run_shards(task, tmp_path / "work", "s", [0, 1], run)


def test_a_job_that_left_nothing_is_told(slurm: Path, tmp_path: Path) -> None:
    config = {"partition": "cpu", "time": "01:00:00", "env_command": "exit 0"}
    run = RunOptions(engine="slurm", engine_config=config)
    task = partial(make_numbered, str(tmp_path / "work"))
    with pytest.raises(TaskError, match="2 of 2 shards were not made"):
        run_shards(task, tmp_path / "work", "s", [0, 1], run)


def test_slurm_needs_its_partition_and_time() -> None:
    with pytest.raises(ValueError, match="needs partition and time in --engine-config"):
        RunOptions(engine="slurm")


def test_ray_gets_the_same_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray itself is not installed here: its executor is replaced by one that notes and works."""
    given: dict[str, Any] = {}

    class Played:
        def __init__(self, **options: Any) -> None:
            given.update(options)

        def run(self) -> None:
            for rank in range(given["tasks"]):
                list(given["pipeline"][0].run(None, rank, given["tasks"]))

    monkeypatch.setattr(tasks, "RayExecutor", Played)
    run = RunOptions(engine="ray", engine_config={"cpus_per_task": 2}, workers=3)
    run_shards(partial(make_numbered, str(tmp_path)), tmp_path, "s", [2, 3], run)
    assert (given["workers"], given["cpus_per_task"], given["skip_completed"]) == (3, 2, False)
    assert shard_path(tmp_path, "s", 3).exists()
    json.dumps(given["logging_dir"])


@pytest.mark.parametrize("dies", [False, True])
def test_a_worker_of_ray_notices_a_lost_process(tmp_path: Path, dies: bool) -> None:
    """datatrove's own would wait for it for ever."""
    task = partial(die_at_one if dies else make_numbered, str(tmp_path), "s")
    step = tasks.TaskStep(task, [1, 2], tmp_path / "failures", "s")
    executor = tasks.RayExecutor(
        pipeline=[step], tasks=2, logging_dir=str(tmp_path / "logs"), skip_completed=False
    )
    worker = tasks.RankWorker()
    if dies:
        with pytest.raises(BrokenProcessPool):
            worker.run_for_rank(executor, [0, 1], ["here"], 0)
    else:
        worker.run_for_rank(executor, [0, 1], ["here"], 0)
        worker.run_for_rank(executor, [1], ["here"], 0)
    assert shard_path(tmp_path, "s", 1).exists() is not dies


@pytest.mark.slow  # each task starts a worker of Ray
def test_a_lost_worker_of_ray_is_replaced(tmp_path: Path) -> None:
    """On Ray itself, where it is installed: the task is begun again, and fails in the end."""
    ray = pytest.importorskip("ray")
    found = {"env_vars": {"PYTHONPATH": str(HELPERS.parent)}}
    ray.init(num_cpus=2, object_store_memory=80_000_000, include_dashboard=False, runtime_env=found)
    try:
        run = RunOptions(2, engine="ray", engine_config={"mem_per_cpu_gb": 0.1})
        with pytest.raises(TaskError, match="1 of 2 shards were not made"):
            run_shards(partial(die_at_one, str(tmp_path)), tmp_path, "s", [1, 2], run)
    finally:
        ray.shutdown()
    assert shard_path(tmp_path, "s", 2).exists()
