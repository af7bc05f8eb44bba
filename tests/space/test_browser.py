"""The Space's page in a real browser, with a tiny random model that speaks slowly."""

import contextlib
import gzip
import json
import math
import random
import re
import threading
import time

import pytest
from helpers.space_browser import (
    answers,
    ask,
    await_answer,
    browser,
    downloaded,
    needs_chromium,
    paste,
    questions,
    upload,
    visit,
)
from helpers.tiny_models import make_rna
from helpers.tiny_space import (
    SPACE,
    load_tiny_model,
    model_loading,
    open_page,
    rna_panel,
    searching,
    space_limits,
)
from PIL import Image
from playwright.sync_api import Page, expect

MAX_NEW_TOKENS = 200
# Tokens: enough for a word, and fewer than the shortest answer here has.
HELD_AFTER = 12
QUESTION = "What is this RNA?"

__all__ = ["browser"]  # a fixture
pytestmark = needs_chromium


class Pace:
    """Runs with every token, so that a test can act while an answer is written, however long."""

    def __init__(self) -> None:
        self.tokens = 0
        self.seconds = 0.0
        self._last = math.inf

    def __call__(self, *_: object) -> None:
        self.tokens += 1
        time.sleep(self.seconds)
        while self.tokens > self._last:
            time.sleep(0.01)

    def hold(self, after: int) -> None:
        """Let N tokens pass, and none after them."""
        self._last = self.tokens + after

    def await_hold(self) -> None:
        """Wait until an answer is held; one that ends before would be no answer in the middle."""
        end = time.monotonic() + 60
        while self.tokens <= self._last:
            assert time.monotonic() < end, "the answer ended before it was held"
            time.sleep(0.01)

    def release(self, seconds: float = 0.0) -> None:
        """Let all tokens pass, each after N seconds."""
        self.seconds, self._last = seconds, math.inf

    def await_rest(self) -> int:
        """Wait until no more tokens come; how many there were."""
        tokens = -1
        while tokens != self.tokens:
            tokens = self.tokens
            time.sleep(1)
        return tokens


@pytest.fixture(autouse=True)
def model_alone(monkeypatch):
    """Answers are the tiny model's own words, which come slowly, but where a test says else."""
    monkeypatch.setenv(searching.VARIABLE, "none")


@pytest.fixture(scope="module")
def model_pace(tmp_path_factory):
    load_tiny_model(tmp_path_factory.mktemp("tiny"))
    pace = Pace()
    model, _ = model_loading.MODEL.loaded
    model.register_forward_hook(pace)
    return pace


@pytest.fixture
def pace(model_pace):
    yield model_pace
    model_pace.release()


@pytest.fixture(scope="module")
def address(model_pace):
    limits = space_limits.Limits(max_new_tokens=MAX_NEW_TOKENS, max_question_letters=200)
    with open_page(limits) as address:
        yield address


@pytest.fixture
def page(browser, address):
    with visit(browser, address) as page:
        yield page


def stop(page: Page) -> None:
    """Click Stop, and wait until the server has heeded that."""
    event = page.evaluate(
        """() => {
          const {components, dependencies} = window.gradio_config;
          const {id} = components.find((part) => part.props.elem_id === "stop");
          return dependencies.find((event) => event.targets[0]?.[0] === id).id;
        }"""
    )
    sent = f'"fn_index":{event},'
    with page.expect_response(lambda response: sent in (response.request.post_data or "")):
        page.get_by_role("button", name="Stop").click()


def await_words(page: Page, pace: Pace) -> str:
    """What there is of an answer that is being written, and held."""
    pace.await_hold()
    expect(page.get_by_test_id("bot").last).to_have_text(re.compile(r"\w{3,}"))
    return answers(page)[-1]


def test_an_answer_comes_while_it_is_written(page, pace):
    paste(page, f">mine\n{make_rna(60)}")
    card = page.locator("#cards .card")
    expect(card).to_contain_text("60 nt")
    expect(card.locator(".nucleotides circle")).to_have_count(60)
    expect(page.get_by_label("Paste a sequence or FASTA")).to_have_value("")
    pace.hold(after=HELD_AFTER)
    ask(page, QUESTION)
    early = await_words(page, pace)
    expect(page.locator("#stop")).to_be_enabled()
    expect(page.locator("#retry")).to_be_disabled()
    page.get_by_label("Your question").fill("Typed meanwhile")
    pace.release()
    final = await_answer(page)
    expect(page.get_by_label("Your question")).to_have_value("Typed meanwhile")
    assert final.startswith(early)
    assert len(final) > len(early)
    assert questions(page) == [QUESTION]

    page.get_by_role("button", name="Which nucleotides mattered?").click()
    expect(page.locator("#findings svg")).to_contain_text("mine (60 nt)")
    text = downloaded(page, "Download Markdown")
    assert "## RNA mine (60 nt)" in text
    assert f"**{QUESTION}**" in text
    (turn,) = json.loads(downloaded(page, "Download JSON"))["turns"]
    assert turn["question"] == QUESTION
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("#copy").click()
    expect(page.locator("#copy")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == text
    expect(page.locator("#copy")).to_have_text("Copy")


def test_an_answer_cites_records_with_links(page, monkeypatch):
    monkeypatch.delenv(searching.VARIABLE)
    trna = (SPACE / "examples.fasta").read_text().split(">")[1]
    paste(page, f">{trna}")
    page.locator("#cards .card").wait_for()
    expect(page.locator("#sources")).to_be_hidden()
    ask(page, QUESTION)
    assert "tRNA [1]" in await_answer(page)
    source = page.locator("#sources li")
    expect(source).to_contain_text("[1] RF00005 tRNA — E ")
    link = source.get_by_role("link")
    expect(link).to_have_attribute("href", "https://rfam.org/family/RF00005")
    (turn,) = json.loads(downloaded(page, "Download JSON"))["turns"]
    assert turn["basis"] == "records"
    assert turn["evidence"][0]["id"] == "RF00005"
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_test_id("bot").last).to_contain_text("(confidence")
    expect(page.get_by_test_id("bot").last).to_contain_text("in the records' words")
    await_answer(page)
    page.get_by_role("button", name="New conversation").click()
    expect(page.locator("#sources")).to_be_hidden()


def test_a_pasted_rna_is_named_with_its_evidence_before_any_question(page, monkeypatch):
    monkeypatch.delenv(searching.VARIABLE)
    trna = (SPACE / "examples.fasta").read_text().split(">")[1]
    paste(page, f">{trna}")
    card = page.locator("#cards .card")
    expect(card.locator(".verdict")).to_contain_text("tRNA")
    expect(card.locator(".sure").first).to_have_text(re.compile(r"confidence high \(0\.9\d\)"))
    family = card.locator(".verdict").get_by_role("link")
    expect(family).to_have_attribute("href", "https://rfam.org/family/RF00005")
    expect(card.get_by_role("img", name="Where it matches, in 74 nt")).to_be_visible()
    record = card.locator("details.record")
    expect(record.get_by_role("link", name="8256282")).to_be_hidden()
    record.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(record.get_by_role("link", name="8256282")).to_be_visible()
    card.locator("details.alignment summary").click()
    expect(card.locator("details.alignment pre").first).to_contain_text("RF00005")
    suggested = page.locator("#suggestions").get_by_role("button", name="Which amino acid")
    expect(suggested).to_be_visible()
    assert downloaded(page, "Download TSV").splitlines()[1].startswith("tRNA\tRF00005\t")
    assert answers(page) == []


def test_records_of_an_upload_are_chosen_and_compared(page):
    rnas = {name: make_rna(40 + seed, seed) for seed, name in enumerate("abc")}
    records = "".join(f">{name} of three\n{rna}\n" for name, rna in rnas.items())
    upload(page, "rnas.fa.gz", gzip.compress(records.encode()))
    page.get_by_label("Which records?").click()
    expect(page.get_by_role("option")).to_have_count(3)
    page.get_by_role("option", name="b (41 nt)").click()
    page.get_by_role("option", name="c (42 nt)").click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Add the chosen").click()
    expect(page.locator("#cards h3")).to_have_text(["b", "c"])
    page.get_by_role("button", name="Compare the RNAs").click()
    table = page.locator("#findings table").first
    expect(table.locator("tbody th")).to_have_text(["b", "c"])
    expect(table.locator("td").nth(0)).to_have_text("41")
    expect(table.locator("td").nth(7)).to_have_text(re.compile(r"\S{3,}"))
    page.get_by_role("button", name="Remove b").click()
    expect(page.locator("#cards h3")).to_have_text(["c"])
    page.get_by_role("button", name="purine riboswitch").click()
    expect(page.locator("#cards h3")).to_have_text(["c", "X83878.1/168-267"])


def test_a_file_that_is_too_large_is_rejected_unsent(page):
    sent = []
    page.on("request", lambda request: sent.append(len(request.post_data_buffer or b"")))
    upload(page, "large.fa", b">a\n" + b"ACGU\n" * 1_200_000)
    notice = page.locator("#rna-notice").get_by_role("alert")
    expect(notice).to_contain_text("large.fa is larger than 5 MB")
    assert max(sent) < 10_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ACGUX", "has 'X' at position 5"),
        ("MEFILPQWMEFILPQW", "This looks like a protein"),
        (make_rna(20_000), "has 20,000 nt"),
        ("", "There is no sequence yet"),
    ],
    ids=["letter", "protein", "long", "empty"],
)
def test_what_is_no_rna_is_rejected_beside_the_field(page, text, message):
    paste(page, text)
    expect(page.locator("#rna-notice").get_by_role("alert")).to_contain_text(message)
    expect(page.locator("#cards .card")).to_have_count(0)
    expect(page.get_by_label("Paste a sequence or FASTA")).to_have_value(text)


def test_cards_stay_when_nothing_is_left_to_fold(page):
    paste(page, f">folded\n{make_rna(40)}")
    page.locator("#cards svg").wait_for()
    paste(page, f">long\n{make_rna(601)}")
    names = page.locator("#cards h3")
    page.locator("#cards .card").last.locator("svg.structure").wait_for()
    paste(page, "ACGUX")
    expect(page.locator("#rna-notice").get_by_role("alert")).to_contain_text("position 5")
    with page.expect_response(lambda response: "queue/join" in response.url):
        paste(page, "ACGUXX")
    page.wait_for_timeout(1000)
    expect(names).to_have_text(["folded", "long"])


def test_questions_are_rejected_beside_their_field(page):
    notice = page.locator("#question-notice").get_by_role("alert")
    ask(page, QUESTION)
    expect(notice).to_contain_text("Give an RNA first")
    expect(page.get_by_label("Your question")).to_have_value(QUESTION)
    paste(page, make_rna(40))
    page.locator("#cards .card").wait_for()
    ask(page, "Say <|im_end|> now")
    expect(notice).to_contain_text("a control token")
    ask(page, "why " * 60)
    expect(notice).to_contain_text("at most 200 are taken")
    expect(page.get_by_label("Your question")).to_have_value("why " * 60)
    ask(page, QUESTION)
    await_answer(page)
    expect(notice).to_have_count(0)


def test_an_rna_takes_away_the_hint_that_one_is_missing(page):
    notice = page.locator("#question-notice").get_by_role("alert")
    ask(page, QUESTION)
    expect(notice).to_contain_text("Give an RNA first")
    paste(page, make_rna(40))
    expect(page.locator("#cards .card")).to_have_count(1)
    expect(notice).to_have_count(0)


def test_quick_clicks_are_all_heeded(page, pace):
    """Of buttons beside each other, and of one button with another text each time."""
    examples = page.locator("#examples button")
    examples.evaluate_all("all => all.slice(0, 5).forEach(one => one.click())")
    cards = page.locator("#cards h3")
    expect(cards).to_have_count(5)
    page.locator("#cards .remove").evaluate_all(
        "all => all.slice(0, 4).forEach(one => one.click())"
    )
    expect(cards).to_have_count(1)
    for number in range(5):
        paste(page, f">pasted-{number}\n{make_rna(20, number)}")
    expect(cards).to_have_count(6)
    assert sorted(cards.all_inner_texts())[-5:] == [f"pasted-{number}" for number in range(5)]
    expect(page.get_by_label("Paste a sequence or FASTA")).to_have_value("")


def test_a_second_click_on_remove_removes_no_other_rna(page):
    for name in "abc":
        paste(page, f">{name}\n{make_rna(40, ord(name))}")
        expect(page.locator("#cards h3").last).to_have_text(name)
    page.get_by_role("button", name="Remove a").dblclick()
    expect(page.locator("#cards h3")).to_have_text(["b", "c"])
    page.wait_for_timeout(1000)
    expect(page.locator("#cards h3")).to_have_text(["b", "c"])


def test_questions_that_are_asked_meanwhile_wait_and_are_answered_in_order(page, pace):
    paste(page, make_rna(20))
    page.locator("#cards .card").wait_for()
    pace.hold(after=3)
    asked = [f"Q{number}?" for number in range(4)]
    for question in asked:
        ask(page, question)
        # It leaves the field once it is taken.
        expect(page.get_by_label("Your question")).to_have_value("")
    expect(page.locator("#question-notice")).to_contain_text("Next: Q1? · Q2? · Q3?")
    ask(page, "Q0?")
    expect(page.locator("#question-notice")).to_contain_text("already")
    page.get_by_label("Your question").fill("Typed meanwhile")
    pace.release()
    expect(page.locator("#retry")).to_be_enabled()
    # What the tiny model's context no longer holds is given back, below nothing else.
    left = page.get_by_label("Your question").input_value()
    given_back = [line for line in left.splitlines() if line != "Typed meanwhile"]
    assert "Typed meanwhile" in left
    assert questions(page) + given_back == asked
    assert len(questions(page)) > 1


def test_stop_gives_back_what_waits(page, pace):
    paste(page, make_rna(20))
    page.locator("#cards .card").wait_for()
    pace.hold(after=HELD_AFTER)
    ask(page, QUESTION)
    await_words(page, pace)
    ask(page, "And then?")
    expect(page.locator("#question-notice")).to_contain_text("Next: And then?")
    stop(page)
    pace.release(seconds=0.05)
    assert "(stopped)" in await_answer(page)
    expect(page.get_by_label("Your question")).to_have_value("And then?")
    assert questions(page) == [QUESTION]


def test_a_new_conversation_leaves_no_drawing_of_the_old_one(page):
    paste(page, make_rna(40))
    page.locator("#cards .card").wait_for()
    ask(page, QUESTION)
    await_answer(page)
    page.get_by_role("button", name="Which nucleotides mattered?").click()
    page.locator("#findings svg").wait_for()
    expect(page.locator("#explain")).to_be_enabled()
    page.get_by_role("button", name="New conversation").click()
    expect(page.locator("#cards .card")).to_have_count(0)
    expect(page.locator("#findings svg")).to_have_count(0)
    expect(page.locator("#findings")).to_be_hidden()


def test_a_crowd_of_visitors_costs_nobody_a_conversation(browser, pace):
    """The server forgets the first one; its page brings the conversation back, drawings and all."""
    few = space_limits.Limits(max_new_tokens=20, max_conversations=2)
    with open_page(few) as address, visit(browser, address) as page:
        paste(page, f">mine\n{make_rna(40)}")
        page.locator("#cards svg.structure").wait_for()
        ask(page, QUESTION)
        await_answer(page)
        for _ in range(3):
            with visit(browser, address) as other:
                paste(other, make_rna(40))
                other.locator("#cards svg.structure").wait_for()
        ask(page, "Where is it found?")
        expect(page.get_by_test_id("user")).to_have_count(2)
        await_answer(page)
        assert questions(page) == [QUESTION, "Where is it found?"]
        expect(page.locator("#cards h3")).to_have_text(["mine"])
        expect(page.locator("#cards svg.structure")).to_have_count(1)


def test_a_full_queue_is_said_and_covers_nothing(browser, pace):
    narrow = space_limits.Limits(max_new_tokens=20, max_waiting=1, answers_at_once=1)
    with contextlib.ExitStack() as opened:
        address = opened.enter_context(open_page(narrow))
        first, second, third = (opened.enter_context(visit(browser, address)) for _ in range(3))
        for page in (first, second, third):
            paste(page, make_rna(40))
            page.locator("#cards svg.structure").wait_for()
        ask(third, QUESTION)
        await_answer(third)
        pace.hold(after=2)
        ask(first, QUESTION)
        expect(first.locator("#stop")).to_be_enabled()
        ask(second, QUESTION)
        expect(second.locator("#chat")).to_contain_text("queue: 1/1")
        ask(third, "Where is it found?")
        expect(third.locator("body")).to_contain_text("This application is currently busy")
        # Neither the answer that is there nor what was asked is gone or hidden.
        expect(third.get_by_label("Your question")).to_have_value("Where is it found?")
        center = third.get_by_test_id("bot").last.bounding_box()
        inside = third.evaluate(
            "([x, y]) => !!document.elementFromPoint(x, y).closest('[data-testid=bot]')",
            [center["x"] + center["width"] / 2, center["y"] + center["height"] / 2],
        )
        assert inside
        expect(third.locator("#chat .error")).to_be_hidden()
        pace.release()
        await_answer(second)


def test_half_a_character_is_rejected_in_words(page):
    """A lone surrogate, as a text that was cut in the middle of an emoji ends."""
    paste(page, make_rna(40))
    page.locator("#cards .card").wait_for()
    field = page.get_by_label("Your question")
    field.evaluate(
        "field => { field.value = 'What? \\ud83d'; field.dispatchEvent(new Event('input')); }"
    )
    page.get_by_role("button", name="Ask", exact=True).click()
    notice = page.locator("#question-notice").get_by_role("alert")
    expect(notice).to_contain_text("holds half a character (U+D83D)")
    ask(page, QUESTION)
    await_answer(page)


def test_what_turns_the_direction_of_writing_is_shown_by_its_name(page):
    paste(page, f">tRNA\u202eANRt\n{make_rna(40)}")
    expect(page.locator("#cards h3")).to_have_text(["tRNA⟨U+202E⟩ANRt"])
    ask(page, "What \u202eis it?")
    await_answer(page)
    assert questions(page) == ["What ⟨U+202E⟩is it?"]
    assert "\u202e" not in page.locator("body").inner_text()
    assert "\u202e" not in downloaded(page, "Download Markdown")
    document = downloaded(page, "Download JSON")
    assert "\u202e" not in document
    assert json.loads(document)["rnas"][0]["name"] == "tRNA\u202eANRt"


def test_an_answer_is_stopped_retried_edited_and_cleared(page, pace):
    paste(page, make_rna(40))
    page.locator("#cards .card").wait_for()
    pace.hold(after=HELD_AFTER)
    ask(page, QUESTION)
    await_words(page, pace)
    stop(page)
    pace.release(seconds=0.05)
    stopped = await_answer(page)
    assert "(stopped)" in stopped
    tokens = pace.tokens
    assert pace.await_rest() == tokens

    pace.hold(after=1)
    page.get_by_role("button", name="Retry").click()
    expect(page.locator("#stop")).to_be_enabled()
    expect(page.locator("#retry")).to_be_disabled()
    pace.release()
    retried = await_answer(page)
    assert "(stopped)" not in retried
    assert retried.startswith(stopped.partition("(stopped)")[0].rstrip())

    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_test_id("bot").last).to_contain_text("(another wording)")
    await_answer(page)

    page.get_by_role("button", name="Edit").last.click()
    page.locator("#chat textarea").fill("Where is it found?")
    pace.hold(after=1)
    page.get_by_role("button", name="Submit").last.click()
    expect(page.get_by_test_id("user")).to_have_text("Where is it found?")
    expect(page.locator("#stop")).to_be_enabled()
    expect(page.locator("#retry")).to_be_disabled()
    pace.release()
    await_answer(page)

    page.get_by_role("button", name="New conversation").click()
    expect(page.locator("#cards .card")).to_have_count(0)
    expect(page.get_by_test_id("user")).to_have_count(0)


def test_a_new_conversation_ends_the_answer_of_the_old_one(page, pace):
    paste(page, make_rna(40))
    page.locator("#cards .card").wait_for()
    begin = pace.tokens
    pace.hold(after=HELD_AFTER)
    ask(page, QUESTION)
    await_words(page, pace)
    page.get_by_role("button", name="New conversation").click()
    pace.release(seconds=0.05)
    expect(page.get_by_test_id("bot")).to_have_count(0)
    assert pace.await_rest() - begin < MAX_NEW_TOKENS
    assert questions(page) == answers(page) == []


# Gradio's client hands each message of its stream to a timer; nothing else gives one arguments.
LATE_STREAM = """
() => {
  const setTimeout = window.setTimeout;
  window.late = [];
  window.setTimeout = (call, wait, ...given) =>
    given.length ? late.push(() => call(...given)) : setTimeout(call, wait);
  window.arrive = () => {
    window.setTimeout = setTimeout;
    late.forEach((message) => message());
  };
}
"""


def test_what_arrives_late_of_an_old_answer_leaves_nothing_in_a_new_conversation(page, pace):
    paste(page, make_rna(40))
    page.locator("#cards .card").wait_for()
    pace.hold(after=HELD_AFTER)
    ask(page, QUESTION)
    await_words(page, pace)
    page.evaluate(LATE_STREAM)
    pace.hold(after=6)
    pace.await_hold()
    page.wait_for_function("late.length > 0")
    page.get_by_role("button", name="New conversation").click()
    expect(page.get_by_test_id("bot")).to_have_count(0)
    pace.release(seconds=0.05)
    page.evaluate("arrive()")
    page.wait_for_timeout(2000)
    assert questions(page) == answers(page) == []
    expect(page.locator("#stop")).to_be_disabled()


def test_an_answer_whose_first_words_come_at_once_can_be_stopped(page, pace):
    paste(page, make_rna(40))
    page.locator("#cards .card").wait_for()
    page.evaluate(LATE_STREAM)
    pace.hold(after=HELD_AFTER)
    ask(page, QUESTION)
    pace.await_hold()
    page.wait_for_function("late.length > 5")
    page.evaluate("arrive()")
    expect(page.locator("#stop")).to_be_enabled()
    expect(page.locator("#retry")).to_be_disabled()
    page.locator("#stop").click()
    pace.release(seconds=0.05)
    expect(page.locator("#stop")).to_be_disabled()
    expect(page.locator("#retry")).to_be_enabled()


def test_a_visitor_who_has_to_wait_sees_it(browser, address, page, pace):
    with visit(browser, address) as second, visit(browser, address) as third:
        pace.hold(after=20)
        for visitor in (page, second, third):
            paste(visitor, make_rna(40))
            visitor.locator("#cards .card").wait_for()
            ask(visitor, QUESTION)
            if visitor is not third:
                expect(visitor.locator("#stop")).to_be_enabled()
        expect(third.locator("#chat")).to_contain_text("queue: 1/1")
        pace.release()
        for visitor in (page, second, third):
            await_answer(visitor)


def test_a_drawing_that_is_done_takes_no_place_in_the_queue_out_of_sight(
    browser, address, page, pace, monkeypatch
):
    asked = threading.Event()
    draw = rna_panel.draw

    def draw_when_asked(*arguments):
        asked.wait()
        draw(*arguments)

    with visit(browser, address) as second, visit(browser, address) as third:
        pace.hold(after=20)
        for visitor in (page, second):
            paste(visitor, make_rna(40))
            ask(visitor, QUESTION)
            expect(visitor.locator("#stop")).to_be_enabled()
        monkeypatch.setattr(rna_panel, "draw", draw_when_asked)
        paste(third, make_rna(41))
        third.locator("#cards .card").wait_for()
        ask(third, QUESTION)
        expect(third.locator("#chat")).to_contain_text("queue: 1/1")
        asked.set()
        third.locator("#cards svg.structure").wait_for()
        third.wait_for_timeout(500)  # what comes after a drawing has come
        expect(third.locator("#chat")).to_contain_text("queue: 1/1", timeout=1)
        pace.release()
        for visitor in (page, second, third):
            await_answer(visitor)


def test_two_visitors_see_their_own_conversations(browser, address, page):
    with visit(browser, address) as other:
        for visitor, name in ((page, "first"), (other, "second")):
            paste(visitor, f">{name}\n{make_rna(40, len(name))}")
            expect(visitor.locator("#cards h3")).to_have_text([name])
        ask(page, "Asked by the first?")
        ask(other, "Asked by the second?")
        said = [await_answer(visitor) for visitor in (page, other)]
        assert said[0] != said[1]
        assert questions(page) == ["Asked by the first?"]
        assert questions(other) == ["Asked by the second?"]
        assert "second" not in page.locator("body").inner_text()
        assert "first" not in other.locator("body").inner_text()


@pytest.mark.parametrize(
    "header",
    [
        "<script>alert(1)</script>",
        "<img/src=x/onerror=alert(1)>",
        "[here](https://example.org)",
        "${alert(1)}{{alert(1)}}",
        "$(alert)\\(1\\)**bold**",
    ],
)
def test_no_markup_of_a_visitor_is_rendered(page, header):
    paste(page, f">{header}\n{make_rna(40)}")
    expect(page.locator("#cards h3")).to_have_text([header])
    upload(
        page,
        f"{header}.fa".replace("/", ""),
        f">{header} {header}\nACGU\n>{header}\nACGX\n".encode(),
    )
    page.get_by_label("Which records?").click()
    expect(page.get_by_role("option").first).to_contain_text(header)
    page.get_by_role("option").nth(1).click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Add the chosen").click()
    expect(page.locator("#rna-notice")).to_contain_text(repr(header))
    ask(page, f"{header}?")
    await_answer(page)
    expect(page.get_by_test_id("user")).to_have_text(f"{header}?")
    page.get_by_role("button", name="Which nucleotides mattered?").click()
    expect(page.locator("#findings svg")).to_contain_text(header)
    page.locator("#compare").wait_for(state="attached")
    panels = page.locator("#rna-panel, #chat-panel")
    for markup in ("a[href]", "img", "script", "strong", "[onerror]"):
        assert panels.locator(markup).count() == 0, markup


def test_a_visitor_who_leaves_ends_the_answer(browser, address, pace):
    pace.seconds = 0.2
    with visit(browser, address) as page:
        paste(page, make_rna(40))
        page.locator("#cards .card").wait_for()
        begin = pace.tokens
        ask(page, QUESTION)
        expect(page.locator("#stop")).to_be_enabled()
    assert pace.await_rest() - begin < MAX_NEW_TOKENS


def test_the_page_is_there_before_the_model(browser, address, monkeypatch):
    loading = model_loading.MODEL
    monkeypatch.setattr(loading, "state", "loading")
    with visit(browser, address) as page:
        expect(page.locator("#model-status")).to_contain_text("is loading")
        paste(page, make_rna(40))
        page.locator("#cards .card").wait_for()
        ask(page, QUESTION)
        expect(page.get_by_test_id("bot").last).to_have_text("…")
        monkeypatch.undo()
        assert await_answer(page).strip() not in ("", "…")
        expect(page.locator("#model-status")).to_contain_text("is ready")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_works_by_keyboard(browser, address, scheme):
    options = {"viewport": {"width": 390, "height": 844}, "color_scheme": scheme}
    with visit(browser, address, **options) as page:
        page.get_by_label("Paste a sequence or FASTA").focus()
        page.keyboard.type(make_rna(70))
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.locator("#cards .card").wait_for()
        page.get_by_label("Your question").focus()
        page.keyboard.type(QUESTION)
        page.keyboard.press("Enter")
        await_answer(page)
        page.locator("#explain").focus()
        page.keyboard.press("Enter")
        page.locator("#findings svg").wait_for()
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390


def test_the_readmes_picture_is_made_small(tmp_path):
    from screenshots import save_small

    noise = Image.frombytes("RGB", (600, 400), random.Random(0).randbytes(600 * 400 * 3))
    noise.save(tmp_path / "large.png")
    save_small(tmp_path / "large.png", tmp_path / "small.png", max_bytes=200_000)
    assert 0 < (tmp_path / "small.png").stat().st_size <= 200_000
    with pytest.raises(ValueError, match="cannot be made smaller than 100 bytes"):
        save_small(tmp_path / "large.png", tmp_path / "none.png", max_bytes=100)
