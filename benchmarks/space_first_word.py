"""How long a visitor of the Space waits: from the click to the first word, and for the first paint.

    python benchmarks/space_first_word.py                    # writes space_first_word.md
    RNAGPT_MODEL=./my-rna-gpt python benchmarks/space_first_word.py --runs 20

The page runs in a process of its own, as `python space/app.py` does; the times are a real browser's
(Chromium, by way of Playwright). Every run is a visitor of its own, with an RNA of its own.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from measured import machine, table
from playwright.sync_api import Browser, Page, expect, sync_playwright

REPORT = Path(__file__).with_suffix(".md")
SPACE = Path(__file__).parents[1] / "space"
QUESTION = "What is this RNA?"
# The clock starts with the click, in the browser, and stops when the answer has a word of its own.
_FIRST_WORD_JS = """
(question) => new Promise((resolve) => {
  const button = [...document.querySelectorAll('#suggestions button')]
    .find((one) => one.innerText.trim() === question);
  const begin = performance.now();
  const timer = setInterval(() => {
    const answer = document.querySelector('[data-testid="bot"]');
    if (answer && /\\p{L}/u.test(answer.innerText)) {
      clearInterval(timer);
      resolve((performance.now() - begin) / 1000);
    }
  }, 10);
  button.click();
})
"""
_FIRST_PAINT_JS = """
() => performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how long a visitor of the Space waits.")
    parser.add_argument("--runs", type=int, default=10, help="visitors (default: 10)")
    parser.add_argument("--chromium", default=shutil.which("chromium"), help="the browser's path")
    args = parser.parse_args()
    with open_space() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=args.chromium, args=["--no-sandbox"])
        paint, loading = first_visit(browser, address)
        buttons = itertools.cycle(range(6))
        waits = [first_word(browser, address, next(buttons)) for _ in range(args.runs)]
        browser.close()
    median = statistics.median(waits)
    rows = [
        ["first paint, while the model loads", f"{paint:.2f} s"],
        ["the model is ready after", f"{loading:.1f} s"],
        [
            f"click to first word, median of {args.runs} visitors",
            f"{median:.2f} s",
        ],
        ["from the shortest to the longest", f"{min(waits):.2f} to {max(waits):.2f} s"],
    ]
    text = (
        f"# How long a visitor of the Space waits\n\n`python benchmarks/space_first_word.py`\n\n"
        f"{machine('torch', 'transformers', 'gradio')} In Chromium, on the same machine.\n\n"
        f"{table(['what', 'time'], rows)}\n"
    )
    print(text)
    REPORT.write_text(text)


@contextmanager
def open_space() -> Iterator[str]:
    """The Space in a process of its own; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "GRADIO_SERVER_PORT": str(port)}
    process = subprocess.Popen(
        [sys.executable, str(SPACE / "app.py")], env=environment, stdout=subprocess.DEVNULL
    )
    try:
        await_port(port, process)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(timeout=30)


def await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until the Space listens.

    Raises:
        RuntimeError: when it ends before, or takes longer than five minutes.
    """
    end = time.monotonic() + 300
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("The Space did not start.")


def first_visit(browser: Browser, address: str) -> tuple[float, float]:
    """Seconds to the first paint, and from the visit until the model is there."""
    page = browser.new_page()
    begin = time.monotonic()
    page.goto(address)
    page.get_by_role("button", name="Add RNA").wait_for()
    paint = page.evaluate(_FIRST_PAINT_JS)
    expect(page.locator("#model-status")).to_contain_text("is ready", timeout=300_000)
    loading = time.monotonic() - begin
    page.close()
    return paint, loading


def first_word(browser: Browser, address: str, example: int) -> float:
    """Seconds from the click on a question to the first word of the answer."""
    context = browser.new_context()
    page: Page = context.new_page()
    page.goto(address)
    page.locator("#examples button").nth(example).click()
    page.locator("#cards svg.structure").wait_for()
    wait = page.evaluate(_FIRST_WORD_JS, QUESTION)
    expect(page.locator("#stop")).to_be_disabled(timeout=120_000)
    context.close()
    return float(wait)


if __name__ == "__main__":
    main()
