"""What is installed on this machine, and what is missing for what: the checks of `rnagpt doctor`.

Nothing heavy is imported: versions are read from the packages' metadata, programs are asked.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from rnagpt import __version__

OK, MISSING, BROKEN = "ok", "missing", "broken"
DISTRIBUTION = "rna-gpt"
EXTRAS = {
    "train": "training, by train_sft.py and `rnagpt pretrain-encoder`",
    "evaluate": "`rnagpt evaluate`",
    "explain": "drawings of what answers rest on: `rnagpt chat --explain`",
    "rna-qa": "building RNA-QA: `rna-qa`",
    "cluster": "`rnagpt annotate --tasks`, on Slurm or Ray",
    "space": "the web demo",
    "serve": "`rnagpt serve`",
}
SECONDS = 20  # a program may take to say its version
INFERNAL_INSTALL = "apt install infernal, or conda install -c bioconda infernal"
BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")  # of x86, and of ARM


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for.

    Attributes:
        group: such as "programs".
        name: of the thing.
        state: `OK`, `MISSING` (something optional) or `BROKEN` (something that the core needs).
        found: a version, a place or a figure, in words; empty where there is nothing.
        use: what it is for.
        fix: what to do where it is missing or broken.
    """

    group: str
    name: str
    state: str
    found: str = ""
    use: str = ""
    fix: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As `rnagpt doctor --json` gives it."""
        return asdict(self)


def examine(*, measure: bool = False) -> list[Finding]:
    """Look at everything.

    Args:
        measure: time bfloat16 too, which imports PyTorch.
    """
    parts: list[Callable[[], Iterator[Finding]]] = [
        versions,
        models,
        reference,
        programs,
        extras,
        lambda: machine(measure=measure),
    ]
    return [finding for part in parts for finding in part()]


def versions() -> Iterator[Finding]:
    """Python, this package, and what it always needs, in versions that it takes."""
    group = "versions"
    yield Finding(group, "rna-gpt", OK, __version__)
    yield Finding(group, "Python", OK, platform.python_version())
    try:
        required = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding(
            group,
            "dependencies",
            MISSING,
            "not known: the package runs from a clone that is not installed",
            "checking the versions of what is needed",
            "pip install -e .",
        )
        return
    for line in required:
        if "extra ==" not in line:
            yield _dependency(line)


def _dependency(line: str) -> Finding:
    from packaging.requirements import Requirement

    needed = Requirement(line)
    fix = f"pip install '{needed.name}{needed.specifier}'"
    version = _version(needed.name)
    if version is None:
        return Finding("versions", needed.name, BROKEN, "not installed", fix=fix)
    if not needed.specifier.contains(version, prereleases=True):
        wrong = f"{version}, which is not {needed.specifier}"
        return Finding("versions", needed.name, BROKEN, wrong, fix=fix)
    if needed.name == "pyhmmer":  # compiled, and quick to import
        try:
            importlib.import_module("pyhmmer")
        except ImportError as error:
            return Finding("versions", needed.name, BROKEN, f"{version}: {error}", fix=fix)
    return Finding("versions", needed.name, OK, version)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def models() -> Iterator[Finding]:
    """The model that is used where none is named, and what it is made of."""
    from rnagpt.inference.default_model import MODEL_VARIABLE

    named = os.environ.get(MODEL_VARIABLE)
    yield _cache()
    yield _named_model(named, MODEL_VARIABLE) if named else _mini()
    yield _language_model()


def _cache() -> Finding:
    from rnagpt.reference.cache import cache_folder

    folder = cache_folder()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return Finding("models", "cache", OK, str(folder), "models and searches made ready")
    return Finding(
        "models",
        "cache",
        BROKEN,
        f"{folder} cannot be written",
        "models and searches made ready",
        "set RNAGPT_CACHE to a folder that can be written",
    )


def _named_model(named: str, variable: str) -> Finding:
    use = f"answers of a model, as {variable} names it"
    folder = Path(named).expanduser()
    if folder.is_dir():
        if (folder / "config.json").is_file():
            return Finding("models", "default model", OK, f"{named} (a folder)", use)
        problem = f"{named} is a folder without config.json"
    elif re.fullmatch(r"[\w.-]+(/[\w.-]+)?", named) and not named.startswith("."):
        if _in_hub_cache(named):
            return Finding("models", "default model", OK, f"{named} (of the Hub, downloaded)", use)
        later = f"{named} (of the Hub, downloaded on first use)"
        return Finding("models", "default model", MISSING, later, use, f"hf download {named}")
    else:
        problem = f"{named} does not exist"
    fix = f"set {variable} to a model's folder or Hub id, or unset it for rna-gpt-mini"
    return Finding("models", "default model", BROKEN, problem, use, fix)


def _mini() -> Finding:
    from rnagpt.conversion import WeightsError
    from rnagpt.conversion.mini import bundled_folder, find_language_model

    use = "answers of a model, where RNAGPT_MODEL and --model name none"
    name = "default model"
    try:
        folder = bundled_folder(find_language_model())
    except WeightsError as error:
        fix = "install rna-gpt again, or clone it again"
        return Finding("models", name, BROKEN, f"rna-gpt-mini: {error}", use, fix)
    if folder.is_dir():
        return Finding("models", name, OK, f"rna-gpt-mini in {folder}", use)
    later = "rna-gpt-mini, put together on first use (half a minute)"
    return Finding("models", name, MISSING, later, use, "rnagpt mini")


def _language_model() -> Finding:
    from rnagpt.conversion.mini import (
        LANGUAGE_MODEL_HUB_ID,
        LANGUAGE_MODEL_INSTALL,
        find_language_model,
    )

    use = "putting rna-gpt-mini together"
    source = str(find_language_model().source)
    if source != LANGUAGE_MODEL_HUB_ID:
        return Finding("models", "language model", OK, source, use)
    if _in_hub_cache(source):
        found = f"{source} (of the Hub, downloaded)"
        return Finding("models", "language model", OK, found, use)
    later = f"{source} would be downloaded"
    return Finding("models", "language model", MISSING, later, use, LANGUAGE_MODEL_INSTALL)


def _in_hub_cache(name: str) -> bool:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        return isinstance(try_to_load_from_cache(name, "config.json"), str)
    except HFValidationError:
        return False


def reference() -> Iterator[Finding]:
    """The reference that comes along: what it holds, how old it is, and whether it is whole."""
    from rnagpt.conversion.mini import CHECKPOINT
    from rnagpt.reference import InvalidReferenceError
    from rnagpt.reference.manifest import check_hash, read_manifest

    group, folder = "reference", CHECKPOINT / "reference"
    fix = "install rna-gpt again, or clone it again"
    try:
        manifest = read_manifest(folder)
        for name in manifest.files:
            check_hash(folder, name, manifest)
    except (InvalidReferenceError, OSError) as error:
        yield Finding(group, "reference", BROKEN, str(error), "the search", fix)
        return
    yield Finding(group, manifest.title, OK, str(folder), "the search")
    held = f"{manifest.families:,} families, {manifest.rnas:,} single RNAs"
    yield Finding(group, "holds", OK, held)
    yield Finding(group, "built", OK, f"{manifest.date}{_age(manifest.date)}")
    whole = f"{len(manifest.files)} files, all as the manifest's SHA-256 say"
    yield Finding(group, "hashes", OK, whole)


def _age(built: str) -> str:
    """How long ago a date of ISO 8601 is; empty where it is none."""
    try:
        days = (date.today() - datetime.fromisoformat(built).date()).days
    except ValueError:
        return ""
    return f" ({days:,} day{'' if days == 1 else 's'} ago)" if days >= 0 else ""


def programs() -> Iterator[Finding]:
    """Programs that the core does without."""
    yield _vienna()
    infernal = "`rnagpt annotate --verify`"
    yield _program("Infernal cmbuild", ["cmbuild", "-h"], infernal, INFERNAL_INSTALL)
    yield _program("Infernal cmsearch", ["cmsearch", "-h"], infernal, INFERNAL_INSTALL)
    scan = "searching with Infernal yourself"
    yield _program("Infernal cmscan", ["cmscan", "-h"], scan, INFERNAL_INSTALL)
    hmmer = "comparing the search with HMMER's own (benchmarks/search.py)"
    yield _program("HMMER hmmscan", ["hmmscan", "-h"], hmmer, "apt install hmmer")
    blast = "references whose single RNAs are found by BLAST (`--engine blast`)"
    yield _program("BLAST+ blastn", ["blastn", "-version"], blast, "apt install ncbi-blast+")
    clusters = "clusters of RNA-QA that are finer than the built-in ones (`--clusters cd-hit`)"
    yield _program("cd-hit-est", ["cd-hit-est", "-h"], clusters, "apt install cd-hit")


def _vienna() -> Finding:
    use = "folding RNAs, and drawings: `rnagpt chat --explain`"
    if version := _version("viennarna"):
        return Finding("programs", "ViennaRNA", OK, f"{version} (Python module)", use)
    fix = f"pip install '{DISTRIBUTION}[explain]'"
    found = ""
    if path := shutil.which("RNAfold"):
        found = f"RNAfold {_program_version([path, '--version'])}, without the Python module"
    return Finding("programs", "ViennaRNA", MISSING, found, use, fix)


def _program(name: str, command: list[str], use: str, fix: str) -> Finding:
    if (path := shutil.which(command[0])) is None:
        return Finding("programs", name, MISSING, "", use, fix)
    version = _program_version([path, *command[1:]])
    return Finding("programs", name, OK, f"{version} ({path})", use)


def _program_version(command: list[str]) -> str:
    """The first number such as 1.1.4 that a program says, whatever its exit code."""
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
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"version not known: {type(error).__name__}"
    told = re.search(r"\b\d+\.\d+(?:\.\d+)*\+?", done.stdout)
    return told[0] if told else "version not known"


def extras() -> Iterator[Finding]:
    """The package's extras: whether all that each asks for is there."""
    from packaging.requirements import Requirement

    try:
        required = [Requirement(line) for line in importlib.metadata.requires(DISTRIBUTION) or []]
    except importlib.metadata.PackageNotFoundError:
        return
    for extra, use in EXTRAS.items():
        wanted = [
            needed
            for needed in required
            if needed.marker
            and needed.marker.evaluate({"extra": extra})
            and not needed.marker.evaluate({"extra": ""})
        ]
        lacking = [
            f"{needed.name}{needed.specifier}"
            for needed in wanted
            if (version := _version(needed.name)) is None
            or not needed.specifier.contains(version, prereleases=True)
        ]
        fix = f"pip install '{DISTRIBUTION}[{extra}]'" if lacking else ""
        found = f"lacks {', '.join(lacking)}" if lacking else "installed"
        yield Finding("extras", extra, MISSING if lacking else OK, found, use, fix)


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
    except ImportError as error:
        fix = "install PyTorch"
        return Finding("machine", "bfloat16", MISSING, f"not measured: {error}", use, fix)
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
            if (_version("torch") or "").endswith("+cpu"):
                fix = "install a PyTorch with CUDA: https://pytorch.org/get-started/locally/"
                built = f"{cards}, but this PyTorch is built for the CPU alone"
                return Finding("machine", "GPU", MISSING, built, use, fix)
            return Finding("machine", "GPU", OK, cards, use)
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return Finding("machine", "GPU", OK, "Apple's (MPS)", use)
    return Finding("machine", "GPU", MISSING, "none that nvidia-smi names", use)


__all__ = ["BROKEN", "EXTRAS", "MISSING", "OK", "Finding", "cpu_flags", "examine"]
