"""What is rejected before anything is uploaded: secrets, pickles, paths, unfinished cards."""

import json
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from helpers.paths import ROOT
from huggingface_hub import ModelCard
from safetensors.torch import load, load_file

import rnagpt
from rnagpt.cli.main import main as rnagpt_main
from rnagpt.cli.rna_qa import main as rna_qa_main
from rnagpt.hub import PublishError
from rnagpt.hub.card_checks import check_card, find_card_problems
from rnagpt.hub.manifest import PlannedFile, format_manifest, make_manifest, plan_folder
from rnagpt.hub.model import adapter_manifest, publish_model
from rnagpt.hub.model_card import CardFacts, check_name, license_of, write_model_card
from rnagpt.hub.preflight import find_problems, reject

SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"
LLAMA_3 = "meta-llama/Meta-Llama-3-8B-Instruct"
RECORD = {
    "stage": "instruction",
    "data": {"train": {"rnas_used": 12}},
    "steps": 7,
    "trained_parameters": {"encoder": 0, "projection": 0, "adapter": 2048},
    "device": "cpu",
    "seconds": 90.0,
    "started_from": {"stage": "alignment", "steps": 5, "seconds": 30.0},
}
RESULTS = {
    "command": "rnagpt evaluate --model rna-gpt-tiny --dataset rna-qa out",
    "arguments": {"split": "test"},
    "figures": {
        "controls": {
            "RNA-GPT": {
                "right family": {"value": 0.8925, "interval": [0.857, 0.927], "n": 300},
                "log-likelihood": {"value": None, "interval": [None, None], "n": 300},
            }
        }
    },
}


def problems_of(path: str, content: str | bytes) -> list[str]:
    content = content.encode() if isinstance(content, str) else content
    return list(find_problems(PlannedFile(path, content)))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("token: hf_" + "aB3" * 12, "Hugging Face token"),
        ("OPENAI_API_KEY=sk-" + "aB3-" * 8, "OpenAI key"),
        ("id AKIA" + "ABCD1234" * 2, "AWS key"),
        ("-----BEGIN " + "PRIVATE KEY-----\nMII", "private key"),
    ],
)
def test_secrets_are_rejected_and_not_repeated(content: str, what: str) -> None:
    (problem,) = problems_of("notes.md", f"first line\n{content}\n")
    assert problem.startswith("notes.md, line 2: ")
    assert what in problem
    assert content not in problem


@pytest.mark.parametrize("name", [".env", "id_rsa", "server.pem", "deep/credentials.json"])
def test_files_that_hold_secrets_are_rejected_by_name(name: str) -> None:
    assert "hold secrets" in problems_of(name, "anything")[0]


def test_pickles_are_rejected_by_name_and_by_content(tmp_path: Path) -> None:
    assert "pickle" in problems_of("training_args.bin", "no pickle at all")[0]
    assert "pickle" in problems_of("state", pickle.dumps({"a": 1}))[0]
    archive = tmp_path / "archive"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("archive/data.pkl", b"")
    assert "pickle" in problems_of("archive", archive.read_bytes())[0]
    # safetensors begin with a length, which may be the same two bytes.
    assert problems_of("model.safetensors", b"\x80\x04" + b"\0" * 30) == []


@pytest.mark.parametrize(
    ("path", "content", "named"),
    [
        ("config.json", json.dumps({"a": [{"b": "/anywhere/at/all"}]}), "/anywhere/at/all"),
        ("adapter_config.json", '{"path": "C:\\\\models\\\\base"}', "C:\\models"),
        ("README.md", "Trained with `/home/somebody/data`.", "/home/somebody"),
        ("run.yaml", "output: /scratch/run7/out", "/scratch/run7"),
    ],
)
def test_paths_of_a_machine_are_rejected(path: str, content: str, named: str) -> None:
    (problem,) = problems_of(path, content)
    assert named in problem


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("README.md", "See https://example.org/home/page and and/or, 1/2, out/alignment."),
        ("config.json", json.dumps({"text": "a / b", "id": "ORG/NAME", "/home/x/y": 1})),
        ("tokenizer.json", json.dumps({"word": "/home/user"})),
        ("app.py", "#!/usr/bin/env python\nroute = '/v1/chat/completions'\n"),
        ("weights.safetensors", b"/home/somebody\0"),
    ],
)
def test_what_only_looks_like_a_path_is_not(path: str, content: str | bytes) -> None:
    assert problems_of(path, content) == []


def test_links_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("text")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "inside").symlink_to(tmp_path / "outside")
    with pytest.raises(PublishError, match="inside: a link"):
        reject(plan_folder(folder))


def test_the_packages_own_files_are_not_rejected() -> None:
    root = ROOT
    for folder in ("checkpoints/rna-gpt-mini", "recipes"):
        reject(plan_folder(root / folder))
    reject(make_manifest([PlannedFile("README.md", root / "dataset_card.md")]))


def test_a_folder_is_shown_with_what_is_left_out(tmp_path: Path) -> None:
    for name in ("b.txt", "a/c.txt", ".work/x/y", "__pycache__/z.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * 1500)
    manifest = plan_folder(tmp_path)
    assert manifest.paths == ["a/c.txt", "b.txt"]
    assert manifest.left_out == (".work/", "__pycache__/")
    assert format_manifest(manifest).splitlines() == [
        "  1.5 kB  a/c.txt",
        "  1.5 kB  b.txt",
        "  3.0 kB  in 2 files",
        "       –  .work/  (left out)",
        "       –  __pycache__/  (left out)",
    ]
    with pytest.raises(PublishError, match="no folder"):
        plan_folder(tmp_path / "b.txt")


def test_the_card_of_a_model_holds_its_record_and_its_figures() -> None:
    facts = CardFacts("laboratory/rna-gpt-tiny", SMOLLM2, dataset="laboratory/rna-qa")
    text = write_model_card(facts, RECORD, RESULTS)
    assert list(find_card_problems(text, "model")) == []
    card = ModelCard(text)
    (figure,) = card.data["eval_results"]
    assert (figure.metric_type, figure.metric_value) == ("accuracy", 0.892)
    assert figure.dataset_type == "laboratory/rna-qa"
    assert figure.dataset_split == "test"
    assert card.data["base_model"] == SMOLLM2
    assert card.data["license"] == "apache-2.0"
    assert "| RNA-GPT | 0.892 (0.857–0.927) | – | 300 |" in text
    assert text.index("| alignment |") < text.index("| instruction |")
    assert "adapter (2,048)" in text
    assert str(RESULTS["command"]) in text


def test_a_card_without_figures_claims_none() -> None:
    card = ModelCard(write_model_card(CardFacts("laboratory/tiny", SMOLLM2)))
    assert card.data.get("eval_results") is None
    assert "## Evaluation" not in card.text
    assert "nothing of what it says was measured" in card.text


def test_licences_go_with_the_base_model() -> None:
    facts = CardFacts("laboratory/rna-gpt", LLAMA_3)
    text = write_model_card(facts)
    assert "license: llama3" in text
    assert "Built with Meta Llama 3" in text
    assert "laboratory/Llama-3-rna-gpt" in str(check_name(facts))
    assert check_name(CardFacts("laboratory/Llama-3-rna-gpt", LLAMA_3)) is None
    with pytest.raises(PublishError, match="which goes with its weights"):
        license_of(CardFacts("a/b", LLAMA_3, license="mit"))
    with pytest.raises(PublishError, match="--licence"):
        license_of(CardFacts("a/b", "other/model"))
    assert license_of(CardFacts("a/b", "other/model", license="mit"))[0] == "mit"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("license: apache-2.0\n", ""), "lacks license"),
        ((SMOLLM2, "/models/base"), "base_model must be a Hub id"),
        ((f"base_model: {SMOLLM2}", f"base_model: {LLAMA_3}"), "license must be llama3, as that"),
        (("# tiny", "# TODO"), "not finished: 'TODO'"),
        (("---\n", "---\n{", 1), "cannot be read"),
    ],
)
def test_dirty_cards_are_rejected(change: tuple, problem: str) -> None:
    text = write_model_card(CardFacts("laboratory/tiny", SMOLLM2)).replace(*change)
    with pytest.raises(PublishError, match=problem):
        check_card(make_manifest([PlannedFile("README.md", text.encode())]), "model")


def test_the_shipped_parts_can_be_published() -> None:
    folder = ROOT / "checkpoints" / "rna-gpt-mini"
    facts = CardFacts("laboratory/rna-gpt-mini-parts", SMOLLM2, adapter_only=True)
    lines: list[str] = []
    publish_model(
        folder, facts, facts.repo_id, tag="v1", adapter_only=True, dry_run=True, say=lines.append
    )
    shown = "\n".join(lines)
    assert "NOTES.md" in shown
    assert "SHA256SUMS  (left out)" in shown
    assert lines[-1] == "Nothing was uploaded: this was a dry run."


def test_published_parts_are_a_whole_adapter_of_peft() -> None:
    """The shipped ones hold the projection beside the adapter alone, as earlier releases did."""
    folder = Path(rnagpt.__file__).parent / "checkpoints" / "rna-gpt-mini"
    manifest = adapter_manifest(folder, CardFacts("laboratory/parts", SMOLLM2, adapter_only=True))
    assert json.loads(manifest.get("adapter_config.json").text())["modules_to_save"] == [
        "projector"
    ]
    prefix = "base_model.model.model.projector."
    published = load(manifest.get("adapter_model.safetensors").read())
    found = {
        name.removeprefix(prefix): tensor
        for name, tensor in published.items()
        if name.startswith(prefix)
    }
    expected = load_file(folder / "projector.safetensors")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    lora = load_file(folder / "adapter_model.safetensors")
    assert all(torch.equal(published[name], lora[name]) for name in lora)


def test_the_templates_of_the_data_cards_are_not_finished() -> None:
    template = (ROOT / "dataset_card.md").read_text()
    (problem,) = find_card_problems(template, "dataset")
    assert "not finished" in problem


def test_commands_explain_what_they_refuse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    assert rnagpt_main(["publish", "model", str(tmp_path), "a/b"]) == 2
    assert "add --adapter-only" in capsys.readouterr().err
    assert rna_qa_main(["publish", str(tmp_path), "a/b"]) == 2
    assert "build.json" in capsys.readouterr().err
    for arguments in (["publish", "model", "--help"], ["publish", "space", "--help"]):
        with pytest.raises(SystemExit):
            rnagpt_main(arguments)
        assert "--dry-run" in capsys.readouterr().out


def test_the_newest_change_is_of_the_packages_version() -> None:
    changelog = ROOT / "CHANGELOG.md"
    if not changelog.is_file():
        pytest.skip("the wheel is installed without its changelog")
    headings = [line for line in changelog.read_text().splitlines() if line.startswith("## ")]
    released = [heading for heading in headings if heading != "## Unreleased"]
    assert released[0] == f"## {rnagpt.__version__}"
