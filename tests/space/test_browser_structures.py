"""The Space's structures in a real browser: zoom, pan, nucleotides, downloads, long RNAs."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest
from helpers import space_browser
from helpers.space_browser import browser
from helpers.space_browser import needs_chromium as pytestmark
from helpers.tiny_models import make_rna
from helpers.tiny_space import load_tiny_model, open_page, searching, space_limits
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from rnagpt import Reference, base_pairs

# Of yeast, tRNA-Phe (Protein Data Bank 1EHZ).
TRNA = "GCGGAUUUAGCUCAGUUGGGAGAGCGCCAGACUGAAGAUCUGGAGGUCCUGUGUUCGAUCCACAGAAUUCGCACCA"
SVG = "{http://www.w3.org/2000/svg}"
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True}

__all__ = ["browser", "pytestmark"]  # a fixture, and marks


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(searching.VARIABLE, raising=False)
        load_tiny_model(tmp_path_factory.mktemp("tiny"))
        with open_page(space_limits.Limits()) as address:
            yield address


@contextlib.contextmanager
def visit(browser: Browser, address: str, **options: Any) -> Iterator[Page]:
    """A page of a new visitor, which asks for nothing elsewhere."""
    requested: list[str] = []
    with space_browser.visit(browser, address, **options) as page:
        page.on("request", lambda request: requested.append(request.url))
        yield page
    assert list(filter(elsewhere, requested)) == []


def elsewhere(url: str) -> bool:
    return not re.match(r"(blob:)?http://127\.0\.0\.1|data:", url)


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with visit(browser, address) as page:
        add(page, "tRNA/Phe_of_yeast", TRNA)
        yield page


def add(page: Page, name: str, sequence: str) -> None:
    """Paste an RNA; returns once all its structures are drawn."""
    page.get_by_label("Paste a sequence or FASTA").fill(f">{name}\n{sequence}")
    page.get_by_role("button", name="Add RNA").click()
    last = page.locator("#cards .card").last
    expect(last).to_contain_text(name)
    last.locator("svg.structure").wait_for(timeout=300_000)
    expect(last.locator("rna-structure .views")).not_to_contain_text("being folded")


def drawing(page: Page) -> Locator:
    return page.locator("#cards svg.structure").last


def view_of(page: Page) -> list[float]:
    """Left, top, width and height of what is seen, in units of the drawing."""
    return [float(one) for one in (drawing(page).get_attribute("viewBox") or "").split()]


def middle(page: Page) -> tuple[float, float]:
    drawing(page).scroll_into_view_if_needed()
    box = drawing(page).bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def downloaded(page: Page, button: str) -> tuple[str, bytes]:
    with page.expect_download() as download:
        page.get_by_role("button", name=button, exact=True).click()
    return download.value.suggested_filename, download.value.path().read_bytes()


def told(page: Page) -> Locator:
    return page.locator("rna-structure output")


def dots(page: Page) -> str:
    return page.locator("rna-structure pre").inner_text().splitlines()[1]


def test_the_familys_structure_is_shown_with_its_energy(page: Page) -> None:
    structure = page.locator("rna-structure")
    expect(structure).to_contain_text("Structure: consensus of tRNA (RF00005), laid on nt 1 to 73")
    expect(structure).to_contain_text(re.compile(r"Free energy of this structure: −\d+\.\d kcal"))
    (hit,) = Reference.open().search(TRNA)
    assert dots(page) == hit.structure + "..."
    expect(drawing(page).locator(".nucleotides circle")).to_have_count(len(TRNA))
    path = drawing(page).locator("path.pairs").get_attribute("d") or ""
    assert path.count("M") == len(base_pairs(hit.structure))
    numbers = drawing(page).locator(".labels text").all_text_contents()
    assert sorted(numbers) == ["10", "20", "30", "3′ (76)", "40", "50", "5′", "60", "70"]
    # The three at the end are outside of the family's match.
    fills = (
        drawing(page)
        .locator(".nucleotides circle")
        .evaluate_all(
            "circles => circles.map((circle) => circle.getAttribute('fill').startsWith('#'))"
        )
    )
    assert fills == [True] * 73 + [False] * 3
    expect(structure).to_contain_text("outside of the family’s match")


def test_minimum_free_energy_is_a_click_away(page: Page) -> None:
    rna = pytest.importorskip("RNA")
    page.get_by_role("button", name="Minimum free energy").click()
    pairs, energy = rna.fold(TRNA)
    expect(page.locator("rna-structure .told")).to_have_text(
        f"Structure: minimum free energy (ViennaRNA), −{-energy:.1f} kcal/mol."
    )
    assert dots(page) == pairs
    pressed = page.get_by_role("button", name="Minimum free energy")
    expect(pressed).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Family’s structure").click()
    expect(page.locator("rna-structure .told")).to_contain_text("consensus of tRNA")


def test_buttons_and_keys_zoom_and_pan(page: Page) -> None:
    whole = view_of(page)
    page.get_by_role("button", name="Zoom in").click()
    closer = view_of(page)
    assert closer[2] == pytest.approx(whole[2] / 1.5, rel=0.01)
    drawing(page).focus()
    page.keyboard.press("ArrowRight")
    moved = view_of(page)
    assert moved[0] > closer[0]
    assert moved[1:] == closer[1:]
    page.keyboard.press("ArrowUp")
    assert view_of(page)[1] < moved[1]
    page.keyboard.press("-")
    assert view_of(page)[2] > closer[2]
    page.keyboard.press("+")
    page.get_by_role("button", name="Zoom out").click()
    page.get_by_role("button", name="Whole").click()
    assert view_of(page) == whole
    # No farther than the whole.
    page.get_by_role("button", name="Zoom out").click()
    assert view_of(page) == whole


def test_the_wheel_scrolls_the_page_until_the_drawing_is_meant(page: Page) -> None:
    whole = view_of(page)
    page.mouse.move(*middle(page))
    before = page.evaluate("scrollY")
    page.mouse.wheel(0, 60)
    page.wait_for_function("before => scrollY !== before", arg=before)
    assert view_of(page) == whole
    page.mouse.move(*middle(page))
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    expect(drawing(page)).not_to_have_attribute("viewBox", " ".join(f"{n:.2f}" for n in whole))
    closer = view_of(page)
    assert closer[2] < whole[2]
    # About where the pointer is, which is the middle.
    assert closer[0] + closer[2] / 2 == pytest.approx(whole[0] + whole[2] / 2, abs=2)
    page.mouse.click(*middle(page))
    scrolled = page.evaluate("scrollY")
    page.mouse.wheel(0, -100)
    page.wait_for_timeout(300)
    closest = view_of(page)
    assert closest[2] < closer[2]
    assert page.evaluate("scrollY") == scrolled
    page.keyboard.press("Escape")
    page.mouse.wheel(0, -100)
    page.wait_for_function("before => scrollY !== before", arg=scrolled)
    assert view_of(page) == closest


def test_a_drag_moves_the_structure(page: Page) -> None:
    page.get_by_role("button", name="Zoom in").click()
    before = view_of(page)
    x, y = middle(page)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 30, y - 20, steps=4)
    page.mouse.up()
    after = view_of(page)
    box = drawing(page).bounding_box()
    assert box
    unit = before[2] / box["width"]
    assert after[0] - before[0] == pytest.approx(30 * unit, rel=0.05)
    assert after[1] - before[1] == pytest.approx(20 * unit, rel=0.05)


def test_two_fingers_zoom_and_one_moves(browser: Browser, address: str) -> None:
    with visit(browser, address, **PHONE) as page:
        add(page, "mine", TRNA)
        whole = view_of(page)
        expect(drawing(page)).to_have_css("touch-action", "pan-y")
        x, y = middle(page)
        touch = page.context.new_cdp_session(page)

        def fingers(kind: str, *places: tuple[float, float]) -> None:
            points = [{"x": px, "y": py, "id": n} for n, (px, py) in enumerate(places)]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        fingers("touchStart", (x - 20, y), (x + 20, y))
        for away in (30, 40, 50, 60):
            fingers("touchMove", (x - away, y), (x + away, y))
        fingers("touchEnd")
        pinched = view_of(page)
        assert pinched[2] < whole[2] / 2
        expect(drawing(page)).to_have_css("touch-action", "none")
        fingers("touchStart", (x, y))
        for away in (10, 20, 30):
            fingers("touchMove", (x, y + away))
        fingers("touchEnd")
        assert view_of(page)[1] < pinched[1]
        page.get_by_role("button", name="Whole").click()
        drawing(page).locator(".nucleotides circle").nth(9).tap(force=True)
        expect(told(page)).to_have_text("G10, pairs with C25")
        page.mouse.move(0, 0)
        expect(told(page)).to_have_text("G10, pairs with C25")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_nucleotide_tells_its_letter_number_and_partner(page: Page) -> None:
    circles = drawing(page).locator(".nucleotides circle")
    circles.nth(0).hover(force=True)
    expect(told(page)).to_have_text("G1, pairs with C72")
    expect(drawing(page).locator(".marks circle")).to_have_count(2)
    circles.nth(75).hover(force=True)
    expect(told(page)).to_have_text("A76, unpaired")
    # By the keyboard: the field counts up and down.
    field = page.get_by_label("Go to nucleotide")
    field.fill("27")
    expect(told(page)).to_have_text("C27, pairs with G43")
    field.press("ArrowUp")
    expect(told(page)).to_have_text("C28, pairs with G42")
    left, top, width, height = view_of(page)
    circle = circles.nth(27)
    assert left < float(circle.get_attribute("cx") or 0) < left + width
    assert top < float(circle.get_attribute("cy") or 0) < top + height


def test_an_svg_stands_alone(page: Page) -> None:
    name, content = downloaded(page, "Download SVG")
    assert name == "tRNA_Phe_of_yeast-family.svg"
    root = ElementTree.fromstring(content)
    assert root.tag == f"{SVG}svg"
    assert max(int(root.attrib["width"]), int(root.attrib["height"])) == 2000
    assert [one.text for one in root.iter(f"{SVG}title")] == [
        "Secondary structure of tRNA/Phe_of_yeast: 21 base pairs of 76 nucleotides"
    ]
    letters = next(one for one in root.iter(f"{SVG}g") if one.get("class") == "letters")
    assert "".join(one.text or "" for one in letters) == TRNA
    background = root.find(f"{SVG}rect")
    assert background is not None
    assert background.attrib["fill"] == "#ffffff"
    for words in (b"currentColor", b"var(", b"href", b"<style", b"url("):
        assert words not in content
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    for circle in root.iter(f"{SVG}circle"):
        assert left < float(circle.attrib["cx"]) < left + width
        assert top < float(circle.attrib["cy"]) < top + height


def test_a_png_is_the_same_picture(browser: Browser, address: str) -> None:
    """In the dark too it is on white."""
    with visit(browser, address, color_scheme="dark") as page:
        add(page, "mine", TRNA)
        page.get_by_role("button", name="Minimum free energy").click()
        name, content = downloaded(page, "Download PNG")
        assert name == "mine-mfe.png"
        with Image.open(io.BytesIO(content)) as picture:
            assert picture.format == "PNG"
            assert max(picture.size) >= 2000
            colours = picture.convert("RGB").getcolors(1 << 24) or []
        shares = {colour: count / picture.width / picture.height for count, colour in colours}
        assert shares[(255, 255, 255)] > 0.5
        for letter, colour in {"A": (0x9F, 0xD4, 0x9F), "G": (0xF5, 0xC2, 0x6B)}.items():
            assert shares.get(colour, 0) > 0.001, letter


def test_dot_bracket_is_downloaded_and_copied(page: Page) -> None:
    name, content = downloaded(page, "Download dot-bracket")
    assert name == "tRNA_Phe_of_yeast-family.dbn"
    header, sequence, pairs = content.decode().splitlines()
    assert header.startswith(">tRNA/Phe_of_yeast consensus of tRNA (RF00005)")
    assert "kcal/mol" in header
    assert sequence == TRNA
    assert pairs == dots(page)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy dot-bracket").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == pairs


def test_what_a_visitor_looks_at_stays_while_others_are_drawn(page: Page) -> None:
    page.get_by_role("button", name="Zoom in").click()
    page.get_by_label("Go to nucleotide").fill("27")
    seen = page.locator("#cards svg.structure").first.get_attribute("viewBox")
    add(page, "other", make_rna(70, 9))
    page.locator("#cards summary", has_text="Secondary structure").first.click()
    first = page.locator("#cards svg.structure").first
    expect(first).to_have_attribute("viewBox", seen or "")
    expect(told(page).first).to_have_text("C27, pairs with G43")


def test_no_button_lacks_a_name_and_all_are_reached_by_tab(page: Page) -> None:
    inside = page.locator("rna-structure").last
    for button in inside.locator("button:visible").all():
        assert button.inner_text().strip() or button.get_attribute("aria-label")
    expect(drawing(page)).to_have_accessible_name(
        "Secondary structure of tRNA/Phe_of_yeast: 21 base pairs of 76 nucleotides"
    )
    inside.get_by_role("button", name="Family’s structure").focus()
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                """() => {
                  const inside = document.activeElement?.shadowRoot?.activeElement;
                  return inside ? inside.dataset.do || inside.tagName : '';
                }"""
            )
        )
    for wanted in ("svg", "closer", "farther", "whole", "INPUT", "copy", "png", "dbn"):
        assert wanted in reached


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_and_numbers_are_seen_in_both_modes(
    browser: Browser, address: str, scheme: Any
) -> None:
    with visit(browser, address, color_scheme=scheme) as page:
        add(page, "mine", TRNA)
        text, paper = drawing(page).evaluate(
            """svg => {
              const canvas = document.createElement('canvas').getContext('2d');
              const light = (colour) => {
                canvas.fillStyle = colour;
                const hexadecimal = canvas.fillStyle.match(/[0-9a-f]{2}/g);
                const [r, g, b] = hexadecimal.map((one) => parseInt(one, 16));
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
              };
              const number = getComputedStyle(svg.querySelector('.labels text'));
              const canvasOf = getComputedStyle(svg.parentNode);
              return [light(number.fill), light(canvasOf.backgroundColor)];
            }"""
        )
        assert abs(text - paper) > 150
        assert (paper > 128) == (scheme == "light")


def test_an_rna_of_3000_nt_is_drawn_after_its_card_was_there(
    browser: Browser, address: str
) -> None:
    with visit(browser, address) as page:
        page.get_by_label("Paste a sequence or FASTA").fill(f">long\n{make_rna(3_000, 31)}")
        page.get_by_role("button", name="Add RNA").click()
        # The search has been told, and the structure is not there.
        expect(page.locator("#cards .verdict")).to_contain_text("No known family matches")
        expect(page.locator("#cards .folding")).to_contain_text("3,000 nt take a while")
        assert drawing(page).count() == 0
        with visit(browser, address) as other:  # a second visitor is served meanwhile
            add(other, "short", TRNA)
            expect(page.locator("#cards .folding")).to_be_visible()
        drawing(page).wait_for(timeout=300_000)
        expect(drawing(page).locator(".nucleotides circle")).to_have_count(3_000)
        letters = drawing(page).locator(".letters")
        expect(letters).to_have_css("display", "none")
        page.get_by_label("Go to nucleotide").fill("1500")
        expect(letters).not_to_have_css("display", "none")
        expect(told(page)).to_contain_text("1500, ")
        name, content = downloaded(page, "Download PNG")
        assert name == "long-mfe.png"
        with Image.open(io.BytesIO(content)) as picture:
            assert 2000 <= max(picture.size) <= 4096


def test_beyond_3000_nt_a_sentence_says_what_to_do(browser: Browser, address: str) -> None:
    with visit(browser, address) as page:
        page.get_by_label("Paste a sequence or FASTA").fill(f">longer\n{make_rna(3_100, 32)}")
        page.get_by_role("button", name="Add RNA").click()
        expect(page.locator("#cards .card")).to_contain_text(
            "Structures are drawn of RNAs of up to 3,000 nt; this one has 3,100."
        )
