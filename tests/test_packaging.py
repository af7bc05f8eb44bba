"""What is installed: lazy imports, one version, a wheel with what is meant and nothing else."""

import ast
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import rnagpt

ROOT = Path(rnagpt.__file__).parent


def test_import_is_fast_and_loads_no_torch():
    code = (
        "import time; start = time.perf_counter(); import rnagpt, sys;"
        "print(time.perf_counter() - start, 'torch' in sys.modules, 'numpy' in sys.modules)"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    seconds, torch_loaded, numpy_loaded = output.stdout.split()
    assert float(seconds) < 0.5
    assert (torch_loaded, numpy_loaded) == ("False", "False")


def test_every_public_name_is_there():
    for name in rnagpt.__all__:
        assert getattr(rnagpt, name) is not None
    assert set(rnagpt.__all__) <= set(dir(rnagpt))
    with pytest.raises(AttributeError, match="no attribute 'RnaGPT'"):
        _ = rnagpt.RnaGPT


def test_versions_of_the_constraints_satisfy_the_bounds():
    """Else `make` would ask pip for the impossible; and the exact names that it relies on."""
    tomllib = pytest.importorskip("tomllib")
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = [Requirement(line) for line in lines if line and not line.startswith("#")]
    versions = {canonicalize_name(r.name): str(r.specifier).removeprefix("==") for r in pinned}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = project["dependencies"] + [line for lines in extras.values() for line in lines]
    for requirement in map(Requirement, wanted):
        version = versions[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement} against {version}"
        assert re.search(r"<|==", str(requirement.specifier)), f"{requirement} has no upper bound"
    assert versions["torch"] == "2.13.0"
    assert f"torch=={versions['torch']}" in (ROOT / "Makefile").read_text()


def test_model_files_import_nothing_of_the_package_but_each_other():
    """The Hub ships these three alone."""
    shipped = {"configuration_rnagpt", "modeling_rnagpt", "processing_rnagpt"}
    for name in shipped:
        for node in ast.walk(ast.parse((ROOT / f"{name}.py").read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert node.module in shipped, f"{name} imports .{node.module}"
            elif isinstance(node, ast.ImportFrom):
                assert node.module is not None
                assert not node.module.startswith("rnagpt"), f"{name} imports {node.module}"
            elif isinstance(node, ast.Import):
                assert not any(alias.name.startswith("rnagpt") for alias in node.names)


@pytest.mark.slow
def test_wheel_holds_the_package_and_works_without_the_clone(tmp_path):
    """Installed next to this environment's dependencies, from a copy that git would make."""
    files = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if files.returncode:
        pytest.skip("needs the git clone: the wheel is built from the tracked files")
    source = tmp_path / "source"
    for name in filter(None, files.stdout.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", tmp_path, source], check=True)
    (wheel,) = tmp_path.glob("rna_gpt-*.whl")
    assert wheel.name == f"rna_gpt-{rnagpt.__version__}-py3-none-any.whl"

    names = zipfile.ZipFile(wheel).namelist()
    held = {name.removeprefix("rnagpt/") for name in names if name.startswith("rnagpt/")}
    outside = {name.split("/")[0] for name in names} - {"rnagpt"}
    assert outside == {f"rna_gpt-{rnagpt.__version__}.dist-info"}
    tracked = [name for name in files.stdout.split("\0") if name]
    for folder in ("checkpoints/rna-gpt-mini/", "recipes/", "weights/", "rna_qa/", "publishing/"):
        assert {name for name in tracked if name.startswith(folder)} <= held
    assert {name for name in tracked if "/" not in name and name.endswith(".py")} <= held
    assert "dataset_card.md" in held
    in_space = {name for name in tracked if name.startswith("space/")}
    assert {name for name in in_space if not name.endswith(".png")} <= held
    assert not any(name.startswith(("tests/", ".", "examples/", "Makefile")) for name in held)

    site = tmp_path / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True)
    # An editable install is a finder of its own, which would come before the path.
    code = (
        "import sys; sys.meta_path[:] = [finder for finder in sys.meta_path "
        "if finder.__module__.startswith(('_frozen', 'importlib'))];"
        f"sys.path.insert(0, {str(site)!r}); import rnagpt, rnagpt.cli;"
        "print(rnagpt.__file__); rnagpt.cli.main(['--version'])"
    )
    output = subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path, text=True)
    assert output.splitlines() == [
        str(site / "rnagpt" / "__init__.py"),
        f"rnagpt {rnagpt.__version__}",
    ]
