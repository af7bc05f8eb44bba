"""What continuous integration and pre-commit run: valid files, which call targets that exist."""

import re
import subprocess
import tomllib
from collections.abc import Iterable
from importlib import metadata
from typing import Any

import pytest
import yaml
from helpers.paths import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def workflow(name: str) -> dict[str, Any]:
    """Its text read as YAML 1.1 does, for which `on` is a truth value."""
    read: dict[Any, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())
    return {"on" if key is True else key: value for key, value in read.items()}


def commands(job: dict[str, Any]) -> list[str]:
    """What a job runs, once for every value of its matrix."""
    written = [step["run"] for step in job["steps"] if "run" in step]
    choices = job.get("strategy", {}).get("matrix", {})
    for name, values in choices.items():
        placeholder = f"${{{{ matrix.{name} }}}}"
        written = [line.replace(placeholder, value) for line in written for value in values]
    return written


def targets(line: str) -> list[str]:
    """The targets of a `make` command, without its variables."""
    program, *words = line.split()
    assert program == "make", f"a workflow runs {line!r}, which nobody can run by one target here"
    return [word for word in words if "=" not in word]


def targets_of_the_makefile() -> set[str]:
    """As make itself reads it; all that people call are phony targets."""
    asked = ["make", "--print-data-base", "--question", "help"]
    printed = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True).stdout
    (phony,) = re.findall(r"^\.PHONY: (.*)$", printed, re.MULTILINE)
    return set(phony.split())


def test_each_gate_has_its_workflow():
    found = {path.stem for path in WORKFLOWS}
    assert found == {"compat", "docs", "lint", "slow", "test"}


@pytest.mark.parametrize("name", [path.name for path in WORKFLOWS])
def test_workflows_run_targets_that_the_makefile_has(name: str):
    jobs = workflow(name)["jobs"]
    ran = [line for job in jobs.values() for line in commands(job)]
    called = {target for line in ran for target in targets(line)}
    assert called
    assert called <= targets_of_the_makefile()


@pytest.mark.parametrize("name", [path.name for path in WORKFLOWS])
def test_workflows_may_only_read_and_end(name: str):
    """The token that GitHub gives a run could write otherwise, and a run last six hours."""
    read = workflow(name)
    assert read["on"]
    assert read["permissions"] == {"contents": "read"}
    for job in read["jobs"].values():
        assert "permissions" not in job
        assert job["timeout-minutes"] <= 120
        (checkout,) = (s for s in job["steps"] if s.get("uses", "").startswith("actions/checkout@"))
        assert checkout["with"]["persist-credentials"] is False


@pytest.mark.parametrize("name", [path.name for path in WORKFLOWS])
def test_actions_are_githubs_own_at_a_major_version(name: str):
    steps = [step for job in workflow(name)["jobs"].values() for step in job["steps"]]
    for used in (step["uses"] for step in steps if "uses" in step):
        assert re.fullmatch(r"actions/[a-z-]+@v\d+", used), used


def test_continuous_integration_checks_style_and_types_before_the_tests():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert [line for line in lines if line.startswith("make")] == ["make lint", "make test"]


def test_pre_commit_formats_with_the_ruff_of_make_lint():
    """Two releases of ruff may format differently."""
    pinned = (ROOT / "constraints.txt").read_text().splitlines()
    (ruff,) = (line.removeprefix("ruff==") for line in pinned if line.startswith("ruff=="))
    repos = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    hooks = {repo["repo"].rpartition("/")[2]: repo for repo in repos}
    assert hooks["ruff-pre-commit"]["rev"] == f"v{ruff}"
    assert {hook["id"] for repo in repos for hook in repo["hooks"]} >= {
        "ruff-check",
        "ruff-format",
        "end-of-file-fixer",
        "check-added-large-files",
    }


# Not in every environment: `make test-llama` compiles it, for minutes.
COMPILED = {"llama-cpp-python"}


def test_this_environment_is_what_the_constraints_say():
    """Each dependency of each extra, and what those want in turn, has its line and that version."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    versions = {canonicalize_name(pin.name): pin.specifier for pin in pins}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    open_ones = [*project["dependencies"], *(line for lines in extras.values() for line in lines)]
    unpinned, other, seen = set(), set(), set()
    while open_ones:
        wanted = Requirement(open_ones.pop())
        name = canonicalize_name(wanted.name)
        if (key := (name, frozenset(wanted.extras))) in seen or not applies(wanted):
            continue
        seen.add(key)
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            if name not in COMPILED:
                raise
            assert name in versions
            continue
        if name not in versions:
            unpinned.add(name)
        elif not versions[name].contains(found.version.partition("+")[0]):
            other.add(f"{name} {found.version}, and {versions[name]} in constraints.txt")
        needs = map(Requirement, found.requires or [])
        open_ones += [without_marker(need) for need in needs if applies(need, wanted.extras)]
    assert (unpinned, other) == (set(), set())


def without_marker(requirement: Requirement) -> str:
    """It has been found to apply, perhaps by the extra that was asked for."""
    return str(requirement).partition(";")[0]


def applies(requirement: Requirement, extras: Iterable[str] = ()) -> bool:
    """Whether its marker holds on this machine, with these extras of the one that asks for it."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in (*extras, ""))


def test_nothing_binary_is_kept_but_what_is_meant_to_ship():
    """The history keeps every version for ever; a stray wheel once lay in the root."""
    listed = ["git", "ls-files", "-z"]
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("needs a checkout")
    files = [ROOT / name for name in done.stdout.split("\0")[:-1]]
    binary = {
        file.relative_to(ROOT)
        for file in files
        if file.is_file() and b"\0" in file.read_bytes()[:8000]
    }
    meant = ("checkpoints/rna-gpt-mini/", "tests/data/official_encoders/", "space/screenshot.png")
    assert [str(file) for file in binary if not str(file).startswith(meant)] == []
    shipped = sum(file.stat().st_size for file in files if "checkpoints" in file.parts)
    assert shipped < 40_000_000
