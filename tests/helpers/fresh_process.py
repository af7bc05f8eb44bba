"""Programs in a process of their own, with an empty cache, as a stranger would run them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def run_fresh(
    code: str, *arguments: str, folder: Path, timeout: float = 300, **environment: str
) -> str:
    """Run a program in a folder, where its cache is too; returns its output."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *arguments],
        env={**os.environ, "HF_HOME": str(folder), **environment},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def found_offline(code: str, *arguments: object, folder: Path) -> Any:
    """The same of a program without the Hub, which prints what it found as JSON on its last line.

    It finds no package beside the installed ones: `PYTHONPATH` is not passed on.
    """
    words = map(str, arguments)
    offline = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
    printed = run_fresh(code, *words, folder=folder, timeout=300, **offline)
    return json.loads(printed.splitlines()[-1])
