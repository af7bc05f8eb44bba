"""What a reader has opened stays open, and what is drawn suits the light, in a real browser."""

import io

import numpy as np
import pytest
from helpers.space_browser import address, ask, await_answer, browser, page, paste, visit
from helpers.space_browser import needs_chromium as pytestmark
from helpers.tiny_models import make_rna
from helpers.tiny_space import SPACE
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from rnagpt import read_fasta

EXAMPLES = list(read_fasta(SPACE / "examples.fasta"))
TRNA, SAM = EXAMPLES[0], EXAMPLES[2]

__all__ = ["address", "browser", "page", "pytestmark"]  # fixtures, and marks


def fold_out(details: Locator) -> None:
    details.locator("summary").first.click()
    expect(details).to_have_attribute("open", "")


def test_what_a_reader_opened_or_closed_stays_so(page: Page) -> None:
    paste(page, f">trna\n{TRNA.sequence}\n")
    card = page.locator("#cards .card").first
    record, alignment = card.locator("details.record"), card.locator("details.alignment")
    structure = card.locator("details", has=page.locator("rna-structure"))
    fold_out(record)
    # The structure that is folded meanwhile makes the card anew.
    expect(structure.locator("rna-structure .views")).not_to_contain_text("being folded")
    expect(record).to_have_attribute("open", "")
    alignment.locator("summary").focus()
    page.keyboard.press("Enter")
    structure.locator("summary").first.click()
    expect(structure).not_to_have_attribute("open", "")
    # So does another RNA, whose own parts are as they are at first, but for its structure.
    paste(page, f">sam\n{SAM.sequence}\n")
    other = page.locator("#cards .card").nth(1)
    expect(other.locator("rna-structure .views")).not_to_contain_text("being folded")
    expect(record).to_have_attribute("open", "")
    expect(alignment).to_have_attribute("open", "")
    expect(structure).not_to_have_attribute("open", "")
    expect(other.locator("details.record").first).not_to_have_attribute("open", "")
    # What was opened of the first stays open where it is no longer the last one asked about.
    structure.locator("summary").first.click()
    record.locator("summary").first.click()
    other.get_by_role("button", name="Remove sam").click()
    expect(page.locator("#cards .card")).to_have_count(1)
    expect(structure).to_have_attribute("open", "")
    expect(record).not_to_have_attribute("open", "")


def test_what_confidence_means_stays_open_below_the_next_answer(page: Page) -> None:
    paste(page, f">trna\n{TRNA.sequence}\n")
    page.locator("#cards .verdict").wait_for()
    ask(page, "What is this RNA?")
    await_answer(page)
    means = page.locator("#sources details")
    fold_out(means)
    paste(page, f">sam\n{SAM.sequence}\n")
    page.locator("#cards .verdict").nth(1).wait_for()
    ask(page, "What is this RNA?")
    expect(page.locator("#sources .sources li")).to_have_count(2)
    await_answer(page)
    expect(means).to_have_attribute("open", "")


@pytest.mark.parametrize(("scheme", "is_dark"), [("light", False), ("dark", True)])
def test_the_drawing_of_scores_is_as_dark_as_the_page(
    browser: Browser, address: str, scheme: str, is_dark: bool
) -> None:
    with visit(browser, address, color_scheme=scheme) as page:
        paste(page, f">trna\n{TRNA.sequence}\n")
        page.locator("#cards .verdict").wait_for()
        ask(page, "What is this RNA?")
        await_answer(page)
        page.get_by_role("button", name="Which nucleotides mattered?").click()
        drawing = page.locator("#findings svg")
        drawing.wait_for()
        picture = Image.open(io.BytesIO(drawing.screenshot())).convert("L")
    light = np.asarray(picture)
    paper, ink = float(np.median(light)), np.quantile(light, 0.998 if is_dark else 0.002)
    assert (paper < 40, ink > 180) == (is_dark, is_dark)
    assert (paper > 215, ink < 75) == (not is_dark, not is_dark)


def test_a_sequence_longer_than_the_model_reads_at_most_is_searched(page: Page) -> None:
    sequence = make_rna(20_000, 1) + SAM.sequence + make_rna(5_000, 2)
    paste(page, f">long\n{sequence}\n")
    card = page.locator("#cards .card")
    expect(card.locator(".reading")).to_contain_text("Search: all 25,127 nt, both strands.")
    expect(card.locator(".verdict")).to_contain_text("SAM riboswitch")
    expect(card).to_contain_text("nucleotides 20,001–20,127")
    ask(page, "What is this RNA?")
    assert "SAM riboswitch" in await_answer(page)
    paste(page, f">longer\n{make_rna(50_001, 3)}\n")
    notice = page.locator("#rna-notice").get_by_role("alert")
    expect(notice).to_contain_text("50,001")
    expect(notice).to_contain_text("50,000")


def test_an_entry_of_genbank_becomes_a_card(page: Page) -> None:
    letters = TRNA.sequence.lower().replace("u", "t")
    rows = [letters[start : start + 60] for start in range(0, len(letters), 60)]
    lines = [f"{1 + 60 * number:>9} {row}" for number, row in enumerate(rows)]
    head = f"LOCUS       TRN                       {len(letters)} bp    RNA     linear   PLN\n"
    about = "DEFINITION  A transfer RNA of a yeast.\nACCESSION   TRN\nVERSION     TRN.1\n"
    text = "\n".join([f"{head}{about}ORIGIN", *lines, "//"])
    paste(page, text)
    card = page.locator("#cards .card")
    expect(card.get_by_role("heading", name="TRN.1")).to_be_visible()
    expect(card).to_contain_text("A transfer RNA of a yeast")
    expect(card.locator(".verdict")).to_contain_text("tRNA")
    paste(page, text.replace("\n       61 ", "\n//\n       61 "))
    expect(page.locator("#rna-notice").get_by_role("alert")).to_contain_text("says that it has 74")
