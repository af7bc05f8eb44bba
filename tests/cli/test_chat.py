"""The command `rnagpt chat`, by the model alone; `test_chat_evidence.py`: from a reference."""

import gzip
import io
import json
import math
import os
import re
import select
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers.tiny_models import make_model, make_processor, make_rna, save_endless_model
from helpers.typed_lines import converse

from rnagpt.cli.main import main
from rnagpt.inference.batch import answer_questions
from rnagpt.inference.chat import RnaChat
from rnagpt.inference.loading import load_model, load_processor
from rnagpt.modeling_rnagpt import RnaGptForCausalLM

COMMAND = [sys.executable, "-m", "rnagpt.cli.main", "chat"]
ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
WHAT, WHERE = "What is this RNA?", "Where is it found?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model that never ends an answer by itself, with a context of 100,000 tokens."""
    path = tmp_path_factory.mktemp("models") / "tiny"
    save_endless_model(path)
    return str(path)


@pytest.fixture(scope="module")
def fasta(tmp_path_factory):
    path = tmp_path_factory.mktemp("rnas") / "two.fa"
    path.write_text(
        f">first of two\n{make_rna(20).replace('U', 'T')}\n>second\n{make_rna(30, 1)}\n"
    )
    return str(path)


def expected_answers(folder, questions):
    """Answers of the first and the second record, by the library's own door."""
    model, processor = load_model(folder), load_processor(folder)
    rnas = [make_rna(20), make_rna(30, 1)]
    answers = answer_questions(model, processor, rnas, questions, batch_size=1, max_new_tokens=8)
    return [answer.answer for answer in answers]


def test_one_shot_json(folder, fasta, capsys):
    arguments = [fasta, "--no-reference", "--model", folder, "--ask", WHAT, "--ask", WHERE]
    assert main(["chat", *arguments, "--json", "--max-new-tokens", "8", "--batch-size", "3"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["record"], row["name"], row["question"], row["length"]) for row in rows] == [
        (1, "first", WHAT, 20),
        (1, "first", WHERE, 20),
        (2, "second", WHAT, 30),
        (2, "second", WHERE, 30),
    ]
    assert [row["answer"] for row in rows] == expected_answers(folder, [WHAT, WHERE])
    num_t = make_rna(20).count("U")
    assert rows[0]["changes"] == [f"{num_t} T read as U"]
    assert rows[2]["changes"] == []
    assert not any(row["complete"] for row in rows)


def test_a_rejected_record_fails_the_call_before_any_answer(folder, fasta, monkeypatch, capsys):
    with open(fasta, "rb") as file:
        data = gzip.compress(file.read() + b">amyloid\nDAEFRHDSGYEVHHQKLVFFAEDVGSNKGAIIGLMVGGVV\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert main(["chat", "-", "--no-reference", "--model", folder, "--ask", WHAT, "--json"]) == 2
    out, message = capsys.readouterr()
    assert out == ""
    assert message.startswith("rnagpt chat: ")
    assert "amyloid" in message
    assert "protein" in message


def test_all_rejected_records_are_told_at_once(folder, tmp_path, capsys):
    path = tmp_path / "mixed.fa"
    path.write_text(">ok\nACGU\n>x\nACGX\n>amyloid\nDAEFRHDSGYEVHHQK\n>gone\n")
    assert (
        main(
            [
                "chat",
                str(path),
                "--no-reference",
                "--model",
                folder,
                "--ask",
                WHAT,
                "--rna",
                "wt ACGUACGU",
            ]
        )
        == 2
    )
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("rnagpt chat: 4 of 5 RNAs are rejected:\n")
    for name in ("rna_1", "x", "amyloid", "gone"):
        assert f"- RNA '{name}' " in captured.err


def test_what_was_kept_joined_and_left_out_is_told(folder, tmp_path, capsys):
    path = tmp_path / "folded.fa"
    path.write_text(">a\nGGGAAARCC\n(((...))) ( -1.20)\n")
    arguments = [str(path), "--rna", "gcgg auuu", "--ask", WHAT, "--max-new-tokens", "2"]
    assert main(["chat", "--no-reference", "--model", folder, "--json", *arguments]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["name"]: row["changes"] for row in rows} == {
        "rna_1": ["2 blocks joined"],
        "a": [
            "IUPAC codes kept: 1 R (A or G)",
            "1 dot-bracket structure left out (-1.2 kcal/mol)",
        ],
    }


def test_a_reader_of_the_output_that_goes_away_is_no_fault(folder, fasta):
    arguments = [
        *COMMAND,
        fasta,
        "--no-reference",
        "--model",
        folder,
        "--max-new-tokens",
        "2",
        "--ask",
        WHAT,
    ]
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


class Terminal:
    """A process to talk with."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=ENVIRONMENT,
            # Tests that run as a background job are given an ignored Ctrl-C, and would pass it on.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        assert self.process.stdin
        assert self.process.stdout
        self.input, self.output = self.process.stdin, self.process.stdout
        self.text = ""

    def say(self, line):
        self.input.write(line.encode() + b"\n")
        self.input.flush()

    def wait_for(self, *expected):
        """Read until all of the expected has come since the last call."""
        deadline = time.monotonic() + 120
        while not all(part in self.text for part in expected):
            ready, _, _ = select.select([self.output], [], [], deadline - time.monotonic())
            data = os.read(self.output.fileno(), 65536) if ready else b""
            assert data, f"{expected} did not come, but {self.text!r}"
            self.text += data.decode(errors="replace")
        seen, self.text = self.text, ""
        return seen


def test_ctrl_c_stops_an_answer_and_not_the_session(folder):
    terminal = Terminal(
        "--no-reference", "--model", folder, "--rna", make_rna(20), "--max-new-tokens", "90000"
    )
    try:
        terminal.wait_for("rna_1 (20 nt)\n")
        for _ in range(2):
            terminal.say(WHAT)
            while not terminal.text.strip():
                terminal.text += os.read(terminal.output.fileno(), 100).decode(errors="replace")
            terminal.process.send_signal(signal.SIGINT)
            terminal.wait_for("[stopped")
        terminal.process.send_signal(signal.SIGINT)  # with no answer to stop
        terminal.wait_for("[stopped")
        terminal.say("/reset")
        terminal.wait_for("new conversation")
        terminal.say("/quit")
        assert terminal.process.wait(60) == 0
    finally:
        terminal.process.kill()
        terminal.process.communicate()


def test_ctrl_c_pressed_many_times_does_not_end_the_session(folder):
    terminal = Terminal(
        "--no-reference", "--model", folder, "--rna", make_rna(20), "--max-new-tokens", "90000"
    )
    try:
        terminal.wait_for("rna_1 (20 nt)\n")
        terminal.say(WHAT)
        for _ in range(3000):
            terminal.process.send_signal(signal.SIGINT)
            time.sleep(1e-5)
        terminal.wait_for("[stopped")
        for _ in range(4):  # the last presses may come with a line that is just read, and cancel it
            terminal.say("/reset")
        terminal.wait_for("new conversation")
        terminal.say("/quit")
        assert terminal.process.wait(60) == 0
    finally:
        terminal.process.kill()
        terminal.process.communicate()


def test_ctrl_c_ends_a_one_shot_call(folder, monkeypatch, capsys):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(RnaGptForCausalLM, "generate", interrupted)
    assert (
        main(["chat", "--rna", make_rna(20), "--ask", WHAT, "--no-reference", "--model", folder])
        == 130
    )
    assert capsys.readouterr() == ("", "rnagpt chat: stopped\n")


def test_describing_the_command_imports_nothing_heavy():
    code = (
        "import sys, rnagpt.cli.main; rnagpt.cli.main.build_parser(); print('torch' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code]) == b"False\n"


def test_one_shot_text(folder, fasta, capsys):
    arguments = [
        "chat",
        fasta,
        "--no-reference",
        "--model",
        folder,
        "--ask",
        WHAT,
        "--max-new-tokens",
        "8",
    ]
    assert main(arguments) == 0
    first, second = capsys.readouterr().out.split("\n\nsecond (30 nt)\n")
    num_t = make_rna(20).count("U")
    assert first.startswith(f"first (20 nt, {num_t} T read as U)\n  {WHAT}\n    ")
    assert second.endswith("[cut at --max-new-tokens]\n")


def test_several_rnas_on_the_command_line(folder, capsys):
    arguments = ["chat", "--rna", make_rna(20), "--rna", f">mine\n{make_rna(30, 1)}", "--json"]
    assert (
        main(
            [
                *arguments,
                "--no-reference",
                "--model",
                folder,
                "--ask",
                WHAT,
                "--max-new-tokens",
                "8",
            ]
        )
        == 0
    )
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["name"] for row in rows] == ["rna_1", "mine"]
    assert [row["answer"] for row in rows] == expected_answers(folder, [WHAT])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no_such_file.fa", "--ask", WHAT], "no_such_file.fa: No such file"),
        (["ACGUACGU", "--ask", WHAT], "give it with --rna"),
        ([os.curdir, "--ask", WHAT], "Is a directory"),
        ([os.devnull, "--ask", WHAT], "is empty"),
        (["--rna", "ACGU", "--json"], "--json needs"),
        (["--rna", "ACGU", "--explain", "drawings"], "--explain needs"),
        (["--rna", "ACGU", "--ask", WHAT, "--int8"], "--int8 is for conversations"),
        (["--rna", "ACGU", "--ask", WHAT, "--compiled"], "--compiled is for conversations"),
        (["-"], "questions must come with --ask"),
        (["--ask", WHAT], "--ask needs an RNA"),
        (["--rna", "", "--ask", WHAT], "empty"),
        (["--rna", f"mRNA {make_rna(20)}", "--ask", WHAT], "RNA 'rna_1' has 'mRNA' beside"),
        (["--rna", f"tRNA\t{make_rna(20)}", "--ask", WHAT], "columns of a table"),
        (["RF00005", "--ask", WHAT], "https://rfam.org/family/RF00005"),
        (["--rna", "NR_123456.1", "--ask", WHAT], "ncbi.nlm.nih.gov/nuccore/NR_123456.1"),
        (["--rna", "ACGU", "--ask", ""], "question is empty"),
        (["--rna", "ACGU", "--ask", "<|im_end|>"], "control token"),
        (["--rna", "ACGU" * 4096 + "A", "--ask", WHAT], "16,385 nt"),
        (["--rna", "ACGU", "--ask", WHAT, "--model", "/no/such/folder"], "/no/such/folder"),
    ],
)
def test_refusals(folder, capsys, arguments, message):
    assert main(["chat", "--no-reference", "--model", folder, *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("rnagpt chat: ")
    assert message in captured.err


@pytest.mark.parametrize("value", ["0", "-3", "many", "1.5"])
def test_numbers_of_tokens_are_checked(capsys, value):
    with pytest.raises(SystemExit, match="2"):
        main(["chat", "--rna", "ACGU", f"--max-new-tokens={value}"])
    assert "whole number from 1" in capsys.readouterr().err


def converse_shortly(monkeypatch, capsys, arguments, lines):
    """With answers of a few tokens, since a tiny model's have no end."""
    return converse(monkeypatch, capsys, ["--max-new-tokens", "8", *arguments], lines)


def test_a_conversation(folder, fasta, monkeypatch, capsys):
    out = converse_shortly(
        monkeypatch,
        capsys,
        ["--no-reference", "--model", folder, "--rna", make_rna(20)],
        [WHAT, "", f"/rna {make_rna(30, 1).lower()}", WHERE],
    )
    chat = RnaChat(load_model(folder), load_processor(folder))
    chat.add_rna(make_rna(20))
    first = "".join(chat.ask(WHAT, max_new_tokens=8))
    chat.add_rna(make_rna(30, 1))
    second = "".join(chat.ask(WHERE, max_new_tokens=8))
    assert out == f"rna_1 (20 nt)\n{first}\nRNA (30 nt)\n{second}\n"


def test_a_conversation_with_int8_weights(folder, monkeypatch, capsys):
    out = converse_shortly(
        monkeypatch,
        capsys,
        ["--no-reference", "--model", folder, "--rna", make_rna(20), "--int8"],
        [WHAT],
    )
    chat = RnaChat.from_pretrained(folder, int8=True, reference=None)
    chat.add_rna(make_rna(20))
    answer = "".join(chat.ask(WHAT, max_new_tokens=8))
    assert out == f"rna_1 (20 nt)\n{answer}\n"


def test_each_record_is_a_conversation_of_its_own(folder, fasta, monkeypatch, capsys):
    out = converse_shortly(
        monkeypatch,
        capsys,
        ["--no-reference", "--model", folder, fasta],
        [WHAT, "/next", WHAT, "/next"],
    )
    first, second = [
        "".join(chat.ask(WHAT, max_new_tokens=8))
        for chat in chats(folder, make_rna(20), make_rna(30, 1))
    ]
    num_t = make_rna(20).count("U")
    assert out == (
        f"first (20 nt, {num_t} T read as U)\n1 more to come: /next.\n{first}\n"
        f"second (30 nt)\n{second}\nThere is no further record.\n"
    )


def chats(folder, *rnas):
    model, processor = load_model(folder), load_processor(folder)
    for rna in rnas:
        chat = RnaChat(model, processor)
        chat.add_rna(rna)
        yield chat


def test_commands(folder, fasta, tmp_path, monkeypatch, capsys):
    (tmp_path / "one.fa").write_text(">U6 spliceosomal\nGUGC-UCGC\n")
    out = converse_shortly(
        monkeypatch,
        capsys,
        ["--no-reference", "--model", folder],
        [
            *("/help", "/nonsense", "/explain", "/rna", "/rna MKLVFFAEDVGSNKG", f"/rna {fasta}"),
            *(f"/rna {tmp_path / 'one.fa'}", "<|im_end|>", KeyboardInterrupt(), "/reset", WHAT),
            *("/quit", "never read"),
        ],
    )
    heard = out.split("\n")
    assert heard[0].startswith("/rna SEQUENCE|FILE")
    for part in (
        "There is no command /nonsense. /help lists the commands.",
        "/rna needs a sequence or a FASTA file.",
        "/explain needs the name of the drawing",
        "This looks like a protein",
        "two.fa holds 2 records",
        "U6 (8 nt, 1 gap dropped)",
        "control token",
        "[stopped; /quit leaves]",
        "A new conversation, without RNAs.",
    ):
        assert part in out
    chat = RnaChat(load_model(folder), load_processor(folder))
    assert out.endswith("".join(chat.ask(WHAT, max_new_tokens=8)) + "\n")


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    """A model whose answers are one token long, and end with it."""
    path = tmp_path_factory.mktemp("models") / "calibrated"
    processor = make_processor(merge_size=3, summary_size=2)
    model = make_model(processor, confidence_scale=0.5, confidence_bias=1.0)
    model.generation_config.eos_token_id = list(range(300))
    model.save_pretrained(path)
    processor.save_pretrained(path)
    return str(path)


def test_confidence_in_text_and_json(calibrated, fasta, monkeypatch, capsys):
    arguments = ["chat", fasta, "--no-reference", "--model", calibrated, "--ask", WHAT]
    assert main([*arguments, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for row in rows:
        logit = 0.5 * row["log_probability"] + 1.0
        assert row["confidence"] == pytest.approx(1 / (1 + math.exp(-logit)))
    expected = pytest.approx([row["confidence"] for row in rows], abs=0.006)  # to two places
    assert main(arguments) == 0
    texts = capsys.readouterr().out.split("\n\nsecond")
    assert [confidence for text in texts for confidence in told_confidences(text)] == expected
    assert told_confidences(texts[0])[0] != pytest.approx(rows[1]["confidence"], abs=0.006)
    lines = [WHAT, "/next", WHAT]
    out = converse_shortly(
        monkeypatch, capsys, [fasta, "--no-reference", "--model", calibrated], lines
    )
    texts = out.split("second (30 nt)")
    assert [confidence for text in texts for confidence in told_confidences(text)] == expected


def told_confidences(text):
    """The confidences that end lines of a text."""
    found = re.findall(r"\(confidence (0\.\d\d|1\.00)\)$", text, re.MULTILINE)
    return [float(told) for told in found]


def test_without_calibration_nothing_is_said_of_confidence(folder, capsys):
    arguments = ["chat", "--rna", make_rna(9), "--ask", WHAT, "--max-new-tokens", "2"]
    assert main([*arguments, "--no-reference", "--model", folder]) == 0
    assert "confidence" not in capsys.readouterr().out


@pytest.fixture(scope="module")
def spaced(calibrated, tmp_path_factory):
    """The same, with " so" as its only answer: white space that is written and not shown."""
    path = tmp_path_factory.mktemp("models") / "spaced"
    model, processor = load_model(calibrated), load_processor(calibrated)
    (only,) = processor.tokenizer(" so")["input_ids"]
    model.generation_config.eos_token_id = only
    model.generation_config.suppress_tokens = [
        token for token in range(len(processor.tokenizer)) if token != only
    ]
    model.save_pretrained(path)
    processor.save_pretrained(path)
    return str(path)


def drawn_scores(drawing, length):
    """What the strip, which comes first, tells of each nucleotide: its letter and its score."""
    titles = re.findall(r"<title>([ACGU])(\d+): ([^<;]+)", drawing)[:length]
    assert [int(position) for _, position, _ in titles] == list(range(1, length + 1))
    sequence = "".join(letter for letter, _, _ in titles)
    return sequence, np.array([float(score.replace("−", "-")) for _, _, score in titles])


def near(drawn, scores):
    """Whether scores are those that are drawn with two digits."""
    return np.allclose(drawn, scores, rtol=0.06, atol=1e-3 * np.abs(scores).max())


def test_drawings_of_one_shot_answers(spaced, fasta, tmp_path, capsys):
    """Each shows what a conversation of its own finds, for the answer as it was written."""
    pytest.importorskip("RNA", reason="ViennaRNA, package viennarna, is not installed")
    drawings = tmp_path / "new" / "drawings"
    arguments = [
        "chat",
        fasta,
        "--no-reference",
        "--model",
        spaced,
        "--ask",
        WHAT,
        "--ask",
        WHERE,
        "--json",
    ]
    assert main([*arguments, "--explain", str(drawings)]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    names = ["1-1.svg", "1-2.svg", "2-1.svg", "2-2.svg"]
    assert sorted(path.name for path in drawings.iterdir()) == names
    chat = RnaChat.from_pretrained(spaced, reference=None)
    for row, name in zip(rows, names, strict=True):
        drawing = (drawings / name).read_text(encoding="utf-8")
        assert f">{row['question']}</text>" in drawing
        assert f"{row['name']} ({row['length']} nt)" in drawing
        chat.reset()
        chat.add_rna([make_rna(20), make_rna(30, 1)][row["record"] - 1])
        assert ("".join(chat.ask(row["question"])), row["answer"]) == (" so", "so")
        (scored,) = chat.explain()
        sequence, drawn = drawn_scores(drawing, row["length"])
        assert sequence == scored.sequence
        assert near(drawn, scored.scores)
        told = row["explanation"]
        assert told["drawing"] == str(drawings / name)
        assert told["summary"] == scored.summary()
        assert [one["position"] - 1 for one in told["mattered"]] == scored.mattered
        assert len(told["structure"]) == row["length"]
        for other in ("so", "tRNA"):
            assert not near(drawn, chat.explain(other)[0].scores)


def test_an_explained_trna_is_a_cloverleaf(spaced, tmp_path, capsys):
    pytest.importorskip("RNA", reason="ViennaRNA, package viennarna, is not installed")
    trna = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"
    arguments = ["chat", "--rna", trna, "--model", spaced, "--ask", WHAT]
    assert main([*arguments, "--json", "--explain", str(tmp_path)]) == 0
    told = json.loads(capsys.readouterr().out)["explanation"]
    assert told["structure"] == (
        "(((((((..((((........)))).(((((.......))))).....(((((.......))))))))))))...."
    )
    assert told["structure_source"].startswith("consensus of tRNA (RF00005), laid on nt 1 to 73")
    drawing = (tmp_path / "1-1.svg").read_text(encoding="utf-8")
    assert f"structure: {told['structure_source']}</text>" in drawing
    assert drawing.count('stroke="#404040"') == 21  # pairs: 7 + 4 + 5 + 5
    assert main([*arguments, "--explain", str(tmp_path)]) == 0
    assert f")\n    [{told['summary']}]\n    [1] RF00005 tRNA" in capsys.readouterr().out


def test_drawing_in_a_conversation(calibrated, tmp_path, monkeypatch, capsys):
    pytest.importorskip("RNA", reason="ViennaRNA, package viennarna, is not installed")
    file = tmp_path / "both.svg"
    lines = [
        f"/explain {file}",
        f"/rna {make_rna(12)}",
        WHAT,
        f"/explain {file}",
    ]
    arguments = ["--rna", f">first\n{make_rna(20)}", "--no-reference", "--model", calibrated]
    out = converse_shortly(monkeypatch, capsys, arguments, lines)
    assert "Nothing was answered yet" in out
    assert re.search(
        rf"^first: \S.* mattered.*\.\nRNA 2: \S.* mattered.*\.\n{file} is drawn\.$",
        out,
        re.MULTILINE,
    )
    drawing = file.read_text(encoding="utf-8")
    assert "first (20 nt)" in drawing
    assert "RNA 2 (12 nt)" in drawing


def test_without_viennarna_no_answer_is_begun(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "RNA", None)
    arguments = ["chat", "--rna", "ACGU", "--ask", WHAT, "--no-reference", "--model", folder]
    assert main([*arguments, "--explain", str(tmp_path / "drawings")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "pip install 'rna-gpt[explain]'" in captured.err
    assert not (tmp_path / "drawings").exists()
