"""Whole visits of the Space in a real browser: from a pasted RNA to the record that is cited.

The server is `python space/app.py` in a process of its own, with a tiny model, as a duplicated
Space runs it. Nothing outside is asked: the browser's requests to other hosts are caught.
"""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from helpers import space_browser
from helpers.paths import DATA
from helpers.space_browser import (
    answers,
    ask,
    await_answer,
    downloaded,
    needs_chromium,
    paste,
    questions,
    visit,
)
from helpers.tiny_models import make_model, make_processor, make_rna
from helpers.tiny_space import SPACE
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, Route, expect

from rnagpt.cli.main import main
from rnagpt.reference.edit import read_families
from rnagpt.reference.writer import write_reference
from rnagpt.sequences.fasta import read_fasta

pytestmark = needs_chromium
browser = space_browser.browser  # a fixture
TRNA = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"
RECORD = "https://rfam.org/family/RF00005"
QUESTION = "What is this RNA?"
U1 = next(rna.sequence for rna in read_fasta(SPACE / "examples.fasta") if "U1" in rna.description)


@contextlib.contextmanager
def space(model: Path, **environment: str) -> Iterator[str]:
    """`python space/app.py` with a model; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = {"RNAGPT_MODEL": str(model), "GRADIO_SERVER_PORT": str(port), **environment}
    address = f"http://127.0.0.1:{port}/"
    log = model.parent / f"space-{port}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, str(SPACE / "app.py")],
            env={**os.environ, "HF_HUB_OFFLINE": "1", **given},
            stdout=file,
            stderr=file,
        )
    try:
        end = time.monotonic() + 180
        while not _answers(address):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait()


def _answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=10) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "my-tiny-model"
    processor = make_processor(merge_size=3, summary_size=2, max_rna_length=1000)
    make_model(processor).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def address(model: Path) -> Iterator[str]:
    with space(model) as address:
        yield address


def named_card(page: Page, name: str) -> Locator:
    return page.locator("#cards .card").filter(has=page.get_by_role("heading", name=name))


def test_from_a_pasted_rna_to_the_record_that_its_answer_cites(
    browser: Browser, address: str
) -> None:
    with visit(browser, address) as page:
        asked: list[str] = []

        def catch(route: Route) -> None:
            asked.append(route.request.url)
            route.fulfill(status=200, content_type="text/html", body="<h1>the record</h1>")

        page.context.route(re.compile(r"^https?://(?!127\.0\.0\.1)"), catch)
        paste(page, f">mine\n{TRNA}")
        expect(named_card(page, "mine").locator(".verdict")).to_contain_text("tRNA")
        ask(page, QUESTION)
        assert "tRNA [1]" in await_answer(page)
        source = page.locator("#sources li").first
        expect(source).to_contain_text("[1]")
        assert asked == []  # nothing leaves the page before a link is followed
        with page.context.expect_page() as opened:
            source.get_by_role("link").first.click()
        expect(opened.value.locator("h1")).to_have_text("the record")
        assert opened.value.url == RECORD
        assert asked == [RECORD]
        assert opened.value.evaluate("window.opener") is None


def test_a_question_that_names_the_first_of_two_rnas(browser: Browser, address: str) -> None:
    with visit(browser, address) as page:
        paste(page, f">first\n{TRNA}\n")
        expect(named_card(page, "first").locator(".verdict")).to_contain_text("tRNA")
        paste(page, f">second\n{U1}")
        expect(named_card(page, "second").locator(".verdict")).to_contain_text("U1")
        ask(page, "What is RNA 1?")
        first = await_answer(page)
        ask(page, "What is second?")
        expect(page.get_by_test_id("bot")).to_have_count(2)
        second = await_answer(page)
        turns = json.loads(downloaded(page, "Download JSON"))["turns"]
    assert "tRNA" in first
    assert "U1" not in first
    assert "U1" in second
    assert [turn["evidence"][0]["id"] for turn in turns] == ["RF00005", "RF00003"]


def test_a_new_conversation_is_empty(browser: Browser, address: str) -> None:
    with visit(browser, address) as page:
        untouched = page.locator("#suggestions button").all_inner_texts()
        paste(page, f">mine\n{TRNA}")
        expect(page.locator("#cards .verdict")).to_contain_text("tRNA")
        ask(page, QUESTION)
        await_answer(page)
        paste(page, "ACGUX")
        expect(page.locator("#rna-notice").get_by_role("alert")).to_be_visible()
        page.get_by_label("Your question").fill("half a question")
        page.get_by_role("button", name="New conversation").click()
        expect(page.locator("#cards .card")).to_have_count(0)
        expect(page.get_by_test_id("bot")).to_have_count(0)
        expect(page.locator("#rna-notice").get_by_role("alert")).to_have_count(0)
        expect(page.locator("#question-notice").get_by_role("alert")).to_have_count(0)
        for part in ("#sources", "#findings"):
            expect(page.locator(part)).to_be_hidden()
        for button in ("Download Markdown", "Download JSON", "Download TSV", "Stop", "Retry"):
            expect(page.get_by_role("button", name=button)).to_be_hidden()
        expect(page.get_by_label("Paste a sequence or FASTA")).to_have_value("")
        expect(page.get_by_label("Your question")).to_have_value("")
        expect(page.locator("#suggestions button")).to_have_text(untouched)
        assert questions(page) == answers(page) == []
        paste(page, f">other\n{make_rna(40)}")
        expect(page.locator("#cards h3")).to_have_text(["other"])
        held = json.loads(downloaded(page, "Download JSON"))
        assert [rna["name"] for rna in held["rnas"]] == ["other"]
        assert held["turns"] == []
        assert "mine" not in page.locator("body").inner_text()


# The colour of each text, and what is seen behind it, as far as colours are not drawn.
COLOURS = """
root => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const context = canvas.getContext("2d", {willReadFrequently: true});
  const parse = colour => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3]));
  const behind = element => {
    const layers = [];
    for (let one = element; one; one = one.parentElement)
      layers.push(parse(getComputedStyle(one).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const found = [];
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
    if (element.closest("svg") || element.closest("button:disabled, [aria-hidden=true]")) continue;
    const below = behind(element);
    found.push({
      text: walker.currentNode.data.trim().slice(0, 40),
      front: over(parse(getComputedStyle(element).color), below),
      behind: below,
    });
  }
  return found;
}
"""
LETTERS = """
svg => {
  const behind = document.querySelector("#cards .card");
  const page = getComputedStyle(behind).backgroundColor;
  const rgb = colour => (colour.match(/[\\d.]+/g) ?? []).slice(0, 3).map(Number);
  return [...svg.querySelectorAll("line, path")].map(one => getComputedStyle(one))
    .filter(style => style.stroke !== "none")
    .map(style => ({text: "a line", front: rgb(style.stroke), behind: rgb(page)}));
}
"""


def luminance(colour: list[float]) -> float:
    """Relative luminance of sRGB, as WCAG 2.2 defines it."""
    linear = [
        part / 255 / 12.92 if part / 255 <= 0.04045 else ((part / 255 + 0.055) / 1.055) ** 2.4
        for part in colour
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(front: list[float], behind: list[float]) -> float:
    """Contrast ratio of two colours, from 1 to 21 (WCAG 2.2)."""
    light, dark = sorted((luminance(front), luminance(behind)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_that_of_the_standard() -> None:
    """The examples that are known: black on white, and the grey that is just enough."""
    assert contrast([0, 0, 0], [255, 255, 255]) == pytest.approx(21)
    assert contrast([118, 118, 118], [255, 255, 255]) == pytest.approx(4.54, abs=0.01)
    assert contrast([119, 119, 119], [255, 255, 255]) < 4.5


def too_faint(part: Locator, least: float = 4.5) -> list[str]:
    """Texts of a part whose contrast is less."""
    texts = part.evaluate(COLOURS)
    assert texts
    return [
        f"{one['text']!r}: {contrast(one['front'], one['behind']):.2f}"
        for one in texts
        if contrast(one["front"], one["behind"]) < least
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_are_readable(browser: Browser, address: str, scheme: str) -> None:
    """Texts have 4.5:1 and a drawing's lines 3:1, of WCAG 2.2 at level AA (1.4.3, 1.4.11)."""
    with visit(browser, address, color_scheme=scheme) as page:
        for name, rna in (("mine", TRNA), ("other", make_rna(60, 3))):
            paste(page, f">{name}\n{rna}")
            expect(named_card(page, name).locator("svg.structure")).to_have_count(1)
        ask(page, "What is mine?")
        await_answer(page)
        page.get_by_role("button", name="Compare the RNAs").click()
        expect(page.locator("#findings td").last).not_to_have_text("…")
        expect(page.locator("#retry")).to_be_enabled()
        paste(page, "ACGUX")
        expect(page.locator("#rna-notice").get_by_role("alert")).to_be_visible()
        page.locator("#cards details").evaluate_all("all => all.forEach(one => one.open = true)")
        page.mouse.move(0, 0)
        page.wait_for_timeout(500)  # colours that change slowly under the mouse
        shade = page.locator("#cards .card").first.evaluate(COLOURS)[0]["behind"]
        assert (luminance(shade) < 0.2) is (scheme == "dark")
        for part in ("#cards", "#findings", "#sources", "#chat", "#rna-notice", "#suggestions"):
            assert too_faint(page.locator(part)) == [], part
        drawing = page.locator("#cards svg.structure").first
        lines = drawing.evaluate(LETTERS)
        assert lines
        assert min(contrast(one["front"], one["behind"]) for one in lines) >= 3


def test_a_phone_shows_all_without_scrolling_sideways(browser: Browser, address: str) -> None:
    options = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
    with visit(browser, address, **options) as page:
        paste(page, f">mine\n{TRNA}")
        expect(page.locator("#cards .verdict")).to_contain_text("tRNA")
        ask(page, QUESTION)
        assert "tRNA [1]" in await_answer(page)
        page.locator("#cards details").evaluate_all("all => all.forEach(one => one.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        for button in ("Add RNA", "Ask", "New conversation"):
            box = page.get_by_role("button", name=button, exact=True).bounding_box()
            assert box
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 390
            assert box["height"] >= 24  # WCAG 2.2, 2.5.8


def test_a_duplicated_space_answers_from_its_own_model_and_reference(
    browser: Browser, model: Path, tmp_path: Path
) -> None:
    rna = make_rna(120, 7)
    table = tmp_path / "notes.csv"
    table.write_text(
        "id,sequence,name,type,functions\n"
        f"LAB7,{rna},Quetzal RNA,sRNA,Quetzal RNA binds the protein Zorp in our laboratory.\n"
    )
    families, folder = tmp_path / "families", tmp_path / "my-reference"
    write_reference(families, read_families(DATA / "rfam_five_families.seed"), name="Five")
    assert main(["reference", "add", str(families), str(table), str(folder), "--quiet"]) == 0
    with space(model, RNAGPT_REFERENCE=str(folder)) as address, visit(browser, address) as page:
        expect(page.locator("#model-status")).to_contain_text("my-tiny-model")
        expect(page.locator("#model-status")).to_contain_text("is ready")
        paste(page, f">mine\n{rna}")
        expect(named_card(page, "mine").locator(".verdict")).to_contain_text("Quetzal RNA")
        ask(page, QUESTION)
        assert "Quetzal RNA" in await_answer(page)
        paste(page, f">elsewhere\n{U1}")  # of Rfam, which this Space does not search
        verdict = named_card(page, "elsewhere").locator(".verdict")
        expect(verdict).to_contain_text("No known family matches")
        held = json.loads(downloaded(page, "Download JSON"))
        assert held["turns"][0]["evidence"][0]["id"] == "LAB7"


def test_the_pictures_of_all_states(browser: Browser, address: str, tmp_path: Path) -> None:
    from screenshots import SCALE, SIZES, STATES, take_pictures

    take_pictures(browser, address, tmp_path, "phone", "dark")
    pictures = {file.name: Image.open(file) for file in tmp_path.iterdir()}
    assert set(pictures) == {f"{state}-phone-dark.png" for state in STATES}
    for picture in pictures.values():
        assert picture.width == SIZES["phone"]["width"] * SCALE
    assert len({picture.tobytes() for picture in pictures.values()}) == len(STATES)
