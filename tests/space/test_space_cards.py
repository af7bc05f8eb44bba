"""The card of an RNA: what it says, what is found, what is downloaded of it."""

import dataclasses
import html
import json
from xml.etree import ElementTree

import gradio as gr
import pytest
from helpers.space_parts import (
    LIMITS,
    SCRIPT,
    compared,
    conversation_of,
    examples,
    final,
    links_in,
    read_tags,
    searched,
)
from helpers.tiny_models import make_rna
from helpers.tiny_space import (
    SPACE,
    comparison,
    comparison_table,
    conversation,
    findings,
    rna_cards,
    rna_panel,
    searching,
    validation,
)
from markdown_it import MarkdownIt

import rnagpt
from rnagpt import (
    Answer,
    CleanedRna,
    Reference,
    clean_rna,
    read_fasta,
)
from rnagpt.cli.main import main
from rnagpt.reference.library import EVALUE

pytestmark = pytest.mark.usefixtures("model_alone")


def track_of(card: str) -> ElementTree.Element:
    return ElementTree.fromstring(
        card[card.index('<svg role="img" viewBox') :].split("</svg>")[0] + "</svg>"
    )


def other_strand(sequence: str) -> str:
    return sequence[::-1].translate(str.maketrans("ACGU", "UGCA"))


# Cards


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
