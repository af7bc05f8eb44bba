"""The command `rnagpt chat` with a reference: cited answers, their records, and whose words."""

import json
import os
import re
import subprocess
import sys
import threading
import time

import pytest
from helpers.fake_openai import KEY, MODEL, serve_openai
from helpers.paths import FIVE_RNAS
from helpers.tiny_models import make_model, make_processor, make_rna
from helpers.typed_lines import converse

from rnagpt import read_fasta
from rnagpt.cli.main import main
from rnagpt.reference.library import Reference

TRNA, RRNA = [record.sequence for record in read_fasta(FIVE_RNAS)][:2]
FAMILY, LENGTH = "Which family is this?", "How long is it?"
TRNA_ANSWER = "It belongs to the tRNA family (tRNA) [1]."
(HIT,) = Reference.open().search(TRNA)
RECORD = f"[1] RF00005 tRNA — E {HIT.evalue:.1g}, nucleotides 1–74, https://rfam.org/family/RF00005"


@pytest.fixture(scope="module")
def fasta(tmp_path_factory):
    path = tmp_path_factory.mktemp("rnas") / "three.fa"
    path.write_text(f">alpha\n{TRNA}\n>beta\n{RRNA}\n>none\n{make_rna(12)}\n")
    return str(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny random model that does not read evidence."""
    path = tmp_path_factory.mktemp("models") / "tiny"
    processor = make_processor(merge_size=3, summary_size=2)
    model = make_model(processor)
    model.config.confidence_scale, model.config.confidence_bias = (
        0.1,
        5.0,
    )  # sure enough to be asked
    model.save_pretrained(path)
    processor.save_pretrained(path)
    return str(path)


def lines_of(capsys):
    return capsys.readouterr().out.splitlines()


def test_text(folder, fasta, capsys):
    arguments = ["chat", fasta, "--model", folder, "--ask", FAMILY, "--ask", LENGTH]
    assert main([*arguments, "--ask", "Which RNA family is it?"]) == 0
    first, second, third = capsys.readouterr().out.split("\n\n")
    assert first == (
        f"alpha (74 nt)\n"
        f"  {FAMILY}\n    {TRNA_ANSWER} (confidence 0.98)\n    {RECORD}\n"
        f"  {LENGTH}\n    It is 74 nucleotides long.\n"
        f"  Which RNA family is it?\n    {TRNA_ANSWER} (confidence 0.98)"
    )
    assert re.search(r"\n    \[1\] RF00001 5S_rRNA — E \S+, nucleotides 1–116, https", second)
    assert "12 nt are too short to search" in third


def test_json(folder, fasta, capsys):
    assert main(["chat", fasta, "--model", folder, "--ask", FAMILY, "--json"]) == 0
    rows = [json.loads(line) for line in lines_of(capsys)]
    for row in rows:
        assert set(row) == {
            *("record", "name", "length", "changes", "question", "answer", "complete"),
            *("log_probability", "confidence", "abstains"),
            *("basis", "about", "evidence", "sentences"),
        }
        numbers = {record["number"] for record in row["evidence"]}
        for sentence in row["sentences"]:
            assert set(sentence) == {"text", "records", "supported"}
            assert numbers.issuperset(sentence["records"])
    assert [row["basis"] for row in rows] == ["records", "records", "none"]
    assert [row["about"] for row in rows] == [["alpha"], ["beta"], ["none"]]
    (record,) = rows[0]["evidence"]
    told = json.loads(json.dumps({"number": 1, "rna": "alpha", **HIT.to_dict()}))
    assert record.items() >= told.items()
    assert rows[2]["evidence"] == []


def run(*arguments, **environment):
    code = (
        "import sys; from rnagpt.cli.main import main; code = main(sys.argv[1:]); "
        "print([n for n in ('torch', 'transformers') if n in sys.modules]); sys.exit(code)"
    )
    return subprocess.run(
        [sys.executable, "-c", code, "chat", *arguments],
        env={**os.environ, **environment},
        input="Which family is this?\n/evidence\n",
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("more", [["--ask", FAMILY], []])
def test_pytorch_is_not_imported_where_records_answer(more):
    done = run("--rna", TRNA, *more)
    assert done.returncode == 0, done.stderr
    assert TRNA_ANSWER in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_model_is_loaded_for_its_own_reading(folder):
    done = run("--model", folder, "--rna", make_rna(80, 1), "--ask", "What is this RNA?")
    assert "No record of Rfam 14.2 matches this RNA." in done.stdout
    assert "torch" in done.stdout.splitlines()[-1]
    assert done.stderr == ""


def test_a_conversation(folder, fasta, monkeypatch, capsys):
    out = converse(
        monkeypatch,
        capsys,
        ["--model", folder, "--rna", f">alpha\n{TRNA}"],
        [
            FAMILY,
            f"/rna {RRNA}",
            "What is alpha's length?",
            FAMILY,
            FAMILY,
            "/evidence",
            "What is RNA 7?",
            "/reset",
            "/evidence",
            FAMILY,
        ],
    )
    told = out.splitlines()
    assert told[:4] == [
        "alpha (74 nt)",
        f"{TRNA_ANSWER} (confidence 0.98)",
        RECORD,
        "RNA (116 nt)",
    ]
    assert told[4] == "It is 74 nucleotides long."
    assert told[5].startswith("(about RNA 2, the last RNA given) It belongs to the 5S")
    assert told[6].startswith("[2] RF00001 5S_rRNA — ")
    assert told[7] == told[5]  # its record was shown
    assert told[8:12] == ["alpha (74 nt)", f"  {RECORD}", "RNA 2 (116 nt)", f"  {told[6]}"]
    assert told[12:] == [
        "The question is about RNA 7, and 2 RNAs were given: alpha, RNA 2.",
        "A new conversation, without RNAs.",
        "There is no RNA. Add one with /rna.",
        "No RNA was given. Add one, and ask again.",
    ]


def test_each_record_is_a_conversation_with_numbers_of_its_own(folder, fasta, monkeypatch, capsys):
    out = converse(
        monkeypatch, capsys, ["--model", folder, fasta], [FAMILY, "/next", FAMILY, "/evidence"]
    )
    assert RECORD in out
    assert out.count("[1] RF00001 5S_rRNA") == 2
    assert "[2]" not in out


def test_evidence_without_a_reference(folder, monkeypatch, capsys):
    arguments = ["--model", folder, "--no-reference", "--rna", TRNA]
    out = converse(monkeypatch, capsys, arguments, ["/evidence"])
    assert "this conversation has no reference" in out


def test_ctrl_c_ends_a_search_and_not_the_session(folder, monkeypatch, capsys):
    from rnagpt.cli import chat_session

    begun = threading.Event()

    def slowly(self, *args, **kwargs):
        begun.set()
        time.sleep(0.02)
        return []

    monkeypatch.setattr(Reference, "scan", slowly)
    presses = []
    enter = chat_session.CtrlC.__enter__

    def entered(self):
        presses.append(self._press)
        return enter(self)

    monkeypatch.setattr(chat_session.CtrlC, "__enter__", entered)

    def press():
        assert begun.wait(60)
        presses[0]()

    thread = threading.Thread(target=press)
    thread.start()
    before = time.monotonic()
    arguments = ["--model", folder, "--rna", make_rna(10_000) * 200]
    # The press is heard by the next line that is read, too.
    out = converse(monkeypatch, capsys, arguments, [FAMILY, LENGTH])
    thread.join()
    assert time.monotonic() - before < 30
    assert "[stopped; /quit leaves]" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rna", TRNA, "--ask", "What is RNA 2?"], "about RNA 2, and 1 RNA was given: rna_1"),
        (["--rna", "ACGU", "--ask", ""], "question is empty"),
        (["--rna", "MKLVFFAEDVGSNKG", "--ask", FAMILY], "protein"),
        (["--rna", TRNA, "--ask", FAMILY, "--reference", "/no/such"], "/no/such"),
        (["--rna", TRNA, "--ask", FAMILY, "--model", "/no/such/folder"], "/no/such/folder"),
        (["--rna", TRNA, "--reference", ".", "--no-reference"], "contradict each other"),
        (["--rna", TRNA, "--language-model", "gpt"], "give --language-model-url too"),
        (
            ["--rna", TRNA, "--language-model-url", "http://x/v1", "--no-reference"],
            "--no-reference searches for none",
        ),
        (
            ["--rna", TRNA, "--language-model-url", "http://x/v1", "--model", "m"],
            "--model is for a model of this machine",
        ),
        (["--rna", TRNA, "--language-model-url", "x:80"], "is no address of a service"),
    ],
)
def test_refusals(capsys, arguments, message):
    assert main(["chat", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("rnagpt chat: ")
    assert message in captured.err


def test_a_model_behind_an_address(monkeypatch, capsys, fasta):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("RNAGPT_API_KEY", raising=False)
    with serve_openai(lambda body: "It is a tRNA.") as service:
        url = ["--language-model-url", service.base_url]
        assert main(["chat", fasta, *url, "--ask", "What type of RNA is it?", "--json"]) == 0
        rows = [json.loads(line) for line in lines_of(capsys)]
        # What is right of the first is wrong of the second, whose records take its place.
        assert [row["answer"] for row in rows[:2]] == ["It is a tRNA [1].", "It is an rRNA [1]."]
        assert sum(service.received.values()) == 2
        arguments = [*url, "--language-model", MODEL, "--rna", f">alpha\n{TRNA}"]
        out = converse(
            monkeypatch, capsys, arguments, ["What type of RNA is it?", "/explain a.svg"]
        )
        assert "It is a tRNA [1]. (confidence 0.98)\n[1] RF00005 tRNA" in out
        assert "The model of this conversation is behind an address" in out
        monkeypatch.setenv("RNAGPT_API_KEY", "wrong")
        assert main(["chat", "--rna", TRNA, *url, "--ask", FAMILY]) == 2
        assert "does not accept the API key" in capsys.readouterr().err


def test_drawings_of_cited_answers(folder, tmp_path, capsys):
    pytest.importorskip("RNA", reason="ViennaRNA, package viennarna, is not installed")
    arguments = ["chat", "--model", folder, "--rna", TRNA, "--ask", FAMILY]
    assert main([*arguments, "--explain", str(tmp_path)]) == 0
    assert TRNA_ANSWER in capsys.readouterr().out
    drawing = (tmp_path / "1-1.svg").read_text(encoding="utf-8")
    assert f"{TRNA_ANSWER} (confidence 0.98)" in drawing
    assert "rna_1 (74 nt)" in drawing
