"""The notebooks, run from the first cell to the last with the bundled mini."""

import ast
import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest
from helpers.paths import ROOT
from nbclient import NotebookClient

NOTEBOOKS = ROOT / "docs" / "notebooks"
NAMES = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)


def run(name: str, folder: Path) -> nbformat.NotebookNode:
    """The notebook with its outputs, run in a folder of its own; a cell that raises fails here."""
    notebook = read(name)
    NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def printed(notebook: nbformat.NotebookNode, code: str) -> str:
    """What the only cell with `code` in it printed."""
    (cell,) = (c for c in notebook.cells if c.cell_type == "code" and code in c.source)
    return "".join(o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stdout")


def shown(notebook: nbformat.NotebookNode, kind: str) -> list[str]:
    """The displayed results of a MIME type, in order."""
    outputs = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    return [o.data[kind] for o in outputs if kind in o.get("data", {})]


@pytest.mark.parametrize("name", NAMES)
def test_headers_open_them_in_colab_and_nothing_is_stored(name):
    first, install, *others = read(name).cells
    badge = f"https://colab.research.google.com/github/ORG/rna-gpt/blob/main/docs/notebooks/{name}"
    assert f"({badge}.ipynb)" in first.source
    # It installs only where the package is missing.
    condition, command = install.source.splitlines()[-2:]
    assert condition == 'if importlib.util.find_spec("rnagpt") is None:'
    assert command.startswith("    %pip install ")
    code = [cell for cell in (install, *others) if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert not any("%pip" in cell.source for cell in others)


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_to_notebooks(name):
    text = "\n".join(cell.source for cell in read(name).cells if cell.cell_type == "markdown")
    for target in (part.split(")")[0] for part in text.split("](")[1:]):
        assert target.startswith("https://") or (NOTEBOOKS / target).is_file(), target


@pytest.mark.slow
def test_ask(tmp_path):
    notebook = run("ask", tmp_path)
    # What Rfam calls them.
    assert "tRNA" in printed(notebook, 'What is this RNA?")))')
    many = printed(notebook, "FASTA = ").splitlines()
    assert [line.split(" | ")[0] for line in many] == ["X05519.1/1-116"] * 2 + [
        "V00590.1/1-162"
    ] * 2
    assert "5S ribosomal RNA" in many[0]
    assert "U1 spliceosomal RNA" in many[2]
    dna = printed(notebook, "rna = chat.add_rna")
    assert dna.startswith("GCGGAUUUAGC")
    assert "T read as U" in dna
    assert "abstains: " in printed(notebook, "shuffled")
    assert "nucleotide" in printed(notebook, "RnaSequenceError")


@pytest.mark.slow
def test_embeddings(tmp_path):
    notebook = run("embeddings", tmp_path)
    shapes = printed(notebook, "vectors = encode").splitlines()
    encoder = ROOT / "checkpoints" / "rna-gpt-mini" / "encoder" / "config.json"
    size = json.loads(encoder.read_text())["hidden_size"]
    assert [line.partition(" (")[2] for line in shapes] == [
        f"{length}, {size})" for length in (76, 74, 114, 114, 65, 67)
    ]
    for line in printed(notebook, "is nearest to").splitlines():
        this, nearest = line.split(" is nearest to ")
        assert this != nearest
        assert this.split()[0] == nearest.split()[0]  # of the same family
    assert "tRNA" in printed(notebook, "chat.explain()")
    assert len(shown(notebook, "image/png")) == 1
    (drawing,) = shown(notebook, "image/svg+xml")
    assert ElementTree.fromstring(drawing).tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.slow
def test_fine_tune(tmp_path):
    """What the model did not know before it says afterwards, as the table has it."""
    notebook = run("fine_tune", tmp_path)
    with open(tmp_path / "my_rnas" / "train.csv", newline="") as file:
        table = list(csv.DictReader(file))
    # The trainer shows a table of losses between them.
    lists = [text for text in shown(notebook, "text/plain") if text.startswith("[")]
    before, after = map(ast.literal_eval, lists)
    assert not {row["said"] for row in table} & set(before)
    assert after[: len(table)] == [row["said"] for row in table]
    assert printed(notebook, 'save_pretrained("my_model")').strip() == after[len(table)]
