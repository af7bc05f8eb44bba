"""Completion in shells: every command and every option, by the shells themselves."""

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pexpect
import pytest

from rnagpt.cli import pretrain_encoder
from rnagpt.cli.main import build_parser
from rnagpt.cli.rna_qa import build_parser as build_rna_qa_parser

MODULES = {"rnagpt": "main", "rna-qa": "rna_qa"}
PARSERS = {"rnagpt": build_parser, "rna-qa": build_rna_qa_parser}
# Asks the completion that the script set up, as the shell does when the Tab key is pressed.
BASH = """
source "$1"
complete -p "$2" | grep -q -- "-F " || exit 9
function=$(complete -p "$2" | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
while IFS= read -r line; do
    read -ra COMP_WORDS <<< "$line"
    [[ $line == *" " ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE=$line COMP_POINT=${#line} COMPREPLY=()
    $function "$2" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    echo "${COMPREPLY[*]}"
done
"""


@pytest.fixture(scope="module")
def script_of(tmp_path_factory):
    """The file with the script of a program for a shell."""
    folder = tmp_path_factory.mktemp("scripts")

    def write(program: str, shell: str) -> str:
        file = folder / f"{program}.{shell}"
        if not file.exists():
            command = [sys.executable, "-m", f"rnagpt.cli.{MODULES[program]}"]
            done = subprocess.run(
                [*command, "--print-completion", shell], capture_output=True, text=True, check=True
            )
            assert done.stderr == ""
            file.write_text(done.stdout)
        return str(file)

    return write


def in_bash(script: str, program: str, lines: list[str]) -> list[set[str]]:
    """What bash offers at the end of each line."""
    done = subprocess.run(
        ["bash", "-c", BASH, "bash", script, program],
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
        check=True,
    )
    offered = [set(line.split()) for line in done.stdout.splitlines()]
    assert len(offered) == len(lines)
    return offered


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser and those of its commands, with their commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from parsers(command)


def long_options(parser: argparse.ArgumentParser) -> set[str]:
    return {
        option
        for action in parser._actions
        if action.help != argparse.SUPPRESS
        for option in action.option_strings
        if option.startswith("--")
    }


def commands(parser: argparse.ArgumentParser) -> set[str]:
    return {
        name
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for name in action.choices
    }


@pytest.mark.parametrize("program", MODULES)
def test_bash_offers_every_command_and_every_option(script_of, program):
    script = script_of(program, "bash")
    whole = [one for one in parsers(PARSERS[program]()) if "pretrain-encoder" not in one.prog]
    assert len(whole) > 3
    options = in_bash(script, program, [f"{one.prog} --" for one in whole])
    for one, offered in zip(whole, options, strict=True):
        assert offered == long_options(one), one.prog
    groups = [one for one in whole if commands(one)]
    for one, offered in zip(
        groups, in_bash(script, program, [f"{g.prog} " for g in groups]), strict=True
    ):
        assert offered == commands(one), one.prog


def test_the_options_of_pretrain_encoder_come_from_its_dataclasses(script_of):
    (offered,) = in_bash(script_of("rnagpt", "bash"), "rnagpt", ["rnagpt pretrain-encoder --"])
    spelled = {name for name in long_options(pretrain_encoder.make_parser()) if "_" not in name}
    assert offered == spelled | {"--config", "--help"}
    assert {"--fasta", "--max-steps", "--learning-rate", "--config"} <= offered


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("rnagpt ann", {"annotate"}),
        ("rnagpt annotate --format t", {"table", "tsv"}),
        ("rnagpt annotate a.fa --jo", {"--jobs"}),
        ("rnagpt pretrain-encoder --max-st", {"--max-steps"}),
        ("rnagpt chat FOLDER/one", {"FOLDER/one.fasta"}),
        ("rnagpt chat --reference FOLDER/", {"FOLDER/folder"}),
    ],
)
def test_bash_completes(script_of, tmp_path, line, expected):
    (tmp_path / "one.fasta").touch()
    (tmp_path / "folder").mkdir()
    line = line.replace("FOLDER", str(tmp_path))
    (offered,) = in_bash(script_of("rnagpt", "bash"), "rnagpt", [line])
    assert offered == {word.replace("FOLDER", str(tmp_path)) for word in expected}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("rnagpt ann", "rnagpt annotate "),
        ("rnagpt pretrain-encoder --max-st", "rnagpt pretrain-encoder --max-steps "),
        ("rnagpt annotate --verif", "rnagpt annotate --verify "),
    ],
)
def test_zsh_completes(script_of, line, expected):
    if (zsh := shutil.which("zsh")) is None:
        pytest.skip("zsh is not installed: apt-get install zsh")
    child = pexpect.spawn(zsh, ["-f", "-i"], encoding="utf-8", timeout=60, dimensions=(40, 200))
    try:
        child.sendline("PS1='%% '; autoload -Uz compinit && compinit -u -D")
        child.sendline(f'eval "$(<{script_of("rnagpt", "zsh")})"; print rea""dy')
        child.expect_exact("ready\r\n")
        # Writes the line as it stands after the Tab key, in place of running it.
        child.sendline(
            "show() { print -r -- \"<$BUFFER>\" }; zle -N show; bindkey '^X^T' show; print s''et"
        )
        child.expect_exact("set\r\n")
        child.send(f"{line}\t")
        child.send("\x18\x14")
        child.expect(r"<([^>\r\n]*)>")
        assert isinstance(child.match, re.Match)
        assert child.match[1] == expected
    finally:
        child.close(force=True)


def test_without_the_trainers_the_rest_is_completed(script_of, tmp_path):
    (tmp_path / "trl.py").write_text("raise ImportError('No module named trl', name='trl')")
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop()); from rnagpt.cli.main import main; "
        "main(['--print-completion', 'bash'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "the options of pretrain-encoder are left out (No module named trl)" in done.stderr
    assert "pip install 'rna-gpt[train]'" in done.stderr
    (tmp_path / "script").write_text(done.stdout)
    (offered,) = in_bash(str(tmp_path / "script"), "rnagpt", ["rnagpt chat --no-"])
    assert offered == {"--no-reference"}
