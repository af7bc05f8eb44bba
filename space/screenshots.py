"""Screenshots of the page: each state that matters, at three sizes, light and dark.

    python space/screenshots.py OUT        # of rna-gpt-mini; or: make screenshots OUT=…
    RNAGPT_MODEL=./my-rna-gpt python space/screenshots.py OUT

It opens the page in Chromium, which has to be installed (`apt-get install chromium`), by way of
Playwright (`pip install playwright`), and does what a visitor would. OUT receives
STATE-SIZE-SCHEME.png, each of the whole page, for the names in `STATES`, `SIZES` and `SCHEMES`. The
README's picture, `space/screenshot.png`, is `answer-desktop-light.png` in fewer colours.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import app
from model_loading import MODEL
from page import FOLDER
from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright
from space_limits import Limits

SIZES: dict[str, ViewportSize] = {
    "desktop": {"width": 1280, "height": 900},
    "tablet": {"width": 768, "height": 1024},
    "phone": {"width": 390, "height": 844},
}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SCALE = 1.5  # pixels of the picture for one of the page
README_PICTURE = FOLDER / "screenshot.png"
MAX_README_BYTES = 250_000
PORT = 7869
_PATIENCE = 120_000  # milliseconds for an answer
_PROTEIN = "MKLVFFAEDVGSNKGAIIGLMVGGVV"
# Drawn at random: it matches no family of Rfam.
_UNKNOWN = ">unknown\nGAUCCGUAAUCGGCAUUACGCCUGAAGUCAUUGCGAUACCGUCUAAGGCUAUCGCAUAGGCUUGACCAUG"


def main() -> None:
    parser = argparse.ArgumentParser(description="Make pictures of the page in use.")
    parser.add_argument("out", type=Path, help="folder for the pictures (PNG)")
    installed = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None
    )
    parser.add_argument("--chromium", default=installed, help="the browser's path")
    args = parser.parse_args()
    if args.chromium is None:
        parser.error("Chromium was not found. Install it, or give its path with --chromium.")
    args.out.mkdir(parents=True, exist_ok=True)
    MODEL.start(os.environ.get("RNAGPT_MODEL", ""), wait=True)
    blocks = app.launch(Limits(), prevent_thread_lock=True, quiet=True, server_port=PORT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=args.chromium, args=["--no-sandbox"])
        for size in SIZES:
            for scheme in SCHEMES:
                take_pictures(browser, f"http://127.0.0.1:{PORT}/", args.out, size, scheme)
        browser.close()
    blocks.close(verbose=False)
    save_small(args.out / "answer-desktop-light.png", README_PICTURE)


def take_pictures(
    browser: Browser, address: str, out: Path, size: str, scheme: Literal["light", "dark"]
) -> None:
    """A picture of each state, one after the other in one visit."""
    context = browser.new_context(
        viewport=SIZES[size], color_scheme=scheme, device_scale_factor=SCALE
    )
    context.set_default_timeout(_PATIENCE)
    expect.set_options(timeout=_PATIENCE)
    page = context.new_page()
    page.goto(address)
    for state, reach in STATES.items():
        reach(page)
        save(page, out / f"{state}-{size}-{scheme}.png")
    context.close()


def show_empty(page: Page) -> None:
    """The page as a visitor finds it."""
    expect(page.locator("#sequence textarea")).to_be_visible()
    expect(page.locator("#examples button").first).to_be_visible()


def show_error(page: Page) -> None:
    """A protein, which is rejected beside the field."""
    add(page, _PROTEIN)
    expect(page.locator("#rna-notice").get_by_role("alert")).to_be_visible()


def show_no_hit(page: Page) -> None:
    """The card of an RNA that no family matches."""
    add(page, _UNKNOWN)
    expect(page.locator("#cards .verdict")).to_contain_text("No known family")
    await_drawings(page, 1)


def show_card(page: Page) -> None:
    """The card of one RNA, in a new conversation."""
    page.locator("#clear").click()
    expect(page.locator("#cards .card")).to_have_count(0)
    add_example(page, "U1 spliceosomal RNA", 1)


def show_answer(page: Page) -> None:
    """Two answers with the records that they cite, and which nucleotides mattered."""
    ask(page, "What is this RNA?")
    ask(page, "What is its function?")
    expect(page.locator("#sources li").first).to_be_visible()
    page.locator("#explain").click()
    expect(page.locator("#findings svg")).to_be_visible()


def show_comparison(page: Page) -> None:
    """Two RNAs, compared."""
    add_example(page, "purine riboswitch", 2)
    page.locator("#compare").click()
    expect(page.locator("#findings a.download")).to_be_visible()


# In this order: each goes on from where the one before it left the page.
STATES: Mapping[str, Callable[[Page], None]] = {
    "empty": show_empty,
    "error": show_error,
    "no-hit": show_no_hit,
    "card": show_card,
    "answer": show_answer,
    "comparison": show_comparison,
}


def add(page: Page, text: str) -> None:
    """Paste text into the field and add it."""
    page.locator("#sequence textarea").fill(text)
    page.locator("#add").click()


def add_example(page: Page, name: str, num_rnas: int) -> None:
    """Take an example; returns once it is searched and folded."""
    page.locator("#examples").get_by_role("button", name=name).click()
    await_drawings(page, num_rnas)


def await_drawings(page: Page, num_rnas: int) -> None:
    """Wait until as many RNAs are searched and folded."""
    cards = page.locator("#cards .card")
    expect(cards).to_have_count(num_rnas)
    expect(cards.get_by_role("status")).to_have_count(0)
    expect(cards.filter(has_text="being folded")).to_have_count(0)
    expect(page.locator("#cards rna-structure svg").last).to_be_visible()


def ask(page: Page, question: str) -> None:
    """Ask; returns once it is answered."""
    answers = page.get_by_test_id("bot")
    num_answers = answers.count()
    page.locator("#question textarea").fill(question)
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(answers).to_have_count(num_answers + 1)
    expect(page.locator("#retry")).to_be_enabled()


def save(page: Page, file: Path) -> None:
    page.mouse.move(0, 0)  # off the button that was pressed
    page.screenshot(path=file, full_page=True, animations="disabled")
    print(file)


def save_small(picture: Path, out: Path, max_bytes: int = MAX_README_BYTES) -> None:
    """Save a picture in as many colours, and as wide, as its file's size allows."""
    with Image.open(picture) as opened:
        whole = opened.convert("RGB")
    for share in (1.0, 0.75, 0.5):
        scaled = whole.resize((round(share * whole.width), round(share * whole.height)))
        for colours in (256, 128, 64, 32):
            scaled.quantize(colours, dither=Image.Dither.NONE).save(out, optimize=True)
            if out.stat().st_size <= max_bytes:
                print(out)
                return
    raise ValueError(f"{picture} cannot be made smaller than {max_bytes:,} bytes. Crop it.")


if __name__ == "__main__":
    main()
