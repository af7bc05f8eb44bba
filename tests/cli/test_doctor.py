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

from rnagpt.cli.installed_models import damage_of_model, reference
from rnagpt.cli.installed_packages import EXTRAS, TORCH, extras
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


def broken_lines(**environment: str) -> dict[str, str]:
    """The line on standard error of each broken thing; standard output tells it too."""
    done = doctor(**environment)
    assert done.returncode == 2
    assert "Traceback" not in done.stdout + done.stderr
    lines = {}
    for line in done.stderr.splitlines():
        told = re.fullmatch(r"rnagpt doctor: ([^:]+): (.+)", line)
        assert told, line
        assert told[1] not in lines
        lines[told[1]] = told[2]
        assert re.search(rf"^  broken +{re.escape(told[1])} ", done.stdout, re.MULTILINE)
    return lines


def package(folder: Path, name: str, code: str) -> str:
    """A package that stands before the installed one; what PYTHONPATH has to be."""
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(code)
    return str(folder)


FAILING = {
    "pyhmmer": ("raise RuntimeError('first\\nsecond')", "RuntimeError: first second"),
    "filelock": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "numpy": ("import os; os.abort()", "its import crashes Python (SIGABRT)"),
    "shtab": ("import os; os._exit(5)", "its import ends Python, with exit status 5"),
    "tenacity": ("print('{no JSON'); raise ValueError", "ValueError"),
    "tqdm": ("def (", "SyntaxError: invalid syntax (__init__.py, line 1)"),
}


def test_packages_whose_imports_fail(tmp_path):
    for name, (code, _) in FAILING.items():
        package(tmp_path, name, code)
    lines = broken_lines(PYTHONPATH=str(tmp_path))
    for name, (_, reason) in FAILING.items():
        assert re.search(rf"^[\d.]+, which cannot be imported: {re.escape(reason)}", lines[name])
        fix = rf"Fix it: pip install --force-reinstall --no-deps '{name}[<>=,.\d]+'$"
        assert re.search(fix, lines[name])
    assert " since numpy cannot. Fix it: pip install " in lines["gguf"]


def test_without_what_doctor_itself_uses(tmp_path):
    """What a package needs is left to pip, which --no-deps would not let it install."""
    package(tmp_path, "packaging", "raise OSError('libfoo.so: not found')")
    package(tmp_path, "jinja2", "import absent_package")
    lines = broken_lines(PYTHONPATH=str(tmp_path))
    assert "cannot be imported: OSError: libfoo.so: not found. Fix it: pip" in lines["packaging"]
    assert "No module named 'absent_package'. Fix it: pip install 'jinja2<" in lines["jinja2"]


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
    line = broken_lines(PYTHONPATH=str(tmp_path))["torch"]
    assert line.startswith(found)
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
def test_a_model_that_is_not_whole(tmp_path, monkeypatch, damage):
    folder = mini_in(tmp_path, monkeypatch)
    assert damage_of_model(folder) == ""
    problem = damage(folder)
    assert damage_of_model(folder).startswith(problem)


def test_a_mini_that_is_not_whole(tmp_path, monkeypatch):
    folder = mini_in(tmp_path / "a cache", monkeypatch)
    whole = doctor("--json")
    assert whole.returncode == 0, whole.stdout
    assert f"rna-gpt-mini in {folder}" in whole.stdout
    problem = cut_weights(folder)
    (line,) = broken_lines().values()
    assert line.startswith(f"rna-gpt-mini: {problem}")
    assert line.endswith(f"Fix it: rm -r '{folder}' && rnagpt mini")


@pytest.mark.parametrize(
    ("cache", "model"),
    [("/proc/rnagpt", "/no/such/model"), ("FILE/rnagpt", "./models/mine"), ("FILE", "a b")],
)
def test_places_that_are_not_there(tmp_path, cache, model):
    (tmp_path / "file").write_text("in the way")
    cache = cache.replace("FILE", str(tmp_path / "file"))
    absent = str(tmp_path / "reference")
    lines = broken_lines(RNAGPT_CACHE=cache, RNAGPT_MODEL=model, RNAGPT_REFERENCE=absent)
    assert set(lines) == {"cache", "default model", "reference"}
    assert lines["cache"].startswith(f"{cache} cannot be written (")
    assert lines["cache"].endswith("export RNAGPT_CACHE=FOLDER")
    told = f"{model} does not exist. Fix it: set RNAGPT_MODEL to "
    assert lines["default model"].startswith(told)
    assert lines["default model"].endswith("unset RNAGPT_MODEL")
    assert lines["reference"].startswith(f"{absent} is no reference")
    assert lines["reference"].endswith("unset RNAGPT_REFERENCE")


def test_what_is_named_by_variables_and_there(tmp_path):
    shutil.copytree(CHECKPOINT / "reference", tmp_path / "data" / "reference")
    done = doctor(
        "--json",
        RNAGPT_CACHE=str(tmp_path / "new"),
        RNAGPT_MODEL="nobody/nothing-of-this-name",
        RNAGPT_REFERENCE=str(tmp_path / "data"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    findings = json.loads(done.stdout)["findings"]
    assert str(tmp_path / "data" / "reference") in [one["found"] for one in findings]
    (model,) = [one for one in findings if one["name"] == "default model"]
    assert (model["state"], model["fix"]) == ("missing", "hf download nobody/nothing-of-this-name")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]  # nothing is left in the cache


@pytest.mark.parametrize("damage", ["cut", "changed", "absent", "manifest"])
def test_a_damaged_reference(tmp_path, monkeypatch, damage):
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
    monkeypatch.setenv("RNAGPT_REFERENCE", str(folder))
    (broken,) = [one for one in reference() if one.state == "broken"]
    assert broken.found.startswith(told)


FAULTY = {
    "cmbuild": (
        "echo 'error while loading shared libraries: libgsl.so.27.1.0'; exit 127",
        "exit status 127, error while loading shared libraries: libgsl.so.27.1.0",
    ),
    "cmsearch": ("exit 3", "exit status 3"),
    "cmscan": ("exit 0", "it does not say its version"),
    "hmmscan": ("echo 1.2.3; kill -SEGV $$", "exit status -11, 1.2.3"),
    "blastn": (None, "Exec format error"),
    "cd-hit-est": ("exit 1", "it does not say its version"),
}


def test_programs_that_do_not_work(tmp_path):
    for name, (script, _) in FAULTY.items():
        content = b"\x00\x01" if script is None else f"#!/bin/sh\n{script}\n".encode()
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o755)
    package(tmp_path, "RNA", "raise ImportError('_RNA.so: undefined symbol')")
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = doctor("--json", PATH=path, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    found = {one["name"]: one for one in json.loads(done.stdout)["findings"]}
    for program in PROGRAMS:
        told = FAULTY[program.command[0]][1]
        file = tmp_path / program.command[0]
        assert found[program.name]["state"] == "missing"
        assert found[program.name]["found"] == f"{file} does not work: {told}"
        assert program.fix in found[program.name]["fix"]
    assert "cannot be imported: ImportError: _RNA.so: undef" in found["ViennaRNA"]["found"]


def test_every_extra_is_listed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(EXTRAS) == set(project["optional-dependencies"])
    assert [one.name for one in extras()] == list(EXTRAS)


def test_a_llama_cpp_that_was_compiled_and_does_not_load(tmp_path, monkeypatch):
    """As after an update of the system's libraries: the package is there, its library is not."""
    library = tmp_path / "llama_cpp"
    library.mkdir()
    (library / "__init__.py").write_text("raise OSError('libllama.so: cannot open')\n")
    installed = tmp_path / "llama_cpp_python-0.3.36.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Name: llama-cpp-python\nVersion: 0.3.36\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (found,) = (one for one in extras() if one.name == "cpu")
    assert found.state == "missing"
    assert "llama.cpp cannot be loaded: OSError: libllama.so: cannot open" in found.found
    assert "pip install --force-reinstall" in found.fix
    (library / "__init__.py").write_text("")
    (found,) = (one for one in extras() if one.name == "cpu")
    assert found.state == "ok"
