"""Script of a clean environment that has the Space's requirements: starts it, opens its page.

    python -P verify_space.py ORG/NAME [REVISION]

The last line is JSON: the page's status, its title, and the folder of the Hub's files.
"""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Any

SECONDS = 600


def main(where: str, revision: str | None = None) -> None:
    from huggingface_hub import snapshot_download

    # Not into the cache, whose files are links: Python looks for modules next to the link's target.
    folder = os.path.abspath("space")
    snapshot_download(where, repo_type="space", revision=revision, local_dir=folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "False",
    }
    with open("app.log", "w+") as log:
        app = subprocess.Popen(
            [sys.executable, "app.py"],
            cwd=folder,
            env=os.environ | settings,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            status, page = _open(f"http://127.0.0.1:{port}/", app)
        except TimeoutError as error:
            log.seek(0)
            sys.exit(f"{log.read()}\n{error}")
        finally:
            app.terminate()
            app.wait(timeout=30)
    found = {"status": status, "title": _title(page), "snapshot": folder}
    print(json.dumps(found))


def _title(page: str) -> str | None:
    """A page of Gradio's has its own in the last of its previews, after Gradio's."""
    found = re.findall(r"<title>(.*?)</title>", page, re.DOTALL)
    found += re.findall(r'<meta property="og:title" content="([^"]+)"', page)
    return found[-1].strip() if found else None


def _open(url: str, app: subprocess.Popen[Any]) -> tuple[int, str]:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if app.poll() is not None:
            raise TimeoutError(f"app.py ended with {app.returncode} before its page was there")
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except (urllib.error.URLError, OSError):
            time.sleep(1)
    raise TimeoutError(f"no page within {SECONDS} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
