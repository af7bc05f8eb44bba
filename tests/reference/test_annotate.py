"""Annotating many sequences, the formats, and the command `rnagpt annotate`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rnagpt.cli.main import main
from rnagpt.reference.annotate import annotate
from rnagpt.reference.edit import families_of, ungapped
from rnagpt.reference.formats import FORMATS
from rnagpt.reference.library import Reference
from rnagpt.sequences.fasta import FastaRecord


@pytest.fixture
def fasta(reference: Reference, tmp_path: Path) -> Path:
    """One RNA of each family, one without a family, one that is too short."""
    records = [
        f">{record.name} of our plate\n{ungapped(seed.rows[0][1])}\n"
        for record, seed in families_of(reference)
    ]
    records += [f">nothing\n{'ACGUUGCA' * 9}\n", ">short\nACGT\n"]
    path = tmp_path / "rnas.fasta"
    path.write_text("".join(records))
    return path


def test_results_come_in_order_whatever_the_number_of_processes(
    reference: Reference, fasta: Path
) -> None:
    from rnagpt.sequences.fasta import read_fasta

    records = list(read_fasta(fasta)) * 30
    one = list(annotate(records, reference))
    two = list(annotate(records, reference, jobs=2))
    assert [result.name for result in one] == [record.name for record in records]
    assert two == one
    assert [hit.record.name for hit in one[0].hits] == ["GadY"]


def test_a_record_that_is_no_rna_stops_no_other(reference: Reference) -> None:
    records = [FastaRecord("p", "", "MKVLAAGIVGLPLPE", 1), "ACGU" * 8, "ACGU"]
    results = list(annotate(records, reference))
    assert "looks like a protein" in str(results[0].error)
    assert [result.name for result in results] == ["p", "record_2", "record_3"]
    assert results[1].hits == ()
    assert "too short" in results[2].note
    assert results[2].length == 4


def test_what_was_changed_is_told(reference: Reference) -> None:
    (result,) = annotate(["acgt" * 8], reference)
    assert result.changes


@pytest.mark.parametrize("values", [{"evalue": 0}, {"jobs": 0}])
def test_numbers_that_are_none(reference: Reference, values: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="positive"):
        list(annotate(["ACGU" * 8], reference, **values))  # type: ignore[arg-type]


def run(*arguments: object) -> int:
    return main(["annotate", *map(str, arguments)])


def test_json_has_the_fields_that_programs_read(
    five_families: Path, fasta: Path, own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(fasta, "--reference", five_families, "--format", "json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["name"] for line in lines[:2]] == ["GadY", "mir-648"]
    assert set(lines[0]) == {"name", "length", "changes", "hits"}
    hit = lines[0]["hits"][0]
    needed = "id name description type start end strand evalue bits identity source structure"
    assert set(hit) >= {*needed.split(), "alignment", "evidence"}
    assert hit["id"] == "RF00122"
    assert hit["start"] <= hit["end"] <= lines[0]["length"]
    assert all(re.fullmatch(r"\d+", paper) for paper in hit["evidence"])
    assert lines[-1]["note"].startswith("4 nt are too short")
    assert lines[-2]["hits"] == []


def test_gff3_follows_the_specification(
    five_families: Path, fasta: Path, own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lincoln Stein's specification 1.26: header, nine columns, escapes, unique IDs, SO terms."""
    text = fasta.read_text().replace(">GadY of", ">Gad;Y,=1% of")
    fasta.write_text(text)
    assert run(fasta, "--reference", five_families, "--format", "gff3") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "##gff-version 3"
    features = [line.split("\t") for line in lines if not line.startswith("#")]
    assert len(features) >= 5
    assert features[0][0] == "Gad%3BY%2C%3D1%25"
    identifiers = set()
    lengths = {
        line.split()[1]: int(line.split()[3]) for line in lines if line.startswith("##sequence-re")
    }
    for seqid, source, kind, start, end, score, strand, phase, attributes in features:
        assert re.fullmatch(r"[A-Za-z0-9.:^*$@!+_?|%-]+", seqid)
        assert re.fullmatch(r"[A-Za-z_]+", kind)
        assert 1 <= int(start) <= int(end) <= lengths[seqid]
        assert float(score) >= 0
        assert (source, phase) == ("rnagpt", ".")
        assert strand in "+-"
        pairs = dict(part.split("=") for part in attributes.split(";"))
        identifiers.add(pairs["ID"])
    assert len(identifiers) == len(features)


def test_tsv_has_one_row_per_hit(
    five_families: Path, fasta: Path, own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(fasta, "--reference", five_families, "--format", "tsv") == 0
    header, *lines = capsys.readouterr().out.splitlines()
    columns = header.removeprefix("#").split("\t")
    rows = [dict(zip(columns, line.split("\t"), strict=True)) for line in lines if line[0] != "#"]
    assert [row["accession"] for row in rows][:2] == ["RF00122", "RF00970"]
    assert rows[0]["target_name"] == "GadY"
    assert lines[-1].startswith("# 0 hits in short (4 nt); 4 nt are too short")


@pytest.mark.parametrize("name", list(FORMATS))
@pytest.mark.parametrize("cut", [0.3, 0.7, 1.0])
def test_a_file_that_was_cut_anywhere_is_completed(
    five_families: Path, fasta: Path, own_cache: Path, tmp_path: Path, name: str, cut: float
) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    options = ("--reference", five_families, "--format", name)
    assert run(fasta, whole, *options) == 0
    data = whole.read_bytes()
    part.write_bytes(data[: int(cut * len(data))])
    assert run(fasta, part, *options, "--resume") == 0
    assert part.read_bytes() == data


def test_a_file_that_is_there_is_not_replaced(
    five_families: Path, fasta: Path, own_cache: Path, tmp_path: Path, capsys: object
) -> None:
    out = tmp_path / "out"
    out.write_text("precious\n")
    assert run(fasta, out, "--reference", five_families) == 2
    assert out.read_text() == "precious\n"


def test_bad_records_are_all_listed_and_the_others_annotated(
    five_families: Path, fasta: Path, own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fasta.write_text(">p\nMKVLEE\n" + fasta.read_text() + ">q\nHELLO\n")
    assert run(fasta, "--reference", five_families, "--format", "tsv") == 2
    shown = capsys.readouterr()
    assert "2 records are rejected" in shown.err
    assert "'p'" in shown.err
    assert "'q'" in shown.err
    assert "GadY" in shown.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.fasta"], "missing.fasta"),
        (["{fasta}", "--reference", "nowhere"], "nowhere is no reference"),
        (["{fasta}", "--resume"], "--resume needs the file"),
    ],
)
def test_what_cannot_be_done_says_why(
    fasta: Path,
    five_families: Path,
    own_cache: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = [word.format(fasta=fasta) for word in arguments]
    if "--reference" not in words:
        words += ["--reference", str(five_families)]
    assert run(*words) == 2
    assert message in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_fault(
    five_families: Path, fasta: Path, own_cache: Path
) -> None:
    fasta.write_text(fasta.read_text() * 400)
    command = [sys.executable, "-m", "rnagpt.cli.main", "annotate", str(fasta)]
    with subprocess.Popen(
        [*command, "--reference", str(five_families), "--format", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"{")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(120) == 0


def test_torch_and_transformers_stay_out(five_families: Path, fasta: Path, own_cache: Path) -> None:
    # Numpy makes the reference ready, the first time, and no more.
    Reference.open(five_families).prepare()
    code = (
        "import sys; from rnagpt.cli.main import main; "
        f"code = main(['annotate', {str(fasta)!r}, '--reference', {str(five_families)!r}]); "
        "heavy = {'torch', 'transformers', 'numpy', 'datasets'} & set(sys.modules); "
        "sys.exit(code or repr(heavy) if code or heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_commands_of_references(
    five_families: Path, own_cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reference", "info", str(five_families)]) == 0
    assert "5 families, built from" in capsys.readouterr().out
    notes = tmp_path / "notes.tsv"
    notes.write_text("id\tsequence\nx\tGGGCACGUACGAUCGACGUUAGCGGAUCC\n")
    new = tmp_path / "new"
    assert main(["reference", "add", str(five_families), str(notes), str(new)]) == 0
    assert main(["reference", "merge", str(five_families), str(new), str(tmp_path / "all")]) == 0
    capsys.readouterr()
    assert main(["reference", "info", str(tmp_path / "all"), "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert (values["families"], values["rnas"]) == (5, 1)
    assert main(["reference", "info", str(tmp_path)]) == 2
