"""The guides' commands are those of the programs, and the documentation site builds."""

import re
import shlex
import subprocess
import sys

import pytest
from helpers.paths import ROOT

from rnagpt.cli import main as rnagpt_cli
from rnagpt.cli import pretrain_encoder
from rnagpt.cli import rna_qa as rna_qa_cli

DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
PROGRAMS = ("rnagpt", "rna-qa", "train_sft.py")
COMMAND = re.compile(rf"(?:python |accelerate launch .*?)?((?:{'|'.join(PROGRAMS)})\s.*)")


def commands():
    """Every command of ours in a block of shell, with the document that it stands in."""
    for document in DOCUMENTS:
        for block in re.findall(r"```bash\n(.*?)```", document.read_text(), re.DOTALL):
            for line in re.split(r"\n| && ", block.replace("\\\n", " ")):
                if found := COMMAND.match(line.strip()):
                    yield document, shlex.split(found[1], comments=True)


def parse(program, words):
    if program == "rna-qa":
        return rna_qa_cli.build_parser().parse_args(words)
    if program == "rnagpt" and words[0] != "pretrain-encoder":
        return rnagpt_cli.build_parser().parse_args(words)
    if program == "rnagpt":
        return pretrain_encoder.make_parser().parse_args_and_config(words[1:])
    train_sft = pytest.importorskip("rnagpt.train_sft", reason="training is an extra")
    return train_sft.make_parser().parse_args_and_config([*words, "--use_cpu", "true"])


@pytest.mark.parametrize(
    ("document", "words"),
    [pytest.param(*command, id=f"{command[0].stem}-{i}") for i, command in enumerate(commands())],
)
def test_commands_of_the_guides_are_understood(document, words, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)  # where the recipes are
    try:
        parse(words[0], words[1:])
    except SystemExit:
        pytest.fail(f"{document.name}: {shlex.join(words)}\n{capsys.readouterr().err}")


def test_commands_are_found():
    found = [words[0] for _, words in commands()]
    assert all(found.count(program) >= 5 for program in PROGRAMS)


def test_links_of_the_documents_lead_somewhere():
    """Links to files, from the pages that people read in the repository."""
    for document in DOCUMENTS:
        links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)[^)]*\)", document.read_text())
        for link in links:
            made = "docs" in document.parts and not (document.parent / link).exists()
            generated = ("model-card.md", "commands.md", "changes.md", "dataset-card.md")
            known = link.endswith(generated) or (
                "benchmarks/" in link and (ROOT / "benchmarks" / link.split("/")[-1]).is_file()
            )
            assert (document.parent / link).exists() or (made and known), (document.name, link)


def test_the_site_builds_strictly(tmp_path, monkeypatch):
    """As `make docs` builds it: a link or a name in the reference that leads nowhere fails."""
    pytest.importorskip("mkdocs", reason="the documentation is an extra")
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    command = ["mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    built = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    commands_page = (tmp_path / "site" / "reference" / "commands" / "index.html").read_text()
    assert all(f'id="{name}"' in commands_page for name in ("rnagpt-chat", "rna-qa-rfam"))
    reference = (tmp_path / "site" / "reference" / "python" / "index.html").read_text()
    assert "Raises:" in reference
    assert 'id="rnagpt.RnaChat.ask"' in reference


def test_files_named_in_the_map_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`([\w./-]+\.(?:py|md|toml|txt|yaml))`", text)
    places = (
        ROOT,
        ROOT / "rna_qa/literature",
        ROOT / "rna_qa/literature/llm",
        ROOT / "tests/helpers",
    )
    assert len(named) > 30
    for name in named:
        assert any((place / name).exists() for place in places), name
