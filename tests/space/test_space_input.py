"""What a visitor gives: limits, pasted texts and files."""

import bz2
import gzip
import lzma

import gradio as gr
import pytest
from helpers.space_parts import HAIRPIN, LIMITS, packed
from helpers.tiny_space import (
    SPACE,
    conversation,
    rna_cards,
    rna_input,
    space_limits,
    validation,
)

from rnagpt import (
    FastaError,
    clean_rna,
)

pytestmark = pytest.mark.usefixtures("model_alone")


def read_file(content: bytes, name: str = "rnas.fa", limits=LIMITS):
    return rna_input.records_of_file(packed(content), name, len(content), limits)


def uploaded(name: str, content: bytes) -> dict[str, object]:
    """A file as the browser sends it."""
    return {"name": name, "size": len(content), "content": packed(content)}


# Limits


def test_limits_are_set_by_the_environment():
    limits = space_limits.Limits.from_environment({"RNAGPT_SPACE_MAX_RNAS": "3", "HOME": "x"})
    assert limits == space_limits.Limits(max_rnas=3)


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_a_limit_that_is_no_number_is_rejected_by_its_name(value):
    with pytest.raises(ValueError, match=f"RNAGPT_SPACE_MAX_RNAS must be .* got '{value}'"):
        space_limits.Limits.from_environment({"RNAGPT_SPACE_MAX_RNAS": value})


# Input


def test_a_bare_sequence_keeps_its_lines_so_that_errors_can_name_them():
    (record,) = rna_input.records_of_text("GGCC\nAAXX\n", LIMITS)
    assert record.name == ""
    with pytest.raises(ValueError, match="line 2"):
        clean_rna(record.sequence)


def test_pasted_records_are_told_apart():
    records = rna_input.records_of_text(">a first\nGG\nCC\n>b\nAAUU\n", LIMITS)
    assert [(record.name, record.sequence) for record in records] == [("a", "GGCC"), ("b", "AAUU")]


def test_an_entry_of_genbank_is_read_with_its_name_and_what_it_is():
    text = (
        "LOCUS       NR_1                      12 bp    RNA     linear   PRI 01-JAN-2026\n"
        "DEFINITION  Homo sapiens something\n            small (X), RNA.\n"
        "ACCESSION   NR_1\nVERSION     NR_1.2\nFEATURES             Location/Qualifiers\n"
        "ORIGIN      \n        1 ggggaaaacc cc\n//\n"
    )
    (record,) = rna_input.records_of_text(text, LIMITS)
    assert (record.name, record.description) == ("NR_1.2", "Homo sapiens something small (X), RNA")
    (rna,) = validation.cleaned([record], LIMITS)
    assert rna.sequence == HAIRPIN


def test_a_byte_order_mark_does_not_hide_the_first_header():
    records = rna_input.records_of_text("\ufeff>a\nGG\n>b\nCC\n", LIMITS)
    assert [record.name for record in records] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("  \n", "no sequence yet"),
        ("LOCUS X 12 bp\n", "this entry of GenBank has no sequence"),
        ("ACGU\n>a\nACGU", "text before the first header"),
    ],
)
def test_a_text_that_is_no_sequence_is_rejected(text, message):
    with pytest.raises(ValueError, match=message):
        rna_input.records_of_text(text, LIMITS)


def test_a_path_is_a_text_like_any_other():
    path = str(SPACE / "examples.fasta")
    (record,) = rna_input.records_of_text(path, LIMITS)
    assert record.sequence == path
    (record,) = read_file(path.encode(), name=path)
    assert record.sequence == path


def test_too_large_a_text_is_rejected():
    with pytest.raises(ValueError, match=r"larger than 0\.001 MB"):
        rna_input.records_of_text("A" * 1001, space_limits.Limits(max_upload_bytes=1000))


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_a_file_is_read_plain_and_compressed(pack):
    records = read_file(pack(b">a\nACGU\n>b\nGGCC\n"))
    assert [record.name for record in records] == ["a", "b"]


def test_a_file_without_header_is_named_after_the_file_alone():
    (record,) = read_file(b"ACGU\n", "../../etc/mine.fa")
    assert record.name == "mine"


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_file_that_unpacks_to_too_much_is_rejected(pack):
    bomb = pack(b">a\n" + b"A" * 5_000_000)
    assert len(bomb) < 10_000
    with pytest.raises(ValueError, match="unpacked, is larger than 1 MB"):
        read_file(bomb, limits=space_limits.Limits(max_text_bytes=1_000_000))


def test_a_file_that_the_browser_did_not_send_is_rejected():
    with pytest.raises(ValueError, match=r"big\.fa is larger than 5 MB"):
        rna_input.records_of_file("", "big.fa", 6_000_000, LIMITS)


def test_a_file_larger_than_it_says_is_rejected():
    with pytest.raises(ValueError, match="larger than"):
        rna_input.records_of_file("A" * 8_000_000, "lie.fa", 10, LIMITS)


def test_all_rejected_records_of_a_file_are_told():
    records = read_file(b">a\nGGXX\n>b\nGGCC\n>c\nMKLVFFAEDVGSNKG\n")
    with pytest.raises(ValueError, match=r"(?s)2 of 3 RNAs.*RNA 'a'.*RNA 'c'.*protein"):
        validation.cleaned(records, LIMITS)


def test_structures_are_announced():
    records = read_file(b">b\nGGGAAACCC\n(((...))) (-1.20)\n")
    pasted = rna_input.records_of_text("ACGU", LIMITS)
    first, second = validation.cleaned([*records, *pasted], LIMITS)
    assert (first.name, second.name) == ("b", "")
    assert first.changes == ("1 dot-bracket structure left out (-1.2 kcal/mol)",)


def test_white_space_before_a_pasted_header():
    (record,) = rna_input.records_of_text("  >a\nGG\nCC\n", LIMITS)
    assert (record.name, record.sequence) == ("a", "GGCC")


def test_damaged_and_crowded_files_are_rejected():
    with pytest.raises(FastaError, match="damaged gzip file"):
        read_file(gzip.compress(b">a\nACGU\n" * 100)[:-8])
    with pytest.raises(ValueError, match="more than 2 records"):
        read_file(b">a\nA\n>b\nA\n>c\nA\n", limits=space_limits.Limits(max_records=2))


def test_several_files_are_read_and_a_bad_one_costs_the_others_nothing():
    files = [
        uploaded("a.fa", b">a one\nACGU\n"),
        uploaded("b.gb", b"LOCUS X"),
        uploaded("c.gz", gzip.compress(b">c\nGGCC\n")),
        {"name": "d.fa", "size": -1, "content": ""},
    ]
    read = rna_input.records_of_files(files, LIMITS)
    assert [(file, [one.name for one in records]) for file, records in read.records] == [
        ("a.fa", ["a"]),
        ("c.gz", ["c"]),
    ]
    assert read.is_one_each
    assert "b.gb, line 1: this entry of GenBank has no sequence" in read.rejected[0]
    assert "d.fa could not be read by your browser" in read.rejected[1]
    with pytest.raises(ValueError, match=r"(?s)b\.gb.*d\.fa"):
        rna_input.records_of_files([files[1], files[3]], LIMITS)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            [uploaded("a", b">a\nA\n" * 150), uploaded("b", b">b\nA\n" * 51)],
            "more than 200 records",
        ),
        (
            [{"name": name, "size": 3_000_000, "content": ""} for name in "ab"],
            "These 2 files have 6 MB together; at most 5 MB are taken",
        ),
        ([], "There is no file"),
        (None, "sent no files"),
        ([{"name": "a", "content": ""}], "how large a is"),
        ([{"name": "a", "size": 4, "content": None}], "What is in a must be a text"),
        (["a"], "file's name must be a text"),
    ],
)
def test_files_beyond_the_limits_are_rejected(files, message):
    with pytest.raises(ValueError, match=message):
        rna_input.records_of_files(files, LIMITS)


def test_one_rna_of_each_file_is_added_and_what_is_none_is_named(built):
    talk = conversation.Conversation()
    files = [
        uploaded("a.fa", b">a first of them\nACGUACGU\n"),
        uploaded("p.fa", b">p\nMKVLFAAEDVGSNKG\n"),
        uploaded("b.fa", b">b\n        1 ggccuu 6\n"),
    ]
    event = gr.EventData(None, {"files": files})
    told = built.rna_panel.add_files(talk, event)[built.rna_panel.rna_notice]
    assert [(one.rna.name, one.description) for one in talk.rnas] == [
        ("a", "first of them"),
        ("b", ""),
    ]
    assert talk.rnas[1].rna.changes == ("2 position numbers dropped",)
    assert "p.fa: RNA &#x27;p&#x27;" in told
    assert "protein" in told
    assert "first of them" in rna_cards.cards(talk)
    assert "first of them" in conversation.as_markdown(talk, "tiny")
