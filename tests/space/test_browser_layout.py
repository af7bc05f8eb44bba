"""The page's layout in a real browser: what is there when, on a phone, by keyboard, in the dark."""

import pytest
from helpers.space_browser import address, ask, await_answer, browser, paste, visit
from helpers.space_browser import needs_chromium as pytestmark
from helpers.tiny_space import SPACE
from playwright.sync_api import Browser, Page, ViewportSize, expect

from rnagpt import read_fasta

TRNA = next(iter(read_fasta(SPACE / "examples.fasta")))
PHONE: ViewportSize = {"width": 390, "height": 844}
# What WCAG 2.2 asks for at level AA, of text that is not large.
CONTRAST = """
(selector) => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const bright = (colour) => {
    const [r, g, b] = colour.map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = rgba(getComputedStyle(one).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const seen = [...document.querySelectorAll(selector)].filter((one) => one.checkVisibility());
  return seen.map((one) => {
    const pair = [rgba(getComputedStyle(one).color), behind(one)].map(bright).sort((a, b) => b - a);
    return [one.textContent.trim().slice(0, 40), (pair[0] + 0.05) / (pair[1] + 0.05)];
  });
}
"""


__all__ = ["address", "browser", "pytestmark"]  # fixtures, and marks


def give_trna(page: Page) -> None:
    paste(page, f">trna\n{TRNA.sequence}\n")
    page.locator("#cards .verdict").last.wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_card_question_and_answer_are_on_the_screen(
    browser: Browser, address: str, scheme: str
) -> None:
    with visit(browser, address, viewport=PHONE, color_scheme=scheme) as page:
        question = page.get_by_label("Your question")
        expect(question).not_to_be_in_viewport()
        give_trna(page)
        expect(page.locator("#cards .verdict")).to_be_in_viewport()
        expect(question).to_be_in_viewport()
        expect(page.get_by_role("button", name="Ask", exact=True)).to_be_in_viewport()
        ask(page, "What is this RNA?")
        await_answer(page)
        expect(page.get_by_test_id("bot").last).to_be_in_viewport()
        expect(question).to_be_in_viewport()
        page.locator("#keep").scroll_into_view_if_needed()
        page.mouse.wheel(0, 10_000)
        # What stays at the bottom covers nothing that is there.
        page.get_by_role("button", name="Keep this conversation").click()
        page.get_by_role("button", name="Download TSV").scroll_into_view_if_needed()
        expect(page.get_by_role("button", name="Download TSV")).to_be_in_viewport()
        give_trna(page)
        paste(page, f">other\n{TRNA.sequence}A\n")
        expect(page.get_by_label("About", exact=True)).to_be_in_viewport()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_only_what_can_be_done_is_there(browser: Browser, address: str) -> None:
    with visit(browser, address) as page:
        actions = page.locator("#actions").get_by_role("button")
        suggestions = page.locator("#suggestions").get_by_role("button")
        expect(actions).to_have_count(0)
        expect(suggestions).to_have_count(0)
        give_trna(page)
        expect(suggestions).to_have_count(5)
        expect(actions).to_have_count(0)
        ask(page, "What is this RNA?")
        await_answer(page)
        expect(actions).to_have_text(["Retry", "Which nucleotides mattered?"])
        paste(page, f">other\n{TRNA.sequence}A\n")
        expect(actions).to_have_text(["Retry", "Which nucleotides mattered?", "Compare the RNAs"])
        downloads = page.locator("#keeping").get_by_role("button")
        expect(downloads).to_have_count(0)
        keep = page.get_by_role("button", name="Keep this conversation")
        keep.focus()
        page.keyboard.press("Enter")
        expect(downloads).to_have_text(
            ["Copy", "Download Markdown", "Download JSON", "Download TSV"]
        )
        page.get_by_role("button", name="New conversation").click()
        expect(actions).to_have_count(0)
        expect(suggestions).to_have_count(0)
        expect(page.locator("#cards")).to_contain_text("No RNA yet")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_texts_can_be_read(browser: Browser, address: str, scheme: str) -> None:
    with visit(browser, address, color_scheme=scheme) as page:
        give_trna(page)
        paste(page, f">other description\n{TRNA.sequence}A\n")
        ask(page, "What is this RNA?")
        await_answer(page)
        page.get_by_role("button", name="Compare the RNAs").click()
        page.get_by_role("link", name="Download this comparison").wait_for()
        page.mouse.move(0, 0)
        page.wait_for_timeout(500)  # until colours have changed
        parts = "#panels a, #panels button, #panels td, #panels th, #panels p, #panels summary"
        contrasts = page.evaluate(CONTRAST, f"{parts}, #panels li, #panels label, #panels h3")
        assert len(contrasts) > 60
        assert [(text, ratio) for text, ratio in contrasts if ratio < 4.5] == []
