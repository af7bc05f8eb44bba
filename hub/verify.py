"""Clean environments: processes without this one's caches, tokens and settings."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants

from rnagpt.hub import PublishError
from rnagpt.hub.manifest import Manifest

SCRIPT = Path(__file__).with_name("load_in_clean_env.py")
SECONDS = 3600
# Settings that would give such a process this user's caches, tokens or modules.
_OWN_SETTINGS = ("HF_", "HUGGING_FACE_", "HUGGINGFACE_", "TRANSFORMERS_", "DATASETS_", "PYTHON")


def empty_home() -> tempfile.TemporaryDirectory[str]:
    """A folder for the caches of one clean environment, removed at the end."""
    return tempfile.TemporaryDirectory(prefix="rnagpt-verify-")


def load_by_id(
    kind: str,
    repo_id: str,
    commit: str,
    manifest: Manifest,
    api: HfApi,
    private: bool,
    settings: Mapping[str, str] | None = None,
) -> Any:
    """What a clean environment loads from the Hub, once its files are those of the manifest.

    Args:
        kind: "model", "dataset" or "space".
        repo_id, commit: what is loaded.
        manifest: what was published.
        api, private, settings: see `run_in_clean_env`, as do the errors.
    """
    with empty_home() as home:
        arguments = [kind, repo_id, commit]
        loaded = run_in_clean_env(arguments, home, api=api, private=private, settings=settings)
        check_files(Path(loaded["snapshot"]), manifest)
    return loaded


def load_folder(kind: str, folder: Path) -> Any:
    """What a clean environment loads from a folder of this machine."""
    with empty_home() as home:
        return run_in_clean_env([kind, str(folder.absolute())], home)


def run_in_clean_env(
    arguments: Sequence[str],
    home: str | Path,
    *,
    api: HfApi | None = None,
    private: bool = False,
    settings: Mapping[str, str] | None = None,
) -> Any:
    """Run `load_in_clean_env.py` in a fresh process; returns its last line, read as JSON.

    Args:
        arguments: of the script.
        home: folder of its caches.
        api: the Hub that it may reach; None: it may reach none.
        private: give it the token; else it is anonymous.
        settings: more environment variables.

    Raises:
        PublishError: if the process fails; holds the last line of what it wrote.
    """
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(_OWN_SETTINGS)
    }
    environment |= {
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
        **_reach(api, private),
        **(settings or {}),
    }
    # -P: the script's own folder is not searched for modules.
    command = [sys.executable, "-P", str(SCRIPT), *arguments]
    try:
        done = subprocess.run(
            command,
            env=environment,
            cwd=home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise PublishError(f"the clean environment took more than {SECONDS} s") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it wrote nothing"]
        raise PublishError(
            f"the process in the clean environment ended with {done.returncode}: {lines[-1]}\n"
            f"(Its last lines were:\n{chr(10).join(lines[-8:])})"
        )
    return json.loads(done.stdout.splitlines()[-1])


def _reach(api: HfApi | None, private: bool) -> dict[str, str]:
    if api is None:
        return {"HF_HUB_OFFLINE": "1"}
    reach = {"HF_ENDPOINT": api.endpoint}
    if constants.HF_HUB_DISABLE_XET:
        reach["HF_HUB_DISABLE_XET"] = "1"
    token = api.token if isinstance(api.token, str) else None
    if private:
        from huggingface_hub import get_token

        token = token or get_token()
        reach |= {"HF_TOKEN": token or "", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "0"}
    return reach


def check_files(snapshot: Path, manifest: Manifest) -> None:
    """Compare the files that were downloaded with those that were published, by their SHA-256.

    Raises:
        PublishError: naming the first file that is missing or another.
    """
    for file in manifest.files:
        got = snapshot / file.path
        if not got.is_file():
            raise PublishError(f"{file.path} did not come back from the Hub")
        with got.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        if sha256 != file.sha256():
            raise PublishError(
                f"{file.path} came back with the SHA-256 {sha256}, published was {file.sha256()}"
            )
