"""What visitors give, in a real browser: dropped and chosen files, pasted texts, long sequences."""

import re

import pytest
from helpers.space_browser import address, browser, needs_chromium, page, paste
from helpers.tiny_models import make_rna
from helpers.tiny_space import SPACE
from playwright.sync_api import FilePayload, JSHandle, Page, expect

from rnagpt import read_fasta

EXAMPLES = list(read_fasta(SPACE / "examples.fasta"))
TRNA, SAM = EXAMPLES[0], EXAMPLES[2]

__all__ = ["address", "browser", "page"]  # fixtures
pytestmark = needs_chromium


def text_file(name: str, content: bytes) -> FilePayload:
    return {"name": name, "mimeType": "text/plain", "buffer": content}


def dragged(page: Page, files: dict[str, str]) -> JSHandle:
    """Files as the mouse carries them."""
    return page.evaluate_handle(
        """(files) => {
          const carried = new DataTransfer();
          for (const [name, text] of Object.entries(files))
            carried.items.add(new File([text], name));
          return carried;
        }""",
        files,
    )


def test_two_files_are_dropped_onto_the_page(page: Page) -> None:
    files = {
        "one.fa": f">one from a yeast\n{TRNA.sequence}\n",
        "two.fa": f">two\n{SAM.sequence}\n",
    }
    carried = dragged(page, files)
    told = page.locator("#upload .dropping")
    expect(told).to_be_hidden()
    page.locator("body").dispatch_event("dragenter", {"dataTransfer": carried})
    expect(told).to_be_visible()
    page.locator("#sequence textarea").dispatch_event("drop", {"dataTransfer": carried})
    expect(told).to_be_hidden()
    cards = page.locator("#cards .card")
    expect(cards.locator("h3")).to_have_text(["one", "two"])
    expect(cards.nth(0)).to_contain_text("from a yeast")
    expect(cards.nth(0).locator(".verdict")).to_contain_text("tRNA")
    expect(cards.nth(1).locator(".verdict")).to_contain_text("SAM riboswitch")
    expect(page.locator("#sequence textarea")).to_have_value("")


def test_what_is_dropped_and_is_no_file_is_left_to_the_browser(page: Page) -> None:
    text = page.evaluate_handle(
        "() => { const c = new DataTransfer(); c.setData('text/plain', 'ACGU'); return c; }"
    )
    page.locator("body").dispatch_event("dragenter", {"dataTransfer": text})
    expect(page.locator("#upload .dropping")).to_be_hidden()


def test_several_files_are_chosen_at_once_and_the_bad_one_is_named(page: Page) -> None:
    chooser = page.get_by_label("Upload FASTA", exact=True)
    page.get_by_role("button", name="Add RNA").focus()
    page.keyboard.press("Tab")
    expect(chooser).to_be_focused()
    expect(chooser).to_have_attribute("multiple", "")
    texts = {"a.fa": ">a\nACGUACGUAC\n", "p.fa": ">p\nMKVLFAAEDVGSNKG\n", "b.fa": ">b\nGGCCUU\n"}
    chooser.set_input_files([text_file(name, text.encode()) for name, text in texts.items()])
    expect(page.locator("#cards h3")).to_have_text(["a", "b"])
    alert = page.locator("#rna-notice").get_by_role("alert")
    expect(alert).to_contain_text("p.fa: RNA 'p' has")
    expect(alert).to_contain_text("protein")


def test_files_that_are_too_large_together_are_not_sent(page: Page) -> None:
    sent: list[int] = []
    page.on("request", lambda request: sent.append(len(request.post_data_buffer or b"")))
    half = b">a\n" + b"ACGU\n" * 600_000
    chooser = page.get_by_label("Upload FASTA", exact=True)
    chooser.set_input_files([text_file("a.fa", half), text_file("b.fa", half)])
    alert = page.locator("#rna-notice").get_by_role("alert")
    expect(alert).to_contain_text("These 2 files have 6 MB together; at most 5 MB are taken")
    assert max(sent) < 10_000


def as_genbank(sequence: str) -> str:
    """A sequence in the lines of GenBank's flat files: 6 blocks of 10, numbered."""
    lines = []
    for start in range(0, len(sequence), 60):
        line = sequence[start : start + 60].lower()
        blocks = " ".join(line[place : place + 10] for place in range(0, len(line), 10))
        lines.append(f"{start + 1:>9} {blocks}")
    return "ORIGIN\n" + "\n".join(lines) + "\n//\n"


def test_a_block_of_genbank_becomes_a_card(page: Page) -> None:
    paste(page, as_genbank(TRNA.sequence))
    card = page.locator("#cards .card")
    expect(card).to_contain_text(f"{len(TRNA.sequence)} nt")
    expect(card).to_contain_text("2 position numbers dropped")
    expect(card.locator(".verdict")).to_contain_text("tRNA")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"3′-{TRNA.sequence[::-1]}-5′", "from the last to the first"),
        (as_genbank("MKVLFAAEDVGSNKGAIIGLMVGGVVIAEF"), "looks like a protein"),
    ],
    ids=["reversed", "protein"],
)
def test_marks_and_numbers_hide_no_error(page: Page, text: str, message: str) -> None:
    paste(page, text)
    expect(page.locator("#rna-notice").get_by_role("alert")).to_contain_text(message)
    expect(page.locator("#cards .card")).to_have_count(0)
    paste(page, f"5′-{TRNA.sequence}-3′")
    expect(page.locator("#cards .card")).to_contain_text("the marks of the 5' and 3' ends dropped")


def test_a_long_transcript_shows_its_hits_and_is_trimmed_to_one(page: Page) -> None:
    sequence = make_rna(8000, 1) + TRNA.sequence + make_rna(16_384 - 8000 - 74, 2)
    paste(page, f">transcript\n{sequence}\n")
    card = page.locator("#cards .card")
    expect(card).to_contain_text("16,384 nt")
    expect(card.locator(".reading")).to_contain_text("Search: all 16,384 nt, both strands.")
    expect(card.locator(".reading")).to_contain_text("longer than 1,022 nt")
    place = card.get_by_role("table").get_by_role("row").nth(1)
    expect(place).to_contain_text("8,001–8,074")
    place.get_by_role("button", name="Trim to this hit: tRNA, nucleotides 8,001").click()
    expect(page.locator("#cards h3")).to_have_text(["transcript", "transcript/8001-8074(+)"])
    new = page.locator("#cards .card").last
    expect(new).to_contain_text("74 nt")
    expect(new.locator(".verdict")).to_contain_text("tRNA")


def test_weaker_candidates_are_folded_out_by_keyboard(page: Page) -> None:
    paste(page, f">sam\n{SAM.sequence}\n")
    weaker = page.locator("#cards details.weaker")
    weaker.wait_for()
    expect(weaker.get_by_role("table")).to_be_hidden()
    weaker.locator("summary").focus()
    page.keyboard.press("Enter")
    row = weaker.get_by_role("table").get_by_role("row").nth(1)
    expect(row).to_contain_text(re.compile(r"not significant: \d+ such by chance expected"))
