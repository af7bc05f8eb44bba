"""Screenshots of the page in use: light and dark, on a desktop, a tablet and a phone.

    python space/screenshots.py OUT                           # of rna-gpt-mini
    RNAGPT_MODEL=./my-rna-gpt python space/screenshots.py OUT

It opens the page in Chromium, which has to be installed (`apt-get install chromium`), by way of
Playwright (`pip install playwright`), and asks the questions that a visitor would. The README's
picture, `space/screenshot.png`, is the desktop's in fewer colours.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

import app
from model_loading import MODEL
from page import FOLDER
from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright
from space_limits import Limits

VIEWPORTS: dict[str, ViewportSize] = {
    "desktop": {"width": 1280, "height": 900},
    "tablet": {"width": 768, "height": 1024},
    "phone": {"width": 390, "height": 844},
}
README_PICTURE = FOLDER / "screenshot.png"
MAX_README_BYTES = 250_000
PORT = 7869
_PATIENCE = 120_000  # milliseconds for an answer


def main() -> None:
    parser = argparse.ArgumentParser(description="Make pictures of the page in use.")
    parser.add_argument("out", type=Path, help="folder for the pictures (PNG)")
    parser.add_argument("--chromium", default=shutil.which("chromium"), help="the browser's path")
    args = parser.parse_args()
    if args.chromium is None:
        parser.error("Chromium was not found. Install it, or give its path with --chromium.")
    args.out.mkdir(parents=True, exist_ok=True)
    MODEL.start(os.environ.get("RNAGPT_MODEL", ""), wait=True)
    blocks = app.launch(Limits(), prevent_thread_lock=True, quiet=True, server_port=PORT)
    expect.set_options(timeout=_PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=args.chromium, args=["--no-sandbox"])
        for width in VIEWPORTS:
            for scheme in ("light", "dark"):
                take_pictures(browser, args.out, width, scheme)
        browser.close()
    blocks.close(verbose=False)
    save_small(args.out / "desktop-light.png", README_PICTURE)


def take_pictures(browser: Browser, out: Path, width: str, scheme: str) -> None:
    """One picture of a conversation, and in the light one of a comparison too."""
    dark = scheme == "dark"
    context = browser.new_context(
        viewport=VIEWPORTS[width], color_scheme="dark" if dark else "light", device_scale_factor=1.5
    )
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{PORT}/")
    add_example(page, "U1 spliceosomal RNA", 1)
    ask(page, "What is this RNA?")
    if not dark:
        ask(page, "What is its function?")
        page.get_by_role("button", name="Which nucleotides mattered?").click()
        expect(page.locator("#findings svg")).to_be_visible()
    save(page, out / f"{width}-{scheme}.png")
    if not dark:
        add_example(page, "purine riboswitch", 2)
        page.get_by_role("button", name="Compare the RNAs").click()
        expect(page.locator("#findings a.download")).to_be_visible()
        save(page, out / f"{width}-compare.png")
    context.close()


def add_example(page: Page, name: str, num_rnas: int) -> None:
    """Take an example; returns once it is folded."""
    page.get_by_role("button", name=name).click()
    expect(page.locator("#cards svg.structure")).to_have_count(num_rnas)
    views = page.locator("#cards rna-structure .views")
    expect(views.filter(has_text="being folded")).to_have_count(0)


def ask(page: Page, question: str) -> None:
    """Take a suggested question; returns once it is answered."""
    answers = page.get_by_test_id("bot")
    num_answers = answers.count()
    page.locator("#suggestions").get_by_role("button", name=question).click()
    expect(answers).to_have_count(num_answers + 1)
    expect(page.locator("#retry")).to_be_enabled()


def save(page: Page, file: Path) -> None:
    page.mouse.move(0, 0)  # off the button that was pressed
    page.screenshot(path=file, full_page=True)
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
