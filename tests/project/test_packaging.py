"""What is installed: lazy imports, one version, an sdist and a wheel with what is meant alone."""

import ast
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile

import pytest
from helpers.paths import ROOT
from helpers.tiny_models import make_model, make_processor

import rnagpt
from rnagpt.conversion import REMOTE_CODE

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
PACKAGES = (
    "cli/",
    "conversion/",
    "evaluation/",
    "evidence/",
    "hub/",
    "inference/",
    "reference/",
    "rna_qa/",
    "sequences/",
    "serving/",
    "training/",
)
DATA = ("checkpoints/rna-gpt-mini/", "recipes/", "space/")


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
    assert str(versions[canonicalize_name("torch")]) == "2.13.0"
    assert "torch==2.13.0" in (ROOT / "Makefile").read_text()


def test_model_files_import_nothing_of_the_package_but_each_other():
    """The Hub ships only these."""
    shipped = {name.removesuffix(".py") for name in REMOTE_CODE}
    for name in shipped:
        for node in ast.walk(ast.parse((ROOT / f"{name}.py").read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert node.module in shipped, f"{name} imports .{node.module}"
            elif isinstance(node, ast.ImportFrom):
                assert node.module is not None
                assert not node.module.startswith("rnagpt"), f"{name} imports {node.module}"
            elif isinstance(node, ast.Import):
                assert not any(alias.name.startswith("rnagpt") for alias in node.names)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of the tracked files, as git would make it."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("needs the git clone: what is meant are the tracked files")
    folder = tmp_path_factory.mktemp("clone") / "source"
    for name in filter(None, done.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


@pytest.fixture(scope="module")
def sdist(source, tmp_path_factory):
    """Built as `python -m build --sdist` builds it, with this environment's setuptools."""
    out = tmp_path_factory.mktemp("sdist")
    code = f"from setuptools import build_meta; build_meta.build_sdist({str(out)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True)
    (archive,) = out.iterdir()
    return archive


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    """Built from the sdist alone, so that what the sdist lacks is lacking here."""
    out = tmp_path_factory.mktemp("wheel")
    # Without isolation: an index is not asked for setuptools.
    options = ["--no-deps", "--no-build-isolation", "-w", out]
    subprocess.run([*PIP, "wheel", *options, sdist], check=True)
    (archive,) = out.iterdir()
    return archive


def files_of(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def meant_of(source):
    """The tracked files that an installation is to have."""
    tracked = files_of(source)
    # What a container is built from is of the repository, and not of an installation.
    container = ("serving/Dockerfile", "serving/Dockerfile.dockerignore", "serving/compose.yaml")
    packages = {name for name in tracked if name.startswith(PACKAGES)} - set(container)
    modules = {name for name in tracked if name.endswith(".py") and "/" not in name}
    data = {name for name in tracked if name.startswith(DATA) and not name.endswith(".png")}
    return modules | packages | data | {"dataset_card.md", "py.typed"}


@pytest.mark.slow
def test_sdist_holds_what_the_package_is_built_from_alone(source, sdist):
    top = f"rna_gpt-{rnagpt.__version__}"
    assert sdist.name == f"{top}.tar.gz"
    with tarfile.open(sdist) as archive:
        files = {member.name.removeprefix(f"{top}/") for member in archive if member.isfile()}
    held = {name for name in files if not name.startswith("rna_gpt.egg-info/")}
    about = {"CHANGELOG.md", "CITATION.cff", "LICENSE", "README.md"}
    build = {"MANIFEST.in", "PKG-INFO", "pyproject.toml", "setup.cfg"}
    assert held == meant_of(source) | about | build


@pytest.mark.slow
def test_wheel_holds_the_files_that_are_meant(source, wheel):
    version = rnagpt.__version__
    assert wheel.name == f"rna_gpt-{version}-py3-none-any.whl"
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"rnagpt", f"rna_gpt-{version}.dist-info"}
    held = {name.removeprefix("rnagpt/") for name in names if name.startswith("rnagpt/")}
    assert held == meant_of(source)


SMOKE = """
import sys
import rnagpt
from rnagpt.conversion import REMOTE_CODE
from rnagpt import RnaChat, cli
from rnagpt.hub.space import SPACE
from rnagpt.rna_qa.export import CARD
from rnagpt.conversion.mini import CHECKPOINT
assert rnagpt.__file__.startswith(sys.prefix), rnagpt.__file__
assert CHECKPOINT.is_dir() and SPACE.is_dir() and CARD.is_file()
chat = RnaChat.from_pretrained(sys.argv[1])
chat.add_rna("GCGGAUUUAGCUCAGUUGGGAGAGC")
print("".join(chat.ask("What is this RNA?", max_new_tokens=4)))
"""


@pytest.mark.slow
def test_wheel_works_in_an_environment_of_its_own(wheel, tmp_path):
    """An empty environment; the dependencies' folder is lent, without this one's editable install.

    Its finder starts from a .pth file, which Python reads in an environment's own folder alone.
    """
    processor = make_processor()
    for part in (make_model(processor), processor):
        part.save_pretrained(tmp_path / "model")
    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    programs = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin")
    python = [*PIP, "--python", programs / "python"]
    subprocess.run([*python, "install", "--no-deps", "--no-index", wheel], check=True)
    environment = {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib")}

    def run(*words):
        return subprocess.check_output(words, cwd=tmp_path, env=environment, text=True)

    version = rnagpt.__version__
    assert run(programs / "rnagpt", "--version") == f"rnagpt {version}\n"
    assert "literature" in run(programs / "rna-qa", "--help")
    assert run(programs / "python", "-c", SMOKE, tmp_path / "model").strip()
