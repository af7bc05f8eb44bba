"""Python packages for `rnagpt doctor`: versions, whether they can be imported, extras."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rnagpt import __version__
from rnagpt.cli.finding import BROKEN, DISTRIBUTION, MISSING, OK, Finding, one_line, version_of

EXTRAS = {
    "train": "training, by train_sft.py and `rnagpt pretrain-encoder`",
    "evaluate": "`rnagpt evaluate`",
    "cpu": "answers written faster on a CPU: `--engine llama.cpp`",
    "explain": "drawings of what answers rest on: `rnagpt chat --explain`",
    "rna-qa": "building RNA-QA: `rna-qa`",
    "cluster": "`rnagpt annotate --tasks`, on Slurm or Ray",
    "mcp": "tools for assistants: `rnagpt mcp`",
    "space": "the web demo",
    "serve": "`rnagpt serve`",
    "docs": "building the documentation site",
    "rna-fm": "comparing the encoder with the official RNA-FM",
    "dev": "the tests and `make lint`",
}
# A looser request may fetch gigabytes of CUDA libraries.
TORCH = "torch==2.13.0"
LLAMA = "llama_cpp"  # the module of llama-cpp-python
SECONDS = 120  # that all imports together may take
# Says what each import does, on what was its standard output; imports may print too.
_IMPORTS = """
import importlib, json, os, sys
out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
for name in sys.argv[1:]:
    lacks = ""
    try:
        importlib.import_module(name)
        failure = ""
    except BaseException as error:
        failure = f"{type(error).__name__}: {error}"
        lacks = getattr(error, "name", "") if isinstance(error, ModuleNotFoundError) else ""
    print(json.dumps([name, failure, lacks or ""]), file=out, flush=True)
"""


@dataclass(frozen=True)
class ImportFailure:
    """Why a package cannot be imported.

    Attributes:
        reason: in one line.
        lacks: another package that was not found; empty where that is not why.
    """

    reason: str
    lacks: str = ""


def versions() -> Iterator[Finding]:
    """Python, this package, and what it always needs, in versions that it takes."""
    group = "versions"
    yield Finding(group, "rna-gpt", OK, __version__)
    yield Finding(group, "Python", OK, platform.python_version())
    required = _required()
    if required is None:
        yield Finding(
            group,
            "dependencies",
            MISSING,
            "not known: the package runs from a clone that is not installed",
            "checking the versions of what is needed",
            "pip install -e .",
        )
        return
    needed = {_name(line): line for line in required if "extra ==" not in line}
    failures = import_failures([name for name in needed if version_of(name)])
    for name, line in needed.items():
        if cause := _cause(name, failures):
            found = f"{version_of(name)}, which cannot be imported since {cause} cannot"
            fix = _dependency(cause, needed[cause], failures[cause]).fix
            yield Finding(group, name, BROKEN, found, fix=fix)
        else:
            yield _dependency(name, line, failures.get(name))


def _required() -> list[str] | None:
    try:
        return importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return None


def _name(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    return found[0] if found else requirement


def _dependency(name: str, line: str, failure: ImportFailure | None) -> Finding:
    wanted = TORCH if name == "torch" else line.partition(";")[0].strip()
    fix = f"pip install '{wanted}'"
    version = version_of(name)
    if version is None:
        return Finding("versions", name, BROKEN, "not installed", fix=fix)
    if not _fits(line, version):
        expected = line.partition(";")[0].removeprefix(name).strip()
        wrong = f"{version}, which is not {expected}"
        return Finding("versions", name, BROKEN, wrong, fix=fix)
    if failure is None:
        return Finding("versions", name, OK, version)
    if not failure.lacks or failure.lacks == name:  # else pip installs what it needs
        fix = f"pip install --force-reinstall --no-deps '{wanted}'"
    wrong = f"{version}, which cannot be imported: {failure.reason}"
    return Finding("versions", name, BROKEN, wrong, fix=fix)


def _cause(name: str, failures: Mapping[str, ImportFailure]) -> str:
    """Of the packages that one needs, the one that fails in the same way; empty where none does."""
    if name not in failures:
        return ""
    needs = {other: _needed_by(other, set()) for other in failures}
    alike = [
        other for other in failures if other in needs[name] and failures[other] == failures[name]
    ]
    first = min(alike, key=lambda other: len(needs[other]), default=name)
    return first if first != name and len(needs[first]) < len(needs[name]) else ""


def _needed_by(name: str, seen: set[str]) -> set[str]:
    """The distributions that one needs, those that they need too, without extras."""
    try:
        lines = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return seen
    for line in lines:
        needed = _name(line).lower()
        for spelling in {needed, needed.replace("-", "_")} - seen:
            if "extra ==" not in line:
                seen.add(spelling)
                _needed_by(spelling, seen)
    return seen


def _fits(requirement: str, version: str) -> bool:
    """Whether a version is one of those that a requirement asks for."""
    try:
        from packaging.requirements import Requirement
        from packaging.version import InvalidVersion
    except (Exception, SystemExit):  # then that it cannot be imported is told, and nothing more
        return True
    try:
        return Requirement(requirement).specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return False


def import_failures(modules: Sequence[str]) -> dict[str, ImportFailure]:
    """Import packages in a process of its own, which some might crash; those that fail.

    Args:
        modules: their names. Those of what this package always needs are those of the
            distributions.
    """
    failures: dict[str, ImportFailure] = {}
    left = list(modules)
    while left:
        lines, end = _import_all(left)
        for name, reason, lacks in lines:
            if reason:
                failures[name] = ImportFailure(one_line(reason), lacks.partition(".")[0])
        left = left[len(lines) :]
        if left:
            failures[left.pop(0)] = ImportFailure(end)
    return failures


def _import_all(modules: Sequence[str]) -> tuple[list[list[str]], str]:
    """What each import said, up to one that ended the process; and how that ended."""
    # -P: what lies in the current folder is no package, as it is none to `rnagpt`.
    command = [sys.executable, "-P", "-c", _IMPORTS, *modules]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False
        )
        said, end = done.stdout, _how_it_ended(done.returncode)
    except subprocess.TimeoutExpired as error:
        said, end = error.stdout or b"", f"its import takes more than {SECONDS} seconds"
    return [json.loads(line) for line in said.splitlines()], end


def _how_it_ended(status: int) -> str:
    if status >= 0:
        return f"its import ends Python, with exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"its import crashes Python ({name})"


def extras() -> Iterator[Finding]:
    """The package's extras: whether all that each asks for is there."""
    required = _required()
    if required is None:
        return
    from packaging.requirements import Requirement

    for extra, use in EXTRAS.items():
        wanted = [
            line
            for line in required
            if (marker := Requirement(line).marker)
            and marker.evaluate({"extra": extra})
            and not marker.evaluate({"extra": ""})
        ]
        lacking = [
            line.partition(";")[0].strip()
            for line in wanted
            if (version := version_of(_name(line))) is None or not _fits(line, version)
        ]
        fix = f"pip install '{DISTRIBUTION}[{extra}]'" if lacking else ""
        found = f"lacks {', '.join(lacking)}" if lacking else "installed"
        status = MISSING if lacking else OK
        if extra == "cpu" and not lacking and (broken := _broken_llama()):
            found, status = broken, MISSING
            fix = f"pip install --force-reinstall --no-cache-dir '{DISTRIBUTION}[{extra}]'"
        yield Finding("extras", extra, status, found, use, fix)


def _broken_llama() -> str:
    """Why llama.cpp, which was compiled here, cannot be loaded; empty where it can."""
    failure = import_failures([LLAMA]).get(LLAMA)
    return "" if failure is None else f"llama.cpp cannot be loaded: {failure.reason}"


__all__ = ["EXTRAS", "TORCH", "ImportFailure", "extras", "import_failures", "versions"]
