"""The Space without a browser: input, cards, conversations, the model's part and the API."""

import ast
import base64
import bz2
import csv
import dataclasses
import gzip
import html
import io
import json
import lzma
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from types import SimpleNamespace
from xml.etree import ElementTree

import gradio as gr
import httpx
import numpy as np
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from helpers.tiny_models import make_question, make_rna
from helpers.tiny_space import (
    SPACE,
    about_selector,
    answering,
    chat_messages,
    chat_panel,
    comparison,
    comparison_table,
    conversation,
    findings,
    load_tiny_model,
    model_loading,
    open_page,
    page,
    plain_text,
    rna_cards,
    rna_input,
    rna_panel,
    searching,
    space_limits,
    structure_card,
    validation,
    visitors,
)
from markdown_it import MarkdownIt
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

import rnagpt
from rnagpt import (
    Answer,
    CleanedRna,
    FastaError,
    NucleotideScores,
    Reference,
    RnaChat,
    clean_rna,
    read_fasta,
)
from rnagpt.cli.main import main
from rnagpt.inference.cited import Words
from rnagpt.reference import InvalidReferenceError
from rnagpt.reference.library import EVALUE
from rnagpt.serving.middleware import BodySizeLimit

LIMITS = space_limits.Limits(max_new_tokens=12)
HAIRPIN = "GGGGAAAACCCC"
SCRIPT = "<script>alert(1)</script>"
LINK = "[here](https://example.org)"
# What the Space takes from inside the package, since it is no part of the public API.
FROM_INSIDE = {
    "rnagpt.evidence.confidence.CONFIDENCE_MEANS",
    "rnagpt.evidence.confidence.confidence_in_words",
    "rnagpt.evidence.confidence.confidence_of_match",
    "rnagpt.evidence.confidence.confidence_word",
    "rnagpt.evidence.gathering.Evidence",
    "rnagpt.evidence.gathering.WHOLE",
    "rnagpt.evidence.gathering.address_of",
    "rnagpt.evidence.gathering.gather_evidence",
    "rnagpt.inference.abstention.is_abstention",
    "rnagpt.inference.cited.MAX_READ_LENGTH",
    "rnagpt.inference.cited.Plan",
    "rnagpt.inference.cited.name_rnas",
    "rnagpt.inference.generation.user_message",
    "rnagpt.inference.local_model.LocalModel",
    "rnagpt.reference.identity.Identity",
    "rnagpt.reference.identity.pairwise_identity",
    "rnagpt.reference.library.EVALUE",
    "rnagpt.reference.library.SearchStoppedError",
    "rnagpt.reference.formats.FORMATS",
    "rnagpt.sequences.fasta.unpacked",
    "rnagpt.sequences.genbank.begins_entry",
    "rnagpt.reference.structures.family_structure",
    "rnagpt.sequences.folding_process.FoldingStoppedError",
    "rnagpt.sequences.folding_process.PlacedStructure",
    "rnagpt.sequences.folding_process.fold_in_processes",
    "rnagpt.sequences.folding_process.folding_processes",
    "rnagpt.sequences.folding_process.never",
    "rnagpt.sequences.strands.reverse_complement",
    "rnagpt.sequences.structure.with_pseudoknots",
    "rnagpt.serving.allocator.use_one_arena",
    "rnagpt.serving.middleware.BodySizeLimit",
    "rnagpt.serving.rna_tools",
}


@pytest.fixture(autouse=True)
def model_alone(monkeypatch):
    """Answers are the tiny model's own words, but where a test is `cited`."""
    monkeypatch.setenv(searching.VARIABLE, "none")


@pytest.fixture
def cited(model_alone, monkeypatch):
    """Answers are looked up in the families that come with rna-gpt-mini."""
    monkeypatch.delenv(searching.VARIABLE)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    load_tiny_model(tmp_path_factory.mktemp("tiny"))
    return model_loading.MODEL.loaded


def test_it_uses_the_public_api():
    imports = {
        f"{node.module}.{name.name}"
        for file in SPACE.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "rnagpt"
        for name in node.names
    }
    public = {f"rnagpt.{name}" for name in rnagpt.__all__}
    assert "rnagpt.load_model" in imports
    assert imports - public == FROM_INSIDE


@pytest.fixture(scope="module")
def temporary(tmp_path_factory):
    """Where Gradio keeps files, if it keeps any."""
    folder = tmp_path_factory.mktemp("gradio")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        yield folder


@pytest.fixture(scope="module")
def address(loaded, temporary):
    with open_page(LIMITS) as address:
        yield address


def packed(content: bytes) -> str:
    return base64.b64encode(content).decode()


def read_file(content: bytes, name: str = "rnas.fa", limits=LIMITS):
    return rna_input.records_of_file(packed(content), name, len(content), limits)


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


def uploaded(name: str, content: bytes) -> dict[str, object]:
    """A file as the browser sends it."""
    return {"name": name, "size": len(content), "content": packed(content)}


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


# Cards


def conversation_of(*rnas: CleanedRna) -> conversation.Conversation:
    return conversation.Conversation(rnas=[conversation.ShownRna(rna) for rna in rnas])


def read_tags(html: str) -> tuple[set[str], set[str]]:
    """Names of the tags and of the attributes, as a parser of HTML sees them."""
    tags, attributes = set(), set()
    parser = HTMLParser()

    def note(tag: str, attrs: list[tuple[str, str | None]]) -> None:
        tags.add(tag)
        attributes.update(name for name, _ in attrs)

    parser.handle_starttag = note
    parser.feed(html)
    return tags, attributes


def test_gc_is_counted_among_known_nucleotides():
    assert comparison.gc_share("GGCAUUNNNN") == 0.5
    assert comparison.gc_share("NNN") is None


def test_a_card_says_what_the_cleaner_changed():
    card = rna_cards.cards(conversation_of(clean_rna("ggttTTaa--cc" * 3, name="mine")))
    for words in ("mine", "30 nt", "GC 40%", "12 T read as U", "6 gaps dropped", "Being folded…"):
        assert words in card


def test_a_card_warns_of_short_and_ambiguous_sequences():
    assert rna_cards.warnings_of("ACGU" * 10) == []
    assert "Very short" in rna_cards.warnings_of("ACGU")[0]
    assert "10 of 50 nucleotides" in rna_cards.warnings_of("ACGU" * 10 + "N" * 10)[0]


def test_only_what_was_not_asked_about_can_be_removed():
    asked = conversation_of(CleanedRna("a", "ACGU"), CleanedRna("b", "ACGU"))
    asked.turns = [conversation.Turn("What?", "A.", num_rnas=1)]
    assert "Remove a" not in rna_cards.cards(asked)
    assert "Remove b" in rna_cards.cards(asked)


def compared(question: str, rna: CleanedRna, answer: Answer) -> comparison.Comparison:
    """A comparison of an RNA with itself."""
    both = comparison.compare(question, [(rna, None), (rna, None)])
    for record in (1, 2):
        both.add(dataclasses.replace(answer, record=record))
    return both


def test_names_and_answers_are_escaped_everywhere():
    rna = CleanedRna(SCRIPT + '" onload="alert(1)', "ACGU")
    answer = Answer(1, rna.name, 4, (), SCRIPT, SCRIPT, SCRIPT, True, -1.0, 0.5, False)
    html = rna_cards.cards(conversation_of(rna)) + rna_cards.notice(SCRIPT)
    html += comparison_table.table(compared(SCRIPT, rna, answer), is_done=True)
    tags, attributes = read_tags(html)
    assert {"article", "table", "button"} <= tags
    assert "script" not in tags
    assert "onload" not in attributes


# What was found


def searched(*rnas: CleanedRna) -> conversation.Conversation:
    talk = conversation_of(*rnas)
    for shown in talk.rnas:
        rna_panel.find(shown, talk)
    return talk


def links_in(html: str) -> set[str]:
    addresses = set()
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: addresses.update(
        value for name, value in attrs if (tag, name) == ("a", "href")
    )
    parser.feed(html)
    return addresses


def track_of(card: str) -> ElementTree.Element:
    return ElementTree.fromstring(
        card[card.index('<svg role="img" viewBox') :].split("</svg>")[0] + "</svg>"
    )


def test_a_card_says_what_an_rna_is_before_any_question(cited):
    talk = conversation_of(*examples(0))
    assert "Searching for known families" in rna_cards.cards(talk)
    talk = searched(*examples(0))
    card = rna_cards.cards(talk)
    for words in ("E 2e-09", "confidence high (0.98)", "nucleotides 1–74, strand as given"):
        assert words in card
    links = links_in(card)
    assert "https://rfam.org/family/RF00005" in links
    assert "https://www.ebi.ac.uk/QuickGO/term/GO:0030533" in links
    assert "http://www.sequenceontology.org/browser/current_release/term/SO:0000253" in links
    assert "https://pubmed.ncbi.nlm.nih.gov/8256282" in links
    (hit,) = Reference.open().search(talk.rnas[0].rna)
    assert hit.structure[:60] in card
    assert hit.alignment in html.unescape(card)
    assert "Searching" not in card


def test_a_riboswitch_on_the_other_strand_of_a_long_transcript_is_placed(cited):
    inner = examples(5)[0].sequence  # of 100 nt
    other = inner[::-1].translate(str.maketrans("ACGU", "UGCA"))
    long = CleanedRna("long", make_rna(8000, 1) + other + make_rna(16_384 - 8100, 2))
    (record,) = validation.cleaned([rnagpt.FastaRecord("long", "", long.sequence, 1)], LIMITS)
    card = rna_cards.cards(searched(record))
    assert "nucleotides 8,001–8,100, reverse strand (−)" in card
    assert "A part of this RNA matches" in card
    assert "<strong>Search:</strong> all 16,384 nt, both strands." in card
    assert "<strong>Model:</strong> does not read it, being longer than 1,022 nt" in card
    # Its letters are read along the strand that matches.
    assert inner[:60] in card
    (arrow,) = track_of(card).iter("polygon")
    places = [float(point.split(",")[0]) for point in arrow.attrib["points"].split()]
    assert min(places) == pytest.approx(1000 * 8000 / 16_384, abs=0.1)
    assert max(places) == pytest.approx(1000 * 8100 / 16_384, abs=0.1)
    tops = [float(point.split(",")[1]) for point in arrow.attrib["points"].split()]
    assert tops[places.index(min(places))] == (min(tops) + max(tops)) / 2  # its head, to the left


def test_a_long_transcript_is_trimmed_to_each_of_its_hits(built, cited):
    purine, trna = (examples(place)[0].sequence for place in (5, 0))
    long = make_rna(1000, 1) + purine + make_rna(300, 2) + other_strand(trna) + make_rna(99, 3)
    talk = conversation_of(CleanedRna("long", long))
    panel = built.rna_panel
    list(panel.fold(talk))
    card = rna_cards.cards(talk)
    assert card.count("Trim to this hit</button>") == 2
    assert "Trim to the best hit (100 nt)" in card
    key = talk.rnas[0].key
    for number in (1, 2):
        panel.act_on_card(talk, gr.EventData(None, {"value": key, "trim": number}))
    _, first, second = talk.rnas
    assert (first.rna.name, first.rna.sequence) == ("long/1001-1100(+)", purine)
    assert (second.rna.name, second.rna.sequence) == ("long/1401-1474(-)", trna)
    assert second.description == "the stretch that matches tRNA (RF00005)"
    list(panel.fold(talk))
    assert [hit.record.name for hit in second.findings.hits] == ["tRNA"]
    # Nothing is trimmed twice, and no hit that is not there.
    for number, message in (
        (1, "Among the RNAs already"),
        (3, "no such hit"),
        ("x", "no such hit"),
    ):
        event = gr.EventData(None, {"value": key, "trim": number})
        assert message in panel.act_on_card(talk, event)[panel.rna_notice]
    gone = gr.EventData(None, {"value": "gone", "trim": 1})
    assert "no longer here" in panel.act_on_card(talk, gone)[panel.rna_notice]
    assert len(talk.rnas) == 3


def other_strand(sequence: str) -> str:
    return sequence[::-1].translate(str.maketrans("ACGU", "UGCA"))


def test_a_whole_rna_has_nothing_to_trim(built, cited):
    talk = conversation_of(*examples(0, 4))
    list(built.rna_panel.fold(talk))
    assert "Trim" not in rna_cards.cards(talk)


def test_what_is_not_significant_is_folded_and_downloaded(built, cited):
    (sam,) = examples(2)
    talk = conversation_of(sam)
    list(built.rna_panel.fold(talk))
    weak = [hit for hit in Reference.open().search(sam, evalue=10) if hit.evalue > EVALUE]
    assert len(weak) >= 2
    card = rna_cards.cards(talk)
    assert f"{len(weak)} weaker candidates, not significant" in card
    assert f"not significant: {weak[0].evalue:.1g} such by chance expected" in card
    (rna,) = json.loads(conversation.as_json(talk, "tiny", found=True))["rnas"]
    assert [hit["name"] for hit in rna["findings"]["hits"]] == ["SAM"]
    told = [hit["name"] for hit in rna["findings"]["not_significant"]]
    assert told == [hit.record.name for hit in weak]
    assert f"{weak[0].record.id} {weak[0].record.name}" in conversation.as_markdown(talk, "tiny")
    # Answers and the list of hits know nothing of them.
    assert weak[0].record.id not in findings.as_tsv([(talk.rnas[0].rna, talk.rnas[0].findings)])


def test_what_matches_nothing_is_too_short_or_is_not_searched_says_so(cited, monkeypatch):
    assert "No known family matches" in rna_cards.cards(searched(CleanedRna("r", make_rna(60, 3))))
    assert "10 nt are too short to search" in rna_cards.cards(
        searched(CleanedRna("s", "ACGUACGUAC"))
    )
    monkeypatch.setenv(searching.VARIABLE, "none")
    talk = conversation_of(*examples(0))
    assert "Searching" not in rna_cards.cards(talk)
    assert "no reference is set up" in rna_cards.cards(searched(*examples(0)))


def test_a_search_that_fails_is_told_and_a_closed_conversation_is_not_searched(cited, monkeypatch):
    closed = conversation_of(CleanedRna("r", make_rna(61, 9)))
    closed.closed = True
    rna_panel.find(closed.rnas[0], closed)
    assert closed.rnas[0].findings is None

    def fail(*_: object) -> None:
        raise OSError("a cause that no visitor needs")

    monkeypatch.setattr(rna_panel, "search", fail)
    card = rna_cards.cards(searched(*examples(0)))
    assert "The search failed on our side" in card
    assert "a cause" not in card


def test_a_records_text_is_escaped_and_only_known_addresses_are_links(cited):
    talk = searched(*examples(0))
    evil = dataclasses.replace(
        talk.rnas[0].findings.hits[0].record,
        **dict.fromkeys(("id", "name", "description", "type", "organism"), SCRIPT),
        functions=(SCRIPT,),
        papers=("javascript:alert(1)", "10.1000/a"),
    )
    found = talk.rnas[0].findings
    hit = dataclasses.replace(found.hits[0], record=evil, alignment=SCRIPT)
    item = dataclasses.replace(found.evidence.items[0], hit=hit)
    evidence = dataclasses.replace(found.evidence, items=(item,))
    talk.rnas[0].findings = dataclasses.replace(found, evidence=evidence)
    card = rna_cards.cards(talk)
    assert "script" not in read_tags(card)[0]
    assert {link for link in links_in(card) if "alert" in link} == set()
    assert "https://doi.org/10.1000/a" in links_in(card)


def test_questions_follow_from_what_was_found(built, cited):
    panel = built.rna_panel

    def offered(*rnas: CleanedRna) -> list[str]:
        talk = conversation_of(*rnas)
        updates = final(panel.fold(talk))
        return [updates[button] for button in panel.suggestions]

    assert "Which ligand does it sense?" in offered(*examples(2))
    assert "Which amino acid does it carry?" in offered(*examples(2, 0))
    assert "How long is this RNA?" in offered(CleanedRna("r", make_rna(60, 3)))
    assert len({*findings.GENERAL}) == len(panel.suggestions)


def test_downloads_hold_what_was_found(cited, tmp_path, capsys):
    rnas = [*examples(0, 4), CleanedRna("short", "ACGUACGUAC")]
    talk = searched(*rnas)
    document = json.loads(conversation.as_json(talk, "tiny", found=True))
    trna = document["rnas"][0]["findings"]
    assert [hit["id"] for hit in trna["hits"]] == ["RF00005"]
    assert trna["hits"][0]["confidence"] > 0.9
    assert "findings" not in conversation.as_json(talk, "tiny")  # which goes back at every event
    rendered = MarkdownIt("commonmark").render(conversation.as_markdown(talk, "tiny"))
    assert "RF00005 tRNA, tRNA: nucleotides 1–74, E 2e-09" in rendered
    assert '<a href="https://rfam.org/family/RF00005">' in rendered
    assert "10 nt are too short" in rendered
    fasta = tmp_path / "rnas.fasta"
    fasta.write_text("".join(f">{rna.name}\n{rna.sequence}\n" for rna in rnas[:2]))
    main(["annotate", str(fasta), "--format", "tsv"])
    rows = capsys.readouterr().out
    pairs = [(shown.rna, shown.findings) for shown in talk.rnas[:2]]
    assert findings.as_tsv(pairs) == rows


# Examples


def test_the_examples_are_six_rnas_with_accessions():
    records = list(read_fasta(SPACE / "examples.fasta"))
    assert len(records) == 6
    for record in records:
        accession, _, places = record.name.partition("/")
        first, last = map(int, places.split("-"))
        assert "." in accession
        assert len(clean_rna(record.sequence).sequence) == abs(last - first) + 1


# Conversations


def test_each_question_brings_the_rnas_that_are_new():
    talk = conversation_of(*[CleanedRna(name, name * 4) for name in "ACG"])
    talk.turns = [
        conversation.Turn("One?", "1", num_rnas=1),
        conversation.Turn("Two?", "2", num_rnas=1),
        conversation.Turn("Three?", "3", num_rnas=3),
    ]
    brought = [
        [part["rna"] for part in message["content"] if part["type"] == "rna"]
        for message in talk.messages()[::2]
    ]
    assert brought == [["AAAA"], [], ["CCCC", "GGGG"]]
    assert [rna.name for rna in talk.new_rnas(2)] == ["C", "G"]
    assert [rna.name for rna in talk.new_rnas(0)] == ["A", "C", "G"]
    assert talk.num_read == 3


def test_a_conversation_as_markdown_renders_no_markup_of_others():
    talk = conversation_of(CleanedRna(f"{SCRIPT} {LINK}", "ACGU", ("2 T read as U",)))
    talk.turns = [conversation.Turn(LINK, f"# {SCRIPT} ![x](y) *so*", 1, 0.75, "stopped")]
    document = conversation.as_markdown(talk, "tiny")
    rendered = MarkdownIt("commonmark").render(document)
    for markup in ("<script", "<a ", "<img", "<h1>&lt;"):
        assert markup not in rendered
    assert rendered.count("<em>") == 1  # the remarks alone
    for words in ("2 T read as U", "confidence low (0.75) · stopped", "<code>ACGU</code>", "*so*"):
        assert words in rendered


@pytest.mark.parametrize("text", ["- a", "+ a", "1. a", "12) a", "---", "***", "===", "    a"])
def test_no_answer_begins_a_list_a_rule_or_code_in_markdown(text):
    talk = conversation_of(CleanedRna("a", "ACGU"))
    talk.turns = [conversation.Turn("What?", text, 1)]
    rendered = MarkdownIt("commonmark").render(conversation.as_markdown(talk, "tiny"))
    assert f"<p>{text.strip()} <em>(basis: model · confidence not measured)</em></p>" in rendered


def test_a_conversation_as_json_holds_all_of_it():
    talk = conversation_of(clean_rna("ACGT", name="mine"))
    talk.turns = [conversation.Turn("What?", "A tRNA.", 1, 0.5)]
    document = json.loads(conversation.as_json(talk, "tiny"))
    assert document["model"] == "tiny"
    talk.rnas[0].description = "of a yeast"
    document = json.loads(conversation.as_json(talk, "tiny"))
    rna = {"name": "mine", "description": "of a yeast", "sequence": "ACGU"}
    rna |= {"changes": ["1 T read as U"]}
    assert document["rnas"] == [rna]
    turn = {"question": "What?", "answer": "A tRNA.", "num_rnas": 1, "confidence": 0.5, "note": ""}
    rests = {"basis": "model", "about": [], "sentences": [], "evidence": [], "chosen": []}
    assert document["turns"] == [turn | rests]


# The model's part


def test_answers_are_those_of_one_chat_that_goes_on(loaded):
    """A conversation that is rebuilt for every question says what one with a cache says."""
    talk = conversation_of(CleanedRna("a", make_rna(40, 1)), CleanedRna("b", make_rna(50, 2)))
    chat = RnaChat(*loaded)
    for num_rnas, question in ((1, "What is this RNA?"), (2, "Where is it found?")):
        chat.add_rna(talk.rnas[num_rnas - 1].rna)
        expected = "".join(chat.ask(question, max_new_tokens=12))
        rnas = [shown.rna for shown in talk.rnas[:num_rnas]]
        *_, turn = answering.write_answer(talk.messages(), rnas, talk.num_read, question, 12)
        assert (turn.answer, turn.num_rnas, turn.basis) == (expected, num_rnas, "model")
        talk.turns.append(turn)


def test_confidence_comes_with_a_complete_greedy_answer(loaded, monkeypatch):
    model, processor = loaded
    rnas = [CleanedRna("a", make_rna(40, 1))]
    asked = make_question([rnas[0].sequence])
    inputs = processor.apply_chat_template([asked], tokenize=True, add_generation_prompt=True)
    last = model.generate(**inputs, do_sample=False, max_new_tokens=6)[0, -1].item()
    monkeypatch.setattr(model.config, "confidence_scale", 1.0)
    monkeypatch.setattr(model.config, "confidence_bias", 0.0)
    monkeypatch.setattr(model.generation_config, "eos_token_id", last)
    *_, turn = answering.write_answer([], rnas, 0, "What is this RNA?", 20)
    assert turn.confidence is not None
    assert 0 <= turn.confidence <= 0.5  # a probability below 1, so its logarithm below 0
    *_, turn = answering.write_answer([], rnas, 0, "What is this RNA?", 20, True)
    assert (turn.confidence, turn.note) == (None, "another wording")


def test_answers_side_by_side_end_when_their_time_is_over(loaded):
    rnas = [CleanedRna(name, make_rna(40, seed)) for seed, name in enumerate("ab")]
    cut = list(answering.answer_each(rnas, "What is this RNA?", 60, 1e-9))
    whole = list(answering.answer_each(rnas, "What is this RNA?", 60, 600))
    assert [answer.complete for answer in cut] == [False, False]
    for short, long in zip(cut, whole, strict=True):
        assert len(short.answer) < len(long.answer)


def test_the_accelerator_is_asked_for_where_zero_gpu_lends_one(monkeypatch):
    assert answering.on_gpu(len) is len
    lent = SimpleNamespace(GPU=lambda duration: lambda one: f"{one.__name__} for {duration} s")
    monkeypatch.setattr(answering, "spaces", lent)
    monkeypatch.setenv("RNAGPT_SPACE_SECONDS_PER_ANSWER", "90")
    assert answering.on_gpu(len) == "len for 90 s"


def test_a_model_that_cannot_be_loaded_is_said_to_have_failed(tmp_path, caplog):
    loading = model_loading.ModelLoading()
    loading.start(str(tmp_path / "none"), wait=True)
    assert loading.state == "failed"
    assert "could not be loaded" in caplog.text
    with pytest.raises(ValueError, match="could not be loaded"):
        _ = loading.loaded


# Visitors


def test_a_conversation_is_taken_up_again_as_it_was():
    talk = conversation_of(clean_rna("ACGT", name="m\u202eine"))
    talk.turns = [conversation.Turn("What?\u2066", "A tRNA.", 1, 0.5, "stopped")]
    talk.rnas[0].description = "of a yeast"
    again = visitors.restored(conversation.as_json(talk, "tiny"), LIMITS)
    assert again.rnas[0].description == "of a yeast"
    assert [shown.rna for shown in again.rnas] == [shown.rna for shown in talk.rnas]
    assert again.turns == talk.turns


@pytest.mark.parametrize(
    "change",
    [
        {"rnas": [{"name": "a", "sequence": "MEFI", "changes": []}]},
        {"rnas": [{"name": "a" * 201, "sequence": "ACGU", "changes": []}]},
        {"rnas": [{"name": str(i), "sequence": "ACGU", "changes": []} for i in range(9)]},
        {"rnas": []},
        {"turns": [{"question": "q" * 1001, "answer": "A", "num_rnas": 1}]},
        {"turns": [{"question": "What?", "answer": None, "num_rnas": 1}]},
        {"turns": "none"},
    ],
)
def test_a_page_that_holds_something_else_is_rejected(change):
    talk = conversation_of(CleanedRna("a", "ACGU"))
    talk.turns = [conversation.Turn("What?", "A tRNA.", 1)]
    document = json.loads(conversation.as_json(talk, "tiny"))
    visitors.restored(json.dumps(document), LIMITS)
    with pytest.raises(ValueError, match="begin a new conversation"):
        visitors.restored(json.dumps(document | change), LIMITS)


def test_the_one_idle_longest_is_forgotten_first_and_none_at_work():
    held = visitors.Visitors(space_limits.Limits(max_conversations=2))
    working = held.conversation("working", "")
    assert working.begin()
    idle = held.conversation("idle", "")
    held.conversation("last", "")
    assert held.conversation("working", "") is working
    assert held.conversation("idle", "") is not idle


def test_a_conversation_is_forgotten_an_hour_after_its_last_use(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(visitors.time, "monotonic", lambda: now[0])
    held = visitors.Visitors(LIMITS)
    old, used = held.conversation("old", ""), held.conversation("used", "")
    now[0] = 3000
    assert held.conversation("used", "") is used
    now[0] = 3700
    assert held.conversation("used", "") is used
    assert held.conversation("old", "") is not old


# Texts


@pytest.mark.parametrize(
    "letter", ["\u202e", "\u2066", "\u200b", "\ufeff", "\x1b", "\u2028", "\ud800"]
)
def test_unseen_characters_are_named_wherever_a_visitors_text_is_shown(letter):
    name = f"tRNA{letter}ANRt"
    rna, turn = CleanedRna(name, "ACGU"), conversation.Turn(name, name, 1)
    answer = Answer(1, name, 4, (), name, name, name, True, -1.0, 0.5, False)
    talk = conversation_of(rna)
    talk.turns = [turn]
    shown = [
        rna_cards.cards(talk),
        comparison_table.table(compared(name, rna, answer), is_done=True),
        rna_cards.notice(name),
        conversation.as_markdown(talk, "tiny"),
        str(chat_messages.as_chat([turn])),
        rna_input.label_of(SimpleNamespace(name=name, description=name, sequence=""), 1),
    ]
    for text in shown:
        assert letter not in text
        if letter.strip():  # Markdown makes spaces of those that are white space
            assert f"U+{ord(letter):04X}" in text
    document = conversation.as_json(talk, "tiny")
    assert letter not in document
    assert json.loads(document)["rnas"][0]["name"] == name


def test_other_scripts_and_joined_letters_are_left_alone():
    text = "µRNA – α‑helix 5′ 日本 עברית \U0001f469\u200d\U0001f52c\tنمی\u200cخواهم\nnext"
    assert plain_text.visible(text) == text


# What the page does


@pytest.fixture(scope="module")
def built():
    return page.Page(LIMITS)


@pytest.fixture
def ready(loaded, monkeypatch):
    monkeypatch.setattr(model_loading.MODEL, "state", "ready")


def slow_answer(*pieces: str):
    """In the place of `write_answer`: the answer grows by these."""

    def write(_messages, rnas, _num_read, question, *_: object):
        for end in range(1, len(pieces) + 1):
            yield conversation.Turn(question, "".join(pieces[:end]), len(rnas))

    return write


def final(updates):
    """The last update of each part."""
    merged = {}
    for update in updates:
        merged |= update
    return merged


def commands(field, updates):
    """What the browser is told about a field, in order."""
    told = [json.loads(update[field]) for update in updates if field in update]
    return [{key: value for key, value in one.items() if key != "at"} for one in told]


def test_what_is_typed_while_an_answer_comes_is_left_alone(built, ready, monkeypatch):
    monkeypatch.setattr(answering, "write_answer", slow_answer("A ", "tRNA", "."))
    talk = conversation_of(CleanedRna("a", "ACGU"))
    chat = built.chat_panel
    updates = list(chat.ask(talk, "What?"))
    assert [turn.answer for turn in talk.turns] == ["A tRNA."]
    assert len([update for update in updates if built.chat_panel.chat in update]) > 3
    assert commands(chat.field, updates) == [{"taken": "What?"}]
    assert not any(chat.question in update for update in updates)


def test_a_question_that_was_stopped_before_any_word_is_not_lost(built, ready, monkeypatch):
    talk = conversation_of(CleanedRna("a", "ACGU"))

    def write(*_: object):
        built.chat_panel.stop(talk)
        yield conversation.Turn("What?", "", 1)

    monkeypatch.setattr(answering, "write_answer", write)
    told = commands(built.chat_panel.field, built.chat_panel.ask(talk, "What?"))
    assert told == [{"taken": "What?"}, {"back": "What?"}]
    assert talk.turns == []


def test_an_answer_that_takes_too_long_is_ended(ready, monkeypatch):
    hasty = page.Page(space_limits.Limits(seconds_per_answer=0))
    monkeypatch.setattr(answering, "write_answer", slow_answer("A ", "tRNA", "."))
    talk = conversation_of(CleanedRna("a", "ACGU"))
    shown = final(hasty.chat_panel.ask(talk, "What?"))[hasty.chat_panel.chat]
    assert shown[-1]["content"] == "A\n\n(took too long)"


@pytest.mark.parametrize("action", ["compare", "explain", "ask"])
def test_faults_of_ours_are_told_beside_the_question(built, ready, monkeypatch, caplog, action):
    def break_down(*_: object):
        raise OSError("no memory")

    for name in ("answer_each", "explain", "write_answer"):
        monkeypatch.setattr(answering, name, break_down)
    talk = conversation_of(CleanedRna("a", "ACGU"), CleanedRna("b", "ACGU"))
    talk.turns = [conversation.Turn("What?", "A.", num_rnas=2)]
    given = () if action == "explain" else ("What?",)
    shown = final(getattr(built.chat_panel, action)(talk, *given))
    assert "Something went wrong on our side" in shown[built.chat_panel.question_notice]
    assert shown[built.chat_panel.retry_button]["interactive"] is True
    assert shown[built.chat_panel.stop_button]["interactive"] is False
    assert "no memory" in caplog.text
    assert "no memory" not in shown[built.chat_panel.question_notice]


def test_what_an_answer_rests_on_is_drawn_upon_the_family(built, ready, cited, monkeypatch):
    pytest.importorskip("RNA", reason="ViennaRNA, package viennarna, is not installed")
    trna = next(read_fasta(SPACE / "examples.fasta"))
    talk = conversation_of(CleanedRna("t", trna.sequence))
    talk.turns = [conversation.Turn("What?", "A.", num_rnas=1)]
    for height, silent in ((1e-4, True), (1.0, False)):
        scores = NucleotideScores(trna.sequence, np.full(len(trna.sequence), height))
        monkeypatch.setattr(answering, "explain", lambda _, scores=scores: [scores])
        (shown,) = [
            updates[built.chat_panel.findings]
            for updates in built.chat_panel.explain(talk)
            if "<svg" in updates.get(built.chat_panel.findings, "")
        ]
        assert "structure: consensus of tRNA (RF00005), laid on this RNA" in shown
        assert ("No single nucleotide mattered" in shown) is silent


def test_a_model_that_failed_is_told_beside_the_question(built, monkeypatch):
    monkeypatch.setattr(model_loading.MODEL, "state", "failed")
    assert "could not be loaded" in built.model_status()
    talk = conversation_of(CleanedRna("a", "ACGU"))
    shown = final(built.chat_panel.ask(talk, "What?"))
    assert "could not be loaded" in shown[built.chat_panel.question_notice]
    assert json.loads(shown[built.chat_panel.field])["back"] == "What?"


def test_nothing_of_an_old_conversation_comes_after_a_new_one(built, ready, monkeypatch):
    monkeypatch.setattr(answering, "explain", lambda _: pytest.fail("asked for nothing"))
    monkeypatch.setattr(answering, "answer_each", lambda *_: iter([]))
    monkeypatch.setattr(answering, "write_answer", slow_answer("A ", "tRNA"))
    chat, rnas = built.chat_panel, built.rna_panel
    for action, given in ((chat.compare, ["What?"]), (chat.ask, ["What?"]), (rnas.fold, [])):
        visitor = SimpleNamespace(session_hash=action.__name__)
        talk = built.visitors.conversation(visitor.session_hash, "")
        talk.rnas = conversation_of(CleanedRna("a", HAIRPIN), CleanedRna("b", HAIRPIN)).rnas
        updates = action(talk, *given)
        next(updates)
        shown = built.clear(visitor)
        assert shown[chat.findings] == ""
        assert built.visitors.conversation(visitor.session_hash, "").rnas == []
        assert [update for update in updates if update != gr.skip()] == [], action


def test_the_model_does_one_thing_at_a_time_for_a_conversation(built, ready, monkeypatch):
    monkeypatch.setattr(answering, "write_answer", slow_answer("A ", "tRNA"))
    talk = conversation_of(CleanedRna("a", "ACGU"))
    first = built.chat_panel.ask(talk, "What?")
    next(first)
    (rejected,) = built.chat_panel.compare(talk, "Where?")
    assert "An answer is being written" in rejected[built.chat_panel.question_notice]
    list(first)
    assert [turn.answer for turn in talk.turns] == ["A tRNA"]


def test_questions_wait_for_their_turn_and_none_is_lost(built, ready, monkeypatch):
    chat, asked = built.chat_panel, []

    def write(messages, rnas, num_read, question, *_):
        asked.append(question)
        yield conversation.Turn(question, f"About {question}", len(rnas))

    monkeypatch.setattr(answering, "write_answer", write)
    talk = conversation_of(CleanedRna("a", "ACGU"))
    first = chat.ask(talk, "1?")
    next(first)
    told = [final(chat.ask(talk, f"{number}?")) for number in (1, 2, 3, 4, 5, 6)]
    notices = [one[chat.question_notice] for one in told]
    assert "already" in notices[0]
    assert all("2?" in notice for notice in notices[1:5])
    assert "4 questions wait" in notices[5]
    # Only what is taken leaves the field.
    assert [chat.field in one for one in told] == [True] * 5 + [False]
    list(first)
    assert asked == [turn.question for turn in talk.turns] == ["1?", "2?", "3?", "4?", "5?"]
    assert not talk.answering


def test_questions_that_wait_are_given_back_when_the_visitor_stops(built, ready, monkeypatch):
    monkeypatch.setattr(answering, "write_answer", slow_answer("A ", "tRNA", "."))
    chat, talk = built.chat_panel, conversation_of(CleanedRna("a", "ACGU"))
    first = chat.ask(talk, "1?")
    while "A" not in str(next(first)):
        pass
    for question in ("2?", "3?"):
        list(chat.ask(talk, question))
    chat.stop(talk)
    assert commands(chat.field, list(first)) == [{"back": "2?\n3?"}]
    assert [turn.question for turn in talk.turns] == ["1?"]
    assert talk.waiting == []


def test_an_edited_question_that_cannot_be_asked_now_is_not_lost(built, ready, monkeypatch):
    monkeypatch.setattr(answering, "write_answer", slow_answer("A ", "tRNA"))
    chat, talk = built.chat_panel, conversation_of(CleanedRna("a", "ACGU"))
    talk.turns = [conversation.Turn("What?", "A.", num_rnas=1)]
    first = chat.ask(talk, "1?")
    next(first)
    edited = list(chat.edit(talk, SimpleNamespace(index=0, value="Edited?")))
    assert commands(chat.field, edited) == [{"back": "Edited?"}]


def test_the_same_rna_is_taken_once_and_said(built):
    talk, panel = conversation.Conversation(), built.rna_panel
    for text in ("ACGU", "ACGU", ">a\nACGU", ">a\nACGU", ">a\nGGCC"):
        shown = panel.add_text(talk, text)
    assert [(one.rna.name, one.rna.sequence) for one in talk.rnas] == [
        ("RNA 1", "ACGU"),
        ("a", "ACGU"),
        ("a", "GGCC"),
    ]
    assert "Among the RNAs already: RNA 1" in panel.add_text(talk, "acgt")[panel.rna_notice]
    assert shown[panel.rna_notice] == ""


def test_names_of_rnas_without_one_stay_apart(built):
    talk, panel = conversation.Conversation(), built.rna_panel
    panel.add_text(talk, "ACGU")
    panel.add_text(talk, "GGCC")
    panel.remove(talk, SimpleNamespace(value=talk.rnas[0].key))
    panel.add_text(talk, "AACC")
    assert sorted(one.rna.name for one in talk.rnas) == ["RNA 1", "RNA 2"]


def test_a_second_click_on_remove_removes_no_other_rna(built):
    talk, panel = conversation_of(*[CleanedRna(name, "ACGU") for name in "abc"]), built.rna_panel
    click = SimpleNamespace(value=talk.rnas[0].key)
    panel.remove(talk, click)
    panel.remove(talk, click)
    assert [shown.rna.name for shown in talk.rnas] == ["b", "c"]


def test_an_rna_that_is_being_asked_about_stays(built, ready, monkeypatch):
    monkeypatch.setattr(answering, "write_answer", slow_answer("A ", "tRNA"))
    talk, panel = conversation_of(CleanedRna("a", "ACGU")), built.rna_panel
    first = built.chat_panel.ask(talk, "What?")
    while "A" not in str(next(first)):
        pass
    shown = panel.remove(talk, SimpleNamespace(value=talk.rnas[0].key))
    assert "a was asked about" in shown[panel.rna_notice]
    panel.add_text(talk, ">b\nGGCC")
    list(first)
    assert [turn.num_rnas for turn in talk.turns] == [1]
    assert [rna.name for rna in talk.new_rnas(1)] == ["b"]


def test_an_rna_takes_away_the_hint_that_one_is_missing(built, ready):
    talk = conversation.Conversation()
    asked = final(built.chat_panel.ask(talk, "What?"))
    assert "Give an RNA first" in asked[built.chat_panel.question_notice]
    added = built.rna_panel.add_text(talk, "ACGU")
    assert added[built.chat_panel.question_notice] == ""


def test_records_that_are_no_longer_held_are_said_to_be_gone(built):
    shown = built.rna_panel.add_chosen(conversation.Conversation(), [0])
    assert "Give the file or the text again" in shown[built.rna_panel.rna_notice]


def test_a_structure_that_cannot_be_drawn_is_not_awaited_for_ever(built, monkeypatch, caplog):
    def break_down(*_: object, **__: object):
        raise RuntimeError("no ViennaRNA")

    monkeypatch.setattr(structure_card, "fold", break_down)
    talk = conversation_of(CleanedRna("a", HAIRPIN))
    cards = final(built.rna_panel.fold(talk))[built.rna_panel.cards]
    assert "could not be drawn" in cards
    assert "Being folded…" not in cards
    assert "no ViennaRNA" in caplog.text


def test_no_event_gives_nothing_which_would_empty_the_page(built, ready):
    long = conversation_of(CleanedRna("a", "A" * 601))
    edited = SimpleNamespace(index=4, value="What?")
    for updates in (
        built.chat_panel.retry(long),
        built.chat_panel.edit(long, edited),
    ):
        assert list(updates) == [gr.skip()]


def test_records_of_the_same_name_are_told_apart_by_their_number(built):
    talk = conversation.Conversation()
    shown = built.rna_panel.add_text(talk, ">a\nACGU\n>a\nGGCC\n>a\n")
    labels = [label for label, _ in shown[built.rna_panel.records]["choices"]]
    assert labels == ["1. a (4 nt)", "2. a (4 nt)", "3. a (0 nt)"]
    built.rna_panel.add_chosen(talk, [1])
    assert [rna.rna.sequence for rna in talk.rnas] == ["GGCC"]
    rejected = built.rna_panel.add_chosen(talk, [0, 2])
    assert "RNA 'a' is empty" in rejected[built.rna_panel.rna_notice].replace("&#x27;", "'")
    assert len(talk.rnas) == 1


# Answers from evidence


@pytest.fixture
def loading(monkeypatch):
    """The model is on its way, and not there."""
    monkeypatch.setattr(model_loading.MODEL, "state", "loading")
    monkeypatch.setattr(model_loading.MODEL, "_loaded", None)
    model_loading.MODEL._done.clear()
    yield
    model_loading.MODEL._done.set()


def examples(*numbers: int) -> list[CleanedRna]:
    """A tRNA (0), a 5S ribosomal RNA (1) and others, named by their accessions."""
    records = list(read_fasta(SPACE / "examples.fasta"))
    return [clean_rna(records[n].sequence, name=records[n].name) for n in numbers]


def asked_about(panel, talk, *questions: str) -> dict:
    return final(update for question in questions for update in panel.ask(talk, question))


def test_records_answer_while_the_model_loads(built, cited, loading):
    talk = conversation_of(*examples(0))
    shown = asked_about(built.chat_panel, talk, "What is this RNA?")
    (turn,) = talk.turns
    assert "tRNA [1]" in turn.answer
    assert (turn.basis, turn.about) == ("records", ["X07125.1/118-191"])
    assert turn.confidence > 0.9
    assert [sentence["records"] for sentence in turn.sentences] == [[1]]
    (record,) = turn.evidence
    assert (record["number"], record["id"], record["rna"]) == (1, "RF00005", talk.rnas[0].rna.name)
    assert record["alignment"]
    content = shown[built.chat_panel.chat][-1]["content"]
    assert links_in(content) == {"#record-1"}
    assert "(confidence high (0.98))" in content
    sources = shown[built.chat_panel.sources]
    assert '[1] <a href="https://rfam.org/family/RF00005"' in sources
    assert "nucleotides 1–74 of X07125.1/118-191" in sources


def test_the_model_is_awaited_where_no_record_answers(cited, loaded, monkeypatch):
    random = [CleanedRna("random", make_rna(60, 3))]
    # It was not calibrated, so that no reading of it could be shown.
    assert not answering.needs_model(answering.look_up(random, "What is this RNA?"))
    config = model_loading.MODEL.loaded[0].config
    monkeypatch.setattr(config, "confidence_bias", 5.0)
    monkeypatch.setattr(config, "confidence_scale", 0.1)
    assert answering.needs_model(answering.look_up(random, "What is this RNA?"))
    assert not answering.needs_model(answering.look_up(random, "How long is it?"))
    assert not answering.needs_model(answering.look_up(examples(0), "What is this RNA?"))
    *_, turn = answering.write_answer([], random, 0, "What is this RNA?", 12)
    # What the tiny model writes names no type.
    assert (turn.basis, turn.confidence, turn.evidence) == ("none", None, [])


def test_without_a_model_what_needs_it_is_told_and_records_answer(built, cited, monkeypatch):
    monkeypatch.setattr(model_loading.MODEL, "state", "failed")
    monkeypatch.setattr(model_loading.MODEL, "_loaded", None)
    talk = conversation_of(CleanedRna("random", make_rna(60, 3)), *examples(0))
    shown = asked_about(built.chat_panel, talk, "What is RNA 1?")
    assert "what needs it is not answered" in shown[built.chat_panel.question_notice]
    asked_about(built.chat_panel, talk, "What is RNA 2?")
    assert [turn.basis for turn in talk.turns] == ["records"]


def test_an_rna_is_searched_once_for_drawing_and_questions(built, cited, monkeypatch):
    searching._opened.cache_clear()
    searched = []
    search = Reference.search

    def counted(self, rna, **options):
        searched.append((len(rna.sequence), options.get("evalue", EVALUE)))
        return search(self, rna, **options)

    monkeypatch.setattr(Reference, "search", counted)
    talk = conversation_of(*examples(0, 1))
    list(built.rna_panel.fold(talk))
    asked_about(built.chat_panel, talk, "What is this RNA?", "What is RNA 1?", "Compare the RNAs")
    list(built.chat_panel.compare(talk, "What is this RNA?"))
    # Once for what is significant, and once for what is not.
    weakest = findings.WEAKEST_EVALUE
    assert searched == [(74, EVALUE), (116, EVALUE), (74, weakest), (116, weakest)]
    assert len(talk.turns) == 3


def test_what_was_searched_longest_ago_is_forgotten(cited, monkeypatch):
    monkeypatch.setattr(searching, "_MAX_KEPT", 2)
    searching._opened.cache_clear()
    reference = searching.reference()
    rnas = [CleanedRna(str(seed), make_rna(30, seed)) for seed in range(3)]
    for rna in rnas:
        reference.search(rna)
    assert [key[0] for key in reference._kept] == [rna.sequence for rna in rnas[1:]]


def test_an_answer_is_about_the_rnas_that_the_question_names(built, cited, loading):
    talk = conversation_of(*examples(0, 1))
    first, second = (shown.rna.name for shown in talk.rnas)
    questions = ("What is RNA 1?", f"What is {second}?", "What are both?", "What is it?")
    shown = asked_about(built.chat_panel, talk, *questions)
    assert [turn.about for turn in talk.turns] == [[first], [second], [first, second], [second]]
    assert "tRNA [1]" in talk.turns[0].answer
    assert "5S" in talk.turns[1].answer
    assert talk.turns[1].evidence[0]["number"] == 2
    assert "the last RNA given" in talk.turns[3].answer
    assert shown[built.chat_panel.sources].count('<li id="record-') == 2
    rejected = asked_about(built.chat_panel, talk, "What is RNA 3?")
    assert "RNA 3" in rejected[built.chat_panel.question_notice]
    assert len(talk.turns) == 4


def test_an_answer_is_about_the_rna_that_is_chosen_where_the_question_names_none(
    built, cited, loading
):
    talk = conversation_of(*examples(0, 1))
    panel, (first, second) = built.chat_panel, (shown.rna.name for shown in talk.rnas)
    key = talk.rnas[0].key
    for question, chosen in (
        ("What is it?", key),
        ("What is RNA 2?", key),  # what is written is meant
        ("How long is it?", about_selector.ALL),
        ("What is this RNA?", about_selector.NAMED),
    ):
        shown = final(panel.ask(talk, question, chosen))
    assert [turn.about for turn in talk.turns] == [[first], [second], [first, second], [second]]
    assert [turn.chosen for turn in talk.turns] == [[0], [0], [0, 1], []]
    assert "tRNA" in talk.turns[0].answer
    assert "74 nucleotides" in talk.turns[2].answer
    assert "116 nucleotides" in talk.turns[2].answer
    assert f"(about {first} · confidence high" in shown[panel.chat][1]["content"]
    assert f"about {first} ·" in conversation.as_markdown(talk, "tiny").replace("\\", "")
    # Asked again, and taken up again, it is about the same.
    talk.turns = talk.turns[:1]
    again = visitors.restored(conversation.as_json(talk, "tiny"), LIMITS)
    list(panel.retry(again))
    (turn,) = again.turns
    assert (turn.about, turn.chosen) == ([first], [0])
    told = asked_about(panel, talk, "What is it?")
    assert not talk.chosen
    gone = final(panel.ask(talk, "What is it now?", "gone"))
    assert "no longer here" in gone[panel.question_notice]
    assert told[panel.chat]
    list(panel.ask(talk, "?" * 2_000, talk.rnas[0].key))  # too long: nothing is kept of it
    assert not talk.chosen


def test_a_chosen_rna_is_all_that_the_model_alone_is_given(loaded, monkeypatch):
    given = []
    monkeypatch.setattr(
        answering,
        "_in_the_models_words",
        lambda *given_now: given.append(given_now) or iter([conversation.Turn("What?", "A.", 1)]),
    )
    rnas = [CleanedRna("a", "ACGUACGU"), CleanedRna("b", "GGCCGGCC")]
    list(answering.write_answer([{}], rnas, 1, "What?", 12, False, lambda: False, [0]))
    messages, chosen, num_read, *_ = given[0]
    assert (list(messages), chosen, num_read) == ([], rnas[:1], 0)


def test_the_choice_is_offered_of_several_rnas_and_forgets_one_that_is_gone(built):
    talk = conversation.Conversation()
    panel = built.rna_panel
    assert not panel.add_text(talk, ">a\nACGUACGU")[panel.about]["visible"]
    told = panel.add_text(talk, f">{'b' * 60}\nGGCCGGCC")[panel.about]
    assert told["visible"]
    labels = [label for label, _ in told["choices"]]
    assert labels[1:] == ["all RNAs", "RNA 1: a", f"RNA 2: {'b' * 39}…"]
    assert "value" not in told  # what is chosen stays
    event = gr.EventData(None, {"value": talk.rnas[1].key})
    assert panel.remove(talk, event)[panel.about]["value"] == about_selector.NAMED


def test_records_do_not_change_their_words_when_asked_again(built, cited, loading):
    talk = conversation_of(*examples(0))
    asked_about(built.chat_panel, talk, "What is this RNA?")
    (first,) = talk.turns
    list(built.chat_panel.retry(talk))
    (again,) = talk.turns
    assert again.answer == first.answer
    assert again.confidence == first.confidence
    assert again.note == "in the records' words: no other wording"


def test_downloads_hold_what_an_answer_rests_on(built, cited, loading):
    talk = conversation_of(*examples(0))
    asked_about(built.chat_panel, talk, "What is this RNA?", "How long is it?")
    document = conversation.as_json(talk, "tiny")
    turn, length = json.loads(document)["turns"]
    assert turn["basis"] == "records"
    assert turn["sentences"][0]["records"] == [1]
    assert turn["evidence"][0]["id"] == "RF00005"
    assert (length["basis"], length["evidence"]) == ("sequence", [])
    assert visitors.restored(document, LIMITS).turns == talk.turns
    rendered = MarkdownIt("commonmark").render(conversation.as_markdown(talk, "tiny"))
    assert "basis: records" in rendered
    assert "<li>[1] RF00005 tRNA — E " in rendered
    assert '<a href="https://rfam.org/family/RF00005">' in rendered


def test_a_page_cannot_bring_links_or_markup_as_records(built, cited, loading):
    talk = conversation_of(*examples(0))
    asked_about(built.chat_panel, talk, "What is this RNA?")
    document = json.loads(conversation.as_json(talk, "tiny"))
    record = document["turns"][0]["evidence"][0]
    record |= {"id": f"{SCRIPT} {LINK}", "rna": SCRIPT, "address": "javascript:alert(1)"}
    changed = visitors.restored(json.dumps(document), LIMITS)
    tags, attributes = read_tags(rna_cards.sources(changed.turns))
    assert tags == {"h3", "ul", "li", "details", "summary", "dl", "dt", "dd"}
    assert attributes == {"class", "id", "tabindex", "data-fold"}
    rendered = MarkdownIt("commonmark").render(conversation.as_markdown(changed, "tiny"))
    assert "<a " not in rendered
    assert "<script" not in rendered
    del record["evalue"]
    with pytest.raises(ValueError, match="begin a new conversation"):
        visitors.restored(json.dumps(document), LIMITS)


def test_the_model_is_shown_what_a_cited_answer_is_about(built, cited, ready, monkeypatch):
    rnas = examples(0, 1)
    talk = conversation_of(*rnas)
    asked_about(built.chat_panel, talk, "What is RNA 1?")
    shown = []
    monkeypatch.setattr(answering, "explain", lambda messages: shown.extend(messages) or [])
    monkeypatch.setattr(chat_panel, "draw_scores", lambda *_, **__: "<svg></svg>")
    list(built.chat_panel.explain(talk))
    question, answer = shown
    assert [part.get("rna") for part in question["content"]] == [rnas[0].sequence, None]
    assert "[1]" not in answer["content"]
    assert "tRNA" in answer["content"]


def test_nucleotides_are_scored_for_a_cited_answer(loaded, cited):
    talk = conversation_of(*examples(0, 1))
    rnas = [shown.rna for shown in talk.rnas]
    *_, turn = answering.write_answer([], rnas, 0, "What are both?", 12)
    talk.turns.append(turn)
    names, messages = talk.last_answer()
    scored = answering.explain(messages)
    assert names == [rna.name for rna in rnas]
    assert [one.sequence for one in scored] == [rna.sequence for rna in rnas]


def test_a_search_that_is_stopped_gives_the_question_back(built, cited, ready):
    searching._opened.cache_clear()
    talk = conversation_of(*examples(0))
    updates = built.chat_panel.ask(talk, "What is this RNA?")
    shown = [next(updates), next(updates), next(updates)]  # as far as the "…" of the answer
    built.chat_panel.stop(talk)
    told = commands(built.chat_panel.field, [*shown, *updates])
    assert told == [{"taken": "What is this RNA?"}, {"back": "What is this RNA?"}]
    assert talk.turns == []


def test_words_that_are_checked_before_they_are_shown_are_stopped(cited, monkeypatch):
    """A model that reads evidence writes for ever; nothing comes of it once it is stopped."""
    steps = []
    writing = SimpleNamespace(
        step=lambda: steps.append(time.sleep(0.01)) or True, words=lambda: Words("It is")
    )
    model = SimpleNamespace(reads_evidence=True, reads_rnas=True, begin=lambda *_: writing)
    model.for_conversation = lambda: model
    monkeypatch.setattr(model_loading.MODEL, "language", lambda: model)
    rnas = examples(0)
    assert answering.needs_model(answering.look_up(rnas, "What is this RNA?"))
    written = answering.write_answer(
        [], rnas, 0, "What is this RNA?", 12, stop=lambda: len(steps) > 5
    )
    assert list(written) == []
    assert len(steps) < 500


def test_rnas_side_by_side_cite_each_their_own_records(built, cited, loading):
    talk = conversation_of(*examples(0, 1))
    table = final(built.chat_panel.compare(talk, "What is this RNA?"))[built.chat_panel.findings]
    assert "tRNA [1]" in table
    for accession in ("RF00005", "RF00001"):
        assert f'[1] <a href="https://rfam.org/family/{accession}"' in table


def test_a_comparison_holds_what_each_rna_is_and_how_alike_they_are(built, cited, loading):
    trna, rrna = (record.sequence for record in examples(0, 1))
    mutated = trna[:30] + ("A" if trna[30] != "A" else "C") + trna[31:]
    rnas = [CleanedRna("a", trna), CleanedRna("b\tb", mutated), CleanedRna("c", rrna)]
    talk = conversation_of(*rnas, CleanedRna("short", "ACGUACGUAC"))
    shown = final(built.chat_panel.compare(talk, "What is this RNA?"))
    html_table = shown[built.chat_panel.findings]
    (kept,) = talk.comparisons.values()
    pairs = {(pair.one, pair.other): pair for pair in kept.pairs}
    assert len(pairs) == 6
    assert pairs["a", "b\tb"].identity == pytest.approx(73 / 74, abs=1e-3)
    assert (pairs["a", "b\tb"].identical, pairs["a", "b\tb"].columns) == (73, 74)
    assert [pair.shares for pair in kept.pairs] == [
        "family",
        *2 * ["nothing", "unknown"],
        "unknown",
    ]
    assert "99%" in html_table
    assert "the same family" in html_table
    rows = list(csv.DictReader(io.StringIO(kept.to_tsv()), delimiter="\t"))
    assert [row["name"] for row in rows] == ["a", "b b", "c", "short"]
    hit = Reference.open().search(trna)[0]
    first = {"length": "74", "family": "RF00005", "family_name": "tRNA", "type": "tRNA"}
    first |= {
        "clan": hit.record.clan,
        "evalue": f"{hit.evalue:.4g}",
        "sureness": "confidence high (0.98)",
    }
    assert first.items() <= rows[0].items()
    assert float(rows[0]["identity"]) == pytest.approx(hit.identity, abs=1e-3)
    assert rows[0]["answer"] == "It is tRNA [1]."
    assert (rows[0]["records"], rows[3]["records"]) == ("RF00005", "")
    assert (rows[3]["family"], rows[3]["evalue"]) == ("", "")
    assert float(rows[1]["identity to a"]) == float(rows[0]["identity to b b"])
    assert rows[2]["shares with a"] == "nothing"
    # It is in the downloads too, and not in what the page sends back.
    (document,) = json.loads(conversation.as_json(talk, "tiny", found=True))["comparisons"]
    assert document["rnas"][0]["answer"] == "It is tRNA [1]."
    assert document["pairs"][0]["shares"] == "family"
    assert "comparisons" not in json.loads(conversation.as_json(talk, "tiny"))
    rendered = MarkdownIt("commonmark").render(conversation.as_markdown(talk, "tiny"))
    assert "a, b b: identity 99% (73 letters in 74 columns); the same family" in rendered
    assert "c: 116 nt · GC" in rendered
    # Asked again with one RNA less, it takes the old one's place.
    talk.rnas = talk.rnas[:2]
    list(built.chat_panel.compare(talk, "What is this RNA?"))
    (kept,) = talk.comparisons.values()
    assert [rna.name for rna in kept.rnas] == ["a", "b\tb"]


def test_a_clan_or_a_type_may_be_all_that_is_shared(cited):
    def best(*record: str) -> SimpleNamespace:
        fields = dict(zip(("id", "clan", "type"), record, strict=True))
        return SimpleNamespace(record=SimpleNamespace(**fields))

    one, clan, kind = best("A", "C1", "tRNA"), best("B", "C1", "tRNA"), best("D", "", "tRNA")
    shared = comparison._shared
    assert [shared(one, one), shared(one, clan), shared(one, kind)] == ["family", "clan", "type"]
    assert shared(best("A", "", ""), best("B", "", "")) == "nothing"
    assert shared(one, None) == "unknown"


def test_a_reference_that_is_not_there_is_told_by_its_name(monkeypatch, tmp_path):
    monkeypatch.setenv(searching.VARIABLE, str(tmp_path / "none-such"))
    with pytest.raises(InvalidReferenceError, match="none-such"):
        searching.reference()


# The page's server


def test_a_program_asks_in_three_lines(address, loaded):
    client = Client(address, verbose=False)
    rna = ">mine\n" + make_rna(40, 1)
    answer = client.predict(rna=rna, question="What is this RNA?", api_name="/answer")
    chat = RnaChat(*loaded)
    chat.add_rna(rna)
    assert answer["answer"] == "".join(chat.ask("What is this RNA?", max_new_tokens=12)).strip()
    assert (answer["name"], answer["length"]) == ("mine", 40)
    with pytest.raises(AppError, match="This looks like a protein"):
        client.predict(rna="MEFILPQW", question="What is this RNA?", api_name="/answer")
    with pytest.raises(AppError, match="one RNA at a time"):
        client.predict(rna=">a\nA\n>b\nA", question="What?", api_name="/answer")


def test_a_program_is_given_what_an_answer_rests_on(address, cited):
    (rna,) = examples(0)
    given = {"rna": f">{rna.name}\n{rna.sequence}", "question": "What is this RNA?"}
    answer = Client(address, verbose=False).predict(**given, api_name="/answer")
    assert "tRNA [1]" in answer["answer"]
    assert (answer["basis"], answer["about"]) == ("records", [rna.name])
    assert answer["evidence"][0]["id"] == "RF00005"
    assert answer["sentences"][0]["records"] == [1]


def test_the_api_shows_that_function_and_the_tools(address):
    api = httpx.get(f"{address}gradio_api/info").json()
    tools = {"/identify_rna", "/annotate_rna", "/ask_about_rna", "/explain_answer"}
    assert api["named_endpoints"].keys() == {"/answer", *tools}
    assert api["unnamed_endpoints"] == {}


def test_no_file_is_taken_and_none_is_given(address):
    url = f"{address}gradio_api/upload"
    assert httpx.post(url, files={"files": b">a\nACGU\n"}).status_code == 404
    for path in ("/etc/hostname", str(SPACE / "app.py")):
        answer = httpx.get(f"{address}gradio_api/file={path}")
        assert answer.status_code in (403, 404)


@pytest.mark.parametrize(
    "path",
    [
        "monitoring",
        "monitoring/summary",
        "gradio_api/deep_link?session_hash=a",
        "gradio_api/runs",
        "gradio_api/dev/reload",
        "gradio_api/vibe-code",
        "gradio_api/proxy=http://127.0.0.1/",
        "gradio_api/upload_progress?upload_id=a",
        "gradio_api/token",
        "docs",
        "openapi.json",
    ],
)
def test_gradios_own_doors_are_shut(address, path):
    assert httpx.get(f"{address}{path}").status_code == 404


@pytest.mark.parametrize("path", ["", "config", "gradio_api/info", "theme.css", "robots.txt"])
def test_what_page_and_programs_need_is_open(address, path):
    assert httpx.get(f"{address}{path}").status_code == 200
    assert httpx.get(f"{address}gradio_api/startup-events").status_code == 200


def test_curl_asks_in_two_steps(address):
    call = f"{address}gradio_api/call/answer"
    given = {"data": [make_rna(40, 1), "What is this RNA?"]}
    event = httpx.post(call, json=given).json()["event_id"]
    assert '"length": 40' in httpx.get(f"{call}/{event}", timeout=60).text


@pytest.mark.parametrize(
    ("rna", "question", "message"),
    [
        (None, "What?", "`rna` must be a text; got nothing"),
        ("", "What?", "There is no sequence yet"),
        (["ACGU"], "What?", "`rna` must be a text; got list"),
        ("ACGU", None, "The question must be a text; got nothing"),
        ("ACGU", "", "Write a question"),
        (">" + "n" * 4_000_000 + "\nACGU", "What?", "name has 4,000,000 letters; at most 200"),
        ("ACGU", "why" * 500, "The question has 1,500 letters; at most 1,000"),
    ],
    ids=["no rna", "empty rna", "rnas", "no question", "empty question", "long name", "long"],
)
def test_a_program_is_told_in_plain_words(address, rna, question, message):
    client = Client(address, verbose=False)
    with pytest.raises(AppError, match=message) as rejected:
        client.predict(rna=rna, question=question, api_name="/answer")
    assert len(str(rejected.value)) < 500


def test_a_fault_of_ours_is_told_to_a_program_without_its_cause(address, monkeypatch, caplog):
    def break_down(*_: object):
        raise OSError("no memory")

    monkeypatch.setattr(answering, "answer_each", break_down)
    with pytest.raises(AppError, match="Something went wrong on our side"):
        Client(address, verbose=False).predict("ACGU", "What?", api_name="/answer")
    assert "no memory" in caplog.text


def texts_in(value: object) -> Iterator[str]:
    """All strings within a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from texts_in(part)


class Visit:
    """A visitor who speaks to the page's server as a browser does."""

    def __init__(self, address: str, session: str) -> None:
        self.api, self.session, self.kept = f"{address}gradio_api/", session, ""
        self.config = httpx.get(f"{address}config").json()

    def act(self, part: str, event: str, *given: object, data: dict | None = None) -> list[dict]:
        """What the server sends when a visitor acts on a part of the page."""
        (part_id,) = [
            one["id"] for one in self.config["components"] if one["props"].get("elem_id") == part
        ]
        number = next(
            one["id"] for one in self.config["dependencies"] if [part_id, event] in one["targets"]
        )
        body = {"fn_index": number, "session_hash": self.session, "data": [self.kept, *given]}
        # A lone surrogate travels as an escape, as a browser writes it.
        sent = json.dumps(body | {"event_data": data})
        headers = {"content-type": "application/json"}
        joined = httpx.post(f"{self.api}queue/join", content=sent, headers=headers)
        assert joined.status_code == 200
        stream = httpx.get(f"{self.api}queue/data?session_hash={self.session}", timeout=60)
        lines = [line for line in stream.text.splitlines() if line.startswith("data:")]
        told = [json.loads(line.removeprefix("data:")) for line in lines]
        documents = [text for text in texts_in(told) if text.startswith('{\n  "model"')]
        self.kept = documents[-1] if documents else self.kept
        return told

    def add(self, text: str) -> str:
        return json.dumps(self.act("add", "click", text))

    def ask(self, question: str) -> str:
        return json.dumps(self.act("question", "submit", question, "named"))


@pytest.mark.parametrize(
    ("part", "event", "given", "data"),
    [
        ("question", "submit", ["what \ud800?", "named"], None),
        ("question", "submit", ["What?", "\ud800"], None),
        ("add", "click", [">a\ud800\nACGU"], None),
        ("add-records", "click", [["\ud800"]], None),
        (
            "upload",
            "upload",
            [],
            {"files": [{"name": "\udfff.fa", "size": 4, "content": "QUNHVQ=="}]},
        ),
        ("chat", "edit", [], {"index": 0, "value": "\ud800"}),
        ("cards", "select", [], {"value": "\ud800"}),
    ],
)
def test_half_a_character_does_not_break_the_event_stream(address, part, event, given, data):
    visit = Visit(address, f"half-{part}")
    visit.add(f">mine\n{make_rna(40, 1)}")
    told = visit.act(part, event, *given, data=data)
    assert [one["msg"] for one in told][-1] == "close_stream"
    assert "unexpected_error" not in {one["msg"] for one in told}
    if part in ("question", "add", "upload"):  # of a question, or of the RNA that it is about
        assert "holds half a character" in json.dumps(told)


@pytest.mark.parametrize("part", ["add", "upload"])
def test_a_name_of_four_megabytes_does_not_come_back(address, part):
    record = b">" + b"n" * 4_000_000 + b"\nACGU"
    visit = Visit(address, f"named-{part}")
    if part == "add":
        told = visit.add(record.decode())
    else:
        file = {"name": "a.fa", "size": len(record), "content": packed(record)}
        told = json.dumps(visit.act("upload", "upload", data={"files": [file]}))
    assert "has 4,000,000 letters; at most 200 are taken" in told
    assert len(told) < 50_000


def test_no_number_of_throw_away_visitors_costs_a_conversation(loaded, tmp_path):
    """The one who came first is forgotten, and taken up again from what his page holds."""
    few = space_limits.Limits(max_new_tokens=12, max_conversations=3)
    with open_page(few) as address:
        first = Visit(address, "first")
        rna = make_rna(40, 1)
        first.add(f">mine\n{rna}")
        first.ask("What is this RNA?")
        assert [rna["name"] for rna in json.loads(first.kept)["rnas"]] == ["mine"]
        for number in range(5):
            Visit(address, f"throw-away-{number}").add(f">other\n{rna}")
        first.ask("Where is it found?")
        questions = [turn["question"] for turn in json.loads(first.kept)["turns"]]
    assert questions == ["What is this RNA?", "Where is it found?"]


def test_nothing_is_left_on_the_disk(address, temporary):
    Client(address, verbose=False).predict(
        rna=make_rna(40, 1), question="What is this RNA?", api_name="/answer"
    )
    httpx.post(f"{address}gradio_api/upload", files={"files": b">a\nACGU\n" * 10_000})
    assert [path for path in temporary.rglob("*") if path.is_file()] == []


def test_a_request_that_is_too_large_is_rejected_unread():
    page = BodySizeLimit(PlainTextResponse("read"), max_bytes=10)
    client = TestClient(page)
    assert client.post("/", content=b"a" * 10).text == "read"
    assert client.post("/", content=b"a" * 11).status_code == 413
    assert client.post("/", content=iter([b"a"])).status_code == 411
    assert client.get("/").text == "read"
