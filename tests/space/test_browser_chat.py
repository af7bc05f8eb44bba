"""Questions and answers in a real browser: which RNA is meant, citations, comparison."""

import csv
import json
import re

from helpers.space_browser import (
    address,
    answers,
    ask,
    await_answer,
    browser,
    downloaded,
    page,
    paste,
)
from helpers.space_browser import needs_chromium as pytestmark
from helpers.tiny_space import SPACE
from playwright.sync_api import Page, expect

from rnagpt import read_fasta

EXAMPLES = list(read_fasta(SPACE / "examples.fasta"))
TRNA, RRNA_5S = EXAMPLES[0], EXAMPLES[1]

__all__ = ["address", "browser", "page", "pytestmark"]  # fixtures, and marks


def give_two(page: Page) -> None:
    """A tRNA, called first, and a 5S rRNA, called second."""
    for name, record in (("first", TRNA), ("second", RRNA_5S)):
        paste(page, f">{name}\n{record.sequence}\n")
        expect(page.locator("#cards h3").last).to_have_text(name)


def choose(page: Page, label: str) -> None:
    """Choose what questions are about."""
    page.get_by_label("About", exact=True).click()
    page.get_by_role("option", name=label).click()


def test_a_question_is_about_the_rna_that_is_chosen(page: Page) -> None:
    expect(page.get_by_label("About", exact=True)).to_have_count(0)
    give_two(page)
    choose(page, "RNA 1: first")
    ask(page, "What is it?")
    first = await_answer(page)
    assert "tRNA" in first
    assert "(about first · confidence high" in first
    choose(page, "all RNAs")
    ask(page, "How long is it?")
    expect(page.get_by_test_id("bot")).to_have_count(2)
    both = await_answer(page)
    assert "74 nucleotides" in both
    assert "116 nucleotides" in both
    text = downloaded(page, "Download Markdown")
    assert "about first · confidence high" in text
    page.get_by_role("button", name="Remove").first.wait_for(state="detached")
    page.get_by_role("button", name="New conversation").click()
    expect(page.get_by_label("About", exact=True)).to_have_count(0)


def test_a_citation_leads_to_its_record_which_links_outside(page: Page) -> None:
    give_two(page)
    ask(page, "What are both?")
    await_answer(page)
    citation = page.get_by_test_id("bot").get_by_role("link", name="[2]")
    address = page.url
    citation.click()
    record = page.locator("#record-2")
    expect(record).to_be_focused()
    expect(record).to_be_in_viewport()
    expect(record).to_contain_text("[2] RF00001 5S_rRNA")
    # By keyboard the record's own link, out of the page, comes next.
    page.get_by_test_id("bot").get_by_role("link", name="[1]").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#record-1")).to_be_focused()
    page.keyboard.press("Tab")
    link = page.locator("#record-1").get_by_role("link")
    expect(link).to_be_focused()
    expect(link).to_have_attribute("href", "https://rfam.org/family/RF00005")
    assert page.url == address
    assert len(page.context.pages) == 1
    means = page.locator("#sources details")
    means.locator("summary").click()
    expect(means).to_contain_text("9 of 10 RNAs")
    assert "(about first, second · confidence" in answers(page)[-1]


def test_two_rnas_are_compared_and_the_table_is_downloaded(page: Page) -> None:
    give_two(page)
    page.get_by_role("button", name="Compare the RNAs").click()
    rnas = page.get_by_role("region", name="Comparison").get_by_role("table")
    expect(rnas.get_by_role("rowheader")).to_have_text(["first", "second"])
    expect(rnas.get_by_role("row").nth(1)).to_contain_text("RF00005")
    pairs = page.get_by_role("region", name="Pairs").get_by_role("row").nth(1)
    expect(pairs).to_contain_text("no family, clan or type in common")
    expect(pairs).to_contain_text(re.compile(r"\d\d%"))
    with page.expect_download() as download:
        page.get_by_role("link", name="Download this comparison (TSV)").click()
    assert download.value.suggested_filename == "rna-gpt-comparison.tsv"
    rows = list(csv.DictReader(download.value.path().open(), delimiter="\t"))
    assert [(row["name"], row["length"], row["family"]) for row in rows] == [
        ("first", "74", "RF00005"),
        ("second", "116", "RF00001"),
    ]
    assert rows[0]["answer"] == "It is tRNA [1]."
    assert rows[0]["shares with second"] == "nothing"
    document = json.loads(downloaded(page, "Download JSON"))
    assert document["comparisons"][0]["pairs"][0]["identity"] == float(
        rows[0]["identity to second"]
    )
