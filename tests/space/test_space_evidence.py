"""Answers from evidence on the page: their records, whom they are about, comparisons."""

import csv
import io
import json
import time
from types import SimpleNamespace

import gradio as gr
import pytest
from helpers.space_parts import (
    LIMITS,
    LINK,
    SCRIPT,
    commands,
    conversation_of,
    examples,
    final,
    links_in,
    read_tags,
)
from helpers.tiny_models import make_rna
from helpers.tiny_space import (
    about_selector,
    answering,
    chat_panel,
    comparison,
    conversation,
    findings,
    model_loading,
    rna_cards,
    searching,
    visitors,
)
from markdown_it import MarkdownIt

from rnagpt import (
    CleanedRna,
    Reference,
)
from rnagpt.inference.cited import Words
from rnagpt.reference import InvalidReferenceError
from rnagpt.reference.library import EVALUE

pytestmark = pytest.mark.usefixtures("model_alone")


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
