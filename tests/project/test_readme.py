"""What README and guides tell users to write, run as it is written.

On tiny models, a server and a Hub on loopback; what README shows of the mini is its real answer.
"""

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import httpx
import pytest
from helpers.fresh_process import run_fresh
from helpers.paths import FIVE_RNAS, ROOT
from helpers.small_hub import serve_hub
from helpers.tiny_rna_qa import make_rna_qa
from helpers.tiny_server import client_of, make_parts, serve_tiny

from rnagpt.cli import main as cli
from rnagpt.cli import rna_qa as rna_qa_cli
from rnagpt.cli.serve import MINI
from rnagpt.conversion import WeightsError
from rnagpt.conversion.mini import find_language_model
from rnagpt.reference.library import Reference
from rnagpt.sequences.fasta import read_fasta

README = (ROOT / "README.md").read_text()
GUIDES = ROOT / "docs" / "guides"
SERVE, PUBLISH = ((GUIDES / name).read_text() for name in ("serve.md", "publish.md"))
ADDRESS = "http://127.0.0.1:8000"
COMMANDS = {"rnagpt": cli.main, "rna-qa": rna_qa_cli.main}
DATA_CARD = "---\nlicense: cc0-1.0\ntask_categories: [question-answering]\n"


def block(document, language, part):
    """The one code block of a document that holds `part`."""
    blocks = re.findall(rf"```{language}\n(.*?)```", document, re.DOTALL)
    (found,) = (text for text in blocks if part in text)
    return found


def shown_after(code):
    """The output that README shows below a block of code."""
    rest = README[README.index(code) + len(code) :]
    shown = re.match(r"```\n\n```text\n(.*?)```", rest, re.DOTALL)
    assert shown
    return shown[1]


@pytest.fixture
def tiny_default(tmp_path, monkeypatch):
    """A tiny model in the place of rna-gpt-mini."""
    for part in make_parts():
        part.save_pretrained(tmp_path / "tiny")
    monkeypatch.setenv("RNAGPT_MODEL", str(tmp_path / "tiny"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("tiny_default")
def test_python_of_the_quickstart(capsys):
    exec(block(README, "python", "RnaChat"), {})
    assert capsys.readouterr().out.count("\n") >= 2


@pytest.mark.usefixtures("tiny_default")
def test_batches_of_the_readme(capsys):
    shutil.copy(FIVE_RNAS, "rnas.fasta")
    exec(block(README, "python", "answer_questions"), {})
    out = capsys.readouterr().out
    assert all(record.name in out for record in read_fasta(FIVE_RNAS))


@pytest.mark.slow
def test_the_mini_answers_what_the_readme_shows(capsys):
    """The quickstart, on the model that a reader gets."""
    try:
        find_language_model()
    except WeightsError as error:
        pytest.skip(str(error))
    command = block(README, "bash", '--ask "What type of RNA is this?"')
    program, *words = shlex.split(command)
    capsys.readouterr()
    assert COMMANDS[program](words) == 0
    assert capsys.readouterr().out.strip() == shown_after(command).strip()
    script = block(README, "python", "RnaChat")
    exec(script, {})
    assert capsys.readouterr().out.strip() == shown_after(script).strip()


@pytest.fixture(scope="module")
def address():
    with serve_tiny(make_parts(), name=MINI, reference=Reference.open()) as (address, _):
        yield address


def test_openai_client(address, capsys):
    script = block(SERVE, "python", f'OpenAI(base_url="{ADDRESS}')
    exec(script.replace(ADDRESS, address), {})
    shown = [line.split("# ")[1] for line in script.splitlines() if line.startswith("print(")]
    assert capsys.readouterr().out.splitlines() == shown


def test_further_blocks_of_the_servers_guide(address, capsys, tmp_path, monkeypatch):
    """The stream, responses and files, which go on with the client of the first block."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(FIVE_RNAS, "rnas.fa")
    names: dict[str, Any] = {}
    exec(block(SERVE, "python", f'OpenAI(base_url="{ADDRESS}').replace(ADDRESS, address), names)
    said = capsys.readouterr().out.splitlines()[0]
    exec(block(SERVE, "python", "stream=True\n"), names)
    assert capsys.readouterr().out.splitlines() == [said, " records ['RNA 1']"]
    script = block(SERVE, "python", "responses.create")
    exec(script, names)
    shown = [line.split("# ")[1] for line in script.splitlines() if "# " in line]
    assert capsys.readouterr().out.splitlines()[-2:] == shown
    exec(block(SERVE, "python", "file_data"), names)
    messages = [{"role": "user", "content": names["content"]}]
    reply = names["client"].chat.completions.create(model=MINI, messages=messages)
    assert len(reply.choices[0].message.model_extra["about"]) == 5


def test_block_of_the_probabilities(capsys):
    """On a server of the model alone, with the client and the content of the first block."""
    with serve_tiny(make_parts(), name=MINI) as (address, _):
        content = [{"type": "rna", "rna": "ACGU"}, {"type": "text", "text": "What is it?"}]
        exec(
            block(SERVE, "python", "logprobs=True"),
            {"client": client_of(address), "content": content},
        )
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 40
    assert all(re.fullmatch(r"""['"].*['"] -\d+\.\d+ \[.*\]""", line) for line in lines)


def test_blocks_of_a_stock_vllm(tmp_path, monkeypatch, capsys):
    """With a stand-in for its server, which the tests of vLLM have: what it would be sent."""
    (tmp_path / "rnas.fasta").write_text(">a\nGCGGAUUUAGCUC\n")
    for part in make_parts():
        part.save_pretrained(tmp_path / "my-rna-gpt")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RNAGPT_MODEL", "my-rna-gpt")
    commands = block(SERVE, "bash", "rnagpt prompt-embeds").splitlines()
    words = next(line for line in commands if line.startswith("rnagpt prompt-embeds"))
    assert cli.main(shlex.split(words)[1:]) == 0
    client = MagicMock()
    reader = block(SERVE, "python", "prompts.jsonl").replace("client = OpenAI(", "OpenAI(")
    exec(reader, {"client": client})
    exec(block(SERVE, "python", "embed_prompts("), {"client": client, "rna": "GCGGAUUUAGCUC"})
    first, second = client.chat.completions.create.call_args_list
    assert first.kwargs["messages"] == second.kwargs["messages"]
    assert [part["type"] for part in first.kwargs["messages"][0]["content"]] == [
        "prompt_embeds",
        "text",
    ]
    assert capsys.readouterr().out.startswith("a What type of RNA is this?")


def post_as_curl(command, address):
    found = re.search(r"curl (\S+) -H '[^']+' -d '(.*)'", command, re.DOTALL)
    assert found
    url, body = found.groups()
    return httpx.post(url.replace(ADDRESS, address), json=json.loads(body), timeout=60)


def test_curl_of_the_search(address):
    reply = post_as_curl(block(SERVE, "bash", "/annotate -H"), address)
    assert reply.text.splitlines()[1].split("\t")[:3] == ["tRNA", "RF00005", "mine"]


def test_curl(address):
    reply = post_as_curl(block(SERVE, "bash", "completions -H"), address)
    assert reply.json()["choices"][0]["message"]["content"]


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """What the guide's commands publish, made of a tiny model and a tiny RNA-QA.

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
        for line in block(PUBLISH, "bash", "publish model").replace("\\\n", "").splitlines():
            program, *words = shlex.split(line)
            if "publish" in words:
                assert COMMANDS[program](words) == 0
        yield hub


def run_alone(script, hub, folder):
    """Run a block where this package is not installed, with an empty cache; returns its output."""
    (folder / "script.py").write_text(script)
    code = "import runpy, sys; sys.modules['rnagpt'] = None; runpy.run_path('script.py')"
    return run_fresh(code, folder=folder, HF_ENDPOINT=hub.url, HF_TOKEN="")


def test_model_by_its_id(hub, tmp_path):
    assert run_alone(block(PUBLISH, "python", "AutoModel.from_pretrained"), hub, tmp_path).strip()


def test_data_by_its_id(hub, tmp_path):
    out = run_alone(block(PUBLISH, "python", "load_dataset("), hub, tmp_path)
    assert "'question': 'What is this RNA?'" in out


def test_space_by_its_id(hub, tmp_path):
    pytest.importorskip("gradio", reason="the Space's page is Gradio's")
    from helpers import tiny_space

    tiny_space.load_tiny_model(tmp_path / "model")
    with tiny_space.open_page(tiny_space.space_limits.Limits(max_new_tokens=12)) as address:
        hub.repository("ORG/rna-gpt", "space").host = address
        loaded, *answer = run_alone(block(PUBLISH, "python", "Client("), hub, tmp_path).splitlines()
    assert address in loaded
    assert "".join(answer).strip()


def test_published_folder_loads_too(hub, tmp_path):
    """What is said of the folders: they load as the ids do."""
    (tmp_path / "rna-gpt-mini").symlink_to(Path("rna-gpt-mini").absolute())
    script = block(PUBLISH, "python", "AutoModel.from_pretrained").replace("ORG/", "")
    assert run_alone(script, hub, tmp_path).strip()
