"""`rnagpt chat` in a pseudo-terminal, as a person types into it."""

import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest
from helpers.tiny_models import make_rna, save_endless_model

from rnagpt.cli.pasted_fasta import PastedFasta, is_bare_sequence

TRNA = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"
WHAT, WHICH = "What is this RNA?", "Which amino acid does it carry?"
ADDRESS = "https://rfam.org/family/RF00005"
STYLE = re.compile(r"\x1b\[[0-9;]*m")
COLOUR = re.compile(r"\x1b\[(?:[0-9;]*;)?3[0-7]m")
PROMPT = r"\r\n> "


class Terminal:
    """A conversation; lines are typed, and what comes is read up to the next prompt."""

    def __init__(self, child: "pexpect.spawn[str]") -> None:
        self.child = child
        child.expect_exact("> ")
        self.greeting = str(child.before)

    def ask(self, line: str) -> str:
        """Type a line; what is written below it, up to the next prompt."""
        self.child.sendline(line)
        self.child.expect_exact(f"{line}\r\n")
        return self.until_prompt()

    def until_prompt(self) -> str:
        self.child.expect(PROMPT)
        return str(self.child.before)

    def leave(self) -> int | None:
        self.child.sendcontrol("d")
        self.child.expect(pexpect.EOF)
        self.child.close()
        return self.child.exitstatus


@contextmanager
def conversation(*arguments: str, width: int = 80, **environment: str) -> Iterator[Terminal]:
    inherited = {key: text for key, text in os.environ.items() if key not in ("COLUMNS", "LINES")}
    child = pexpect.spawn(
        sys.executable,
        ["-m", "rnagpt.cli.main", "chat", *arguments],
        dimensions=(24, width),
        env={**inherited, "TERM": "xterm-256color", "HF_HUB_OFFLINE": "1", **environment},
        encoding="utf-8",
        timeout=120,
    )
    try:
        yield Terminal(child)
    finally:
        child.close(force=True)


def widest(text: str) -> int:
    return max(len(line.rstrip()) for line in STYLE.sub("", text).splitlines())


def plain(text: str) -> str:
    """Without colours, and with one blank where the terminal's width ended a line."""
    return " ".join(STYLE.sub("", text).split())


@pytest.mark.parametrize("width", [40, 80, 200])
def test_two_questions_fill_the_width_and_no_more(width):
    with conversation("--rna", TRNA, width=width) as terminal:
        assert "rna_1 (76 nt)" in plain(terminal.greeting)
        first, second = terminal.ask(WHAT), terminal.ask(WHICH)
        assert terminal.leave() == 0
    assert plain(first).startswith("It is tRNA [1]. confidence: high (0.98) · from the records [1]")
    assert ADDRESS in first
    assert COLOUR.search(first)
    assert ADDRESS not in second  # it was told
    assert "[1]. confidence: high" in plain(second)
    assert max(widest(first), widest(second)) <= width
    assert widest(second) > width - 12  # the longest word


def test_an_answer_has_the_width_that_the_terminal_was_given_meanwhile():
    with conversation("--rna", TRNA, width=120) as terminal:
        wide = terminal.ask(WHICH)
        terminal.child.setwinsize(24, 50)
        narrow = terminal.ask(WHICH)
        terminal.child.setwinsize(24, 120)
        again = terminal.ask(WHICH)
    assert widest(narrow) <= 50 < widest(wide) <= 120
    answer = plain(again).partition("confidence:")[0]
    assert plain(narrow).startswith(answer)
    assert again.splitlines()[0] == wide.splitlines()[0]


@pytest.mark.parametrize(
    ("environment", "has_marks"), [({"NO_COLOR": "1"}, True), ({"TERM": "dumb"}, False)]
)
def test_no_colours_where_none_are_wanted(environment, has_marks):
    with conversation("--rna", TRNA, **environment) as terminal:
        said = terminal.greeting + terminal.ask(WHAT)
        assert terminal.leave() == 0
    assert not COLOUR.search(said)
    assert ("●" in said) is has_marks
    assert has_marks or "\x1b" not in said
    assert ADDRESS in said


@pytest.fixture(scope="module")
def endless(tmp_path_factory):
    path: Path = tmp_path_factory.mktemp("models") / "tiny"
    save_endless_model(path)
    return str(path)


def test_ctrl_c_in_an_answer_and_at_the_prompt_and_lines_of_before(endless):
    options = ("--no-reference", "--model", endless, "--max-new-tokens", "90000")
    with conversation(*options, "--rna", make_rna(20)) as terminal:
        child = terminal.child
        for _ in range(2):
            child.sendline(WHAT)
            child.expect(r"\w{2,}\W+\w{2,}")  # of the answer
            child.sendcontrol("c")
            child.expect_exact("[stopped; /quit leaves]")
            child.expect_exact("> ")
        child.send("half a line")
        child.expect_exact("half a line")
        child.sendcontrol("c")
        child.expect_exact("[stopped; /quit leaves]")
        child.expect_exact("> ")
        assert "A new conversation" in terminal.ask("/reset")
        child.send("\x1b[A")  # arrow up, twice
        child.expect_exact("/reset")
        child.send("\x1b[A")
        child.expect_exact(WHAT)
        child.sendcontrol("c")
        child.expect_exact("> ")
        assert terminal.leave() == 0


PASTE = f">mine of two lines\n{TRNA[:40]}\n{TRNA[40:]}\n>other\n{make_rna(30)}\n"


def test_fasta_that_is_pasted_at_once():
    """As terminals paste that bracket it, and with their line ends."""
    with conversation() as terminal:
        terminal.child.send("\x1b[200~" + PASTE.replace("\n", "\r") + "\x1b[201~")
        terminal.child.send("\r")
        terminal.child.expect(r"mine.*76 nt")
        terminal.child.expect(r"other.*30 nt")
        terminal.until_prompt()
        assert "It is tRNA [1]." in plain(terminal.ask("What is mine?"))


def test_fasta_that_comes_line_by_line():
    """As where a terminal brackets nothing: the question that follows ends it."""
    with conversation(TERM="dumb") as terminal:
        terminal.child.send(PASTE)
        terminal.child.expect_exact("... ")
        terminal.child.sendline("What is mine?")
        terminal.child.expect(r"mine \(76 nt\)\r\nother \(30 nt\)\r\nIt is tRNA \[1\]\.")
        terminal.until_prompt()
        terminal.child.send(f">third\n{make_rna(40)}\n\n")
        terminal.child.expect(r"third \(40 nt\)\r\n> ")
        terminal.child.send(f">dropped\n{make_rna(40)}\n")
        terminal.child.expect_exact(f"{make_rna(40)}\r\n... ")
        time.sleep(0.2)
        terminal.child.sendcontrol("c")
        terminal.child.expect_exact("the pasted RNA is dropped")
        terminal.child.expect_exact("> ")
        terminal.child.send(">amyloid\nDAEFRHDSGYEVHHQKLVFFAEDVGSNKG\n\n")
        terminal.child.expect(r"RNA 'amyloid' .*protein")
        terminal.until_prompt()
        assert "RNA (12 nt, 3 blocks joined)" in terminal.ask("ACGU ACGU acgu")
        assert terminal.leave() == 0


@pytest.mark.parametrize(
    ("line", "belongs"),
    [
        ("GGGCCC", True),
        ("61 gggcccuuua aaa", True),
        ("MKLVFFAEDVGSNKG", True),
        ("(((...))) (-1.20)", True),
        (">b", True),
        ("", False),
        ("/reset", False),
        ("what", False),
        ("thanks", False),
        ("function", False),
        ("What is it?", False),
    ],
)
def test_which_lines_belong_to_a_record(line, belongs):
    pasted = PastedFasta()
    assert pasted.takes(">a")
    assert pasted.takes("ACGU")
    assert pasted.takes(line) is belongs


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["ACGUACGU"], True),
        (["acgt acgt", "", "acguacgun"], True),
        (["ACGU"], False),
        (["Can a cat act?"], False),
        (["ACGUACGU", "What is it?"], False),
        ([], False),
    ],
)
def test_a_sequence_without_a_header(lines, expected):
    assert is_bare_sequence(lines) is expected
