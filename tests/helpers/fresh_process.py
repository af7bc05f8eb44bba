"""Programs in a process of their own, with an empty cache, as a stranger would run them."""

import os
import subprocess
import sys
from pathlib import Path


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
