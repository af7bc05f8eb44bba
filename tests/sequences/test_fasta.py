"""The FASTA reader, against files of every ugly kind."""

import bz2
import functools
import gzip
import io
import lzma
import random
import subprocess
import sys
import tracemalloc
import zipfile
from types import SimpleNamespace

import pytest
from Bio.Seq import Seq
from helpers.tiny_models import make_rna
from hypothesis import given
from hypothesis import strategies as st

from rnagpt.cleaning_rnagpt import RnaSequenceError, Structure, clean_rna
from rnagpt.sequences.fasta import (
    FastaError,
    FastaRecord,
    RnaSequencesError,
    clean_rnas,
    read_fasta,
)

# Without a time: processes that share the tests (pytest-xdist) have to name them alike.
compress = functools.partial(gzip.compress, mtime=0)
PLAIN = b">tRNA yeast, phenylalanine\nGCGGAUUUAGCUCAGUUGGG\nAGAGCGCCAGAC\n>5S\nUGCCUGGCGGCC\n"
EXPECTED = [
    ("tRNA", "yeast, phenylalanine", "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGAC"),
    ("5S", "", "UGCCUGGCGGCC"),
]


def read(data: bytes) -> list[FastaRecord]:
    return list(read_fasta(io.BytesIO(data)))


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("rnas.fa", data)
    return file.getvalue()


def plain_fields(records: list[FastaRecord]) -> list[tuple[str, str, str]]:
    return [(record.name, record.description, record.sequence) for record in records]


@pytest.mark.parametrize(
    "data",
    [
        PLAIN,
        PLAIN.rstrip(b"\n"),
        PLAIN.replace(b"\n", b"\r\n"),
        PLAIN.replace(b"\n", b"\r"),
        b"\xef\xbb\xbf" + PLAIN,
        b"\n\n  \n" + PLAIN.replace(b"\n>5S", b"\n\n \n>5S") + b"\n\n",
        PLAIN.replace(b">5S", b";a comment, as in the first FASTA files\n>5S"),
        PLAIN.replace(b">tRNA yeast", b"> tRNA\tyeast"),
        PLAIN.replace(b"GGG\n", b"GGG  \n\t"),
        PLAIN.decode().encode("utf-16"),
        compress(PLAIN),
        compress(PLAIN[:40]) + compress(PLAIN[40:]),
        compress(b"\xef\xbb\xbf" + PLAIN.replace(b"\n", b"\r\n")),
        compress(PLAIN.decode().encode("utf-16")),
        PLAIN.decode().encode("utf-16-le"),
        PLAIN.decode().encode("utf-16-be"),
        b"\n" + PLAIN.replace(b">", b"  \t>"),
        bz2.compress(PLAIN),
        lzma.compress(PLAIN),
        bz2.compress(PLAIN[:40]) + bz2.compress(PLAIN[40:]),
    ],
    ids=[
        "plain",
        "no last line end",
        "CRLF",
        "lone CR",
        "byte order mark",
        "blank lines",
        "comment",
        "space after >",
        "white space at line ends",
        "UTF-16 of Windows",
        "gzip",
        "gzip of several members, as bgzip writes",
        "gzip of BOM and CRLF",
        "gzip of UTF-16",
        "UTF-16 without a byte order mark",
        "UTF-16 of the other order without one",
        "white space before >",
        "bzip2",
        "xz",
        "bzip2 of several streams, as pbzip2 writes",
    ],
)
def test_reads_the_same_records_however_they_are_written(data, tmp_path):
    assert plain_fields(read(data)) == EXPECTED
    path = tmp_path / "no_matter_what.name"
    path.write_bytes(data)
    assert plain_fields(list(read_fasta(path))) == EXPECTED
    assert plain_fields(list(read_fasta(str(path)))) == EXPECTED


def test_joined_files_with_a_byte_order_mark_each():
    assert plain_fields(read(2 * (b"\xef\xbb\xbf" + PLAIN))) == 2 * EXPECTED


def test_keeps_case_gaps_and_letters_for_the_cleaner():
    (record,) = read(b">a\nacgt-ACGT.nryX*\n")
    assert record.sequence == "acgt-ACGT.nryX*"


def test_headers_without_a_name_or_a_sequence_and_repeated_names():
    records = read(b">a first\nAC\n>\nGG\n>a second\n>last")
    assert [(record.name, record.sequence, record.line) for record in records] == [
        ("a", "AC", 1),
        ("record_2", "GG", 3),
        ("a", "", 5),
        ("last", "", 6),
    ]


def test_a_header_in_another_encoding_is_no_obstacle():
    (record,) = read(">tRNA Müller\nACGU\n".encode("latin-1"))
    assert (record.name, record.sequence) == ("tRNA", "ACGU")


@pytest.mark.parametrize("name", ["my.rna.fa", "my.rna.fa.gz"])
def test_a_bare_sequence_is_named_after_its_file(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(compress(b"\nacgu\r\nACGU\n") if name.endswith("gz") else b"\nacgu\nACGU")
    (record,) = read_fasta(path)
    assert (record.name, record.sequence, record.line) == ("my.rna", "acguACGU", 2)


def test_standard_input(monkeypatch):
    for data, name in ((compress(PLAIN), "tRNA"), (b"ACGU", "stdin")):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
        assert next(iter(read_fasta("-"))).name == name
        assert not sys.stdin.buffer.closed


@pytest.mark.parametrize("newline", ["", None])
def test_open_files_of_both_kinds_stay_open(tmp_path, newline):
    path = tmp_path / "a.fa"
    path.write_bytes(PLAIN.replace(b"\n", b"\r"))
    with open(path, newline=newline) as text, open(path, "rb") as binary:
        assert plain_fields(list(read_fasta(text))) == EXPECTED
        assert plain_fields(list(read_fasta(binary))) == EXPECTED
        assert not text.closed
        assert not binary.closed


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf\r\n \n", "is empty"),
        (compress(b""), "is empty"),
        (b";only a comment\n", "is empty"),
        (b"\nACGU\nAC\n>a\nGG\n", r"line 2: text before the first header \(line 4\)"),
        (bytes(range(256)), "this is no text"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "this is no text"),
        (zipped(PLAIN), "a zip archive.*Unpack it"),
        (bytes.fromhex("28b52ffd") + bytes(9), "compressed by zstd.*zstd -d"),
        (compress(b"BAM\1" + bytes(9)), "is BAM.*samtools fasta"),
        (bz2.compress(PLAIN)[:-12], "damaged bzip2"),
        (lzma.compress(PLAIN)[:-12], "damaged xz"),
        (b"BZh", "damaged bzip2"),
        (b"%PDF-1.7\n", "a PDF"),
        (b">a\nACGU\n\xff\xfe\x00\n", "line 3: this is no text"),
        (compress(PLAIN)[:-12], "damaged gzip"),
        (compress(PLAIN)[:15] + b"\0\0\0\0" + compress(PLAIN)[19:], "damaged gzip"),
        (b"\x1f\x8b", "damaged gzip"),
        (b"@read1\nACGU\n+\nIIII\n", "looks like FASTQ"),
        (b"LOCUS       SCU49845\n", "line 1: this entry of GenBank has no sequence"),
        (b"# STOCKHOLM 1.0\n", "looks like Stockholm"),
        (b"@HD\tVN:1.6\n@SQ\tSN:chr1\tLN:9\n", "looks like SAM.*samtools fasta"),
        (b"CLUSTAL W (1.83) multiple sequence alignment\n", "looks like Clustal"),
        (b"<!DOCTYPE html>\n", "looks like a web page"),
    ],
)
def test_what_is_no_fasta_is_rejected_with_a_reason(data, message):
    with pytest.raises(FastaError, match=message):
        read(data)


def test_errors_name_the_file(tmp_path):
    path = tmp_path / "empty.fa"
    path.touch()
    with pytest.raises(FastaError, match=r"empty\.fa is empty"):
        list(read_fasta(path))
    with pytest.raises(FileNotFoundError, match="missing"):
        list(read_fasta(tmp_path / "missing.fa"))
    with pytest.raises(OSError, match=tmp_path.name):
        list(read_fasta(tmp_path))


def test_records_stream_before_a_fault_further_down():
    records = read_fasta(io.BytesIO(PLAIN + b">bad\nAC\0GU\n"))
    assert [next(records).name, next(records).name] == ["tRNA", "5S"]
    with pytest.raises(FastaError, match="line 7"):
        next(records)


def test_memory_does_not_grow_with_the_file(tmp_path):
    path = tmp_path / "many.fa.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.writelines(b">r\n" + b"ACGU" * 250 + b"\n" for _ in range(20_000))
    tracemalloc.start()
    assert sum(1 for _ in read_fasta(path)) == 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20  # of 20 MB


names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)
descriptions = st.lists(names, max_size=3).map(" ".join)
sequences = st.text("ACGUTNacgut-", max_size=200)


@given(
    records=st.lists(st.tuples(names, descriptions, sequences), min_size=1, max_size=6),
    width=st.integers(1, 90),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    mark=st.sampled_from(["", "\ufeff"]),
    zipped=st.booleans(),
)
def test_what_was_written_is_read(records, width, end, mark, zipped):
    lines = []
    for name, description, sequence in records:
        lines.append(f">{name} {description}")
        lines += [sequence[i : i + width] for i in range(0, len(sequence), width)]
    data = (mark + end.join(lines) + end).encode()
    assert plain_fields(read(compress(data) if zipped else data)) == records


@given(data=st.binary(max_size=400))
def test_any_bytes_give_records_or_the_documented_error(data):
    try:
        records = read(data)
    except FastaError:
        return
    assert records
    assert all(record.name for record in records)


def test_ten_thousand_damaged_files_raise_nothing_else():
    rng = random.Random(0)
    sources = [PLAIN, compress(PLAIN), PLAIN.decode().encode("utf-16"), b"ACGU\r\n" * 9]
    for _ in range(10_000):
        data = bytearray(rng.choice(sources))
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(data))
            data[at : at + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3)) or b">"
        try:
            read(bytes(data))
        except FastaError:
            continue


# --- what a record's lines are, and what becomes of it


def cleaned(data: bytes):
    (record,) = read(data)
    return clean_rna(record.sequence, name=record.name)


def test_structures_of_rnafold_are_kept_with_their_energies():
    # The lines of `RNAfold -p`, in the form of ViennaRNA's manual.
    sequence, mfe = b"GGGGAAAACCCC", b"((((....))))"
    data = b">a\n%b\n%b ( -5.40)\n" % (sequence, mfe)
    data += b"{(((....)))} [ -5.62]\n%b { -5.40 d=0.90}\n" % mfe
    data += b" frequency of mfe structure in ensemble 0.70; ensemble diversity 1.28  \n>b\nGG\n"
    first, second = read(data)
    assert first.sequence == sequence.decode()
    assert first.structures == (
        Structure("((((....))))", -5.4),
        Structure("{(((....)))}", -5.62),
        Structure("((((....))))", -5.4),
    )
    assert (second.sequence, second.structures) == ("GG", ())
    told, silent = clean_rnas([first, second])
    assert told.changes == ("3 dot-bracket structures left out (-5.4 kcal/mol)",)
    assert silent.changes == ()


def test_structures_wrapped_as_their_sequence_is():
    (record,) = read(b">a\nAAGGGG\nAAAACC\nCC\n......\n((((..\n))\n")
    assert (record.sequence, record.structures) == (
        "AAGGGGAAAACCCC",
        (Structure("......((((..))", None),),
    )


def test_a_structure_that_does_not_fit_is_rejected():
    with pytest.raises(RnaSequenceError, match="one character for each letter"):
        cleaned(b">a\nGGGGAAAACCCC\n((((...))))\n")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b">a\nGCGGAUUUAGCUCAGU\ntRNA\nGCGGAUUUAGCUCAGU\n", "'tRNA' beside"),
        (b">a\nGCGGAUUUAGCUCAGU\nhuman mRNA\nGCGGAUUUAGCUCAGU\n", "'human' beside"),
        (b"tRNA\tGCGGAUUUAGC\nmRNA\tGGCC\n", "columns of a table"),
        (b"id,sequence\na,GCGGAUUUAGC\n", "columns of a table"),
        (b"GCGGAUUUAGC\nGGCCAAUUA\nGGAACCUUGG\n", "3 lines of 11, 9, 10 letters"),
        (b"Human\nGCGGAUUUAGCUCAGU\n", "'Human' beside"),
        (b"RF00005\nRF00001\n", "rfam.org/family/RF00005"),
    ],
)
def test_what_is_not_plainly_one_sequence_is_left_to_the_cleaner(data, message):
    with pytest.raises(RnaSequenceError, match=message):
        cleaned(data)


def test_blocks_of_genbank_are_read():
    data = b"ORIGIN\n        1 gcggatttag ctcagttggg\n//\n"
    assert cleaned(data).sequence == cleaned(b">a\n" + data).sequence == "GCGGAUUUAGCUCAGUUGGG"


def test_lines_of_a_record_need_not_be_of_one_width():
    assert cleaned(b">a\nACG\nUACGU\n").sequence == "ACGUACGU"


def test_all_that_are_rejected_are_told_at_once():
    records = read(b">good\nACGU\n>amyloid\nDAEFRHDSGYEVHHQK\n>none\n>5S\nAC1U\n")
    with pytest.raises(RnaSequencesError, match=r"^3 of 4 RNAs are rejected:") as caught:
        clean_rnas(records)
    _, *told = str(caught.value).splitlines()
    assert [line.split("'")[1] for line in told] == ["amyloid", "none", "5S"]
    assert [error.name for error in caught.value.errors] == ["amyloid", "none", "5S"]
    with pytest.raises(RnaSequenceError, match=r"^RNA 'amyloid' has 'E'") as alone:
        clean_rnas(records[:2])
    assert not isinstance(alone.value, RnaSequencesError)


def test_many_rejected_are_counted():
    with pytest.raises(RnaSequencesError, match=r"(?s)70 of 71 RNAs.*#50' is.*and 20 more") as e:
        clean_rnas(["", *[""] * 69, "ACGU"])
    assert len(e.value.errors) == 70


def test_cleaning_several_is_cleaning_each():
    rna = clean_rna("acgt", name="given")
    made = make_rna(30)
    assert clean_rnas([made, rna, f">x\n{made.lower()}"]) == [
        clean_rna(made),
        rna,
        clean_rna(made, name="x"),
    ]


@pytest.mark.parametrize("one", ["ACGU", b"ACGU", clean_rna("ACGU"), Seq("ACGU")])
def test_one_rna_in_place_of_several_is_rejected(one):
    with pytest.raises(TypeError, match=r"several RNAs, got one.*\[rna\]"):
        clean_rnas(one)


@pytest.mark.parametrize("name", ["rnas.fa.bz2", "rnas.fa.xz"])
def test_names_of_compressed_files_are_those_of_what_they_hold(tmp_path, name):
    pack = bz2.compress if name.endswith("bz2") else lzma.compress
    (tmp_path / name).write_bytes(pack(b"ACGU"))
    (record,) = read_fasta(tmp_path / name)
    assert record.name == "rnas"


def test_sequences_are_read_without_torch_transformers_and_numpy():
    code = (
        "import sys, rnagpt.sequences.fasta, rnagpt.cleaning_rnagpt\n"
        "assert rnagpt.clean_rna('acgt').sequence == 'ACGU'\n"
        "wrong = {'torch', 'transformers', 'numpy', 'rnagpt.processing_rnagpt'}\n"
        "assert not wrong & sys.modules.keys(), wrong & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
