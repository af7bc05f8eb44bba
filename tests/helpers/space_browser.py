"""The Space's page in Chromium, as its visitors use it."""

import contextlib
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from helpers.tiny_space import load_tiny_model, open_page, space_limits
from playwright.sync_api import Browser, FilePayload, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
PATIENCE = 60_000  # milliseconds for what a page shows
needs_chromium = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a Space with a tiny model, which ends its answers soon."""
    load_tiny_model(tmp_path_factory.mktemp("tiny"))
    with open_page(space_limits.Limits(max_new_tokens=12)) as address:
        yield address


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A page of a new visitor."""
    with visit(browser, address) as page:
        yield page


@contextlib.contextmanager
def visit(browser: Browser, address: str, **options: Any) -> Iterator[Page]:
    """A page of a new visitor; an error in its scripts fails the test."""
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: errors.append(f"a dialog: {dialog.message}"))
    page.goto(address)
    page.get_by_role("button", name="Add RNA").wait_for()
    try:
        yield page
    finally:
        context.close()
    assert errors == []


def paste(page: Page, text: str) -> None:
    page.get_by_label("Paste a sequence or FASTA").fill(text)
    page.get_by_role("button", name="Add RNA").click()


def ask(page: Page, question: str) -> None:
    page.get_by_label("Your question").fill(question)
    page.get_by_role("button", name="Ask", exact=True).click()


def upload(page: Page, name: str, content: bytes) -> None:
    file: FilePayload = {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    page.get_by_label("Upload FASTA", exact=True).set_input_files(file)


def answers(page: Page) -> list[str]:
    return page.get_by_test_id("bot").all_inner_texts()


def questions(page: Page) -> list[str]:
    return [text.strip() for text in page.get_by_test_id("user").all_inner_texts()]


def open_keep(page: Page) -> None:
    """Fold out what keeps a conversation: copy and downloads."""
    if not page.locator("#copy").is_visible():
        page.get_by_role("button", name="Keep this conversation").click()


def downloaded(page: Page, button: str) -> str:
    open_keep(page)
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    return download.value.path().read_text()


def await_answer(page: Page) -> str:
    """The last answer, once it is finished."""
    expect(page.locator("#retry")).to_be_enabled()
    return answers(page)[-1]
