"""``kill -9`` at random moments: nothing is lost or paid twice, and the same bytes come out."""

import itertools
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from helpers.fake_openai import KEY, MODEL, FakeOpenAi, serve_openai
from helpers.finished_dataset import read_bytes
from helpers.tiny_literature import write_literature
from helpers.tiny_scribe import scribe


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeOpenAi]:
    monkeypatch.setenv("RNAQA_API_KEY", KEY)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with serve_openai(scribe) as fake:
        fake.delay = 0.02
        yield fake


def make_command(out: Path, folder: Path, service: FakeOpenAi, workers: int) -> list[str]:
    rnas, papers = folder / "rnas.jsonl", folder / "papers.jsonl.gz"
    command = [sys.executable, "-m", "rnagpt.cli.rna_qa", "literature", str(out)]
    command += ["--rnas", str(rnas), "--papers", str(papers), "--clusters", "kmers"]
    command += ["--shard-size", "3", "--workers", str(workers), "--token-budget", "600"]
    command += ["--mode", "both", "--language-model", MODEL, "--base-url", service.base_url]
    return [*command, "--test", "0.2", "--concurrency", "4"]


def answered(out: Path) -> set[str]:
    """The requests whose answers are kept, as a later run will find them."""
    path = out / ".work" / "requests.sqlite"
    if not path.exists():
        return set()
    with sqlite3.connect(path) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        rows = database.execute("SELECT key FROM answers") if "answers" in tables else []
        return {key for (key,) in rows}


def build_with_kills(
    command: Sequence[str], out: Path, service: FakeOpenAi, moments: Iterator[float], kills: int
) -> int:
    """Build with `kills` kills at most; returns how many there were."""
    service.received.clear()
    kept: dict[str, int] = {}  # answered request -> how often it had been sent by then
    killed = 0
    while killed < kills:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            process.wait(timeout=next(moments))
        except subprocess.TimeoutExpired:
            process.kill()
        _, said = process.communicate()
        assert process.returncode in (0, -9), said.decode()
        time.sleep(2 * service.delay)  # what was on its way arrives
        for key in answered(out):
            kept.setdefault(key, service.received[key])
        if process.returncode == 0:
            break
        killed += 1
    else:
        subprocess.run(command, capture_output=True, check=True)
    again = {key for key, times in kept.items() if service.received[key] != times}
    assert not again
    assert all(not path.name.count(".partial-") for path in out.rglob("*"))
    return killed


def check_kills(folder: Path, service: FakeOpenAi, kills: int, workers: int, rnas: int) -> None:
    write_literature(folder, rnas=rnas, per_rna=6)
    begin = time.monotonic()
    whole = folder / "undisturbed"
    subprocess.run(make_command(whole, folder, service, workers), capture_output=True, check=True)
    took = time.monotonic() - begin
    finished = read_bytes(whole)
    assert finished
    draw = random.Random(0)
    done = turn = 0
    while done < kills:
        out = folder / f"killed-{turn}"
        command = make_command(out, folder, service, workers)
        # Most of a run's beginning is imports: what was done before is skipped in no time.
        moments = (draw.uniform(0.25, 0.9) * longest for longest in itertools.repeat(took))
        begin = time.monotonic()
        killed = build_with_kills(command, out, service, moments, kills - done)
        if not killed:  # the machine has less to do than it had
            took = time.monotonic() - begin
        assert read_bytes(out) == finished
        done += killed
        turn += 1
    assert done == kills


def test_three_kills(service: FakeOpenAi, tmp_path: Path) -> None:
    check_kills(tmp_path, service, kills=3, workers=1, rnas=4)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_fifty_kills(service: FakeOpenAi, tmp_path: Path, workers: int) -> None:
    check_kills(tmp_path, service, kills=50, workers=workers, rnas=12)
