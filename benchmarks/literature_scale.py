"""`rna-qa literature` with 100,000 made RNAs on each of its engines, a worker killed on the way.

    python benchmarks/literature_scale.py                        # writes literature_scale.md
    python benchmarks/literature_scale.py --rnas 2000 --engines local model --no-report

`local`: all stages by processes of this machine. `slurm`: an array of processes that Slurm's
commands, played here, start two at a time. `ray`: Ray itself (`pip install ray`), on this machine.
`model`: D&C against a server that answers by rule; the build itself is killed, with requests open.
Each loses a worker by `kill -9` in the middle of the claims, and is run again until it is done.
Then every RNA must be there once, with the bytes of the local build; what stood before the kill
must not have been made again; no answered request may have been sent again.

Memory is the most that all processes of a command held at one time (resident sets added up: what
they share counts more than once), processor seconds are theirs, the server's of `model` left out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from helpers.fake_openai import KEY, MODEL, FakeOpenAi, serve_openai  # noqa: E402
from helpers.played_slurm import SCONTROL, SQUEUE, SRUN  # noqa: E402
from helpers.tiny_scribe import scribe  # noqa: E402
from literature_made import write_corpus  # noqa: E402
from literature_scale_report import write_report  # noqa: E402

from rnagpt.rna_qa.literature.build.shards import read_lines, read_sidecar  # noqa: E402

ENGINES = ("local", "slurm", "ray", "model")
STAGES = ("select,papers", "topics", "annotate", "questions", "splits", "export")
SECONDS_BETWEEN_LOOKS = 0.5
CONCURRENCY = 8
# Papers of a name: most have one, a few have many.
PAPERS = (1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 3, 1, 1, 1, 1, 1, 1, 1, 6)
# An array of jobs, as many at a time as its script allows.
SBATCH = """#!/bin/bash
script="${@: -1}"
copy="$SLURM_PLAYED/$$.sh"; cp "$script" "$copy"
export RUN_OFFSET=0 SLURM_NODELIST=node1
read -r last atonce < <(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\)%\\([0-9]*\\)/\\1 \\2/p' "$copy")
if [[ -n "$last" ]]; then
    seq 0 "$last" | xargs -P "$atonce" -I{} \\
        bash -c 'SLURM_ARRAY_TASK_ID={} bash "$0" > "$SLURM_PLAYED/{}.out" 2>&1 || true' "$copy"
fi
echo "Submitted batch job 17"
"""


@dataclass
class Run:
    """What commands took: seconds, processor seconds, GB and open files at most; exit codes."""

    seconds: float = 0.0
    processor: float = 0.0
    memory: float = 0.0
    files: int = 0
    codes: list[int] = field(default_factory=list)

    def add(self, other: Run) -> None:
        self.seconds += other.seconds
        self.processor += other.processor
        self.memory = max(self.memory, other.memory)
        self.files = max(self.files, other.files)
        self.codes += other.codes


Choose = Callable[[psutil.Process], "psutil.Process | None"]


def watch(
    command: Sequence[str], log: Path, kill: Choose | None = None, when: Callable[[], bool] = bool
) -> Run:
    """Run a command to its end, watch its processes, and kill one of them when it is time.

    Args:
        kill: chooses the process; None kills none, and so does a process that is not there yet.
        when: whether it is time.
    """
    start = time.monotonic()
    run = Run()
    used: dict[int, float] = {}
    with log.open("ab") as out:
        process = psutil.Popen(command, stdout=out, stderr=out)
        while process.poll() is None:
            held = files = 0
            for one in [process, *descendants(process)]:
                with suppress(psutil.Error):
                    held += one.memory_info().rss
                    files += one.num_fds()
                    times = one.cpu_times()
                    used[one.pid] = times.user + times.system
            run.memory, run.files = max(run.memory, held / 1e9), max(run.files, files)
            if kill and when() and (victim := kill(process)):
                victim.send_signal(signal.SIGKILL)
                kill = None
            time.sleep(SECONDS_BETWEEN_LOOKS)
    run.seconds, run.processor = time.monotonic() - start, sum(used.values())
    run.codes.append(process.returncode)
    return run


def descendants(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return list(process.children(recursive=True))
    return []


def busiest_child(process: psutil.Process) -> psutil.Process | None:
    """The descendant that has worked most: a worker of the pool, not what starts them."""
    used: dict[psutil.Process, float] = {}
    for child in descendants(process):
        with suppress(psutil.Error):
            if "resource_tracker" not in " ".join(child.cmdline()):
                used[child] = child.cpu_times().user
    return max(used, key=lambda child: used[child]) if len(used) > 1 else None


def child_called(name: str) -> Choose:
    def choose(process: psutil.Process) -> psutil.Process | None:
        for child in descendants(process):
            with suppress(psutil.Error):
                if name in " ".join(child.cmdline()) and "bash" not in child.name():
                    return child
        return None

    return choose


def itself(process: psutil.Process) -> psutil.Process:
    return process


@dataclass(frozen=True)
class Bench:
    """Folders and sizes of one benchmark."""

    folder: Path
    inputs: tuple[Path, Path]
    rnas: int
    shard_size: int
    workers: int

    @property
    def num_shards(self) -> int:
        return -(-self.rnas // self.shard_size)

    def command(self, out: Path, *more: str) -> list[str]:
        rnas, papers = map(str, self.inputs)
        command = [sys.executable, "-m", "rnagpt.cli.rna_qa", "literature", str(out)]
        command += ["--rnas", rnas, "--papers", papers, "--clusters", "kmers"]
        return [*command, "--shard-size", str(self.shard_size), *more]

    def corpus_of(self, name: str) -> Path:
        """A build of its own that has the RNAs and papers of the local one already."""
        out = self.folder / name
        (out / ".work").mkdir(parents=True)
        for file in ("corpus.sqlite", "run.json"):
            shutil.copy(self.folder / "local" / ".work" / file, out / ".work" / file)
        return out


def made(out: Path, stage: str) -> dict[str, int]:
    """The finished shards of a stage, each with the moment when it was written."""
    files = sorted((out / ".work" / stage).glob("*.json"))
    return {file.name: file.stat().st_mtime_ns for file in files}


def run_with_a_kill(
    bench: Bench, out: Path, command: Sequence[str], stage: str, kill: Choose
) -> tuple[Run, dict[str, Any]]:
    """Run a command whose worker is killed after a third of a stage's shards, and to its end."""
    log = bench.folder / f"{out.name}.log"
    third = max(1, bench.num_shards // 3)
    before: dict[str, int] = {}

    def is_time() -> bool:
        before.update(made(out, stage))
        return len(before) >= third

    run = watch(command, log, kill, is_time)
    left = bench.num_shards - len(made(out, stage))
    for _ in range(5):
        if run.codes[-1] == 0:
            break
        run.add(watch(command, log))
    after = made(out, stage)
    again = [name for name, moment in before.items() if after.get(name) != moment]
    return run, {"stood": len(before), "left_after_kill": left, "made_again": len(again)}


def check_rnas(bench: Bench, out: Path, mode: str) -> dict[str, int]:
    """Every RNA that has papers stands once among the claims, and once among the questions."""
    seen: dict[str, Counter[str]] = {}
    for stage in (f"annotate-{mode}", f"questions-{mode}"):
        ids: Counter[str] = Counter()
        for path in sorted((out / ".work" / stage).glob("*.jsonl.gz")):
            for line in read_lines(path):
                fields = json.loads(line)
                ids[fields["rna"]["id"] if "rna" in fields else fields["rna_id"]] += 1
        if ids:
            seen[stage] = ids
    lost = sum(bench.rnas - len(ids) for ids in seen.values())
    twice = sum(count > 1 for ids in seen.values() for count in ids.values())
    return {"lost": lost, "twice": twice}


def same_as_local(bench: Bench, out: Path, stages: Sequence[str]) -> int:
    """Shards that differ from the local build's."""
    pairs = [
        [
            read_sidecar(build / ".work" / stage / path.name)
            for build in (out, bench.folder / "local")
        ]
        for stage in stages
        for path in (bench.folder / "local" / ".work" / stage).glob("*.jsonl.gz")
    ]
    return sum(not (one and other and one.sha256 == other.sha256) for one, other in pairs)


def run_local(bench: Bench) -> dict[str, Any]:
    out = bench.folder / "local"
    command = bench.command(out, "--extractive", "--workers", str(bench.workers))
    rows: dict[str, Run] = {}
    told: dict[str, Any] = {}
    for names in STAGES:
        step = [*command, "--stages", names]
        if names == "annotate":
            stage = "annotate-extractive"
            rows[names], told = run_with_a_kill(bench, out, step, stage, busiest_child)
        else:
            rows[names] = watch(step, bench.folder / "local.log")
        if rows[names].codes[-1]:
            sys.exit(f"local, {names}: see {bench.folder / 'local.log'}")
        print(f"local {names}: {rows[names]}", flush=True)
    told |= check_rnas(bench, out, "extractive")
    told["disk"] = sizes(out)
    return {"stages": rows, **told}


def run_elsewhere(bench: Bench, name: str, config: Mapping[str, Any], kill: Choose) -> Any:
    """Topics and claims by another engine, on the local build's RNAs and papers."""
    out = bench.corpus_of(name)
    file = bench.folder / f"{name}.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    command = bench.command(out, "--extractive", "--workers", str(bench.workers))
    command += ["--engine", name, "--engine-config", str(file)]
    log = bench.folder / f"{name}.log"
    rows = {"topics": watch([*command, "--stages", "topics"], log)}
    stage = "annotate-extractive"
    step = [*command, "--stages", "annotate"]
    rows["annotate"], told = run_with_a_kill(bench, out, step, stage, kill)
    print(f"{name}: {rows} {told}", flush=True)
    told |= check_rnas(bench, out, "extractive")
    told["unlike_local"] = same_as_local(bench, out, ["topics", stage])
    return {"stages": rows, **told}


def run_slurm(bench: Bench) -> Any:
    programs = bench.folder / "slurm-programs"
    programs.mkdir()
    texts = {"sbatch": SBATCH, "srun": SRUN, "scontrol": SCONTROL, "squeue": SQUEUE}
    for name, text in texts.items():
        (programs / name).write_text(text, encoding="utf-8")
        (programs / name).chmod(0o755)
    os.environ["SLURM_PLAYED"] = str(programs)
    paths = [str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]
    os.environ["PATH"] = os.pathsep.join(paths)
    config = {"partition": "cpu", "time": "01:00:00", "env_command": "true"}
    return run_elsewhere(bench, "slurm", config, child_called("launch_pickled_pipeline"))


def run_ray(bench: Bench) -> Any:
    # Ray kills workers where the machine's memory is nearly full, whoever holds it.
    os.environ["RAY_memory_monitor_refresh_ms"] = "0"  # noqa: SIM112
    return run_elsewhere(bench, "ray", {"mem_per_cpu_gb": 0.1}, child_called("ray::RankWorker"))


def run_model(bench: Bench) -> dict[str, Any]:
    out = bench.corpus_of("model")
    os.environ["RNAQA_API_KEY"] = KEY
    with serve_openai(scribe) as service, noting_kept(out, service) as kept:
        command = bench.command(out, "--mode", "dnc", "--language-model", MODEL)
        command += ["--base-url", service.base_url, "--concurrency", str(CONCURRENCY)]
        command += ["--stages", "topics,annotate,questions"]
        run, told = run_with_a_kill(bench, out, command, "annotate-dnc", itself)
        told |= check_rnas(bench, out, "dnc")
        told["requests"] = len(service.received)
        told["sent_twice"] = sum(count > 1 for count in service.received.values())
        told["paid_twice"] = sum(service.received[key] > count for key, count in kept.items())
    told["totals"] = json.loads(
        subprocess.run(
            [sys.executable, "-m", "rnagpt.cli.rna_qa", "status", str(out), "--json"],
            capture_output=True,
            check=True,
        ).stdout
    )["spent"]
    told["disk"] = sizes(out)
    print(f"model: {run} {told}", flush=True)
    return {"stages": {"topics,annotate,questions": run}, **told}


@contextmanager
def noting_kept(out: Path, service: FakeOpenAi) -> Iterator[dict[str, int]]:
    """Note, every second, how often each request had been sent when its answer was first kept."""
    kept: dict[str, int] = {}
    done = threading.Event()

    def note() -> None:
        while not done.wait(1.0):
            with suppress(sqlite3.Error):
                database = sqlite3.connect(f"file:{out}/.work/requests.sqlite?mode=ro", uri=True)
                for (key,) in database.execute("SELECT key FROM answers"):
                    kept.setdefault(key, service.received[key])
                database.close()

    thread = threading.Thread(target=note, daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        done.set()
        thread.join()


def sizes(out: Path) -> dict[str, list[float]]:
    """Megabytes and files of what a build wrote."""
    found: dict[str, list[float]] = {}
    for path in out.rglob("*"):
        if path.is_file():
            parts = path.relative_to(out).parts
            name = parts[1] if parts[0] == ".work" and len(parts) > 1 else "data set"
            size = found.setdefault(name, [0.0, 0])
            size[0] += path.stat().st_size / 1e6
            size[1] += 1
    return dict(sorted(found.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--rnas", type=int, default=100_000)
    parser.add_argument("--copies", type=int, default=10, help="RNAs with one name")
    parser.add_argument("--shard-size", type=int, default=2500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--folder", type=Path, help="that is kept (default: a temporary one)")
    parser.add_argument("--no-report", action="store_true", help="measure only")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        inputs = write_corpus(folder / "in", args.rnas, args.copies, PAPERS)
        bench = Bench(folder, inputs, args.rnas, args.shard_size, args.workers)
        runs = {"local": run_local, "slurm": run_slurm, "ray": run_ray, "model": run_model}
        results: dict[str, Any] = {}
        for name in [engine for engine in ENGINES if engine in args.engines]:
            results[name] = runs[name](bench)
            if not args.no_report:
                write_report(Path(__file__).with_suffix(".md"), vars(args), results)


if __name__ == "__main__":
    main()
