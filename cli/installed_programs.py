"""Optional programs and the machine, for `rnagpt doctor`."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rnagpt.cli.finding import DISTRIBUTION, MISSING, OK, Finding, one_line, told, version_of
from rnagpt.cli.installed_packages import TORCH, import_failures

SECONDS = 20  # a program may take to say its version
BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")  # of x86, and of ARM
_INFERNAL = "apt install infernal, or conda install -c bioconda infernal"


@dataclass(frozen=True)
class Program:
    """A program that the core does without.

    Attributes:
        name: as people call it.
        command: that prints its version.
        use: what it is for.
        fix: how to install it.
        status: that the command exits with.
    """

    name: str
    command: tuple[str, ...]
    use: str
    fix: str
    status: tuple[int, ...] = (0,)


PROGRAMS = (
    Program("Infernal cmbuild", ("cmbuild", "-h"), "`rnagpt annotate --verify`", _INFERNAL),
    Program("Infernal cmsearch", ("cmsearch", "-h"), "`rnagpt annotate --verify`", _INFERNAL),
    Program("Infernal cmscan", ("cmscan", "-h"), "searching with Infernal yourself", _INFERNAL),
    Program(
        "HMMER hmmscan",
        ("hmmscan", "-h"),
        "comparing the search with HMMER's own (benchmarks/search.py)",
        "apt install hmmer",
    ),
    Program(
        "BLAST+ blastn",
        ("blastn", "-version"),
        "references whose single RNAs are found by BLAST (`--engine blast`)",
        "apt install ncbi-blast+",
    ),
    Program(
        "cd-hit-est",
        ("cd-hit-est", "-h"),
        "clusters of RNA-QA that are finer than the built-in ones (`--clusters cd-hit`)",
        "apt install cd-hit",
        status=(0, 1),
    ),
)


def programs() -> Iterator[Finding]:
    """Programs that the core does without."""
    yield _vienna()
    for program in PROGRAMS:
        yield _program(program)


def _vienna() -> Finding:
    use = "folding RNAs, and drawings: `rnagpt chat --explain`"
    fix = f"pip install '{DISTRIBUTION}[explain]'"
    if version := version_of("viennarna"):
        if failure := import_failures(["RNA"]).get("RNA"):
            wrong = f"{version}, which cannot be imported: {failure.reason}"
            fix = "pip install --force-reinstall --no-deps viennarna"
            return Finding("programs", "ViennaRNA", MISSING, wrong, use, fix)
        return Finding("programs", "ViennaRNA", OK, f"{version} (Python module)", use)
    found = ""
    if path := shutil.which("RNAfold"):
        version, problem = _version_told((path, "--version"), (0,))
        found = f"RNAfold {version or problem}, without the Python module"
    return Finding("programs", "ViennaRNA", MISSING, found, use, fix)


def _program(program: Program) -> Finding:
    if (path := shutil.which(program.command[0])) is None:
        return Finding("programs", program.name, MISSING, "", program.use, program.fix)
    version, problem = _version_told((path, *program.command[1:]), program.status)
    if problem:
        found = f"{path} does not work: {problem}"
        fix = f"install it again: {program.fix}"
        return Finding("programs", program.name, MISSING, found, program.use, fix)
    return Finding("programs", program.name, OK, f"{version} ({path})", program.use)


def _version_told(command: tuple[str, ...], status: tuple[int, ...]) -> tuple[str, str]:
    """The first number such as 1.1.4 that a program says; else what is wrong with it."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "", f"it takes more than {SECONDS} seconds to say its version"
    except OSError as error:
        return "", error.strerror or told(error)
    said = re.search(r"\b\d+\.\d+(?:\.\d+)*\+?", done.stdout)
    if done.returncode not in status:
        first = next((line for line in done.stdout.splitlines() if line.strip()), "")
        return "", f"exit status {done.returncode}" + (f", {one_line(first)}" if first else "")
    return (said[0], "") if said else ("", "it does not say its version")


def machine(*, measure: bool = False) -> Iterator[Finding]:
    """Processor, memory, graphics card.

    Args:
        measure: time bfloat16, which imports PyTorch.
    """
    group = "machine"
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding(group, "CPU", OK, f"{platform.machine()}, {usable or '?'} threads to use")
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        yield Finding(group, "memory", OK, f"{size / 2**30:,.1f} GiB")
    yield _measured_bfloat16() if measure else _bfloat16()
    yield _gpu()


def _bfloat16() -> Finding:
    use = "training in bfloat16 on the CPU, which is some 50 times slower without"
    flags = cpu_flags()
    if flags is None:
        unknown = "not known on this system"
        return Finding("machine", "bfloat16", OK, unknown, use, "rnagpt doctor --measure")
    found = [flag for flag in BFLOAT16_FLAGS if flag in flags]
    if found:
        return Finding("machine", "bfloat16", OK, ", ".join(found), use)
    fix = "train with --bf16 false --dtype float32, or on a GPU"
    return Finding("machine", "bfloat16", MISSING, "this CPU has no units for it", use, fix)


def _measured_bfloat16() -> Finding:
    use = "training in bfloat16 on the CPU"
    try:
        from rnagpt.training.bfloat16 import SLOW, slowdown_of_bfloat16
    except (Exception, SystemExit) as error:  # a PyTorch that is there may be broken
        fix = f"pip install '{TORCH}'"
        return Finding("machine", "bfloat16", MISSING, f"not measured: {told(error)}", use, fix)
    times = slowdown_of_bfloat16()
    if times <= SLOW:
        return Finding(
            "machine", "bfloat16", OK, f"takes {times:.2g} times as long as float32", use
        )
    fix = "train with --bf16 false --dtype float32, or on a GPU"
    slow = f"takes {times:.0f} times as long as float32 on this CPU"
    return Finding("machine", "bfloat16", MISSING, slow, use, fix)


def cpu_flags(path: Path = Path("/proc/cpuinfo")) -> frozenset[str] | None:
    """The features that Linux names of the first CPU; None where it does not say."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    named = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return frozenset(named[1].split()) if named else None


def _gpu() -> Finding:
    use = "training, and larger models"
    if path := shutil.which("nvidia-smi"):
        query = ["--query-gpu=name,memory.total", "--format=csv,noheader"]
        try:
            done = subprocess.run(
                [path, *query], capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            done = None
        if done is not None and done.returncode == 0 and done.stdout.strip():
            cards = "; ".join(done.stdout.strip().splitlines())
            if (version_of("torch") or "").endswith("+cpu"):
                fix = "install a PyTorch with CUDA: https://pytorch.org/get-started/locally/"
                built = f"{cards}, but this PyTorch is built for the CPU alone"
                return Finding("machine", "GPU", MISSING, built, use, fix)
            return Finding("machine", "GPU", OK, cards, use)
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return Finding("machine", "GPU", OK, "Apple's (MPS)", use)
    return Finding("machine", "GPU", MISSING, "none that nvidia-smi names", use)


__all__ = ["PROGRAMS", "Program", "cpu_flags", "machine", "programs"]
