"""The README's lines for users, run as they are written, on tiny models and a Hub on loopback."""

import json
import re
import shlex
from pathlib import Path

import httpx
import pytest
from helpers.fresh_process import run_fresh
from helpers.paths import ROOT
from helpers.small_hub import serve_hub
from helpers.tiny_rna_qa import make_rna_qa
from helpers.tiny_server import make_parts, serve_tiny

from rnagpt.cli import main as cli
from rnagpt.cli import rna_qa as rna_qa_cli
from rnagpt.cli.serve import MINI

README = (ROOT / "README.md").read_text()
ADDRESS = "http://127.0.0.1:8000"
COMMANDS = {"rnagpt": cli.main, "rna-qa": rna_qa_cli.main}
DATA_CARD = "---\nlicense: cc0-1.0\ntask_categories: [question-answering]\n"


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


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """What the README's commands publish, made of a tiny model and a tiny RNA-QA.

    Each publication loads itself back in processes of its own, which the tests of publishing do.
    """
    folder = tmp_path_factory.mktemp("published")
    for part in make_parts():
        part.save_pretrained(folder / "rna-gpt-mini")
    card = make_rna_qa(folder / "rna-qa") / "README.md"
    card.write_text(card.read_text().replace("---\n", DATA_CARD, 1))
    (folder / "rna-qa" / "build.json").write_text("{}")
    (folder / "checkpoints").symlink_to(ROOT / "checkpoints")
    with serve_hub(folder / "hub") as hub, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HF_TOKEN", hub.token)
        patch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        patch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        patch.setattr("rnagpt.hub.upload._verify", lambda *_: None)
        for line in block("bash", "publish model").replace("\\\n", "").splitlines():
            program, *words = shlex.split(line)
            if "publish" in words:
                assert COMMANDS[program](words) == 0
        yield hub


def run_alone(script, hub, folder):
    """Run a block where this package is not installed, with an empty cache; returns its output."""
    (folder / "script.py").write_text(script)
    code = "import runpy, sys; sys.modules['rnagpt'] = None; runpy.run_path('script.py')"
    return run_fresh(code, folder=folder, HF_ENDPOINT=hub.url, HF_TOKEN="")


def test_the_first_screen_is_what_users_write():
    """Model, data and Space, before anything else that can be run."""
    first = [text.split("\n")[0] for text in re.findall(r"```\w+\n(.*?)```", README, re.DOTALL)[:3]]
    assert first == [
        "from transformers import AutoModel, AutoProcessor",
        "from datasets import load_dataset",
        "from gradio_client import Client",
    ]
    end = README.index("```", README.index("gradio_client import Client"))
    shown = README[README.index("# RNA-GPT") : end]
    assert shown.count("\n") < 50


def test_model_by_its_id(hub, tmp_path):
    assert run_alone(block("python", "AutoModel.from_pretrained"), hub, tmp_path).strip()


def test_data_by_its_id(hub, tmp_path):
    out = run_alone(block("python", "load_dataset("), hub, tmp_path)
    assert "'question': 'What is this RNA?'" in out


def test_space_by_its_id(hub, tmp_path):
    pytest.importorskip("gradio", reason="the Space's page is Gradio's")
    from helpers import tiny_space

    tiny_space.load_tiny_model(tmp_path / "model")
    with tiny_space.open_page(tiny_space.space_limits.Limits(max_new_tokens=12)) as address:
        hub.repository("ORG/rna-gpt", "space").host = address
        loaded, *answer = run_alone(block("python", "Client("), hub, tmp_path).splitlines()
    assert address in loaded
    assert "".join(answer).strip()


def test_published_folder_loads_too(hub, tmp_path):
    """What is said of the folders: they load as the ids do."""
    (tmp_path / "rna-gpt-mini").symlink_to(Path("rna-gpt-mini").absolute())
    script = block("python", "AutoModel.from_pretrained").replace("ORG/", "")
    assert run_alone(script, hub, tmp_path).strip()
