"""Runs the core of the tests on several versions of transformers; `make compat` runs this.

They are the oldest that `pyproject.toml` admits, the one in .venv, and the newest that is admitted
and can be installed. The first and the last have environments of their own, which hold transformers
and what it wants in another version; all else, PyTorch among it, they find in .venv.
"""

import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
CORE = (
    "tests/model",
    "tests/inference/test_chat.py",
    "tests/inference/test_cpu_decoding.py",
    "tests/training/test_collators.py",
    "tests/training/test_train_sft.py",
    "tests/training/test_transformers_trainer.py",
)


def main() -> None:
    failed = []
    for python in interpreters():
        version = output(python, "import transformers; print(transformers.__version__)")
        print(f"\n--- transformers {version}", flush=True)
        done = run(python, "-m", "pytest", "-q", "-m", "not slow and not vllm", *CORE)
        if done.returncode:
            failed.append(version)
    if failed:
        sys.exit(f"The tests fail on transformers {', '.join(failed)}.")


def interpreters() -> Iterator[Path]:
    """The interpreters that find the oldest, the usual and the newest transformers."""
    admitted = requirements()["transformers"]
    oldest = next(bound.version for bound in admitted.specifier if bound.operator == ">=")
    yield environment("oldest", Requirement(f"transformers=={oldest}"))
    yield Path(sys.executable)
    yield environment("newest", admitted)


def environment(name: str, wanted: Requirement) -> Path:
    """Its interpreter; each time pip looks for the versions again, and downloads what it lacks."""
    folder = ROOT / f".venv-compat-{name}"
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, symlinks=True)
        # Comes after its own packages; `import` has Python run the line, and read .venv's .pth too.
        shared = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})"
        own = output(python, "import sysconfig; print(sysconfig.get_path('purelib'))")
        Path(own, "shared.pth").write_text(shared)
    # What both ask for, or pip would choose for transformers alone.
    hub = requirements()["huggingface_hub"]
    pip = ("-m", "pip", "--python", str(python), "install", "--quiet", "--upgrade")
    run(Path(sys.executable), *pip, str(wanted), str(hub)).check_returncode()
    return python


def requirements() -> dict[str, Requirement]:
    """What the package asks for, by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = map(Requirement, project["dependencies"])
    return {requirement.name: requirement for requirement in found}


def output(python: Path, program: str) -> str:
    command = [str(python), "-c", program]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def run(python: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([str(python), *arguments], cwd=ROOT)


if __name__ == "__main__":
    main()
