"""The README's lines for users, run as they are written, on tiny models."""

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from tiny_server import make_parts, serve_tiny

import rnagpt
from rnagpt.serving.serve_cli import MINI

README = (Path(rnagpt.__file__).parent / "README.md").read_text()
ADDRESS = "http://127.0.0.1:8000"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def block(language, part):
    (found,) = (text for text in blocks(language) if part in text)
    return found


@pytest.fixture(scope="module")
def address():
    with serve_tiny(make_parts(), name=MINI) as (address, _):
        yield address


def test_openai_client(address, capsys):
    exec(block("python", "OpenAI(").replace(ADDRESS, address), {})
    assert capsys.readouterr().out.strip()


def test_curl(address):
    command = block("bash", "curl").replace(ADDRESS, address)
    url, body = re.search(r"curl (\S+) -H '[^']+' -d '(.*)'", command, re.DOTALL).groups()
    reply = httpx.post(url, json=json.loads(body), timeout=60)
    assert reply.json()["choices"][0]["message"]["content"]


def test_auto_classes(tmp_path):
    """In a process of its own, without this package, as in the Hub's folder."""
    model, processor = make_parts()
    model.save_pretrained(tmp_path / MINI)
    processor.save_pretrained(tmp_path / MINI)
    script = tmp_path / "script.py"
    script.write_text(block("python", "AutoModel.from_pretrained"))
    result = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip()
