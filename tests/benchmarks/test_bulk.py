"""The benchmarks of bulk questions and of evidence: programs that run, figures that follow."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.paths import ROOT
from helpers.tiny_models import make_rna

from rnagpt.conversion.mini import load_bundled

sys.path.insert(0, str(ROOT / "benchmarks"))
bulk: Any = pytest.importorskip("bulk")
bulk_vllm: Any = pytest.importorskip("bulk_vllm")
evidence_cost: Any = pytest.importorskip("evidence_cost")

TRNA = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"


def test_a_program_answers_about_each_rna_and_tells_what_it_took(tmp_path: Path) -> None:
    fasta = bulk.write_fasta(tmp_path, [TRNA, make_rna(60), TRNA])
    done = bulk.run(fasta, 3, [])
    assert done.rnas == 3
    assert done.tokens > 3 * 3
    assert done.processor > 0
    assert 50 < done.memory < 1_000  # PyTorch is not loaded
    with pytest.raises(RuntimeError, match="ended with 0 after 3 lines"):
        bulk.run(fasta, 4, [])
    with pytest.raises(RuntimeError, match="ended with 2 after 0 lines"):
        bulk.run(tmp_path / "none.fasta", 3, [])


def test_the_memory_of_most_rnas_stands_beside_that_of_fewest() -> None:
    runs = {
        bulk.RECORDS: [
            bulk.Run(100, 5.0, 4.0, 204.8, 1_000),
            bulk.Run(1_000, 30.0, 25.0, 256.0, 9_000),
        ]
    }
    text, (figure,) = bulk.report(argparse.Namespace(), runs)
    assert figure.ratio == pytest.approx(204.8 / 256)  # memory is a cost
    assert "| 1,000 | 30.0 s | 25.0 s | 40.0 | 360 | 256 MiB |" in text


def test_an_answer_is_its_prompt_and_its_further_tokens() -> None:
    taken = {
        ("PyTorch", order, kind): evidence_cost.Taken([first] * 2, [0.05, 0.1, 0.2], [length] * 2)
        for order in evidence_cost.ORDER
        for kind, first, length in [
            (evidence_cost.WITHOUT, 0.2, 60),
            (evidence_cost.WITH, 0.5, 300),
        ]
    }
    assert taken["PyTorch", "first", evidence_cost.WITH].answers(11) == [1.5, 1.5]
    args = argparse.Namespace(rnas=2, tokens=11)
    text, figures = evidence_cost.report(args, taken, [0.02, 0.03])
    assert [figure.ratio for figure in figures] == pytest.approx([1.2 / 1.5] * 2)
    assert "| PyTorch | first | 60 | 300 | 1.20 s | 1.50 s | 0.20 |" in text
    assert "25 ms an RNA" in text


def test_engines_stand_beside_vllm_by_their_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    told: dict[str, list[dict[str, Any]]] = {
        name: [{"seconds": seconds, "processor": 99.0, "start": 5.0, "tokens": 600}] * 3
        for name, seconds in [
            (bulk_vllm.PYTORCH, 20.0),
            (bulk_vllm.LLAMA, 10.0),
            (bulk_vllm.VLLM, 30.0),
        ]
    }
    text, figures = bulk_vllm.report(argparse.Namespace(rnas=40, rounds=3), told)
    assert [figure.ratio for figure in figures] == pytest.approx([1.5, 3.0])
    assert [figure.ours for figure in figures] == pytest.approx([2.0, 4.0])
    assert "| llama.cpp | 4.00 | 60.0 | 2.00 x | 5 s |" in text


def test_answers_of_one_engine_come_with_their_tokens(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp", reason="needs llama.cpp: make test-llama")
    file = tmp_path / "rnas.json"
    file.write_text(json.dumps([TRNA, make_rna(60)]))
    told = bulk_vllm.answer(bulk_vllm.LLAMA, str(file), str(load_bundled()))
    assert 2 <= told["tokens"] <= 2 * bulk_vllm.TOKENS
    assert told["seconds"] > 0
    assert told["processor"] > 0
