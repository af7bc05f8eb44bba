"""`rnagpt doctor` on broken installations: each is broken for real, in a process of its own."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from helpers.paths import ROOT
from helpers.tiny_models import make_model, make_processor

from rnagpt.cli.installed_packages import EXTRAS, TORCH
from rnagpt.cli.installed_programs import PROGRAMS
from rnagpt.conversion.mini import CHECKPOINT, bundled_folder, find_language_model

COMMAND = [sys.executable, "-P", "-m", "rnagpt.cli.main", "doctor"]


def doctor(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def broken_line(name: str, **environment: str) -> str:
    """The one line on standard error, of one broken thing; standard output tells it too."""
    done = doctor(**environment)
    lines = [line for line in done.stderr.splitlines() if f"doctor: {name}: " in line]
    assert (done.returncode, len(lines)) == (2, 1), done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert all(line.startswith("rnagpt doctor: ") for line in done.stderr.splitlines())
    assert re.search(rf"^  broken +{re.escape(name)} ", done.stdout, re.MULTILINE)
    return lines[0]


def missing(name: str, **environment: str) -> dict[str, str]:
    """What is told of something optional; nothing else is broken by it."""
    done = doctor("--json", **environment)
    assert (done.returncode, done.stderr) == (0, "")
    (found,) = [one for one in json.loads(done.stdout)["findings"] if one["name"] == name]
    assert found["state"] == "missing"
    return {key: str(value) for key, value in found.items()}


def package(folder: Path, name: str, code: str) -> str:
    """A package that stands before the installed one; what PYTHONPATH has to be."""
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(code)
    return str(folder)


@pytest.mark.parametrize(
    ("name", "code", "reason"),
    [
        ("pyhmmer", "raise RuntimeError('first\\nsecond')", "RuntimeError: first second"),
        ("packaging", "raise OSError('libfoo.so: not found')", "OSError: libfoo.so: not found"),
        ("filelock", "import sys; sys.exit(3)", "SystemExit: 3"),
        ("numpy", "import os; os.abort()", "its import crashes Python (SIGABRT)"),
        ("shtab", "import os; os._exit(5)", "its import ends Python, with exit status 5"),
        ("tqdm", "def (", "SyntaxError: invalid syntax"),
        ("tenacity", "print('{no JSON'); raise ValueError", "ValueError"),
    ],
)
def test_a_package_whose_import_fails(tmp_path, name, code, reason):
    line = broken_line(name, PYTHONPATH=package(tmp_path, name, code))
    assert f", which cannot be imported: {reason}" in line
    assert re.search(rf"pip install --force-reinstall --no-deps '{name}[<>=,.\d]+'$", line)


def test_what_fails_with_it_names_the_package_to_mend(tmp_path):
    line = broken_line("transformers", PYTHONPATH=package(tmp_path, "tqdm", "raise ValueError(1)"))
    assert "since tqdm cannot. Fix it: pip install --force-reinstall --no-deps 'tqdm" in line


def test_what_a_package_needs_is_left_to_pip(tmp_path):
    """Pip installs what a package needs that is not there; --no-deps would not."""
    line = broken_line("jinja2", PYTHONPATH=package(tmp_path, "jinja2", "import absent_package"))
    assert "No module named 'absent_package'. Fix it: pip install 'jinja2<" in line


def test_a_terminal_is_told_too_where_rich_is_broken(tmp_path):
    main, side = pty.openpty()
    path = package(tmp_path, "rich", "raise ImportError('no such symbol')")
    environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": path}
    process = subprocess.Popen(COMMAND, stdout=side, stderr=subprocess.PIPE, env=environment)
    os.close(side)
    assert process.stderr
    told = process.stderr.read().decode()
    assert process.wait(120) == 2
    os.close(main)
    assert re.fullmatch(r"rnagpt doctor: rich: [\d.]+, which cannot be imported: .*\n", told)


@pytest.mark.parametrize(
    ("version", "found"), [("2.1.0", "2.1.0, which is not <3,>=2.6"), ("odd!", "odd!, which")]
)
def test_a_torch_of_another_version(tmp_path, version, found):
    metadata = tmp_path / "torch-2.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")
    line = broken_line("torch", PYTHONPATH=str(tmp_path))
    assert f"torch: {found}" in line
    assert line.endswith(f"Fix it: pip install '{TORCH}'")
    assert TORCH in (ROOT / "README.md").read_text()


def mini_in(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A whole folder where rna-gpt-mini would be."""
    monkeypatch.setenv("RNAGPT_CACHE", str(cache))
    folder = bundled_folder(find_language_model())
    processor = make_processor()
    make_model(processor).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def cut_weights(folder: Path) -> str:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    return f"{file} is cut short: it has {file.stat().st_size:,} bytes, expected "


def cut_header(folder: Path) -> str:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    return f"{file} is cut short: it has 100 bytes, and its header alone has more"


def cut_tokenizer(folder: Path) -> str:
    file = folder / "tokenizer.json"
    file.write_bytes(file.read_bytes()[:500])
    return f"{file} is no JSON"


def no_weights(folder: Path) -> str:
    (folder / "model.safetensors").unlink()
    return f"{folder} has no weights"


def no_config(folder: Path) -> str:
    (folder / "config.json").unlink()
    return f"{folder} has no config.json"


@pytest.mark.parametrize("damage", [cut_weights, cut_header, cut_tokenizer, no_weights, no_config])
def test_a_mini_that_is_not_whole(tmp_path, monkeypatch, damage):
    folder = mini_in(tmp_path / "a cache", monkeypatch)
    whole = doctor("--json")
    assert whole.returncode == 0, whole.stdout
    assert f"rna-gpt-mini in {folder}" in whole.stdout
    problem = damage(folder)
    line = broken_line("default model")
    assert f"rna-gpt-mini: {problem}" in line
    assert line.endswith(f"Fix it: rm -r '{folder}' && rnagpt mini")
    monkeypatch.setenv("RNAGPT_MODEL", str(folder))
    assert problem in broken_line("default model")


@pytest.mark.parametrize("cache", ["/proc/rnagpt", "FILE/rnagpt", "FILE"])
def test_a_cache_that_cannot_be_written(tmp_path, cache):
    (tmp_path / "file").write_text("in the way")
    cache = cache.replace("FILE", str(tmp_path / "file"))
    line = broken_line("cache", RNAGPT_CACHE=cache)
    assert f"{cache} cannot be written (" in line
    assert line.endswith("export RNAGPT_CACHE=FOLDER")


def test_looking_at_a_cache_leaves_nothing_in_it(tmp_path):
    assert doctor(RNAGPT_CACHE=str(tmp_path / "new")).returncode == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["/no/such/model", "./models/mine", "a b"])
def test_a_model_that_does_not_exist(name):
    line = broken_line("default model", RNAGPT_MODEL=name)
    assert f"{name} does not exist. Fix it: set RNAGPT_MODEL to " in line
    assert line.endswith("unset RNAGPT_MODEL")


def test_a_hub_id_is_downloaded_later():
    told = missing("default model", RNAGPT_MODEL="nobody/nothing-of-this-name")
    assert told["fix"] == "hf download nobody/nothing-of-this-name"


def test_a_reference_that_does_not_exist():
    line = broken_line("reference", RNAGPT_REFERENCE="/no/such/reference")
    assert "/no/such/reference is no reference" in line
    assert line.endswith("unset RNAGPT_REFERENCE")


def test_a_reference_of_its_own_and_none(tmp_path):
    shutil.copytree(CHECKPOINT / "reference", tmp_path / "data" / "reference")
    done = doctor("--json", RNAGPT_REFERENCE=str(tmp_path / "data"))
    assert done.returncode == 0
    assert str(tmp_path / "data" / "reference") in done.stdout
    assert "the web demo searches nothing" in doctor(RNAGPT_REFERENCE="none").stdout


@pytest.mark.parametrize("damage", ["cut", "changed", "absent", "manifest"])
def test_a_damaged_reference(tmp_path, damage):
    folder = tmp_path / "reference"
    shutil.copytree(CHECKPOINT / "reference", folder)
    file = folder / "families.jsonl.xz"
    data = file.read_bytes()
    if damage == "cut":
        file.write_bytes(data[:-10])
        told = f"{file} has {len(data) - 10:,} bytes, not {len(data):,}"
    elif damage == "changed":
        file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        told = f"{file} is not the file that the manifest names"
    elif damage == "absent":
        file.unlink()
        told = f"{file} is missing"
    else:
        (folder / "manifest.json").write_text("{")
        told = f"{folder / 'manifest.json'} is no manifest of a reference"
    assert told in broken_line("reference", RNAGPT_REFERENCE=str(folder))


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (
            "echo 'error while loading shared libraries: libgsl.so.27.1.0'; exit 127",
            "exit status 127, error while loading shared libraries: libgsl.so.27.1.0",
        ),
        ("exit 3", "exit status 3"),
        ("exit 0", "it does not say its version"),
        ("echo 1.2.3; kill -SEGV $$", "exit status -11, 1.2.3"),
        (None, "OSError: [Errno 8] Exec format error"),
    ],
)
@pytest.mark.parametrize("program", [PROGRAMS[0], PROGRAMS[-1]], ids=lambda one: str(one.name))
def test_a_program_that_does_not_work(tmp_path, program, script, told):
    file = tmp_path / program.command[0]
    file.write_bytes(b"\x00\x01" if script is None else f"#!/bin/sh\n{script}\n".encode())
    file.chmod(0o755)
    found = missing(program.name, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert found["found"] == f"{file} does not work: {told}"
    assert program.fix in found["fix"]


def test_a_viennarna_that_cannot_be_imported(tmp_path):
    pytest.importorskip("RNA", reason="ViennaRNA, package viennarna, is not installed")
    path = package(tmp_path, "RNA", "raise ImportError('_RNA.so: undefined symbol')")
    found = missing("ViennaRNA", PYTHONPATH=path)
    assert "which cannot be imported: ImportError: _RNA.so: undefined symbol" in found["found"]


def test_every_extra_is_listed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(EXTRAS) == set(project["optional-dependencies"])
    findings = json.loads(doctor("--json").stdout)["findings"]
    listed = [one["name"] for one in findings if one["group"] == "extras"]
    assert listed == list(EXTRAS)
