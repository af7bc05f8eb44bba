"""What the page does with what a visitor clicks and asks."""

import json
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from helpers.space_parts import HAIRPIN, commands, conversation_of, final
from helpers.tiny_space import (
    SPACE,
    answering,
    conversation,
    model_loading,
    page,
    rna_panel,
    space_limits,
    structure_card,
)

from rnagpt import (
    CleanedRna,
    NucleotideScores,
    read_fasta,
)

pytestmark = pytest.mark.usefixtures("model_alone")


def slow_answer(*pieces: str):
    """In the place of `write_answer`: the answer grows by these."""

    def write(_messages, rnas, _num_read, question, *_: object):
        for end in range(1, len(pieces) + 1):
            yield conversation.Turn(question, "".join(pieces[:end]), len(rnas))

    return write


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


def test_an_update_that_a_page_may_lose_is_given_again_until_the_end():
    stop, chat, on = "stop", "chat", gr.update(interactive=True)
    given = [{stop: on, chat: "A"}, {chat: "A tRNA"}, rna_panel.AS_IT_IS, {stop: gr.update()}]
    repeated = list(page._repeated(iter(given)))
    assert repeated == [given[0], {stop: on, chat: "A tRNA"}, {stop: on}, given[3]]
    silent = [{chat: "A"}, rna_panel.AS_IT_IS]
    assert list(page._repeated(iter(silent))) == silent


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
