"""Script of a clean environment: loads what was published, as a user without rna-gpt does.

    python -P load_in_clean_env.py model|dataset|space WHERE [REVISION]

WHERE is a Hub id, or the folder that was published. The last line is JSON: what was loaded, to be
compared, and as `snapshot` the folder of the Hub's files. It imports nothing of rna-gpt.
"""

import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from itertools import islice
from typing import Any

RNA = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"
MESSAGES = [
    {
        "role": "user",
        "content": [{"type": "rna", "rna": RNA}, {"type": "text", "text": "What is this RNA?"}],
    }
]
ROWS_SAMPLED, ROWS_STREAMED = 500, 20
SECONDS_TO_START = 600


def load_model(where: str, snapshot: str, **revision: Any) -> dict[str, Any]:
    """By transformers: the classes, and the next token's logits after a fixed prompt."""
    import torch
    from transformers import AutoModel, AutoProcessor

    processor = AutoProcessor.from_pretrained(where, trust_remote_code=True, **revision)
    model = AutoModel.from_pretrained(where, dtype="auto", trust_remote_code=True, **revision)
    inputs = processor.apply_chat_template(
        MESSAGES, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )
    with torch.no_grad():
        logits = model.eval()(**inputs).logits[0, -1].float()
    return {
        "model": type(model).__name__,
        "processor": type(processor).__name__,
        "tokens": inputs["input_ids"].shape[1],
        "logits": logits.tolist(),
    }


def load_dataset(where: str, snapshot: str, **revision: Any) -> dict[str, Any]:
    """By datasets: of each configuration and split the features, the number of rows, a hash over
    rows from all over it, and the same of the first rows streamed."""
    import datasets

    found = {}
    for name in datasets.get_dataset_config_names(where, **revision):
        streams = datasets.load_dataset(where, name, streaming=True, **revision)
        for split, rows in datasets.load_dataset(where, name, **revision).items():
            step = max(1, len(rows) // ROWS_SAMPLED)
            found[f"{name}/{split}"] = {
                "rows": len(rows),
                "features": str(rows.features),
                "sample": _hash(rows.select(range(0, len(rows), step))),
                "streamed": _hash(islice(streams[split], ROWS_STREAMED)),
            }
    return {"configurations": found}


def _hash(rows: Any) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True, ensure_ascii=False).encode())
    return digest.hexdigest()


def open_space(where: str, snapshot: str, **revision: Any) -> dict[str, Any]:
    """Starts app.py, with the Space's requirements: the page's status and title."""
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
            cwd=snapshot,
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
    # A page of Gradio's has its own title in the last of its previews, after Gradio's.
    titles = re.findall(r"<title>(.*?)</title>", page, re.DOTALL)
    titles += re.findall(r'<meta property="og:title" content="([^"]+)"', page)
    return {"status": status, "title": titles[-1].strip() if titles else None}


def _open(url: str, app: subprocess.Popen[Any]) -> tuple[int, str]:
    end = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < end:
        if app.poll() is not None:
            raise TimeoutError(f"app.py ended with {app.returncode} before its page was there")
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except (urllib.error.URLError, OSError):
            time.sleep(1)
    raise TimeoutError(f"no page within {SECONDS_TO_START} s")


def main(kind: str, where: str, revision: str | None = None) -> None:
    from huggingface_hub import snapshot_download

    # Even where rna-gpt is installed: users may not have it. A Space's requirements name it.
    if kind != "space":
        sys.modules["rnagpt"] = None  # type: ignore[assignment]
    is_folder = os.path.isdir(where)
    snapshot = where
    if not is_folder:
        # A Space not into the cache, whose files are links: Python looks for modules next to the
        # link's target.
        local_dir = os.path.abspath("space") if kind == "space" else None
        snapshot = snapshot_download(where, repo_type=kind, revision=revision, local_dir=local_dir)
    given = {} if is_folder else {"revision": revision}
    load = {"model": load_model, "dataset": load_dataset, "space": open_space}[kind]
    print(json.dumps({"snapshot": snapshot, **load(where, snapshot, **given)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
