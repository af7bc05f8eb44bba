"""Entries of GenBank's flat files, as Biopython writes them and as people cut them."""

from __future__ import annotations

import gzip
import io

import pytest
from helpers.tiny_models import make_rna

from rnagpt.sequences.fasta import FastaError, FastaRecord, clean_rnas, read_fasta

# The beginning of a real entry's lines, with a short sequence.
ENTRY = """\
LOCUS       NR_003286                 70 bp    RNA     linear   PRI 20-APR-2025
DEFINITION  Homo sapiens RNA, 18S ribosomal N5 (RNA18SN5), ribosomal
            RNA.
ACCESSION   NR_003286 XR_016032
VERSION     NR_003286.4
KEYWORDS    RefSeq.
SOURCE      Homo sapiens (human)
  ORGANISM  Homo sapiens
            Eukaryota; Metazoa; Chordata.
FEATURES             Location/Qualifiers
     source          1..70
                     /organism="Homo sapiens"
     rRNA            1..70
                     /note="ORIGIN of the ribosome"
ORIGIN
        1 tacctggttg atcctgccag tagcatatgc ttgtctcaaa gattaagcca tgcatgtcta
       61 agtacgcacg
//
"""
BEFORE = ENTRY.rpartition("ORIGIN")[0]
LETTERS = "tacctggttgatcctgccagtagcatatgcttgtctcaaagattaagccatgcatgtctaagtacgcacg"


def read(text: str, name: str = "mine.gb") -> list[FastaRecord]:
    stream = io.StringIO(text)
    stream.name = name
    return list(read_fasta(stream))


def test_an_entry_is_a_record() -> None:
    (record,) = read(ENTRY)
    assert record.name == "NR_003286.4"
    assert record.description == "Homo sapiens RNA, 18S ribosomal N5 (RNA18SN5), ribosomal RNA"
    assert record.sequence == LETTERS
    (rna,) = clean_rnas([record])
    assert rna.sequence == LETTERS.upper().replace("T", "U")


def test_entries_are_what_biopython_wrote() -> None:
    sequence = pytest.importorskip("Bio.Seq", reason="Biopython is not installed")
    record = pytest.importorskip("Bio.SeqRecord")
    files = pytest.importorskip("Bio.SeqIO")
    given = [
        (f"RNA{number}.1", make_rna(length, number))
        for number, length in enumerate([1, 59, 60, 61, 1_234])
    ]
    written = io.StringIO()
    for name, letters in given:
        one = record.SeqRecord(
            sequence.Seq(letters.replace("U", "T")),
            id=name,
            name=name.split(".")[0],
            description=f"what {name} is " * 12,
            annotations={"molecule_type": "RNA"},
        )
        files.write(one, written, "genbank")
    found = read("\n" + written.getvalue())
    assert [(one.name, one.sequence.upper().replace("T", "U")) for one in found] == given
    assert all(one.description == (f"what {one.name} is " * 12).strip() for one in found)
    lines = written.getvalue().splitlines()
    assert [lines[one.line - 2].startswith("LOCUS") for one in found] == [True] * len(found)


def test_it_may_be_compressed_and_from_windows(tmp_path: object) -> None:
    packed = io.BytesIO(gzip.compress(ENTRY.replace("\n", "\r\n").encode()))
    (record,) = read_fasta(packed)
    assert record.sequence == LETTERS


def test_the_last_line_may_be_missing_but_no_letter() -> None:
    (record,) = read(ENTRY.removesuffix("//\n"))
    assert record.sequence == LETTERS
    both = ENTRY.removesuffix("//\n") + ENTRY
    assert [one.sequence for one in read(both)] == [LETTERS, LETTERS]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            ENTRY.split("       61")[0],
            r"mine\.gb, line 1: .*NR_003286\.4 says that it has 70 .* 60",
        ),
        (BEFORE + "//\n", r"line 1: this entry .* has no sequence"),
        (
            BEFORE + "CONTIG      join(U49845.1:1..70)\n//\n",
            r"ORIGIN is missing; it names the entries that it is joined of.*GenBank \(full\)",
        ),
        (
            ENTRY.replace("       61 agt", "       61 ag7"),
            r"line 17: expected a number",
        ),
        (ENTRY + ">b\nACGU\n", r"line 19: an entry of GenBank begins with a line LOCUS"),
    ],
)
def test_what_is_no_whole_entry_says_why(text: str, told: str) -> None:
    with pytest.raises(FastaError, match=told):
        read(text)


def test_an_entry_of_a_protein_is_no_rna() -> None:
    text = BEFORE.replace("70 bp    RNA ", "20 aa        ")
    (record,) = read(f"{text}ORIGIN\n        1 mskgeelftg vvpilveldg\n//\n")
    with pytest.raises(ValueError, match="protein"):
        clean_rnas([record])
