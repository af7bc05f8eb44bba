"""Conversations, the texts of visitors in them, and the answers of a model."""

import json
from types import SimpleNamespace

import pytest
from helpers.space_parts import LIMITS, LINK, SCRIPT, compared, conversation_of
from helpers.tiny_models import make_question, make_rna
from helpers.tiny_space import (
    answering,
    chat_messages,
    comparison_table,
    conversation,
    model_loading,
    plain_text,
    rna_cards,
    rna_input,
    space_limits,
    visitors,
)
from markdown_it import MarkdownIt

from rnagpt import (
    Answer,
    CleanedRna,
    RnaChat,
    clean_rna,
)

pytestmark = pytest.mark.usefixtures("model_alone")


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
