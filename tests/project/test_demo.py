"""The demo: its five RNAs are Rfam's, and its cited answers say what Rfam says."""

import csv
import gzip
import os
import runpy
import sys
from pathlib import Path

import pytest
from helpers.paths import ROOT
from helpers.tiny_models import make_model, make_processor

from rnagpt import clean_rna, read_fasta

EXAMPLES = ROOT / "examples"


def read_table():
    with open(EXAMPLES / "five_rnas.tsv", newline="") as file:
        header, *rows = csv.reader(file, delimiter="\t")
    return header, rows


def test_prints_cited_answers_beside_the_model(tmp_path, monkeypatch, capsys):
    processor = make_processor()
    make_model(processor).save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    monkeypatch.setattr(sys, "argv", ["demo.py", "--model", str(tmp_path)])
    monkeypatch.setenv("COLUMNS", "120")
    runpy.run_path(str(EXAMPLES / "demo.py"), run_name="__main__")
    out = capsys.readouterr().out
    header, rows = read_table()
    words = " ".join(out.split())
    for name, family, what, *_ in rows:
        assert f"\n{name}, " in out
        assert f"  [1] {family} " in out
        assert f"is {what.split()[0]}" in words
    assert len(header[2:]) == 3
    assert out.count("What is this RNA?") == 5 + 1  # once more in the last line
    assert "\n15 questions in " in out


def test_the_five_rnas_are_what_rfam_says():
    folder = os.environ.get("RNAGPT_SHARED_DATA")
    if not folder:
        pytest.skip("RNAGPT_SHARED_DATA does not name a folder with rfam/Rfam.seed.gz")
    _, rows = read_table()
    wanted = {row[1]: row for row in rows}
    sequences = {
        record.name: record.sequence for record in read_fasta(EXAMPLES / "five_rnas.fasta")
    }
    found = 0
    with gzip.open(Path(folder) / "rfam" / "Rfam.seed.gz", "rt", encoding="latin-1") as seed:
        features: dict[str, list[str]] = {}
        aligned = ""
        for line in seed:
            tag, _, value = line.rstrip("\n").partition(" ")
            if tag == "#=GF":
                features.setdefault(value[:2], []).append(value[5:])
            elif tag in sequences:
                name, aligned = tag, aligned + value
            elif tag == "//":
                accession = features["AC"][0].strip()
                if accession in wanted:
                    row = wanted[accession]
                    assert row[0] == name
                    assert clean_rna(aligned).sequence == sequences[name]
                    assert [row[2]] == features["DE"]
                    assert row[3] + ";" == features["TP"][0]
                    assert row[4] in " ".join(features["CC"])
                    found += 1
                features, aligned = {}, ""
    assert found == 5
