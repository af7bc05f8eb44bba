"""The command `rnagpt`: what it says, how fast, and how it fails."""

import argparse
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import tiny_parts
from helpers.paths import ROOT

import rnagpt
from rnagpt.cli import (
    annotate,
    chat,
    doctor,
    evaluate,
    evaluate_answers,
    export_gguf,
    export_language_model,
    mcp,
    pretrain_encoder,
    prompt_embeds,
    publish,
    reference,
    serve,
)
from rnagpt.cli import main as cli
from rnagpt.cli.rna_qa import main as rna_qa_main
from rnagpt.cli.spelling import check_spelling
from rnagpt.conversion import mini


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rnagpt.cli.main", *arguments],
        check=False,
        capture_output=True,
        text=True,
    )


def commands() -> list[str]:
    actions = cli.build_parser()._actions
    return next(list(a.choices) for a in actions if isinstance(a, argparse._SubParsersAction))


def test_help_is_fast_and_loads_no_torch():
    start = time.monotonic()
    result = run("--help")
    assert time.monotonic() - start < 2
    assert result.returncode == 0
    code = "import sys, rnagpt.cli.main as c; c.build_parser(); print('torch' in sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "False"


def test_help_names_every_command_with_an_example(capsys):
    help_text = cli.build_parser().format_help()
    assert set(commands()) == {
        "annotate",
        "chat",
        "compose",
        "convert-ernie-rna",
        "convert-rinalmo",
        "convert-rnafm",
        "doctor",
        "evaluate",
        "evaluate-answers",
        "evaluate-encoder",
        "export-gguf",
        "export-language-model",
        "mcp",
        "mini",
        "pretrain-encoder",
        "prompt-embeds",
        "publish",
        "reference",
        "serve",
    }
    for command in commands():
        assert f"rnagpt {command}" in help_text
        with pytest.raises(SystemExit, match="0"):
            cli.main([command, "--help"])
        assert len(capsys.readouterr().out.splitlines()) > 5


def examples() -> list[str]:
    """Every example line of the help texts, continued lines joined."""
    texts = (
        cli.EXAMPLES,
        annotate.EXAMPLES,
        reference.EXAMPLES,
        cli.COMPOSE_EXAMPLES,
        chat.EXAMPLES,
        doctor.EXAMPLES,
        evaluate.EXAMPLES,
        evaluate_answers.EXAMPLES,
        export_gguf.EXAMPLES,
        export_language_model.EXAMPLES,
        mcp.EXAMPLES,
        pretrain_encoder.EXAMPLES,
        prompt_embeds.EXAMPLES,
        publish.MODEL_EXAMPLES,
        serve.EXAMPLES,
    )
    lines = re.sub(r"\\\n\s*", "", "\n".join(texts)).splitlines()
    return [line.strip() for line in lines if line.strip().startswith("rnagpt ")]


@pytest.mark.parametrize("example", examples())
def test_examples_are_accepted(example, monkeypatch):
    words = shlex.split(example, comments=True)[1:]
    if words[0] == "pretrain-encoder":  # transformers' own kind of options
        monkeypatch.chdir(ROOT)
        encoder, training = pretrain_encoder.parse(words[1:])
        assert (encoder.fasta or encoder.dataset_name) in words
        assert training.output_dir == words[-1]
        return
    check_spelling(cli.build_parser(), words)
    arguments = cli.build_parser().parse_args(words)
    assert callable(arguments.run)


def test_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"rnagpt {rnagpt.__version__}\n"


def test_without_a_command_it_says_what_there_is(capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main([])
    assert "COMMAND" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["convert-rnafm", "absent.pth", "out"], "absent.pth is not a file"),
        (["convert-rinalmo", "absent.pt", "out"], "absent.pt is not a file"),
        (["convert-ernie-rna", "absent.pt", "out"], "absent.pt is not a file"),
        (["compose", "--rna-encoder", "absent", "--language-model", "b", "out"], "does not exist"),
        (["mini", "--language-model", "absent.gguf", "out"], "absent.gguf does not exist"),
    ],
)
def test_rejected_input_exits_with_2_and_the_reason(
    arguments, reason, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mini, "_check_present", lambda checkpoint: None)
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"rnagpt {arguments[0]}: ")
    assert reason in captured.err
    assert list(tmp_path.iterdir()) == []


def test_compose_passes_every_option(capsys, tmp_path):
    encoder = tiny_parts.encoder_folder(tmp_path / "encoder")
    language = tiny_parts.language_model_folder(tmp_path / "language")
    projector = tiny_parts.projector_folder(tmp_path / "trained", merge_size=2, summary_size=1)
    tiny_parts.adapter_folder(tmp_path / "trained")
    parts = ["--rna-encoder", str(encoder), "--language-model", str(language)]

    out = tmp_path / "trained-model"
    trained = ["--projector", str(projector), "--adapter", str(projector)]
    assert cli.main(["compose", *parts, *trained, "--max-shard-size", "10KB", str(out)]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{out}\n"
    assert "freshly initialised" not in captured.err
    assert len(list(out.glob("model-*.safetensors"))) > 1

    out = tmp_path / "new-model"
    shape = ["--projector-type", "mlp", "--rna-merge-size", "3", "--rna-summary-size", "2"]
    options = [*shape, "--seed", "7", "--dtype", "bfloat16"]
    assert cli.main(["compose", *parts, *options, str(out)]) == 0
    assert "The projection is freshly initialised" in capsys.readouterr().err
    config = rnagpt.RnaGptConfig.from_pretrained(out)
    assert (config.projector_type, config.rna_merge_size, config.rna_summary_size) == ("mlp", 3, 2)
    assert str(config.dtype) == "torch.bfloat16"
    assert cli.main(["compose", *parts, str(out)]) == 2
    assert cli.main(["compose", *parts, "--overwrite", str(out)]) == 0


def test_ctrl_c_says_so(capsys, monkeypatch, tmp_path):
    def interrupt(*arguments: object, **named: object) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(mini, "load_bundled", interrupt)
    assert cli.main(["mini"]) == 130
    assert capsys.readouterr().err == "rnagpt mini: stopped\n"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--prices", "cheap"], "expected two numbers such as 0.15,0.60"),
        (["--prices", "0.15"], "expected two numbers such as 0.15,0.60"),
        (["--request-options", "[1]"], "expected JSON such as"),
    ],
)
def test_values_of_the_literature_say_what_they_look_like(options, told, capsys):
    with pytest.raises(SystemExit, match="2"):
        rna_qa_main(["literature", *options, "out"])
    assert told in capsys.readouterr().err
